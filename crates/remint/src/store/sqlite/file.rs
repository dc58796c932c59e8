//! The data file: who may open it, who may read it, and how each connection is set up. Never reads or writes a row.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use crate::store::error::OpenError;
use crate::store::{StoreOptions, migrate};

/// Rows are a third of this: a renewal writes little more than its row.
pub(in crate::store) const PAGE_BYTES: u64 = 1024;
/// Every statement of ours, and room to spare.
const STATEMENTS: usize = 96;

/// The file, locked for this process as long as this value lives.
pub(in crate::store) struct DataFile {
    path: PathBuf,
    patience: Duration,
    _lock: File,
}

impl DataFile {
    /// Takes the lock beside the file, then makes the file if there is none: readable and writable by its owner only.
    pub(in crate::store) fn lock(path: &Path, patience: Duration) -> Result<Self, OpenError> {
        let lock = lock_beside(path)?;
        private_file(path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|source| OpenError::Io { path: directory.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), patience, _lock: lock })
    }

    /// The one connection that writes, at the latest schema.
    pub(in crate::store) fn writer(&self, options: &StoreOptions, seed: [u8; 16]) -> Result<Connection, OpenError> {
        let mut connection = self.connect().map_err(|source| self.refused(source))?;
        if connection.is_readonly("main").map_err(|source| self.refused(source))? {
            return Err(OpenError::ReadOnly { path: self.path.clone() });
        }
        migrate::migrate(&mut connection, &self.path, seed)?;
        prepare_writer(&connection, options).map_err(|source| self.refused(source))?;
        Ok(connection)
    }

    /// A connection that only reads.
    pub(in crate::store) fn reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect()?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    /// A connection; the caller says what for.
    pub(in crate::store) fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.patience)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "page_size", signed(PAGE_BYTES))?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(connection)
    }

    fn refused(&self, source: Error) -> OpenError {
        let path = self.path.clone();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotOurs { path },
            Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
            _ => OpenError::Database { path, source },
        }
    }
}

/// Durable before it is answered: every commit waits for the disk. Checkpoints are the writer's own doing.
fn prepare_writer(connection: &Connection, options: &StoreOptions) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", signed(options.checkpoint_bytes.saturating_mul(2)))?;
    connection.pragma_update(None, "cache_size", -signed(options.cache_bytes / 1024))?; // less than zero: KiB
    if let Some(most) = options.max_bytes {
        connection.pragma_update(None, "max_page_count", signed(most.div_ceil(PAGE_BYTES)))?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many frames the write-ahead log holds, and how many of them are in the data file already. `mode` says whether
/// to move more of them there: `NOOP`, `PASSIVE` (waits for nobody) or `TRUNCATE`.
pub(in crate::store) fn wal_frames(connection: &Connection, sql: &'static str) -> rusqlite::Result<(u64, u64)> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))).map(|(all, moved)| {
        let count = |frames: i64| u64::try_from(frames).unwrap_or(0);
        (count(all), count(moved))
    })
}

/// The lock beside a data file, held as long as the answer lives.
pub(in crate::store) fn lock_beside(path: &Path) -> Result<File, OpenError> {
    let lock_path = path.with_extension("lock");
    let lock = private_file(&lock_path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: lock_path }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path: lock_path, source }),
    }
}

/// Opens a file of the owner's own, or makes it. Where it is there with wider permissions, they are narrowed.
fn private_file(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(path).and_then(|file| narrow(&file).map(|()| file));
    opened.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::ReadOnly { path: path.to_path_buf() }
        }
        _ => OpenError::Io { path: path.to_path_buf(), source },
    })
}

#[cfg(unix)]
fn narrow(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn narrow(_: &File) -> io::Result<()> {
    Ok(())
}
