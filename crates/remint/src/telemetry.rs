//! What operators see: the log, the metrics, and one line for every request. Never a header's value, a query, a token
//! or a body: what is logged of a request is its method, the route it matched, its status and its duration.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use remint_core::change::{Changes, Take};
use remint_core::id::ClientId;
use tracing::Instrument as _;
use tracing_subscriber::EnvFilter;

use crate::app::App;
use crate::clock::Stopwatch;
use crate::config::{Log, LogFormat};
use crate::lines::{Lines, Writing};
use crate::listen::{Drain, Peer, bounded};
use crate::meters;
use crate::proxies::Proxies;
use crate::ready::clock_off;
use crate::store::{FeedHead, StoreError};

/// The header that names a request in the log and in its answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request id from a proxy is at most this long.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// The client that a request spoke for. A handler that knows it puts it into the extensions of its answer.
#[derive(Clone, Debug)]
pub struct KnownClient(pub ClientId);

/// Starts the log, on standard error, for as long as the answer is held. A second call changes nothing.
///
/// # Errors
/// Where the system gives no thread to write it.
pub fn log_to_stderr(log: &Log) -> std::io::Result<Writing> {
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (lines, writing) = Lines::to(std::io::stderr())?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    // An error says that there is a log already: in tests, that of another scene.
    let _ = match log.format {
        LogFormat::Text => {
            let subscriber = subscriber.with_ansi(false).with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.try_init().map(|()| filtered_by(move |filter| handle.reload(filter).is_ok())).map_err(drop)
        }
        LogFormat::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.try_init().map(|()| filtered_by(move |filter| handle.reload(filter).is_ok())).map_err(drop)
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a mistake in the program"); // its text could carry what it was about
    }));
    Ok(writing)
}

/// Puts another filter into the place of the log's.
type Refilter = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

static REFILTER: OnceLock<Refilter> = OnceLock::new();

fn filtered_by(refilter: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) {
    let _ = REFILTER.set(Box::new(refilter)); // there is one log in a process
}

/// Filters the log by this from now on. Answers whether it could.
pub fn set_filter(filter: &str) -> bool {
    EnvFilter::try_new(filter).is_ok_and(|filter| REFILTER.get().is_some_and(|refilter| refilter(filter)))
}

/// The metrics of this process. The first call begins to count.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).and_then(meters::buckets);
        let recorder = recorder.map(PrometheusBuilder::build_recorder);
        let recorder = recorder.unwrap_or_else(|_| PrometheusBuilder::new().build_recorder());
        let handle = recorder.handle();
        // An error says that somebody else counts in this process: then `/metrics` stays empty.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        meters::describe();
        handle
    })
}

/// In seconds: from a cached answer to the server deadline.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

fn describe() {
    use metrics::{Unit, describe_counter, describe_histogram};
    describe_counter!("remint_http_requests_total", "Requests answered, by route, method and status.");
    describe_histogram!(
        "remint_http_request_duration_seconds",
        Unit::Seconds,
        "From the head read to the answer's head."
    );
    describe_counter!("remint_http_panics_total", "Requests whose handler panicked.");
    describe_counter!("remint_connections_cut_total", "Connections cut because a deadline passed, by cause.");
    describe_counter!("remint_connections_turned_away_total", "Connections above the limit.");
}

/// How long a request may take, and whose request ids are believed.
#[derive(Clone, Debug)]
struct Watch {
    request_time: Duration,
    proxies: Proxies,
}

/// The router with a bound on its time, a request id, a line in the log and a count for every request: one layer, for
/// each costs every request the same again.
pub fn observed(router: Router, request_time: Duration, proxies: Proxies) -> Router {
    metrics();
    router.layer(from_fn_with_state(Watch { request_time, proxies }, observe))
}

