//! A session: one login of one user at one client on one device, one row of constant size. Knows what is live; never
//! decides who may have a token (that is the gate's), never reads a clock.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{ClientId, SessionId, UserId};
use crate::policy::Policy;
use crate::refresh::Chain;
use crate::refusal::Refusal;
use crate::rev::Rev;
use crate::scope::ScopeSet;
use crate::secret::SecretHash;
use crate::time::Timestamp;
use crate::user::User;

/// Whether a person whose token says that they proved who they are at `auth_time` did so recently enough for what
/// demands it (RFC 9470 section 3). The token is asked, not the row: a token stolen before gains nothing by a proof after.
pub fn recently_authenticated(auth_time: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if now.since(auth_time) <= RECENT_LOGIN {
        return Ok(());
    }
    Err(Refusal::AuthenticationTooOld { max_age: RECENT_LOGIN.as_secs() })
}

/// How long a log-in counts as recent.
pub const RECENT_LOGIN: Duration = Duration::from_secs(300);

/// Why a session or all sessions of a user ended. On the wire in `error_description` and in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The person logged out of this session.
    Logout,
    /// Ended from another device, by an operator or by RFC 7009.
    Revoked,
    /// A refresh token was used by two holders (RFC 9700 section 4.14.2).
    Theft,
    /// The user was disabled or deleted, or the client was.
    Disabled,
    /// The password was changed.
    PasswordChanged,
    /// The person ended all sessions.
    Everywhere,
}

impl EndReason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Logout, Self::Revoked, Self::Theft, Self::Disabled, Self::PasswordChanged, Self::Everywhere];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::Theft => "theft",
            Self::Disabled => "disabled",
            Self::PasswordChanged => "password-changed",
            Self::Everywhere => "everywhere",
        }
    }
}

/// Live, or ended for good: an ended state absorbs (I5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It goes on while its limits and its user's epoch allow.
    Live,
    /// It is over.
    Ended {
        /// Why.
        reason: EndReason,
        /// Since when.
        at: Timestamp,
    },
}

/// How the holder proves that the session goes on: what the row keeps for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// The access token itself.
    Rolling,
    /// Nothing: it lives and ends.
    Fixed,
    /// A refresh token, derived from this.
    Refresh(Chain),
    /// A cookie, of which the row holds the hash.
    Cookie(SecretHash),
}

/// Where a session was opened and last used, for the person to recognise it. Each text is cut at
/// [`Device::MAX_TEXT_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The `User-Agent` of the log-in.
    pub user_agent: String,
    /// The address of the log-in.
    pub address: String,
}

impl Device {
    /// The longest text that is kept.
    pub const MAX_TEXT_BYTES: usize = 256;

    /// From what the request said, cut to size at a character boundary.
    pub fn new(user_agent: &str, address: &str) -> Self {
        let cut = |text: &str| text[..text.floor_char_boundary(Self::MAX_TEXT_BYTES)].to_owned();
        Self { user_agent: cut(user_agent), address: cut(address) }
    }
}

/// One login of one user at one client on one device. It copies the user's epoch: every renewal demands that they are
/// still equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id, the `sid` claim.
    pub sid: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// At which client.
    pub client: ClientId,
    /// The user's epoch at log-in.
    pub epoch: u64,
    /// Live or ended.
    pub state: State,
    /// The proof that it goes on.
    pub continuity: Continuity,
    /// What was granted.
    pub scope: ScopeSet,
    /// When the person last proved who they are (`auth_time`, OpenID Connect Core section 2).
    pub auth_time: Timestamp,
    /// How (`amr`, RFC 8176).
    pub amr: Vec<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When a person last used it, as far as is known.
    pub last_seen: Timestamp,
    /// It ends then unless it is used before. Never beyond `absolute_at` (I6).
    pub idle_at: Timestamp,
    /// It ends then, whatever happens. Never moves (I6).
    pub absolute_at: Timestamp,
    /// On which device. Shared by the copies that a decision makes.
    pub device: Arc<Device>,
    /// Thumbprint of the key that it is bound to (RFC 9449), if it is.
    pub bound_key: Option<String>,
    /// The version of the row.
    pub rev: Rev,
}

