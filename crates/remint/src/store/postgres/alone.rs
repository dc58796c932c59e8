//! A connection for work during which no node may be there. Waits a little for those that are just going; never sends
//! anybody away.

use std::path::Path;
use std::time::Duration;

use super::column::text;
use super::place::Place;
use super::pooler;
use super::session::Session;
use super::trouble::Trouble;
use crate::store::error::OpenError;

/// How long a single statement of such work may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How often the others are looked for, and how long between: a server that was stopped a moment ago is leaving.
const LOOKS: usize = 20;
const BETWEEN: Duration = Duration::from_millis(250);

/// Who else is connected, by the names that they gave.
const OTHERS: &str = "SELECT COALESCE(STRING_AGG(named, ', '), '') FROM ( \
      SELECT COUNT(*) || ' as ' || COALESCE(NULLIF(application_name, ''), '(unnamed)') AS named FROM pg_stat_activity \
      WHERE datname = current_database() AND pid <> pg_backend_pid() \
        AND COALESCE(backend_type, 'client backend') = 'client backend' AND usesysid IS NOT NULL \
      GROUP BY application_name ORDER BY application_name) AS others";

/// A database with nobody else at it.
pub(in crate::store) struct Alone {
    pub(in crate::store) place: Place,
    pub(in crate::store) session: Session,
}

impl Alone {
    pub(in crate::store) fn at(url: &str, ca_file: Option<&Path>) -> Result<Self, OpenError> {
        let place = Place::new(url, ca_file, Duration::from_secs(10))?;
        pooler::none_between(&place)?;
        let place = place.with_patience(PATIENCE);
        let refused = |trouble: Trouble| OpenError::Refused { place: place.to_string(), what: trouble.to_string() };
        let session = Session::open(&place).map_err(refused)?;
        for look in 1.. {
            let by = session.seldom(OTHERS, &[]).map_err(refused)?.first().map(|row| text(row, 0)).unwrap_or_default();
            if by.is_empty() {
                break;
            }
            if look == LOOKS {
                return Err(OpenError::InUse { place: place.to_string(), by });
            }
            std::thread::sleep(BETWEEN);
        }
        Ok(Self { place, session })
    }
}
