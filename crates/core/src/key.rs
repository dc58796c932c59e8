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
    /// Its `kid`: for a refresh key, the decimal number of its [`MacKeyId`].
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

/// Beyond the longest token's life: for the leeway of verifiers, for clocks that differ, and for whoever took the key
/// in hand just before.
const MARGIN: Duration = Duration::from_secs(3600);

impl Lives {
    /// How long a token that a key signed can live on after the key was put away.
    pub fn horizon(&self) -> Duration {
        self.longest_token.saturating_add(MARGIN)
    }

    /// How long a key is still believed after it signed last. A refresh key stays for the longest life that a session
    /// can have.
    fn believed(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Sign(_) => self.horizon().saturating_add(self.jwks_max_age),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    const SIGN: Purpose = Purpose::Sign(Algorithm::Es256);
    const LIVES: Lives = Lives {
        jwks_max_age: Duration::from_secs(300),
        rotate_every: Duration::from_secs(90 * 24 * 3600),
        longest_token: Duration::from_secs(7 * 24 * 3600),
    };

    fn key(kid: &str, purpose: Purpose, state: KeyState, since: Timestamp) -> Key {
        let sealed = Sealed::from_bytes(vec![1]);
        Key { kid: kid.into(), purpose, state, since, created_at: since, sealed, public: None, rev: Rev::NEW }
    }

    fn signing(kid: &str, state: KeyState, since_secs: i64) -> Key {
        key(kid, SIGN, state, Timestamp::from_secs(since_secs))
    }

    /// The keys of one purpose as a store would hold them, and what was seen of them.
    struct World {
        purpose: Purpose,
        now: Timestamp,
        keys: Vec<Key>,
        made: HashSet<String>,
        used_last: HashMap<String, Timestamp>,
        withdrawn: HashSet<String>,
    }

    impl World {
        fn new(purpose: Purpose) -> Self {
            let (keys, made) = (vec![], HashSet::new());
            let (used_last, withdrawn) = (HashMap::new(), HashSet::new());
            let mut world = Self { purpose, now: Timestamp::from_secs(0), keys, made, used_last, withdrawn };
            world.tick();
            world
        }

        fn tick(&mut self) {
            let plan = due(&self.keys, self.purpose, &LIVES, self.now);
            self.apply(plan, true);
            assert!(due(&self.keys, self.purpose, &LIVES, self.now).is_empty(), "a second tick has nothing to do");
        }

        fn rotate(&mut self, at_once: bool) {
            match rotation(&self.keys, self.purpose, &LIVES, at_once, self.now) {
                Rotation::Now { plan, early } => self.apply(plan, !early),
                Rotation::Later { plan, signs_at } => {
                    self.apply(plan, true);
                    let next = in_state(&self.keys, self.purpose, KeyState::Next).expect("it was announced");
                    assert_eq!(LIVES.signs_at(next), signs_at);
                }
            }
        }

        fn withdraw(&mut self, which: usize) {
            let kid = self.keys[which % self.keys.len()].kid.clone();
            let plan = withdrawal(&self.keys, &kid, self.now).unwrap();
            self.withdrawn.insert(kid);
            self.apply(plan, false);
        }

        fn apply(&mut self, plan: Plan, announced: bool) {
            for moved in plan.moved {
                let row = self.keys.iter_mut().find(|key| key.kid == moved.kid).expect("only what is there moves");
                if announced && row.state == KeyState::Next && moved.state == KeyState::Current {
                    assert!(self.now >= LIVES.signs_at(row), "it signs before verifiers can know it");
                }
                *row = moved;
            }
            for removed in plan.removed {
                let used = self.used_last.get(&removed.kid).copied().unwrap_or(removed.created_at);
                let life = match self.purpose {
                    Purpose::Sign(_) => LIVES.longest_token,
                    Purpose::Refresh => LONGEST,
                };
                assert!(self.now > used.plus(life), "what it signed still lives");
                self.keys.retain(|key| key.kid != removed.kid);
            }
            if let Some(state) = plan.made {
                let kid = match self.purpose {
                    Purpose::Refresh => next_mac_key_id(&self.keys).unwrap().0.to_string(),
                    Purpose::Sign(_) => format!("k{}", self.made.len()),
                };
                assert!(self.made.insert(kid.clone()), "an id is given twice");
                self.keys.push(key(&kid, self.purpose, state, self.now));
            }
            self.check();
        }

        fn check(&mut self) {
            let of = |state| self.keys.iter().filter(move |key| key.state == state);
            assert_eq!(of(KeyState::Current).count(), 1, "always one current key");
            assert!(of(KeyState::Next).count() <= 1);
            let believed = |key: &&Key| key.state != KeyState::Withdrawn;
            assert!(self.keys.iter().filter(believed).all(|key| !self.withdrawn.contains(&key.kid)));
            let current = of(KeyState::Current).next().expect("counted").kid.clone();
            self.used_last.insert(current, self.now);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn whatever_comes_one_key_is_current_and_no_key_goes_before_its_tokens(
            refresh in any::<bool>(),
            steps in prop::collection::vec((0u8..8, 0u64..40 * 24 * 3600, 0usize..9), 1..80),
        ) {
            let mut world = World::new(if refresh { Purpose::Refresh } else { SIGN });
            for (what, seconds, which) in steps {
                let short = if what % 2 == 0 { seconds } else { seconds % 700 };
                world.check(); // the current key is used until just before
                world.now = world.now.plus(Duration::from_secs(short));
                world.check();
                match what {
                    0..=4 => world.tick(),
                    5 => world.rotate(false),
                    6 => world.rotate(true),
                    _ => world.withdraw(which),
                }
            }
        }
    }

    #[test]
    fn a_next_key_is_announced_before_the_current_one_is_old_and_signs_when_it_is() {
        let current = signing("a", KeyState::Current, 0);
        let old = Timestamp::default().plus(LIVES.rotate_every);
        let announce = old.minus(LIVES.jwks_max_age);
        let keys = [current.clone()];
        assert!(due(&keys, SIGN, &LIVES, announce.minus(Duration::from_micros(1))).is_empty());
        assert_eq!(due(&keys, SIGN, &LIVES, announce).made, Some(KeyState::Next));
        let keys = [current, key("b", SIGN, KeyState::Next, announce)];
        assert!(due(&keys, SIGN, &LIVES, old.minus(Duration::from_micros(1))).is_empty());
        let states: Vec<_> = due(&keys, SIGN, &LIVES, old).moved.into_iter().map(|key| (key.kid, key.state)).collect();
        assert_eq!(states, [("a".to_owned(), KeyState::Retired), ("b".to_owned(), KeyState::Current)]);
    }

    #[test]
    fn a_retired_key_goes_when_the_longest_token_that_it_signed_has_expired() {
        let keys = [signing("a", KeyState::Retired, 0), signing("b", KeyState::Current, 0)];
        let early = due(&keys, SIGN, &LIVES, Timestamp::default().plus(LIVES.longest_token));
        assert_eq!(early, Plan::default());
        let late = Timestamp::default().plus(LIVES.longest_token + LIVES.jwks_max_age + MARGIN);
        assert_eq!(due(&keys, SIGN, &LIVES, late).removed, keys[..1]);
    }

    #[test]
    fn a_clock_set_back_makes_nothing_due() {
        let keys = [signing("a", KeyState::Retired, 1000), signing("b", KeyState::Current, 1000)];
        assert!(due(&keys, SIGN, &LIVES, Timestamp::from_secs(-9_000_000)).is_empty());
    }

    #[test]
    fn a_withdrawn_current_key_gives_way_to_the_announced_one_or_to_a_new_one_at_once() {
        let now = Timestamp::from_secs(5);
        let (current, next) = (signing("a", KeyState::Current, 0), signing("b", KeyState::Next, 4));
        let plan = withdrawal(&[current.clone(), next], "a", now).unwrap();
        assert_eq!((plan.moved[1].state, plan.made), (KeyState::Current, None));
        let plan = withdrawal(&[current], "a", now).unwrap();
        assert!(plan.moved[0].sealed.is_empty(), "the private half is gone");
        assert_eq!((plan.moved[0].state, plan.made), (KeyState::Withdrawn, Some(KeyState::Current)));
        assert_eq!(withdrawal(&plan.moved, "a", now), Ok(Plan::default()));
        assert!(withdrawal(&plan.moved, "b", now).is_err());
    }

    #[test]
    fn a_refresh_key_stays_for_the_longest_session_and_its_number_is_never_given_again() {
        let at = |secs| Timestamp::from_secs(secs);
        let day = 24 * 3600;
        let keys = [
            key("1", Purpose::Refresh, KeyState::Retired, at(0)),
            key("2", Purpose::Refresh, KeyState::Current, at(0)),
        ];
        let removed = |days: i64| due(&keys, Purpose::Refresh, &LIVES, at(days * day)).removed.len();
        assert_eq!((removed(399), removed(401)), (0, 1));
        let sessions_not_ended = [key("1", Purpose::Refresh, KeyState::Withdrawn, at(0)), keys[1].clone()];
        assert!(due(&sessions_not_ended, Purpose::Refresh, &LIVES, at(401 * day)).removed.is_empty());
        assert_eq!(next_mac_key_id(&keys), Some(MacKeyId(3)));
        let last = [key(&u32::MAX.to_string(), Purpose::Refresh, KeyState::Current, at(0))];
        assert_eq!(next_mac_key_id(&last), None);
    }

    #[test]
    fn a_purpose_reads_as_it_is_written() {
        for purpose in Algorithm::ALL.map(Purpose::Sign).into_iter().chain([Purpose::Refresh]) {
            assert_eq!(purpose.as_str().parse(), Ok(purpose));
        }
        assert_eq!("HS256".parse::<Purpose>(), Err(UnknownPurpose));
    }
}
