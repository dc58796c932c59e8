//! The keys of an installation: made, sealed, announced, rotated, withdrawn. Reads never wait: they see the ring as it
//! stood at the last change, whichever node made it. Never signs (that is the mint's), never shows a private half.

mod ending;
mod master;
mod ring;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use remint_core::audit::{Act, Doer, Entry, Target};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::jwk::{Algorithm, SigningKey};
use remint_core::jwks::Jwks;
use remint_core::key::{self, Key, KeyState, Lives, NoSuchKey, Plan, Purpose, Rotation, Sealed};
use remint_core::notice;
use remint_core::policy::Timing;
use remint_core::refresh::MacKeyId;
use remint_core::rev::Rev;
use remint_core::secret::MacKey;
use remint_core::time::Timestamp;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

pub use self::master::{BadMasterKey, MasterKey};
use self::ring::Ring;
use crate::clock::{Clock, Stopwatch};
use crate::entropy::Entropy;
use crate::settings::KeyLives;
use crate::store::{Commit, Keys, LongestLife, Store, StoreError};

/// Why the keyring could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Not one key opens.
    #[error("no key of this data directory opens with this master key: give the one that it was started with first")]
    WrongMasterKey,
    /// Others open, this one does not, or is not what its row says.
    #[error(
        "the key `{kid}` does not open, though others do: its row was changed from outside, restore it from a backup"
    )]
    Damaged {
        /// The key.
        kid: String,
    },
    /// There are keys, but none that derives refresh tokens.
    #[error("the keyring has no current refresh key: its rows were changed from outside, restore them from a backup")]
    NoRefreshKey,
    /// More keys than a key set may list, or two with one id.
    #[error("the keyring holds too many keys, or two with one id")]
    TooMany,
    /// No number is left for a refresh key.
    #[error("no number is left for another refresh key")]
    NoNumberLeft,
    /// The cryptography library failed.
    #[error("the key for {purpose} could not be made")]
    NotMade {
        /// What it was for.
        purpose: Purpose,
    },
    /// There is no key of that id.
    #[error(transparent)]
    NoSuchKey(#[from] NoSuchKey),
    /// Other nodes were first too often: try again.
    #[error("the keyring is being changed by another node: try again")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often a decision is made again because another node was first.
const MAX_CONFLICTS: u32 = 8;

/// The keys of an installation. Clones are the same keyring.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    store: Store,
    master: MasterKey,
    clock: Clock,
    entropy: Entropy,
    lives: KeyLives,
    timing: Timing,
    dummy: MacKey,
    ring: ArcSwap<Ring>,
    /// Held by whoever changes keys: one change at a time on this node.
    turn: Mutex<()>,
    /// Held by whoever reads keys to put them into use; since when the last reading that came to an end was under way.
    reading: Mutex<Option<Stopwatch>>,
    /// Held by whoever ends the sessions of withdrawn keys.
    sweep: Mutex<()>,
}

/// What is public about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id.
    pub kid: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is in its life.
    pub state: KeyState,
    /// Since when it is there.
    pub since: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a next key signs.
    pub signs_at: Option<Timestamp>,
}

/// What a command to rotate came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// This key signs.
    Now {
        /// Its id.
        kid: String,
        /// Whether verifiers may not know it yet: for up to `jwks_max_age` some may refuse its tokens.
        early: bool,
    },
    /// This key is announced.
    Later {
        /// Its id.
        kid: String,
        /// When it signs.
        signs_at: Timestamp,
    },
}

/// What a withdrawal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// The key in use now for the same purpose.
    pub current: String,
    /// Sessions that ended with a refresh key.
    pub sessions_ended: u64,
}

