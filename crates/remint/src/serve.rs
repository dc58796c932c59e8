//! A running server: its listeners, its jobs, and its orderly end. Never decides anything about a request.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::app::{App, StartError};
use crate::clock::Clock;
use crate::config::{Config, Reloader};
use crate::entropy::Entropy;
use crate::listen::{Limits, Listener, Server};
use crate::traces::{NoTraces, Traces};
use crate::{control, http, jobs, ready, telemetry};

/// How long a command on the control socket may take: to check a large data file, or to end many sessions. Nobody waits
/// for it whose own deadline is shorter, and no single commit waits for longer than the store lets it.
const COMMAND_TIME: Duration = Duration::from_secs(600);

/// Why the server did not run, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store, the keys.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log.
    #[error("the log cannot be started: {0}")]
    Log(io::Error),
    /// The data directory cannot be made.
    #[error("the data directory {path} cannot be made: {source}")]
    Data {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The data directory is not this user's alone: somebody else could put another control socket or data file there.
    #[error("others can write to the data directory {path}: make it this user's own (chown), and chmod 700 {path}")]
    Shared {
        /// Which.
        path: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}. Stop what listens there, or set another `{setting}`")]
    Listen {
        /// Which.
        address: String,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The control socket.
    #[error("the control socket cannot be opened in the data directory: {0}")]
    Control(io::Error),
    /// The collector of traces.
    #[error(transparent)]
    Traces(#[from] NoTraces),
    /// The signals of the process.
    #[error("the signals of this process cannot be watched: {0}")]
    Signals(io::Error),
}

/// `remint serve`, until the process is told to stop.
///
/// # Errors
/// Where it cannot start.
pub async fn serve(config: Config, reloader: Option<Reloader>) -> Result<(), ServeError> {
    let _log = telemetry::log_to_stderr(&config.log).map_err(ServeError::Log)?;
    make_private(&config.settings.data)?;
    let public = bind(config.listen, "listen").await?;
    let operations = bind(config.operations_listen, "operations_listen").await?;
    let app = App::open(config.settings, config.master_key, Clock::system(), Entropy::system()).await?;
    if let Some(reloader) = reloader {
        let _ = app.reloader.set(reloader); // nobody else has this app yet
    }
    let limits = Limits { request_time: app.settings.timing.server_deadline, ..config.limits };
    let local = |listener: &TcpListener| listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let (listen, operations_listen) = (local(&public), local(&operations));
    let traces = Traces::to(app.settings.traces_url.as_deref())?;
    let mut house = House::new(app.clone(), limits)?;
    house.open(traces.around(http::router(app.clone()), &app.proxies), vec![public]);
    house.open(telemetry::operations(app.clone(), app.drain.clone()), vec![operations]);
    tracing::info!(issuer = %app.settings.issuer, listen, operations = operations_listen, "serving");
    house.run().await;
    traces.end().await;
    Ok(())
}

/// Makes a directory that only this user can enter, unless it is there. Called where tokio runs.
///
/// # Errors
/// Where the file system refuses, and where others can write to the directory that is there.
pub fn make_private(data: &Path) -> Result<(), ServeError> {
    let path = || data.display().to_string();
    let made = || -> io::Result<bool> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        let (found, own) = (data.metadata()?, control::own_uid()?);
        Ok(found.mode() & 0o022 == 0 && (found.uid() == own || found.uid() == ROOT))
    };
    match made() {
        Ok(true) => Ok(()),
        Ok(false) => Err(ServeError::Shared { path: path() }),
        Err(source) => Err(ServeError::Data { path: path(), source }),
    }
}

/// Whoever may write everywhere anyway.
const ROOT: u32 = 0;

async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ServeError::Listen { address: address.to_string(), setting, source })
}

/// A running server. Dropping it stops everything at once; [`Self::run`] ends in order.
pub struct House {
    app: App,
    limits: Limits,
    servers: JoinSet<()>,
    jobs: JoinSet<()>,
    /// Watched from the first: whoever is told that it serves may stop it.
    terminate: Signal,
    interrupt: Signal,
    /// Reloads the configuration, where there is one; without one a terminal that goes takes the server with it.
    hangup: Option<Signal>,
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House").field("servers", &self.servers.len()).finish_non_exhaustive()
    }
}

impl House {
    /// With the control socket and the jobs.
    ///
    /// # Errors
    /// Where the control socket cannot be opened, or signals cannot be watched.
    pub fn new(app: App, limits: Limits) -> Result<Self, ServeError> {
        let control = control::listener(&app.settings.data).map_err(ServeError::Control)?;
        let watched = |kind| signal(kind).map_err(ServeError::Signals);
        let mut house = Self {
            app: app.clone(),
            limits,
            servers: JoinSet::new(),
            jobs: JoinSet::new(),
            terminate: watched(SignalKind::terminate())?,
            interrupt: watched(SignalKind::interrupt())?,
            hangup: app.reloader.get().map(|_| watched(SignalKind::hangup())).transpose()?,
        };
        house.listen(http::control::router(app.clone()), control, Limits { request_time: COMMAND_TIME, ..limits });
        let lost_and_found = app.store.lost_and_found();
        house.jobs.spawn(ready::watch(app.doubt.clone(), app.clock.clone(), lost_and_found));
        house.jobs.spawn(jobs::upkeep::run());
        house.jobs.spawn(ready::watch_clock(app.clone()));
        house.jobs.spawn(jobs::lease::alone(app.clone(), "purge", jobs::purge::run));
        house.jobs.spawn(jobs::lease::alone(app, "keys", jobs::keys::run));
        Ok(house)
    }

    /// Answers on these ports by this router.
    pub fn open(&mut self, router: Router, listeners: Vec<TcpListener>) {
        for listener in listeners {
            self.listen(router.clone(), Listener::Tcp(listener), self.limits);
        }
    }

    fn listen(&mut self, router: Router, listener: Listener, limits: Limits) {
        let router = telemetry::observed(router, limits.request_time, self.app.proxies.clone());
        let server = Server { router, limits, drain: self.app.drain.clone() };
        self.servers.spawn(server.run(listener));
    }

    /// Runs until SIGTERM or SIGINT, drains, and closes the store.
    pub async fn run(mut self) {
        self.until(std::future::pending()).await;
        self.end().await;
    }

    /// Runs until SIGTERM, SIGINT, or what else is a reason to stop.
    pub async fn until(&mut self, stop: impl Future<Output = ()>) {
        if let Some(hangup) = self.hangup.take() {
            self.jobs.spawn(jobs::reload::run(self.app.clone(), hangup));
        }
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = stop => {}
        }
    }

    /// Drains, and closes the store.
    pub async fn end(mut self) {
        tracing::info!("stopping: requests under way are finished");
        self.app.drain.begin();
        while self.servers.join_next().await.is_some() {}
        self.jobs.shutdown().await;
        // The socket's file is only in the way now; the next start removes it too.
        let _ = std::fs::remove_file(control::socket_path(&self.app.settings.data));
        self.app.store.clone().close().await;
        tracing::info!("stopped");
    }
}
