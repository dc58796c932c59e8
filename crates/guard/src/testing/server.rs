//! The issuer's endpoints, and the switches that a test has.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use remint_core::claims::Expected;
use remint_core::event::{ChainHash, Cursor, Event};
use remint_core::feed::{self, Hello, SnapshotWriter};
use remint_core::jwk::{Algorithm, SigningKey};
use remint_core::jwks::Jwks;
use serde_json::json;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use super::token::Draft;
use crate::builder::{Builder, Feed};
use crate::state::{Clock, SystemClock};
use crate::verifier::Verifier;

/// The audience of the api that the issuer knows.
pub const AUDIENCE: &str = "test-api";

/// The `client_id` of its credential.
pub const CLIENT_ID: &str = "test-api";

/// The secret of its credential.
pub const SECRET: &str = "not a secret in a test";

#[expect(clippy::disallowed_methods, reason = "keys of a test issuer: the only randomness that the guard ever draws")]
pub(super) fn random() -> SystemRandom {
    SystemRandom::new()
}

/// How the issuer is set up.
#[derive(Clone)]
pub struct Settings {
    /// What it signs with: ES256 or EdDSA.
    pub algorithm: Algorithm,
    /// Its clock; a test shares it with the verifier.
    pub clock: Arc<dyn Clock>,
    /// How often the feed sends a heartbeat.
    pub heartbeat: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Default for Settings {
    /// ES256, the clocks of the machine, a heartbeat every 100 ms.
    fn default() -> Self {
        Self { algorithm: Algorithm::Es256, clock: Arc::new(SystemClock::new()), heartbeat: Duration::from_millis(100) }
    }
}

/// How the issuer answers a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// With a new token.
    Mint,
    /// 204: not yet.
    NotYet,
    /// With this status.
    Status(StatusCode),
}

/// An issuer in the test process. Its server ends when the last clone is dropped.
#[derive(Clone)]
pub struct Issuer {
    at: Endpoints,
    _server: Arc<Server>,
}

struct Server(AbortHandle);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Issuer").field(&self.at.url).finish()
    }
}

/// What the endpoints know.
#[derive(Clone)]
pub(super) struct Endpoints {
    url: String,
    shared: Arc<Shared>,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Endpoints {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn next_id(&self) -> [u8; 16] {
        u128::from(self.shared.ids.fetch_add(1, Ordering::SeqCst)).to_be_bytes()
    }

    pub(super) fn signing_key(&self) -> Arc<SigningKey> {
        locked(&self.shared.keys).last().expect("there is always a key").clone()
    }

    fn token(&self, sub: &str) -> Draft {
        Draft::new(self.clone(), sub.to_owned(), self.shared.settings.clock.now())
    }
}

struct Shared {
    settings: Settings,
    keys: Mutex<Vec<Arc<SigningKey>>>,
    ids: AtomicU64,
    history: Mutex<History>,
    live: broadcast::Sender<Arc<str>>,
    /// Raised to end all streams of the feed.
    streams: watch::Sender<u64>,
    silent: AtomicBool,
    closed: AtomicBool,
    followers: AtomicUsize,
    snapshots: AtomicUsize,
    jwks_status: AtomicU16,
    key_fetches: AtomicUsize,
    canary: AtomicUsize,
    renewal: Mutex<Renewal>,
    renewals: Mutex<Vec<(HeaderMap, Bytes)>>,
    gate: watch::Sender<bool>,
    inactive: Mutex<HashSet<String>>,
    introspections: AtomicUsize,
}

struct History {
    origin: ChainHash,
    events: Vec<(Cursor, String)>,
}

impl History {
    fn place(&self) -> Cursor {
        self.events.last().map_or(Cursor { seq: 0, chain: self.origin }, |(place, _)| *place)
    }

