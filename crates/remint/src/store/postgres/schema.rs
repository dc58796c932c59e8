//! From an empty database, or from any earlier schema, to the latest: each step once, all of them or none, one node at a
//! time, while nodes of an earlier version go on. Never touches a database that is not ours, or that a later version wrote
//! for programs newer than this.
//!
//! The rule for steps: *expand, then contract in a later release*. What a release adds, the one before it can live beside:
//! columns that may be empty or have a default, tables, indexes. What a release uses no more is removed by the next one, so
//! that the two that run during an upgrade both find what they name. A step that removes says so by `least`, and takes
//! away what older programs name: one that still runs then fails, and is not let in again.

use super::place::Place;
use super::session::Session;
use super::trouble::Trouble;
use crate::store::StoreError;
use crate::store::error::OpenError;
use crate::store::transfer::UNFINISHED;

/// What leads from one schema to the next. One that was released never changes.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its statements. `$SEED` is where the history of a new database begins. Those that need long must not be here: whoever
    /// waits for a lock on a table makes everybody wait who comes after.
    pub sql: &'static str,
    /// The least schema that a program must know to work with a database that has this step.
    pub least: u32,
}

/// The step to schema N is the N-th.
const STEPS: [Step; 1] = [Step { sql: include_str!("schema/0001.sql"), least: 1 }];

/// The schema that this program writes.
pub(in crate::store) const LATEST: u32 = STEPS.len() as u32;

/// Begins a transaction, with the lock that a node holds while it migrates: `RMNT`. No lock is waited for longer than those
/// who come after can wait.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '2s'; SELECT pg_advisory_xact_lock(1380798036)";

/// How often that is tried: a question that scans is over by then.
const ATTEMPTS: usize = 30;

/// What says which schema a database has.
const VERSION: &str = "CREATE TABLE IF NOT EXISTS remint_schema (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), \
                       version BIGINT NOT NULL, least BIGINT NOT NULL)";

/// Which schema a database has, and which one a program must know to work with it. 0 where it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Found {
    pub(in crate::store) version: u32,
    least: u32,
}

/// Brings the database to [`LATEST`], and where there are `later` steps, through those. `seed` is where the history of a new
/// one begins. A database that a later version has expanded is left as it is.
pub(in crate::store) fn migrate(place: &Place, later: &[Step], seed: [u8; 16]) -> Result<(), OpenError> {
    let refused = |trouble: Trouble| OpenError::Refused { place: place.to_string(), what: trouble.to_string() };
    let known = LATEST + u32::try_from(later.len()).unwrap_or(u32::MAX - LATEST);
    let session = Session::open(place).map_err(refused)?;
    for attempt in 1.. {
        let begun = begin(&session);
        let done = match begun {
            Ok(()) => {
                let found = schema_of_ours(&session, place, known)?;
                if found.version >= known {
                    return session.script("ROLLBACK").map_err(refused);
                }
                build(&session, found, later, seed).and_then(|()| session.script("COMMIT"))
            }
            Err(trouble) => Err(trouble),
        };
        match done {
            Err(Trouble::Failed(StoreError::Busy)) if attempt < ATTEMPTS => {
                session.script("ROLLBACK").map_err(refused)?;
            }
            done => return done.map_err(refused),
        }
    }
    Ok(())
}

/// Begins a transaction in which no other node changes the schema.
pub(in crate::store) fn begin(session: &Session) -> Result<(), Trouble> {
    session.script(BEGIN)
}

/// The steps from the schema that was found, in a transaction of the caller's.
pub(in crate::store) fn build(session: &Session, found: Found, later: &[Step], seed: [u8; 16]) -> Result<(), Trouble> {
    session.script(VERSION)?;
    let seed = format!("'\\x{:032x}'", u128::from_be_bytes(seed));
    let Found { mut version, mut least } = found;
    for step in STEPS.iter().chain(later).skip(found.version as usize) {
        session.script(&step.sql.replace("$SEED", &seed))?;
        (version, least) = (version + 1, least.max(step.least));
    }
    session.script(&format!(
        "INSERT INTO remint_schema (one, version, least) VALUES (1, {version}, {least}) \
         ON CONFLICT (one) DO UPDATE SET version = excluded.version, least = excluded.least"
    ))
}

/// The schema of a database that is ours, and that a program works with which knows schemas up to `known`.
pub(in crate::store) fn schema_of_ours(session: &Session, place: &Place, known: u32) -> Result<Found, OpenError> {
    let refused = |what: String| OpenError::Refused { place: place.to_string(), what };
    let number = |sql: &str| {
        let rows = session.seldom(sql, &[]).map_err(|trouble| refused(trouble.to_string()))?;
        let number = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose();
        number.map(|number| number.unwrap_or(0)).map_err(|error| refused(error.to_string()))
    };
    let here = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema()";
    if number(here)? == 0 {
        return Ok(Found::default());
    }
    if number(&format!("{here} AND table_name = '{UNFINISHED}'"))? > 0 {
        return Err(OpenError::Unfinished { place: place.to_string() });
    }
    if number(&format!("{here} AND table_name = 'remint_schema'"))? == 0 {
        return Err(OpenError::ForeignTables { place: place.to_string() });
    }
    let stored = |column: &str| {
        number(&format!("SELECT {column} FROM remint_schema WHERE one = 1"))
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    let found = Found { version: stored("version")?, least: stored("least")? };
    if found.least > known {
        return Err(OpenError::NewerDatabase { place: place.to_string(), found: found.version, known });
    }
    Ok(found)
}
