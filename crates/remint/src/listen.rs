//! The accept loop: what a connection may cost, and how it ends. HTTP/1.1 on TCP and on the control socket. TLS is the
//! proxy's in front. Never looks into a request: what it says is the router's business.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::Service as _;

mod body;
mod bound;
mod pulse;
#[cfg(test)]
mod tests;

use body::{Answer, inbound};
pub use bound::bounded;
pub use pulse::Arrived;
use pulse::{Pulse, Watched};

/// What one connection, and all of them together, may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once on one listener. One more is answered 503 and closed: a queue that nobody sees would only
    /// hide the overload, and idle connections could fill it.
    pub connections: usize,
    /// From the first byte of a request's head (or the connection's opening) to its last.
    pub head_time: Duration,
    /// How long a connection may be kept alive without a request. Longer than that of the proxy in front (nginx: 60 s),
    /// so that the proxy is the one that closes.
    pub idle_time: Duration,
    /// From a request's first byte to the head of its answer: the server deadline. Past it the request is dropped, and
    /// answered 408 where its body had not arrived, else 503.
    pub request_time: Duration,
    /// How long the peer may take no byte of an answer.
    pub write_time: Duration,
    /// The largest request head, in bytes: the rest is answered 431.
    pub head_bytes: usize,
    /// The most header fields in one head: more are answered 431.
    pub head_fields: usize,
    /// The largest request body, in bytes: reading on fails. Endpoints refuse earlier, in their own words.
    pub body_bytes: usize,
    /// How long requests under way may take after the drain began.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            request_time: remint_core::policy::SERVER_DEADLINE,
            write_time: Duration::from_secs(30),
            head_bytes: 32 * 1024,
            head_fields: 100,
            body_bytes: 64 * 1024,
            drain_time: Duration::from_secs(10),
        }
    }
}

/// Says that the server is going down. It is in the extensions of every request; clones say the same.
#[derive(Clone, Debug)]
pub struct Drain(watch::Sender<bool>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Drain {
    /// Begins the drain: no new connections, event streams end, requests under way are finished.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it begins.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut watched = self.0.subscribe();
        async move {
            // The sender may be gone: then nobody can begin it any more, and the process ends.
            let _ = watched.wait_for(|begun| *begun).await;
        }
    }
}

/// Who is at the other end of a connection; in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address: the proxy's, if there is one.
    Remote(SocketAddr),
    /// A process on this machine, over the control socket.
    Local,
}

impl Peer {
    /// The address, where there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Remote(address) => Some(address.ip()),
            Self::Local => None,
        }
    }
}

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A port.
    Tcp(TcpListener),
    /// A socket in the file system, for processes of one user and of root.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// The user id whose processes may speak.
        uid: u32,
    },
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
    /// A process of another user: its connection is closed without a word.
    Stranger,
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix { listener, uid } => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?.uid();
                Ok(if peer == *uid || peer == 0 { Accepted::Unix(stream) } else { Accepted::Stranger })
            }
        }
    }
}

/// One router behind one or more listeners.
#[derive(Clone)]
pub struct Server {
    /// What answers.
    pub router: Router,
    /// What connections may cost.
    pub limits: Limits,
    /// When to stop.
    pub drain: Drain,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves until the drain has begun and the last connection has ended, or `drain_time` after it began.
    pub async fn run(self, listener: Listener) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = JoinSet::new();
        let begun = self.drain.begun();
        tokio::pin!(begun);
        loop {
            let accepted = tokio::select! {
                () = &mut begun => break,
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok(accepted) => self.admit(accepted, &places, &mut connections),
                Err(error) => {
                    // Out of file descriptors, or the peer was gone already. Not in a tight loop.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain_time, all_ended).await.is_err() {
            tracing::warn!(left = connections.len(), "connections cut at the end of the drain");
            connections.shutdown().await;
        }
    }

    fn admit(&self, accepted: Accepted, places: &Arc<Semaphore>, connections: &mut JoinSet<()>) {
        let place = Arc::clone(places).try_acquire_owned().ok();
        match (accepted, place) {
            (Accepted::Tcp(stream, peer), Some(place)) => {
                connections.spawn(self.clone().serve(stream, Peer::Remote(peer), place));
            }
            (Accepted::Unix(stream), Some(place)) => {
                connections.spawn(self.clone().serve(stream, Peer::Local, place));
            }
            (Accepted::Tcp(stream, _), None) => turn_away(|busy| stream.try_write(busy)),
            (Accepted::Unix(stream), None) => turn_away(|busy| stream.try_write(busy)),
            (Accepted::Stranger, _) => tracing::warn!("a process of another user tried the control socket"),
        }
    }

    /// One connection, until it ends, is cut, or is drained.
    async fn serve<I>(self, io: I, peer: Peer, _place: OwnedSemaphorePermit)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pulse = Pulse::new(&self.limits);
        let watched = TokioIo::new(Watched::new(io, Arc::clone(&pulse)));
        let answer = |request: Request<Incoming>| self.answer(request, peer, &pulse);
        let connection = builder(&self.limits).serve_connection(watched, service_fn(answer));
        tokio::pin!(connection);
        let mut draining = false;
        let begun = self.drain.begun();
        tokio::pin!(begun);
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                cause = pulse.overdue() => {
                    metrics::counter!("remint_connections_cut_total", "cause" => cause).increment(1);
                    return;
                }
                () = &mut begun, if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

impl Server {
    /// Hands a request to the router, with what only the connection knows in its extensions.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        pulse: &Arc<Pulse>,
    ) -> impl Future<Output = Result<http::Response<Answer>, std::convert::Infallible>> + Send + use<> {
        let (arrived, complete) = (pulse.request_begins(), body::Complete::default());
        let mut request = request.map(|incoming| inbound(incoming, self.limits.body_bytes, complete.clone()));
        let extensions = request.extensions_mut();
        extensions.insert(arrived);
        extensions.insert(complete);
        extensions.insert(self.drain.clone());
        extensions.insert(peer);
        let (mut router, pulse, drain) = (self.router.clone(), Arc::clone(pulse), self.drain.clone());
        async move { Ok(Answer::over(router.call(request).await?, pulse, &drain)) }
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The head's deadline is the pulse's: hyper's own would also cut a connection that is merely kept alive.
    builder
        .header_read_timeout(None)
        .max_header_size(limits.head_bytes)
        .max_buf_size((2 * limits.head_bytes).max(8192))
        .half_close(false);
    if limits.head_fields != 100 {
        builder.max_headers(limits.head_fields); // hyper's own default is 100, and cheaper when it is not set
    }
    builder
}

/// Best effort: where the peer sent something already, closing may overtake the answer.
fn turn_away(write: impl FnOnce(&[u8]) -> io::Result<usize>) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n";
    metrics::counter!("remint_connections_turned_away_total").increment(1);
    let _ = write(BUSY);
}