async fn observe(State(watch): State<Watch>, request: Request, next: Next) -> Response {
    let stopwatch = Stopwatch::start();
    let id = watch.inherited_id(&request).unwrap_or_else(next_id);
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    // At the level of errors, so that no filter separates a line from the request that it is about.
    let span = tracing::error_span!("request", id = id.to_str().unwrap_or_default());
    let mut response = bounded(State(watch.request_time), request, next).instrument(span.clone()).await;
    let (status, elapsed) = (response.status(), stopwatch.elapsed());
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    span.in_scope(|| {
        let client = response.extensions().get::<KnownClient>().map(|client| client.0.as_str());
        let (status, duration_us) = (status.as_u16(), elapsed.as_micros());
        tracing::info!(target: "remint::access", method, route, status, duration_us, client_id = client, "answered");
    });
    let labels = [("route", route.to_owned()), ("method", method.to_owned())];
    metrics::histogram!("remint_http_request_duration_seconds", &labels).record(elapsed);
    let [route, method] = labels;
    metrics::counter!("remint_http_requests_total", &[route, method, ("status", status.as_str().to_owned())])
        .increment(1);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// A method of HTTP; anything else a client made up is one word, so that it cannot fill the metrics.
fn method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

impl Watch {
    /// The id that a trusted proxy gave the request.
    fn inherited_id(&self, request: &Request) -> Option<HeaderValue> {
        let peer = request.extensions().get::<Peer>()?.ip()?;
        let id = request.headers().get(REQUEST_ID).filter(|_| self.proxies.trust(peer))?;
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let good = (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(plain);
        good.then(|| id.clone())
    }
}

/// A name for a request: unique in this process, and not worth guessing.
fn next_id() -> HeaderValue {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static BOOT: OnceLock<u32> = OnceLock::new();
    let boot = BOOT.get_or_init(|| u32::from_be_bytes(crate::entropy::Entropy::system().bytes()));
    let mut text = String::with_capacity(17);
    let _ = write!(text, "{boot:08x}-{:08x}", NEXT.fetch_add(1, Ordering::Relaxed)); // a String takes everything
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// What operators ask: `/livez`, `/readyz`, `/metrics`. Never on the public listener.
pub fn operations(app: App, drain: Drain) -> Router {
    const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
    let scraped = app.clone();
    let metrics = move || {
        meters::sample(&scraped);
        metrics().run_upkeep();
        let text = metrics().render();
        async move { ([(CONTENT_TYPE, PROMETHEUS)], text) }
    };
    let ready = move || {
        let (app, drain) = (app.clone(), drain.clone());
        async move { readiness(&app, &drain).await }
    };
    Router::new()
        .route("/livez", get(|| async { ([(CACHE_CONTROL, "no-store")], "alive\n") }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready is who can answer: the store can be read and takes commits, the clock is that of the other nodes, and the end has
/// not begun.
async fn readiness(app: &App, drain: &Drain) -> Response {
    let not_ready = if drain.has_begun() {
        Some("going down\n".to_owned())
    } else if let Err(error) = works(app).await {
        tracing::warn!(%error, "not ready: the store does not answer");
        Some("the store does not answer\n".to_owned())
    } else {
        clock_off(app).map(|off| format!("the clock is {off} the database's: set it (NTP)\n"))
    };
    let (status, text) = match not_ready {
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
        None => (StatusCode::OK, "ready\n".to_owned()),
    };
    (status, [(CACHE_CONTROL, "no-store")], text).into_response()
}

/// Reads, and commits one row that means nothing: only a commit proves that commits are taken, and a server that was
/// taken out of service for want of them has no other commit by which it could come back.
async fn works(app: &App) -> Result<(), StoreError> {
    app.store.read(FeedHead).await?;
    let probe = Take { key: "readyz".to_owned(), limit: u32::MAX, window: PROBE_KEPT, at: app.clock.now() };
    app.store.commit(Changes::none().take(probe)).await.map(drop)
}

/// How long the row of a probe is of use to anybody.
const PROBE_KEPT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    fn router() -> Router {
        let known = || async { (axum::Extension(KnownClient("demo".parse().unwrap())), "hello") };
        let router = Router::new().route("/users/{id}", get(known));
        observed(router, Duration::from_secs(5), Proxies::new(&["10.0.0.0/8".parse().unwrap()]))
    }

    fn request(path: &str, peer: &str, id: Option<&str>) -> Request {
        let mut request = Request::builder().uri(path);
        if let Some(id) = id {
            request = request.header(REQUEST_ID, id);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer::Remote(SocketAddr::new(peer.parse().unwrap(), 1)));
        request
    }

    async fn id_of(peer: &str, id: Option<&str>) -> String {
        let response = router().oneshot(request("/users/7", peer, id)).await.unwrap();
        response.headers()[REQUEST_ID].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn only_a_trusted_proxy_names_a_request_and_only_by_a_plain_name() {
        assert_eq!(id_of("10.1.1.1", Some("abc-1")).await, "abc-1");
        for (peer, id) in [("192.0.2.1", "abc-1"), ("10.1.1.1", "a b"), ("10.1.1.1", ""), ("10.1.1.1", &"x".repeat(65))]
        {
            assert_eq!(id_of(peer, Some(id)).await.len(), 17, "{peer} {id}");
        }
        assert_ne!(id_of("10.1.1.1", None).await, id_of("10.1.1.1", None).await);
    }

    #[tokio::test]
    async fn a_request_is_counted_under_its_route_and_an_unknown_path_or_method_under_none() {
        for path in ["/users/7?token=secret", "/users/8", "/nothing/secret"] {
            router().oneshot(request(path, "10.1.1.1", None)).await.unwrap();
        }
        let mut made_up = request("/users/1", "10.1.1.1", None);
        *made_up.method_mut() = http::Method::from_bytes(b"SECRET").unwrap();
        router().oneshot(made_up).await.unwrap();
        let text = metrics().render();
        assert!(
            text.contains(r#"remint_http_requests_total{route="/users/{id}",method="GET",status="200"} 2"#),
            "{text}"
        );
        assert!(text.contains(r#"route="none",method="GET",status="404"} 1"#), "{text}");
        assert!(text.contains(r#"method="other",status="405"} 1"#), "{text}");
        assert!(text.contains("remint_http_request_duration_seconds_bucket"), "{text}");
        assert!(!text.contains("secret") && !text.contains("SECRET"), "{text}");
    }
}
