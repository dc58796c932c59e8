//! The public endpoints, one file each, and what is common to all of them: nothing is cached, and one form of
//! error for what is not there. Administration is served to whoever has a token for it.

pub mod account;
pub mod admin;
pub mod answer;
pub mod body;
pub mod caller;
pub mod control;
pub mod cookie;
pub mod credentials;
pub mod discovery;
pub mod error;
pub mod events;
pub mod exchange;
pub mod factor;
pub mod feed;
pub mod introspect;
pub mod origin;
pub mod phone;
pub mod revoke;
pub mod sdk;
pub mod session;
pub mod token;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::app::App;

/// The public router, under the issuer's path. The metadata stands where RFC 8414 section 3.1 wants it: the
/// well-known part before that path.
pub fn router(app: App) -> Router {
    let path = app.settings.issuer.path().to_owned();
    let well_known = format!("/.well-known/oauth-authorization-server{path}");
    let inner = endpoints(&app);
    let nested = if path.is_empty() { inner } else { Router::new().nest(&path, inner) };
    nested
        .route(&well_known, get(discovery::metadata))
        .method_not_allowed_fallback(not_allowed)
        .fallback(|| async { not_here() })
        .with_state(app)
}

fn endpoints(app: &App) -> Router<App> {
    let pages = Router::new()
        .route("/oauth2/token", post(token::post))
        .route("/oauth2/revoke", post(revoke::post))
        .route("/session", post(session::open).get(session::show).delete(session::end))
        .route("/session/renew", post(session::renewal))
        .route("/session/events", get(events::follow))
        .route("/sessions", get(session::list))
        .route("/sessions/{sid}", delete(session::end_other))
        .route("/session/factor", post(factor::post))
        .route("/account", patch(account::patch))
        .route("/account/phone", post(phone::post).delete(phone::delete))
        .route("/account/phone/verify", post(phone::verify))
        .method_not_allowed_fallback(not_allowed) // inside the layers: a preflight passes through them
        .layer(from_fn_with_state(app.clone(), around));
    // Outside the layer of pages: there is no CORS for administration, apis and the feed.
    let rest = Router::new()
        .route("/oauth2/jwks", get(discovery::jwks))
        .route("/feed", get(feed::follow))
        .route("/oauth2/introspect", post(introspect::post))
        .route("/session/exchange", post(exchange::post))
        .route("/sdk/{version}/{file}", get(sdk::get));
    pages.merge(rest).merge(admin::network(app))
}

/// Who may read an answer, and that nobody keeps what depends on who asks.
async fn around(app: State<App>, request: Request, next: Next) -> Response {
    let mut response = origin::cors(app, request, next).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn not_allowed() -> Response {
    plain(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here")
}

fn not_here() -> Response {
    plain(StatusCode::NOT_FOUND, "there is nothing here")
}

fn plain(status: StatusCode, description: &str) -> Response {
    let body = json!({ "error": "invalid_request", "error_description": description });
    (status, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}
