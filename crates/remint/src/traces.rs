//! Traces: one span for each request, sent to a collector (OTLP over HTTP) where one is set. Off unless the binary was
//! built with the feature `traces` and `traces_url` names a collector. A span says the method, the route that matched and
//! the status; never a path, a query, a header or a token.

#[cfg(not(feature = "traces"))]
mod off;
#[cfg(feature = "traces")]
mod otlp;

#[cfg(not(feature = "traces"))]
pub use off::Traces;
#[cfg(feature = "traces")]
pub use otlp::Traces;

/// Whether this binary can send traces.
pub const BUILT_IN: bool = cfg!(feature = "traces");

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent to {url}: {why}")]
pub struct NoTraces {
    url: String,
    why: String,
}
