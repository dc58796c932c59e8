//! Sessions: seen and ended by an administrator, and opened for a backend that keeps its own users. Never shows what
//! renews one.

use remint_core::administration::AdminScope;
use remint_core::id::{ClientId, SessionId};
use remint_core::refusal::Refusal;
use remint_core::session::{Device, EndReason, Session, State};
use remint_core::time::Timestamp;
use remint_core::user::User;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::account::external::ExternalId;
use crate::admin::page::Page;
use crate::admin::{AdminError, By, Seen, users};
use crate::app::App;
use crate::failure::Failure;
use crate::grant::backend::{self, Vouched};
use crate::grant::issue::{Issued, Wanted};
use crate::grant::revoke;
use crate::http::token::wanted;
use crate::store::{SessionById, SessionsListed, SessionsOf, UserById};

/// At most so many sessions of a user are listed, the one last seen first.
const MAX_LISTED: usize = 1000;

/// The sessions of a user, ended ones too while their rows are kept.
pub async fn list(app: &App, who: &str) -> Result<Value, AdminError> {
    let user = users::account(app, who).await?.user;
    let sessions = app.store.read(SessionsOf { user: user.id, limit: MAX_LISTED }).await?;
    let now = app.clock.now();
    let views: Vec<_> = sessions.iter().map(|session| view(session, &user, now)).collect();
    Ok(json!({ "user": user.id, "sessions": views }))
}

fn view(session: &Session, user: &User, now: Timestamp) -> Value {
    let over = session.over(user, now).map(|refusal| refusal.to_string());
    json!({
        "sid": session.sid,
        "user": session.user,
        "client_id": session.client,
        "created_at": session.created_at.secs(),
        "last_seen": session.last_seen.secs(),
        "ends_at": session.idle_at.min(session.absolute_at).secs(),
        "auth_time": session.auth_time.secs(),
        "amr": session.amr,
        "user_agent": session.device.user_agent,
        "address": session.device.address,
        "over": over,
    })
}

/// Which sessions are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    user: Option<String>,
    client_id: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Sessions in the order of their ids, a page at a time.
pub async fn page(app: &App, filter: &Filter) -> Result<Value, AdminError> {
    let filters = [filter.user.as_deref().unwrap_or_default(), filter.client_id.as_deref().unwrap_or_default()];
    let page = Page::wanted(app, "sessions", &filters, filter.limit, filter.cursor.as_deref())?;
    let user = match &filter.user {
        Some(who) => Some(users::account(app, who).await?.user.id),
        None => None,
    };
    let client: Option<ClientId> =
        filter.client_id.as_deref().map(str::parse).transpose().map_err(|bad| AdminError::invalid("client_id", bad))?;
    let after = page.place().and_then(|place| place.try_into().ok()).map(SessionId::from_bytes);
    let question = SessionsListed { user, client, after, limit: page.one_more() };
    let mut sessions = app.store.read(question).await?;
    let next = page.next(app, &mut sessions, |(session, _)| session.sid.as_bytes().to_vec());
    let now = app.clock.now();
    let views: Vec<_> = sessions.iter().map(|(session, user)| view(session, user, now)).collect();
    Ok(json!({ "sessions": views, "next": next }))
}

/// One session.
pub async fn show(app: &App, sid: &str) -> Result<Seen, AdminError> {
    let missing = || AdminError::not_found("session", sid);
    let known: SessionId = sid.parse().map_err(|_| missing())?;
    let session = app.store.read(SessionById(known)).await?.ok_or_else(missing)?;
    let user = app.store.read(UserById(session.user)).await?.ok_or_else(missing)?;
    Ok(Seen { view: view(&session, &user, app.clock.now()), rev: session.rev })
}

