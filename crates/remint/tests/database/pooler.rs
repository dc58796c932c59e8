//! PgBouncer between a node and its database: each connection a session works; anything less is refused by name.

use std::process::{Child, Command, Stdio};

use remint::store::{FeedHead, Store, StoreOptions};
use remint_core::change::{Changes, Take};
use remint_core::time::Timestamp;

use crate::cluster::Cluster;
use crate::server::free_port;

/// The program; dropped, it ends.
struct PgBouncer {
    process: Child,
    database: String,
    port: u16,
    _home: tempfile::TempDir,
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl PgBouncer {
    /// In front of a new database, once it answers.
    async fn new(pool_mode: &str) -> Self {
        let (home, port, cluster) = (tempfile::tempdir().unwrap(), free_port(), Cluster::shared());
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=remint\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {pool_mode}\n",
            cluster.port()
        );
        let file = home.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        for readable in [home.path(), &file] {
            std::fs::set_permissions(readable, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new("/usr/sbin/pgbouncer");
        command.arg("--quiet").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(user) = crate::cluster::user(home.path()) {
            std::os::unix::process::CommandExt::uid(&mut command, user);
        }
        let process = command.spawn().expect("PgBouncer is missing: install pgbouncer");
        let this = Self { process, database: cluster.new_database(), port, _home: home };
        crate::until(|| async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        this
    }

    fn url(&self) -> String {
        format!("postgres://remint@127.0.0.1:{}/{}", self.port, self.database)
    }

    fn open(&self, more: &str) -> Result<Store, String> {
        let opened = Store::connect(&format!("{}{more}", self.url()), StoreOptions::default(), [7; 16]);
        opened.map_err(|error| error.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_session_mode_is_as_good_as_the_database_itself() {
    let pooler = PgBouncer::new("session").await;
    let store = pooler.open("").unwrap();
    let head = store.read(FeedHead).await.unwrap();
    for count in 1..=50 {
        let at = Timestamp::from_secs(100);
        let take = Take { key: "one".into(), limit: 100, window: std::time::Duration::from_secs(60), at };
        store.commit(Changes::none().take(take)).await.unwrap();
        let all = futures_util::future::join_all((0..8).map(|_| store.read(FeedHead))).await;
        assert!(all.into_iter().all(|read| read.as_ref() == Ok(&head)), "{count}");
    }
    let refused = pooler.open("?options=-cwork_mem%3D8MB").err().unwrap();
    assert!(refused.contains("ignore_startup_parameters"), "{refused}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_gives_one_connection_to_many_is_refused_and_the_refusal_says_what_to_set() {
    for mode in ["transaction", "statement"] {
        let pooler = PgBouncer::new(mode).await;
        for _ in 0..3 {
            let refused = pooler.open("").err().unwrap();
            assert!(refused.contains("`pool_mode = session`"), "{mode}: {refused}");
        }
        assert_eq!(
            Cluster::shared().ask(&pooler.database, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'"),
            ["0"]
        );
    }
}
