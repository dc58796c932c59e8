//! The real binary over real HTTP: killed, stopped, held up, and watched from end to end. Each scene has its own folder
//! and its own process; nothing here looks into either.

mod end_to_end;
mod hold;
mod kill;
mod people;
mod server;
mod stop;
