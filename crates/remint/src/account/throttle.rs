//! How often a log-in may be tried: per account, counted in the store and so by all nodes together, and per address,
//! counted in the memory of each. The attempt is counted, and committed, before the password is looked at. Never
//! tells whether there is such an account: an unknown one is counted like a known one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remint_core::change::{Changes, Take, Taken};
use remint_core::id::UserId;
use remint_core::refusal::Refusal;
use remint_core::time::Timestamp;

use crate::keyring::Keyring;
use crate::settings::{AddressRange, Limits};
use crate::store::{Commit, Store, StoreError};

/// Whose attempts are counted.
#[derive(Clone, Copy, Debug)]
pub enum Account<'a> {
    /// A user: all identifiers of one count as one.
    Known(UserId),
    /// What was typed, in canonical form if it has one, where nobody is called that.
    Unknown(&'a str),
}

/// Why an attempt may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Throttled {
    /// Too many attempts at this account ([`Refusal::TooManyAttempts`]).
    #[error(transparent)]
    Account(Refusal),
    /// Too many from this address ([`Refusal::TooManyAttempts`]).
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The attempt could not be counted: then it is not made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An attempt that was counted. Made once per request, before the password is compared; whoever decides again after
/// a conflict keeps it.
#[derive(Debug)]
#[must_use = "an attempt that succeeds must be given back"]
pub struct Attempt {
    counter: String,
    network: IpAddr,
}

impl Attempt {
    /// The counter of the account, for [`Changes::reset`] in the commit of the success.
    pub fn counter(&self) -> String {
        self.counter.clone()
    }
}

/// The counter of a user's attempts: an operator who sets a new password gives them all back
/// ([`Changes::reset`]).
pub fn counter_of(user: UserId) -> String {
    format!("login:{user}")
}

/// Counts attempts. Clones count together.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

struct Inner {
    limits: ArcSwap<Limits>,
    key: hmac::Key,
    networks: Mutex<Networks>,
}

impl Throttle {
    /// Counts by these limits. The counters of unknown accounts are named by a key of the keyring, the same on every
    /// node and after every start: otherwise a restart would forget them, and only them.
    pub fn new(limits: &Limits, keyring: &Keyring) -> Self {
        let key = keyring.derived("remint throttle");
        Self(Arc::new(Inner { limits: ArcSwap::from_pointee(*limits), key, networks: Mutex::default() }))
    }

    /// Counts by these limits from now on.
    pub fn set_limits(&self, limits: &Limits) {
        self.0.limits.store(Arc::new(*limits));
    }

    /// Counts an attempt at `account` from `address`, and says whether it may go on. What it counted is committed when
    /// it answers.
    ///
    /// # Errors
    /// [`Throttled`]. One that is refused for its address is not counted at all; one that is refused for its account has
    /// been counted for its address, and stays so.
    pub async fn attempt(
        &self,
        store: &Store,
        account: Account<'_>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt, Throttled> {
        let attempt = Attempt { counter: self.counter(account), network: network(address) };
        let limits = **self.0.limits.load();
        self.networks().take(attempt.network, &limits, now)?;
        let take =
            Take { key: attempt.counter(), limit: limits.logins_per_account, window: limits.login_window, at: now };
        match store.commit(Changes::none().take(take)).await? {
            Commit::Done { taken, .. } => match taken.first() {
                Some(Taken::Exhausted { retry_after }) => {
                    Err(Throttled::Account(Refusal::TooManyAttempts { retry_after: *retry_after }))
                }
                Some(Taken::Allowed { .. }) => Ok(attempt),
                None => Err(StoreError::Unknown.into()),
            },
            Commit::Conflict { .. } => Err(StoreError::Unknown.into()), // a Take names no rev that could conflict
        }
    }

    /// The attempt succeeded: it does not count against its address. The account's counter is forgotten by the commit
    /// that carries [`Attempt::counter`].
    pub fn succeeded(&self, attempt: Attempt) {
        self.networks().give_back(attempt.network);
    }

    fn counter(&self, account: Account<'_>) -> String {
        match account {
            Account::Known(user) => counter_of(user),
            Account::Unknown(typed) => {
                let tag = hmac::sign(&self.0.key, typed.as_bytes());
                format!("login:{}", URL_SAFE_NO_PAD.encode(&tag.as_ref()[..16]))
            }
        }
    }

