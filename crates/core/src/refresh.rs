//! The refresh machine: what a presented refresh token is to its session, and what follows. One table, first match
//! wins; the rows are numbered as in ARCHITECTURE.md. Rotation and reuse detection are those of RFC 9700 section
//! 4.14.2, made safe for tabs that race and answers that get lost. Decides only: it never reads a clock, never
//! stores a token, and never says yes for the gate.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::id::{ClientId, SessionId};
use crate::policy::Windows;
use crate::refusal::Refusal;
use crate::secret::{MacKey, Salt};
use crate::session::{Continuity, EndReason, Session};
use crate::time::Timestamp;
use crate::user::User;

/// Names a refresh-MAC key of the keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MacKeyId(pub u32);

/// A place in a session's line of refresh tokens: generation, then branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Rises by one with each rotation.
    pub generation: u64,
    /// Rises by one when a generation is delivered anew after its window.
    pub branch: u32,
}

/// What the row keeps of its line of refresh tokens: the head and its parent, never a token. Constant size (I9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The head H.
    pub head: Position,
    /// The branch of the parent P, which is of the generation before; none means that there is no parent.
    pub parent_branch: Option<u32>,
    /// The key that the head is derived with.
    pub kid: MacKeyId,
    /// The row's part of the derivation.
    pub salt: Salt,
    /// When the head was last handed out. Never moves back.
    pub delivered_at: Timestamp,
    /// When the head was first presented, if it was.
    pub acked_at: Option<Timestamp>,
}

impl Chain {
    /// The chain of a session opened at `now`.
    pub const fn new(kid: MacKeyId, salt: Salt, now: Timestamp) -> Self {
        let head = Position { generation: 0, branch: 0 };
        Self { head, parent_branch: None, kid, salt, delivered_at: now, acked_at: None }
    }

    /// What a genuine token at `position` is to this chain. Every position is exactly one of these.
    pub fn place(&self, position: Position) -> Place {
        let Position { generation, branch } = position;
        match position.cmp(&self.head) {
            std::cmp::Ordering::Equal => Place::Head,
            std::cmp::Ordering::Greater => Place::Ahead,
            std::cmp::Ordering::Less if generation == self.head.generation => Place::DeadBranch,
            std::cmp::Ordering::Less
                if generation + 1 == self.head.generation && self.parent_branch == Some(branch) =>
            {
                Place::Parent
            }
            std::cmp::Ordering::Less => Place::Old,
        }
    }

    /// The head handed out (again) at `now`.
    fn delivered(&self, now: Timestamp) -> Self {
        Self { delivered_at: self.delivered_at.max(now), ..self.clone() }
    }

    fn acked(&self, now: Timestamp) -> Self {
        Self { acked_at: self.acked_at.or(Some(now)), ..self.clone() }
    }

    /// Row 6. None where the numbers have run out: no session lives to see it, but no row can make us panic or go back.
    fn rotated(&self, kid: MacKeyId, now: Timestamp) -> Option<Self> {
        let head = Position { generation: self.head.generation.checked_add(1)?, branch: 0 };
        let parent_branch = Some(self.head.branch);
        Some(Self { head, parent_branch, kid, acked_at: None, ..self.delivered(now) })
    }

    /// Row 10. None as in row 6.
    fn branched(&self, kid: MacKeyId, now: Timestamp) -> Option<Self> {
        let head = Position { branch: self.head.branch.checked_add(1)?, ..self.head };
        Some(Self { head, kid, ..self.delivered(now) })
    }

    /// Row 7: the store has lost commits; the token, which only we can have made, says where the chain was.
    fn caught_up(&self, token: &Genuine, now: Timestamp) -> Self {
        let parent_branch = match token.position.generation - self.head.generation {
            0 => self.parent_branch,
            1 => Some(self.head.branch),
            _ => None,
        };
        let head = token.position;
        Self { head, parent_branch, kid: token.kid, acked_at: Some(now), ..self.delivered(now) }
    }
}

/// What a genuine token is to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// H, the newest.
    Head,
    /// P, the one that the head was given for.
    Parent,
    /// D, of the head's generation, but of a branch given up.
    DeadBranch,
    /// O, everything earlier.
    Old,
    /// Newer than the row knows: the store lost commits.
    Ahead,
}

/// A refresh token as presented, well formed but not yet proved: `rt1.<kid>.<sid>.<gen>.<br>.<mac>`.
///
/// Its `Debug` shows the session only.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    kid: MacKeyId,
    sid: SessionId,
    position: Position,
    mac: [u8; 32],
}

/// A refresh token whose MAC was checked against a row's salt, and good for a row of that salt only: whoever reads the
/// row again after a conflict cannot carry the proof over to a chain that was begun anew. Only
/// [`RefreshToken::prove`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genuine {
    kid: MacKeyId,
    position: Position,
    salt: Salt,
}

