//! Whether each connection is a session of the database, or a pooler lends another one to each transaction. There, statements
//! that were prepared are not there or are somebody else's, and a fail-over goes by unnoticed. Only asks.

use super::place::Place;
use super::session::Session;
use super::trouble::{SESSION_MODE, Trouble};
use crate::store::error::OpenError;

/// How often each of two connections is asked who answers.
const ROUNDS: usize = 3;

/// Refuses a place where two connections are answered by one process, or one by two.
pub(super) fn none_between(place: &Place) -> Result<(), OpenError> {
    let refused = |what: String| OpenError::Refused { place: place.to_string(), what };
    match is_between(place).map_err(|trouble| refused(trouble.to_string()))? {
        false => Ok(()),
        true => Err(refused(format!("a pooler gives one connection to many: {SESSION_MODE}"))),
    }
}

/// A pooler lends to both in turn the connection that came back last, or each time another one.
fn is_between(place: &Place) -> Result<bool, Trouble> {
    let sessions = [Session::bare(place)?, Session::bare(place)?];
    let processes = [sessions[0].server_process()?, sessions[1].server_process()?];
    for _ in 1..ROUNDS {
        for (session, process) in sessions.iter().zip(&processes) {
            if session.server_process()? != *process {
                return Ok(true);
            }
        }
    }
    Ok(processes[0] == processes[1])
}
