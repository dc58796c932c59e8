//! Follows the issuer's feed and keeps the ledger: a snapshot, then every event as it happens, again from the same place
//! after a break. Knows how fresh its knowledge is; what to do when it is not is the owner's choice. Never sits between
//! a request and its answer.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use remint_core::event::{Cursor, Event};
use remint_core::feed::{BadMessage, BadStream, FrameReader, Hello, Message};
use remint_core::ledger::{Facts, Ledger, LedgerFull, Verdict};
use remint_core::time::Timestamp;
use reqwest::{Response, Url};
use tokio::sync::watch;

use crate::builder::{Credential, Feed, MAX_LEEWAY, OnLag};
use crate::cache::TokenCache;
use crate::fetch::{Fetch, FetchError};
use crate::keys::Keys;
use crate::reject::Reject;
use crate::state::{Clock, jittered};

/// How many entries are forgotten while requests wait.
const FORGET_SLICE: usize = 1000;

/// How many heartbeats may be missed before the connection is given up.
const MISSED_HEARTBEATS: u32 = 3;

/// How long to wait for the first message, and the bounds of the patience afterwards.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
const LEAST_PATIENCE: Duration = Duration::from_millis(500);

/// Between two connections: doubled from the first to the last, with jitter.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LAST_BACKOFF: Duration = Duration::from_secs(15);

/// How fresh the guard's knowledge of ended sessions and changed records is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The feed was heard within its limit.
    Fresh,
    /// It has been silent for longer than [`Feed::lagging_after`].
    Lagging,
    /// It has been silent for longer than [`Feed::lost_after`], or was never heard.
    Lost,
}

/// What requests ask: the ledger, and how fresh it is.
pub(crate) struct FeedState {
    settings: Feed,
    clock: Arc<dyn Clock>,
    ledger: RwLock<Ledger>,
    /// Ticks in microseconds when something was last heard, plus one; zero while nothing that counts was.
    heard: AtomicU64,
    /// The same moment by the wall clock: a machine that slept shows it only here.
    heard_at: AtomicI64,
    place: watch::Sender<Option<Cursor>>,
    leeway_ms: AtomicU64,
}

