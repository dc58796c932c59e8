//! What a running server does by itself, beside answering. Each job works in small steps, so that it can be dropped at
//! any time and holds nobody up. Never decides about a request.

pub mod purge;
pub mod reload;
pub mod upkeep;
