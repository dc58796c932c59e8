//! From an empty database, or from any earlier schema, to the latest: each step once, all of them or none, one node at a
//! time. Never touches a database that is not ours or that a later version wrote.

use super::place::Place;
use super::session::Session;
use super::trouble::Trouble;
use crate::store::error::OpenError;
use crate::store::transfer::UNFINISHED;

/// The step to schema N is the N-th. A step that was released never changes.
const STEPS: [&str; 1] = [include_str!("schema/0001.sql")];

/// The schema that this program writes.
const LATEST: u32 = STEPS.len() as u32;

/// Begins a transaction, with the lock that a node holds while it migrates: `RMNT`.
const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(1380798036)";

/// What says which schema a database has.
const VERSION: &str = "CREATE TABLE IF NOT EXISTS remint_schema (one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), \
                       version BIGINT NOT NULL)";

/// Brings the database to [`LATEST`]. `seed` is where the history of a new one begins.
pub(in crate::store) fn migrate(place: &Place, seed: [u8; 16]) -> Result<(), OpenError> {
    let refused = |trouble: Trouble| OpenError::Refused { place: place.to_string(), what: trouble.to_string() };
    let session = Session::open(place).map_err(refused)?;
    begin(&session).map_err(refused)?;
    let found = schema_of_ours(&session, place)?;
    if found == LATEST {
        return session.script("ROLLBACK").map_err(refused);
    }
    build(&session, found, seed).and_then(|()| session.script("COMMIT")).map_err(refused)
}

/// Begins a transaction in which no other node changes the schema.
pub(in crate::store) fn begin(session: &Session) -> Result<(), Trouble> {
    session.script(BEGIN)
}

/// The steps from schema `found`, in a transaction of the caller's.
pub(in crate::store) fn build(session: &Session, found: u32, seed: [u8; 16]) -> Result<(), Trouble> {
    session.script(VERSION)?;
    let seed = format!("'\\x{:032x}'", u128::from_be_bytes(seed));
    for step in STEPS.iter().skip(found as usize) {
        session.script(&step.replace("$SEED", &seed))?;
    }
    session.script(&format!(
        "INSERT INTO remint_schema (one, version) VALUES (1, {LATEST}) \
         ON CONFLICT (one) DO UPDATE SET version = excluded.version"
    ))
}

/// The schema of a database that is ours and not of a later version; 0 where it is empty.
pub(in crate::store) fn schema_of_ours(session: &Session, place: &Place) -> Result<u32, OpenError> {
    let refused = |what: String| OpenError::Refused { place: place.to_string(), what };
    let number = |sql: &str| {
        let rows = session.seldom(sql, &[]).map_err(|trouble| refused(trouble.to_string()))?;
        let number = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose();
        number.map(|number| number.unwrap_or(0)).map_err(|error| refused(error.to_string()))
    };
    let here = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema()";
    if number(here)? == 0 {
        return Ok(0);
    }
    if number(&format!("{here} AND table_name = '{UNFINISHED}'"))? > 0 {
        return Err(OpenError::Unfinished { place: place.to_string() });
    }
    if number(&format!("{here} AND table_name = 'remint_schema'"))? == 0 {
        return Err(OpenError::ForeignTables { place: place.to_string() });
    }
    let found = u32::try_from(number("SELECT version FROM remint_schema WHERE one = 1")?).unwrap_or(u32::MAX);
    if found > LATEST {
        return Err(OpenError::NewerDatabase { place: place.to_string(), found, known: LATEST });
    }
    Ok(found)
}
