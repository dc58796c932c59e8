//! One-time codes that are sent to a person, and the challenges that they answer. A challenge is a type of its own and
//! never a session: it opens nothing, and dies with the credentials that it was made beside. Never keeps a code, only a
//! MAC of it under a key that is not in the database; never sends one, never counts a try (the counter is a [`Take`]).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::change::{PasswordRow, Take};
use crate::id::{Audience, ChallengeId, ClientId, SessionId, UserId};
use crate::phone::PhoneNumber;
use crate::refusal::Refusal;
use crate::rev::Rev;
use crate::scope::ScopeSet;
use crate::secret::{MacKey, Salt, SecretHash};
use crate::time::Timestamp;
use crate::user::User;

/// How long a code can be used.
pub const CODE_LIFE: Duration = Duration::from_secs(600);
/// How often a code may be tried.
pub const CODE_TRIES: u32 = 5;
/// The digits of a code.
const DIGITS: usize = 6;

/// Six digits that were sent to a person, or that somebody typed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Code(String);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

impl Code {
    /// A new code from 16 random bytes: of 2^128 values, none of the million is likelier by more than 2^-108.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("{:0DIGITS$}", u128::from_be_bytes(bytes) % 1_000_000))
    }

    /// The digits, for the message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The text is no code. It is a wrong one like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a code of six digits")]
pub struct BadCode;

impl FromStr for Code {
    type Err = BadCode;

    fn from_str(text: &str) -> Result<Self, BadCode> {
        let digits = text.trim();
        let well_formed = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        if well_formed { Ok(Self(digits.to_owned())) } else { Err(BadCode) }
    }
}

/// What a client holds between the password and the code: 256 random bits, as text `sf1.` and 43 characters of
/// base64url. The store knows its hash only ([`ChallengeToken::id`]).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ChallengeToken([u8; 32]);

impl fmt::Debug for ChallengeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeToken(..)")
    }
}

const TOKEN_PREFIX: &str = "sf1.";

impl ChallengeToken {
    /// A new one, from 32 random bytes.
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The text, for its holder.
    pub fn reveal(&self) -> String {
        format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0))
    }

    /// The key of its row.
    pub fn id(&self) -> ChallengeId {
        hashed(&[b"second factor", &self.0])
    }
}

impl FromStr for ChallengeToken {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let mut bytes = [0; 32];
        let encoded = text.strip_prefix(TOKEN_PREFIX).ok_or(Refusal::ChallengeOver)?;
        match (encoded.len(), URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes)) {
            (43, Ok(32)) => Ok(Self(bytes)),
            _ => Err(Refusal::ChallengeOver),
        }
    }
}

/// The key of the one verification that a session can have under way.
pub fn verification_of(session: SessionId) -> ChallengeId {
    hashed(&[b"phone number", session.as_bytes()])
}

fn hashed(parts: &[&[u8]]) -> ChallengeId {
    let hash = SecretHash::of(&parts.concat());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.as_bytes()[..16]);
    ChallengeId::from_bytes(id)
}

/// A log-in whose password was right and whose second factor was not shown yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfLogin {
    /// The client that it was begun at: no other may finish it.
    pub client: ClientId,
    /// The user's epoch then.
    pub epoch: u64,
    /// The version of the password's row then.
    pub password: Rev,
    /// What was asked for.
    pub scope: Option<ScopeSet>,
    /// Whom the token is to be for.
    pub resource: Option<Audience>,
    /// The session that is proved anew; none where one is to be opened.
    pub session: Option<SessionId>,
}

/// What the right code is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The number becomes the account's.
    Verification {
        /// The session that asked for it.
        session: SessionId,
        /// The number that it takes the place of.
        replaces: Option<PhoneNumber>,
    },
    /// A log-in is finished.
    Login(HalfLogin),
}

/// A code that was sent, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Its key.
    pub id: ChallengeId,
    /// Whose it is.
    pub user: UserId,
    /// What the right code is good for.
    pub purpose: Purpose,
    /// Where the code was sent.
    pub target: PhoneNumber,
    /// What the code was hashed with.
    pub salt: Salt,
    /// The MAC of the code.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it can be used no more.
    pub expires_at: Timestamp,
    /// The version of the row.
    pub rev: Rev,
}

/// What a new challenge needs beside its code.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Its key.
    pub id: ChallengeId,
    /// Whose it is.
    pub user: UserId,
    /// What the right code is good for.
    pub purpose: Purpose,
    /// Where the code is sent.
    pub target: PhoneNumber,
}

