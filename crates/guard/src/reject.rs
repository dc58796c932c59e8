//! Why a request is not served, and the one table from cause to answer (RFC 6750 section 3, RFC 9470 section 3). An
//! answer never quotes a token or a claim; each text is for the developer who reads it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use remint_core::jws::TokenError;
use remint_core::session::EndReason;
use serde::Serialize;

/// Names the least `cv` that the next token must have; beside it the old token is stale.
pub const REMINT_RENEW: HeaderName = HeaderName::from_static("remint-renew");

/// Why a request is not served. A [`Policy`](crate::Policy) answers with one of these too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reject {
    /// The request carries no bearer token.
    Missing,
    /// The `Authorization` header is there twice, or is not `Bearer` and one token.
    Malformed,
    /// What the header carries is no access token that could be accepted, whoever signed it.
    BadToken(TokenError),
    /// `exp` has been reached.
    Expired,
    /// `nbf` has not been reached.
    NotYetValid,
    /// The signature does not verify.
    BadSignature,
    /// The issuer publishes no key with the token's `kid`.
    UnknownKey,
    /// The token is for another API.
    WrongAudience,
    /// The token is another issuer's.
    WrongIssuer,
    /// The token is bound to a key (`cnf`), and no proof is checked here (RFC 9449 section 7.2).
    BoundToken,
    /// The claims do not have the shape that the handler asks for.
    ClaimsMismatch {
        /// The field that is missing, where that is what is wrong.
        missing: Option<String>,
    },
    /// The session, or all sessions of the user, ended.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// The token itself was revoked.
    Revoked,
    /// The issuer, which was asked while the feed was silent, says that the token does not stand; not why.
    Inactive,
    /// The key that signed the token was withdrawn.
    KeyWithdrawn,
    /// The user record changed since the token was minted.
    StaleClaims {
        /// The token's `cv`.
        have: u64,
        /// The least `cv` that shows the change.
        need: u64,
    },
    /// The client's settings changed since the token was minted.
    ClientChanged {
        /// The token's `cv`, where it has a session.
        cv: Option<u64>,
    },
    /// The token was not granted a scope that is needed (RFC 6750 section 3.1).
    InsufficientScope {
        /// The scopes that are needed, one space between.
        needed: Cow<'static, str>,
    },
    /// The person must prove again, or better, who they are (RFC 9470).
    StepUp {
        /// The authentication contexts that would do, one space between; empty where any does.
        acr_values: Cow<'static, str>,
        /// How long ago the proof may lie.
        max_age: Option<Duration>,
    },
    /// The application says no, for a reason of its own.
    Denied {
        /// The reason, for the answer.
        detail: Cow<'static, str>,
    },
    /// The feed has been silent for too long: nobody can say whether the token still lives.
    FeedLagging,
    /// The issuer's keys could not be fetched, or could not be fetched again yet to look for the one that the token names.
    KeysUnavailable,
    /// A handler asks for claims on a route without [`RemintLayer`](crate::RemintLayer).
    LayerMissing,
}

impl From<TokenError> for Reject {
    fn from(cause: TokenError) -> Self {
        match cause {
            TokenError::Expired => Self::Expired,
            TokenError::NotYetValid => Self::NotYetValid,
            TokenError::BadSignature => Self::BadSignature,
            TokenError::UnknownKey { .. } => Self::UnknownKey,
            TokenError::WrongAudience => Self::WrongAudience,
            TokenError::WrongIssuer => Self::WrongIssuer,
            TokenError::BoundToken => Self::BoundToken,
            TokenError::TooLong
            | TokenError::NotCompact
            | TokenError::Encrypted
            | TokenError::Base64 { .. }
            | TokenError::Json { .. }
            | TokenError::DuplicateMember { .. }
            | TokenError::Header { .. }
            | TokenError::Critical
            | TokenError::WrongType { .. }
            | TokenError::UnknownAlgorithm
            | TokenError::AlgorithmMismatch
            | TokenError::MissingClaim { .. }
            | TokenError::MistypedClaim { .. } => Self::BadToken(cause),
        }
    }
}

/// What goes over the wire, apart from headers that carry data of the cause.
struct Wire {
    status: StatusCode,
    /// The error code of RFC 6750 section 3.1 or RFC 9470 section 3; none where there was nothing to be wrong.
    error: Option<&'static str>,
    /// The stable word for programs.
    code: &'static str,
    /// `error_description` and `title`.
    text: Cow<'static, str>,
}

const INVALID_TOKEN: Option<&str> = Some("invalid_token");

