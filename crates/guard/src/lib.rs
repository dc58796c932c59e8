#![doc = include_str!("../README.md")]
//!
//! # The rooms
//! `layer` and `extract` are the door; `reject` is the one table from cause to answer; `verifier` is the road from a token
//! to claims; `keys` and `feed` are what it knows, kept by two tasks; `cache` is what it verified before; `renew` is
//! rolling; `fetch` is the one outgoing client; `state` reads the clocks.
#![forbid(unsafe_code)]

mod builder;
mod cache;
mod cors;
mod extract;
mod feed;
mod fetch;
mod keys;
mod layer;
mod reject;
mod renew;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod verifier;

pub use builder::{
    BadAddress, Builder, ConfigError, DEFAULT_LEEWAY, DEFAULT_REMEMBERED, Feed, MAX_LEEWAY, OnLag, StaleClaims,
};
pub use cors::{BadOrigin, EXPOSED, cors};
pub use extract::{Claims, Policy, Require};
pub use feed::Standing;
pub use layer::{RemintLayer, RemintService};
pub use reject::{REMINT_RENEW, Reject};
pub use remint_core as core;
pub use remint_core::claims::{AccessClaims, Profile};
pub use renew::{REMINT_TOKEN, Rolling};
pub use state::Clock;
pub use verifier::{Verified, Verifier};
