//! What time it is by the database: as it said, and as much later as has passed since. Never sets a clock, never decides by
//! one.

use std::fmt;
use std::time::Duration;

use remint_core::time::Timestamp;

use crate::clock::Stopwatch;

/// A time that the database told.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseTime {
    told: Timestamp,
    /// How long the question and the answer took: it was told at some moment within.
    took: Duration,
    since: Stopwatch,
}

impl DatabaseTime {
    /// It was just told, upon a question that was asked so long ago.
    pub(super) fn told(told: Timestamp, took: Duration) -> Self {
        Self { told, took, since: Stopwatch::start() }
    }

    /// By how much a clock that says `now` is off, at least: how long the answer was on the way is in its favour.
    pub fn off(&self, now: Timestamp) -> Off {
        off(self.told.plus(self.since.elapsed()), self.took, now)
    }
}

/// How a clock stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// It is ahead by at least so much.
    Ahead(Duration),
    /// It is behind by at least so much.
    Behind(Duration),
}

impl Off {
    /// Either way.
    pub const fn by(self) -> Duration {
        match self {
            Self::Ahead(by) | Self::Behind(by) => by,
        }
    }

    /// In seconds: above zero where it is ahead.
    pub const fn seconds(self) -> f64 {
        match self {
            Self::Ahead(by) => by.as_secs_f64(),
            Self::Behind(by) => -by.as_secs_f64(),
        }
    }
}

/// As it is said: `3.2 s ahead of`.
impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(by) => write!(f, "{:.1} s ahead of", by.as_secs_f64()),
            Self::Behind(by) => write!(f, "{:.1} s behind", by.as_secs_f64()),
        }
    }
}

/// The other clock says `told` or up to `took` later.
fn off(told: Timestamp, took: Duration, now: Timestamp) -> Off {
    if now < told { Off::Behind(told.since(now)) } else { Off::Ahead(now.since(told.plus(took))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_what_the_way_of_the_answer_cannot_explain() {
        let (told, took) = (Timestamp::from_secs(100), Duration::from_secs(2));
        let at = |secs| off(told, took, Timestamp::from_secs(secs));
        assert_eq!(at(97), Off::Behind(Duration::from_secs(3)));
        assert_eq!((at(100), at(102)), (Off::Ahead(Duration::ZERO), Off::Ahead(Duration::ZERO)));
        assert_eq!(at(105), Off::Ahead(Duration::from_secs(3)));
        assert_eq!((at(105).seconds(), at(97).seconds()), (3.0, -3.0));
        assert_eq!(format!("{} / {}", at(105), at(97)), "3.0 s ahead of / 3.0 s behind");
    }
}
