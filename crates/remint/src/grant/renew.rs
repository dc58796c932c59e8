//! `POST /session/renew`: the access token itself is the proof that the session goes on (the rolling policy), or a
//! changed record is due (the fixed one too). The rule is [`remint_core::rolling`]'s.

use remint_core::change::{Changes, Row};
use remint_core::id::Audience;
use remint_core::policy::Policy;
use remint_core::refusal::Refusal;
use remint_core::rolling::{self, Renewal};

use crate::app::App;
use crate::bearer::Bearer;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::grant::gate::{self, Kind};
use crate::grant::issue::{self, Issued, Wanted};
use crate::store::Commit;

/// New tokens for the holder of `bearer`; `None` where what it has is good (204). A token of an API is answered with
/// one of the same audience and never with an account token; an account token is answered with both.
pub async fn renew(app: &App, bearer: &Bearer) -> Result<Option<Issued>, Failure> {
    for _ in 0..MAX_CONFLICTS {
        let held = bearer.holding(app).await?;
        let now = app.clock.now();
        if !bearer.is_account() && !matches!(held.client.policy, Policy::Rolling { .. }) {
            return Err(Refusal::NotRenewedHere { policy: held.client.policy.name(), instead: INSTEAD }.into());
        }
        gate::may_issue(&held.user, &held.client, &held.session, Kind::Renewal, now)?;
        let renewed =
            rolling::renewal(&bearer.held, &held.session, &held.user, &held.client, app.settings.timing.quantum, now)?;
        let Renewal::Mint(changed) = renewed else { return Ok(None) };
        let changes = changed.clone().map_or_else(Changes::none, |row| Changes::none().write(Row::Session(*row)));
        if let Commit::Conflict { .. } = app.store.commit(changes).await? {
            continue; // others were first: decide again
        }
        let session = changed.map_or(held.session, |row| *row);
        let permit = gate::may_issue(&held.user, &held.client, &session, Kind::Renewal, now)?;
        return issue::for_session(app, permit, held.seen, &wanted(bearer, &held.client.policy)?, now).await.map(Some);
    }
    Err(Failure::Contended)
}

const INSTEAD: &str = "present the account token";

/// The same scope, and the same audience where it is an API's; of the person no more than is shown.
fn wanted(bearer: &Bearer, policy: &Policy) -> Result<Wanted, Failure> {
    let (claims, grounds) = (&bearer.claims, bearer.grounds(policy));
    if bearer.is_account() {
        return Ok(Wanted { account: true, grounds, ..Wanted::default() });
    }
    let audience: Option<Audience> = claims.aud.first().and_then(|audience| audience.parse().ok());
    let scope = claims.scope.as_deref().unwrap_or_default().parse().map_err(|_| Refusal::ScopeExceeded)?;
    Ok(Wanted {
        resource: Some(audience.ok_or(Refusal::UnknownResource)?),
        scope: Some(scope),
        account: false,
        grounds,
    })
}
