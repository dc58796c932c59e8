//! From an empty file, or from any earlier schema, to the latest: each step once, all of them or none. Never touches a
//! file that is not ours or that a later version wrote.

use std::path::Path;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error, ErrorCode, TransactionBehavior};

use super::error::OpenError;
use super::rows;
use super::transfer::UNFINISHED;

/// Marks the file as ours: `RMNT`.
const APPLICATION_ID: u32 = 0x524d_4e54;

/// The table that only a copy has (made by `remint backup`): it is restored, never served as it is.
pub(super) const BACKUP_MARK: &str = "backup";

/// The step to schema N is the N-th. A step that was released never changes.
const STEPS: [&str; 5] = [
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
];

/// The schema that this program writes.
pub const LATEST: u32 = STEPS.len() as u32;

/// Brings the file to [`LATEST`]. `seed` is where the history of a new file begins.
pub(super) fn migrate(connection: &mut Connection, path: &Path, seed: [u8; 16]) -> Result<(), OpenError> {
    let database = |source| refused(path, source);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
    let found = schema_of_ours(&transaction, path)?;
    if has_table(&transaction, BACKUP_MARK).map_err(database)? {
        return Err(OpenError::Backup { path: path.to_path_buf() });
    }
    build(&transaction, path, found, seed)?;
    transaction.commit().map_err(database)
}

/// The steps from schema `found`, in a transaction of the caller's.
pub(super) fn build(transaction: &Connection, path: &Path, found: u32, seed: [u8; 16]) -> Result<(), OpenError> {
    let database = |source| refused(path, source);
    transaction
        .create_scalar_function(c"slot", 1, FunctionFlags::SQLITE_DETERMINISTIC, |id| Ok(rows::slot(&id.get(0)?)))
        .map_err(database)?;
    let seed = format!("x'{:032x}'", u128::from_be_bytes(seed));
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(&step.replace("$SEED", &seed)).map_err(database)?;
    }
    if found < LATEST {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(database)?;
        transaction.pragma_update(None, "user_version", LATEST).map_err(database)?;
    }
    Ok(())
}

/// The schema of a file that is ours and not of a later version; 0 where it is empty.
pub(super) fn schema_of_ours(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    let database = |source| refused(path, source);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).map_err(database);
    let (application, found) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let empty = number("SELECT COUNT(*) FROM sqlite_schema")? == 0;
    if has_table(connection, UNFINISHED).map_err(database)? {
        return Err(OpenError::Unfinished { place: path.display().to_string() });
    }
    if application != APPLICATION_ID && !(application == 0 && found == 0 && empty) {
        return Err(OpenError::NotOurs { path: path.to_path_buf() });
    }
    if found > LATEST {
        return Err(OpenError::Newer { path: path.to_path_buf(), found, known: LATEST });
    }
    Ok(found)
}

/// Whether a table is there: such a one marks a file that is not to be served.
pub(super) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    connection.query_row(sql, [name], |row| row.get::<_, u32>(0)).map(|tables| tables > 0)
}

fn refused(path: &Path, source: Error) -> OpenError {
    let path = path.to_path_buf();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotOurs { path },
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
        _ => OpenError::Database { path, source },
    }
}
