//! What one node does for all: whoever has the term of a job does it, and takes the next term before its own is over. Who
//! dies takes none, and one term later another node does. Never says that a step is done once only: each step of a job is
//! right where two nodes take it at once, too.

use std::future::Future;
use std::time::Duration;

use remint_core::change::{Changes, Take, Taken};
use remint_core::time::Timestamp;

use crate::app::App;
use crate::meters;
use crate::store::{Commit, StoreError};

/// How long a term is: a job stands still for two of them at most when its node dies.
pub const TERM: Duration = Duration::from_secs(30);
/// How often a node looks at its clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many terms have counters of their own; then the first is used again. A counter is forgotten long before that, and not
/// before everybody's clock says that its term is over.
const COUNTERS: i64 = 4;

/// Does `work` whenever this node is the one to do it, until this is dropped. So `work` can be dropped at any time, and
/// begun anew here or elsewhere. Where there are no other nodes it is simply done.
pub async fn alone<W: Future<Output = ()>>(app: App, job: &'static str, work: impl Fn(App) -> W) {
    if !app.store.is_shared() {
        meters::does(job, true);
        return work(app).await;
    }
    meters::does(job, false);
    let mut asked = None;
    loop {
        let term = Term::at(app.clock.now());
        if asked != Some(term) {
            match term.take(&app, job).await {
                Ok(true) => hold(&app, job, term, work(app.clone())).await,
                Ok(false) => asked = Some(term),
                Err(error) => tracing::debug!(%error, job, "whose turn it is cannot be asked just now"),
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Works for as long as this node can take one term after the other.
async fn hold(app: &App, job: &'static str, term: Term, work: impl Future<Output = ()>) {
    tracing::info!(job, "this node does it from now on, for all nodes");
    meters::does(job, true);
    tokio::select! {
        () = work => {}
        () = over(app, job, term) => tracing::warn!(job, "this node could not take the next term: another one may do it"),
    }
    meters::does(job, false);
}

/// Ends when the job is not this node's any more: early enough for a node whose clock is ahead.
async fn over(app: &App, job: &'static str, mut term: Term) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = app.clock.now();
        if now.plus(app.settings.timing.clock_skew) >= term.next().begins() {
            return;
        }
        // What fails is tried again, as long as there is time.
        if now >= term.begins().plus(TERM / 2) && term.next().take(app, job).await.is_ok_and(|taken| taken) {
            term = term.next();
        }
    }
}

/// A stretch of time, counted from the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term(i64);

impl Term {
    fn at(now: Timestamp) -> Self {
        Self(now.secs().div_euclid(TERM.as_secs().cast_signed()))
    }

    const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    fn begins(self) -> Timestamp {
        Timestamp::from_secs(self.0 * TERM.as_secs().cast_signed())
    }

    /// Takes it, where no node has. One that does not know whether it did has not: then the job rests for a term.
    async fn take(self, app: &App, job: &str) -> Result<bool, StoreError> {
        let key = format!("job:{job}:{}", self.0.rem_euclid(COUNTERS));
        let take = Take { key, limit: 1, window: 2 * TERM, at: app.clock.now() };
        match app.store.commit(Changes::none().take(take)).await? {
            Commit::Done { taken, .. } => Ok(matches!(taken.first(), Some(Taken::Allowed { .. }))),
            Commit::Conflict { .. } => Ok(false), // a Take names no rev that could conflict
        }
    }
}