impl Keyring {
    /// Opens the keyring of a store; the first time, makes the first key of ES256 and the first refresh key.
    ///
    /// # Errors
    /// [`KeyringError::WrongMasterKey`], [`KeyringError::Damaged`], and what the store fails with.
    pub async fn open(
        store: Store,
        master: MasterKey,
        clock: Clock,
        entropy: Entropy,
        lives: KeyLives,
        timing: Timing,
    ) -> Result<Self, KeyringError> {
        let changed = store.configuration_changed(); // before the read: nothing falls in between
        let mut rows = store.read(Keys).await?;
        for _ in 0..MAX_CONFLICTS {
            if rows.iter().any(|key| key.purpose == Purpose::Refresh) {
                let ring = ArcSwap::from_pointee(Ring::open(rows, &master)?);
                let dummy = MacKey::from_bytes(&entropy.bytes());
                let (turn, reading, sweep) = (Mutex::default(), Mutex::default(), Mutex::default());
                let inner = Inner { store, master, clock, entropy, lives, timing, dummy, ring, turn, reading, sweep };
                let inner = Arc::new(inner);
                watch::begin(&inner, changed);
                return Ok(Self(inner));
            }
            let workshop = Workshop { master: &master, entropy: &entropy, now: clock.now() };
            let mut first = Changes::none();
            for purpose in [Purpose::Refresh, Purpose::Sign(Algorithm::Es256)] {
                first = first.write(Row::Key(workshop.make(&rows, purpose, KeyState::Current).await?));
            }
            store.commit(first).await?; // a conflict says that another node made the first keys
            rows = store.read(Keys).await?;
        }
        Err(KeyringError::Contended)
    }

    /// The key that new refresh tokens are derived with.
    pub fn current_refresh(&self) -> (MacKeyId, MacKey) {
        self.0.ring.load().current_refresh()
    }

    /// A refresh key by its number: next, current or retired, never a withdrawn one.
    pub fn refresh_key(&self, id: MacKeyId) -> Option<MacKey> {
        self.0.ring.load().refresh_key(id)
    }

    /// A key that no token was derived with, to do the same work where there is no key.
    pub fn dummy_refresh_key(&self) -> &MacKey {
        &self.0.dummy
    }

    /// The key that signs with `algorithm`; `None` until [`Self::ensure`] made it.
    pub fn signer(&self, algorithm: Algorithm) -> Option<Arc<SigningKey>> {
        self.0.ring.load().signer(algorithm)
    }

    /// The keys that tokens are verified with: next, current and retired ones.
    pub fn verification_keys(&self) -> Arc<Jwks> {
        self.0.ring.load().verification.clone()
    }

    /// The same keys as the document that `/oauth2/jwks` answers (RFC 7517 section 5).
    pub fn jwks_document(&self) -> Arc<str> {
        self.0.ring.load().document.clone()
    }

    /// How long that document may be cached.
    pub fn jwks_max_age(&self) -> Duration {
        self.0.lives.jwks_max_age
    }

