//! The keys of an installation and their lives: next, current, retired, withdrawn, gone. Decides what is due and what a
//! command does, as values. The private half is sealed under the master key; this room never sees it open, makes no
//! key, reads no clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jwk::{Algorithm, Jwk};
use crate::policy::LONGEST;
use crate::refresh::MacKeyId;
use crate::rev::Rev;
use crate::time::Timestamp;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Signs access tokens, by this algorithm.
    Sign(Algorithm),
    /// Derives refresh tokens.
    Refresh,
}

impl Purpose {
    /// The word for it: the algorithm's name, or `refresh`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sign(algorithm) => algorithm.as_str(),
            Self::Refresh => "refresh",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no purpose of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is for `refresh` or for one of ES256, EdDSA, RS256, PS256")]
pub struct UnknownPurpose;

impl FromStr for Purpose {
    type Err = UnknownPurpose;

    fn from_str(text: &str) -> Result<Self, UnknownPurpose> {
        match text {
            "refresh" => Ok(Self::Refresh),
            text => text.parse().map(Self::Sign).map_err(|_| UnknownPurpose),
        }
    }
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, does not sign yet.
    Next,
    /// Signs.
    Current,
    /// Signs no more, is still believed.
    Retired,
    /// Not believed any more.
    Withdrawn,
}

impl KeyState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retired => "retired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Key material sealed under the master key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

impl Sealed {
    /// From stored bytes, or from what was just sealed.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the key material is gone.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One key of the keyring, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its `kid`: for a refresh key, the decimal number of its [`MacKeyId`](crate::refresh::MacKeyId).
    pub kid: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is in its life.
    pub state: KeyState,
    /// Since when it is there.
    pub since: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// The private half. Empty once a withdrawn key has nothing left to do: for a signing key at once, for a refresh
    /// key when every session derived with it is ended.
    pub sealed: Sealed,
    /// The public half of a signing key.
    pub public: Option<Jwk>,
    /// The version of the row.
    pub rev: Rev,
}

impl Key {
    /// The number of a refresh key.
    pub fn mac_key_id(&self) -> Option<MacKeyId> {
        match self.purpose {
            Purpose::Refresh => self.kid.parse().ok().map(MacKeyId),
            Purpose::Sign(_) => None,
        }
    }

    fn entering(&self, state: KeyState, now: Timestamp) -> Self {
        let sealed = match (state, self.purpose) {
            (KeyState::Withdrawn, Purpose::Sign(_)) => Sealed::from_bytes(Vec::new()),
            _ => self.sealed.clone(),
        };
        Self { state, since: now, sealed, ..self.clone() }
    }
}

/// The number of the refresh key to make next; `None` where there is none left. No number is used twice: it is above
/// all that are there, and the highest is never removed ([`due`]).
pub fn next_mac_key_id(keys: &[Key]) -> Option<MacKeyId> {
    let highest = keys.iter().filter_map(Key::mac_key_id).max();
    highest.map_or(Some(MacKeyId(1)), |highest| highest.0.checked_add(1).map(MacKeyId))
}

/// How long keys are announced, sign and are believed.
#[derive(Clone, Copy, Debug)]
pub struct Lives {
    /// How long a JWKS may be cached: a next key is announced at least this long before it signs.
    pub jwks_max_age: Duration,
    /// How long a key signs.
    pub rotate_every: Duration,
    /// The longest life that any client's access tokens have had.
    pub longest_token: Duration,
}

/// Beyond the longest token's life, for the leeway of verifiers and for clocks that differ.
const MARGIN: Duration = Duration::from_secs(3600);

impl Lives {
    /// How long a key is still believed after it signed last. A refresh key stays for the longest life that a session
    /// can have.
    fn believed(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Sign(_) => self.longest_token.saturating_add(self.jwks_max_age).saturating_add(MARGIN),
            Purpose::Refresh => LONGEST.saturating_add(MARGIN),
        }
    }

    /// When a next key signs.
    pub fn signs_at(&self, next: &Key) -> Timestamp {
        next.since.plus(self.jwks_max_age)
    }
}

/// What is to be written about the keys of one purpose: all of it in one commit, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Keys that enter another state, each at the `rev` it was read at.
    pub moved: Vec<Key>,
    /// Keys that go.
    pub removed: Vec<Key>,
    /// A key to be made, in this state.
    pub made: Option<KeyState>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.removed.is_empty() && self.made.is_none()
    }

    fn moving(&mut self, key: Option<&Key>, state: KeyState, now: Timestamp) {
        self.moved.extend(key.map(|key| key.entering(state, now)));
    }
}

fn in_state(keys: &[Key], purpose: Purpose, state: KeyState) -> Option<&Key> {
    keys.iter().find(|key| key.purpose == purpose && key.state == state)
}

