//! The measured servers: this very program, started again on a core of its own. And how much of that core they used.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use remint::config::{Config, Log, LogFormat};
use remint::listen::Limits;
use tokio::net::TcpStream;

use crate::seed::Seeded;
use crate::{Fallible, seed};

/// The core of the measured server, and the one of everything else.
const SERVER_CORE: &str = "0";
const DRIVER_CORE: &str = "1";

/// A server in a process of its own; dropping it ends it.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// `remint serve` on the data in this folder.
    pub(crate) async fn remint(data: &Path, port: u16, log: &str) -> Fallible<Self> {
        let (data_text, port_text) = (named(data)?, port.to_string());
        let arguments = ["serve", data_text, &port_text, &port_text, log];
        Self::start(pinned()?, &arguments, port, &data.join("server.log")).await
    }

    /// `remint serve` on what was made; on all cores where a database shares them.
    pub(crate) async fn on(seeded: &Seeded, port: u16, log: &str) -> Fallible<Self> {
        match seeded.postgres() {
            Ok(_) => Self::beside(seeded, port, port, log).await,
            Err(_) => Self::remint(seeded.path(), port, log).await,
        }
    }

    /// `remint serve` on a database, as one of the nodes whose issuer is at the other port.
    pub(crate) async fn beside(seeded: &Seeded, port: u16, issuer_port: u16, log: &str) -> Fallible<Self> {
        let (data_text, url) = (named(seeded.path())?, seeded.postgres()?.url());
        let arguments = ["serve", data_text, &port.to_string(), &issuer_port.to_string(), log, &url];
        let command = Command::new(std::env::current_exe()?);
        Self::start(command, &arguments, port, &seeded.path().join(format!("server-{port}.log"))).await
    }

    /// The floor, which signs these claims each time, or answers this text.
    pub(crate) async fn floor(data: &Path, claims: &str, text: &str) -> Fallible<Self> {
        let port = free_port()?;
        Self::start(pinned()?, &["floor", &port.to_string(), claims, text], port, &data.join("floor.log")).await
    }

    async fn start(mut command: Command, arguments: &[&str], port: u16, log: &Path) -> Fallible<Self> {
        command.args(arguments);
        command.stdin(Stdio::null()).stdout(File::create(log.with_extension("out"))?).stderr(File::create(log)?);
        let process = command.spawn().map_err(|error| format!("`taskset` of util-linux is needed: {error}"))?;
        let mut server = Self { process, address: (Ipv4Addr::LOCALHOST, port).into() };
        while TcpStream::connect(server.address).await.is_err() {
            if server.process.try_wait()?.is_some() {
                return Err(format!("{} did not start: {}", arguments[0], std::fs::read_to_string(log)?).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(server)
    }

    /// How much processor time it has used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Fallible<f64> {
        cpu_seconds(&self.process.id().to_string())
    }

    /// How much memory it has resident, in KiB.
    pub(crate) fn resident_kib(&self) -> Fallible<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/<pid>/status")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn named(folder: &Path) -> Fallible<&str> {
    folder.to_str().ok_or_else(|| "the folder's name is not UTF-8".into())
}

/// This program, on the server's core.
fn pinned() -> Fallible<Command> {
    let mut command = Command::new("taskset");
    command.args(["-c", SERVER_CORE]).arg(std::env::current_exe()?);
    Ok(command)
}

/// How much processor time this process has used, in seconds.
pub(crate) fn own_cpu_seconds() -> Fallible<f64> {
    cpu_seconds("self")
}

/// User and system time of a process: fields 14 and 15 of `/proc/<pid>/stat`, in hundredths of a second.
fn cpu_seconds(pid: &str) -> Fallible<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').ok_or("an unknown form of /proc/<pid>/stat")?.1;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / 100.0)
}

/// Keeps this process off the server's core.
pub(crate) fn keep_off() -> Fallible<()> {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset").args(["-a", "-c", "-p", DRIVER_CORE, &pid]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("`taskset` could not pin the load: two cores are needed".into()) }
}

/// A port that is free now.
pub(crate) fn free_port() -> Fallible<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// `remint serve`, with its defaults: what runs in the process of a [`Server`] at `port`.
pub(crate) async fn serve(
    data: PathBuf,
    [port, issuer_port]: [u16; 2],
    log: String,
    database: Option<String>,
) -> Fallible<()> {
    let config = Config {
        settings: seed::settings(&data, issuer_port, database.as_deref())?,
        master_key: seed::MASTER_KEY.parse()?,
        listen: (Ipv4Addr::LOCALHOST, port).into(),
        operations_listen: (Ipv4Addr::LOCALHOST, 0).into(),
        limits: Limits::default(),
        log: Log { format: LogFormat::Text, filter: log },
    };
    Ok(remint::serve::serve(config, None).await?)
}
