//! The session API: log in, look, renew, log out, and the person's other devices. JSON only, first-party clients only,
//! opened by the account token or, for a page of the cookie policy, by its session cookie.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use remint_core::client::Client;
use remint_core::id::SessionId;
use remint_core::refusal::Refusal;
use remint_core::secret::Password;
use remint_core::session::{EndReason, Session, State as Life};
use remint_core::time::Timestamp;
use remint_core::user::User;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::record;
use crate::app::App;
use crate::bearer::Bearer;
use crate::failure::{BadRequest, Failure};
use crate::grant;
use crate::grant::gate::Kind;
use crate::grant::issue::Issued;
use crate::grant::login::{Attempt, login};
use crate::grant::refresh::refresh_by_cookie;
use crate::grant::renew::renew;
use crate::grant::revoke::end_session;
use crate::http::body::{Json, OptionalJson};
use crate::http::caller::Caller;
use crate::http::cookie::{self, Jar};
use crate::http::credentials::{Credentials, bearer};
use crate::http::error::{BearerError, OAuthError};
use crate::http::origin;
use crate::http::token::wanted;
use crate::meters;
use crate::store::{ClientById, Held, SessionById, SessionsOf};
use crate::telemetry::KnownClient;

/// Tells the holder of a stale token the version that it lacks.
pub static REMINT_RENEW: HeaderName = HeaderName::from_static("remint-renew");
/// A person with more devices sees the newest of them.
const MAX_DEVICES: usize = 200;

/// The caller's account token, verified, or its session cookie; from a page that its client owns.
#[derive(Debug)]
pub struct Account(pub Bearer);

impl FromRequestParts<App> for Account {
    type Rejection = BearerError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, BearerError> {
        if let Some(token) = bearer(&parts.headers)? {
            let bearer = Bearer::account(app, token).await?;
            from_own_page(app, &parts.headers, &bearer).await?;
            return Ok(Self(bearer));
        }
        let cookie = cookie::speaking(app, &parts.headers, &parts.method, &[Jar::Session]).await?;
        let cookie = cookie.ok_or(Failure::NoToken)?;
        Ok(Self(Bearer::cookie(app, &cookie.client, &cookie.session()?).await?))
    }
}

async fn from_own_page(app: &App, headers: &HeaderMap, bearer: &Bearer) -> Result<(), Failure> {
    let held = bearer.holding(app).await?;
    Ok(origin::check(headers, app, &held.client)?)
}

#[derive(Deserialize)]
struct Login {
    client_id: String,
    client_secret: Option<String>,
    identifier: String,
    password: String,
    scope: Option<String>,
    resource: Option<String>,
}

const LOGIN: [&str; 6] = ["client_id", "client_secret", "identifier", "password", "scope", "resource"];