    fn knows(&self, place: Cursor) -> bool {
        place == Cursor { seq: 0, chain: self.origin } || self.events.iter().any(|(known, _)| *known == place)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Issuer {
    /// Starts with [`Settings::default`].
    ///
    /// # Panics
    /// Where the loopback has no free port.
    pub async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    /// Starts as the settings say.
    ///
    /// # Panics
    /// Where the loopback has no free port, or the algorithm is of RSA.
    pub async fn start_with(settings: Settings) -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        let first = key(settings.algorithm, 1);
        let shared = Arc::new(Shared {
            settings,
            keys: Mutex::new(vec![Arc::new(first)]),
            ids: AtomicU64::new(1),
            history: Mutex::new(History { origin: ChainHash::origin([1; 16]), events: Vec::new() }),
            live: broadcast::Sender::new(4096),
            streams: watch::Sender::new(0),
            silent: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            followers: AtomicUsize::new(0),
            snapshots: AtomicUsize::new(0),
            jwks_status: AtomicU16::new(200),
            key_fetches: AtomicUsize::new(0),
            canary: AtomicUsize::new(0),
            renewal: Mutex::new(Renewal::Mint),
            renewals: Mutex::default(),
            gate: watch::Sender::new(true),
            inactive: Mutex::default(),
            introspections: AtomicUsize::new(0),
        });
        let at = Endpoints { url, shared };
        let app = router(at.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await }).abort_handle();
        Self { at, _server: Arc::new(Server(server)) }
    }

    fn shared(&self) -> &Shared {
        &self.at.shared
    }

    /// The issuer's name, which is its address.
    pub fn url(&self) -> &str {
        &self.at.url
    }

    /// A verifier for its api, on its clock, that follows its feed.
    pub fn verifier(&self) -> Builder {
        self.verifier_without_feed().feed(Feed::new(CLIENT_ID, SECRET))
    }

    /// A verifier for its api, on its clock.
    pub fn verifier_without_feed(&self) -> Builder {
        Verifier::builder(self.url()).audience(AUDIENCE).clock(self.shared().settings.clock.clone())
    }

    /// A token for `sub`, of a session of its own, living 20 minutes from now.
    pub fn token(&self, sub: &str) -> Draft {
        self.at.token(sub)
    }

    /// An id that was not given out before.
    pub fn next_id(&self) -> [u8; 16] {
        self.at.next_id()
    }

    /// Signs with a new key from now on, and publishes it beside the old ones. Answers the old key's `kid`.
    pub fn rotate_key(&self) -> String {
        let mut keys = locked(&self.shared().keys);
        let next = key(self.shared().settings.algorithm, keys.len() + 1);
        let old = keys.last().expect("there is always a key").kid().as_str().to_owned();
        keys.push(Arc::new(next));
        old
    }

    /// Publishes the newest key only.
    pub fn drop_old_keys(&self) {
        let mut keys = locked(&self.shared().keys);
        let last = keys.len() - 1;
        keys.drain(..last);
    }

    /// Answers requests for keys with this status; 200 is the healthy one.
    pub fn answer_keys_with(&self, status: StatusCode) {
        self.shared().jwks_status.store(status.as_u16(), Ordering::SeqCst);
    }

    /// How often the keys were asked for.
    pub fn key_fetches(&self) -> usize {
        self.shared().key_fetches.load(Ordering::SeqCst)
    }

    /// An address that nobody has a reason to ask, and how often it was.
    pub fn canary(&self) -> (String, usize) {
        (format!("{}/canary", self.url()), self.shared().canary.load(Ordering::SeqCst))
    }

    /// Puts an event on the feed; [`Verifier::heard`] waits for its number to arrive.
    pub fn publish(&self, event: &Event) -> Cursor {
        let text = serde_json::to_string(event).expect("an event has a JSON form");
        let mut history = locked(&self.shared().history);
        let before = history.place();
        let place = Cursor { seq: before.seq + 1, chain: before.chain.then(&text) };
        let frame = feed::live(place, feed::type_of(event), &text);
        history.events.push((place, text));
        let _ = self.shared().live.send(frame.into()); // nobody follows: the history is enough
        place
    }

    /// Sends these bytes to all followers as they are.
    pub fn send_raw(&self, bytes: &str) {
        let _ = self.shared().live.send(bytes.into());
    }

    /// Ends all streams of the feed; followers come back.
    pub fn break_feed(&self) {
        self.shared().streams.send_modify(|n| *n += 1);
    }

    /// Whether the feed answers at all, or 503.
    pub fn close_feed(&self, closed: bool) {
        self.shared().closed.store(closed, Ordering::SeqCst);
    }

