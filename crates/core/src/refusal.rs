//! Named causes for saying no. Many causes here, one table to the wire in the server. A cause is for the operator and
//! the audit; it never carries a secret or a fragment of one.

use std::time::Duration;

use crate::attribute::BadAttribute;
use crate::session::EndReason;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    // --- who is asking ---
    /// No such client, or its secret is wrong, or it has none and sent one.
    #[error("the client could not be authenticated")]
    BadClient,
    /// The client is disabled.
    #[error("the client is disabled")]
    ClientDisabled,
    /// Identifier and password do not fit together.
    #[error("the identifier or the password is wrong")]
    BadCredentials,
    /// Too many attempts on this account or from this address.
    #[error("too many attempts: try again later")]
    TooManyAttempts {
        /// When the next attempt may be made.
        retry_after: Duration,
    },
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The user is deleted, or never was.
    #[error("there is no such user")]
    NoSuchUser,

    // --- the refresh machine ---
    /// Malformed, forged, or of an unknown session: all answered alike.
    #[error("the refresh token is not valid")]
    WrongMac,
    /// Presented by a client that it was not issued to (RFC 6749 section 5.2).
    #[error("the refresh token was issued to another client")]
    OtherClient,
    /// The session is over.
    #[error("session ended: {}", .0.as_str())]
    SessionEnded(EndReason),
    /// No session cookie of ours, of another client, or with another secret than the session's: all answered alike.
    #[error("the session cookie is not valid")]
    BadCookie,
    /// The idle or absolute limit has passed.
    #[error("the session has expired")]
    SessionExpired,
    /// The row is bound to a key, and no valid proof came (RFC 9449).
    #[error("the session is bound to a key, and the request proves none")]
    MissingKeyProof,
    /// It would be theft, but commits may be missing: nothing is decided now.
    #[error("the server is not sure yet whether this token was used before: try again later")]
    InDoubt {
        /// When to try again.
        retry_after: Duration,
    },

    // --- what was asked ---
    /// The session's policy is not renewed this way.
    #[error("a session of the policy `{policy}` is not renewed here: {instead}")]
    NotRenewedHere {
        /// The policy.
        policy: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The client may not use this grant.
    #[error("the client is not allowed to use the grant `{grant}`")]
    GrantNotAllowed {
        /// The `grant_type`.
        grant: &'static str,
    },
    /// More scope than was granted, or than there is (RFC 6749 sections 3.3 and 6).
    #[error("the scope asked for exceeds what can be granted")]
    ScopeExceeded,
    /// The access token lacks a scope that this needs (RFC 6750 section 3.1).
    #[error("this needs an access token with the scope `{needed}`")]
    InsufficientScope {
        /// The scope.
        needed: &'static str,
    },
    /// A `resource` that the client may not call (RFC 8707 section 2).
    #[error("the client may not call this resource")]
    UnknownResource,
    /// The session API is for first-party clients.
    #[error("only a first-party client may use the session API")]
    NotFirstParty,
    /// The request came from a page that the client does not own.
    #[error("the origin is not one of the client's `origins`")]
    ForeignOrigin,
    /// A cookie came with a request that changes something, and nothing says from which page it comes: a browser would
    /// have said it.
    #[error("a cookie is taken only from a page that says where it is: send Origin or Sec-Fetch-Site")]
    UnknownOrigin,
    /// The person must have proved who they are more recently (RFC 9470).
    #[error("a more recent authentication is required")]
    AuthenticationTooOld {
        /// How recent, in seconds: `max_age`.
        max_age: u64,
    },
    /// The person must show the second factor of the account too (RFC 9470).
    #[error("the second factor of the account is required: log in with it")]
    FactorNotShown {
        /// How recent, in seconds: `max_age`.
        max_age: u64,
    },
    /// The code is not the one that was sent.
    #[error("the code is wrong")]
    WrongCode,
    /// No code was asked for, or it is used, expired, tried too often, or died with what it was made beside: all
    /// answered alike.
    #[error("there is no code to be used here, or not any more: ask for a new one")]
    ChallengeOver,
    /// An attribute that does not exist, may not be written or does not fit.
    #[error(transparent)]
    Attribute(#[from] BadAttribute),
    /// The claims do not fit into a token.
    #[error("the access token would be larger than {limit} bytes: shorten the attributes or map fewer of them")]
    TokenTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More streams of events than one session or the server serves.
    #[error("too many streams of events are open: close one, or try again later")]
    TooManyStreams {
        /// When to try again.
        retry_after: Duration,
    },
    /// No session of that id that the caller may see.
    #[error("there is no such session")]
    NoSuchSession,
}
