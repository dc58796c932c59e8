//! A connection that is made anew when it is lost. Never hides that it was: what was under way fails, and whoever writes is
//! told that this is another one.

use super::place::Place;
use super::session::Session;
use super::trouble::Trouble;

/// Where the database is, and a session with it while there is one.
pub(super) struct Link {
    place: Place,
    session: Option<Session>,
    /// When the session began.
    era: u64,
    leads: bool,
    was_there: bool,
    /// Where the session of the writer leads: since when that server runs.
    server: Option<String>,
}

/// A session, whether it takes the place of one that was lost, and whether it leads to another server than that.
pub(super) struct Lent<'a> {
    pub(super) session: &'a Session,
    pub(super) anew: bool,
    pub(super) elsewhere: bool,
}

impl Link {
    /// The link of the writer. When it is another one, a new era begins.
    pub(super) const fn leading(place: Place) -> Self {
        Self { place, session: None, era: 0, leads: true, was_there: false, server: None }
    }

    /// The link of a reader. It is made anew in every era: an old one may lead to a server that is the primary no more, or
    /// to none, and nobody would have noticed.
    pub(super) const fn following(place: Place) -> Self {
        Self { place, session: None, era: 0, leads: false, was_there: false, server: None }
    }

    /// The session: the one that is there, or a new one.
    pub(super) fn session(&mut self) -> Result<Lent<'_>, Trouble> {
        let era = self.place.era();
        let of_now = self.leads || self.era == era;
        let kept = self.session.take().filter(|session| of_now && !session.is_broken());
        let anew = kept.is_none() && self.was_there;
        let (session, elsewhere) = match kept {
            Some(session) => (session, false),
            None => self.opened()?,
        };
        if anew && self.leads {
            self.place.begin_era();
        }
        (self.era, self.was_there) = (if self.leads { self.place.era() } else { era }, true);
        session.begins_in(self.era);
        Ok(Lent { session: self.session.insert(session), anew, elsewhere })
    }

    /// A new session, and whether it leads elsewhere than the one before. Where nobody says, it does.
    fn opened(&mut self) -> Result<(Session, bool), Trouble> {
        let session = Session::open(&self.place)?;
        if !self.leads {
            return Ok((session, false));
        }
        let server = match session.server_start() {
            Err(trouble @ Trouble::Lost(_)) => return Err(trouble),
            said => said.ok().flatten(), // an engine that is not PostgreSQL may not know the question
        };
        let elsewhere = self.was_there && (server.is_none() || server != self.server);
        self.server = server;
        Ok((session, elsewhere))
    }

    /// Leaves the snapshot that is still open, if one is.
    pub(super) fn leave(&self) {
        if let Some(session) = &self.session {
            session.leave();
        }
    }

    /// Whether the session that was lent last is of no use any more.
    pub(super) fn is_broken(&self) -> bool {
        self.session.as_ref().is_none_or(Session::is_broken)
    }
}
