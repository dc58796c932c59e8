//! When the server may judge, and when it must not: the in-doubt rule. A commit that was lost, or a request that was
//! held up, must not turn an honest user into a thief; nor must a clock that is off. Decides only about doubt, never about
//! a token.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use remint_core::time::Timestamp;
use tokio::sync::watch;

use crate::app::App;
use crate::clock::{Clock, Stopwatch};
use crate::store::Off;

/// How often the process proves to itself that it is running.
const TICK: Duration = Duration::from_secs(1);
/// A tick this late, by either clock, says that the process stood still or that the wall clock was moved.
const LATE: Duration = Duration::from_secs(2);

/// Since when, if at all, commits may be missing or ages may be wrong. Clones share one doubt.
#[derive(Clone, Debug)]
pub struct Doubt(Arc<Times>);

#[derive(Debug)]
struct Times {
    /// The last cause.
    since: AtomicI64,
    /// The last tick of [`watch`]. A request that comes in before the tick after a stall finds the stall by it.
    tick: AtomicI64,
    /// How often the store was lost and found. What is decided before [`watch`] has heard of the last time finds it here.
    found: OnceLock<watch::Receiver<u64>>,
    /// How often it was as far as [`watch`] has heard.
    heard: AtomicU64,
}

/// There was no cause for doubt yet, or nobody watches.
const NEVER: i64 = i64::MIN;

impl Doubt {
    /// The doubt of a process that starts at `now`. On data that an earlier process wrote, its last commits may be
    /// missing and requests to it may still be on the way; data that did not exist before can have lost nothing.
    pub fn at_start(now: Timestamp, data_is_new: bool) -> Self {
        let since = if data_is_new { NEVER } else { now.micros() };
        let (since, tick) = (AtomicI64::new(since), AtomicI64::new(NEVER));
        Self(Arc::new(Times { since, tick, found: OnceLock::new(), heard: AtomicU64::new(0) }))
    }

    /// A cause for doubt, now. It replaces an earlier one: where the wall clock was moved, the old time means nothing.
    pub fn arises(&self, now: Timestamp) {
        self.0.since.store(now.micros(), Ordering::SeqCst);
    }

    /// Whether the last cause lies less than `window` (W of the client's policy) back, or one is there that no tick has
    /// seen yet: `now` is far from the last tick of a watch that runs.
    pub fn now(&self, now: Timestamp, window: Duration) -> bool {
        let read = |time: &AtomicI64| Some(time.load(Ordering::SeqCst)).filter(|micros| *micros != NEVER);
        let (since, tick) = (read(&self.0.since), read(&self.0.tick));
        since.is_some_and(|since| now.since(Timestamp::from_micros(since)) < window)
            || tick.is_some_and(|tick| jumped(Timestamp::from_micros(tick), now))
            || self.0.found.get().is_some_and(|found| *found.borrow() != self.0.heard.load(Ordering::SeqCst))
    }

    /// The watch runs, and it is `now`.
    fn ticks(&self, now: Timestamp) {
        self.0.tick.store(now.micros(), Ordering::SeqCst);
    }
}

/// Whether the wall clock moved from one time to the other by more than a tick that is not late.
fn jumped(before: Timestamp, after: Timestamp) -> bool {
    after.since(before) > TICK + LATE || before.since(after) > LATE
}

/// Whether a tick came so late that requests may have stood still with the process, or the wall clock so far off that
/// ages cannot be trusted. `ran` is the time since the last tick by the monotonic clock, which stands still while the
/// machine sleeps; `wall` are both times by the wall clock, which can be set.
pub fn stalled(ran: Duration, wall: (Timestamp, Timestamp)) -> bool {
    ran > TICK + LATE || jumped(wall.0, wall.1)
}

/// Watches for causes for doubt until it is dropped: a stall each second, and every time that the store was lost and
/// found again.
pub async fn watch(doubt: Doubt, clock: Clock, mut lost_and_found: watch::Receiver<u64>) {
    let (mut stopwatch, mut before) = (Stopwatch::start(), clock.now());
    let mut store_watched = true;
    doubt.0.found.get_or_init(|| lost_and_found.clone());
    doubt.ticks(before);
    loop {
        tokio::select! {
            changed = lost_and_found.changed(), if store_watched => {
                store_watched = changed.is_ok();
                if store_watched {
                    tracing::warn!("the store was lost and found: in doubt for one window");
                    let times = *lost_and_found.borrow_and_update();
                    doubt.arises(clock.now());
                    doubt.0.heard.store(times, Ordering::SeqCst);
                }
                continue;
            }
            () = tokio::time::sleep(TICK) => {}
        }
        let (ran, after) = (stopwatch.elapsed(), clock.now());
        if stalled(ran, (before, after)) {
            tracing::warn!(
                ran_ms = ran.as_millis(),
                "the process stood still or the clock was moved: in doubt for one window"
            );
            doubt.arises(after);
        }
        doubt.ticks(after);
        (stopwatch, before) = (Stopwatch::start(), after);
    }
}