impl RefreshToken {
    /// The longest text that can be one, in bytes.
    pub const MAX_BYTES: usize = 3 + 1 + 10 + 1 + 22 + 1 + 20 + 1 + 10 + 1 + 43;

    /// The session that it names.
    pub const fn sid(&self) -> SessionId {
        self.sid
    }

    /// The key that it names.
    pub const fn kid(&self) -> MacKeyId {
        self.kid
    }

    /// Row 0: checks the MAC, in constant time, before anything else is considered. Where there is no such session or
    /// no such key, call it with a dummy salt or key: the answer and the work are the same.
    pub fn prove(&self, key: &MacKey, salt: &Salt) -> Option<Genuine> {
        let signed = signed_text(self.kid, self.sid, self.position);
        key.verifies(&[signed.as_bytes(), salt.as_bytes()], &self.mac).then_some(Genuine {
            kid: self.kid,
            position: self.position,
            salt: *salt,
        })
    }
}

/// Derives the refresh token of `position`: the same bytes whenever it is asked, so a retry needs no stored token.
/// `key` is the one that `kid` names.
pub fn derive(kid: MacKeyId, key: &MacKey, sid: SessionId, salt: &Salt, position: Position) -> RefreshToken {
    let signed = signed_text(kid, sid, position);
    RefreshToken { kid, sid, position, mac: key.tag(&[signed.as_bytes(), salt.as_bytes()]) }
}

fn signed_text(kid: MacKeyId, sid: SessionId, position: Position) -> String {
    format!("rt1.{}.{sid}.{}.{}", kid.0, position.generation, position.branch)
}

impl RefreshToken {
    /// The text for the wire: the one place where it is made.
    pub fn reveal(&self) -> String {
        let signed = signed_text(self.kid, self.sid, self.position);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.mac))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken({}, ..)", self.sid)
    }
}

/// The text is no refresh token of ours. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token")]
pub struct NotARefreshToken;

impl FromStr for RefreshToken {
    type Err = NotARefreshToken;

    fn from_str(text: &str) -> Result<Self, NotARefreshToken> {
        if text.len() > Self::MAX_BYTES {
            return Err(NotARefreshToken);
        }
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(NotARefreshToken);
        let (version, kid, sid, generation, branch, mac) = (part()?, part()?, part()?, part()?, part()?, part()?);
        if version != "rt1" || parts.next().is_some() {
            return Err(NotARefreshToken);
        }
        let position = Position { generation: decimal(generation)?, branch: decimal(branch)? };
        let sid = sid.parse().map_err(|_| NotARefreshToken)?;
        Ok(Self { kid: MacKeyId(decimal(kid)?), sid, position, mac: read_mac(mac)? })
    }
}

/// A number in its one spelling: no sign, no leading zero.
fn decimal<N: FromStr>(text: &str) -> Result<N, NotARefreshToken> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if canonical { text.parse().map_err(|_| NotARefreshToken) } else { Err(NotARefreshToken) }
}

fn read_mac(text: &str) -> Result<[u8; 32], NotARefreshToken> {
    let mut mac = [0; 32];
    match (text.len(), URL_SAFE_NO_PAD.decode_slice(text, &mut mac)) {
        (43, Ok(32)) => Ok(mac),
        _ => Err(NotARefreshToken),
    }
}

/// Whether the presenter also proved possession of the key that the row is bound to (RFC 9449).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProof {
    /// No proof came.
    None,
    /// A valid proof of the row's own key came.
    Valid,
}

/// One presentation of a refresh token.
#[derive(Clone, Debug)]
pub struct Presentation<'a> {
    /// The token, its MAC checked; `None` where that failed.
    pub token: Option<Genuine>,
    /// The client that presents it, authenticated as it must be.
    pub client: &'a ClientId,
    /// The proof of the row's key.
    pub proof: KeyProof,
    /// Whether a person is at work; false for renewals by timer.
    pub interactive: bool,
}

/// What the client and the server set, as far as the machine asks.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// W and R.
    pub windows: Windows,
    /// The idle limit.
    pub idle: Duration,
    /// The MAC key that new heads are derived with.
    pub current_kid: MacKeyId,
    /// For one-process confidential clients: where the head was presented and none follows it, it is returned (rows 5
    /// and 7, and in doubt). Gives up I7.
    pub always_return_refresh: bool,
    /// For W after the start, after the store was lost and found, and after a stall: commits may be missing.
    pub in_doubt: bool,
}

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A new access token, and no refresh token: the client keeps what it has (RFC 6749 section 6).
    AccessOnly,
    /// A new access token and the head of the chain.
    WithHead,
}

