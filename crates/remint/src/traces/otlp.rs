//! Spans by OpenTelemetry, sent in batches by a thread of its own: a collector that is slow or gone costs no request
//! anything but its span.

use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::NoTraces;
use crate::listen::Peer;
use crate::proxies::Proxies;

/// How long the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where spans go; nowhere, where no collector is set.
pub struct Traces(Option<SdkTracerProvider>);

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0.is_some()).finish()
    }
}

impl Traces {
    /// To the collector at this URL.
    ///
    /// # Errors
    /// Where its client cannot be made. Whether it answers is not asked.
    pub fn to(url: Option<&str>) -> Result<Self, NoTraces> {
        let Some(url) = url else { return Ok(Self(None)) };
        let exporter = SpanExporter::builder().with_http().with_endpoint(url).with_protocol(Protocol::HttpBinary);
        let exporter = exporter.with_timeout(PATIENCE).build();
        let exporter = exporter.map_err(|error| NoTraces { url: url.to_owned(), why: error.to_string() })?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder_empty().with_service_name("remint").with_attribute(version).build();
        Ok(Self(Some(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())))
    }

    /// The router with a span around every request. One that comes by a trusted proxy goes on with the proxy's trace.
    pub fn around(&self, router: Router, proxies: &Proxies) -> Router {
        match &self.0 {
            Some(provider) => {
                let spanned = Spanned { tracer: provider.tracer("remint"), proxies: proxies.clone() };
                router.layer(from_fn_with_state(spanned, spanned_request))
            }
            None => router,
        }
    }

    /// Sends what is left.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        let ended = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

#[derive(Clone)]
struct Spanned {
    tracer: SdkTracer,
    proxies: Proxies,
}

/// The names of the attributes are OpenTelemetry's own (semantic conventions for HTTP, stable since 1.23).
async fn spanned_request(State(spanned): State<Spanned>, request: Request, next: Next) -> Response {
    let method = request.method().as_str();
    let method = if STANDARD.contains(&method) { method.to_owned() } else { "_OTHER".to_owned() };
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let tracer = &spanned.tracer;
    let attributes = [KeyValue::new("http.request.method", method.clone()), KeyValue::new("http.route", route.clone())];
    let builder = tracer.span_builder(format!("{method} {route}")).with_kind(SpanKind::Server);
    let mut span = tracer.build_with_context(builder.with_attributes(attributes), &spanned.trace_of_proxy(&request));
    let response = next.run(request).await;
    let status = response.status();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
    span.end();
    response
}

/// Anything else a client made up.
const STANDARD: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

impl Spanned {
    /// `traceparent` (W3C Trace Context) of a proxy that is trusted; of anybody else it is not looked at.
    fn trace_of_proxy(&self, request: &Request) -> Context {
        let peer = request.extensions().get::<Peer>().and_then(Peer::ip);
        if peer.is_some_and(|peer| self.proxies.trust(peer)) {
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(request.headers()))
        } else {
            Context::new()
        }
    }
}

struct Headers<'a>(&'a http::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
