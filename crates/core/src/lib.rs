//! The rules of Remint, *to mint the token again*: what a session is, how it is renewed, what a token says and who
//! must hear that it died. Every rule is a pure function of values.
//!
//! This crate never does IO, never reads a clock and never draws a random number: those are arguments. The server
//! ([`remint`](https://docs.rs/remint)) and the library for APIs ([`remint-guard`](https://docs.rs/remint-guard))
//! stand on it.
#![forbid(unsafe_code)]

pub mod administration;
pub mod attribute;
pub mod audit;
pub mod change;
pub mod claims;
pub mod client;
pub mod code;
pub mod cookie;
pub mod event;
pub mod factor;
pub mod feed;
pub mod id;
pub mod json;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod key;
pub mod ledger;
pub mod mapping;
pub mod notice;
pub mod phone;
pub mod policy;
pub mod refresh;
pub mod refusal;
pub mod retention;
pub mod rev;
pub mod rolling;
pub mod scope;
pub mod secret;
pub mod sender;
pub mod session;
pub mod simulation;
pub mod time;
pub mod token;
pub mod user;

#[cfg(test)]
mod fixture;