    /// Whether heartbeats are withheld.
    pub fn silence_feed(&self, silent: bool) {
        self.shared().silent.store(silent, Ordering::SeqCst);
    }

    /// As after a restored backup: the same past, another chain.
    pub fn lose_history(&self, seed: [u8; 16]) {
        let mut history = locked(&self.shared().history);
        *history = History { origin: ChainHash::origin(seed), events: Vec::new() };
    }

    /// How many followers there are now.
    pub fn followers(&self) -> usize {
        self.shared().followers.load(Ordering::SeqCst)
    }

    /// How many snapshots were sent.
    pub fn snapshots(&self) -> usize {
        self.shared().snapshots.load(Ordering::SeqCst)
    }

    /// How renewals are answered from now on.
    pub fn answer_renewals_with(&self, renewal: Renewal) {
        *locked(&self.shared().renewal) = renewal;
    }

    /// Whether renewals wait before they are answered.
    pub fn hold_renewals(&self, hold: bool) {
        self.shared().gate.send_replace(!hold);
    }

    /// Says from now on that this token is not active.
    pub fn end_token(&self, token: &str) {
        locked(&self.shared().inactive).insert(token.to_owned());
    }

    /// How often it was asked about a token.
    pub fn introspections(&self) -> usize {
        self.shared().introspections.load(Ordering::SeqCst)
    }

    /// What was asked for renewal: headers and body of each request.
    pub fn renewals(&self) -> Vec<(HeaderMap, Bytes)> {
        locked(&self.shared().renewals).clone()
    }
}

fn key(algorithm: Algorithm, number: usize) -> SigningKey {
    let document = match algorithm {
        Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random()),
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random()),
        Algorithm::Rs256 | Algorithm::Ps256 => panic!("the test issuer signs with ES256 or EdDSA"),
    };
    let document = document.expect("a key can be made");
    let kid = format!("test-key-{number}").parse().expect("a well-formed kid");
    SigningKey::from_pkcs8(algorithm, kid, document.as_ref()).expect("a fresh key is sound")
}

fn router(endpoints: Endpoints) -> Router {
    Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/oauth2/jwks", get(keys))
        .route("/feed", get(follow))
        .route("/session/renew", post(renew))
        .route("/oauth2/introspect", post(introspect))
        .route("/canary", get(canary))
        .with_state(endpoints)
}

async fn metadata(State(at): State<Endpoints>) -> Json<serde_json::Value> {
    Json(json!({"issuer": at.url, "jwks_uri": format!("{}/oauth2/jwks", at.url)}))
}

async fn keys(State(at): State<Endpoints>) -> Response {
    at.shared.key_fetches.fetch_add(1, Ordering::SeqCst);
    let status = StatusCode::from_u16(at.shared.jwks_status.load(Ordering::SeqCst)).unwrap_or(StatusCode::OK);
    (status, [(CACHE_CONTROL, "public, max-age=300")], Json(at.shared.jwks())).into_response()
}

async fn canary(State(at): State<Endpoints>) {
    at.shared.canary.fetch_add(1, Ordering::SeqCst);
}

impl Shared {
    fn jwks(&self) -> Jwks {
        Jwks::of(locked(&self.keys).iter().map(|key| key.public().clone())).expect("the keys have different ids")
    }
}

async fn renew(State(at): State<Endpoints>, headers: HeaderMap, body: Bytes) -> Response {
    locked(&at.shared.renewals).push((headers.clone(), body));
    let _ = at.shared.gate.subscribe().wait_for(|open| *open).await;
    let renewal = *locked(&at.shared.renewal);
    match renewal {
        Renewal::NotYet => StatusCode::NO_CONTENT.into_response(),
        Renewal::Status(status) => status.into_response(),
        Renewal::Mint => minted(&at, &headers).unwrap_or(StatusCode::UNAUTHORIZED.into_response()),
    }
}

