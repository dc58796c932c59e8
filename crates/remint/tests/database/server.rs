//! A PostgreSQL that is a test's own: it may be restarted, killed, copied to a standby and promoted. Ends with the test.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::cluster;

/// A server and its files.
pub(crate) struct Postgres {
    home: TempDir,
    pub(crate) port: u16,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.try_stop("immediate");
    }
}

/// A folder that whoever runs the server can reach and write.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    owned(home.path());
    home
}

/// Gives a file to whoever runs the server.
pub(crate) fn owned(path: &Path) {
    if let Some(user) = cluster::user(path.parent().unwrap()) {
        chown(path, Some(user), Some(user)).unwrap();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Postgres {
    /// A server that runs, with more lines in its `postgresql.conf`.
    pub(crate) fn new(settings: &str) -> Self {
        let server = Self { home: home(), port: free_port() };
        let made = server
            .program("initdb")
            .args(["--username=remint", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .arg("--pgdata")
            .arg(server.path("data"))
            .status();
        assert!(made.unwrap().success());
        server.set(settings);
        server.start();
        server
    }

    /// A copy that follows this server under a name, once it runs.
    pub(crate) fn standby(&self, name: &str, port: u16) -> Self {
        let standby = Self { home: home(), port };
        let from = format!("host=127.0.0.1 port={} user=remint application_name={name}", self.port);
        let copied = standby
            .program("pg_basebackup")
            .args(["--checkpoint=fast", "--no-sync", "--wal-method=stream", "--write-recovery-conf", "--dbname", &from])
            .arg("--pgdata")
            .arg(standby.path("data"))
            .status();
        assert!(copied.unwrap().success());
        standby.start();
        standby
    }

    pub(crate) fn program(&self, name: &str) -> Command {
        cluster::program(self.home.path(), name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file of whoever runs the server.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        owned(&self.path(name));
    }

    /// More lines of its settings; the last word counts.
    pub(crate) fn set(&self, settings: &str) {
        let file = self.path("data/postgresql.conf");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + settings + "\n").unwrap();
    }

    fn control(&self, arguments: &[&str]) -> bool {
        let done =
            self.program("pg_ctl").args(arguments).arg("--silent").arg("--pgdata").arg(self.path("data")).status();
        done.unwrap().success()
    }

    pub(crate) fn start(&self) {
        // What is asked here is what is answered, not what outlasts a loss of power.
        let settings = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c full_page_writes=off \
             -c shared_buffers=32MB -c max_wal_size=128MB",
            self.port
        );
        let log = self.path("log");
        let log = log.to_str().unwrap();
        // Another process may have taken the port while nobody listened there: it gives it back soon.
        for _ in 0..20 {
            if self.control(&["start", "--wait", "--options", &settings, "--log", log]) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        panic!("PostgreSQL does not start: see {log}");
    }

    fn try_stop(&self, mode: &str) -> bool {
        self.control(&["stop", "--wait", "--mode", mode])
    }

    /// Stops it: `fast`, or `immediate` as if it were killed.
    pub(crate) fn stop(&self, mode: &str) {
        assert!(self.try_stop(mode));
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        assert!(self.control(&["promote", "--wait"]));
    }

    /// Lets it read its settings again.
    pub(crate) fn reload(&self) {
        assert!(self.control(&["reload"]));
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://remint@127.0.0.1:{}/postgres", self.port)
    }

    /// What a statement answers, without its head.
    pub(crate) fn ask(&self, statement: &str) -> String {
        let mut asked = self.program("psql");
        asked.args(["-X", "-A", "-t", "-c", statement, &self.url()]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = asked.output().unwrap();
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