/// What was decided: the answer, and the row to write if it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes, and with what; or the cause of the no.
    pub answer: Result<Answer, Refusal>,
    /// The row to write, where it changed. A theft verdict is written although the answer is no.
    pub session: Option<Session>,
    /// The store had lost commits (row 7): to be counted, and the operator warned.
    pub caught_up: bool,
}

impl Decision {
    fn refused(refusal: Refusal) -> Self {
        Self { answer: Err(refusal), session: None, caught_up: false }
    }
}

/// Decides one presentation: the whole machine, in its order.
pub fn present(session: &Session, user: &User, shown: &Presentation<'_>, set: &Setting, now: Timestamp) -> Decision {
    let (Some(token), Continuity::Refresh(chain)) = (&shown.token, &session.continuity) else {
        return Decision::refused(Refusal::WrongMac); // 0
    };
    if token.salt != chain.salt {
        return Decision::refused(Refusal::WrongMac); // 0: proved against another row, or this one before it began anew
    }
    if shown.client != &session.client {
        return Decision::refused(Refusal::OtherClient); // 1
    }
    if let Some(over) = session.over(user, now) {
        return Decision::refused(over); // 2, 3
    }
    if session.bound_key.is_some() && shown.proof == KeyProof::None {
        return Decision::refused(Refusal::MissingKeyProof); // 4
    }
    let proved = session.bound_key.is_some();
    let place = chain.place(token.position);
    let step = match place {
        Place::Ahead => Step::CatchUp, // 7
        Place::Head | Place::Parent if set.in_doubt => Step::InDoubt { ack: place == Place::Head },
        Place::Head if now.since(chain.delivered_at) <= set.windows.rotate => Step::Acknowledge, // 5
        Place::Head => Step::Rotate,                                                             // 6
        Place::Parent | Place::DeadBranch | Place::Old if proved => Step::Deliver,               // 8
        Place::Parent => parent_step(chain, set, now),                                           // 9, 10, 11, 12
        Place::DeadBranch | Place::Old => Step::Theft,                                           // 12
    };
    step.taken(session, chain, token, shown, set, now)
}

/// Rows 9 to 12 for P: inside its window the same head again; after it a new branch, or theft if the head was seen.
fn parent_step(chain: &Chain, set: &Setting, now: Timestamp) -> Step {
    let since = chain.acked_at.unwrap_or(chain.delivered_at);
    match (now.since(since) <= set.windows.parent, chain.acked_at) {
        (true, _) => Step::Deliver,
        (false, None) => Step::Branch,
        (false, Some(_)) => Step::Theft,
    }
}

/// The effects of the table.
#[derive(Clone, Copy)]
enum Step {
    InDoubt { ack: bool },
    Acknowledge,
    Rotate,
    CatchUp,
    Deliver,
    Branch,
    Theft,
}

impl Step {
    fn taken(
        self,
        session: &Session,
        chain: &Chain,
        token: &Genuine,
        shown: &Presentation<'_>,
        set: &Setting,
        now: Timestamp,
    ) -> Decision {
        let success = |chain: Chain, answer: Answer, caught_up: bool| {
            let used = session.used(set.idle, shown.interactive, now);
            let after = Session { continuity: Continuity::Refresh(chain), ..used };
            Decision { answer: Ok(answer), session: (after != *session).then_some(after), caught_up }
        };
        let onward = |next: Option<Chain>| match next {
            Some(chain) => success(chain, Answer::WithHead, false),
            None => Decision::refused(Refusal::SessionExpired), // the line of positions has run out
        };
        // What is presented is the head: returning it returns the very same bytes.
        let kept = if set.always_return_refresh { Answer::WithHead } else { Answer::AccessOnly };
        match self {
            Self::InDoubt { ack: true } => in_doubt(session, chain.acked(now), kept),
            Self::InDoubt { ack: false } => in_doubt(session, chain.clone(), Answer::AccessOnly),
            Self::Acknowledge => success(chain.acked(now), kept, false),
            Self::Rotate => onward(chain.rotated(set.current_kid, now)),
            Self::CatchUp => success(chain.caught_up(token, now), kept, true),
            Self::Deliver => success(chain.delivered(now), Answer::WithHead, false),
            Self::Branch => onward(chain.branched(set.current_kid, now)),
            Self::Theft if set.in_doubt => Decision::refused(Refusal::InDoubt { retry_after: set.windows.parent }),
            Self::Theft => Decision {
                answer: Err(Refusal::SessionEnded(EndReason::Theft)),
                session: Some(session.ended(EndReason::Theft, now)),
                caught_up: false,
            },
        }
    }
}

/// While commits may be missing: an access token, no successor, and nothing written but that the head was seen.
fn in_doubt(session: &Session, chain: Chain, answer: Answer) -> Decision {
    let after = Session { continuity: Continuity::Refresh(chain), ..session.clone() };
    Decision { answer: Ok(answer), session: (after != *session).then_some(after), caught_up: false }
}