/// The same token anew, as of now.
fn minted(at: &Endpoints, headers: &HeaderMap) -> Option<Response> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let now = at.shared.settings.clock.now();
    let audience = [AUDIENCE.to_owned()];
    let claims = Expected::new(&at.url, &audience).ok()?.accept(token, &at.shared.jwks(), now).ok()?;
    let session = claims.session.as_ref()?;
    let mut draft = at.token(&claims.sub).sid(session.sid.parse().ok()?).cv(session.cv);
    draft.life = Duration::from_secs((claims.exp - claims.iat?).unsigned_abs());
    draft.scope = claims.scope;
    draft.auth_time = claims.auth_time; // a token proves no more than the one that it is minted for
    draft.mapped = claims.rest;
    Some(Json(json!({"access_token": draft.mint(), "token_type": "Bearer"})).into_response())
}

/// One follower: counted while its stream lives.
struct Following(Arc<Shared>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::SeqCst);
    }
}

fn is_the_api(headers: &HeaderMap) -> bool {
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{SECRET}")));
    headers.get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

async fn introspect(State(at): State<Endpoints>, headers: HeaderMap, body: String) -> Response {
    if !is_the_api(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    at.shared.introspections.fetch_add(1, Ordering::SeqCst);
    let token = body.strip_prefix("token=").unwrap_or_default();
    let audience = [AUDIENCE.to_owned()];
    let expected = Expected::new(&at.url, &audience).expect("the test issuer has a name");
    let genuine = expected.accept(token, &at.shared.jwks(), at.shared.settings.clock.now()).is_ok();
    Json(json!({ "active": genuine && !locked(&at.shared.inactive).contains(token) })).into_response()
}

async fn follow(State(at): State<Endpoints>, headers: HeaderMap) -> Response {
    if !is_the_api(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if at.shared.closed.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let asked = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let (beginning, live) = beginning(&at, asked);
    at.shared.followers.fetch_add(1, Ordering::SeqCst);
    let stop = at.shared.streams.subscribe();
    let follower = (Some(beginning), live, stop, Following(at.shared));
    let body = stream::unfold(follower, |(beginning, mut live, mut stop, following)| async move {
        let next: Arc<str> = match beginning {
            Some(beginning) => beginning.into(),
            None => next_frame(&following.0, &mut live, &mut stop).await?,
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(next.to_string())), (None, live, stop, following)))
    });
    ([(CONTENT_TYPE, feed::CONTENT_TYPE)], Body::from_stream(body)).into_response()
}

/// What a follower hears first, and the stream that goes on exactly where that ends.
fn beginning(at: &Endpoints, asked: Option<Cursor>) -> (String, broadcast::Receiver<Arc<str>>) {
    let history = locked(&at.shared.history);
    let (live, place) = (at.shared.live.subscribe(), history.place());
    let resumed = asked.filter(|asked| history.knows(*asked));
    let hello = Hello {
        issuer: at.url.clone(),
        audience: AUDIENCE.to_owned(),
        client_timeout_ms: 10_000,
        server_deadline_ms: 5_000,
        leeway_ms: 5_000,
        heartbeat_ms: u64::try_from(at.shared.settings.heartbeat.as_millis()).unwrap_or(u64::MAX),
        resumed: resumed.is_some(),
        cursor: place,
    };
    let mut text = feed::hello(&hello);
    match resumed {
        Some(asked) => {
            for (place, event) in history.events.iter().filter(|(place, _)| place.seq > asked.seq) {
                let known: Event = serde_json::from_str(event).expect("the history holds events");
                text += &feed::live(*place, feed::type_of(&known), event);
            }
            if !at.shared.silent.load(Ordering::SeqCst) {
                text += &feed::heartbeat(place);
            }
        }
        None => {
            at.shared.snapshots.fetch_add(1, Ordering::SeqCst);
            let mut writer = SnapshotWriter::default();
            history.events.iter().for_each(|(_, event)| text.extend(writer.push(event)));
            text += &writer.finish(place);
        }
    }
    (text, live)
}

async fn next_frame(
    shared: &Shared,
    live: &mut broadcast::Receiver<Arc<str>>,
    stop: &mut watch::Receiver<u64>,
) -> Option<Arc<str>> {
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return None,
            frame = live.recv() => return frame.ok(),
            () = tokio::time::sleep(shared.settings.heartbeat) => {
                if !shared.silent.load(Ordering::SeqCst) {
                    return Some(feed::heartbeat(locked(&shared.history).place()).into());
                }
            }
        }
    }
}
