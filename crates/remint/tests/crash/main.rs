//! The real binary over real HTTP: killed, stopped, held up, and watched from end to end. Each scene has its own folder
//! and its own process; nothing here looks into either.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "scenes of tests: a failure is to panic, and what was measured is to be seen"
)]

mod end_to_end;
#[path = "../evidence/mod.rs"]
#[allow(dead_code, reason = "no server is in this process")]
mod evidence;
mod hold;
mod kill;
mod people;
mod server;
mod stop;
