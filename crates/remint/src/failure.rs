//! Everything that can go wrong on the way to an answer: a refusal, a request that cannot be read, a store that does
//! not answer, too much work at once. Never carries a secret; what the client hears of it is `http::error`'s table.

use remint_core::code::ChallengeToken;
use remint_core::jws::TokenError;
use remint_core::refusal::Refusal;

use crate::account::password::PasswordError;
use crate::account::throttle::Throttled;
use crate::keyring::KeyringError;
use crate::mint::MintError;
use crate::store::StoreError;

/// Why there is no good answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// A rule said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request is not of the form that the endpoint takes.
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// The access token that came with the request is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There is no access token, and there must be one.
    #[error("an access token is required (Authorization: Bearer ...), or the cookie of the session")]
    NoToken,
    /// The store did not answer, or does not know whether it wrote.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The password was not compared.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The token was not minted.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The keys cannot be used: whether there is one cannot be said.
    #[error("the keys: {0}")]
    Keys(KeyringError),
    /// Others were first, eight times in a row where it was tried again.
    #[error("the same record is being changed by others: try again")]
    Contended,
    /// Nobody carries messages here.
    #[error("this server sends no codes: its operator has declared no sender")]
    NoSender,
    /// The message with the code was not carried.
    #[error("the code could not be sent just now: try again")]
    NotSent,
    /// The password was right, and the account has a second factor: a code was sent.
    #[error("a code was sent: send it to /session/factor, with the challenge")]
    SecondFactor(SecondFactor),
    /// The session's refresh key is not in the keyring any more.
    #[error("the key of the session's refresh tokens is withdrawn")]
    NoRefreshKey,
}

/// What a client needs to go on with a log-in whose first factor was shown. No session, and no token of one.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// To be sent with the code.
    pub challenge: ChallengeToken,
    /// The end of the number that the code was sent to.
    pub sent_to: String,
    /// How long the code is good, in seconds.
    pub expires_in: u64,
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(error) => Self::Store(error),
            KeyringError::Contended => Self::Contended,
            error => Self::Keys(error),
        }
    }
}

impl From<Throttled> for Failure {
    fn from(throttled: Throttled) -> Self {
        match throttled {
            Throttled::Account(refusal) | Throttled::Refused(refusal) => Self::Refused(refusal),
            Throttled::Store(error) => Self::Store(error),
        }
    }
}

/// A request that is not of the form that its endpoint takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// The wrong `Content-Type`.
    #[error("the body must be `{expected}`")]
    ContentType {
        /// The one that is taken.
        expected: &'static str,
    },
    /// A body, a header or a query that cannot be read.
    #[error("{what} cannot be read: {why}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// Why; never the text itself.
        why: &'static str,
    },
    /// A parameter that must be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A parameter given twice (RFC 6749 section 3.2).
    #[error("`{0}` is given more than once")]
    Repeated(String),
    /// A member that the endpoint does not know.
    #[error("`{0}` is not known here")]
    Unknown(String),
    /// A parameter that cannot be what it is.
    #[error("`{name}` {why}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// Why.
        why: &'static str,
    },
    /// A body larger than anything that makes sense.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Cookies of several clients whose page it may be.
    #[error("cookies of several clients came: say whose is meant by the header Remint-Client: <client_id>")]
    SeveralCookies,
    /// Two ways to authenticate at once (RFC 6749 section 2.3).
    #[error("authenticate the client in one way only: the Authorization header or the body")]
    TwoAuthentications,
    /// The grant is not one that there is.
    #[error("the grant type is not supported: use refresh_token or client_credentials")]
    UnsupportedGrant,
}
