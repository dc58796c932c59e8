//! A PostgreSQL of the benchmark's own, which it starts on the loopback and ends: durable, and with the memory that a small
//! machine would give it. Where the benchmark runs as root, `nobody` runs the server.

use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::Fallible;
use crate::child::free_port;

/// Where Debian has its programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const NOBODY: u32 = 65534;

/// What is set; all else is the default, `fsync` and `synchronous_commit` included.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c shared_buffers=1GB \
                        -c max_wal_size=4GB -c checkpoint_timeout=15min -c max_connections=100 -c wal_compression=lz4";

/// The server, with a folder of its own; dropping it ends it.
pub(crate) struct Postgres {
    folder: TempDir,
    port: u16,
}

impl Postgres {
    /// Starts one whose data lies in a new folder in `beside`.
    pub(crate) fn start(beside: &Path) -> Fallible<Self> {
        let folder = tempfile::Builder::new().prefix("bench-postgres-").tempdir_in(beside)?;
        if is_root()? {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let server = Self { folder, port: free_port()? };
        let data = server.data();
        let initdb = ["--username=remint", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--pgdata"];
        run(server.program("initdb")?.args(initdb).arg(&data))?;
        let options = format!("-p {} {SETTINGS}", server.port);
        let log = server.folder.path().join("log");
        run(server
            .program("pg_ctl")?
            .args(["start", "--wait", "--silent", "--options", &options, "--log"])
            .arg(&log)
            .arg("--pgdata")
            .arg(&data))?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://remint@{}:{}/postgres", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The first value of what a statement answers, as text. Several statements are one transaction.
    pub(crate) fn ask(&self, sql: &str) -> Fallible<String> {
        run(self.program("psql")?.args(["-XAqt", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-c", sql]))
    }

    /// How many bytes were ever written to the write-ahead log.
    pub(crate) fn logged_bytes(&self) -> Fallible<f64> {
        Ok(self.ask("SELECT pg_current_wal_lsn() - '0/0'")?.parse()?)
    }

    /// How many transactions `pgbench` did of a script, prepared, on so many connections, and how many in a second.
    pub(crate) fn pgbench(&self, script: &str, connections: usize, limit: Duration) -> Fallible<(f64, f64)> {
        let file = self.folder.path().join("script.sql");
        std::fs::write(&file, script)?;
        let (clients, seconds) = (connections.to_string(), limit.as_secs().max(1).to_string());
        let mut pgbench = self.program("pgbench")?;
        pgbench
            .args(["-n", "-M", "prepared", "-j", "2", "-c", &clients, "-T", &seconds, "-f"])
            .arg(&file)
            .arg(self.url());
        let said = run(&mut pgbench)?;
        if !said.contains("number of failed transactions: 0 ") {
            return Err(format!("pgbench failed: {said}").into());
        }
        let figure = |name: &str| -> Fallible<f64> {
            let rest = said.lines().find_map(|line| line.strip_prefix(name));
            Ok(rest
                .and_then(|rest| rest.split(' ').next())
                .ok_or("pgbench finished no transaction: more seconds")?
                .parse()?)
        };
        Ok((figure("number of transactions actually processed: ")?, figure("tps = ")?))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of PostgreSQL's programs, run by whoever may.
    fn program(&self, name: &str) -> Fallible<Command> {
        let mut program = Command::new(Path::new(PROGRAMS).join(name));
        program.current_dir(self.folder.path()).stdin(Stdio::null());
        if is_root()? {
            program.uid(NOBODY).gid(NOBODY);
        }
        Ok(program)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let stop = self.program("pg_ctl").map(|mut stop| {
            stop.args(["stop", "--mode", "immediate", "--silent", "--pgdata"]).arg(self.data()).status()
        });
        drop(stop);
    }
}

fn is_root() -> Fallible<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// What a program says, once it has succeeded. What outlives it must not keep its pipes.
fn run(program: &mut Command) -> Fallible<String> {
    let quiet = program.get_args().any(|argument| argument == "start");
    if quiet {
        let status = program.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        return if status.success() { Ok(String::new()) } else { Err("PostgreSQL 15 did not start".into()) };
    }
    let done = program.output().map_err(|error| format!("PostgreSQL 15 is needed: {error}"))?;
    if done.status.success() {
        return Ok(String::from_utf8(done.stdout)?.trim().to_owned());
    }
    Err(String::from_utf8_lossy(&done.stderr).into_owned().into())
}
