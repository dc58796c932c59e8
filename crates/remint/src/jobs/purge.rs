//! Removes what is over and means nothing to anybody any more: sessions, events of the feed, counters, codes that
//! were sent. What that is says [`remint_core::retention`]. A few hundred rows a commit, and nine times as long as that took in between: whoever
//! waits for the store waits for one small commit at most. Never removes anything while the time is in doubt.

use std::time::Duration;

use remint_core::change::{Changes, Forgotten, RowKey};
use remint_core::retention;
use remint_core::rev::Rev;
use remint_core::time::Timestamp;

use crate::app::App;
use crate::clock::Stopwatch;
use crate::grant::MAX_CONFLICTS;
use crate::meters;
use crate::store::{ChallengesOver, Commit, CounterLimits, FeedForgotten, SessionLimits, StoreError};

/// Rows that are looked at by one question, and removed by one commit.
pub const SLICE: usize = 250;
/// After the start: first whoever waited for the server is served.
const FIRST_AFTER: Duration = Duration::from_secs(15 * 60);
/// From the end of one pass to the next.
const EVERY: Duration = Duration::from_secs(3600);
/// After a start on old data, a stall or a moved clock nothing is removed for so long: whoever sees that the time is
/// wrong can still set it right.
const DOUBTFUL: Duration = Duration::from_secs(600);

/// How much of the store's time the purge takes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two slices, at least.
    pub least_pause: Duration,
    /// Between two slices, as a multiple of what the slice took.
    pub times: u32,
}

impl Pace {
    /// A tenth of the writer at most.
    pub const GENTLE: Self = Self { least_pause: Duration::from_millis(20), times: 9 };
    /// Without a pause: where nobody else is served.
    pub const AT_ONCE: Self = Self { least_pause: Duration::ZERO, times: 0 };

    async fn rest(self, took: Duration) {
        tokio::time::sleep(self.least_pause.max(took.saturating_mul(self.times))).await;
    }
}

/// What one pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Sessions.
    pub sessions: u64,
    /// Events of the feed.
    pub events: u64,
    /// Counters.
    pub counters: u64,
    /// Codes that were sent.
    pub challenges: u64,
}

/// Purges until it is dropped.
pub async fn run(app: App) {
    tokio::time::sleep(FIRST_AFTER).await;
    loop {
        match pass(&app, Pace::GENTLE).await {
            Ok(purged) if purged == Purged::default() => tracing::debug!("nothing was over long enough to be removed"),
            Ok(Purged { sessions, events, counters, challenges }) => {
                tracing::info!(sessions, events, counters, challenges, "removed what was over long enough");
            }
            Err(error) => tracing::warn!(%error, "what is over could not be removed: it is tried again later"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes everything that may go now. Nothing, where the time is in doubt.
///
/// # Errors
/// Where the store fails; what was removed until then stays removed.
pub async fn pass(app: &App, pace: Pace) -> Result<Purged, StoreError> {
    let counted = Purged {
        sessions: sessions(app, pace).await?,
        events: events(app, pace).await?,
        counters: counters(app, pace).await?,
        challenges: challenges(app, pace).await?,
    };
    Ok(counted)
}

/// The time, unless it is in doubt.
fn sure_now(app: &App) -> Option<Timestamp> {
    let now = app.clock.now();
    (!app.doubt.now(now, DOUBTFUL)).then_some(now)
}

async fn sessions(app: &App, pace: Pace) -> Result<u64, StoreError> {
    let (mut after, mut gone, horizon) = (None, 0, app.horizon().await?);
    while let Some(now) = sure_now(app) {
        let took = Stopwatch::start();
        let slice = app.store.read(SessionLimits { after, limit: SLICE }).await?;
        let Some(last) = slice.last() else { break };
        after = Some(last.sid);
        let over = slice.into_iter().filter(|row| row.limits.are_forgotten(horizon, now));
        gone += removed(app, over.map(|row| (RowKey::Session(row.sid), row.rev)).collect()).await?;
        pace.rest(took.elapsed()).await;
    }
    meters::purged("session", gone);
    Ok(gone)
}

/// Removes rows at their `rev`. One that was written meanwhile stays: a later pass looks at it again.
async fn removed(app: &App, mut deletes: Vec<(RowKey, Rev)>) -> Result<u64, StoreError> {
    for _ in 0..MAX_CONFLICTS {
        if deletes.is_empty() {
            break;
        }
        match app.store.commit(Changes { deletes: deletes.clone(), ..Changes::none() }).await? {
            Commit::Done { .. } => return Ok(deletes.len() as u64),
            Commit::Conflict { key, .. } => deletes.retain(|(other, _)| *other != key),
        }
    }
    Ok(0)
}

async fn events(app: &App, pace: Pace) -> Result<u64, StoreError> {
    let mut gone = 0;
    while let Some(now) = sure_now(app) {
        let took = Stopwatch::start();
        let by = retention::events_forgotten_by(now);
        let slice = app.store.read(FeedForgotten { by, limit: SLICE }).await?;
        if slice.is_empty() {
            break;
        }
        gone += forget(app, slice.into_iter().map(Forgotten::Event).collect()).await?;
        pace.rest(took.elapsed()).await;
    }
    meters::purged("event", gone);
    Ok(gone)
}

async fn counters(app: &App, pace: Pace) -> Result<u64, StoreError> {
    let (mut after, mut gone) = (String::new(), 0);
    while let Some(now) = sure_now(app) {
        let took = Stopwatch::start();
        let by = retention::counters_forgotten_by(now);
        let slice = app.store.read(CounterLimits { after, limit: SLICE }).await?;
        let Some((last, _)) = slice.last() else { break };
        after = last.clone();
        let over = slice.into_iter().filter(|(_, expires_at)| *expires_at <= by);
        gone += forget(app, over.map(|(key, _)| Forgotten::Counter { key, by }).collect()).await?;
        pace.rest(took.elapsed()).await;
    }
    meters::purged("counter", gone);
    Ok(gone)
}

async fn challenges(app: &App, pace: Pace) -> Result<u64, StoreError> {
    let mut gone = 0;
    while let Some(now) = sure_now(app) {
        let took = Stopwatch::start();
        let by = retention::challenges_forgotten_by(now);
        let slice = app.store.read(ChallengesOver { by, limit: SLICE }).await?;
        let over = slice.into_iter().map(|(id, rev)| (RowKey::Challenge(id), rev));
        let went = removed(app, over.collect()).await?;
        if went == 0 {
            break;
        }
        gone += went;
        pace.rest(took.elapsed()).await;
    }
    meters::purged("challenge", gone);
    Ok(gone)
}

async fn forget(app: &App, forgotten: Vec<Forgotten>) -> Result<u64, StoreError> {
    let many = forgotten.len() as u64;
    if many > 0 {
        app.store.commit(Changes { forgotten, ..Changes::none() }).await?;
    }
    Ok(many)
}
