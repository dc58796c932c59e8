//! A backup put into the place of data that is lost. Looks at the copy first, raises what must be raised, opens its
//! keyring, and only then gives it the name that a server opens. Never overwrites data, and never serves.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use remint_core::audit::{Act, Doer, Entry, Target};
use remint_core::change::Changes;
use remint_core::key::KeyState;
use remint_core::key::Purpose;
use remint_core::time::Timestamp;
use serde_json::{Value, json};

use crate::app::DATA_FILE;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::keyring::{Keyring, KeyringError, MasterKey};
use crate::serve::{ServeError, make_private};
use crate::settings::Settings;
use crate::store::{self, BadBackup, Examined, OpenError, Store, StoreOptions};

/// The copy in the data directory until it is fit to be served.
const UNFINISHED: &str = "restoring.db";
/// What SQLite keeps beside a data file.
const BESIDE: [&str; 3] = ["db-wal", "db-shm", "db-journal"];

/// Why nothing was restored. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is data already.
    #[error("{} is there already, and nothing is overwritten: name another --data, or move it away", .0.display())]
    Exists(PathBuf),
    /// The data is not to be in the data directory.
    #[error(
        "`database` is set: a database is restored by its own means, pg_restore or a copy of an earlier point. Then \
         `remint restore --in-place` makes it fit to be served"
    )]
    Database,
    /// There is no database.
    #[error("`database` is not set: name the backup that is to be restored into the data directory")]
    NoDatabase,
    /// The copy cannot be used.
    #[error(transparent)]
    Backup(#[from] BadBackup),
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] ServeError),
    /// The file that is made of the copy.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The master key is not the one of the backup, or a key is damaged.
    #[error("the keyring of the backup: {0}")]
    Keyring(#[from] KeyringError),
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup held.
    pub examined: Examined,
    /// The keys that are believed: one that was withdrawn after the backup is among them again.
    pub believed: Vec<String>,
    /// Whether every session was ended and every signing key replaced.
    pub sessions_ended: bool,
}

/// Restores the backup `file` into the data directory of `settings`. With `end_sessions` nobody stays logged in, and no
/// access token that is out is believed.
///
/// # Errors
/// [`RestoreError`]; then the data directory holds no data, as before.
pub async fn restore(
    file: &Path,
    settings: &Settings,
    master: MasterKey,
    (clock, entropy): (Clock, Entropy),
    end_sessions: bool,
    doer: &Doer,
) -> Result<Restored, RestoreError> {
    if settings.database.is_some() {
        return Err(RestoreError::Database);
    }
    let examined = store::examine(file)?;
    make_private(&settings.data)?;
    let place = settings.data.join(DATA_FILE);
    let locked = place.with_extension("lock");
    let begun = !locked.exists();
    let lock = store::lock(&place)?;
    nothing_there(&place)?;
    let unfinished = settings.data.join(UNFINISHED);
    let made = async {
        forget(&unfinished); // of an attempt that was cut off: its log would be played into this one
        copied(file, &unfinished)?;
        store::raise(&unfinished, entropy.bytes(), end_sessions)?;
        let store = Store::open(&unfinished, StoreOptions::default(), entropy.bytes())?;
        let told = restored(doer, end_sessions, clock.now());
        keys_of(store, settings, master, (clock, entropy), end_sessions, Some(told)).await
    };
    let made = made.await;
    let believed = made.and_then(|believed| complete(&unfinished).map(|()| believed));
    let believed = believed.inspect_err(|_| {
        forget(&unfinished);
        if begun {
            let _ = std::fs::remove_file(&locked); // as it was before
        }
    })?;
    tidy(&unfinished);
    let placed = std::fs::rename(&unfinished, &place).and_then(|()| File::open(&settings.data)?.sync_all());
    placed.map_err(|source| RestoreError::Io { path: place, source })?;
    drop(lock);
    Ok(Restored { examined, believed, sessions_ended: end_sessions })
}

/// Makes the database of `settings` fit to be served, after it was brought back to an earlier point by its own means. To do
/// it once more than needed does no harm. With `end_sessions` nobody stays logged in, and no access token that is out is
/// believed.
///
/// # Errors
/// [`RestoreError`]; then nobody's session and no version has changed.
pub async fn raise_in_place(
    settings: &Settings,
    master: MasterKey,
    (clock, entropy): (Clock, Entropy),
    end_sessions: bool,
    doer: &Doer,
) -> Result<Restored, RestoreError> {
    let database = settings.database.clone().ok_or(RestoreError::NoDatabase)?;
    let ca_file = settings.database_ca_file.clone();
    let options = StoreOptions { database_ca_file: ca_file.clone(), ..StoreOptions::default() };
    let seed = entropy.bytes();
    let store = || Store::connect(database.reveal(), options.clone(), seed);
    let room = || (clock.clone(), entropy.clone());
    keys_of(store()?, settings, master.clone(), room(), false, None).await?; // what cannot be opened is not raised either
    let url = database.clone();
    let raised = move || store::raise_database(url.reveal(), ca_file.as_deref(), seed, end_sessions);
    let examined = tokio::task::spawn_blocking(raised)
        .await
        .map_err(|error| RestoreError::Io { path: settings.data.clone(), source: io::Error::other(error) })??;
    let told = restored(doer, end_sessions, clock.now());
    let believed = keys_of(store()?, settings, master, room(), end_sessions, Some(told)).await?;
    Ok(Restored { examined, believed, sessions_ended: end_sessions })
}

