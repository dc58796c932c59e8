//! The administrative endpoints, under `/admin/api`: one table of them, each with what it needs. JSON in, JSON out;
//! errors are `error`, `error_description` and, where one member is to blame, `field`. Served on the control socket, and
//! on the network behind the door. Never decides: that is the admin room's.

mod door;
pub mod openapi;

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use axum::{Extension, Json as Reply, Router};
use http::header::{CACHE_CONTROL, ETAG};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri};
use remint_core::administration::AdminScope::{
    self, Audit, Clients, Keys, Sessions, SessionsOpen, UsersRead, UsersWrite,
};
use remint_core::refusal::Refusal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub use self::door::Door;
use self::door::{Guarded, admit, etag};
use crate::admin::page::Paged;
use crate::admin::{
    AdminError, By, Seen, apis, attributes, audit, checks, clients, keys, preview, senders, sessions, users,
};
use crate::app::App;
use crate::failure::{BadRequest, Failure};
use crate::grant::issue::Issued;
use crate::http::body::{Json, OptionalJson, decode, printable};
use crate::http::error::OAuthError;

/// One endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its method.
    pub method: Method,
    /// Its path behind `/admin/api`, with names in braces.
    pub path: &'static str,
    /// The scopes that a token must carry, all of them.
    pub needs: &'static [AdminScope],
    /// Whether what it changes has a version, with which it compares `If-Match`.
    pub versioned: bool,
}

/// An endpoint and what answers it.
struct Row(Endpoint, MethodRouter<App>);

macro_rules! rows {
    ($($name:ident: $method:ident),*) => {
        $(fn $name<H, T>(path: &'static str, needs: &'static [AdminScope], handler: H) -> Row
        where
            H: Handler<T, App>,
            T: 'static,
        {
            let versioned = Method::$method != Method::GET;
            Row(Endpoint { method: Method::$method, path, needs, versioned }, routing::$name(handler))
        })*
    };
}

rows!(get: GET, post: POST, put: PUT, patch: PATCH, delete: DELETE);

impl Row {
    /// What it makes has no version yet, or nothing that it touches has one.
    fn unversioned(self) -> Self {
        Self(Endpoint { versioned: false, ..self.0 }, self.1)
    }
}

/// Of whoever sets a sender. Its secret is one of the installation, as keys are; who receives the messages sees the number
/// of everybody who logs in, and passes every second factor, as whoever may set passwords and remove numbers can.
const CARRIES: [AdminScope; 3] = [Keys, UsersRead, UsersWrite];

/// All endpoints. What is not here is not there.
fn table() -> Vec<Row> {
    vec![
        get("/users", &[UsersRead], list_users),
        post("/users", &[UsersWrite], create_user).unversioned(),
        get("/users/{user}", &[UsersRead], show_user),
        patch("/users/{user}", &[UsersWrite], patch_user),
        delete("/users/{user}", &[UsersWrite], delete_user),
        post("/users/{user}/disable", &[UsersWrite], disable_user),
        post("/users/{user}/enable", &[UsersWrite], enable_user),
        post("/users/{user}/unlock", &[UsersWrite], unlock_user),
        post("/users/{user}/password", &[UsersWrite], set_password),
        delete("/users/{user}/phone", &[UsersWrite], remove_phone),
        get("/users/{user}/sessions", &[Sessions], list_sessions),
        delete("/users/{user}/sessions", &[Sessions], end_sessions),
        get("/sessions", &[Sessions], page_sessions),
        post("/sessions", &[SessionsOpen], open_session).unversioned(),
        get("/sessions/{sid}", &[Sessions], show_session),
        delete("/sessions/{sid}", &[Sessions], end_session),
        get("/attributes", &[Clients], list_attributes),
        post("/attributes", &[Clients], declare_attribute),
        get("/attributes/{name}", &[Clients], show_attribute),
        get("/apis", &[Clients], list_apis),
        post("/apis", &[Clients], create_api).unversioned(),
        get("/apis/{id}", &[Clients], show_api),
        patch("/apis/{id}", &[Clients], update_api),
        post("/apis/{id}/secret", &[Clients], rotate_api_secret),
        get("/clients", &[Clients], list_clients),
        post("/clients", &[Clients], create_client).unversioned(),
        get("/clients/{id}", &[Clients], show_client),
        patch("/clients/{id}", &[Clients], update_client),
        post("/clients/{id}/disable", &[Clients], disable_client),
        post("/clients/{id}/enable", &[Clients], enable_client),
        post("/clients/{id}/secret", &[Clients], rotate_client_secret),
        post("/clients/{id}/mapping/preview", &[Clients, UsersRead], preview_mapping).unversioned(),
        get("/keys", &[Keys], list_keys),
        post("/keys", &[Keys], rotate_key).unversioned(),
        delete("/keys/{kid}", &[Keys], withdraw_key).unversioned(),
        get("/senders", &[Keys], list_senders),
        get("/senders/{name}", &[Keys], show_sender),
        put("/senders/{name}", &CARRIES, put_sender),
        post("/senders/{name}/preview", &CARRIES, preview_sender).unversioned(),
        delete("/senders/{name}", &CARRIES, remove_sender),
        get("/audit", &[Audit], list_audit),
        get("/checks", &[Clients], list_checks),
    ]
}

