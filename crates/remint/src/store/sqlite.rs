//! Where SQLite differs: how it binds, reads and fails. Its writer, its readers and its file have a room each.

mod backup;
mod file;
mod readers;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, Error, ErrorCode, ToSql};

use super::StoreOptions;
use super::ask::FeedHead;
use super::documents::Documents;
use super::error::{OpenError, StoreError};
use super::order::Queue;
use super::record::{Field, Param};
use readers::{Commits, Readers};
use writer::Writer;

pub use backup::{BadBackup, Examined, copy_of, examine, raise};
pub(super) use backup::{RAISED_BY, copy};
pub(super) use file::{DataFile, lock_beside, wal_frames};
pub(super) use readers::Reading;

/// Opens the data file, or makes it: who reads it, and the thread that writes it. That keeps the lock on the file until
/// its connection is closed.
pub(super) fn open(
    path: &Path,
    options: StoreOptions,
    seed: [u8; 16],
    queue: Queue,
) -> Result<(Reading, JoinHandle<()>), OpenError> {
    let file = Arc::new(DataFile::lock(path, options.patience)?);
    let connection = file.writer(&options, seed)?;
    let (documents, commits) = (Arc::new(Documents::new()), Arc::new(Commits::default()));
    let readers = |most| Arc::new(Readers::new(Arc::clone(&file), Arc::clone(&documents), Arc::clone(&commits), most));
    let (readers, scanners) = (readers(options.readers), readers(options.scans));
    let head = readers.ask(&FeedHead).map_err(|source| OpenError::Unreadable { path: path.to_owned(), source })?;
    queue.feed_grew.send_replace(head.seq);
    let reading = Reading::new(Arc::clone(&readers), Arc::clone(&scanners));
    let readers = [readers, scanners];
    let writer = Writer { connection, documents, commits, readers, options, queue, since_look: 0 };
    let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
        writer.run();
        drop(file);
    });
    Ok((reading, thread.map_err(|source| OpenError::Io { path: path.to_owned(), source })?))
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// A value of a row; nothing behind the last.
pub(super) fn field<'r>(row: &'r rusqlite::Row<'_>, index: usize) -> Field<'r> {
    match row.get_ref(index) {
        Ok(ValueRef::Null) => Field::Null,
        Ok(ValueRef::Integer(number)) => Field::Int(number),
        Ok(ValueRef::Text(text)) => std::str::from_utf8(text).map_or(Field::Foreign, Field::Text),
        Ok(ValueRef::Blob(bytes)) => Field::Blob(bytes),
        Ok(ValueRef::Real(_)) | Err(_) => Field::Foreign,
    }
}

/// What a failure of SQLite means to a caller, where it is known that nothing was written.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn failed(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt { table: "file", key: "(all)".to_owned(), what: error.to_string() }
        }
        _ => StoreError::Io { what: error.to_string() },
    }
}

/// The statement, prepared once per connection, with its parameters bound.
pub(super) fn prepared<'c>(
    connection: &'c Connection,
    sql: &'static str,
    params: &[Param<'_>],
) -> rusqlite::Result<CachedStatement<'c>> {
    let mut statement = connection.prepare_cached(sql)?;
    for (index, param) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, param)?;
    }
    Ok(statement)
}

/// Runs a statement that answers no rows; how many rows it changed.
pub(super) fn execute(connection: &Connection, sql: &'static str, params: &[Param<'_>]) -> rusqlite::Result<usize> {
    prepared(connection, sql, params)?.raw_execute()
}
