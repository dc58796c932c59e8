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

use crate::store::{FeedAfter, FeedEntry, FeedHead, Store, StoreError};

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
}

impl Hub {
    /// Starts reading at the head of the feed. Ends when the store is closed.
    pub async fn open(store: Store) -> Result<Self, StoreError> {
        let head = store.read(FeedHead).await?;
        let (batches, _) = broadcast::channel(BEHIND);
        let (newest_in, newest) = watch::channel(head);
        tokio::spawn(pump(store.clone(), head, batches.clone(), newest_in));
        Ok(Self { store, batches, newest })
    }

    /// The newest place.
    pub fn newest(&self) -> Cursor {
        *self.newest.borrow()
    }
}

/// Reads what the store appended, and tells the followers.
async fn pump(store: Store, head: Cursor, batches: broadcast::Sender<Arc<Batch>>, newest: watch::Sender<Cursor>) {
    let (mut grew, mut seq) = (store.feed_grew(), head.seq);
    loop {
        match store.read(FeedAfter { seq, limit: BATCH }).await {
            Ok(entries) if !entries.is_empty() => {
                let Some(batch) = Batch::of(entries) else { continue };
                seq = batch.cursor.seq;
                newest.send_replace(batch.cursor);
                drop(batches.send(Arc::new(batch))); // nobody follows: nobody is told
            }
            Ok(_) => {
                if grew.changed().await.is_err() {
                    return;
                }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "the feed cannot be read");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

const RETRY: std::time::Duration = std::time::Duration::from_millis(100);

impl Batch {
    /// `None` where there is nothing.
    fn of(entries: Vec<FeedEntry>) -> Option<Self> {
        let cursor = entries.last()?.cursor;
        Some(Self { cursor, events: entries.into_iter().filter_map(Told::of).collect() })
    }
}
