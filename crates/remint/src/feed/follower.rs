//! One follower of the feed: what it must still be told, as frames. Begins with a hello; where it has no place in this
//! history, a snapshot follows, written while it is sent and never held whole. Never is silent for longer than a
//! heartbeat, whatever happens to others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use remint_core::event::Cursor;
use remint_core::feed::{self, Hello, SnapshotWriter};
use remint_core::id::{Audience, ClientId};
use remint_core::ledger::MAX_LEEWAY;
use remint_core::rev::Rev;
use remint_core::time::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::{BATCH, Batch, Hub, Next, after};
use crate::clock::Stopwatch;
use crate::store::{ApiById, BeforeCommit, FeedAlive, FeedAt, FeedHead, Store, StoreError};

/// What a follower needs beside the hub.
#[derive(Debug)]
pub struct Terms {
    /// Whose credential opened the stream, and the revision that the credential is of: the stream ends with it.
    pub api: (ClientId, Rev),
    /// Whose events.
    pub audience: Audience,
    /// How often to say that nothing happened, and to look whether the credential still is what it was.
    pub heartbeat: Duration,
}

/// One follower.
pub struct Follower {
    store: Store,
    terms: Terms,
    batches: broadcast::Receiver<Arc<Batch>>,
    history: watch::Receiver<u64>,
    /// The place up to which it was told; while a snapshot is under way, the place that it will be the state at.
    place: Cursor,
    /// Frames that are due.
    due: VecDeque<String>,
    stage: Stage,
    /// Since a frame left.
    quiet: Stopwatch,
    /// Since the credential was looked at.
    admitted: Stopwatch,
}

/// Where the next frames come from.
enum Stage {
    /// The table: what is still alive of the past.
    Past(Past),
    /// The table: what the hub told before this follower listened, or while it was slow.
    Behind,
    /// The hub.
    Live,
}

/// A snapshot under way.
struct Past {
    writer: SnapshotWriter,
    /// Up to which entry the table was read.
    after: (Timestamp, u64),
}

impl Hub {
    /// Begins to follow: from `last` where it lies in this history, else with a snapshot of what still matters at
    /// `now` to a verifier of whatever leeway. `hello` is sent first; its `resumed` and `cursor` are set here.
    pub async fn follow(
        &self,
        terms: Terms,
        last: Option<Cursor>,
        mut hello: Hello,
        now: Timestamp,
    ) -> Result<Follower, StoreError> {
        // Before the read: nothing falls in between.
        let (mut history, batches) = (self.history.clone(), self.batches.subscribe());
        history.mark_unchanged();
        let known = match last {
            Some(last) => self.store.read(FeedAt(last.seq)).await?.filter(|known| *known == last),
            None => None,
        };
        hello.resumed = known.is_some();
        // Not the hub's: it may be about to read it. And of the writer: a commit that is about to be over can be in one
        // snapshot and not yet in the next; behind this answer all that it names is in every one.
        hello.cursor = self.store.read(BeforeCommit(FeedHead)).await?;
        let past = || Past { writer: SnapshotWriter::default(), after: FeedAlive::at(now.minus(MAX_LEEWAY)) };
        Ok(Follower {
            store: self.store.clone(),
            terms,
            batches,
            history,
            place: known.unwrap_or(hello.cursor),
            due: VecDeque::from([feed::hello(&hello)]),
            stage: known.map_or_else(|| Stage::Past(past()), |_| Stage::Behind),
            quiet: Stopwatch::start(),
            admitted: Stopwatch::start(),
        })
    }
}

impl Follower {
    /// The next frame, or a heartbeat where none left for so long; `None` when the server closes, when the table cannot
    /// be read, when it may be another table by now, and when the credential is not what it was.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if self.history.has_changed().unwrap_or(true) {
                return None;
            }
            if self.admitted.elapsed() >= self.terms.heartbeat && !self.is_admitted().await {
                return None;
            }
            if let Some(frame) = self.due.pop_front() {
                self.quiet = Stopwatch::start();
                return Some(frame);
            }
            let left = self.terms.heartbeat.saturating_sub(self.quiet.elapsed());
            if left.is_zero() {
                self.due.push_back(self.sign_of_life());
                continue;
            }
            match self.stage {
                Stage::Past(_) | Stage::Behind => {
                    if !self.read_on().await.inspect_err(unreadable).ok()? {
                        return None; // it comes back with its place, and hears that this is another history
                    }
                }
                Stage::Live => tokio::select! {
                    () = tokio::time::sleep(left) => {} // the heartbeat is due
                    _ = self.history.changed() => return None,
                    batch = self.batches.recv() => match batch {
                        Ok(batch) => self.tell(&batch),
                        Err(RecvError::Lagged(_)) => self.stage = Stage::Behind,
                        Err(RecvError::Closed) => return None,
                    },
                },
            }
        }
    }

    /// Whether the credential still is the one that opened the stream. Where that cannot be read the stream goes on, and
    /// the question is asked again.
    async fn is_admitted(&mut self) -> bool {
        let (id, rev) = &self.terms.api;
        let api = self.store.read(ApiById(id.clone())).await;
        self.admitted = Stopwatch::start();
        api.map_or(true, |api| api.is_some_and(|api| api.rev == *rev))
    }

    /// A heartbeat names the place; amid a snapshot there is none yet.
    fn sign_of_life(&self) -> String {
        match self.stage {
            Stage::Past(_) => feed::STILL_HERE.to_owned(),
            Stage::Behind | Stage::Live => feed::heartbeat(self.place),
        }
    }

    /// Reads the table once; false where its place is none of this history.
    async fn read_on(&mut self) -> Result<bool, StoreError> {
        if let Stage::Past(past) = &mut self.stage {
            let end = self.place;
            let entries = self.store.read(FeedAlive { after: past.after, until: end.seq, limit: BATCH }).await?;
            let audience = &self.terms.audience;
            let concerning = entries.iter().filter(|entry| entry.concerns.include(audience));
            self.due.extend(concerning.filter_map(|entry| past.writer.push(&entry.text)));
            match entries.last() {
                Some(last) => past.after = (last.forget_after, last.cursor.seq),
                None => {
                    self.due.push_back(std::mem::take(&mut past.writer).finish(end));
                    self.stage = Stage::Behind;
                }
            }
            return Ok(true);
        }
        match after(&self.store, self.place).await? {
            Next::Batch(batch) => self.tell(&batch),
            Next::Nothing => self.stage = Stage::Live,
            Next::OfAnotherHistory => return Ok(false),
        }
        Ok(true)
    }

    fn tell(&mut self, batch: &Batch) {
        let (audience, seq) = (&self.terms.audience, self.place.seq);
        let fresh = batch.events.iter().filter(|told| told.entry.cursor.seq > seq);
        let concerning = fresh.filter(|told| told.entry.concerns.include(audience));
        self.due.extend(concerning.map(|told| feed::live(told.entry.cursor, told.name, &told.entry.text)));
        if batch.cursor.seq > seq {
            self.place = batch.cursor;
        }
    }
}

fn unreadable(error: &StoreError) {
    tracing::warn!(%error, "a follower of the feed is sent away: the feed cannot be read");
}
