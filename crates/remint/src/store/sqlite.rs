//! Where SQLite differs: how it binds, reads and fails. Its writer, its readers and its file have a room each.

mod backup;
mod file;
mod readers;
mod writer;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, Error, ErrorCode, ToSql};

use super::error::StoreError;
use super::record::{Field, Param, Record};

pub(super) use backup::copy;
pub use backup::{BadBackup, Examined, copy_of, examine, raise};
pub(super) use file::{DataFile, lock_beside, wal_frames};
pub(super) use readers::{Commits, Readers};
pub(super) use writer::{Asking, Order, Settling, Wanted, Writer};

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

impl<'r> Record<'r> {
    pub(super) const fn of(row: &'r rusqlite::Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    /// The next value of the row; nothing behind the last.
    pub(super) fn field(&mut self) -> Field<'r> {
        let index = self.next;
        self.next += 1;
        self.at(index)
    }

    /// The first value: the key.
    pub(super) fn key(&self) -> Field<'r> {
        self.at(0)
    }

    fn at(&self, index: usize) -> Field<'r> {
        match self.row.get_ref(index) {
            Ok(ValueRef::Null) => Field::Null,
            Ok(ValueRef::Integer(number)) => Field::Int(number),
            Ok(ValueRef::Text(text)) => std::str::from_utf8(text).map_or(Field::Foreign, Field::Text),
            Ok(ValueRef::Blob(bytes)) => Field::Blob(bytes),
            Ok(ValueRef::Real(_)) | Err(_) => Field::Foreign,
        }
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
