//! The server over HTTP, by the URLs that are called. Each scene has its own folder and its own clock.
#![expect(clippy::unwrap_used, reason = "a scene that cannot be set fails its test")]

mod account;
mod account_phone;
mod admin;
mod admin_senders;
mod admin_sessions;
mod administration;
mod algorithms;
mod audit;
#[path = "../evidence/mod.rs"]
#[allow(dead_code, reason = "other tests keep the logs of other processes")]
mod evidence;
mod feed;
mod guard;
mod idor;
mod limits;
mod matrix;
mod oauth2_introspect;
mod oauth2_revoke;
mod oauth2_token;
mod scene;
mod sdk;
mod session;
mod session_cookie;
mod session_events;
mod session_exchange;
mod session_factor;
mod session_renew;
mod theft;
mod webhook;
