//! The cookie policy: an opaque secret is the proof, the session stays on the server. Decides only; the cookie's
//! attributes and its way over the wire are the server's.

use crate::client::Client;
use crate::refusal::Refusal;
use crate::secret::SecretHash;
use crate::session::{Continuity, Session};
use crate::time::Timestamp;
use crate::user::User;

/// What a presented cookie gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// The session goes on; nothing to write.
    Live,
    /// The session goes on, and its idle limit is to be written.
    Touched(Box<Session>),
}

/// Decides one presentation of a cookie's secret, of which the caller gives the hash (compared in constant time, a
/// mismatch answered like an unknown cookie). Idle time is written back only when half of it has gone.
pub fn present(
    session: &Session,
    user: &User,
    client: &Client,
    shown: &SecretHash,
    interactive: bool,
    now: Timestamp,
) -> Result<Use, Refusal> {
    let Continuity::Cookie(kept) = &session.continuity else { return Err(Refusal::NoSuchSession) };
    if !kept.equals(shown) {
        return Err(Refusal::NoSuchSession);
    }
    if let Some(over) = session.over(user, now) {
        return Err(over);
    }
    let idle = client.policy.idle();
    let used = session.used(idle, interactive, now);
    if session.idle_at.since(now) < idle / 2 && used.idle_at > session.idle_at {
        return Ok(Use::Touched(Box::new(used)));
    }
    Ok(Use::Live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::policy::Policy;
    use std::time::Duration;

    const DAY: i64 = 24 * 3600;

    fn shown_at(day: i64, interactive: bool) -> Result<Use, Refusal> {
        let session = fixture::session(Policy::cookie());
        let Continuity::Cookie(hash) = session.continuity.clone() else { unreachable!("fixture") };
        let client = fixture::client(Policy::cookie());
        present(&session, &fixture::user(), &client, &hash, interactive, Timestamp::from_secs(day * DAY))
    }

    #[test]
    fn idle_time_is_written_back_only_when_half_of_it_has_gone() {
        assert_eq!(shown_at(6, true), Ok(Use::Live));
        let Ok(Use::Touched(session)) = shown_at(8, true) else { panic!("due") };
        assert_eq!(session.idle_at, Timestamp::from_secs(22 * DAY));
        assert_eq!(shown_at(14, true), Err(Refusal::SessionExpired));
    }

    #[test]
    fn a_timer_does_not_keep_a_session_alive() {
        assert_eq!(shown_at(8, false), Ok(Use::Live));
    }

    #[test]
    fn at_the_absolute_limit_there_is_nothing_left_to_write() {
        let session = fixture::session(Policy::cookie());
        let late = session.absolute_at.minus(Duration::from_secs(60));
        let nearly = session.used(Duration::from_secs(14 * DAY as u64), true, late);
        let Continuity::Cookie(hash) = nearly.continuity.clone() else { unreachable!("fixture") };
        let client = fixture::client(Policy::cookie());
        assert_eq!(present(&nearly, &fixture::user(), &client, &hash, true, late), Ok(Use::Live));
    }

    #[test]
    fn a_wrong_secret_is_like_no_session() {
        let session = fixture::session(Policy::cookie());
        let client = fixture::client(Policy::cookie());
        let wrong = SecretHash::of(b"another");
        let refused = present(&session, &fixture::user(), &client, &wrong, true, Timestamp::default());
        assert_eq!(refused, Err(Refusal::NoSuchSession));
    }
}