impl Reject {
    /// The table.
    fn wire(&self) -> Wire {
        let unauthorized = |code, text: &str| Wire {
            status: StatusCode::UNAUTHORIZED,
            error: INVALID_TOKEN,
            code,
            text: Cow::Owned(text.to_owned()),
        };
        match self {
            Self::Missing => Wire { error: None, ..unauthorized("token_missing", "a bearer token is needed") },
            Self::Malformed => Wire {
                status: StatusCode::BAD_REQUEST,
                error: Some("invalid_request"),
                ..unauthorized("request_malformed", "send exactly one Authorization header: Bearer and one token")
            },
            Self::BadToken(cause) => unauthorized("token_malformed", &cause.to_string()),
            Self::Expired => unauthorized("token_expired", "expired"),
            Self::NotYetValid => unauthorized("token_not_yet_valid", "not yet valid"),
            Self::BadSignature => unauthorized("bad_signature", "bad signature"),
            Self::UnknownKey => unauthorized("unknown_key", "signed by a key that the issuer does not publish"),
            Self::WrongAudience => unauthorized("wrong_audience", "wrong audience"),
            Self::WrongIssuer => unauthorized("wrong_issuer", "wrong issuer"),
            Self::BoundToken => unauthorized("token_bound", "bound to a key (cnf): not a plain bearer token"),
            Self::ClaimsMismatch { missing: Some(field) } => {
                unauthorized("claims_mismatch", &format!("the token has no claim {field}, which is needed here"))
            }
            Self::ClaimsMismatch { missing: None } => {
                unauthorized("claims_mismatch", "the claims have another shape than is needed here")
            }
            Self::Ended { reason } => unauthorized("session_ended", &format!("session ended: {}", reason.as_str())),
            Self::Revoked => unauthorized("token_revoked", "token revoked"),
            Self::Inactive => unauthorized("token_inactive", "the token is not active any more"),
            Self::KeyWithdrawn => unauthorized("key_withdrawn", "signed by a key that was withdrawn"),
            Self::StaleClaims { .. } => unauthorized("stale_claims", "stale claims"),
            Self::ClientChanged { .. } => unauthorized("client_changed", "stale claims"),
            Self::StepUp { .. } => Wire {
                error: Some("insufficient_user_authentication"),
                ..unauthorized("step_up_required", "log in again, or with a stronger proof")
            },
            Self::InsufficientScope { .. } | Self::Denied { .. } => self.forbidden(),
            Self::FeedLagging | Self::KeysUnavailable | Self::LayerMissing => self.our_fault(),
        }
    }

    fn forbidden(&self) -> Wire {
        let status = StatusCode::FORBIDDEN;
        match self {
            Self::Denied { detail } => Wire { status, error: None, code: "denied", text: detail.clone() },
            _ => {
                let error = "insufficient_scope";
                Wire { status, error: Some(error), code: error, text: "the token lacks a scope".into() }
            }
        }
    }

    /// Nothing is wrong with the token, as far as is known: no challenge, or clients would throw it away.
    fn our_fault(&self) -> Wire {
        let (status, code, text) = match self {
            Self::FeedLagging => (
                StatusCode::SERVICE_UNAVAILABLE,
                "feed_lagging",
                "cannot tell at the moment whether sessions have ended",
            ),
            Self::KeysUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", "the issuer's keys cannot be had at the moment")
            }
            _ => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "layer_missing",
                "the handler asks for claims, but no `RemintLayer` is on its route: add `.layer(RemintLayer::new(verifier))`",
            ),
        };
        Wire { status, error: None, code, text: text.into() }
    }

    /// The stable word for programs: `code` in the body.
    pub fn code(&self) -> &'static str {
        self.wire().code
    }

    /// The challenge of RFC 6750 section 3, for a 401, for 400 and for a lack of scope.
    fn challenge(&self, wire: &Wire) -> Option<String> {
        let Some(error) = wire.error else {
            return matches!(self, Self::Missing).then(|| "Bearer".to_owned());
        };
        let mut challenge = format!("Bearer error=\"{error}\", error_description=\"{}\"", quotable(&wire.text));
        match self {
            Self::InsufficientScope { needed } => challenge += &format!(", scope=\"{}\"", quotable(needed)),
            Self::StepUp { acr_values, max_age } => {
                if !acr_values.is_empty() {
                    challenge += &format!(", acr_values=\"{}\"", quotable(acr_values));
                }
                if let Some(max_age) = max_age {
                    challenge += &format!(", max_age=\"{}\"", max_age.as_secs());
                }
            }
            _ => {}
        }
        Some(challenge)
    }

    /// The whole answer: status, challenge, `Cache-Control: no-store`, and a problem document (RFC 9457).
    pub fn answer<B: From<String>>(&self) -> http::Response<B> {
        #[derive(Serialize)]
        struct Problem<'a> {
            title: &'a str,
            status: u16,
            code: &'a str,
        }
        let wire = self.wire();
        let problem = Problem { title: &wire.text, status: wire.status.as_u16(), code: wire.code };
        let body = serde_json::to_string(&problem).unwrap_or_default(); // two strings and a number: it cannot fail
        let mut answer = http::Response::new(B::from(body));
        *answer.status_mut() = wire.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(Ok(challenge)) = self.challenge(&wire).map(HeaderValue::try_from) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if wire.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(cv) = self.renew() {
            headers.insert(REMINT_RENEW, HeaderValue::from(cv));
        }
        answer
    }

    /// The least `cv` of a token that would do, where a new token would help.
    fn renew(&self) -> Option<u64> {
        match self {
            Self::StaleClaims { need, .. } => Some(*need),
            Self::ClientChanged { cv } => *cv,
            _ => None,
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wire().text)
    }
}

