//! The administrative endpoints, under `/admin/api`. JSON in, JSON out; errors are `error`, `error_description` and,
//! where one member is to blame, `field`. Served on the control socket only. Never decides: that is the admin room's.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json as Reply, Router};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use remint_core::refusal::Refusal;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::admin::{AdminError, apis, attributes, checks, clients, keys, sessions, users};
use crate::app::App;
use crate::failure::{BadRequest, Failure};
use crate::http::body::Json;
use crate::http::error::OAuthError;

/// The administrative router.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/admin/api/users", get(list_users).post(create_user))
        .route("/admin/api/users/{user}", get(show_user).patch(patch_user).delete(delete_user))
        .route("/admin/api/users/{user}/disable", post(disable_user))
        .route("/admin/api/users/{user}/enable", post(enable_user))
        .route("/admin/api/users/{user}/unlock", post(unlock_user))
        .route("/admin/api/users/{user}/password", post(set_password))
        .route("/admin/api/users/{user}/phone", axum::routing::delete(remove_phone))
        .route("/admin/api/users/{user}/sessions", get(list_sessions).delete(end_sessions))
        .route("/admin/api/sessions/{sid}", axum::routing::delete(end_session))
        .route("/admin/api/attributes", get(list_attributes).post(declare_attribute))
        .route("/admin/api/apis", get(list_apis).post(create_api))
        .route("/admin/api/apis/{id}", get(show_api).patch(update_api))
        .route("/admin/api/apis/{id}/secret", post(rotate_api_secret))
        .route("/admin/api/clients", get(list_clients).post(create_client))
        .route("/admin/api/clients/{id}", get(show_client).patch(update_client))
        .route("/admin/api/clients/{id}/disable", post(disable_client))
        .route("/admin/api/clients/{id}/enable", post(enable_client))
        .route("/admin/api/clients/{id}/secret", post(rotate_client_secret))
        .route("/admin/api/keys", get(list_keys).post(rotate_key))
        .route("/admin/api/keys/{kid}", axum::routing::delete(withdraw_key))
        .route("/admin/api/checks", get(list_checks))
        .fallback(|| async { AdminError::NotFound { what: "endpoint", name: "that path".into() } })
        .with_state(app)
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let (status, error, field) = match &self {
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found", None),
            Self::Exists { .. } => (StatusCode::CONFLICT, "exists", None),
            Self::Invalid { field, .. } => (StatusCode::BAD_REQUEST, "invalid_request", field.clone()),
            Self::Failed(Failure::Refused(Refusal::Attribute(_))) => {
                (StatusCode::BAD_REQUEST, "invalid_request", Some("attributes".to_owned()))
            }
            Self::Failed(Failure::Request(BadRequest::Missing(name) | BadRequest::Invalid { name, .. })) => {
                (StatusCode::BAD_REQUEST, "invalid_request", Some((*name).to_owned()))
            }
            Self::Failed(Failure::Request(BadRequest::Unknown(name) | BadRequest::Repeated(name))) => {
                (StatusCode::BAD_REQUEST, "invalid_request", Some(name.clone()))
            }
            Self::Failed(failure) => return OAuthError(failure.clone()).into_response(),
        };
        let mut body = json!({ "error": error, "error_description": self.to_string() });
        if let Some(field) = field {
            body["field"] = json!(field);
        }
        (status, [(CACHE_CONTROL, "no-store")], Reply(body)).into_response()
    }
}

/// What an operation came to.
type Done = Result<Answer, AdminError>;

/// JSON that nobody keeps.
struct Answer(StatusCode, Value);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.0, [(CACHE_CONTROL, "no-store")], Reply(self.1)).into_response()
    }
}

const fn ok(value: Value) -> Done {
    Ok(Answer(StatusCode::OK, value))
}

const fn made(value: Value) -> Done {
    Ok(Answer(StatusCode::CREATED, value))
}

/// The largest and the usual page of a list.
const MAX_PAGE: usize = 1000;
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

async fn list_users(State(app): State<App>, Query(page): Query<Page>) -> Done {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    ok(users::list(&app, page.after.as_deref(), limit).await?)
}

#[derive(Deserialize)]
struct CreateUser {
    identifiers: Vec<String>,
    password: Option<String>,
    #[serde(default)]
    attributes: Map<String, Value>,
}

async fn create_user(State(app): State<App>, body: Json) -> Done {
    let members = ["identifiers", "password", "attributes"];
    let CreateUser { identifiers, password, attributes } = body.read(&members)?;
    let new = users::NewUser { identifiers, password, attributes };
    made(users::create(&app, new).await?)
}

