//! The feed's hub: reads each event of the store once and hands it to everyone who follows. The table is the truth; a
//! follower that falls behind reads it. Never decides what an event means, never sends one to an audience other than
//! its notice says ([`remint_core::event::Concerns`]; what is said of a user goes to every api).

mod follower;
mod page;

use std::sync::Arc;

use remint_core::event::{Cursor, Event};
use remint_core::feed;
use tokio::sync::{broadcast, watch};

pub use follower::{Follower, Terms};
pub use page::{Places, Watcher};

use crate::store::{FeedAfter, FeedAt, FeedEntry, FeedHead, Store, StoreError};

/// How many events are read at once, and how many batches a follower may fall behind before it reads the table.
const BATCH: usize = 256;
const BEHIND: usize = 64;

/// An event ready to be sent: its name on the wire beside what the store keeps.
#[derive(Clone, Debug)]
pub struct Told {
    name: &'static str,
    event: Event,
    entry: FeedEntry,
}

impl Told {
    /// `None` where the text is no event of this version: a newer node wrote it, and no follower of ours knows it.
    fn of(entry: FeedEntry) -> Option<Self> {
        let event: Event = serde_json::from_str(&entry.text).ok()?;
        Some(Self { name: feed::type_of(&event), event, entry })
    }
}

/// One read of the feed: its events, and the place after them.
#[derive(Clone, Debug)]
struct Batch {
    cursor: Cursor,
    events: Vec<Told>,
}

/// Where followers subscribe.
pub struct Hub {
    store: Store,
    batches: broadcast::Sender<Arc<Batch>>,
    newest: watch::Receiver<Cursor>,
    /// Changes when the store was lost and found: another database may answer now, that lacks what was told.
    history: watch::Receiver<u64>,
}

impl Hub {
    /// Starts reading at the head of the feed. Ends when the store is closed.
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let head = store.read(FeedHead).await?;
        let (batches, _) = broadcast::channel(BEHIND);
        let (newest_in, newest) = watch::channel(head);
        let (history_in, history) = watch::channel(0);
        let found = store.lost_and_found();
        let pump = Pump { store: store.clone(), batches: batches.clone(), newest: newest_in, history: history_in };
        tokio::spawn(pump.run(found));
        Ok(Self { store, batches, newest, history })
    }

    /// The newest place.
    pub fn newest(&self) -> Cursor {
        *self.newest.borrow()
    }
}

/// Reads what the store appended, whichever node did, and tells the followers.
struct Pump {
    store: Store,
    batches: broadcast::Sender<Arc<Batch>>,
    newest: watch::Sender<Cursor>,
    history: watch::Sender<u64>,
}

impl Pump {
    /// Until the store is closed.
    async fn run(self, mut found: watch::Receiver<u64>) {
        let mut grew = self.store.feed_grew();
        loop {
            let read = match found.has_changed() {
                Ok(false) => self.tell().await,
                Ok(true) => {
                    found.mark_unchanged();
                    self.begin_anew().await
                }
                Err(_) => return,
            };
            match read {
                Ok(true) => {}
                Ok(false) => tokio::select! {
                    grew = grew.changed() => if grew.is_err() { return },
                    _ = found.changed() => found.mark_changed(),
                },
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "the feed cannot be read");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Tells what is new; false where nothing is.
    async fn tell(&self) -> Result<bool, StoreError> {
        let place = *self.newest.borrow();
        let batch = match after(&self.store, place).await? {
            Next::Nothing => return Ok(false),
            Next::Batch(batch) => batch,
            Next::OfAnotherHistory => return self.begin_anew().await,
        };
        self.newest.send_replace(batch.cursor);
        drop(self.batches.send(Arc::new(batch))); // nobody follows: nobody is told
        Ok(true)
    }

    /// From the head of the feed as it is now. Whoever follows is sent away, and comes back with the place that it knows:
    /// where that is none of this history any more, it gets a snapshot.
    async fn begin_anew(&self) -> Result<bool, StoreError> {
        let head = self.store.read(FeedHead).await?;
        self.newest.send_replace(head);
        self.history.send_modify(|times| *times += 1);
        tracing::info!(seq = head.seq, "the store was lost and found: whoever follows the feed comes back");
        Ok(true)
    }
}

/// What stands behind a place.
enum Next {
    Nothing,
    Batch(Batch),
    /// The place is none of this history: another database answers than before, which lacks what was told.
    OfAnotherHistory,
}

/// What stands behind `place`: events that follow on it by the chain, or where some between are forgotten, on what stands
/// there now.
async fn after(store: &Store, place: Cursor) -> Result<Next, StoreError> {
    let entries = store.read(FeedAfter { seq: place.seq, limit: BATCH }).await?;
    let follows = match entries.first() {
        None => return Ok(Next::Nothing),
        Some(first) if first.cursor.seq == place.seq + 1 => place.chain.then(&first.text) == first.cursor.chain,
        Some(_) => store.read(FeedAt(place.seq)).await?.is_none_or(|there| there == place),
    };
    Ok(Batch::of(entries).filter(|_| follows).map_or(Next::OfAnotherHistory, Next::Batch))
}

const RETRY: std::time::Duration = std::time::Duration::from_millis(100);

impl Batch {
    /// `None` where there is nothing.
    fn of(entries: Vec<FeedEntry>) -> Option<Self> {
        let cursor = entries.last()?.cursor;
        Some(Self { cursor, events: entries.into_iter().filter_map(Told::of).collect() })
    }
}
