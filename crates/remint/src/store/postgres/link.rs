//! A connection that is made anew when it is lost. Never hides that it was: what was under way fails.

use super::session::{Place, Session};
use super::trouble::Trouble;

/// Where the database is, and a session with it while there is one.
pub(super) struct Link {
    place: Place,
    session: Option<Session>,
}

impl Link {
    pub(super) const fn new(place: Place) -> Self {
        Self { place, session: None }
    }

    /// The session: the one that is there, or a new one.
    pub(super) fn session(&mut self) -> Result<&Session, Trouble> {
        let session = match self.session.take().filter(|session| !session.is_broken()) {
            Some(session) => session,
            None => Session::open(&self.place)?,
        };
        Ok(self.session.insert(session))
    }

    /// Whether the session that was lent last is of no use any more.
    pub(super) fn is_broken(&self) -> bool {
        self.session.as_ref().is_none_or(Session::is_broken)
    }
}