impl std::error::Error for Reject {}

impl IntoResponse for Reject {
    fn into_response(self) -> Response {
        self.answer()
    }
}

/// RFC 6750 section 3: `%x20-21 / %x23-5B / %x5D-7E`. Quotes become apostrophes; what is left of other characters cannot
/// end the quoted string, nor the header.
fn quotable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '`' => '\'',
            ' '..='~' if c != '\\' => c,
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn challenge(reject: &Reject) -> (u16, String) {
        let answer: http::Response<String> = reject.answer();
        let header = answer.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), header.unwrap_or_default())
    }

    #[test]
    fn every_cause_has_its_text() {
        let invalid = |text: &str| (401, format!("Bearer error=\"invalid_token\", error_description=\"{text}\""));
        let ended = Reject::Ended { reason: EndReason::Everywhere };
        let missing = Reject::ClaimsMismatch { missing: Some("role".to_owned()) };
        for (reject, text) in [
            (Reject::Expired, "expired"),
            (Reject::NotYetValid, "not yet valid"),
            (Reject::BadSignature, "bad signature"),
            (Reject::WrongAudience, "wrong audience"),
            (Reject::WrongIssuer, "wrong issuer"),
            (Reject::StaleClaims { have: 1, need: 2 }, "stale claims"),
            (Reject::ClientChanged { cv: Some(1) }, "stale claims"),
            (ended, "session ended: everywhere"),
            (Reject::Revoked, "token revoked"),
            (missing, "the token has no claim role, which is needed here"),
            (Reject::BadToken(TokenError::MissingClaim { name: "exp" }), "the claim 'exp' is missing"),
        ] {
            assert_eq!(challenge(&reject), invalid(text), "{reject:?}");
        }
        assert_eq!(challenge(&Reject::Missing), (401, "Bearer".to_owned()));
        assert_eq!(challenge(&Reject::Malformed).0, 400);
    }

    #[test]
    fn a_lack_of_scope_names_the_scopes_and_a_step_up_what_would_do() {
        let scope = Reject::InsufficientScope { needed: "read write".into() };
        let text =
            r#"Bearer error="insufficient_scope", error_description="the token lacks a scope", scope="read write""#;
        assert_eq!(challenge(&scope), (403, text.to_owned()));
        let step_up = Reject::StepUp { acr_values: "mfa".into(), max_age: Some(Duration::from_secs(300)) };
        let (status, text) = challenge(&step_up);
        assert_eq!(status, 401);
        assert!(text.starts_with("Bearer error=\"insufficient_user_authentication\""), "{text}");
        assert!(text.ends_with(", acr_values=\"mfa\", max_age=\"300\""), "{text}");
    }

    #[test]
    fn what_is_not_the_tokens_fault_carries_no_challenge_and_says_when_to_come_back() {
        for reject in [Reject::FeedLagging, Reject::KeysUnavailable] {
            let answer: http::Response<String> = reject.answer();
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers()[RETRY_AFTER], "1");
            assert!(!answer.headers().contains_key(WWW_AUTHENTICATE));
        }
    }

    #[test]
    fn an_answer_is_never_stored_and_its_body_has_a_code_for_programs() {
        let answer: http::Response<String> = Reject::StaleClaims { have: 3, need: 7 }.answer();
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.headers()[REMINT_RENEW], "7");
        assert_eq!(answer.body(), r#"{"title":"stale claims","status":401,"code":"stale_claims"}"#);
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_quotes(text in any::<String>()) {
            let reject = Reject::InsufficientScope { needed: Cow::Owned(text) };
            let (_, header) = challenge(&reject);
            prop_assert_eq!(header.matches('"').count(), 6);
            prop_assert!(!header.contains('\\'));
        }
    }
}