/// All endpoints with what they need.
pub fn endpoints() -> Vec<Endpoint> {
    table().into_iter().map(|Row(endpoint, _)| endpoint).collect()
}

/// The administrative router of the control socket: whoever may connect may do everything.
pub fn router(app: App) -> Router {
    guarded(&app, Door::Socket)
        .fallback(|| async { AdminError::NotFound { what: "endpoint", name: "that path".into() } })
        .with_state(app)
}

/// The administrative router of the network. No page may read it: there is no CORS.
pub fn network(app: &App) -> Router<App> {
    guarded(app, Door::Network)
}

fn guarded(app: &App, door: Door) -> Router<App> {
    let add = |router: Router<App>, Row(Endpoint { path, needs, versioned, .. }, handler): Row| {
        let guard = Guarded { app: app.clone(), door, needs, versioned };
        router.route(&format!("/admin/api{path}"), handler.route_layer(from_fn_with_state(guard, admit)))
    };
    let router = table().into_iter().fold(Router::new(), add);
    router.route("/admin/api/openapi.json", routing::get(openapi::document))
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let lacking = match &self {
            Self::Lacking(lacking) => Some(Extension(lacking.clone())), // the door tells of it
            _ => None,
        };
        let (status, error, field) = match &self {
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found", None),
            Self::Exists { .. } => (StatusCode::CONFLICT, "exists", None),
            Self::Moved => (StatusCode::PRECONDITION_FAILED, "precondition_failed", None),
            Self::Lacking(_) => (StatusCode::FORBIDDEN, "insufficient_scope", None),
            Self::Invalid { field, .. } => (StatusCode::BAD_REQUEST, "invalid_request", field.clone()),
            Self::Failed(Failure::Refused(Refusal::Attribute(bad))) => {
                (StatusCode::BAD_REQUEST, "invalid_request", Some(bad.name().to_owned()))
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
        (status, lacking, [(CACHE_CONTROL, "no-store")], Reply(body)).into_response()
    }
}

/// What an operation came to.
type Done = Result<Answer, AdminError>;

/// JSON that nobody keeps, with the version of what it shows.
struct Answer(StatusCode, Value, Option<HeaderValue>);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.0, [(CACHE_CONTROL, "no-store")], Reply(self.1)).into_response();
        if let Some(tag) = self.2 {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

const fn ok(value: Value) -> Done {
    Ok(Answer(StatusCode::OK, value, None))
}

fn seen(seen: Seen) -> Done {
    Ok(Answer(StatusCode::OK, seen.view, HeaderValue::from_str(&etag(seen.rev)).ok()))
}

fn made(new: Seen) -> Done {
    Ok(Answer(StatusCode::CREATED, new.view, HeaderValue::from_str(&etag(new.rev)).ok()))
}

/// The caller, as the door said.
type Caller = Extension<Arc<By>>;

/// The name in the path. What is no text names nothing, and one thing is shown without a query.
struct Named(String);

impl FromRequestParts<App> for Named {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AdminError> {
        if [Method::GET, Method::HEAD].contains(&parts.method) {
            Asked::<Nothing>::from_request_parts(parts, app).await?;
        }
        let nothing = |_| AdminError::NotFound { what: "thing", name: "that".into() };
        Path::from_request_parts(parts, app).await.map(|Path(name)| Self(name)).map_err(nothing)
    }
}

/// The query, strict.
pub(super) struct Asked<T>(pub(super) T);

/// What is asked without a query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Asked<T> {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, AdminError> {
        let why = "is not known here, is given twice or is not of its type";
        let refused = |_| AdminError::invalid(&to_blame::<T>(&parts.uri), why);
        Query::try_from_uri(&parts.uri).map(|Query(query)| Self(query)).map_err(refused)
    }
}

/// So many parameters are looked at for the one to blame: each is read again with all before it.
const MAX_LOOKED_AT: usize = 32;

/// The first parameter that cannot be read behind those before it; the query, where none of the first can be named.
fn to_blame<T: DeserializeOwned>(uri: &Uri) -> String {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut read = "/?".to_owned();
    let is_wrong = |pair: &&str| {
        read.push_str(pair);
        let reads = read.parse::<Uri>().is_ok_and(|uri| Query::<T>::try_from_uri(&uri).is_ok());
        read.push('&');
        !reads
    };
    let pair = pairs.take(MAX_LOOKED_AT).find(is_wrong).unwrap_or_default();
    let name = decode(pair.split('=').next().unwrap_or_default().as_bytes()).filter(|name| !name.is_empty());
    name.map_or_else(|| "query".to_owned(), |name| printable(&name))
}

