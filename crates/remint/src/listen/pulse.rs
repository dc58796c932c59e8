//! Where a connection is in its life, and since when: what its deadlines are counted from. Knows times only, never
//! bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Limits;
use crate::clock::Stopwatch;

/// Opened, and nothing came yet.
const FRESH: u8 = 0;
/// The head of a request is arriving.
const HEAD: u8 = 1;
/// A request is being answered.
const BUSY: u8 = 2;
/// Kept alive between two requests.
const IDLE: u8 = 3;
/// Of [`Pulse::blocked`]: the peer takes what is written.
const NOT_BLOCKED: u64 = u64::MAX;

/// When the first byte of a request was read; in the extensions of every request.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    head: Duration,
    since: Stopwatch,
}

impl Arrived {
    /// How long ago that was.
    pub fn ago(&self) -> Duration {
        self.head + self.since.elapsed()
    }
}

/// The life of one connection. All of it happens in the connection's own task.
#[derive(Debug)]
pub(super) struct Pulse {
    born: Stopwatch,
    phase: AtomicU8,
    /// When the phase began, in microseconds after birth.
    since: AtomicU64,
    /// Since when the peer takes no byte, in microseconds after birth.
    blocked: AtomicU64,
    head_time: Duration,
    idle_time: Duration,
    write_time: Duration,
}

impl Pulse {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            born: Stopwatch::start(),
            phase: AtomicU8::new(FRESH),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(NOT_BLOCKED),
            head_time: limits.head_time,
            idle_time: limits.idle_time,
            write_time: limits.write_time,
        })
    }

    fn age_us(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.age_us(), Relaxed);
        self.phase.store(phase, Relaxed);
    }

    fn bytes_came(&self) {
        if matches!(self.phase.load(Relaxed), FRESH | IDLE) {
            self.enter(HEAD);
        }
    }

    /// The head is complete.
    pub(super) fn request_begins(&self) -> Arrived {
        let head = match self.phase.load(Relaxed) {
            HEAD => Duration::from_micros(self.age_us().saturating_sub(self.since.load(Relaxed))),
            _ => Duration::ZERO, // sent before the last answer was complete: it was read just now
        };
        self.enter(BUSY);
        Arrived { head, since: Stopwatch::start() }
    }

    /// The answer is complete.
    pub(super) fn answered(&self) {
        self.enter(IDLE);
    }

    /// Waits until a deadline has passed, and says which. Sleeps never longer than the shortest limit, so that a phase
    /// that begins meanwhile is looked at in time.
    pub(super) async fn overdue(&self) -> &'static str {
        loop {
            match self.time_left() {
                Ok(left) => tokio::time::sleep(left.min(self.head_time).min(self.write_time)).await,
                Err(cause) => return cause,
            }
        }
    }

    fn time_left(&self) -> Result<Duration, &'static str> {
        let age = self.age_us();
        let left = |limit: Duration, since: u64| {
            limit.checked_sub(Duration::from_micros(age.saturating_sub(since))).filter(|left| !left.is_zero())
        };
        let since = self.since.load(Relaxed);
        let phase = match self.phase.load(Relaxed) {
            IDLE => left(self.idle_time, since).ok_or("idle")?,
            BUSY => Duration::MAX,
            _ => left(self.head_time, since).ok_or("slow-head")?,
        };
        match self.blocked.load(Relaxed) {
            NOT_BLOCKED => Ok(phase),
            since => Ok(phase.min(left(self.write_time, since).ok_or("slow-reader")?)),
        }
    }

    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        match (result.is_pending(), self.blocked.load(Relaxed)) {
            (true, NOT_BLOCKED) => self.blocked.store(self.age_us(), Relaxed),
            (true, _) | (false, NOT_BLOCKED) => {}
            (false, _) => self.blocked.store(NOT_BLOCKED, Relaxed),
        }
        result
    }
}

/// A connection that tells its pulse what happens.
#[derive(Debug)]
pub(super) struct Watched<I> {
    io: I,
    pulse: Arc<Pulse>,
}

impl<I> Watched<I> {
    pub(super) const fn new(io: I, pulse: Arc<Pulse>) -> Self {
        Self { io, pulse }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.pulse.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.pulse.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.pulse.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