impl FeedState {
    pub(crate) fn new(settings: Feed, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings,
            clock,
            ledger: RwLock::default(),
            heard: AtomicU64::new(0),
            heard_at: AtomicI64::new(0),
            place: watch::Sender::new(None),
            leeway_ms: AtomicU64::new(u64::MAX),
        }
    }

    /// The leeway that the issuer advises, once it has.
    pub(crate) fn advised_leeway(&self) -> Option<Duration> {
        match self.leeway_ms.load(Ordering::Relaxed) {
            u64::MAX => None,
            ms => Some(Duration::from_millis(ms).min(MAX_LEEWAY)),
        }
    }

    pub(crate) fn standing(&self, now: Timestamp) -> Standing {
        let heard = self.heard.load(Ordering::Acquire);
        if heard == 0 {
            return Standing::Lost;
        }
        let by_ticks = self.clock.ticks().saturating_sub(Duration::from_micros(heard - 1));
        let by_wall = now.since(Timestamp::from_micros(self.heard_at.load(Ordering::Relaxed)));
        match by_ticks.max(by_wall) {
            silence if silence > self.settings.lost_after => Standing::Lost,
            silence if silence > self.settings.lagging_after => Standing::Lagging,
            _ => Standing::Fresh,
        }
    }

    /// What the ledger says of a token, if it may be asked at all.
    pub(crate) fn judge(&self, facts: &Facts, now: Timestamp) -> Result<Verdict, Reject> {
        match self.choice(now) {
            OnLag::Serve => Ok(self.last_known(facts)),
            OnLag::Refuse | OnLag::Introspect => Err(Reject::FeedLagging),
        }
    }

    /// What the ledger says, however old it is: an ending that it knows stays one.
    pub(crate) fn last_known(&self, facts: &Facts) -> Verdict {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner).judge(facts)
    }

    /// By whose credential the issuer is to be asked about a token now, if it is.
    pub(crate) fn introspects_as(&self, now: Timestamp) -> Option<&Credential> {
        (self.choice(now) == OnLag::Introspect).then_some(&self.settings.credential)
    }

    fn choice(&self, now: Timestamp) -> OnLag {
        match self.standing(now) {
            Standing::Fresh => OnLag::Serve,
            Standing::Lagging => self.settings.on_lagging,
            Standing::Lost => self.settings.on_lost,
        }
    }

    /// Waits until everything up to the event with this number was heard.
    pub(crate) async fn heard(&self, seq: u64) {
        let mut place = self.place.subscribe();
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = place.wait_for(|place| place.is_some_and(|place| place.seq >= seq)).await;
    }

    /// Waits for the first snapshot.
    pub(crate) async fn ready(&self) {
        self.heard(0).await;
    }

    fn touch(&self) {
        self.heard_at.store(self.clock.now().micros(), Ordering::Relaxed);
        let ticks = u64::try_from(self.clock.ticks().as_micros()).unwrap_or(u64::MAX - 1);
        self.heard.store(ticks + 1, Ordering::Release);
    }

    fn forget(&self) {
        let now = self.clock.now();
        let slice = || self.ledger.write().unwrap_or_else(PoisonError::into_inner).forget(now, FORGET_SLICE);
        while slice() {}
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    #[error("the issuer closed the feed")]
    Closed,
    #[error(transparent)]
    Stream(#[from] BadStream),
    #[error(transparent)]
    Message(#[from] BadMessage),
    #[error(transparent)]
    Full(#[from] LedgerFull),
    #[error("the feed does not begin as it should")]
    OutOfOrder,
    #[error("the feed is that of issuer {issuer} for audience {audience}: check issuer, audience and credential")]
    NotOurs { issuer: String, audience: String },
}

impl Broken {
    /// Whether something that was sent may be missing from the ledger: then nothing that is known may be built upon.
    const fn leaves_a_gap(&self) -> bool {
        match self {
            Self::Fetch(_) | Self::Silent(_) | Self::Closed => false,
            Self::Stream(_) | Self::Message(_) | Self::Full(_) | Self::OutOfOrder | Self::NotOurs { .. } => true,
        }
    }
}

/// The task that follows the feed.
pub(crate) struct Follower {
    pub(crate) state: Arc<FeedState>,
    pub(crate) fetch: Fetch,
    pub(crate) url: Url,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) cache: TokenCache,
    pub(crate) keys: Arc<Keys>,
}

/// How far a connection has come.
#[expect(clippy::large_enum_variant, reason = "there is one of them for each connection")]
enum Phase {
    Greeting,
    Snapshot(Ledger),
    Live,
}

impl Follower {
    pub(crate) async fn follow(self) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let came_alive;
            let place = *self.state.place.borrow();
            let cause = match self.fetch.feed(&self.url, &self.state.settings.credential, place).await {
                Ok(stream) => {
                    let mut connection = Connection::new(&self, place);
                    let cause = connection.run(stream).await;
                    came_alive = matches!(connection.phase, Phase::Live);
                    cause
                }
                Err(cause) => {
                    came_alive = false;
                    cause.into()
                }
            };
            tracing::warn!(%cause, "the feed was interrupted");
            if cause.leaves_a_gap() {
                self.state.heard.store(0, Ordering::Release);
                self.state.place.send_replace(None);
            }
            backoff = if came_alive { FIRST_BACKOFF } else { (backoff * 2).min(LAST_BACKOFF) };
            tokio::time::sleep(jittered(backoff)).await;
        }
    }
}

impl Follower {
    /// A key that was withdrawn has a successor, and the guard is not to learn of it from the first token alone.
    fn look_for_keys(&self, event: &Event) {
        if let Event::KeyWithdrawn { kid, .. } = event {
            self.keys.withdrawn(kid);
        }
    }
}

