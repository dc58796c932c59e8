//! A session opened for a person whose password somebody else checked: `POST /admin/api/sessions`. The user is known by
//! an external id and made where there is none; user, session and what the feed must tell are one commit, which expects
//! user, client and the client that vouches as they were read. Never reaches a user who has no external id.

use remint_core::administration::AdminScope;
use remint_core::attribute::Writer;
use remint_core::audit::{Act, Doer, Target};
use remint_core::change::{Changes, Identifier, Row, RowKey};
use remint_core::client::Client;
use remint_core::cookie::SessionCookie;
use remint_core::event::{Cause, Initiator};
use remint_core::factor;
use remint_core::id::{ClientId, SessionId, UserId};
use remint_core::notice;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::session::{Continuity, Device, Opening, Session};
use remint_core::time::Timestamp;
use remint_core::user::{Attributes, User};
use serde_json::{Map, Value};

use crate::account::external::ExternalId;
use crate::app::App;
use crate::failure::Failure;
use crate::grant::gate::{self, Kind};
use crate::grant::issue::{self, Issued, Proof, Wanted};
use crate::grant::{MAX_CONFLICTS, login, refresh};
use crate::store::{AccountOf, ClientById, Commit, DeclaredAttributes};

/// What a backend vouches for.
#[derive(Debug)]
pub struct Vouched {
    /// Who, by the name that the backend has for the person.
    pub user: ExternalId,
    /// What is to be written into the record; `null` removes an attribute.
    pub attributes: Map<String, Value>,
    /// Whether the record of a person who is known already may be changed: by that, and by what a session could change
    /// that says to have shown their second factor.
    pub changes_known: bool,
    /// At which client.
    pub client: ClientId,
    /// How the person proved who they are (RFC 8176).
    pub amr: Vec<String>,
    /// When.
    pub auth_time: Timestamp,
    /// What is asked for beside.
    pub wanted: Wanted,
    /// The person's device, as the backend saw it.
    pub device: Device,
}

/// Opens the session, and answers its tokens. The caller may open sessions at this client.
pub async fn open(
    app: &App,
    doer: &Doer,
    vouching: Option<&(ClientId, Rev)>,
    vouched: &Vouched,
) -> Result<Issued, Failure> {
    for _ in 0..MAX_CONFLICTS {
        let client = app.store.read(ClientById(vouched.client.clone())).await?.ok_or(Refusal::BadClient)?;
        let now = app.clock.now();
        let (user, changes) = record(app, doer, vouched, now).await?;
        if user.phone_number.is_some() && factor::is_shown(&user, &vouched.amr) && !vouched.changes_known {
            return Err(Refusal::InsufficientScope { needed: AdminScope::UsersWrite.as_str() }.into());
        }
        let (session, cookie) = session(app, &user, &client, vouched, now);
        let permit = gate::may_issue(&user, &client, &session, Kind::Vouched, now)?;
        if !session.scope.is_subset(&client.scopes) {
            return Err(Refusal::ScopeExceeded.into());
        }
        issue::grantable(app, &client, &session, &vouched.wanted)?;
        issue::fits(app, permit, now).await?;
        let entry = doer.did(Act::SessionOpened, Target::User(user.id), now).session(&client.id, session.sid);
        let changes = changes.write(Row::Session(session.clone())).audit(entry.names(&session.amr));
        let mut changes = changes.expect(RowKey::Client(client.id.clone()), client.rev);
        if let Some((id, rev)) = vouching {
            changes = changes.expect(RowKey::Client(id.clone()), *rev);
        }
        match app.store.commit(changes).await? {
            Commit::Done { .. } => return issued(app, (&user, &client, &session), cookie, vouched, now).await,
            Commit::Conflict { key: RowKey::Client(id), .. } if vouching.is_some_and(|(other, _)| *other == id) => {
                return Err(Refusal::ClientDisabled.into()); // its rights were changed meanwhile: they are read again
            }
            Commit::Conflict { .. } => {} // made, changed or disabled in between
        }
    }
    Err(Failure::Contended)
}

/// The user as the session will know them, and what is to be committed for that.
async fn record(app: &App, doer: &Doer, vouched: &Vouched, now: Timestamp) -> Result<(User, Changes), Failure> {
    let declared = app.store.read(DeclaredAttributes).await?;
    let identifier = vouched.user.identifier();
    let Some(account) = app.store.read(AccountOf(identifier.clone())).await? else {
        let attributes =
            declared.apply(&Attributes::new(), &vouched.attributes, Writer::Admin).map_err(Refusal::from)?;
        let user = User::new(UserId::from_bytes(app.entropy.bytes()), attributes, now);
        let entry = doer.did(Act::UserCreated, Target::User(user.id), now).names(vouched.attributes.keys());
        let named = Identifier { text: identifier, user: user.id, rev: Rev::NEW };
        let made = Changes::none().write(Row::User(user.clone())).write(Row::Identifier(named)).audit(entry);
        return Ok((user, made));
    };
    let user = account.user;
    match user.patched(&vouched.attributes, &declared, Writer::Admin).map_err(Refusal::from)? {
        None => Ok((user.clone(), Changes::none().expect(RowKey::User(user.id), user.rev))),
        Some(_) if !vouched.changes_known => {
            Err(Refusal::InsufficientScope { needed: AdminScope::UsersWrite.as_str() }.into())
        }
        Some(changed) => {
            let entry = doer.did(Act::UserChanged, Target::User(user.id), now).names(&changed.names);
            let (cause, who, horizon) = (Cause::Attributes, Initiator::Admin, app.horizon().await?);
            let told = notice::claims_changed(&changed.user, changed.names, cause, who, horizon, now);
            let changes = Changes::none().write(Row::User(changed.user.clone())).notice(told).audit(entry);
            Ok((changed.user, changes))
        }
    }
}

fn session(
    app: &App,
    user: &User,
    client: &Client,
    vouched: &Vouched,
    now: Timestamp,
) -> (Session, Option<SessionCookie>) {
    let sid = SessionId::from_bytes(app.entropy.bytes());
    let (continuity, cookie) = login::continuity(app, sid, &client.policy, now);
    let opening = Opening {
        sid,
        continuity,
        scope: vouched.wanted.scope.clone().unwrap_or_else(|| client.scopes.clone()),
        amr: vouched.amr.clone(),
        device: vouched.device.clone(),
    };
    let session = Session::open(user, &client.id, &client.policy, opening, now);
    (Session { auth_time: vouched.auth_time, ..session }, cookie)
}

/// The account token comes too where the client may use the session API. What a browser would get in a cookie is
/// answered as its value: the backend sets the cookie on its own host.
async fn issued(
    app: &App,
    (user, client, session): (&User, &Client, &Session),
    cookie: Option<SessionCookie>,
    vouched: &Vouched,
    now: Timestamp,
) -> Result<Issued, Failure> {
    let permit = gate::may_issue(user, client, session, Kind::Vouched, now)?;
    let wanted = Wanted { account: client.first_party, ..vouched.wanted.clone() };
    let mut issued = issue::for_session(app, permit, None, &wanted, now).await?;
    if matches!(session.continuity, Continuity::Refresh(_)) {
        issued = issued.with_refresh(refresh::head(app, session).await?, client, session, now);
    }
    if let Some(cookie) = cookie {
        issued = issued.with_cookie(Proof::Session(cookie), session, now);
    }
    Ok(issued.for_a_backend())
}