/// `POST /session`: identifier, password and `client_id` in, the token response of RFC 6749 section 5.1 with
/// `account_token` out; a client of the cookie policy gets a cookie and no token. With a live account token or cookie of
/// the same person and client it is a new proof of who they are: the session stays, `auth_time` moves.
pub async fn open(
    State(app): State<App>,
    method: Method,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<(Extension<KnownClient>, Issued), OAuthError> {
    let form: Login = body.read(&LOGIN)?;
    let credentials = Credentials::of(&HeaderMap::new(), Some(&form.client_id), form.client_secret.as_deref())?;
    let client = credentials.client(&app, &caller).await?;
    origin::check(&headers, &app, &client)?;
    let again = already_here(&app, &method, &headers, &client).await;
    let attempt = Attempt {
        identifier: form.identifier,
        password: Password::new(form.password),
        wanted: wanted(form.resource.as_deref(), form.scope.as_deref())?,
        address: caller.address,
        device: caller.device,
        again,
    };
    let issued = meters::login(login(&app, &client, &attempt).await)?;
    Ok((Extension(KnownClient(client.id.clone())), issued))
}

/// Who the browser already is, as a hint to the log-in: what is no good proof is no hint, and a new session is opened.
/// So a cookie that was planted is never adopted (row 74).
pub(super) async fn already_here(app: &App, method: &Method, headers: &HeaderMap, client: &Client) -> Option<Bearer> {
    if let Some(token) = bearer(headers).ok()? {
        return Bearer::account(app, token).await.ok();
    }
    origin::check_cookie(headers, method, app, client).ok()?;
    let shown = cookie::of_client(headers, Jar::Session, &client.id).ok()??.session().ok()?;
    Bearer::cookie(app, &client.id, &shown).await.ok()
}

/// `GET /session`: the session, its user's record and its limits.
pub async fn show(State(app): State<App>, Account(bearer): Account) -> Result<Response, BearerError> {
    let held = record::live(&app, &bearer, Kind::Renewal).await?;
    let body = Reply(described(&held, &bearer));
    let mut response = ([(CACHE_CONTROL, "no-store")], body).into_response();
    if bearer.held.cv < held.user.cv {
        response.headers_mut().insert(REMINT_RENEW.clone(), held.user.cv.into());
    }
    Ok(response)
}

/// When and how the person proved who they are is what the caller can show of it.
fn described(held: &Held, bearer: &Bearer) -> Value {
    let Held { session, user, client, .. } = held;
    json!({
        "sid": session.sid,
        "client_id": client.id,
        "policy": client.policy.name(),
        "user": shown(user),
        "scope": session.scope,
        "auth_time": bearer.auth_time.secs(),
        "amr": bearer.claims.amr,
        "created_at": session.created_at.secs(),
        "idle_expires_at": session.idle_at.secs(),
        "expires_at": session.absolute_at.secs(),
    })
}

fn shown(user: &User) -> Value {
    json!({
        "sub": user.id,
        "cv": user.cv,
        "attributes": user.attributes,
        "phone_number": user.phone_number,
        "phone_number_verified": user.phone_number.is_some(),
    })
}

#[derive(Deserialize)]
struct RenewBody {
    /// Whether a person is at work; a renewal by timer says that none is. A rolling session has no idle limit to move.
    interactive: Option<bool>,
}

/// `POST /session/renew`, by an access token, the session cookie or the refresh cookie: new tokens, or 204 where what the
/// caller has is good. A page of the cookie policy gets its claims and limits.
pub async fn renewal(
    State(app): State<App>,
    method: Method,
    caller: Caller,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson,
) -> Result<Response, BearerError> {
    let RenewBody { interactive } = body.read(&["interactive"])?;
    let Some(token) = bearer(&headers)? else {
        return Ok(renewed_by_cookie(&app, (&method, &headers), &caller, interactive.unwrap_or(true))
            .await?
            .into_response());
    };
    let bearer = Bearer::account_or_api(&app, token).await?;
    from_own_page(&app, &headers, &bearer).await?;
    let nothing = || (StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response();
    Ok(meters::refresh(renew(&app, &bearer).await)?.map_or_else(nothing, IntoResponse::into_response))
}

async fn renewed_by_cookie(
    app: &App,
    (method, headers): (&Method, &HeaderMap),
    caller: &Caller,
    interactive: bool,
) -> Result<Issued, Failure> {
    let cookie = cookie::speaking(app, headers, method, &[Jar::Session, Jar::Refresh]).await?;
    let cookie = cookie.ok_or(Failure::NoToken)?;
    match cookie.jar {
        Jar::Session => grant::cookie::renew(app, &cookie.client, &cookie.session()?, interactive).await,
        Jar::Refresh => {
            let client = app.store.read(ClientById(cookie.client.clone())).await?.ok_or(Refusal::BadCookie)?;
            refresh_by_cookie(app, &client, cookie.value(), caller.address, interactive).await
        }
    }
}

/// The query of `DELETE /session`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndQuery {
    everywhere: Option<bool>,
}

/// `DELETE /session`: ends this session, or with `?everywhere=true` all of the person's, and takes the client's cookies
/// away. 204 once it is durable; asked again, 204 again.
pub async fn end(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    account: Result<Account, BearerError>,
    query: Result<Query<EndQuery>, QueryRejection>,
) -> Result<Response, BearerError> {
    let unreadable = BadRequest::Invalid { name: "everywhere", why: "must be true or false, and nothing beside it" };
    let Query(query) = query.map_err(|_| unreadable)?;
    let bearer = match account {
        Ok(Account(bearer)) => bearer,
        Err(error) if query.everywhere == Some(true) => return Err(error), // other devices may still be there
        Err(error) => return nothing_left(&app, &headers).await?.ok_or(error),
    };
    let client = bearer.holding(&app).await?.client;
    if query.everywhere == Some(true) {
        record::end_everywhere(&app, &bearer, &caller.person(&bearer)).await?;
    } else {
        end_session(&app, bearer.sid, EndReason::Logout, &caller.person(&bearer)).await?;
    }
    Ok(logged_out(&client))
}

fn logged_out(client: &Client) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    cookie::clear(response.headers_mut(), client);
    response
}

