//! What a request may cost: a middleware that drops it at the server deadline, and that survives a panic of its
//! handler. The answers are of the form of RFC 6749 section 5.2, and say nothing of what went wrong inside.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER};

use super::body::Complete;
use super::pulse::Arrived;

/// Layer it over a router with `axum::middleware::from_fn_with_state(limits.request_time, bounded)`. Counted from the
/// first byte of the request where it came through [`super::Server`], else from here. An answer that streams is bounded
/// up to its head.
pub async fn bounded(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let arrived = request.extensions().get::<Arrived>().map_or(Duration::ZERO, Arrived::ago);
    let complete = request.extensions().get::<Complete>().cloned();
    let left = limit.saturating_sub(arrived);
    match tokio::time::timeout(left, survived(next.run(request))).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            metrics::counter!("remint_http_panics_total").increment(1);
            refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the server made a mistake")
        }
        Err(_) if complete.is_none_or(|complete| complete.is()) => {
            let busy = "the request could not be answered in time: try again";
            let refused = refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", busy);
            ([(RETRY_AFTER, "1")], refused).into_response()
        }
        Err(_) => {
            let slow = "the body did not arrive in time";
            ([(CONNECTION, "close")], refused(StatusCode::REQUEST_TIMEOUT, "invalid_request", slow)).into_response()
        }
    }
}

/// The future's output, or what it panicked with. A handler that panicked is dropped and never polled again.
async fn survived<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response {
    const HEADERS: [(HeaderName, &str); 2] = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    let body = serde_json::json!({ "error": error, "error_description": description });
    (status, HEADERS, body.to_string()).into_response()
}
