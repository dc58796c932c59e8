//! What can go wrong between here and the database, told apart by what is to be done about it. Never carries a value of a
//! row: what the database says beside its message is left out.

use std::fmt;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// A statement that failed.
#[derive(Debug)]
pub(in crate::store) enum Trouble {
    /// The connection is of no use any more: another one may be.
    Lost(String),
    /// Another transaction was in the way: the same may succeed now.
    Again(String),
    /// The database refuses a value: of a batch, one member is at fault.
    Refused(String),
    /// What the caller is told.
    Failed(StoreError),
}

impl Trouble {
    pub(super) fn lost(error: &dyn fmt::Display) -> Self {
        Self::Lost(error.to_string())
    }

    /// The database said nothing for too long.
    pub(super) fn silent() -> Self {
        Self::Lost("the database does not answer".to_owned())
    }

    /// This, where it was a COMMIT that failed: only the database's own word is a word.
    pub(super) fn of_commit(self) -> Self {
        match self {
            Self::Again(what) => Self::Again(what),
            Self::Lost(_) | Self::Refused(_) | Self::Failed(_) => Self::Failed(StoreError::Unknown),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(what) | Self::Again(what) | Self::Refused(what) => f.write_str(what),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Again(_) => Self::Busy,
            Trouble::Lost(what) | Trouble::Refused(what) => Self::Io { what },
            Trouble::Failed(error) => error,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            let what = format!("{error}{source}");
            return if error.is_closed() || is_of_the_wire(&error) { Self::Lost(what) } else { Self::Refused(what) };
        };
        let (state, what) = (said.code(), format!("{} ({})", said.message(), said.code().code()));
        match *state {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED | SqlState::UNIQUE_VIOLATION => {
                Self::Again(what)
            }
            SqlState::DISK_FULL => Self::Failed(StoreError::Full),
            SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE | SqlState::TOO_MANY_CONNECTIONS => {
                tracing::warn!(what, "the database is busy");
                Self::Failed(StoreError::Busy)
            }
            // A standby, or what was the primary: another connection may find the one that is.
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::Lost(what),
            _ => match &state.code()[..2] {
                "08" | "57" | "25" => Self::Lost(what), // the connection, the operator, a transaction that is over
                "22" | "23" | "54" => Self::Refused(what), // data, a constraint, a limit
                _ => Self::Failed(StoreError::Io { what }),
            },
        }
    }
}

/// Whether it is the connection that failed, and not a value on this side of it.
fn is_of_the_wire(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.is::<std::io::Error>())
}
