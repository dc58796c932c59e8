//! `remint dev`: a server with no configuration, to try things out on this machine. Loopback only; a password that
//! everybody knows; the master key beside the data. Never for real users: `serve` refuses its folder.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use remint_core::sender::SomeLimits;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{DEV_MARKER, Environment, Log, LogFormat, read_master_key};
use crate::entropy::Entropy;
use crate::keyring::MasterKey;
use crate::listen::Limits;
use crate::serve::{House, ServeError, make_private};
use crate::settings::{Carrier, Settings, Sms};
use crate::{http, telemetry};

mod acts;
mod facts;
mod front;
mod inbox;
mod play;
mod seed;
mod speed;

use speed::Speed;

/// Where the data lies, if nothing else is said.
pub const DEFAULT_DATA: &str = "remint-dev";
/// In the folder: the master key. Fine here: nothing in the folder is worth anything elsewhere.
const MASTER_KEY: &str = "master.key";

/// What `remint dev` can be told.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The port on localhost; 0 takes one that is free
    #[arg(long, default_value_t = 7070)]
    port: u16,
    /// Open no browser
    #[arg(long)]
    no_open: bool,
    /// Let lives run out this many times faster, so that one can watch
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    speed: u32,
}

/// Why dev did not start, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// As `serve`.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The port is taken.
    #[error("port {port} is taken: stop what listens there, or choose another with --port N (0 takes a free one)")]
    PortTaken {
        /// Which.
        port: u16,
    },
    /// The loopback address cannot be listened on.
    #[error("cannot listen on localhost: {0}")]
    Listen(io::Error),
    /// The folder was not made by dev.
    #[error("{} holds data that `remint dev` did not make: name another folder with --data", .0.display())]
    NotDev(PathBuf),
    /// The folder cannot be used.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the folder is not as dev made it.
    #[error("{0}. Remove the folder to begin anew")]
    Damaged(String),
    /// The speed makes a life impossible.
    #[error("--speed {speed} is too fast: {why}. Choose a lower one")]
    TooFast {
        /// The speed.
        speed: u32,
        /// What it makes impossible.
        why: String,
    },
}

/// Runs until it is told to stop; where another speed is wished for, anew with that one.
///
/// # Errors
/// Where it cannot start.
pub async fn dev(data: Option<PathBuf>, options: Options) -> Result<(), DevError> {
    let log = Log { format: LogFormat::Text, filter: "warn,remint::access=info".to_owned() };
    let _log = telemetry::log_to_stderr(&log).map_err(ServeError::Log)?;
    let mut speed = Speed::new(options.speed)?;
    let data = data.unwrap_or_else(|| DEFAULT_DATA.into());
    let (doors, port) = Doors::open(options.port).await?; // where that fails nothing is left behind
    let mut before = prepared(&data)?;
    let mut stops = Stops::watched()?;
    let mut greeting = Some(options.no_open);
    loop {
        let stage = Stage { data: &data, doors: &doors, port, speed, rescale: before != Some(speed.times()) };
        match stage.run(&mut stops, greeting.take()).await? {
            Some(wished) => (before, speed) = (Some(speed.times()), wished),
            None => return Ok(()),
        }
    }
}

/// One run at one speed.
struct Stage<'a> {
    data: &'a Path,
    doors: &'a Doors,
    port: u16,
    speed: Speed,
    rescale: bool,
}

