//! Copies of the data file: taken while the server writes, looked at before they are believed, and raised, so that what
//! is restored never passes for the history that went on after the copy. Never writes to the file of a running server.

use std::fs::File;
use std::path::{Path, PathBuf};

use remint_core::event::ChainHash;
use remint_core::time::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};

use super::failed;
use super::file::DataFile;
use crate::store::error::{OpenError, StoreError};
use crate::store::migrate;

/// Versions of users and clients that tokens may have shown after the copy was taken are far below what they are raised
/// by: a number that a token out there carries is never given again.
pub(in crate::store) const RAISED_BY: i64 = 1 << 20;

/// Writes everything as it stands into the file at `to`, which must be there and be empty; `now` is kept in the copy.
/// Readers and the writer go on: what they commit meanwhile is not in the copy.
pub(in crate::store) fn copy(file: &DataFile, to: &Path, now: Timestamp) -> Result<(), StoreError> {
    let source = file.connect().map_err(failed)?;
    written_into(&source, to).map_err(failed)?;
    let copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let mark = format!("CREATE TABLE {} (taken_at BIGINT NOT NULL)", migrate::BACKUP_MARK);
    copy.execute_batch(&mark).map_err(failed)?;
    copy.execute(&format!("INSERT INTO {} VALUES (?1)", migrate::BACKUP_MARK), [now.micros()]).map_err(failed)?;
    copy.close().map_err(|(_, error)| failed(error))?;
    let synced = File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| StoreError::Io { what: error.to_string() })
}

/// Writes all that `from` holds, what stands in a log beside it too, into the file at `to`, which must be there and be
/// empty.
///
/// # Errors
/// [`BadBackup`]; what was written by then is of no use.
pub fn copy_of(from: &Path, to: &Path) -> Result<(), BadBackup> {
    let database = |source| OpenError::Database { path: from.to_owned(), source };
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(database)?;
    Ok(written_into(&source, to).map_err(database)?)
}

fn written_into(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let target = to.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(to.to_owned()))?;
    source.execute("VACUUM INTO ?1", [target]).map(drop)
}

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// When it was taken; of a file that was copied by other means, the newest time in it.
    pub taken_at: Timestamp,
    /// Whether `remint backup` made it.
    pub marked: bool,
    /// Its schema.
    pub schema: u32,
    /// Users that were not deleted.
    pub users: u64,
    /// Sessions that were live when it was taken.
    pub live_sessions: u64,
}

/// Why a file cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum BadBackup {
    /// It cannot be opened, or is of a later version.
    #[error(transparent)]
    Open(OpenError),
    /// There is no such file, or it cannot be read.
    #[error("{}: {source}. Name the file of a backup", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is of another program, or empty.
    #[error("{} is no backup of Remint: name another file", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged.
    #[error("{} is damaged, or was cut off: {found}. Another backup is needed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
}

impl From<OpenError> for BadBackup {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotOurs { path } => Self::NotOurs { path },
            OpenError::Database { path, source } if source.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                damaged(&path, source.to_string())
            }
            error => Self::Open(error),
        }
    }
}

/// Looks at a copy, whole, without changing it.
///
/// # Errors
/// [`BadBackup`].
pub fn examine(path: &Path) -> Result<Examined, BadBackup> {
    File::open(path).map_err(|source| BadBackup::Unreadable { path: path.to_owned(), source })?;
    let damaged = |error: rusqlite::Error| damaged(path, error.to_string());
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|source| OpenError::Database { path: path.to_owned(), source })?;
    let schema = migrate::schema_of_ours(&connection, path)?;
    if schema == 0 {
        return Err(OpenError::NotOurs { path: path.to_owned() }.into());
    }
    let mut check = connection.prepare("PRAGMA integrity_check(5)").map_err(damaged)?;
    let said: Vec<String> = check.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(damaged)?;
    if said != ["ok"] {
        return Err(self::damaged(path, said.join("; ")));
    }
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).map_err(damaged);
    let marked = migrate::has_table(&connection, migrate::BACKUP_MARK).map_err(damaged)?;
    let taken_at = if marked {
        number(&format!("SELECT taken_at FROM {}", migrate::BACKUP_MARK))?
    } else {
        number("SELECT MAX(at) FROM (SELECT MAX(last_seen) AS at FROM sessions UNION ALL SELECT MAX(at) FROM feed)")?
    };
    let taken_at = Timestamp::from_micros(taken_at.unwrap_or_default());
    let live = "SELECT COUNT(*) FROM sessions JOIN users ON users.id = sessions.user_id \
                WHERE ended_at IS NULL AND sessions.epoch = users.epoch AND MIN(idle_at, absolute_at) > ?1";
    let live: i64 = connection.query_row(live, [taken_at.micros()], |row| row.get(0)).map_err(damaged)?;
    let users = number("SELECT COUNT(*) FROM users WHERE status <> 'deleted'")?.unwrap_or_default();
    Ok(Examined { taken_at, marked, schema, users: users.unsigned_abs(), live_sessions: live.unsigned_abs() })
}

fn damaged(path: &Path, found: String) -> BadBackup {
    BadBackup::Damaged { path: path.to_owned(), found }
}

/// Makes a copy fit to be served: brought to the latest schema, and raised, so that it goes on from what it holds and
/// not from what happened after it. The feed gets another origin, `seed`, so that every place in the old history gets a
/// snapshot; the versions of users and clients rise above all that tokens may show. With `end_sessions` every session
/// ends.
///
/// # Errors
/// Where the file cannot be opened or written; then it is as it was.
pub fn raise(path: &Path, seed: [u8; 16], end_sessions: bool) -> Result<(), OpenError> {
    let database = |source| OpenError::Database { path: path.to_owned(), source };
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(database)?;
    let unmark = format!("DROP TABLE IF EXISTS {}", migrate::BACKUP_MARK);
    connection.execute_batch(&unmark).map_err(database)?;
    migrate::migrate(&mut connection, path, seed)?;
    let transaction = connection.transaction().map_err(database)?;
    transaction
        .execute("UPDATE users SET cv = cv + ?1, rev = rev + 1", [RAISED_BY])
        .and_then(|_| {
            let sql = "UPDATE clients SET rev = rev + 1, \
                       document = json_set(document, '$.pv', json_extract(document, '$.pv') + ?1)";
            transaction.execute(sql, [RAISED_BY])
        })
        .map_err(database)?;
    if end_sessions {
        let sql = "UPDATE users SET epoch = epoch + 1, epoch_reason = 'revoked' WHERE status <> 'deleted'";
        transaction.execute(sql, []).map_err(database)?;
    }
    chain_anew(&transaction, ChainHash::origin(seed)).map_err(database)?;
    transaction.commit().map_err(database)
}

/// The same events as another history.
fn chain_anew(transaction: &Transaction<'_>, origin: ChainHash) -> rusqlite::Result<()> {
    let mut chain = origin;
    let mut events = transaction.prepare("SELECT seq, event FROM feed ORDER BY seq")?;
    let mut rows = events.query([])?;
    while let Some(row) = rows.next()? {
        chain = chain.then(&row.get::<_, String>(1)?);
        let seq: i64 = row.get(0)?;
        transaction.execute("UPDATE feed SET chain = ?1 WHERE seq = ?2", params![chain.as_bytes().as_slice(), seq])?;
    }
    let sql = "UPDATE feed_head SET chain = ?1, origin = ?2 WHERE one = 1";
    transaction.execute(sql, params![chain.as_bytes().as_slice(), origin.as_bytes().as_slice()]).map(drop)
}
