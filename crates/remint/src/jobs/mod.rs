//! What a running server does by itself, beside answering. Each job works in small steps, so that it can be dropped at
//! any time and holds nobody up. Where there are many nodes, one of them does what need be done once only. Never decides
//! about a request.

pub mod keys;
pub mod lease;
pub mod purge;
pub mod reload;
pub mod upkeep;
