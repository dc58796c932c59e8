//! How often a log-in may be tried: per account, counted in the store and so by all nodes together, and per address,
//! counted in the memory of each. The attempt is counted, and committed, before the password is looked at. Never
//! tells whether there is such an account: an unknown one is counted like a known one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Too many attempts ([`Refusal::TooManyAttempts`]).
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

/// Counts attempts. Clones count together.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

struct Inner {
    limits: Limits,
    key: hmac::Key,
    networks: Mutex<Networks>,
}

impl Throttle {
    /// Counts by these limits. The counters of unknown accounts are named by a key of the keyring, the same on every
    /// node and after every start: otherwise a restart would forget them, and only them.
    pub fn new(limits: &Limits, keyring: &Keyring) -> Self {
        let key = keyring.derived("remint throttle");
        Self(Arc::new(Inner { limits: *limits, key, networks: Mutex::default() }))
    }

    /// Counts an attempt at `account` from `address`, and says whether it may go on. What it counted is committed when
    /// it answers.
    ///
    /// # Errors
    /// [`Throttled`]. An attempt that is refused is not counted.
    pub async fn attempt(
        &self,
        store: &Store,
        account: Account<'_>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt, Throttled> {
        let attempt = Attempt { counter: self.counter(account), network: network(address) };
        self.networks().take(attempt.network, &self.0.limits, now)?;
        let take = Take {
            key: attempt.counter(),
            limit: self.0.limits.logins_per_account,
            window: self.0.limits.login_window,
            at: now,
        };
        match store.commit(Changes::none().take(take)).await? {
            Commit::Done { taken, .. } => match taken.first() {
                Some(Taken::Exhausted { retry_after }) => {
                    Err(Refusal::TooManyAttempts { retry_after: *retry_after }.into())
                }
                Some(Taken::Allowed { .. }) => Ok(attempt),
                None => Err(StoreError::Unknown.into()),
            },
            Commit::Conflict { .. } => Err(StoreError::Unknown.into()), // a Take names no rev: there is none to conflict
        }
    }

    /// The attempt succeeded: it does not count against its address. The account's counter is forgotten by the commit
    /// that carries [`Attempt::counter`].
    pub fn succeeded(&self, attempt: Attempt) {
        self.networks().give_back(attempt.network);
    }

    fn counter(&self, account: Account<'_>) -> String {
        match account {
            Account::Known(user) => format!("login:{user}"),
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

/// What one holder of addresses has: an IPv4 address, or an IPv6 /64 (RFC 6177). An IPv4 address in IPv6 clothes is its IPv4 self.
fn network(address: IpAddr) -> IpAddr {
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