/// A page whose cookie stands for no session that is stored cannot remove it by itself: the log-out does. A cookie whose
/// session has another secret by now lost a race, and the browser may hold the winner: nothing is cleared.
async fn nothing_left(app: &App, headers: &HeaderMap) -> Result<Option<Response>, Failure> {
    if headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let Ok(Some(cookie)) = cookie::speaking(app, headers, &Method::DELETE, &[Jar::Session]).await else {
        return Ok(None);
    };
    if let Ok(shown) = cookie.session()
        && app.store.read(SessionById(shown.sid())).await?.is_some()
    {
        return Ok(None);
    }
    let client = app.store.read(ClientById(cookie.client)).await?;
    Ok(client.map(|client| logged_out(&client)))
}

/// `GET /sessions`: the person's live sessions, newest use first.
pub async fn list(State(app): State<App>, Account(bearer): Account) -> Result<Response, BearerError> {
    let held = record::live(&app, &bearer, Kind::Renewal).await?;
    let all = app.store.read(SessionsOf { user: held.user.id, limit: MAX_DEVICES }).await?;
    let now = app.clock.now();
    let live = all.iter().filter(|session| session.over(&held.user, now).is_none());
    let devices: Vec<Value> = live.map(|session| device(session, bearer.sid)).collect();
    Ok(([(CACHE_CONTROL, "no-store")], Reply(json!({ "sessions": devices }))).into_response())
}

fn device(session: &Session, own: SessionId) -> Value {
    let secs = |at: Timestamp| at.secs();
    json!({
        "sid": session.sid,
        "current": session.sid == own,
        "client_id": session.client,
        "created_at": secs(session.created_at),
        "last_seen": secs(session.last_seen),
        "user_agent": session.device.user_agent,
        "address": session.device.address,
    })
}

/// `DELETE /sessions/{sid}`: ends another of the person's sessions. One that is not theirs is answered like none.
pub async fn end_other(
    State(app): State<App>,
    caller: Caller,
    Account(bearer): Account,
    sid: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, BearerError> {
    let held = record::live(&app, &bearer, Kind::Renewal).await?;
    let Path(sid) = sid.map_err(|_| Refusal::NoSuchSession)?;
    let sid: SessionId = sid.parse().map_err(|_| Refusal::NoSuchSession)?;
    let other = app.store.read(SessionById(sid)).await?;
    let own = other.filter(|session| session.user == held.user.id).ok_or(Refusal::NoSuchSession)?;
    if own.state == Life::Live {
        let reason = if sid == bearer.sid { EndReason::Logout } else { EndReason::Revoked };
        end_session(&app, sid, reason, &caller.person(&bearer)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