    fn networks(&self) -> std::sync::MutexGuard<'_, Networks> {
        self.0.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one holder of addresses has: an IPv4 address, or an IPv6 /64 (RFC 6177). An IPv4 address in IPv6 clothes is its
/// IPv4 self.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

/// Attempts per network, in two generations: when the young one is full, it takes the place of the old one. So the
/// networks seen last are remembered, and memory has a bound however many come by.
#[derive(Default)]
struct Networks {
    young: HashMap<IpAddr, Count>,
    old: HashMap<IpAddr, Count>,
}

/// The most networks in one generation: some 4 MB for both.
const MOST_NETWORKS: usize = 1 << 15;

#[derive(Clone, Copy)]
struct Count {
    since: Timestamp,
    count: u32,
}

impl Networks {
    fn take(&mut self, network: IpAddr, limits: &Limits, now: Timestamp) -> Result<(), Refusal> {
        let window = limits.login_window;
        let known = self.count(network).filter(|known| now.since(known.since) < window);
        let Count { since, count } = known.unwrap_or(Count { since: now, count: 0 });
        if count >= limits.logins_per_address {
            return Err(Refusal::TooManyAttempts { retry_after: window.saturating_sub(now.since(since)) });
        }
        self.put(network, Count { since, count: count + 1 });
        Ok(())
    }

    fn give_back(&mut self, network: IpAddr) {
        if let Some(known) = self.count(network) {
            self.put(network, Count { count: known.count.saturating_sub(1), ..known });
        }
    }

    fn count(&self, network: IpAddr) -> Option<Count> {
        self.young.get(&network).or_else(|| self.old.get(&network)).copied()
    }

    fn put(&mut self, network: IpAddr, count: Count) {
        if self.young.len() >= MOST_NETWORKS && !self.young.contains_key(&network) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(network, count);
    }
}

/// The address that a request came from: the peer's, unless the peer is a trusted proxy; then the right-most address
/// of `X-Forwarded-For` that is not one itself. `forwarded` are the values of that header in the order in which they
/// stand. Where the walk from the right meets something that is no address, it is the peer: nobody speaks for it.
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[AddressRange],
) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut nearest = peer;
    for hop in forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
        if !is_trusted(nearest) {
            break;
        }
        match hop_address(hop) {
            Some(address) => nearest = address,
            None => return peer,
        }
    }
    nearest
}

