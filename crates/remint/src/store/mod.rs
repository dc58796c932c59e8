//! Where sessions, users, clients, keys and the feed are kept. Two verbs: [`Store::read`] asks a [`Question`], and
//! [`Store::commit`] writes [`Changes`], all of them or none; [`Store::settle`] is both at once. Decides nothing, mints nothing, reads no wall clock.
//!
//! A row is written at the `rev` it was read at. Where that has moved, the answer is [`Commit::Conflict`] with the row
//! as it is now, and the caller decides again. So everything that may happen once only is safe against races by
//! construction.

mod append;
mod ask;
mod audit;
mod database_time;
mod documents;
mod error;
mod lists;
mod migrate;
mod order;
mod past;
mod postgres;
mod record;
mod rows;
mod sqlite;
mod take;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use remint_core::change::{Changes, Row, RowKey, Taken};
use remint_core::client::Client;
use remint_core::event::Cursor;
use remint_core::id::ClientId;
use remint_core::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::clock::Stopwatch;

use order::{Asking, Order, Queue, Settling, Wanted};

pub use ask::{
    Account, AccountById, AccountOf, ApiById, ApiFor, Apis, BeforeCommit, ChallengeById, ClientById, Clients, Counter,
    DeclaredAttributes, FeedAfter, FeedAlive, FeedAt, FeedEntry, FeedHead, Held, Holding, IdentifiersOf, Keys,
    LongestLife, Question, Reader, SenderNamed, SessionById, SessionsDerivedWith, SessionsOf, TokenRevoked, UserById,
    Users,
};
pub use audit::{AuditLog, Audited};
pub use database_time::{DatabaseTime, Off};
pub use documents::Age;
pub use error::{OpenError, StoreError};
pub use lists::{ApisListed, ClientsListed, Named, SessionsListed, UsersCalled, UsersListed};
pub use migrate::LATEST as LATEST_SCHEMA;
pub use past::{ChallengesOver, CounterLimits, FeedForgotten, SessionEnd, SessionLimits};
pub use postgres::{Step, raise_database};
pub use record::{BadColumn, Field, Param, Record};
pub use sqlite::{BadBackup, Examined, copy_of, examine, raise};
pub use take::Counted;
pub use transfer::{BadWhereabouts, MoveError, Moved, Progress, Tally, Whereabouts, relocate};

/// How the store works. The defaults fit a server with a million sessions.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Connections for questions by key: as many as threads ask.
    pub readers: usize,
    /// Questions that scan, at a time.
    pub scans: usize,
    /// Commits that may wait; one more is [`StoreError::Busy`].
    pub queue: usize,
    /// Commits that share one transaction, at most.
    pub batch: usize,
    /// The write-ahead log is moved into the data file when it has grown to so many bytes.
    pub checkpoint_bytes: u64,
    /// And when nothing was written for so long.
    pub idle_after: Duration,
    /// How long a connection waits for a lock that another program holds on the file.
    pub patience: Duration,
    /// How long a commit may wait for its turn: the server deadline, past which nothing may be committed. One that
    /// waited longer is [`StoreError::Busy`].
    pub longest_wait: Duration,
    /// Memory of the writer for pages of the data file, in bytes.
    pub cache_bytes: u64,
    /// The data file never grows beyond so many bytes: a commit that would need more is [`StoreError::Full`].
    pub max_bytes: Option<u64>,
    /// What leads a database beyond the schema of this program: so a test is the next version, beside this one.
    pub later_steps: Vec<Step>,
    /// Who vouches for the database (certificates in PEM), in place of the system's authorities.
    pub database_ca_file: Option<PathBuf>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            readers: 8,
            scans: 2,
            queue: 4096,
            batch: 512,
            checkpoint_bytes: 64 << 20,
            idle_after: Duration::from_secs(1),
            patience: Duration::from_secs(5),
            longest_wait: remint_core::policy::SERVER_DEADLINE,
            cache_bytes: 64 << 20,
            max_bytes: None,
            later_steps: Vec::new(),
            database_ca_file: None,
        }
    }
}

/// What became of [`Changes`].
#[derive(Clone, Debug, PartialEq)]
pub enum Commit {
    /// All of it is written, and on the disk.
    Done {
        /// What became of each [`Take`](remint_core::change::Take), in their order.
        taken: Vec<Taken>,
        /// The place in the feed behind the events of these changes, if they had any.
        cursor: Option<Cursor>,
    },
    /// Nothing of it is written: a row is not at the `rev` that was named.
    Conflict {
        /// Which row. For an api it may be the other one that has its audience.
        key: RowKey,
        /// The row as it is now.
        current: Option<Box<Row>>,
    },
}

impl Commit {
    /// Of changes that were none.
    const fn nothing() -> Self {
        Self::Done { taken: Vec::new(), cursor: None }
    }
}

