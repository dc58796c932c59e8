//! From an empty file, or from any earlier schema, to the latest: each step once, all of them or none. Never touches a
//! file that is not ours or that a later version wrote.

use rusqlite::{Connection, Error, ErrorCode, TransactionBehavior};
use std::path::Path;

use super::error::OpenError;

/// Marks the file as ours: `RMNT`.
const APPLICATION_ID: u32 = 0x524d_4e54;

/// The step to schema N is the N-th. A step that was released never changes.
const STEPS: [&str; 2] = [include_str!("schema/0001.sql"), include_str!("schema/0002.sql")];

/// The schema that this program writes.
pub const LATEST: u32 = STEPS.len() as u32;

/// Brings the file to [`LATEST`]. `seed` is where the history of a new file begins.
pub(super) fn migrate(connection: &mut Connection, path: &Path, seed: [u8; 16]) -> Result<(), OpenError> {
    let path = || path.to_path_buf();
    let database = |source: Error| match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotOurs { path: path() },
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path: path() },
        _ => OpenError::Database { path: path(), source },
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
    let number = |sql: &str| transaction.query_row(sql, [], |row| row.get::<_, u32>(0)).map_err(database);
    let (application, found) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let empty = number("SELECT COUNT(*) FROM sqlite_schema")? == 0;
    if application != APPLICATION_ID && !(application == 0 && found == 0 && empty) {
        return Err(OpenError::NotOurs { path: path() });
    }
    if found > LATEST {
        return Err(OpenError::Newer { path: path(), found, known: LATEST });
    }
    let seed = format!("x'{:032x}'", u128::from_be_bytes(seed));
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(&step.replace("$SEED", &seed)).map_err(database)?;
    }
    if found < LATEST {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(database)?;
        transaction.pragma_update(None, "user_version", LATEST).map_err(database)?;
    }
    transaction.commit().map_err(database)
}
