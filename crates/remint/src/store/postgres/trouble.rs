//! What can go wrong between here and the database, told apart by what is to be done about it. Never carries a value of a
//! row: what the database says beside its message is left out.

use std::fmt;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use super::tls;
use crate::store::StoreError;

/// What to do about a pooler that lends connections for a transaction.
pub(super) const SESSION_MODE: &str = "let Remint speak to PostgreSQL itself, or set `pool_mode = session` for its database \
                                       in PgBouncer: a node holds few connections, and relies on each being one session";
const STANDBY: &str = "no host takes writes: is the primary among those in the URL?";
const PARAMETER: &str = "the pooler refuses what the URL says in `options`: leave it out, or name it in \
                         `ignore_startup_parameters` of PgBouncer";

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

    /// This, where no connection came about. What the server says is told apart as ever; all else may be better next time.
    pub(super) fn of_connecting(error: Error) -> Self {
        if let Some(said) = error.as_db_error() {
            let pooler = said.code() == &SqlState::PROTOCOL_VIOLATION && said.message().contains("startup parameter");
            return if pooler { Self::Lost(format!("{}: {PARAMETER}", said.message())) } else { Self::from(error) };
        }
        let what = described(&error);
        let advice = tls::advice(&error).or_else(|| what.contains("does not allow writes").then_some(STANDBY));
        Self::Lost(advice.map_or_else(|| what.clone(), |advice| format!("{advice} ({what})")))
    }

    /// This, where it was a COMMIT that failed: only the database's own word is a word.
    pub(super) fn of_commit(self) -> Self {
        match self {
            Self::Again(what) => Self::Again(what),
            Self::Lost(_) | Self::Refused(_) | Self::Failed(_) => Self::Failed(StoreError::Unknown),
        }
    }

    /// This, where it was a statement that writes and commits in one that failed. What is told apart here the database says
    /// before it commits; of all else, and where the connection ends, nobody knows.
    pub(super) fn of_one_statement(self) -> Self {
        match self {
            Self::Lost(_) | Self::Failed(StoreError::Io { .. }) => Self::Failed(StoreError::Unknown),
            told @ (Self::Again(_) | Self::Refused(_) | Self::Failed(_)) => told,
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
            let what = described(&error);
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
            SqlState::INVALID_SQL_STATEMENT_NAME | SqlState::DUPLICATE_PSTATEMENT => {
                Self::Lost(format!("{what}: a pooler gives one connection to many? {SESSION_MODE}"))
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

fn described(error: &Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// Whether it is the connection that failed, and not a value on this side of it.
fn is_of_the_wire(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.is::<std::io::Error>())
}
