//! Introspection (RFC 7662): whether an access token stands at this moment, for the api that it is meant for. It is held
//! against the rows, not against the feed: what was committed is known. Never says why a token does not stand, and
//! never reads a failing store as an answer.

use remint_core::claims::{AccessClaims, SessionClaims};
use remint_core::client::Api;
use remint_core::id::{ClientId, Jti, SessionId};
use remint_core::time::Timestamp;

use crate::app::App;
use crate::failure::Failure;
use crate::grant::gate;
use crate::store::{ClientById, Held, Holding, TokenRevoked};

/// What the token says, if it stands. A refresh token is no business of an api's, nor is a token of another audience
/// (section 4). One that shows less than the record by now stands no more than at a guard: a new one can be had.
pub async fn introspect(app: &App, api: &Api, token: &str) -> Result<Option<AccessClaims>, Failure> {
    let (audience, now) = ([api.audience.as_str().to_owned()], app.clock.now());
    let Ok(claims) = app.mint.verify_own(token, &audience, now).await? else { return Ok(None) };
    let stands = match &claims.session {
        Some(session) => session_stands(app, &claims, session, now).await?,
        None => client_stands(app, &claims).await?,
    };
    Ok(stands.then_some(claims))
}

async fn session_stands(
    app: &App,
    claims: &AccessClaims,
    session: &SessionClaims,
    now: Timestamp,
) -> Result<bool, Failure> {
    let Ok(sid) = session.sid.parse::<SessionId>() else { return Ok(false) };
    let Some(Held { session: row, user, client, .. }) = app.store.read(Holding(sid)).await? else { return Ok(false) };
    let fresh = session.cv >= user.cv && claims.pv >= Some(client.pv);
    Ok(fresh && gate::stands(&user, &client, &row, now).is_ok())
}

async fn client_stands(app: &App, claims: &AccessClaims) -> Result<bool, Failure> {
    let id = claims.client_id.as_deref().and_then(|id| id.parse::<ClientId>().ok());
    let (Some(id), Some(Ok(jti))) = (id, claims.jti.as_deref().map(str::parse::<Jti>)) else { return Ok(false) };
    let Some(client) = app.store.read(ClientById(id)).await? else { return Ok(false) };
    if gate::may_issue_to_client(&client).is_err() || claims.pv < Some(client.pv) {
        return Ok(false);
    }
    Ok(!app.store.read(TokenRevoked { jti, exp: Timestamp::from_secs(claims.exp) }).await?)
}
