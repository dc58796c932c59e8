//! A disk that is full under the database: 503 to whoever would need more of it, and all is well when there is room again.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::Place;
use crate::people::{Acting, Stage, audit, people};
use crate::server::{Postgres, owned};
use crate::until;

/// A small disk; it is taken away at the end.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(&self.0).status();
    }
}

impl Disk {
    /// None where this user may not mount.
    fn new(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(at).output().ok()?;
        mounted.status.success().then(|| {
            owned(at);
            Self(at.to_owned())
        })
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        while std::io::Write::write_all(&mut ballast, &[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_is_a_503_that_loses_nothing_and_ends_when_there_is_room() {
    let server = Postgres::new("");
    let Some(disk) = Disk::new(&server.path("small")) else {
        eprintln!("no file system can be mounted here: the scene of a full disk is not played");
        return;
    };
    server.ask(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.display()));
    server.ask("CREATE DATABASE small TABLESPACE small");
    let place = Place::new(&format!("postgres://remint@127.0.0.1:{}/small", server.port), "");
    let node = place.serve();
    place.peopled(4);
    let (people, stage) = people(4, &node.http, false).await;
    let acting = Acting::begin(people, stage, &node.http);
    until(|| async { Stage::count(&acting.stage.acknowledged) >= 50 }).await;
    disk.fill();
    until(|| async { node.log().contains("the store is full") }).await;
    let put_off = Stage::count(&acting.stage.put_off);
    until(|| async { Stage::count(&acting.stage.put_off) > put_off }).await;
    disk.make_room();
    let ended = Stage::count(&acting.stage.ended);
    until(|| async { Stage::count(&acting.stage.ended) >= ended + 2 && node.http.ready().await == 200 }).await;
    let mut people = acting.end().await;
    let audit = audit(&mut people, &node.http).await;
    assert!(audit.kept >= 4 && audit.lost + audit.revived == 0, "{audit:?}");
    drop(server);
    drop(disk);
}