impl Challenge {
    /// A challenge for a code that is about to be sent. `rev` is the row's that it takes the place of.
    pub fn new(asking: Asking, rev: Rev, code: &Code, salt: Salt, key: &MacKey, now: Timestamp) -> Self {
        let Asking { id, user, purpose, target } = asking;
        let hash = SecretHash::from_bytes(key.tag(&mac_input(&id, &salt, code)));
        Self { id, user, purpose, target, salt, hash, created_at: now, expires_at: now.plus(CODE_LIFE), rev }
    }

    /// Whether it is over at `now`.
    pub fn over(&self, now: Timestamp) -> Result<(), Refusal> {
        if now < self.expires_at { Ok(()) } else { Err(Refusal::ChallengeOver) }
    }

    /// What is counted, and committed, before a code is compared. A new code begins a new count.
    pub fn try_at(&self, now: Timestamp) -> Take {
        let key = format!("code:{}:{}", self.id, self.created_at.micros());
        Take { key, limit: CODE_TRIES, window: CODE_LIFE, at: now }
    }

    /// Whether the code is the one that was sent; compared in constant time. What is no code is a wrong one.
    pub fn answered(&self, typed: &str, key: &MacKey, now: Timestamp) -> Result<(), Refusal> {
        self.over(now)?;
        let code: Code = typed.parse().map_err(|_| Refusal::WrongCode)?;
        let right = key.verifies(&mac_input(&self.id, &self.salt, &code), self.hash.as_bytes());
        if right { Ok(()) } else { Err(Refusal::WrongCode) }
    }

    /// The half of a log-in that it stands for, if `client` began it, and neither user, password nor number has changed
    /// since: whatever was pending dies with the credentials that it was made beside.
    pub fn half_login(&self, client: &ClientId, user: &User, password: &PasswordRow) -> Result<&HalfLogin, Refusal> {
        let Purpose::Login(half) = &self.purpose else { return Err(Refusal::ChallengeOver) };
        let same = half.client == *client
            && self.user == user.id
            && half.epoch == user.epoch
            && half.password == password.rev
            && user.phone_number.as_ref() == Some(&self.target);
        if same { Ok(half) } else { Err(Refusal::ChallengeOver) }
    }

    /// The number that it verifies for this session of the user, if the account's number is still the one that it was to
    /// take the place of.
    pub fn verified(&self, asked_by: SessionId, user: &User) -> Result<&PhoneNumber, Refusal> {
        match &self.purpose {
            Purpose::Verification { session, replaces }
                if *session == asked_by && self.user == user.id && *replaces == user.phone_number =>
            {
                Ok(&self.target)
            }
            Purpose::Verification { .. } | Purpose::Login(_) => Err(Refusal::ChallengeOver),
        }
    }
}

