//! What an operator relies on: that what is over goes, that a backup can be restored, that the configuration says what
//! it is, that what is wrong is found. Scenes of the whole server in this process, with a clock that the test moves, and
//! of the program itself. What is awaited is always a line or an answer, never a time.
#![expect(clippy::unwrap_used, reason = "a scene that cannot be set up has failed")]

mod backup;
mod backup_command;
#[path = "../cluster/mod.rs"]
#[allow(dead_code, reason = "the tests of the store ask the database itself")]
mod cluster;
mod config;
mod database;
mod deploy;
mod doctor;
#[path = "../evidence/mod.rs"]
mod evidence;
mod follow;
mod metrics;
mod migrate;
mod migrate_command;
mod place;
mod purge;
#[path = "../http/scene.rs"]
#[allow(dead_code, reason = "the scene of the HTTP tests has more props than are used here")]
mod scene;
#[cfg(feature = "traces")]
mod traces;
