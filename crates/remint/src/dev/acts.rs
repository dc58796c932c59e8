//! What the playground can do that no person may: `GET /dev/facts.json` tells it what it plays with, `POST /dev/role` is
//! an administrator's act, `POST /dev/speed` sets another speed. Never says a secret; never does what a page of another
//! origin asks. Does not exist in `serve`.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};
use remint_core::refusal::Refusal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::seed::IDENTIFIER;
use super::speed::Speed;
use crate::admin::{AdminError, By, users};
use crate::app::App;
use crate::http::body::Json;

#[derive(Clone)]
struct Stage {
    app: App,
    facts: Value,
    faster: mpsc::Sender<Speed>,
}

/// The endpoints. A speed that is wished for goes to `faster`.
pub(super) fn router(app: &App, facts: Value, faster: mpsc::Sender<Speed>) -> Router {
    Router::new()
        .route("/dev/facts.json", get(told))
        .route("/dev/role", post(role))
        .route("/dev/speed", post(speed))
        .with_state(Stage { app: app.clone(), facts, faster })
}

async fn told(State(stage): State<Stage>) -> Response {
    ([(CACHE_CONTROL, "no-store")], axum::Json(stage.facts)).into_response()
}

#[derive(Deserialize)]
struct Role {
    role: String,
}

/// The demo user gets another role: `{cv}` of the changed record.
async fn role(State(stage): State<Stage>, headers: HeaderMap, body: Json) -> Result<Response, AdminError> {
    from_this_server(&headers)?;
    let Role { role } = body.read(&["role"])?;
    let patch = json!({ "role": role });
    let patch = patch.as_object().cloned().unwrap_or_default();
    let seen = users::patch(&stage.app, &By::operator(), IDENTIFIER, &patch).await?;
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(json!({ "cv": seen.view["cv"] }))).into_response())
}

#[derive(Deserialize)]
struct Wish {
    speed: u32,
}

/// 202: the server stops in order and goes on at that speed, on the same port and data. Sessions stay; those that are
/// open keep the limits that they were opened with.
async fn speed(State(stage): State<Stage>, headers: HeaderMap, body: Json) -> Result<Response, AdminError> {
    from_this_server(&headers)?;
    let Wish { speed } = body.read(&["speed"])?;
    let wished = Speed::new(speed).map_err(|error| AdminError::invalid("speed", error))?;
    let _ = stage.faster.try_send(wished); // full: another wish is on its way, and the page asks which speed it is
    Ok((StatusCode::ACCEPTED, [(CACHE_CONTROL, "no-store")], axum::Json(json!({ "speed": speed }))).into_response())
}

/// A page says where it comes from. Whoever does not say it is refused too: being on this machine is no permission.
fn from_this_server(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let host = headers.get(HOST).map(|host| [b"http://", host.as_bytes()].concat());
    match (origins.next(), origins.next(), host) {
        (Some(origin), None, Some(host)) if origin.as_bytes() == host => Ok(()),
        _ => Err(Refusal::ForeignOrigin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(origins: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost:7070".parse().unwrap());
        for origin in origins {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        from_this_server(&headers).is_ok()
    }

    #[test]
    fn only_a_page_of_this_server_changes_anything() {
        assert!(taken(&["http://localhost:7070"]));
        for wrong in ["http://localhost:7071", "http://127.0.0.1:7070", "https://localhost:7070", "null", ""] {
            assert!(!taken(&[wrong]), "{wrong}");
        }
        assert!(!taken(&[]), "nobody says where it comes from");
        assert!(!taken(&["http://localhost:7070", "http://evil.example"]), "two of them");
    }
}