    /// A key for one use, the same on every node and after every start.
    pub fn derived(&self, for_what: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.master.derived(for_what).as_slice())
    }

    /// Seals something of an installation that is no key; it opens under the same name and purpose only. `None` where the
    /// cryptography library fails.
    pub fn seal(&self, name: &str, purpose: &'static str, secret: &[u8]) -> Option<Sealed> {
        self.0.master.seal(name, purpose, secret)
    }

    /// Opens what [`Self::seal`] made; `None` where this is another master key, another row, or not what was sealed.
    pub fn unseal(&self, name: &str, purpose: &'static str, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        self.0.master.open(name, purpose, sealed)
    }

    /// What is public about every key, in order of purpose, then of age.
    pub fn list(&self) -> Vec<KeyInfo> {
        let ring = self.0.ring.load();
        let mut all: Vec<_> = ring.rows.iter().map(|key| self.info(key)).collect();
        all.sort_by(|a, b| (a.purpose, a.created_at, &a.kid).cmp(&(b.purpose, b.created_at, &b.kid)));
        all
    }

    fn info(&self, key: &Key) -> KeyInfo {
        let signs_at = (key.state == KeyState::Next).then(|| key.since.plus(self.0.lives.jwks_max_age));
        let Key { purpose, state, since, created_at, .. } = *key;
        KeyInfo { kid: key.kid.clone(), purpose, state, since, created_at, signs_at }
    }

    /// Sees to it that there is a key for `algorithm`: an RSA key is made only when an api asks for it.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn ensure(&self, algorithm: Algorithm) -> Result<(), KeyringError> {
        if self.signer(algorithm).is_some() {
            return Ok(());
        }
        let (now, purpose) = (self.0.clock.now(), Purpose::Sign(algorithm));
        let entry = Doer::server().did(Act::KeysRotated, Target::Keys(purpose.as_str().into()), now);
        self.change(entry, |rows, lives| Ok((vec![(purpose, key::due(rows, purpose, lives, now))], ()))).await
    }

    /// Does what is due at `now`, for every purpose that has keys, and goes on ending the sessions of withdrawn refresh
    /// keys. Calling it twice is calling it once. Keys that other nodes changed are taken over.
    ///
    /// # Errors
    /// [`KeyringError`]; the keys in use stay as they were.
    pub async fn tick(&self, now: Timestamp) -> Result<(), KeyringError> {
        let due = |rows: &[Key], lives: &Lives| {
            let mut purposes: Vec<_> = rows.iter().map(|key| key.purpose).collect();
            purposes.sort_unstable();
            purposes.dedup();
            let plan = |purpose| (purpose, key::due(rows, purpose, lives, now));
            Ok((purposes.into_iter().map(plan).collect(), ()))
        };
        self.change(Doer::server().did(Act::KeysRotated, Target::Keys("due".into()), now), due).await?;
        self.end_sessions_of_withdrawn(now).await.map(drop)
    }

    /// Rotates the keys of `purpose` by command; with `at_once` before verifiers can know the new key.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn rotate(&self, purpose: Purpose, at_once: bool, doer: &Doer) -> Result<Rotated, KeyringError> {
        let now = self.0.clock.now();
        let rotation = |rows: &[Key], lives: &Lives| {
            let (plan, outcome) = match key::rotation(rows, purpose, lives, at_once, now) {
                Rotation::Now { plan, early } => (plan, Ok(early)),
                Rotation::Later { plan, signs_at } => (plan, Err(signs_at)),
            };
            Ok((vec![(purpose, plan)], outcome))
        };
        let entry = doer.did(Act::KeysRotated, Target::Keys(purpose.as_str().into()), now);
        match self.change(entry, rotation).await? {
            Ok(early) => Ok(Rotated::Now { kid: self.kid(purpose, KeyState::Current)?, early }),
            Err(signs_at) => Ok(Rotated::Later { kid: self.kid(purpose, KeyState::Next)?, signs_at }),
        }
    }

    /// Withdraws a key that must not be believed any more: a signing key goes out on the feed in the same commit, the
    /// sessions of a refresh key end. Until they all have, their tokens are refused because the key is not given. A
    /// log-in or refresh that had taken the key already and commits behind the sweep is ended by [`Self::tick`].
    ///
    /// # Errors
    /// [`KeyringError::NoSuchKey`] among others. Where ending sessions failed half way, [`Self::tick`] goes on.
    pub async fn withdraw(&self, kid: &str, doer: &Doer) -> Result<Withdrawn, KeyringError> {
        let now = self.0.clock.now();
        let withdrawal = |rows: &[Key], _: &Lives| {
            let plan = key::withdrawal(rows, kid, now)?;
            let purpose = rows.iter().find(|key| key.kid == kid).map_or(Purpose::Refresh, |key| key.purpose);
            Ok((vec![(purpose, plan)], purpose))
        };
        let entry = doer.did(Act::KeyWithdrawn, Target::Key(kid.to_owned()), now);
        let purpose = self.change(entry, withdrawal).await?;
        let sessions_ended = self.end_sessions_of_withdrawn(now).await?;
        Ok(Withdrawn { current: self.kid(purpose, KeyState::Current)?, sessions_ended })
    }

    fn kid(&self, purpose: Purpose, state: KeyState) -> Result<String, KeyringError> {
        let ring = self.0.ring.load();
        let key = ring.rows.iter().find(|key| key.purpose == purpose && key.state == state);
        key.map(|key| key.kid.clone()).ok_or(KeyringError::Contended)
    }

    /// Decides on the rows as they stand at the time of the entry that tells of it, commits, and decides again where
    /// another node was first.
    async fn change<T>(
        &self,
        entry: Entry,
        decide: impl Fn(&[Key], &Lives) -> Result<(Vec<(Purpose, Plan)>, T), KeyringError>,
    ) -> Result<T, KeyringError> {
        let _turn = self.0.turn.lock().await;
        for _ in 0..MAX_CONFLICTS {
            let rows = self.read().await?;
            let lives = self.lives().await?;
            let (plans, outcome) = decide(&rows, &lives)?;
            if plans.iter().all(|(_, plan)| plan.is_empty()) {
                return Ok(outcome);
            }
            let changes = self.changes(&rows, plans, &lives, entry.at).await?;
            if let Commit::Done { .. } = self.0.store.commit(changes.audit(entry.clone())).await? {
                self.read().await?;
                return Ok(outcome);
            }
        }
        Err(KeyringError::Contended)
    }

    /// Puts the rows into use, where they are not yet.
    fn adopt(&self, rows: &[Key]) -> Result<(), KeyringError> {
        if self.0.ring.load().rows != rows {
            self.0.ring.store(Arc::new(Ring::open(rows.to_vec(), &self.0.master)?));
        }
        Ok(())
    }

    async fn lives(&self) -> Result<Lives, KeyringError> {
        let KeyLives { jwks_max_age, rotate_every } = self.0.lives;
        Ok(Lives { jwks_max_age, rotate_every, longest_token: self.0.store.read(LongestLife).await? })
    }

    /// The plans as one commit. It always writes the row of the current refresh key, changed or not: so of two nodes
    /// that change keys at once one meets a conflict, and no purpose ever has two current keys.
    async fn changes(
        &self,
        rows: &[Key],
        plans: Vec<(Purpose, Plan)>,
        lives: &Lives,
        now: Timestamp,
    ) -> Result<Changes, KeyringError> {
        let workshop = Workshop { master: &self.0.master, entropy: &self.0.entropy, now };
        let mut changes = Changes::none();
        for (purpose, plan) in plans {
            for key in plan.moved {
                if key.state == KeyState::Withdrawn && key.purpose != Purpose::Refresh {
                    changes = changes.notice(notice::key_withdrawn(key.kid.clone(), lives.horizon(), now));
                }
                changes = changes.write(Row::Key(key));
            }
            for key in plan.removed {
                changes = changes.delete(RowKey::Key(key.kid), key.rev);
            }
            if let Some(state) = plan.made {
                changes = changes.write(Row::Key(workshop.make(rows, purpose, state).await?));
            }
        }
        let anchor = |key: &&Key| key.purpose == Purpose::Refresh && key.state == KeyState::Current;
        let anchor = rows.iter().find(anchor).ok_or(KeyringError::NoRefreshKey)?;
        let written = changes.writes.iter().any(|row| row.key() == RowKey::Key(anchor.kid.clone()));
        Ok(if written { changes } else { changes.write(Row::Key(anchor.clone())) })
    }
}

/// What making a key takes.
struct Workshop<'a> {
    master: &'a MasterKey,
    entropy: &'a Entropy,
    now: Timestamp,
}

impl Workshop<'_> {
    /// A new key, sealed, as a row; made where it does not hold up those who serve.
    async fn make(&self, rows: &[Key], purpose: Purpose, state: KeyState) -> Result<Key, KeyringError> {
        let entropy = self.entropy.clone();
        let fresh = tokio::task::spawn_blocking(move || ring::fresh(purpose, &entropy)).await.ok().flatten();
        let fresh = fresh.ok_or(KeyringError::NotMade { purpose })?;
        let (kid, public) = match fresh.public {
            Some((kid, public)) => (kid.as_str().to_owned(), Some(public)),
            None => (key::next_mac_key_id(rows).ok_or(KeyringError::NoNumberLeft)?.0.to_string(), None),
        };
        let sealed = self.master.seal(&kid, purpose, &fresh.secret).ok_or(KeyringError::NotMade { purpose })?;
        Ok(Key { kid, purpose, state, since: self.now, created_at: self.now, sealed, public, rev: Rev::NEW })
    }
}