/// An address, as some proxies write it with a port.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
    let address = text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use futures_util::future::join_all;
    use remint_core::policy::Timing;

    use crate::clock::Clock;
    use crate::entropy::Entropy;
    use crate::keyring::MasterKey;
    use crate::settings::KeyLives;
    use crate::store::{Counter, StoreOptions};

    const START: Timestamp = Timestamp::from_secs(1_000_000);
    const ADA: Account<'static> = Account::Known(UserId::from_bytes([1; 16]));
    const NOBODY: Account<'static> = Account::Unknown("nobody@example.test");

    struct Scene {
        store: Store,
        keyring: Keyring,
        throttle: Throttle,
        _folder: tempfile::TempDir,
    }

    fn limits() -> Limits {
        Limits {
            logins_per_account: 3,
            logins_per_address: 5,
            login_window: Duration::from_secs(900),
            ..Limits::default()
        }
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("data"), StoreOptions::default(), [0; 16]).unwrap();
            let (master, clock) = (MasterKey::from_random([1; 32]), Clock::manual(START));
            let (lives, timing) = (KeyLives::default(), Timing::default());
            let keyring = Keyring::open(store.clone(), master, clock, Entropy::system(), lives, timing).await.unwrap();
            Self { throttle: Throttle::new(&limits(), &keyring), store, keyring, _folder: folder }
        }

        async fn attempt(&self, account: Account<'_>, from: &str, at: Timestamp) -> Result<Attempt, Throttled> {
            self.throttle.attempt(&self.store, account, from.parse().unwrap(), at).await
        }

        /// Attempts, each from another address, until one is refused.
        async fn allowed(&self, account: Account<'_>) -> u32 {
            for number in 0..100 {
                if self.attempt(account, &format!("10.9.8.{number}"), START).await.is_err() {
                    return number;
                }
            }
            panic!("never refused")
        }

        async fn succeed(&self, attempt: Attempt) {
            self.store.commit(Changes::none().reset(attempt.counter())).await.unwrap();
            self.throttle.succeeded(attempt);
        }
    }

    fn retry_after(attempt: Result<Attempt, Throttled>) -> Duration {
        match attempt {
            Err(
                Throttled::Account(Refusal::TooManyAttempts { retry_after })
                | Throttled::Refused(Refusal::TooManyAttempts { retry_after }),
            ) => retry_after,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_account_is_tried_so_often_within_the_window_from_wherever() {
        let scene = Scene::new().await;
        assert_eq!(scene.allowed(ADA).await, 3);
        let later = START.plus(Duration::from_secs(100));
        assert_eq!(retry_after(scene.attempt(ADA, "192.0.2.1", later).await), Duration::from_secs(800));
        assert!(scene.attempt(ADA, "192.0.2.1", START.plus(limits().login_window)).await.is_ok());
        assert!(scene.attempt(Account::Known(UserId::from_bytes([2; 16])), "192.0.2.1", later).await.is_ok());
    }

    #[tokio::test]
    async fn an_unknown_account_is_refused_after_just_as_many_and_after_a_restart_too() {
        let scene = Scene::new().await;
        assert_eq!(scene.allowed(NOBODY).await, scene.allowed(ADA).await);
        let restarted = Throttle::new(&limits(), &scene.keyring);
        for account in [NOBODY, ADA] {
            let again = restarted.attempt(&scene.store, account, "192.0.2.1".parse().unwrap(), START).await;
            assert_eq!(retry_after(again), limits().login_window);
        }
    }

    #[tokio::test]
    async fn what_was_typed_is_not_in_the_counter() {
        let scene = Scene::new().await;
        let counter = scene.attempt(NOBODY, "192.0.2.1", START).await.unwrap().counter();
        assert!(!counter.contains("nobody") && counter.len() < 40, "{counter}");
        assert_eq!(scene.store.read(Counter(counter)).await.unwrap().map(|counted| counted.count), Some(1));
    }

    #[tokio::test]
    async fn the_attempt_is_counted_before_it_is_answered_and_in_parallel_too() {
        let scene = Scene::new().await;
        let attempts = (0..40).map(|number| {
            let scene = &scene;
            async move { scene.attempt(ADA, &format!("10.0.0.{number}"), START).await }
        });
        let allowed = join_all(attempts).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(allowed, 3, "forty guesses at once are three guesses");
    }

    #[tokio::test]
    async fn who_succeeds_is_never_locked_out() {
        let scene = Scene::new().await;
        for _ in 0..20 {
            for _ in 0..2 {
                scene.attempt(ADA, "192.0.2.1", START).await.map(drop).unwrap();
                scene.throttle.networks().give_back("192.0.2.1".parse().unwrap());
            }
            let attempt = scene.attempt(ADA, "192.0.2.1", START).await.unwrap();
            scene.succeed(attempt).await;
        }
    }

    #[tokio::test]
    async fn an_address_tries_so_many_accounts_and_an_ipv6_network_is_one_address() {
        let scene = Scene::new().await;
        let tried = async |from: &dyn Fn(u8) -> String| {
            let mut allowed = 0;
            for number in 0..20 {
                let account = Account::Known(UserId::from_bytes([100 + number; 16]));
                allowed += u32::from(scene.attempt(account, &from(number), START).await.is_ok());
                scene.store.commit(Changes::none().reset(scene.throttle.counter(account))).await.unwrap();
            }
            allowed
        };
        assert_eq!(tried(&|_| "192.0.2.7".into()).await, 5);
        assert_eq!(tried(&|_| "::ffff:192.0.2.7".into()).await, 0, "the same address in other clothes");
        assert_eq!(tried(&|number| format!("2001:db8:1:1::{number}")).await, 5, "one /64");
        assert_eq!(tried(&|number| format!("2001:db8:1:{:x}::1", 16 + u16::from(number))).await, 20);
        let later = START.plus(limits().login_window);
        assert!(scene.attempt(ADA, "192.0.2.7", later).await.is_ok());
    }

    #[tokio::test]
    async fn an_address_that_is_refused_does_not_use_up_the_account() {
        let scene = Scene::new().await;
        for number in 0..5 {
            let account = Account::Known(UserId::from_bytes([50 + number; 16]));
            scene.attempt(account, "192.0.2.1", START).await.map(drop).unwrap();
        }
        for _ in 0..10 {
            retry_after(scene.attempt(ADA, "192.0.2.1", START).await);
        }
        assert!(scene.attempt(ADA, "192.0.2.2", START).await.is_ok());
    }

    #[test]
    fn addresses_take_bounded_memory_and_those_seen_last_are_remembered() {
        let mut networks = Networks::default();
        for number in 0..200_000_u32 {
            let address = network(IpAddr::V4(number.into()));
            networks.take(address, &limits(), START).unwrap();
        }
        assert!(networks.young.len() <= MOST_NETWORKS && networks.old.len() <= MOST_NETWORKS);
        assert_eq!(networks.count(IpAddr::V4(199_999_u32.into())).map(|count| count.count), Some(1));
    }

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let trusted: Vec<_> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), forwarded.iter().map(|value| value.as_bytes()), &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        const PROXIES: &[&str] = &["10.0.0.0/8", "::1"];
        for (peer, forwarded, address) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["<script>, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1,"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, nonsense, 10.0.0.2"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1\u{0}"], "10.0.0.1"),
        ] {
            assert_eq!(client(peer, forwarded, PROXIES), address, "{peer} {forwarded:?}");
        }
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], &[]), "10.0.0.1", "without proxies the header is nothing");
    }
}
