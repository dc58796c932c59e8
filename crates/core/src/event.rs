//! What resource servers must know, and the chain that proves which history they know. Never carries a value of the
//! user record, only names; never names a token's bytes.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::id::{AttributeName, Audience, ClientId, Jti, SessionId, UserId};
use crate::session::EndReason;
use crate::time::Timestamp;

/// What kind of change made tokens stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Attributes of the record were written.
    Attributes,
    /// The person proved again who they are: `auth_time` and `amr` changed.
    Reauthentication,
}

/// Who made a change: the words of CAEP 1.0 section 2 (`initiating_entity`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initiator {
    /// The person.
    User,
    /// An administrator.
    Admin,
    /// A rule.
    Policy,
    /// The server.
    System,
}

/// Something that a guard must know to refuse tokens that would verify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The user record changed: tokens with a lower `cv` are stale.
    ClaimsChanged {
        /// The user.
        sub: UserId,
        /// The least `cv` that shows the change.
        cv: u64,
        /// The attributes that changed.
        names: Vec<AttributeName>,
        /// What kind of change it was.
        cause: Cause,
        /// Who made it.
        who: Initiator,
        /// No token that it concerns lives longer, leeway not included.
        forget_after: Timestamp,
    },
    /// Every session of the user ended: tokens with a lower `cv` are dead.
    UserEnded {
        /// The user.
        sub: UserId,
        /// The least `cv` that lives.
        cv: u64,
        /// Why.
        reason: EndReason,
        /// No token that it concerns lives longer, leeway not included.
        forget_after: Timestamp,
    },
    /// One session ended.
    SessionEnded {
        /// The session.
        sid: SessionId,
        /// Why.
        reason: EndReason,
        /// No token that it concerns lives longer, leeway not included.
        forget_after: Timestamp,
    },
    /// A client's tokens show something else now, or nothing: those with a lower `pv` are dead.
    ClientChanged {
        /// The client.
        client_id: ClientId,
        /// The least `pv` that lives.
        pv: u64,
        /// No token that it concerns lives longer, leeway not included.
        forget_after: Timestamp,
    },
    /// One token without a session was revoked (RFC 7009).
    TokenEnded {
        /// The token.
        jti: Jti,
        /// When it would have expired.
        forget_after: Timestamp,
    },
    /// A signing key was withdrawn: nothing that it signed is to be believed.
    KeyWithdrawn {
        /// The key.
        kid: String,
        /// No token that it concerns lives longer, leeway not included.
        forget_after: Timestamp,
    },
}

impl Event {
    /// When it can be forgotten, leeway not included.
    pub const fn forget_after(&self) -> Timestamp {
        match self {
            Self::ClaimsChanged { forget_after, .. }
            | Self::UserEnded { forget_after, .. }
            | Self::SessionEnded { forget_after, .. }
            | Self::ClientChanged { forget_after, .. }
            | Self::TokenEnded { forget_after, .. }
            | Self::KeyWithdrawn { forget_after, .. } => *forget_after,
        }
    }
}

/// Whom an event is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Concerns {
    /// Every api: it cannot be said which hold tokens of the user or the key.
    Everyone,
    /// The apis that the client may call.
    Only(Vec<Audience>),
}

impl Concerns {
    /// Whether the api with this audience is to hear of it.
    pub fn include(&self, audience: &Audience) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(audiences) => audiences.contains(audience),
        }
    }
}

/// An event to be appended to the feed by a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub event: Event,
    /// Who is to hear of it.
    pub concerns: Concerns,
    /// When it was decided.
    pub at: Timestamp,
}

/// A fingerprint of the whole history up to an event: the first 16 bytes of SHA-256(chain before, event).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 16]);

impl ChainHash {
    /// Of the empty history. `seed` is random per installation, so that two installations never share a history.
    pub const fn origin(seed: [u8; 16]) -> Self {
        Self(seed)
    }

    /// From its stored bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The history with one event more. `event` is the text that is stored and sent.
    pub fn then(self, event: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.0);
        context.update(event.as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(hash)
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A place in the feed: the number of an event and the history up to it, as text `<seq>-<chain>` (the SSE event id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Numbers are gapless and in commit order; zero is before the first.
    pub seq: u64,
    /// The history up to and with that event.
    pub chain: ChainHash,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:?}", self.seq, self.chain)
    }
}

/// The text is no place in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an event id of the feed")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (seq, chain) = text.split_once('-').ok_or(BadCursor)?;
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if chain.len() != 32 || !chain.bytes().all(lower_hex) || !seq.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadCursor);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(chain.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| BadCursor)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadCursor)?;
        }
        Ok(Self { seq: seq.parse().map_err(|_| BadCursor)?, chain: ChainHash(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written_and_in_no_other_way() {
        let cursor = Cursor { seq: 42, chain: ChainHash::origin([0xab; 16]).then("{}") };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let text = cursor.to_string();
        for wrong in ["", "42", "-", &text.to_uppercase(), &text[..text.len() - 1], &format!("+{text}"), "x-y"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(BadCursor), "{wrong}");
        }
    }

    #[test]
    fn two_histories_that_differ_anywhere_never_share_a_chain_again() {
        let start = ChainHash::origin([0; 16]);
        assert_ne!(start.then("a").then("b"), start.then("b").then("a"));
        assert_ne!(start.then("a").then("c").then("z"), start.then("b").then("c").then("z"));
        assert_ne!(start.then("a"), ChainHash::origin([1; 16]).then("a"));
    }

    #[test]
    fn an_event_reads_as_the_feed_sends_it() {
        let event = Event::ClaimsChanged {
            sub: UserId::from_bytes([0; 16]),
            cv: 7,
            names: vec!["nickname".parse().unwrap()],
            cause: Cause::Attributes,
            who: Initiator::User,
            forget_after: Timestamp::from_secs(9),
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"type":"claims-changed","sub":"AAAAAAAAAAAAAAAAAAAAAA","cv":7,"names":["nickname"],"cause":"attributes","who":"user","forget_after":9000000}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