/// The store. Clones share it. Opened in a runtime of tokio, it answers in that one: commits are awaited there, and where it
/// has ended they are [`StoreError::Unknown`].
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    reading: Reading,
    orders: RwLock<Option<SyncSender<Order>>>,
    waiting: Arc<AtomicUsize>,
    writer: Mutex<Option<JoinHandle<()>>>,
    feed_grew: watch::Receiver<u64>,
    found: watch::Receiver<u64>,
    age: watch::Receiver<Age>,
    database_time: watch::Receiver<Option<DatabaseTime>>,
    /// Closed when everybody is told.
    told: watch::Sender<()>,
}

/// Who answers questions.
enum Reading {
    Sqlite(sqlite::Reading),
    Postgres(postgres::Reading),
}

impl Reading {
    /// Answers what is being asked, then nothing any more.
    fn close(&self) {
        match self {
            Self::Sqlite(reading) => reading.close(),
            Self::Postgres(reading) => reading.close(),
        }
    }
}

impl Store {
    /// Opens the data file at `path`, or makes it, and takes the lock beside it (`path` with the extension `lock`).
    /// An earlier schema is brought to the latest. `seed` is 16 random bytes: where the history of a new file begins.
    ///
    /// # Errors
    /// Where another process has it open, where it is not a data file of ours or one of a later version, where it may
    /// not be written, and where the database or the operating system fails.
    pub fn open(path: &Path, options: StoreOptions, seed: [u8; 16]) -> Result<Self, OpenError> {
        let queue = options.queue;
        Self::opened(queue, |queue| {
            let (reading, writer) = sqlite::open(path, options, seed, queue)?;
            Ok((Reading::Sqlite(reading), writer))
        })
    }

    /// Opens the database at `url` (`postgres://user@host/database`), and makes its tables where it is empty. Several
    /// nodes may have it open. An earlier schema is brought to the latest. `seed` is 16 random bytes: where the history
    /// of a new database begins. Waits for the database, for a while.
    ///
    /// # Errors
    /// Where the URL cannot be read, where the database cannot be reached or refuses, and where it is not ours or one of
    /// a later version.
    pub fn connect(url: &str, options: StoreOptions, seed: [u8; 16]) -> Result<Self, OpenError> {
        let queue = options.queue;
        Self::opened(queue, |queue| {
            let (reading, writer) = postgres::open(url, options, seed, queue)?;
            Ok((Reading::Postgres(reading), writer))
        })
    }

    /// The store over what `open` opens, with its writer at the other end of the queue.
    fn opened(
        queue: usize,
        open: impl FnOnce(Queue) -> Result<(Reading, JoinHandle<()>), OpenError>,
    ) -> Result<Self, OpenError> {
        let (feed_grew, feed_receiver) = watch::channel(0);
        let (found, found_receiver) = watch::channel(0);
        let (age, age_receiver) = watch::channel(Age::default());
        let (time, database_time) = watch::channel(None);
        let (told, telling) = watch::channel(());
        let (sender, orders) = sync_channel(queue);
        let waiting = Arc::new(AtomicUsize::new(0));
        let waits = Arc::clone(&waiting);
        let (reading, writer) = open(Queue {
            orders,
            waiting: waits,
            feed_grew,
            found,
            age,
            time,
            lost: false,
            runtime: Handle::try_current().ok(),
            telling,
        })?;
        Ok(Self(Arc::new(Inner {
            reading,
            orders: RwLock::new(Some(sender)),
            waiting,
            writer: Mutex::new(Some(writer)),
            feed_grew: feed_receiver,
            found: found_receiver,
            age: age_receiver,
            database_time,
            told,
        })))
    }

    /// Asks a question. Its answer is one snapshot, and shows every commit that was answered before it was asked.
    ///
    /// # Errors
    /// Where the store fails; a row that is not there is an answer, not an error.
    pub async fn read<Q: Question>(&self, question: Q) -> Result<Q::Answer, StoreError> {
        if Q::BEFORE_COMMIT {
            let (answer, answered) = oneshot::channel();
            self.order(Order::Ask(Box::new(Asking { question, answer })))?;
            return answered.await.unwrap_or(Err(StoreError::Closed));
        }
        match &self.0.reading {
            Reading::Sqlite(reading) => reading.ask(question).await,
            Reading::Postgres(reading) => reading.ask(question).await,
        }
    }

    /// [`Self::read`] of what is asked for because of something that was read before, in a snapshot of that age: the answer
    /// may be as old as that, and then no other node has to be asked about.
    ///
    /// # Errors
    /// As those of [`Self::read`].
    pub async fn read_as_of<Q: Question>(&self, question: Q, seen: Option<Age>) -> Result<Q::Answer, StoreError> {
        match (&self.0.reading, seen) {
            (Reading::Postgres(reading), Some(seen)) => reading.ask_as_of(question, seen).await,
            _ => self.read(question).await,
        }
    }

    /// A client as it was read last, where reading it anew would cost a question to the database. It may have been changed
    /// since, or be gone: good only for what is decided upon another look.
    pub fn recalled(&self, client: &ClientId) -> Option<Arc<Client>> {
        match &self.0.reading {
            Reading::Sqlite(_) => None,
            Reading::Postgres(reading) => reading.recalled(client),
        }
    }