/// A log without its file would be played into the one that is restored.
fn nothing_there(place: &Path) -> Result<(), RestoreError> {
    let all = BESIDE.iter().map(|extension| place.with_extension(extension)).chain([place.to_owned()]);
    match all.into_iter().find(|path| path.exists()) {
        Some(path) => Err(RestoreError::Exists(path)),
        None => Ok(()),
    }
}

/// Removes what lies beside an unfinished file: that of one which is [`complete`] is empty.
fn tidy(unfinished: &Path) {
    for rest in BESIDE.iter().chain(&["lock"]).map(|extension| unfinished.with_extension(extension)) {
        let _ = std::fs::remove_file(rest); // it need not be there
    }
}

/// Removes an unfinished file with all that belongs to it.
fn forget(unfinished: &Path) {
    tidy(unfinished);
    let _ = std::fs::remove_file(unfinished); // as above
}

/// Whether all that was written is in the file itself: a log beside it would not come along.
fn complete(unfinished: &Path) -> Result<(), RestoreError> {
    let path = unfinished.with_extension("db-wal");
    match std::fs::metadata(&path) {
        Ok(log) if log.len() > 0 => {
            let source = io::Error::other("the last writes could not be moved into the data file: is the disk full?");
            Err(RestoreError::Io { path, source })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn copied(from: &Path, to: &Path) -> Result<(), RestoreError> {
    let refused = |source| RestoreError::Io { path: to.to_owned(), source };
    let target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(refused)?;
    store::copy_of(from, to)?;
    target.sync_all().map_err(refused)
}

/// That it was restored, for the audit log.
fn restored(doer: &Doer, end_sessions: bool, now: Timestamp) -> Entry {
    doer.did(Act::StoreRestored, Target::Store, now).names(end_sessions.then_some("sessions_ended"))
}

/// Opens the keyring, as the server will; with `end_sessions` replaces every key that signs. Answers the believed keys.
async fn keys_of(
    store: Store,
    settings: &Settings,
    master: MasterKey,
    (clock, entropy): (Clock, Entropy),
    end_sessions: bool,
    tell: Option<Entry>,
) -> Result<Vec<String>, RestoreError> {
    let opened = Keyring::open(store.clone(), master, clock, entropy, settings.keys, settings.timing).await;
    let outcome = match opened {
        Ok(keyring) if end_sessions => replaced(&keyring).await.map(|()| believed(&keyring)),
        Ok(keyring) => Ok(believed(&keyring)),
        Err(error) => Err(error),
    };
    let told = match tell {
        Some(entry) => store.commit(Changes::none().audit(entry)).await.map(drop),
        None => Ok(()),
    };
    store.close().await;
    let believed = outcome?;
    told.map_err(KeyringError::Store)?;
    Ok(believed)
}

fn believed(keyring: &Keyring) -> Vec<String> {
    let all = keyring.list().into_iter().filter(|key| key.state != KeyState::Withdrawn);
    all.map(|key| format!("{} {}", key.purpose.as_str(), key.kid)).collect()
}

/// Withdraws what signs or has signed: a withdrawn current key makes room for a new one.
async fn replaced(keyring: &Keyring) -> Result<(), KeyringError> {
    let signing = |key: &crate::keyring::KeyInfo| key.purpose != Purpose::Refresh && key.state != KeyState::Withdrawn;
    for key in keyring.list().into_iter().filter(signing) {
        keyring.withdraw(&key.kid, &Doer::operator()).await?;
    }
    Ok(())
}

impl Restored {
    /// What an operator must know: what was restored, and what may have come back to life.
    pub fn view(&self, now: Timestamp) -> Value {
        let Examined { taken_at, marked, users, live_sessions, .. } = &self.examined;
        let age_secs = now.since(*taken_at).as_secs();
        let mut revived = vec![
            format!("sessions that ended after the backup: {live_sessions} were live in it, and go on"),
            "changes of records, passwords and clients after the backup are undone; users who were disabled or deleted \
             after it are active again"
                .to_owned(),
            format!("keys that were withdrawn after the backup are believed again: {}", self.believed.join(", ")),
        ];
        if self.sessions_ended {
            revived[0] = format!("no session: all {live_sessions} that were live in the backup are ended");
            revived.remove(2);
        }
        let next = if self.sessions_ended {
            "everybody logs in again; repeat what was changed after the backup"
        } else {
            "repeat what was ended, changed and withdrawn after the backup; where you cannot know what that was, end every \
             session: the same command once more, with --end-all-sessions"
        };
        json!({
            "taken_at": taken_at.secs(),
            "age_seconds": age_secs,
            "made_by_backup": marked,
            "users": users,
            "may_have_revived": revived,
            "what_next": next,
        })
    }
}