/// How the clock of this node stands to that of the database, where it is off by more than half of what the clocks of two
/// nodes may lie apart: so no two nodes are further apart than that.
pub fn clock_off(app: &App) -> Option<Off> {
    let off = app.store.database_time()?.off(app.clock.now());
    (off.by() > app.settings.timing.clock_skew / 2).then_some(off)
}

/// Says when the clock is off, and when it is right again, until it is dropped. A node that is not ready may still be asked:
/// as long as its clock is off it judges nobody.
pub async fn watch_clock(app: App) {
    let mut known = false;
    loop {
        let found = clock_off(&app);
        if let Some(off) = found {
            app.doubt.arises(app.clock.now());
            if !known {
                tracing::error!(
                    ahead_secs = off.seconds(),
                    "the clock is off the database's: not ready until it is set (NTP)"
                );
            }
        } else if known {
            tracing::warn!("the clock is right again: in doubt for one window");
        }
        known = found.is_some();
        tokio::time::sleep(TICK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Duration = Duration::from_secs(30);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_process_on_old_data_is_in_doubt_for_one_window_and_on_new_data_never() {
        let doubt = Doubt::at_start(at(100), false);
        assert!(doubt.now(at(100), W) && doubt.now(at(129), W));
        assert!(!doubt.now(at(130), W));
        assert!(!Doubt::at_start(at(100), true).now(at(100), W));
    }

    #[test]
    fn a_new_cause_begins_a_new_window_in_every_clone() {
        let doubt = Doubt::at_start(at(0), true);
        doubt.clone().arises(at(50));
        assert!(doubt.now(at(79), W));
        assert!(!doubt.now(at(80), W));
    }

    #[test]
    fn a_late_tick_by_either_clock_is_a_stall() {
        let second = Duration::from_secs(1);
        assert!(!stalled(second, (at(10), at(11))));
        assert!(!stalled(second * 3, (at(10), at(13))), "two seconds late are not more than two");
        assert!(stalled(Duration::from_millis(3001), (at(10), at(13))), "the process stood still");
        assert!(stalled(second, (at(10), at(14))), "the machine slept, or the clock was set forward");
        assert!(stalled(second, (at(10), at(7))), "the clock was set back");
        assert!(!stalled(second, (at(10), at(9))), "a small correction of the clock is none");
    }

    #[tokio::test]
    async fn a_store_lost_and_found_puts_the_server_in_doubt() {
        let (clock, doubt) = (Clock::manual(at(100)), Doubt::at_start(at(0), true));
        let (found, watched) = watch::channel(0_u64);
        let watching = tokio::spawn(watch(doubt.clone(), clock, watched));
        found.send(1).unwrap();
        while !doubt.now(at(100), W) {
            tokio::task::yield_now().await;
        }
        watching.abort();
    }

    #[tokio::test]
    async fn what_is_decided_before_the_loss_of_the_store_is_heard_of_is_in_doubt_already() {
        let (clock, doubt) = (Clock::manual(at(100)), Doubt::at_start(at(0), true));
        let (found, watched) = watch::channel(0_u64);
        let watching = tokio::spawn(watch(doubt.clone(), clock, watched));
        while doubt.0.tick.load(Ordering::SeqCst) == NEVER {
            tokio::task::yield_now().await;
        }
        assert!(!doubt.now(at(100), W));
        found.send(1).unwrap(); // and the watch, on this very thread, has not run since
        assert!(doubt.now(at(100), W));
        while doubt.0.heard.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(doubt.now(at(100), W), "heard of: a cause like any other");
        watching.abort();
    }

    #[tokio::test]
    async fn a_request_that_comes_before_the_tick_after_a_stall_is_in_doubt_already() {
        let doubt = Doubt::at_start(at(0), true);
        assert!(!doubt.now(at(1000), W), "nobody watches: nobody can have stood still");
        let (_found, watched) = watch::channel(0_u64);
        let watching = tokio::spawn(watch(doubt.clone(), Clock::manual(at(1000)), watched));
        while doubt.0.tick.load(Ordering::SeqCst) == NEVER {
            tokio::task::yield_now().await;
        }
        assert!(!doubt.now(at(1000), W) && !doubt.now(at(1003), W) && !doubt.now(at(998), W));
        assert!(doubt.now(at(1060), W), "the machine slept for a minute, or the clock was set forward");
        assert!(doubt.now(at(997), W), "the clock was set back");
        watching.abort();
    }
}