struct Connection<'f> {
    follower: &'f Follower,
    asked: Option<Cursor>,
    phase: Phase,
    patience: Duration,
}

impl<'f> Connection<'f> {
    fn new(follower: &'f Follower, asked: Option<Cursor>) -> Self {
        Self { follower, asked, phase: Phase::Greeting, patience: FIRST_MESSAGE }
    }

    /// Reads until the connection breaks.
    async fn run(&mut self, mut stream: Response) -> Broken {
        let mut reader = FrameReader::default();
        loop {
            let bytes = match tokio::time::timeout(self.patience, stream.chunk()).await {
                Err(_) => return Broken::Silent(self.patience),
                Ok(Err(cause)) => return FetchError::NoAnswer(cause.without_url()).into(),
                Ok(Ok(None)) => return Broken::Closed,
                Ok(Ok(Some(bytes))) => bytes,
            };
            if let Err(broken) = self.heard(&mut reader, &bytes) {
                return broken;
            }
        }
    }

    fn heard(&mut self, reader: &mut FrameReader, bytes: &[u8]) -> Result<(), Broken> {
        for frame in reader.push(bytes)? {
            self.message(Message::read(&frame)?)?;
        }
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), Broken> {
        match (&mut self.phase, message) {
            (Phase::Greeting, Message::Hello(hello)) => self.greeted(&hello)?,
            (Phase::Snapshot(ledger), Message::Snapshot(events)) => {
                events.iter().try_for_each(|event| ledger.apply(event, MAX_LEEWAY))?;
                events.iter().for_each(|event| self.follower.look_for_keys(event));
            }
            (Phase::Snapshot(ledger), Message::SnapshotEnd(place)) => {
                let ledger = std::mem::take(ledger);
                self.replace(ledger, place);
            }
            (Phase::Live, Message::Live { cursor, event }) => {
                let ledger = &self.follower.state.ledger;
                ledger.write().unwrap_or_else(PoisonError::into_inner).apply(&event, MAX_LEEWAY)?;
                self.follower.look_for_keys(&event);
                self.now_at(cursor);
            }
            (Phase::Live, Message::Heartbeat(cursor)) => {
                self.now_at(cursor);
                self.follower.state.forget();
            }
            (Phase::Live, Message::Unknown(Some(cursor))) => self.now_at(cursor),
            (_, Message::Unknown(_) | Message::Heartbeat(_)) => {}
            _ => return Err(Broken::OutOfOrder),
        }
        Ok(())
    }

    fn greeted(&mut self, hello: &Hello) -> Result<(), Broken> {
        let follower = self.follower;
        if hello.issuer != follower.issuer || hello.audience != follower.audience {
            return Err(Broken::NotOurs { issuer: hello.issuer.clone(), audience: hello.audience.clone() });
        }
        if hello.resumed && self.asked.is_none() {
            return Err(Broken::OutOfOrder);
        }
        self.patience = (hello.heartbeat() * MISSED_HEARTBEATS).max(LEAST_PATIENCE);
        follower.state.leeway_ms.store(hello.leeway_ms.min(u64::MAX - 1), Ordering::Relaxed);
        self.phase = if hello.resumed { Phase::Live } else { Phase::Snapshot(Ledger::new()) };
        if hello.resumed && self.asked == Some(hello.cursor) {
            follower.state.touch(); // nothing was missed: this is news as good as a heartbeat
        }
        Ok(())
    }

    /// A new history: what was known and what was verified before is void.
    fn replace(&mut self, ledger: Ledger, place: Cursor) {
        let state = &self.follower.state;
        let old = std::mem::replace(&mut *state.ledger.write().unwrap_or_else(PoisonError::into_inner), ledger);
        self.follower.cache.void();
        self.phase = Phase::Live;
        self.now_at(place);
        drop(old); // a large one takes a moment, and by now nobody waits for it
    }

    fn now_at(&self, place: Cursor) {
        let state = &self.follower.state;
        state.touch();
        state.place.send_replace(Some(place));
    }
}
