//! The guard against a real issuer over real HTTP.
#![expect(clippy::unwrap_used, reason = "a scene that cannot be set fails its test")]

mod cases;
mod feed;
mod keys;
mod refusals;
mod rolling;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response};
use remint_guard::core::time::Timestamp;
use remint_guard::testing::{Issuer, ManualClock, Settings};
use remint_guard::{Claims, RemintLayer, Verifier};
use serde_json::Value;
use tower::ServiceExt;

/// Noon of some day: the clock stands there until a test moves it.
const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

/// An issuer on a clock that stands still.
async fn issuer() -> (Issuer, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(NOON));
    let heartbeat = Duration::from_millis(20);
    let issuer = Issuer::start_with(Settings { clock: clock.clone(), heartbeat, ..Settings::default() }).await;
    (issuer, clock)
}

/// A verifier that is ready, and an API that answers the claims, behind the plain layer.
async fn ready(builder: remint_guard::Builder) -> Verifier {
    let verifier = builder.build().unwrap();
    verifier.ready().await;
    verifier
}

fn api(layer: RemintLayer) -> Router {
    Router::new().route("/me", get(|Claims(all): Claims<Value>| async move { axum::Json(all) })).layer(layer)
}

async fn call(api: &Router, path: &str, token: Option<&str>) -> Response<Body> {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// Status and challenge.
fn refusal(answer: &Response<Body>) -> (u16, &str) {
    let challenge = answer.headers().get(WWW_AUTHENTICATE);
    (answer.status().as_u16(), challenge.map_or("", |value| value.to_str().unwrap()))
}

fn invalid_token(text: &str) -> String {
    format!("Bearer error=\"invalid_token\", error_description=\"{text}\"")
}

async fn body(answer: Response<Body>) -> String {
    String::from_utf8(axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}
