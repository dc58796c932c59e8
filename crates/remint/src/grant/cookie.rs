//! The session cookie as proof: a page learns how its session stands, and a backend swaps its caller's cookie for a
//! short token of its own audience (the phantom token). The rule is [`remint_core::cookie`]'s. Sets no cookie and
//! clears none: only a log-in and a log-out do.

use remint_core::change::{Changes, Row};
use remint_core::client::Api;
use remint_core::cookie::{self, SessionCookie, Use};
use remint_core::id::ClientId;
use remint_core::refusal::Refusal;

use crate::app::App;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::grant::gate::{self, Kind};
use crate::grant::issue::{self, Issued, Wanted};
use crate::store::{Commit, Held, Holding};

/// How the session of a page of `client` stands, with its claims as they are now. No token.
pub async fn renew(app: &App, client: &ClientId, shown: &SessionCookie, interactive: bool) -> Result<Issued, Failure> {
    let wanted = Wanted::default();
    let held = used(app, Some(client), shown, interactive, Kind::Renewal, &wanted).await?;
    let now = app.clock.now();
    let permit = gate::may_issue(&held.user, &held.client, &held.session, Kind::Renewal, now)?;
    issue::for_session(app, permit, held.seen, &wanted, now).await
}

/// A token of the audience of `api`, which is authenticated, for the session of the cookie that its caller sent.
pub async fn exchange(app: &App, api: &Api, shown: &SessionCookie, interactive: bool) -> Result<Issued, Failure> {
    let wanted = Wanted { resource: Some(api.audience.clone()), ..Wanted::default() };
    let held = used(app, None, shown, interactive, Kind::Exchange, &wanted).await?;
    let now = app.clock.now();
    let permit = gate::may_issue(&held.user, &held.client, &held.session, Kind::Exchange, now)?;
    issue::for_session(app, permit, held.seen, &wanted, now).await
}

/// The session that the cookie proves, of this client where one is named. Its use is written back where that is due,
/// and only if what is wanted will be given.
async fn used(
    app: &App,
    client: Option<&ClientId>,
    shown: &SessionCookie,
    interactive: bool,
    kind: Kind,
    wanted: &Wanted,
) -> Result<Held, Failure> {
    let hash = shown.hash();
    for _ in 0..MAX_CONFLICTS {
        let held = app.store.read(Holding(shown.sid())).await?.ok_or(Refusal::BadCookie)?;
        let Held { session, user, client: owner, .. } = &held;
        if client.is_some_and(|client| *client != owner.id) {
            return Err(Refusal::BadCookie.into());
        }
        let now = app.clock.now();
        let presented = cookie::present(session, user, owner, &hash, interactive, now)?;
        let permit = gate::may_issue(user, owner, session, kind, now)?;
        issue::grantable(app, permit.client(), permit.session(), wanted)?;
        let Use::Touched(touched) = presented else { return Ok(held) };
        match app.store.commit(Changes::none().write(Row::Session((*touched).clone()))).await? {
            Commit::Done { .. } => return Ok(Held { session: *touched, ..held }),
            Commit::Conflict { .. } => {} // another tab was first, or the session ended: decide again
        }
    }
    Err(Failure::Contended)
}
