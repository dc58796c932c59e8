//! The cookie policy: an opaque secret is the proof, the session stays on the server. Decides only; the cookie's
//! attributes and its way over the wire are the server's.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::client::Client;
use crate::id::SessionId;
use crate::refusal::Refusal;
use crate::secret::SecretHash;
use crate::session::{Continuity, Session};
use crate::time::Timestamp;
use crate::user::User;

/// What a browser holds of its session, as text `rc1.<sid>.<secret>`: the id by which the row is found, and 256 random
/// bits, of which the row keeps the hash. Cannot be printed.
#[derive(Clone)]
pub struct SessionCookie {
    sid: SessionId,
    secret: Secret,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Secret([u8; 32]);

impl SessionCookie {
    /// A new one, from 32 random bytes.
    pub const fn from_random(sid: SessionId, secret: [u8; 32]) -> Self {
        Self { sid, secret: Secret(secret) }
    }

    /// The session that it claims to be of.
    pub const fn sid(&self) -> SessionId {
        self.sid
    }

    /// What the row keeps of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.secret.0)
    }

    /// The text, for the browser.
    pub fn reveal(&self) -> String {
        format!("rc1.{}.{}", self.sid, URL_SAFE_NO_PAD.encode(self.secret.0))
    }
}

impl fmt::Debug for SessionCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionCookie(..)")
    }
}

/// The text is no session cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session cookie")]
pub struct NotASessionCookie;

impl FromStr for SessionCookie {
    type Err = NotASessionCookie;

    fn from_str(text: &str) -> Result<Self, NotASessionCookie> {
        let (sid, secret) = text.strip_prefix("rc1.").and_then(|rest| rest.split_once('.')).ok_or(NotASessionCookie)?;
        let mut bytes = [0; 32];
        match (secret.len(), URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes)) {
            (43, Ok(32)) => {}
            _ => return Err(NotASessionCookie),
        }
        Ok(Self::from_random(sid.parse().map_err(|_| NotASessionCookie)?, bytes))
    }
}

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
    let Continuity::Cookie(kept) = &session.continuity else { return Err(Refusal::BadCookie) };
    if !kept.equals(shown) {
        return Err(Refusal::BadCookie);
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
    fn a_wrong_secret_is_like_no_cookie() {
        let session = fixture::session(Policy::cookie());
        let client = fixture::client(Policy::cookie());
        let wrong = SecretHash::of(b"another");
        let refused = present(&session, &fixture::user(), &client, &wrong, true, Timestamp::default());
        assert_eq!(refused, Err(Refusal::BadCookie));
    }

    #[test]
    fn a_cookie_is_read_as_it_is_written_and_in_no_other_way() {
        let cookie = SessionCookie::from_random(SessionId::from_bytes([7; 16]), [9; 32]);
        let text = cookie.reveal();
        let read: SessionCookie = text.parse().unwrap();
        assert_eq!((read.sid(), read.hash()), (cookie.sid(), cookie.hash()));
        let longer = format!("{text}A");
        let padded = format!("{text}=");
        let loose = format!("{}l", &text[..text.len() - 1]); // the last two bits of a secret are not there
        for wrong in [
            "",
            "rc1",
            "rc1.",
            "rc1..",
            &text[4..],
            &text[..text.len() - 1],
            &longer,
            &padded,
            &loose,
            &text.replace("rc1", "rt1"),
        ] {
            assert_eq!(wrong.parse::<SessionCookie>().err(), Some(NotASessionCookie), "{wrong}");
        }
    }

    #[test]
    fn a_cookie_cannot_be_printed() {
        let cookie = SessionCookie::from_random(SessionId::from_bytes([7; 16]), [9; 32]);
        assert_eq!(format!("{cookie:?}"), "SessionCookie(..)");
    }
}