/// What is due at `now` for the keys of `purpose`: a first key made, a next one announced `jwks_max_age` before the
/// current one has signed for `rotate_every`, a next one promoted once it was announced for `jwks_max_age`, a key
/// removed that nothing can need. A purpose that has a current key never is without one.
pub fn due(keys: &[Key], purpose: Purpose, lives: &Lives, now: Timestamp) -> Plan {
    let mut plan = Plan { removed: forgettable(keys, purpose, lives, now), ..Plan::default() };
    let current = in_state(keys, purpose, KeyState::Current);
    let next = in_state(keys, purpose, KeyState::Next);
    let announce_after = lives.rotate_every.saturating_sub(lives.jwks_max_age);
    match (current, next) {
        (None, None) => plan.made = Some(KeyState::Current),
        (None, Some(_)) => plan.moving(next, KeyState::Current, now),
        (Some(_), Some(announced)) if now >= lives.signs_at(announced) => {
            plan.moving(current, KeyState::Retired, now);
            plan.moving(next, KeyState::Current, now);
        }
        (Some(current), None) if now >= current.since.plus(announce_after) => plan.made = Some(KeyState::Next),
        (Some(_), _) => {}
    }
    plan
}

/// Retired and withdrawn keys that nothing can need any more. Of the refresh keys the highest stays, whatever its
/// state, so that its number is never given again; a withdrawn one stays until its sessions are ended.
fn forgettable(keys: &[Key], purpose: Purpose, lives: &Lives, now: Timestamp) -> Vec<Key> {
    let highest = keys.iter().filter_map(Key::mac_key_id).max();
    let over = |key: &&Key| {
        let done = match key.state {
            KeyState::Next | KeyState::Current => false,
            KeyState::Retired => true,
            KeyState::Withdrawn => key.sealed.is_empty(),
        };
        let numbered_last = purpose == Purpose::Refresh && key.mac_key_id() == highest;
        key.purpose == purpose && done && !numbered_last && now >= key.since.plus(lives.believed(purpose))
    };
    keys.iter().filter(over).cloned().collect()
}

/// What a command to rotate comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Rotation {
    /// The new key signs with this commit.
    Now {
        /// What to write.
        plan: Plan,
        /// Whether it was not announced long enough: verifiers that have cached the key set may refuse its tokens for
        /// up to `jwks_max_age`.
        early: bool,
    },
    /// The new key is announced, and signs later: [`due`] will say so.
    Later {
        /// What to write; empty where it is announced already.
        plan: Plan,
        /// When it signs.
        signs_at: Timestamp,
    },
}

/// Rotates the keys of `purpose` by command: as soon as verifiers can know the new key, or with `at_once` whether they
/// can or not.
pub fn rotation(keys: &[Key], purpose: Purpose, lives: &Lives, at_once: bool, now: Timestamp) -> Rotation {
    let current = in_state(keys, purpose, KeyState::Current);
    let next = in_state(keys, purpose, KeyState::Next);
    let signs_at = next.map_or(now.plus(lives.jwks_max_age), |next| lives.signs_at(next));
    let known = current.is_none() || (next.is_some() && now >= signs_at);
    if !known && !at_once {
        let made = next.is_none().then_some(KeyState::Next);
        return Rotation::Later { plan: Plan { made, ..Plan::default() }, signs_at };
    }
    let mut plan = Plan { made: next.is_none().then_some(KeyState::Current), ..Plan::default() };
    plan.moving(current, KeyState::Retired, now);
    plan.moving(next, KeyState::Current, now);
    Rotation::Now { plan, early: !known }
}

/// There is no key of that id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no key `{kid}`")]
pub struct NoSuchKey {
    /// The id.
    pub kid: String,
}

/// Withdraws a key that must not be believed any more. Where it was the current one, the next one signs at once, or
/// one that is made now. Withdrawing twice is withdrawing once.
///
/// # Errors
/// [`NoSuchKey`].
pub fn withdrawal(keys: &[Key], kid: &str, now: Timestamp) -> Result<Plan, NoSuchKey> {
    let key = keys.iter().find(|key| key.kid == kid).ok_or_else(|| NoSuchKey { kid: kid.to_owned() })?;
    let mut plan = Plan::default();
    if key.state == KeyState::Withdrawn {
        return Ok(plan);
    }
    plan.moving(Some(key), KeyState::Withdrawn, now);
    if key.state == KeyState::Current {
        let next = in_state(keys, key.purpose, KeyState::Next);
        plan.moving(next, KeyState::Current, now);
        plan.made = next.is_none().then_some(KeyState::Current);
    }
    Ok(plan)
}