async fn show_user(State(app): State<App>, Path(user): Path<String>) -> Done {
    ok(users::show(&app, &user).await?)
}

async fn patch_user(State(app): State<App>, Path(user): Path<String>, body: Json) -> Done {
    ok(users::patch(&app, &user, &body.0).await?)
}

async fn delete_user(State(app): State<App>, Path(user): Path<String>) -> Done {
    ok(users::delete(&app, &user).await?)
}

async fn disable_user(State(app): State<App>, Path(user): Path<String>) -> Done {
    ok(users::disable(&app, &user).await?)
}

async fn enable_user(State(app): State<App>, Path(user): Path<String>) -> Done {
    ok(users::enable(&app, &user).await?)
}

async fn unlock_user(State(app): State<App>, Path(user): Path<String>) -> Done {
    ok(users::unlock(&app, &user).await?)
}

#[derive(Deserialize)]
struct SetPassword {
    password: String,
}

async fn set_password(State(app): State<App>, Path(user): Path<String>, body: Json) -> Done {
    let SetPassword { password } = body.read(&["password"])?;
    ok(users::set_password(&app, &user, password).await?)
}

async fn remove_phone(State(app): State<App>, Path(user): Path<String>) -> Done {
    ok(users::remove_phone(&app, &user).await?)
}

async fn list_sessions(State(app): State<App>, Path(user): Path<String>) -> Done {
    ok(sessions::list(&app, &user).await?)
}

async fn end_sessions(State(app): State<App>, Path(user): Path<String>) -> Done {
    ok(users::end_sessions(&app, &user).await?)
}

async fn end_session(State(app): State<App>, Path(sid): Path<String>) -> Done {
    ok(sessions::end(&app, &sid).await?)
}

async fn list_attributes(State(app): State<App>) -> Done {
    ok(attributes::list(&app).await?)
}

async fn declare_attribute(State(app): State<App>, body: Json) -> Done {
    ok(attributes::declare(&app, body.0).await?)
}

async fn list_apis(State(app): State<App>) -> Done {
    ok(apis::list(&app).await?)
}

async fn create_api(State(app): State<App>, body: Json) -> Done {
    made(apis::create(&app, body.0).await?)
}

async fn show_api(State(app): State<App>, Path(id): Path<String>) -> Done {
    ok(apis::show(&app, &id).await?)
}

async fn update_api(State(app): State<App>, Path(id): Path<String>, body: Json) -> Done {
    ok(apis::update(&app, &id, &body.0).await?)
}

async fn rotate_api_secret(State(app): State<App>, Path(id): Path<String>) -> Done {
    ok(apis::rotate_secret(&app, &id).await?)
}

async fn list_clients(State(app): State<App>) -> Done {
    ok(clients::list(&app).await?)
}

async fn create_client(State(app): State<App>, body: Json) -> Done {
    made(clients::create(&app, body.0).await?)
}

async fn show_client(State(app): State<App>, Path(id): Path<String>) -> Done {
    ok(clients::show(&app, &id).await?)
}

async fn update_client(State(app): State<App>, Path(id): Path<String>, body: Json) -> Done {
    ok(clients::update(&app, &id, &body.0).await?)
}

async fn disable_client(State(app): State<App>, Path(id): Path<String>) -> Done {
    ok(clients::disable(&app, &id).await?)
}

async fn enable_client(State(app): State<App>, Path(id): Path<String>) -> Done {
    ok(clients::enable(&app, &id).await?)
}

async fn rotate_client_secret(State(app): State<App>, Path(id): Path<String>) -> Done {
    ok(clients::rotate_secret(&app, &id).await?)
}

async fn list_keys(State(app): State<App>) -> Done {
    ok(keys::list(&app))
}

#[derive(Deserialize)]
struct Rotate {
    purpose: String,
    at_once: Option<bool>,
}

async fn rotate_key(State(app): State<App>, body: Json) -> Done {
    let Rotate { purpose, at_once } = body.read(&["purpose", "at_once"])?;
    ok(keys::rotate(&app, &purpose, at_once == Some(true)).await?)
}

async fn withdraw_key(State(app): State<App>, Path(kid): Path<String>) -> Done {
    ok(keys::withdraw(&app, &kid).await?)
}

async fn list_checks(State(app): State<App>) -> Done {
    ok(checks::run(&app).await?)
}
