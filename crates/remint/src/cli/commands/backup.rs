//! `remint backup` and `remint restore`. A copy is looked at before it gets its name; nothing is overwritten.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use axum::body::Body;
use http_body_util::BodyExt as _;
use remint_core::audit::Doer;
use serde_json::json;

use crate::cli::{CliError, Exit, Setup};
use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::restore::{RestoreError, raise_in_place, restore};
use crate::store::examine;

/// What `remint restore` is told.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Restore {
    /// The backup
    #[arg(required_unless_present = "in_place", conflicts_with = "in_place")]
    file: Option<PathBuf>,
    /// The database was brought back to an earlier point by its own means: make it fit to be served
    #[arg(long)]
    in_place: bool,
    /// Nobody stays logged in, and no access token that is out is believed
    #[arg(long)]
    end_all_sessions: bool,
}

/// Writes a copy of the store to `file`, which must not be there.
pub(in crate::cli) async fn backup(setup: &Setup, file: &Path) -> Result<(), CliError> {
    let refused = |error: std::io::Error| CliError::failed(format!("{}: {error}", file.display()));
    if let (Some(_), _) = Config::database(&setup.flags, &setup.environment)? {
        return Err(CliError::usage("the data is in a database, which is copied by its own means: pg_dump"));
    }
    if file.exists() {
        return Err(exists(file));
    }
    let answerer = setup.answerer().await?;
    let unfinished = beside(file);
    let received = match answerer.stream("/admin/api/backup").await {
        Ok(body) => receive(body, &unfinished).await,
        Err(error) => Err(error),
    };
    answerer.close().await;
    let finished = received.and_then(|()| {
        let examined = examine(&unfinished).map_err(CliError::failed)?;
        match std::fs::hard_link(&unfinished, file) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(file)),
            linked => linked.map_err(refused)?,
        }
        Ok(examined)
    });
    let _ = std::fs::remove_file(&unfinished); // what is good of it has its name by now
    let examined = finished?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(refused)?;
    setup.print(&json!({
        "file": file.display().to_string(),
        "taken_at": examined.taken_at.secs(),
        "size_bytes": file.metadata().map_err(refused)?.len(),
        "users": examined.users,
        "live_sessions": examined.live_sessions,
        "not_in_it": "the master key: keep it elsewhere, without it the backup is of no use",
    }))
}

fn exists(file: &Path) -> CliError {
    CliError::new(Exit::Usage, format!("{} is there already: name another file", file.display()))
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    file.with_file_name(name)
}

/// Every byte of the answer, on the disk; an answer that breaks off is an error.
async fn receive(mut body: Body, to: &Path) -> Result<(), CliError> {
    let refused = |error: std::io::Error| CliError::failed(format!("{}: {error}", to.display()));
    let _ = std::fs::remove_file(to); // left behind by a backup that was cut off
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(refused)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| CliError::failed(format!("the copy broke off: {error}")))?;
        if let Ok(data) = frame.into_data() {
            file.write_all(&data).map_err(refused)?;
        }
    }
    file.sync_all().map_err(refused)
}

/// Puts a backup into the data directory, which must hold no data, or makes a restored database fit to be served.
pub(in crate::cli) async fn run(setup: &Setup, command: Restore) -> Result<(), CliError> {
    let config = Config::load(&setup.flags, &setup.environment)?;
    let clock = Clock::system();
    let room = (clock.clone(), Entropy::system());
    let doer = Doer { reason: setup.reason.clone(), ..Doer::operator() };
    let restored = match &command.file {
        Some(file) => restore(file, &config.settings, config.master_key, room, command.end_all_sessions, &doer).await,
        None => raise_in_place(&config.settings, config.master_key, room, command.end_all_sessions, &doer).await,
    };
    setup.print(&restored?.view(clock.now()))
}

impl From<RestoreError> for CliError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Exists(_) | RestoreError::Database | RestoreError::NoDatabase | RestoreError::Backup(_) => {
                Self::usage(error)
            }
            RestoreError::Directory(_) | RestoreError::Open(_) | RestoreError::Keyring(_) | RestoreError::Io { .. } => {
                Self::failed(error)
            }
        }
    }
}
