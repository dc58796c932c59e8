//! The session and token server: its rooms, as a library for the binary, the tests and the benchmarks. Nobody else
//! depends on it; its rules are in [`remint_core`].
#![forbid(unsafe_code)]

pub mod account;
pub mod clock;
pub mod entropy;
pub mod keyring;
pub mod mint;
pub mod settings;
pub mod store;
