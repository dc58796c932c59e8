//! Sessions: seen and ended by an administrator. Never shows what renews one.

use remint_core::id::SessionId;
use remint_core::session::{EndReason, Session, State};
use serde_json::{Value, json};

use crate::admin::{AdminError, users};
use crate::app::App;
use crate::grant::revoke;
use crate::store::SessionsOf;

/// At most so many sessions of a user are listed, the one last seen first.
const MAX_LISTED: usize = 1000;

/// The sessions of a user, ended ones too while their rows are kept.
pub async fn list(app: &App, who: &str) -> Result<Value, AdminError> {
    let user = users::account(app, who).await?.user;
    let sessions = app.store.read(SessionsOf { user: user.id, limit: MAX_LISTED }).await?;
    let now = app.clock.now();
    let view = |session: &Session| {
        let over = session.over(&user, now).map(|refusal| refusal.to_string());
        json!({
            "sid": session.sid,
            "client_id": session.client,
            "created_at": session.created_at.secs(),
            "last_seen": session.last_seen.secs(),
            "ends_at": session.idle_at.min(session.absolute_at).secs(),
            "user_agent": session.device.user_agent,
            "address": session.device.address,
            "over": over,
        })
    };
    Ok(json!({ "user": user.id, "sessions": sessions.iter().map(view).collect::<Vec<_>>() }))
}

/// Ends one session. One that has ended already stays as it is.
pub async fn end(app: &App, sid: &str) -> Result<Value, AdminError> {
    let missing = || AdminError::not_found("session", sid);
    let known: SessionId = sid.parse().map_err(|_| missing())?;
    let before = revoke::end_session(app, known, EndReason::Revoked).await?.ok_or_else(missing)?;
    Ok(json!({ "sid": known, "was_live": before.state == State::Live }))
}
