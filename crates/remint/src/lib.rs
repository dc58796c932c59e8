//! The session and token server: its rooms, as a library for the binary, the tests and the benchmarks. Nobody else
//! depends on it; its rules are in [`remint_core`].
#![forbid(unsafe_code)]

pub mod account;
pub mod admin;
pub mod app;
pub mod bearer;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod dev;
pub mod entropy;
pub mod failure;
pub mod feed;
pub mod grant;
pub mod http;
pub mod introspect;
pub mod jobs;
pub mod keyring;
pub mod lines;
pub mod listen;
pub mod message;
pub mod meters;
pub mod mint;
pub mod proxies;
pub mod ready;
pub mod restore;
pub mod serve;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod traces;
