//! Remint and databases of its own that are encrypted, restarted, cut off, replaced by their standby, filled up, or hidden
//! behind a pooler. The database is always the real one, and where it says so the server is the real program.
#![expect(clippy::unwrap_used, reason = "scenes of tests: a failure is to panic")]

#[path = "../cluster/mod.rs"]
#[allow(dead_code, reason = "some of it is for tests that share one database server")]
mod cluster;
#[path = "../evidence/mod.rs"]
#[allow(dead_code, reason = "no server is in this process")]
mod evidence;
mod full;
mod node;
mod outage;
mod people;
mod pooler;
#[path = "../store_conformance/proxy.rs"]
#[allow(dead_code, reason = "the tests of the store lead it elsewhere")]
mod proxy;
mod replication;
mod server;
mod tls;

use std::time::Duration;

/// What comes well within three minutes, however busy the machine is.
async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(180), answer).await.unwrap()
}

/// Waits until it is so.
async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    soon(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
