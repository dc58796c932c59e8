//! The server. See the binary's documentation for how to run it.
#![forbid(unsafe_code)]

pub mod store;