impl Stage<'_> {
    /// Answers the speed at which to go on, if it is to. The first run greets, and opens no browser where it is told so.
    async fn run(&self, stops: &mut Stops, greeting: Option<bool>) -> Result<Option<Speed>, DevError> {
        let settings = self.speed.scaled(settings(self.data, self.port)?);
        let master_key = master_key(self.data)?;
        let app =
            App::open(settings, master_key, Clock::system(), Entropy::system()).await.map_err(ServeError::from)?;
        let seeded = seed::seed(&app, self.speed, self.rescale).await?;
        let facts = facts::write(&app, self.speed, &seeded)?;
        write_private(&self.data.join(DEV_MARKER), &format!("{} {}\n", self.speed.times(), self.port))?;
        let limits = Limits { request_time: app.settings.timing.server_deadline, ..Limits::default() };
        let mut house = House::new(app.clone(), limits)?;
        let (faster, mut wishes) = mpsc::channel(1);
        let acts = acts::router(&app, facts::public(&facts, self.speed), faster);
        let own = inbox::router(&app).merge(play::router(&app.settings.issuer)).merge(acts);
        let public = http::router(app.clone()).merge(own);
        house.open(front::router(public, &facts, self.port), self.doors.listeners()?);
        if let Some(no_open) = greeting {
            facts::print(&facts, self.data).map_err(DevError::Listen)?;
            if !no_open {
                open_browser(&Environment::of_process(), &format!("{}/play", app.settings.issuer));
            }
        }
        let mut wished = None;
        let stop = async {
            tokio::select! {
                wish = wishes.recv() => wished = wish,
                () = stops.told() => {}
            }
        };
        house.until(stop).await;
        if wished.is_none() {
            self.doors.close(); // no run comes after this one
        }
        house.end().await;
        Ok(wished)
    }
}

/// The signals that stop dev. Watched from before the first run to after the last, so that none is lost between two.
struct Stops(Signal, Signal);

impl Stops {
    fn watched() -> Result<Self, DevError> {
        let watched = |kind| signal(kind).map_err(ServeError::Signals);
        Ok(Self(watched(SignalKind::terminate())?, watched(SignalKind::interrupt())?))
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// Makes the folder, unless it is there; refuses one of somebody else. Answers the speed of the last start.
fn prepared(data: &Path) -> Result<Option<u32>, DevError> {
    let occupied = std::fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_some());
    match read_marker(data) {
        Some((speed, _)) => Ok(Some(speed)),
        None if occupied => Err(DevError::NotDev(data.to_owned())),
        None => {
            make_private(data)?;
            write_private(&data.join(DEV_MARKER), "")?;
            Ok(None)
        }
    }
}

/// The speed and the port of the last start; zeros where the first one came to nothing.
fn read_marker(data: &Path) -> Option<(u32, u16)> {
    let text = std::fs::read_to_string(data.join(DEV_MARKER)).ok()?;
    let mut words = text.split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok()).unwrap_or_default();
    Some((number(), u16::try_from(number()).unwrap_or_default()))
}

fn settings(data: &Path, port: u16) -> Result<Settings, DevError> {
    let issuer = format!("http://localhost:{port}").parse();
    let mut settings = Settings::new(issuer.map_err(|_| DevError::PortTaken { port })?, data.to_owned());
    let many = NonZeroU32::new(100);
    let limits = SomeLimits { per_number: many, per_block: many, per_address: many, ..SomeLimits::default() };
    settings.sms = Sms { carrier: Carrier::Inbox, limits };
    Ok(settings)
}

/// The settings and the master key of a folder that dev made: for the command line, when no server runs.
///
/// # Errors
/// Where the folder is damaged.
pub fn settings_of(data: &Path) -> Result<(Settings, MasterKey), DevError> {
    let (speed, port) = read_marker(data).unwrap_or_default();
    let settings = Speed::new(speed.max(1))?.scaled(settings(data, if port == 0 { 7070 } else { port })?);
    Ok((settings, read_master_key(&data.join(MASTER_KEY)).map_err(DevError::Damaged)?))
}

/// Makes the master key the first time.
fn master_key(data: &Path) -> Result<MasterKey, DevError> {
    let path = data.join(MASTER_KEY);
    if !path.exists() {
        let bytes = Entropy::system().bytes::<32>();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        write_private(&path, &text)?;
    }
    read_master_key(&path).map_err(DevError::Damaged)
}

/// Writes a file that only this user can read, all of it or nothing.
fn write_private(path: &Path, text: &str) -> Result<(), DevError> {
    let folder = |source| DevError::Folder { path: path.to_owned(), source };
    let unfinished = path.with_extension("new");
    let _ = std::fs::remove_file(&unfinished); // left behind by a start that was cut off
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&unfinished).map_err(folder)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(folder)?;
    std::fs::rename(&unfinished, path).map_err(folder)
}