/// What a new session needs beside its user, client and policy.
#[derive(Clone, Debug)]
pub struct Opening {
    /// A fresh random id.
    pub sid: SessionId,
    /// How it will be renewed; of the same kind as the client's policy.
    pub continuity: Continuity,
    /// What was granted.
    pub scope: ScopeSet,
    /// How the person proved who they are.
    pub amr: Vec<String>,
    /// On which device.
    pub device: Device,
}

impl Session {
    /// A new session, opened at `now`.
    pub fn open(user: &User, client: &ClientId, policy: &Policy, opening: Opening, now: Timestamp) -> Self {
        let absolute_at = now.plus(policy.absolute());
        Self {
            sid: opening.sid,
            user: user.id,
            client: client.clone(),
            epoch: user.epoch,
            state: State::Live,
            continuity: opening.continuity,
            scope: opening.scope,
            auth_time: now,
            amr: opening.amr,
            created_at: now,
            last_seen: now,
            idle_at: now.plus(policy.idle()).min(absolute_at),
            absolute_at,
            device: Arc::new(opening.device),
            bound_key: None,
            rev: Rev::NEW,
        }
    }

    /// Why it is over, if it is: rules 2 and 3 of the refresh machine, the same for every policy.
    pub fn over(&self, user: &User, now: Timestamp) -> Option<Refusal> {
        match self.state {
            State::Ended { reason, .. } => Some(Refusal::SessionEnded(reason)),
            State::Live if self.epoch != user.epoch => Some(Refusal::SessionEnded(user.epoch_reason)),
            State::Live if now >= self.idle_at || now >= self.absolute_at => Some(Refusal::SessionExpired),
            State::Live => None,
        }
    }

    /// The session ended at `now`; one that has ended already stays as it is.
    pub fn ended(&self, reason: EndReason, now: Timestamp) -> Self {
        match self.state {
            State::Live => Self { state: State::Ended { reason, at: now }, ..self.clone() },
            State::Ended { .. } => self.clone(),
        }
    }

    /// The session after a success at `now`. Idle limits move only with use by a person: a renewal by timer
    /// (`interactive=false`) leaves them.
    pub fn used(&self, idle: Duration, interactive: bool, now: Timestamp) -> Self {
        if !interactive {
            return self.clone();
        }
        let idle_at = now.plus(idle).min(self.absolute_at);
        Self { idle_at, last_seen: self.last_seen.max(now), ..self.clone() }
    }

    /// The session after the person proved again who they are: same `sid`, new proof.
    pub fn reauthenticated(&self, amr: Vec<String>, continuity: Continuity, now: Timestamp) -> Self {
        Self { auth_time: now, amr, continuity, last_seen: now, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_ended_state_absorbs() {
        let session = fixture::session(Policy::rolling());
        let ended = session.ended(EndReason::Logout, Timestamp::from_secs(5));
        assert_eq!(ended.ended(EndReason::Theft, Timestamp::from_secs(9)), ended);
        assert_eq!(
            ended.over(&fixture::user(), Timestamp::from_secs(6)),
            Some(Refusal::SessionEnded(EndReason::Logout))
        );
    }

    #[test]
    fn a_raised_epoch_ends_every_session_with_the_reason_of_the_epoch() {
        let session = fixture::session(Policy::refresh());
        let user = User { epoch: 1, epoch_reason: EndReason::PasswordChanged, ..fixture::user() };
        assert_eq!(session.over(&user, Timestamp::default()), Some(Refusal::SessionEnded(EndReason::PasswordChanged)));
    }

    #[test]
    fn idle_never_reaches_beyond_absolute_and_absolute_never_moves() {
        let session = fixture::session(Policy::refresh());
        let late = session.absolute_at.minus(Duration::from_secs(60));
        let used = session.used(Duration::from_secs(3600), true, late);
        assert_eq!((used.idle_at, used.absolute_at), (session.absolute_at, session.absolute_at));
        assert_eq!(session.used(Duration::from_secs(3600), false, late), session);
        assert!(used.over(&fixture::user(), session.absolute_at).is_some());
    }

    #[test]
    fn a_device_text_is_cut_at_a_character() {
        let device = Device::new(&"ä".repeat(200), "::1");
        assert_eq!(device.user_agent.chars().count(), 128);
        assert_eq!(Device::new(&format!("x{}", "ä".repeat(200)), "").user_agent.len(), 255);
    }
}
