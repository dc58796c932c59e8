//! A data file as one side of a migration: locked as a server locks it. A new one bears the mark of the unfinished from its
//! first page on, and loses it in the commit that makes it whole.

use std::path::Path;

use rusqlite::{Connection, params_from_iter};

use super::{MARK, MoveError, Shape, Side, Target, UNFINISHED, Values, behind, shapes};
use crate::store::error::{OpenError, StoreError};
use crate::store::record::Param;
use crate::store::sqlite::{DataFile, failed, field};
use crate::store::{StoreOptions, migrate};

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
const COLUMNS: &str = "SELECT t.name, c.name, c.type, c.pk FROM sqlite_schema AS t, pragma_table_info(t.name) AS c \
                       WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name";

/// What lies beside a file whose last writer was cut off.
const LOG: &str = "db-wal";

/// A file, and its lock.
pub(super) struct File {
    connection: Connection,
    _lock: DataFile,
}

impl File {
    /// A file with an installation; an earlier schema is brought to the latest, as a server does.
    pub(super) fn source(path: &Path) -> Result<Self, MoveError> {
        let nothing = || MoveError::NothingThere(path.display().to_string());
        if !path.is_file() {
            return Err(nothing());
        }
        let (options, database) = (StoreOptions::default(), refused(path));
        let lock = DataFile::lock(path, options.patience)?;
        if migrate::schema_of_ours(&lock.connect().map_err(&database)?, path)? == 0 {
            return Err(nothing());
        }
        let connection = lock.writer(&options, [0; 16])?;
        connection.execute_batch("BEGIN").map_err(&database)?;
        Ok(Self { connection, _lock: lock })
    }

    /// A file that is not there, or what a migration left behind that was cut off.
    pub(super) fn target(path: &Path) -> Result<Self, MoveError> {
        let database = refused(path);
        let not_empty = || MoveError::NotEmpty(path.display().to_string());
        if path.with_extension(LOG).exists() {
            return Err(not_empty());
        }
        let lock = DataFile::lock(path, StoreOptions::default().patience)?;
        let connection = lock.connect().map_err(&database)?;
        let tables = tables(&connection).map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => not_empty(),
            _ => database(error).into(),
        })?;
        match tables.as_slice() {
            [] => connection.execute_batch(MARK).map_err(&database)?,
            [one] if one == UNFINISHED => {}
            _ => return Err(not_empty()),
        }
        connection.pragma_update(None, "cache_size", -65_536).map_err(&database)?; // KiB
        connection.execute_batch("BEGIN EXCLUSIVE").map_err(&database)?;
        migrate::build(&connection, path, 0, [0; 16])?;
        Ok(Self { connection, _lock: lock })
    }
}

fn refused(path: &Path) -> impl Fn(rusqlite::Error) -> OpenError {
    |source| OpenError::Database { path: path.to_owned(), source }
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare(TABLES)?.query_map([], |row| row.get(0))?.collect()
}

impl Side for File {
    fn shapes(&self) -> Result<Vec<Shape>, StoreError> {
        let mut statement = self.connection.prepare(COLUMNS).map_err(failed)?;
        let column = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)? == 1));
        let columns = statement.query_map([], column).and_then(Iterator::collect).map_err(failed)?;
        shapes(columns)
    }

    fn slice(&self, shape: &Shape, after: Option<Param<'static>>) -> Result<Vec<Values>, StoreError> {
        let mut statement = self.connection.prepare_cached(&shape.next_rows(after.is_some())).map_err(failed)?;
        let mut found = statement.query(params_from_iter(behind(after))).map_err(failed)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            rows.push(shape.row(|at| field(row, at))?);
        }
        Ok(rows)
    }
}

impl Target for File {
    fn clear(&self, shape: &Shape) -> Result<(), StoreError> {
        self.connection.execute(&format!("DELETE FROM {}", shape.name), []).map(drop).map_err(failed)
    }

    fn append(&self, shape: &Shape, rows: &[Values]) -> Result<(), StoreError> {
        let places: Vec<_> = (1..=shape.columns.len()).map(|at| format!("${at}")).collect();
        let insert = format!("INSERT INTO {} ({}) VALUES ({})", shape.name, shape.column_names(), places.join(", "));
        let mut statement = self.connection.prepare_cached(&insert).map_err(failed)?;
        for row in rows {
            statement.execute(params_from_iter(row)).map_err(failed)?;
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), StoreError> {
        let end = format!("DROP TABLE {UNFINISHED}; COMMIT");
        self.connection.execute_batch(&end).map_err(failed)
    }
}