/// Of what is done without being told more: no body, or an object without members.
struct NoBody;

impl FromRequest<App> for NoBody {
    type Rejection = AdminError;

    async fn from_request(request: Request, app: &App) -> Result<Self, AdminError> {
        let OptionalJson(body) = OptionalJson::from_request(request, app).await.map_err(|OAuthError(bad)| bad)?;
        match body.0.keys().next() {
            Some(member) => Err(AdminError::invalid(member, "is not known here: this takes no body")),
            None => Ok(Self),
        }
    }
}

async fn list_users(State(app): State<App>, Asked(filter): Asked<users::Filter>) -> Done {
    ok(users::list(&app, &filter).await?)
}

#[derive(Deserialize)]
struct CreateUser {
    #[serde(default)]
    identifiers: Vec<String>,
    external_id: Option<String>,
    password: Option<String>,
    #[serde(default)]
    attributes: Map<String, Value>,
}

async fn create_user(State(app): State<App>, by: Caller, body: Json) -> Done {
    let members = ["identifiers", "external_id", "password", "attributes"];
    let CreateUser { identifiers, external_id, password, attributes } = body.read(&members)?;
    let new = users::NewUser { identifiers, external_id, password, attributes };
    made(users::create(&app, &by, new).await?)
}

async fn show_user(State(app): State<App>, Named(user): Named) -> Done {
    seen(users::show(&app, &user).await?)
}

async fn patch_user(State(app): State<App>, by: Caller, Named(user): Named, body: Json) -> Done {
    seen(users::patch(&app, &by, &user, &body.0).await?)
}

async fn delete_user(State(app): State<App>, by: Caller, Named(user): Named, _: NoBody) -> Done {
    ok(users::delete(&app, &by, &user).await?.view)
}

async fn disable_user(State(app): State<App>, by: Caller, Named(user): Named, _: NoBody) -> Done {
    seen(users::disable(&app, &by, &user).await?)
}

async fn enable_user(State(app): State<App>, by: Caller, Named(user): Named, _: NoBody) -> Done {
    seen(users::enable(&app, &by, &user).await?)
}

async fn unlock_user(State(app): State<App>, by: Caller, Named(user): Named, _: NoBody) -> Done {
    seen(users::unlock(&app, &by, &user).await?)
}

#[derive(Deserialize)]
struct SetPassword {
    password: String,
}

async fn set_password(State(app): State<App>, by: Caller, Named(user): Named, body: Json) -> Done {
    let SetPassword { password } = body.read(&["password"])?;
    seen(users::set_password(&app, &by, &user, password).await?)
}

async fn remove_phone(State(app): State<App>, by: Caller, Named(user): Named, _: NoBody) -> Done {
    seen(users::remove_phone(&app, &by, &user).await?)
}

async fn list_sessions(State(app): State<App>, Named(user): Named) -> Done {
    ok(sessions::list(&app, &user).await?)
}

async fn end_sessions(State(app): State<App>, by: Caller, Named(user): Named, _: NoBody) -> Done {
    seen(users::end_sessions(&app, &by, &user).await?)
}

async fn page_sessions(State(app): State<App>, Asked(filter): Asked<sessions::Filter>) -> Done {
    ok(sessions::page(&app, &filter).await?)
}

async fn open_session(State(app): State<App>, by: Caller, body: Json) -> Result<Issued, AdminError> {
    sessions::open(&app, &by, body.read(&sessions::Open::MEMBERS)?).await
}

async fn show_session(State(app): State<App>, Named(sid): Named) -> Done {
    seen(sessions::show(&app, &sid).await?)
}

async fn end_session(State(app): State<App>, by: Caller, Named(sid): Named, _: NoBody) -> Done {
    ok(sessions::end(&app, &by, &sid).await?)
}

async fn list_attributes(State(app): State<App>, _: Asked<Nothing>) -> Done {
    ok(attributes::list(&app).await?)
}

async fn declare_attribute(State(app): State<App>, by: Caller, body: Json) -> Done {
    seen(attributes::declare(&app, &by, body.0).await?)
}

async fn show_attribute(State(app): State<App>, Named(name): Named) -> Done {
    seen(attributes::show(&app, &name).await?)
}

async fn list_apis(State(app): State<App>, Asked(paged): Asked<Paged>) -> Done {
    ok(apis::list(&app, &paged).await?)
}

async fn create_api(State(app): State<App>, by: Caller, body: Json) -> Done {
    made(apis::create(&app, &by, body.0).await?)
}

async fn show_api(State(app): State<App>, Named(id): Named) -> Done {
    seen(apis::show(&app, &id).await?)
}