/// Ends one session. One that has ended already stays as it is.
pub async fn end(app: &App, by: &By, sid: &str) -> Result<Value, AdminError> {
    let missing = || AdminError::not_found("session", sid);
    let known: SessionId = sid.parse().map_err(|_| missing())?;
    let found = app.store.read(SessionById(known)).await?.ok_or_else(missing)?;
    by.expects(found.rev)?; // one that is renewed in between is ended all the same: that is what was wanted
    let before = revoke::end_session(app, known, EndReason::Revoked, by.doer()).await?.ok_or_else(missing)?;
    Ok(json!({ "sid": known, "was_live": before.state == State::Live }))
}

/// A session to be opened for a person whose password somebody else checked.
#[derive(Debug, Deserialize)]
pub struct Open {
    user: String,
    #[serde(default)]
    attributes: Map<String, Value>,
    client_id: String,
    amr: Vec<String>,
    auth_time: Option<i64>,
    scope: Option<String>,
    resource: Option<String>,
    user_agent: Option<String>,
    address: Option<String>,
}

impl Open {
    /// Its members.
    pub const MEMBERS: [&str; 9] =
        ["user", "attributes", "client_id", "amr", "auth_time", "scope", "resource", "user_agent", "address"];
}

/// Opens a session, and answers the tokens of it. The user is made where there is none of that external id; the record of
/// one that is there is changed for those alone who may change users, because it is in the tokens of other clients too.
pub async fn open(app: &App, by: &By, open: Open) -> Result<Issued, AdminError> {
    debug_assert!(by.may(AdminScope::SessionsOpen), "the door was asked before");
    let client: ClientId = open.client_id.parse().map_err(|bad| AdminError::invalid("client_id", bad))?;
    by.may_open_at(&client)?;
    let vouched = Vouched {
        user: open.user.parse::<ExternalId>().map_err(|bad| AdminError::invalid("user", bad))?,
        attributes: open.attributes,
        changes_known: by.may(AdminScope::UsersWrite),
        client,
        amr: methods(open.amr)?,
        auth_time: proved_at(app, open.auth_time)?,
        wanted: Wanted { account: true, ..wanted(open.resource.as_deref(), open.scope.as_deref())? },
        device: Device::new(&open.user_agent.unwrap_or_default(), &open.address.unwrap_or_default()),
    };
    backend::open(app, by.doer(), by.acting_client(), &vouched).await.map_err(refused)
}

/// How the person proved who they are (RFC 8176): said by the backend, so it must be said.
fn methods(amr: Vec<String>) -> Result<Vec<String>, AdminError> {
    const MOST: usize = 8;
    const LONGEST: usize = 32;
    let method = |text: &String| (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if (1..=MOST).contains(&amr.len()) && amr.iter().all(method) {
        return Ok(amr);
    }
    Err(AdminError::invalid(
        "amr",
        format!("must be 1 to {MOST} methods like `pwd` (RFC 8176), each of 1 to {LONGEST} visible characters"),
    ))
}

/// When they proved it: now, where nothing is said; never in the future, a clock that is a little ahead aside.
fn proved_at(app: &App, secs: Option<i64>) -> Result<Timestamp, AdminError> {
    let now = app.clock.now();
    match secs.map(Timestamp::from_secs) {
        None => Ok(now),
        Some(at) if at < Timestamp::default() => Err(AdminError::invalid("auth_time", "must be seconds since 1970")),
        Some(at) if at > now.plus(app.settings.leeway) => {
            Err(AdminError::invalid("auth_time", "lies in the future: set the clock of your server"))
        }
        Some(at) => Ok(at.min(now)),
    }
}

/// What is wrong with the client that was named is not wrong with the caller, and attributes stand in a member.
fn refused(failure: Failure) -> AdminError {
    match failure {
        Failure::Refused(
            cause @ (Refusal::BadClient
            | Refusal::ClientDisabled
            | Refusal::NotFirstParty
            | Refusal::GrantNotAllowed { .. }),
        ) => AdminError::invalid("client_id", cause),
        Failure::Refused(Refusal::Attribute(bad)) => AdminError::invalid("attributes", bad),
        failure => failure.into(),
    }
}