/// Both loopbacks, on one port; the IPv6 one where the host has it. They stay open from one run to the next: who comes
/// in between waits.
struct Doors(RefCell<Vec<std::net::TcpListener>>);

impl Doors {
    async fn open(port: u16) -> Result<(Self, u16), DevError> {
        let (listeners, port) = loopback(port).await?;
        let kept = listeners.into_iter().map(TcpListener::into_std).collect::<io::Result<_>>();
        Ok((Self(RefCell::new(kept.map_err(DevError::Listen)?)), port))
    }

    fn listeners(&self) -> Result<Vec<TcpListener>, DevError> {
        let again = |door: &std::net::TcpListener| TcpListener::from_std(door.try_clone()?);
        self.0.borrow().iter().map(again).collect::<io::Result<_>>().map_err(DevError::Listen)
    }

    fn close(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Binds both; a port that is free on both, where none is named.
async fn loopback(port: u16) -> Result<(Vec<TcpListener>, u16), DevError> {
    const ATTEMPTS: u8 = 16; // a free port of the one may be taken on the other
    let taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    for _ in 0..ATTEMPTS {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|error| if taken(&error) { DevError::PortTaken { port } } else { DevError::Listen(error) })?;
        let chosen = four.local_addr().map_err(DevError::Listen)?.port();
        match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, chosen))).await {
            Ok(six) => return Ok((vec![four, six], chosen)),
            Err(error) if taken(&error) && port == 0 => {}
            Err(error) if taken(&error) => return Err(DevError::PortTaken { port }),
            Err(_) => return Ok((vec![four], chosen)), // no IPv6 here
        }
    }
    Err(DevError::PortTaken { port })
}

/// Best effort: somebody without a browser can read the URL. The child is waited for, so that it leaves no zombie.
fn open_browser(environment: &Environment, url: &str) {
    let Some(opener) = opener(environment, cfg!(target_os = "macos")) else { return };
    let mut command = std::process::Command::new(opener);
    let started = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Ok(mut child) = started {
        std::thread::spawn(move || child.wait());
    }
}

/// What opens a URL, where there is a desktop. Without one `xdg-open` would start a browser of the terminal.
fn opener(environment: &Environment, macos: bool) -> Option<&'static str> {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| environment.get(name).is_some());
    if macos { Some("open") } else { desktop.then_some("xdg-open") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_of_somebody_else_is_refused_and_an_own_one_keeps_its_key() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.tex"), "").unwrap();
        assert!(matches!(prepared(dir.path()), Err(DevError::NotDev(_))));
        let own = dir.path().join("own");
        assert_eq!(prepared(&own).unwrap(), None);
        master_key(&own).unwrap();
        let first = std::fs::read_to_string(own.join(MASTER_KEY)).unwrap();
        master_key(&own).unwrap();
        assert_eq!(std::fs::read_to_string(own.join(MASTER_KEY)).unwrap(), first);
        write_private(&own.join(DEV_MARKER), "12 7071\n").unwrap();
        assert_eq!(prepared(&own).unwrap(), Some(12));
        assert_eq!(settings_of(&own).unwrap().0.issuer.as_str(), "http://localhost:7071");
    }

    #[test]
    fn a_browser_is_opened_where_there_is_a_desktop() {
        let opened = |variables: &[(&str, &str)], macos| {
            let all = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            opener(&all.collect(), macos)
        };
        assert_eq!(opened(&[("DISPLAY", ":0")], false), Some("xdg-open"));
        assert_eq!(opened(&[("WAYLAND_DISPLAY", "wayland-0")], false), Some("xdg-open"));
        assert_eq!(opened(&[], false), None);
        assert_eq!(opened(&[("DISPLAY", ""), ("TERM", "xterm")], false), None);
        assert_eq!(opened(&[], true), Some("open"));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_says_what_to_do() {
        let (held, port) = loopback(0).await.unwrap();
        let refused = loopback(port).await.unwrap_err().to_string();
        assert!(refused.contains("--port"), "{refused}");
        assert!(held.iter().all(|listener| listener.local_addr().unwrap().ip().is_loopback()));
    }
}
