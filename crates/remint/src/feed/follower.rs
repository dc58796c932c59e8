//! One follower of the feed: what it must still be told, as frames. Begins with a hello; where it has no place in this
//! history, a snapshot follows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use remint_core::event::Cursor;
use remint_core::feed::{self, Hello, SnapshotWriter};
use remint_core::id::Audience;
use remint_core::time::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{BATCH, Batch, Hub};
use crate::store::{FeedAfter, FeedAlive, FeedAt, FeedHead, Store, StoreError};

/// What a follower needs beside the hub.
#[derive(Debug)]
pub struct Terms {
    /// Whose events.
    pub audience: Audience,
    /// How often to say that nothing happened.
    pub heartbeat: Duration,
}

/// One follower.
pub struct Follower {
    store: Store,
    terms: Terms,
    batches: broadcast::Receiver<Arc<Batch>>,
    /// The place up to which it was told.
    place: Cursor,
    /// Frames that are due.
    due: VecDeque<String>,
}

impl Hub {
    /// Begins to follow: from `last` where it lies in this history, else with a snapshot of what still matters at
    /// `now`. `hello` is sent first; its `resumed` and `cursor` are set here.
    pub async fn follow(
        &self,
        terms: Terms,
        last: Option<Cursor>,
        mut hello: Hello,
        now: Timestamp,
    ) -> Result<Follower, StoreError> {
        let batches = self.batches.subscribe(); // before the read: nothing falls in between
        let known = match last {
            Some(last) => self.store.read(FeedAt(last.seq)).await?.filter(|known| *known == last),
            None => None,
        };
        hello.resumed = known.is_some();
        hello.cursor = self.store.read(FeedHead).await?; // not the hub's: it may be about to read it
        let store = self.store.clone();
        let mut due = VecDeque::from([feed::hello(&hello)]);
        let place = match known {
            Some(place) => place,
            None => snapshot(&store, &terms.audience, hello.cursor, now, &mut due).await?,
        };
        let mut follower = Follower { store, terms, batches, place, due };
        follower.catch_up().await?;
        Ok(follower)
    }
}

/// Everything up to `end` that is not to be forgotten yet, in parts; answers the place that it is the state at.
async fn snapshot(
    store: &Store,
    audience: &Audience,
    end: Cursor,
    now: Timestamp,
    due: &mut VecDeque<String>,
) -> Result<Cursor, StoreError> {
    let (mut writer, mut after) = (SnapshotWriter::default(), 0);
    loop {
        let entries = store.read(FeedAlive { now, after, limit: BATCH }).await?;
        let Some(last) = entries.last() else { break };
        after = last.cursor.seq;
        let concerning = entries.iter().filter(|entry| entry.cursor.seq <= end.seq && entry.concerns.include(audience));
        due.extend(concerning.filter_map(|entry| writer.push(&entry.text)));
        if after >= end.seq {
            break;
        }
    }
    due.push_back(writer.finish(end));
    Ok(end)
}

impl Follower {
    /// The next frame, or a heartbeat where nothing happens for so long; `None` when the server closes.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.due.pop_front() {
                return Some(frame);
            }
            match tokio::time::timeout(self.terms.heartbeat, self.batches.recv()).await {
                Err(_) => return Some(feed::heartbeat(self.place)),
                Ok(Ok(batch)) => self.tell(&batch),
                Ok(Err(RecvError::Lagged(_))) => self.catch_up().await.ok()?,
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
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

    /// Reads from the table what the hub told before this follower listened, or while it was slow.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        loop {
            let entries = self.store.read(FeedAfter { seq: self.place.seq, limit: BATCH }).await?;
            match Batch::of(entries) {
                Some(batch) => self.tell(&batch),
                None => return Ok(()),
            }
        }
    }
}
