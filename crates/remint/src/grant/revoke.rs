//! Revocation (RFC 7009): a refresh token or an access token ends its session, a client's own token ends alone. The
//! answer leaves after the commit; a store that did not write is never a 200. Tokens that are not ours change nothing
//! and are answered alike (section 2.2).

use std::time::Duration;

use remint_core::audit::{Act, Doer, Target};
use remint_core::change::{Changes, Row, RowKey, Take};
use remint_core::claims::AccessClaims;
use remint_core::client::Client;
use remint_core::id::{Jti, SessionId};
use remint_core::notice;
use remint_core::refresh::RefreshToken;
use remint_core::refusal::Refusal;
use remint_core::session::{EndReason, Session, State};
use remint_core::time::Timestamp;

use crate::app::App;
use crate::bearer::anyone;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::grant::refresh;
use crate::store::Commit;
use crate::store::{Held, Holding};

/// Ends what the token stands for, if it is one of ours and was issued to `client`.
pub async fn revoke(app: &App, client: &Client, presented: &str, doer: &Doer) -> Result<(), Failure> {
    if let Ok(token) = presented.parse::<RefreshToken>() {
        return revoke_refresh(app, client, &token, doer).await;
    }
    let Ok(claims) = app.mint.verify_own(presented, &anyone(app).await?, app.clock.now()).await? else {
        return Ok(()); // not ours, or expired: nothing is left to end
    };
    if claims.client_id.as_deref() != Some(client.id.as_str()) {
        return Err(Refusal::OtherClient.into());
    }
    match claims.session.as_ref().map(|session| session.sid.parse::<SessionId>()) {
        Some(Ok(sid)) => end_session(app, sid, EndReason::Revoked, doer).await.map(drop),
        Some(Err(_)) => Ok(()),
        None => revoke_client_token(app, client, &claims, doer).await,
    }
}

async fn revoke_refresh(app: &App, client: &Client, token: &RefreshToken, doer: &Doer) -> Result<(), Failure> {
    app.keyring.look_for(token.kid()).await?;
    let found = app.store.read(Holding(token.sid())).await?;
    let genuine = refresh::prove(app, token, found.as_ref());
    match (genuine, found) {
        (Some(_), Some(held)) if held.session.client == client.id => {
            end_session(app, held.session.sid, EndReason::Revoked, doer).await.map(drop)
        }
        (Some(_), Some(_)) => Err(Refusal::OtherClient.into()),
        (_, _) => Ok(()),
    }
}

/// At most so many an hour are told of, of each client: it can mint as many as it likes.
const REVOCATIONS_TOLD: u32 = 100;
const AN_HOUR: Duration = Duration::from_secs(3600);

async fn revoke_client_token(app: &App, client: &Client, claims: &AccessClaims, doer: &Doer) -> Result<(), Failure> {
    let Some(jti) = claims.jti.as_deref().and_then(|jti| jti.parse::<Jti>().ok()) else { return Ok(()) };
    let (exp, now) = (Timestamp::from_secs(claims.exp), app.clock.now());
    let take = |key, limit, window| Take { key, limit, window, at: now };
    let entry = doer.did(Act::TokenRevoked, Target::Client(client.id.clone()), now).within(take(
        format!("audit:token.revoked:{}", client.id),
        REVOCATIONS_TOLD,
        AN_HOUR,
    ));
    let changes = Changes::none().notice(notice::token_ended(jti, exp, now)).audit(entry);
    // Remint follows no feed of its own: the counter is what refuses the token at the admin API.
    let changes = changes.take(take(revoked(jti), 1, exp.since(now)));
    match app.store.commit(changes).await? {
        Commit::Done { .. } => Ok(()),
        Commit::Conflict { .. } => Err(Failure::Contended),
    }
}

/// The counter that says that a client's own token was revoked.
pub fn revoked(jti: Jti) -> String {
    format!("revoked:{jti}")
}

/// Ends one session, durably, and tells the feed in the same commit. One that has ended stays as it is; `None` where
/// there is no such session.
pub async fn end_session(
    app: &App,
    sid: SessionId,
    reason: EndReason,
    doer: &Doer,
) -> Result<Option<Session>, Failure> {
    for _ in 0..MAX_CONFLICTS {
        let Some(held) = app.store.read(Holding(sid)).await? else { return Ok(None) };
        if held.session.state != State::Live {
            return Ok(Some(held.session));
        }
        match app.store.commit(ending(app, &held, reason, doer, app.clock.now())).await? {
            Commit::Done { .. } => return Ok(Some(held.session)),
            Commit::Conflict { .. } => {} // renewed in between: end what is there now
        }
    }
    Err(Failure::Contended)
}

fn ending(app: &App, held: &Held, reason: EndReason, doer: &Doer, now: Timestamp) -> Changes {
    let entry = doer.did(Act::SessionEnded, Target::User(held.user.id), now);
    let entry = entry.session(&held.client.id, held.session.sid).names([reason.as_str()]);
    let ended = held.session.ended(reason, now);
    let told = notice::session_ended(&ended, &held.client, reason, &app.settings.timing, now);
    // The client as it was read says which apis must hear of it: an api that it gains meanwhile must hear of it too.
    Changes::none()
        .write(Row::Session(ended))
        .expect(RowKey::Client(held.client.id.clone()), held.client.rev)
        .notice(told)
        .audit(entry)
}
