//! Several nodes on one PostgreSQL: what one of them did holds at every other. Two servers in this process, each with a clock
//! that the test moves, and servers as processes that are stopped and killed.
#![expect(clippy::unwrap_used, reason = "a scene that cannot be set fails its test")]

mod balancer;
mod clocks;
#[path = "../cluster/mod.rs"]
#[allow(dead_code, reason = "other tests ask the database itself")]
mod cluster;
#[path = "../evidence/mod.rs"]
#[allow(dead_code, reason = "other tests keep the logs of other processes")]
mod evidence;
mod feed;
mod jobs;
mod keys;
mod node;
mod pair;
#[path = "../crash/people.rs"]
#[allow(dead_code, reason = "there they are killed in more ways")]
mod people;
mod processes;
#[path = "../store_conformance/proxy.rs"]
#[allow(dead_code, reason = "the tests of the store cut it in more ways")]
mod proxy;
#[path = "../http/scene.rs"]
#[allow(dead_code, reason = "the scene of the HTTP tests has more props than are used here")]
mod scene;
#[path = "../crash/server.rs"]
#[allow(dead_code, reason = "only what speaks to a server, and its folder, are used here")]
mod server;
mod shared;
