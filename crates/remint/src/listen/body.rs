//! The bodies of requests and answers, as far as the connection cares: how large, whether complete, and that event
//! streams end when the server goes down. Never looks into one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Body, Bytes};
use http::header::CONTENT_TYPE;
use http_body_util::Limited;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::Drain;
use super::pulse::Pulse;

/// Whether the body of a request has been read to its end; in the extensions of every request.
#[derive(Clone, Debug, Default)]
pub(super) struct Complete(Arc<AtomicBool>);

impl Complete {
    pub(super) fn is(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A request's body, of at most `limit` bytes.
pub(super) fn inbound(incoming: Incoming, limit: usize, complete: Complete) -> Body {
    complete.0.store(incoming.is_end_stream(), Relaxed);
    Body::new(Inbound { body: Limited::new(incoming, limit), complete })
}

struct Inbound {
    body: Limited<Incoming>,
    complete: Complete,
}

impl HttpBody for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.complete.0.store(true, Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. It ends when the handler's does; an event stream ends when the drain begins, too.
pub(super) struct Answer {
    body: Body,
    pulse: Arc<Pulse>,
    until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}

impl Answer {
    pub(super) fn over(response: http::Response<Body>, pulse: Arc<Pulse>, drain: &Drain) -> http::Response<Self> {
        let content_type = response.headers().get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let events = content_type.is_some_and(|kind| kind.starts_with(b"text/event-stream"));
        let until = events.then(|| Box::pin(drain.begun()) as _);
        response.map(|body| Self { body, pulse, until })
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            self.until = None;
            self.body = Body::empty();
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.pulse.answered();
    }
}
