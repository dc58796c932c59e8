//! The reverse proxies whose `X-Forwarded-For` counts. They can be swapped while the server runs. Never believes what
//! anybody else says about where a request came from.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::account::throttle::client_address;
use crate::settings::AddressRange;

/// Who is trusted. Clones are the same.
#[derive(Clone, Debug)]
pub struct Proxies(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trusted: ArcSwap<Vec<AddressRange>>,
    /// Somebody who is not trusted sent the header: a proxy that was forgotten, or a stranger who tries.
    unheeded: AtomicBool,
}

impl Proxies {
    /// These.
    pub fn new(trusted: &[AddressRange]) -> Self {
        Self(Arc::new(Inner { trusted: ArcSwap::from_pointee(trusted.to_vec()), unheeded: AtomicBool::new(false) }))
    }

    /// These from now on.
    pub fn swap(&self, trusted: &[AddressRange]) {
        self.0.trusted.store(Arc::new(trusted.to_vec()));
        self.0.unheeded.store(false, Ordering::Relaxed);
    }

    /// How many ranges there are.
    pub fn count(&self) -> usize {
        self.0.trusted.load().len()
    }

    /// Whether this is one of them.
    pub fn trust(&self, peer: IpAddr) -> bool {
        self.0.trusted.load().iter().any(|range| range.contains(peer))
    }

    /// The address that a request of `peer` came from ([`client_address`]).
    pub fn client_address<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        let trusted = self.0.trusted.load();
        let mut forwarded = forwarded.peekable();
        if forwarded.peek().is_some() && !trusted.iter().any(|range| range.contains(peer)) {
            self.0.unheeded.store(true, Ordering::Relaxed);
        }
        client_address(peer, forwarded, &trusted)
    }

    /// Whether `X-Forwarded-For` came from somebody who is not trusted since these were set.
    pub fn went_unheeded(&self) -> bool {
        self.0.unheeded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_somebody_who_is_not_trusted_is_remembered_and_not_believed() {
        let peer: IpAddr = "192.0.2.7".parse().unwrap();
        let forwarded = || [&b"198.51.100.1"[..]].into_iter();
        let proxies = Proxies::new(&[]);
        assert_eq!(proxies.client_address(peer, [].into_iter()), peer);
        assert!(!proxies.went_unheeded());
        assert_eq!(proxies.client_address(peer, forwarded()), peer);
        assert!(proxies.went_unheeded());
        proxies.swap(&["192.0.2.0/24".parse().unwrap()]);
        assert_eq!(proxies.client_address(peer, forwarded()).to_string(), "198.51.100.1");
        assert!(!proxies.went_unheeded());
    }
}