async fn update_api(State(app): State<App>, by: Caller, Named(id): Named, body: Json) -> Done {
    seen(apis::update(&app, &by, &id, &body.0).await?)
}

async fn rotate_api_secret(State(app): State<App>, by: Caller, Named(id): Named, _: NoBody) -> Done {
    seen(apis::rotate_secret(&app, &by, &id).await?)
}

async fn list_clients(State(app): State<App>, Asked(paged): Asked<Paged>) -> Done {
    ok(clients::list(&app, &paged).await?)
}

async fn create_client(State(app): State<App>, by: Caller, body: Json) -> Done {
    made(clients::create(&app, &by, body.0).await?)
}

async fn show_client(State(app): State<App>, Named(id): Named) -> Done {
    seen(clients::show(&app, &id).await?)
}

async fn update_client(State(app): State<App>, by: Caller, Named(id): Named, body: Json) -> Done {
    seen(clients::update(&app, &by, &id, &body.0).await?)
}

async fn disable_client(State(app): State<App>, by: Caller, Named(id): Named, _: NoBody) -> Done {
    seen(clients::disable(&app, &by, &id).await?)
}

async fn enable_client(State(app): State<App>, by: Caller, Named(id): Named, _: NoBody) -> Done {
    seen(clients::enable(&app, &by, &id).await?)
}

async fn rotate_client_secret(State(app): State<App>, by: Caller, Named(id): Named, _: NoBody) -> Done {
    seen(clients::rotate_secret(&app, &by, &id).await?)
}

async fn preview_mapping(State(app): State<App>, Named(id): Named, body: Json) -> Done {
    ok(preview::preview(&app, &id, body.read(&["user", "mapping"])?).await?)
}

async fn list_keys(State(app): State<App>, _: Asked<Nothing>) -> Done {
    ok(keys::list(&app))
}

#[derive(Deserialize)]
struct Rotate {
    purpose: String,
    at_once: Option<bool>,
}

async fn rotate_key(State(app): State<App>, by: Caller, body: Json) -> Done {
    let Rotate { purpose, at_once } = body.read(&["purpose", "at_once"])?;
    ok(keys::rotate(&app, &by, &purpose, at_once == Some(true)).await?)
}

async fn withdraw_key(State(app): State<App>, by: Caller, Named(kid): Named, _: NoBody) -> Done {
    ok(keys::withdraw(&app, &by, &kid).await?)
}

async fn list_senders(State(app): State<App>, _: Asked<Nothing>) -> Done {
    ok(senders::list(&app).await?)
}

async fn show_sender(State(app): State<App>, Named(name): Named) -> Done {
    seen(senders::show(&app, &name).await?)
}

async fn put_sender(State(app): State<App>, by: Caller, Named(name): Named, body: Json) -> Done {
    match senders::put(&app, &by, &name, body.0).await? {
        (new, true) => made(new),
        (known, false) => seen(known),
    }
}

async fn preview_sender(State(app): State<App>, by: Caller, Named(name): Named, body: Json) -> Done {
    ok(senders::preview(&app, &by, &name, body.0).await?)
}

async fn remove_sender(State(app): State<App>, by: Caller, Named(name): Named, _: NoBody) -> Done {
    ok(senders::remove(&app, &by, &name).await?)
}

async fn list_audit(State(app): State<App>, Asked(filter): Asked<audit::Filter>) -> Done {
    ok(audit::list(&app, &filter).await?)
}

async fn list_checks(State(app): State<App>, _: Asked<Nothing>) -> Done {
    ok(checks::run(&app).await?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_first_parameter_that_cannot_be_read_is_to_blame_and_its_name_is_cut() {
        let blamed = |query: &str| to_blame::<Paged>(&format!("/admin/api/apis?{query}").parse().unwrap());
        for (query, name) in [
            ("limit=1&nope=2&worse=3", "nope"),
            ("limit=x", "limit"),
            ("cursor=a&limit=1&cursor=b", "cursor"),
            ("n%0Ape=1", "n?pe"),
            ("%zz=1", "query"),
            ("=1", "query"),
        ] {
            assert_eq!(blamed(query), name, "{query}");
        }
        assert_eq!(blamed(&format!("{}nope=1", "&".repeat(9_000))), "nope");
        assert_eq!(blamed(&"n".repeat(9_000)), "n".repeat(64));
    }

    #[test]
    fn no_more_of_a_query_is_read_again_than_its_first_parameters() {
        let blamed = |before: usize| {
            let query: String = (0..before).map(|n| format!("p{n}=1&")).collect();
            to_blame::<BTreeMap<String, u8>>(&format!("/?{query}nope=x").parse().unwrap())
        };
        assert_eq!((blamed(31).as_str(), blamed(32).as_str()), ("nope", "query"));
    }
}