    /// Commits changes: all of them or none. What is expected is looked at first; then rows are removed, rows written,
    /// counters raised, counters forgotten, what means nothing any more forgotten, the audit log and the feed appended to. The answer comes when the disk has it. A caller that goes
    /// away does not stop it.
    ///
    /// # Errors
    /// [`StoreError::Unknown`]: it may or may not be written. With every other one nothing is.
    pub async fn commit(&self, changes: Changes) -> Result<Commit, StoreError> {
        let (answer, answered) = oneshot::channel();
        let answer = Box::new(|outcome| drop(answer.send(outcome))); // a caller that went away needs no answer
        self.order(Order::Commit(Wanted { changes, answer, waited: Stopwatch::start() }))?;
        answered.await.unwrap_or(Err(StoreError::Unknown))
    }

    /// [`Self::read`] and [`Self::commit`] at once: asks, and commits what `decide` makes of the answer. What it says
    /// beside that is given back. It is called where commits are written, and must not wait for anything.
    ///
    /// # Errors
    /// As those of the two.
    pub async fn settle<Q, T>(
        &self,
        question: Q,
        decide: impl FnOnce(Q::Answer) -> (Changes, T) + Send + 'static,
    ) -> Result<(T, Commit), StoreError>
    where
        Q: Question,
        T: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Ask(Box::new(Settling { question, decide, answer, waited: Stopwatch::start() })))?;
        answered.await.unwrap_or(Err(StoreError::Unknown))
    }

    fn order(&self, order: Order) -> Result<(), StoreError> {
        let orders = self.0.orders.read().unwrap_or_else(PoisonError::into_inner);
        let orders = orders.as_ref().ok_or(StoreError::Closed)?;
        self.0.waiting.fetch_add(1, Ordering::Relaxed); // before the writer can take it
        let refused = match orders.try_send(order) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(_)) => StoreError::Busy,
            Err(TrySendError::Disconnected(_)) => StoreError::Closed,
        };
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        Err(refused)
    }

    /// How many commits wait for the writer.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Writes everything as it stands into the file at `to`, which must be there and be empty. Readers and commits go on
    /// meanwhile; what is committed after the copy began is not in it. `now` is kept in the copy.
    ///
    /// # Errors
    /// Where the store or the file fails; then what is at `to` is of no use.
    pub async fn copy_to(&self, to: PathBuf, now: Timestamp) -> Result<(), StoreError> {
        let Reading::Sqlite(reading) = &self.0.reading else {
            return Err(StoreError::Io { what: "a database is copied by its own means: pg_dump".to_owned() });
        };
        let file = reading.file()?;
        let copied = tokio::task::spawn_blocking(move || sqlite::copy(&file, &to, now));
        copied.await.unwrap_or(Err(StoreError::Closed))
    }

    /// The number of the last event that was committed. It only wakes: what the feed holds is asked of the store.
    pub fn feed_grew(&self) -> watch::Receiver<u64> {
        self.0.feed_grew.clone()
    }

    /// Rises when the file had failed and a commit has succeeded again: for a time after it, what is stored may be
    /// older than what was answered.
    pub fn lost_and_found(&self) -> watch::Receiver<u64> {
        self.0.found.clone()
    }

    /// Whether other nodes may write to it too.
    pub fn is_shared(&self) -> bool {
        matches!(self.0.reading, Reading::Postgres(_))
    }

    /// Changes, a tenth of a second later at most, when clients, apis or keys were changed, by whatever node. Where no
    /// other node can, it never does.
    pub fn configuration_changed(&self) -> watch::Receiver<Age> {
        self.0.age.clone()
    }

    /// What time it is by the database, which all nodes share; none where there are no others. Asked ten times a second.
    pub fn database_time(&self) -> Option<DatabaseTime> {
        *self.0.database_time.borrow()
    }

    /// Closes the store for all its clones: commits that wait are written and answered, the log is moved into the data
    /// file, the lock is given back. Every later question or commit is [`StoreError::Closed`].
    pub async fn close(self) {
        let inner = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || inner.shut()).await {
            Ok(()) => self.0.told.closed().await,
            Err(error) => tracing::error!(%error, "closing the store failed"),
        }
    }
}

impl Inner {
    /// Waits until the writer has an answer for everybody.
    fn shut(&self) {
        drop(self.orders.write().unwrap_or_else(PoisonError::into_inner).take());
        self.reading.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Where the last who knew the store was a decision that the writer itself carried out, it ends by itself.
        let writer = writer.filter(|writer| writer.thread().id() != std::thread::current().id());
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of the store panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Whether a URL says where a database is.
pub(crate) fn is_database(url: &str) -> bool {
    postgres::config(url).is_ok_and(|config| !config.get_hosts().is_empty())
}

/// Takes the lock beside the data file at `path`, which need not be there: nobody opens it as long as the answer lives.
///
/// # Errors
/// Where another process has it, and where the file system refuses.
pub fn lock(path: &Path) -> Result<std::fs::File, OpenError> {
    sqlite::lock_beside(path)
}
