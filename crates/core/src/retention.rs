//! How long what is over is still remembered: sessions, events of the feed, counters, codes. Says when a row may go; never
//! removes one, never reads a clock.
//!
//! A row that is gone revives nothing: a refresh token, a cookie or a token of a session that is not there is refused
//! like a forged one. What is lost is the reason that a later answer could have named (row 2 of the refresh machine).

use std::time::Duration;

use crate::ledger::MAX_LEEWAY;
use crate::time::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A session that ended says why to whoever comes back within this time: the owner of a phone that lay in a drawer, and
/// above all whoever was taken for a thief.
pub const ENDED_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Beyond all other limits: a wall clock that was wrong for some hours must not cost what still matters.
const MARGIN: Duration = DAY;

/// The times of a session that decide when its row may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// When it was ended, if it was.
    pub ended_at: Option<Timestamp>,
    /// It ended then unless it was used before.
    pub idle_at: Timestamp,
    /// It ended then, whatever happened.
    pub absolute_at: Timestamp,
}

impl Limits {
    /// Whether the row may go at `now`. One that was ended stays for [`ENDED_KEPT`] after that; one that ran out, for a
    /// day and `horizon` ([`crate::notice::horizon`]) after that, so that every session that a living token names is
    /// there to be looked at and ended.
    pub fn are_forgotten(&self, horizon: Duration, now: Timestamp) -> bool {
        let ran_out = self.idle_at.min(self.absolute_at).plus(horizon).plus(MARGIN);
        match self.ended_at {
            Some(ended_at) => now >= ended_at.plus(ENDED_KEPT),
            None => now >= ran_out,
        }
    }
}

/// Events whose `forget_after` is not later than this may go at `now`: no verifier of whatever leeway serves a token
/// that they concern. The last event of the feed stays in any case: whoever has heard all of it has that place.
pub fn events_forgotten_by(now: Timestamp) -> Timestamp {
    now.minus(MAX_LEEWAY).minus(MARGIN)
}

/// Counters that expired by this may go at `now`.
pub fn counters_forgotten_by(now: Timestamp) -> Timestamp {
    now.minus(MARGIN)
}

/// Challenges that expired by this may go at `now`: their codes answer nothing any more, and their numbers are nobody's
/// business.
pub fn challenges_forgotten_by(now: Timestamp) -> Timestamp {
    now.minus(MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: Duration = Duration::from_secs(3600);

    fn day(n: i64) -> Timestamp {
        Timestamp::from_secs(n * 24 * 3600)
    }

    #[test]
    fn a_session_that_ended_says_why_for_thirty_days_however_long_it_could_have_lived() {
        for absolute_at in [day(11), day(500)] {
            let ended = Limits { ended_at: Some(day(10)), idle_at: day(11), absolute_at };
            assert!(!ended.are_forgotten(HORIZON, day(40).minus(Duration::from_micros(1))));
            assert!(ended.are_forgotten(HORIZON, day(40)));
        }
    }

    #[test]
    fn a_session_that_ran_out_stays_as_long_as_a_token_of_it_and_a_day() {
        for (idle_at, absolute_at) in [(day(10), day(90)), (day(10), day(10)), (day(11), day(10))] {
            let ran_out = Limits { ended_at: None, idle_at, absolute_at };
            let over = day(11).plus(HORIZON);
            assert!(!ran_out.are_forgotten(HORIZON, over.minus(Duration::from_micros(1))));
            assert!(ran_out.are_forgotten(HORIZON, over));
        }
    }

    #[test]
    fn nothing_that_the_feed_would_still_tell_is_forgotten() {
        let now = day(100);
        assert!(events_forgotten_by(now) < now.minus(MAX_LEEWAY), "a snapshot tells what is later than that");
        assert!(counters_forgotten_by(now) < now);
        assert!(challenges_forgotten_by(now) < now);
    }
}
