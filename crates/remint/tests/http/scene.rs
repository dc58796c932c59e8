//! A whole server in the test's own folder, with a clock that the test moves, and requests to its public router.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use remint::app::App;
use remint::clock::Clock;
use remint::entropy::Entropy;
use remint::keyring::MasterKey;
use remint::message::Letter;
use remint::settings::{Carrier, Settings};
use remint::store::{Commit, Held, Holding, UserById};
use remint_core::attribute::Declaration;
use remint_core::change::{Changes, Identifier, PasswordRow, Row};
use remint_core::client::{Api, Client, Transport};
use remint_core::id::{SessionId, UserId};
use remint_core::policy::Policy;
use remint_core::refresh::RefreshToken;
use remint_core::rev::Rev;
use remint_core::secret::{ClientSecret, Password};
use remint_core::time::Timestamp;
use remint_core::user::User;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::evidence;

pub(crate) const ISSUER: &str = "https://id.example.test";
pub(crate) const PAGE: &str = "https://app.example.test";
pub(crate) const IDENTIFIER: &str = "ada@example.test";
pub(crate) const PASSWORD: &str = "analytical engine 1843";
pub(crate) const NUMBER: &str = "+12025550123";
pub(crate) const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A running server, its user `ada`, and clients of each policy.
pub(crate) struct Scene {
    pub(crate) app: App,
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) ada: UserId,
    pub(crate) folder: TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no `{member}` in {self:?}")).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// The only cookie that the answer sets, as a browser sends it back: `name=value`.
    #[track_caller]
    pub(crate) fn cookie(&self) -> String {
        let lines: Vec<_> = self.headers.get_all("set-cookie").iter().collect();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines[0].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    pub(crate) fn sets_cookies(&self) -> bool {
        self.headers.contains_key("set-cookie")
    }

    /// The claims of the access token, read without verifying.
    pub(crate) fn claims(&self) -> Value {
        claims(&self.text("access_token"))
    }
}

pub(crate) fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub(crate) fn secret() -> ClientSecret {
    let secret = ClientSecret::from_random([7; 32]);
    evidence::secret(secret.reveal());
    secret
}

pub(crate) fn client(id: &str, policy: Policy) -> Client {
    let mapping = json!({"nickname": "nickname", "role": "role", "phone_number": "phone_number"});
    serde_json::from_value(json!({
        "id": id, "first_party": true, "policy": policy, "origins": [PAGE], "apis": ["demo-api", "other-api"],
        "scopes": "read write", "mapping": mapping,
    }))
    .unwrap()
}

pub(crate) fn api(id: &str) -> Api {
    serde_json::from_value(json!({ "id": id, "audience": id, "scopes": "read write", "secret": secret().hash() }))
        .unwrap()
}

static ADDRESS: AtomicU64 = AtomicU64::new(1);

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Clock::manual(START);
        let app = open(&folder, &clock, change).await;
        let ada = seed(&app).await;
        Self { router: remint::http::router(app.clone()), app, clock, ada, folder }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.set(self.clock.now().plus(by));
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        reply(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// The head of an answer whose body may never end.
    pub(crate) async fn opened(&self, request: Request<Body>) -> Reply {
        let (parts, _) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        Reply { status: parts.status, headers: parts.headers, body: Value::Null }
    }

    pub(crate) async fn json(&self, method: Method, path: &str, token: Option<&str>, body: Value) -> Reply {
        self.send(json_request(method, path, token, body)).await
    }

    pub(crate) async fn bare(&self, method: Method, path: &str, token: Option<&str>) -> Reply {
        self.send(with_token(Request::builder().method(method).uri(path), token).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Reply {
        self.send(form_request(path, pairs)).await
    }

    pub(crate) async fn login(&self, client: &str) -> Reply {
        let body = json!({"client_id": client, "identifier": IDENTIFIER, "password": PASSWORD});
        self.json(Method::POST, "/session", None, body).await
    }

    /// As a page of the issuer's own host asks: by its cookie.
    pub(crate) async fn page(&self, method: Method, path: &str, cookie: &str, body: Option<Value>) -> Reply {
        self.send(from_page(method, path, cookie, body)).await
    }

    /// What an api asks, by its credential.
    pub(crate) async fn api(&self, api: &str, request: Request<Body>) -> Reply {
        self.send(header(request, "authorization", &basic(api, secret().reveal()))).await
    }

    pub(crate) async fn exchange(&self, api: &str, cookie: &str) -> Reply {
        let value = cookie.split_once('=').map_or(cookie, |(_, value)| value);
        self.api(api, json_request(Method::POST, "/session/exchange", None, json!({ "cookie": value }))).await
    }

    pub(crate) async fn introspect(&self, api: &str, token: &str) -> Reply {
        self.api(api, form_request("/oauth2/introspect", &[("token", token)])).await
    }

    /// The messages that were sent, the newest first.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.app.outbox.inbox().unwrap().letters()
    }

    /// The code that was sent last.
    pub(crate) fn code(&self) -> String {
        let code = self.letters().iter().find_map(|letter| letter.code().map(str::to_owned)).expect("a code was sent");
        evidence::secret(&code);
        code
    }

    /// `ada` has verified a number: it is the second factor of the account.
    pub(crate) async fn with_factor(&self) {
        let changed = self.user().await.with_phone_number(Some(NUMBER.parse().unwrap())).unwrap();
        self.commit(Changes::none().write(Row::User(changed.user))).await;
    }

    pub(crate) async fn factor(&self, client: &str, challenge: &str, code: &str) -> Reply {
        let body = json!({"client_id": client, "challenge": challenge, "code": code});
        self.json(Method::POST, "/session/factor", None, body).await
    }

    /// Password and code.
    pub(crate) async fn login_with_factor(&self, client: &str) -> Reply {
        let asked = self.login(client).await.expect(403);
        self.factor(client, &asked.text("challenge"), &self.code()).await
    }

    pub(crate) async fn refresh(&self, client: &str, token: &str) -> Reply {
        let form = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)];
        self.form("/oauth2/token", &form).await
    }

    /// A request to the administrative router, as the command line sends it.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Value) -> Reply {
        let router = remint::http::admin::router(self.app.clone());
        reply(router.oneshot(json_request(method, path, None, body)).await.unwrap()).await
    }

    pub(crate) async fn commit(&self, changes: Changes) {
        commit(&self.app, changes).await;
    }

    pub(crate) async fn user(&self) -> User {
        self.app.store.read(UserById(self.ada)).await.unwrap().unwrap()
    }

    pub(crate) async fn held(&self, refresh_token: &str) -> Held {
        let token: RefreshToken = refresh_token.parse().unwrap();
        self.app.store.read(Holding(token.sid())).await.unwrap().unwrap()
    }

    pub(crate) async fn session(&self, sid: &str) -> Held {
        let sid: SessionId = sid.parse().unwrap();
        self.app.store.read(Holding(sid)).await.unwrap().unwrap()
    }

    /// The same folder, opened again by a new process.
    pub(crate) async fn restarted(self) -> Self {
        let Self { app, router, clock, ada, folder } = self;
        drop(router);
        app.store.clone().close().await;
        drop(app);
        let app = open(&folder, &clock, |_| {}).await;
        Self { router: remint::http::router(app.clone()), app, clock, ada, folder }
    }
}

