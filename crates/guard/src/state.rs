//! Time and chance, the two things that a guard cannot compute. The only room that reads a clock; everywhere else `now`
//! is an argument or comes from a [`Clock`] that a test can move.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use remint_core::time::Timestamp;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock: against it `exp` and `nbf` are held.
    fn now(&self) -> Timestamp;

    /// The time since some fixed moment; it never goes back. Intervals are measured with it.
    fn ticks(&self) -> Duration;
}

/// The clocks of the machine.
#[derive(Debug)]
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads the monotonic clock")]
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().plus(since)
    }

    fn ticks(&self) -> Duration {
        self.started.elapsed()
    }
}

/// `whole` or up to half less, by chance, so that a fleet does not act in step. Nothing secret hangs on it: the seed
/// that the standard library draws for its hash maps is good enough.
pub(crate) fn jittered(whole: Duration) -> Duration {
    let draw = RandomState::new().hash_one(0_u8);
    whole.mul_f64(1.0 - 0.5 * (draw as f64 / u64::MAX as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_takes_away_half_at_most_and_adds_nothing() {
        let whole = Duration::from_secs(10);
        let draws: Vec<Duration> = (0..100).map(|_| jittered(whole)).collect();
        assert!(draws.iter().all(|draw| (whole / 2..=whole).contains(draw)));
        assert!(draws.iter().any(|draw| *draw != draws[0]));
    }
}
