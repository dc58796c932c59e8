//! A PostgreSQL of the tests' own: started by the first test that needs it, shared by all that run meanwhile, whatever
//! process they are in, and stopped some time after the last. Never as root, never on anything but this machine's loopback.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

/// Where Debian has the programs that are not for everybody.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// Who runs it where the tests run as root: `nobody`.
const NOBODY: u32 = 65534;

/// Ends the server when no test has held the lock for some seconds.
const KEEPER: &str = r#"
idle=0
while [ "$idle" -lt 5 ]; do
  sleep 2
  if flock --nonblock --exclusive "$1/users" true; then idle=$((idle + 1)); else idle=0; fi
done
exec flock --exclusive "$1/users" "$2/pg_ctl" --pgdata "$1/data" --mode immediate --silent stop
"#;

/// The server, in use as long as this lives.
pub(crate) struct Cluster {
    port: u16,
    _in_use: File,
}

impl Cluster {
    /// The server of this machine's tests.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::of(""))
    }

    /// A server of this name, for a test that must have it to itself: whoever writes in another database of a server
    /// holds back what can be cleared away in all of them.
    pub(crate) fn of(name: &str) -> Self {
        let home = home(name);
        let in_use = lock_file(&home.join("users"));
        in_use.lock_shared().unwrap();
        let starting = lock_file(&home.join("starting"));
        starting.lock().unwrap();
        let port = running(&home).unwrap_or_else(|| start(&home));
        Self { port, _in_use: in_use }
    }

    /// Makes an empty database for this process, and removes those of processes that are no more.
    pub(crate) fn new_database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let me = std::process::id();
        let begun = |name: &str| name.split('_').nth(1)?.parse::<u32>().ok();
        for left in self.ask("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'") {
            if begun(&left).is_none_or(|process| !Path::new(&format!("/proc/{process}")).exists()) {
                self.ask("postgres", &format!("DROP DATABASE IF EXISTS {left} (FORCE)"));
            }
        }
        let name = format!("test_{me}_{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.ask("postgres", &format!("DROP DATABASE IF EXISTS {name} (FORCE)")); // of another one of that number
        self.ask("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://remint@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The first value of each row that a statement answers, as text.
    pub(crate) fn ask(&self, database: &str, statement: &str) -> Vec<String> {
        let (url, statement) = (self.url(database), statement.to_owned());
        let asking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
                let driven = tokio::spawn(connection);
                let said = client.simple_query(&statement).await.unwrap();
                drop(client);
                driven.await.unwrap().unwrap();
                let texts = said.iter().filter_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                    _ => None,
                });
                texts.collect()
            })
        });
        asking.join().unwrap() // a thread of its own: a test may be driven by a runtime already
    }
}

/// One place for one checkout and name, which `nobody` can reach wherever that is.
fn home(name: &str) -> PathBuf {
    let checkout = env!("CARGO_TARGET_TMPDIR").bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
    let home = std::env::temp_dir().join(format!("remint-test-postgres-{checkout:08x}{name}"));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    if let Some(user) = user(&home) {
        chown(&home, Some(user), Some(user)).unwrap();
    }
    home
}

/// Who is to run the server, where it is not whoever runs the tests.
pub(crate) fn user(home: &Path) -> Option<u32> {
    let me = std::fs::metadata("/proc/self").map_or_else(|_| std::fs::metadata(home).unwrap().uid(), |of| of.uid());
    (me == 0).then_some(NOBODY)
}

fn lock_file(path: &Path) -> File {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(0o666)).unwrap();
    file
}

/// One of PostgreSQL's programs, as whoever may run it.
pub(crate) fn program(home: &Path, name: &str) -> Command {
    let there = Path::new(PROGRAMS).join(name);
    let mut program = Command::new(if there.exists() { there } else { name.into() });
    program.current_dir(home).stdin(Stdio::null()).stdout(Stdio::null());
    if let Some(user) = user(home) {
        program.uid(user).gid(user);
    }
    program
}

/// The port of the server, where it runs.
fn running(home: &Path) -> Option<u16> {
    let status = program(home, "pg_ctl").arg("status").arg("--pgdata").arg(home.join("data")).status();
    let running = status.expect("PostgreSQL 15 is missing: install it").success();
    running.then(|| std::fs::read_to_string(home.join("port")).unwrap().trim().parse().unwrap())
}

fn start(home: &Path) -> u16 {
    let data = home.join("data");
    if !data.join("PG_VERSION").exists() {
        let _ = std::fs::remove_dir_all(&data); // of a start that was cut off
        let made = program(home, "initdb")
            .args(["--username=remint", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--pgdata"])
            .arg(&data)
            .status();
        assert!(made.unwrap().success());
    }
    // What is asked here is what is answered, not what outlasts a loss of power.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=500 \
         -c fsync=off -c full_page_writes=off -c shared_buffers=64MB -c max_wal_size=256MB"
    );
    let started = program(home, "pg_ctl")
        .args(["start", "--wait", "--silent", "--options", &settings, "--log"])
        .arg(home.join("log"))
        .arg("--pgdata")
        .arg(&data)
        .status();
    assert!(started.unwrap().success(), "see {}", home.join("log").display());
    write!(File::create(home.join("port")).unwrap(), "{port}").unwrap();
    keep(home);
    port
}

/// Starts what ends the server. It outlives this process: the next test of another one may use the server.
#[expect(clippy::zombie_processes, reason = "it outlives this process, which nothing waits for")]
fn keep(home: &Path) {
    let mut keeper = program(home, "sh");
    keeper.args(["-c", KEEPER, "sh"]).arg(home).arg(PROGRAMS).process_group(0).stderr(Stdio::null());
    keeper.spawn().unwrap();
}