async fn reply(response: http::Response<Body>) -> Reply {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    evidence::secrets_in(&body);
    let cookies = parts.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    cookies.filter_map(|cookie| cookie.split(['=', ';']).nth(1)).for_each(evidence::secret);
    Reply { status: parts.status, headers: parts.headers, body }
}

pub(crate) async fn open(folder: &TempDir, clock: &Clock, change: impl FnOnce(&mut Settings)) -> App {
    evidence::log_of_this_process();
    let mut settings = Settings::new(ISSUER.parse().unwrap(), folder.path().to_owned());
    settings.sms.carrier = Carrier::Inbox;
    change(&mut settings);
    let master: MasterKey = MASTER_KEY.parse().unwrap();
    App::open(settings, master, clock.clone(), Entropy::system()).await.unwrap()
}

async fn commit(app: &App, changes: Changes) {
    assert!(matches!(app.store.commit(changes).await.unwrap(), Commit::Done { .. }));
}

async fn seed(app: &App) -> UserId {
    let attributes = json!({"nickname": "ada", "role": "engineer"});
    let (id, now) = (UserId::from_bytes(app.entropy.bytes()), app.clock.now());
    let user = User::new(id, serde_json::from_value(attributes).unwrap(), now);
    let hash = app.passwords.hash(Password::new(PASSWORD.into()).unwrap()).await.unwrap();
    let declared = [
        json!({"name": "nickname", "type": "string", "max_bytes": 3000, "writable_by": "user"}),
        json!({"name": "role", "type": "string"}),
        json!({"name": "payout", "type": "string", "writable_by": "user", "recent_login": true}),
    ];
    let mut changes = Changes::none()
        .write(Row::User(user))
        .write(Row::Identifier(Identifier { text: IDENTIFIER.into(), user: id, rev: Rev::NEW }))
        .write(Row::Password(PasswordRow { user: id, hash, changed_at: now, rev: Rev::NEW }));
    for declaration in declared {
        changes = changes.write(Row::Attribute(serde_json::from_value::<Declaration>(declaration).unwrap()));
    }
    let apis = [api("demo-api"), api("other-api")];
    let service =
        Client { secret: Some(secret().hash()), client_credentials: true, ..client("service", Policy::fixed()) };
    let clients = [
        client("rolling", Policy::rolling()),
        client("fixed", Policy::fixed()),
        client("refresh", Policy::refresh()),
        client("stranger", Policy::refresh()),
        client("web", Policy::cookie()),
        Client { transport: Transport::Cookie, ..client("spa", Policy::refresh()) },
        service,
    ];
    for row in clients {
        changes = changes.write(Row::Client(row.checked(None, &apis, &app.settings.timing).unwrap()));
    }
    commit(app, apis.into_iter().fold(changes, |changes, api| changes.write(Row::Api(api)))).await;
    id
}

pub(crate) fn with_token(builder: http::request::Builder, token: Option<&str>) -> http::request::Builder {
    let unique = ADDRESS.fetch_add(1, Ordering::Relaxed);
    let builder = builder.header("user-agent", format!("test/{unique}"));
    match token {
        Some(token) => builder.header(AUTHORIZATION, format!("Bearer {token}")),
        None => builder,
    }
}

pub(crate) fn json_request(method: Method, path: &str, token: Option<&str>, body: Value) -> Request<Body> {
    evidence::secrets_in(&body);
    with_token(Request::builder().method(method).uri(path), token)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

pub(crate) fn form_request(path: &str, pairs: &[(&str, &str)]) -> Request<Body> {
    let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    let form: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    Request::post(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.join("&")))
        .unwrap()
}

pub(crate) fn header(request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    let mut request = request;
    request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    request
}

/// A request of a page with the cookies that its browser has.
pub(crate) fn from_page(method: Method, path: &str, cookie: &str, body: Option<Value>) -> Request<Body> {
    let request = match body {
        Some(body) => json_request(method, path, None, body),
        None => with_token(Request::builder().method(method).uri(path), None).body(Body::empty()).unwrap(),
    };
    header(header(request, "origin", PAGE), "cookie", cookie)
}

pub(crate) fn basic(id: &str, secret: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
}
