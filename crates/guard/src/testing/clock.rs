//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use remint_core::time::Timestamp;

use crate::state::Clock;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
    ticks: AtomicU64,
}

impl ManualClock {
    /// Standing at `now`.
    pub const fn at(now: Timestamp) -> Self {
        Self { micros: AtomicI64::new(now.micros()), ticks: AtomicU64::new(0) }
    }

    /// Time goes by, for both clocks.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.ticks.fetch_add(micros, Ordering::SeqCst);
        self.set_wall(self.now().plus(by));
    }

    /// Somebody sets the wall clock; no time goes by.
    pub fn set_wall(&self, now: Timestamp) {
        self.micros.store(now.micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn ticks(&self) -> Duration {
        Duration::from_micros(self.ticks.load(Ordering::SeqCst))
    }
}