/// A MAC is good for one row only: a code of one challenge says nothing about another.
fn mac_input<'a>(id: &'a ChallengeId, salt: &'a Salt, code: &'a Code) -> [&'a [u8]; 3] {
    [id.as_bytes(), salt.as_bytes(), code.0.as_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::secret::PasswordHash;
    use crate::session::EndReason;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn key() -> MacKey {
        MacKey::from_bytes(&[9; 32])
    }

    fn user() -> User {
        User { phone_number: Some(number()), ..fixture::user() }
    }

    fn number() -> PhoneNumber {
        "+441632960011".parse().unwrap()
    }

    fn password() -> PasswordRow {
        let hash = PasswordHash::from_phc("$argon2id$x".into());
        PasswordRow { user: user().id, hash, changed_at: NOW, rev: Rev::from_stored(3) }
    }

    fn client() -> ClientId {
        "demo".parse().unwrap()
    }

    fn login() -> Purpose {
        Purpose::Login(HalfLogin {
            client: client(),
            epoch: 0,
            password: Rev::from_stored(3),
            scope: None,
            resource: None,
            session: None,
        })
    }

    fn challenge(purpose: Purpose) -> Challenge {
        let id = ChallengeToken::from_random([4; 32]).id();
        let asking = Asking { id, user: user().id, purpose, target: number() };
        let code = "123456".parse().unwrap();
        Challenge::new(asking, Rev::NEW, &code, Salt::from_bytes([5; 16]), &key(), NOW)
    }

    #[test]
    fn a_code_is_six_digits_and_is_never_printed() {
        for seed in 0..50_u8 {
            let code = Code::from_random([seed; 16]);
            assert!(code.reveal().len() == 6 && code.reveal().parse::<Code>().is_ok());
        }
        assert_eq!(Code::from_random([0; 16]).reveal(), "000000");
        assert!(" 123456\n".parse::<Code>().is_ok());
        for wrong in ["", "12345", "1234567", "12345a", "１２３４５６", "+12345"] {
            assert!(wrong.parse::<Code>().is_err(), "{wrong}");
        }
        let printed = format!("{:?} {:?}", Code::from_random([1; 16]), challenge(login()));
        assert!(printed.starts_with("Code(..) ") && !printed.contains("123456"), "{printed}");
    }

    #[test]
    fn the_right_code_answers_in_time_and_nothing_else_does() {
        let challenge = challenge(login());
        assert_eq!(challenge.answered("123456", &key(), NOW), Ok(()));
        for wrong in ["123457", "", "654321", "12345 6", "x".repeat(10_000).as_str()] {
            assert_eq!(challenge.answered(wrong, &key(), NOW), Err(Refusal::WrongCode));
        }
        let other_key = MacKey::from_bytes(&[8; 32]);
        assert_eq!(challenge.answered("123456", &other_key, NOW), Err(Refusal::WrongCode));
        let (last, end) = (NOW.plus(CODE_LIFE).minus(Duration::from_micros(1)), NOW.plus(CODE_LIFE));
        assert_eq!(challenge.answered("123456", &key(), last), Ok(()));
        assert_eq!(challenge.answered("123456", &key(), end), Err(Refusal::ChallengeOver));
        let moved = Challenge { id: ChallengeToken::from_random([6; 32]).id(), ..challenge };
        assert_eq!(moved.answered("123456", &key(), NOW), Err(Refusal::WrongCode), "a hash is good in its row only");
    }

    #[test]
    fn a_half_log_in_dies_with_whatever_it_was_made_beside() {
        let challenge = challenge(login());
        assert!(challenge.half_login(&client(), &user(), &password()).is_ok());
        let other = PasswordRow { rev: Rev::from_stored(4), ..password() };
        assert!(challenge.half_login(&client(), &user(), &other).is_err(), "a new password");
        assert!(challenge.half_login(&"other".parse().unwrap(), &user(), &password()).is_err());
        for changed in [
            user().with_new_epoch(EndReason::Everywhere),
            user().disabled(),
            User { phone_number: None, ..user() },
            User { phone_number: Some("+441632960012".parse().unwrap()), ..user() },
            User { id: UserId::from_bytes([7; 16]), ..user() },
        ] {
            assert!(challenge.half_login(&client(), &changed, &password()).is_err(), "{changed:?}");
        }
        assert!(challenge.half_login(&client(), &user().with_new_cv(), &password()).is_ok(), "another attribute");
    }

    #[test]
    fn a_challenge_of_one_kind_is_never_one_of_the_other() {
        let sid = SessionId::from_bytes([2; 16]);
        let verification = |replaces| challenge(Purpose::Verification { session: sid, replaces });
        assert!(challenge(login()).verified(sid, &user()).is_err());
        assert!(verification(None).half_login(&client(), &user(), &password()).is_err());
        assert_eq!(verification(None).verified(sid, &fixture::user()), Ok(&number()));
        assert!(verification(None).verified(SessionId::from_bytes([3; 16]), &fixture::user()).is_err());
        assert!(verification(None).verified(sid, &user()).is_err(), "a number came in between");
        assert!(verification(Some(number())).verified(sid, &user()).is_ok());
    }

    #[test]
    fn a_challenge_token_is_its_own_text_only_and_is_never_printed() {
        let token = ChallengeToken::from_random([4; 32]);
        let text = token.reveal();
        assert_eq!(text.parse::<ChallengeToken>().unwrap().id(), token.id());
        assert_eq!(format!("{token:?}"), "ChallengeToken(..)");
        for wrong in ["", "sf1.", &text[4..], &text[..46], &format!("{text}A"), &text.replace("sf1", "rt1")] {
            assert!(wrong.parse::<ChallengeToken>().is_err(), "{wrong}");
        }
        assert_ne!(verification_of(SessionId::from_bytes([1; 16])), verification_of(SessionId::from_bytes([2; 16])));
    }

    #[test]
    fn a_new_code_begins_a_new_count() {
        let (first, second) =
            (challenge(login()), Challenge { created_at: Timestamp::from_secs(1_001), ..challenge(login()) });
        assert_ne!(first.try_at(NOW).key, second.try_at(NOW).key);
        assert_eq!((first.try_at(NOW).limit, first.try_at(NOW).window), (5, Duration::from_secs(600)));
    }
}
