//! Counters that allow so many within a window: the rule, as a function of the stored row. Never reads a clock.

use remint_core::change::{Take, Taken};
use remint_core::time::Timestamp;

/// A counter as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many were allowed since `started_at`.
    pub count: u32,
    /// When the window began.
    pub started_at: Timestamp,
    /// When the row means nothing any more.
    pub expires_at: Timestamp,
}

/// What becomes of an attempt, and the row after it where one is to be written.
///
/// A window that has ended begins anew with the first attempt after it. Where the clock went back, the window that
/// stands goes on: an attempt is never granted for having an earlier time.
pub(super) fn take(take: &Take, stored: Option<Counted>) -> (Taken, Option<Counted>) {
    let open = stored.filter(|row| take.at < row.started_at.plus(take.window));
    let (count, started_at) = open.map_or((0, take.at), |row| (row.count, row.started_at));
    let ends_at = started_at.plus(take.window);
    if count >= take.limit {
        return (Taken::Exhausted { retry_after: ends_at.since(take.at) }, None);
    }
    let count = count + 1;
    let expires_at = open.map_or(ends_at, |row| row.expires_at.max(ends_at));
    (Taken::Allowed { count }, Some(Counted { count, started_at, expires_at }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(secs: i64) -> Take {
        Take { key: "k".into(), limit: 2, window: Duration::from_secs(10), at: Timestamp::from_secs(secs) }
    }

    #[test]
    fn so_many_within_a_window_and_then_so_many_again() {
        let (first, row) = take(&at(100), None);
        assert_eq!(first, Taken::Allowed { count: 1 });
        let (second, row) = take(&at(109), row);
        assert_eq!(second, Taken::Allowed { count: 2 });
        let (third, unchanged) = take(&at(109), row);
        assert_eq!((third, unchanged), (Taken::Exhausted { retry_after: Duration::from_secs(1) }, None));
        assert_eq!(take(&at(110), row).0, Taken::Allowed { count: 1 });
    }

    #[test]
    fn a_clock_that_went_back_grants_nothing_more() {
        let (_, row) = take(&at(100), None);
        let (_, row) = take(&at(100), row);
        assert_eq!(take(&at(50), row).0, Taken::Exhausted { retry_after: Duration::from_secs(60) });
    }

    #[test]
    fn a_limit_of_zero_allows_nothing() {
        let none = Take { limit: 0, ..at(1) };
        assert_eq!(take(&none, None), (Taken::Exhausted { retry_after: Duration::from_secs(10) }, None));
    }
}
