//! From a failure to the wire: one table, every arm named, so that a new cause does not compile until it is mapped.
//! What the client hears never says more than the cause's own text, and never a piece of what was presented.
//!
//! Two doors: the OAuth endpoints and log-in answer by RFC 6749 section 5.2, what an access token opens answers by
//! RFC 6750 section 3.1.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use remint_core::refusal::Refusal;
use serde_json::json;

use crate::account::password::PasswordError;
use crate::failure::{BadRequest, Failure, SecondFactor};
use crate::mint::MintError;
use crate::store::StoreError;

/// A failure at an OAuth endpoint or at log-in (RFC 6749 section 5.2).
#[derive(Debug)]
pub struct OAuthError(pub Failure);

/// A failure at an endpoint that an access token opens (RFC 6750 section 3.1).
#[derive(Debug)]
pub struct BearerError(pub Failure);

impl<F: Into<Failure>> From<F> for OAuthError {
    fn from(failure: F) -> Self {
        Self(failure.into())
    }
}

impl<F: Into<Failure>> From<F> for BearerError {
    fn from(failure: F) -> Self {
        Self(failure.into())
    }
}

/// The status and the code of one cause.
type Wire = (StatusCode, &'static str);

const SECOND_FACTOR: Wire = (StatusCode::FORBIDDEN, "second_factor_required");
const WRONG_CODE: Wire = (StatusCode::BAD_REQUEST, "invalid_code");
const CHALLENGE_OVER: Wire = (StatusCode::BAD_REQUEST, "invalid_challenge");

/// Retry what the server could not do just now.
const SOON: Duration = Duration::from_secs(1);

/// RFC 6749 section 5.2, one row a cause.
fn oauth_refusal(refusal: &Refusal) -> Wire {
    match refusal {
        Refusal::BadClient | Refusal::ClientDisabled => (StatusCode::UNAUTHORIZED, "invalid_client"),
        Refusal::BadCredentials
        | Refusal::UserDisabled
        | Refusal::NoSuchUser
        | Refusal::WrongMac
        | Refusal::OtherClient
        | Refusal::SessionEnded(_)
        | Refusal::SessionExpired
        | Refusal::MissingKeyProof
        | Refusal::BadCookie
        | Refusal::NoSuchSession => (StatusCode::BAD_REQUEST, "invalid_grant"),
        Refusal::NotRenewedHere { .. } | Refusal::GrantNotAllowed { .. } | Refusal::NotFirstParty => {
            (StatusCode::BAD_REQUEST, "unauthorized_client")
        }
        Refusal::ScopeExceeded => (StatusCode::BAD_REQUEST, "invalid_scope"),
        Refusal::UnknownResource => (StatusCode::BAD_REQUEST, "invalid_target"), // RFC 8707 section 2
        Refusal::TokenTooLarge { .. } | Refusal::Attribute(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
        Refusal::ForeignOrigin | Refusal::UnknownOrigin => (StatusCode::FORBIDDEN, "access_denied"),
        Refusal::InsufficientScope { .. } => (StatusCode::FORBIDDEN, "insufficient_scope"),
        Refusal::AuthenticationTooOld { .. } => (StatusCode::UNAUTHORIZED, "insufficient_user_authentication"),
        Refusal::FactorNotShown { .. } => SECOND_FACTOR,
        Refusal::WrongCode => WRONG_CODE,
        Refusal::ChallengeOver => CHALLENGE_OVER,
        Refusal::TooManyAttempts { .. } | Refusal::TooManyStreams { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down")
        }
        Refusal::InDoubt { .. } => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
    }
}

/// RFC 6750 section 3.1 and RFC 9470 section 3, one row a cause.
fn bearer_refusal(refusal: &Refusal) -> Wire {
    match refusal {
        Refusal::SessionEnded(_)
        | Refusal::SessionExpired
        | Refusal::UserDisabled
        | Refusal::NoSuchUser
        | Refusal::ClientDisabled
        | Refusal::WrongMac
        | Refusal::BadCookie
        | Refusal::OtherClient
        | Refusal::MissingKeyProof => (StatusCode::UNAUTHORIZED, "invalid_token"),
        Refusal::AuthenticationTooOld { .. } | Refusal::FactorNotShown { .. } => {
            (StatusCode::UNAUTHORIZED, "insufficient_user_authentication")
        }
        Refusal::WrongCode => WRONG_CODE,
        Refusal::ChallengeOver => CHALLENGE_OVER,
        Refusal::ForeignOrigin | Refusal::UnknownOrigin | Refusal::NotFirstParty => {
            (StatusCode::FORBIDDEN, "access_denied")
        }
        Refusal::NoSuchSession => (StatusCode::NOT_FOUND, "not_found"),
        Refusal::BadClient
        | Refusal::BadCredentials
        | Refusal::NotRenewedHere { .. }
        | Refusal::GrantNotAllowed { .. }
        | Refusal::UnknownResource
        | Refusal::Attribute(_)
        | Refusal::TokenTooLarge { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
        Refusal::ScopeExceeded | Refusal::InsufficientScope { .. } => (StatusCode::FORBIDDEN, "insufficient_scope"),
        Refusal::TooManyAttempts { .. } | Refusal::TooManyStreams { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down")
        }
        Refusal::InDoubt { .. } => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
    }
}

fn request(bad: &BadRequest) -> Wire {
    match bad {
        BadRequest::ContentType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request"),
        BadRequest::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
        BadRequest::UnsupportedGrant => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        BadRequest::Malformed { .. }
        | BadRequest::Missing(_)
        | BadRequest::Repeated(_)
        | BadRequest::Unknown(_)
        | BadRequest::Invalid { .. }
        | BadRequest::SeveralCookies
        | BadRequest::TwoAuthentications => (StatusCode::BAD_REQUEST, "invalid_request"),
    }
}

fn wire(failure: &Failure, refusal: fn(&Refusal) -> Wire) -> Wire {
    const UNAVAILABLE: Wire = (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
    match failure {
        Failure::Refused(cause) | Failure::Mint(MintError::Refused(cause)) => refusal(cause),
        Failure::Request(bad) => request(bad),
        Failure::Token(_) | Failure::NoToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
        Failure::Password(PasswordError::Overloaded { .. } | PasswordError::Failed)
        | Failure::Store(_)
        | Failure::Keys(_)
        | Failure::NotSent
        | Failure::Contended => UNAVAILABLE,
        Failure::NoSender => (StatusCode::NOT_IMPLEMENTED, "not_supported"),
        Failure::SecondFactor(_) => SECOND_FACTOR,
        Failure::Mint(MintError::NoKey { .. } | MintError::NotSigned)
        | Failure::Password(PasswordError::Unusable)
        | Failure::NoRefreshKey => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
    }
}

fn retry_after(failure: &Failure) -> Option<Duration> {
    match failure {
        Failure::Refused(
            Refusal::TooManyAttempts { retry_after }
            | Refusal::TooManyStreams { retry_after }
            | Refusal::InDoubt { retry_after },
        ) => Some(*retry_after),
        Failure::Password(PasswordError::Overloaded { retry_after }) => Some(*retry_after),
        Failure::Store(_)
        | Failure::Keys(_)
        | Failure::Contended
        | Failure::NotSent
        | Failure::Password(PasswordError::Failed) => Some(SOON),
        Failure::Mint(MintError::NoKey { .. } | MintError::NotSigned) | Failure::NoRefreshKey => Some(SOON),
        Failure::Refused(_)
        | Failure::Request(_)
        | Failure::Token(_)
        | Failure::NoToken
        | Failure::NoSender
        | Failure::SecondFactor(_)
        | Failure::Mint(MintError::Refused(_))
        | Failure::Password(PasswordError::Unusable) => None,
    }
}

/// What an operator must hear of: what is broken. Load that is shed shows in the metrics, not in a line a request.
fn log(failure: &Failure, status: StatusCode) {
    match failure {
        Failure::Contended
        | Failure::Password(PasswordError::Overloaded { .. })
        | Failure::Store(StoreError::Busy)
        | Failure::NotSent // the outbox has said it
        | Failure::NoSender
        | Failure::Refused(Refusal::InDoubt { .. }) => tracing::debug!(cause = %failure, "shed"),
        _ if status.is_server_error() => tracing::error!(cause = %failure, "a request could not be served"),
        _ => tracing::debug!(cause = %failure, "refused"),
    }
}

fn respond(failure: &Failure, (status, code): Wire, challenge: Option<String>) -> Response {
    log(failure, status);
    let mut body = json!({ "error": code, "error_description": quotable(&described(failure)) });
    if let Failure::SecondFactor(SecondFactor { challenge, sent_to, expires_in }) = failure {
        body["challenge"] = json!(challenge.reveal());
        body["sent_to"] = json!(sent_to);
        body["expires_in"] = json!(expires_in);
    }
    let mut response = (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response();
    let headers = response.headers_mut();
    if let Some(Ok(value)) = challenge.map(|text| HeaderValue::from_str(&text)) {
        headers.insert(WWW_AUTHENTICATE, value);
    }
    if let Some(after) = retry_after(failure) {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64));
    }
    response
}

/// The cause's own text. What went wrong inside is the operator's to know.
fn described(failure: &Failure) -> String {
    match failure {
        Failure::Store(_) | Failure::Keys(_) => "the store cannot answer just now: try again".to_owned(),
        Failure::Mint(MintError::NoKey { .. } | MintError::NotSigned)
        | Failure::Password(PasswordError::Unusable)
        | Failure::NoRefreshKey => "the server cannot answer this just now: try again later".to_owned(),
        failure => failure.to_string(),
    }
}

/// `error_description`: visible ASCII and blanks, without quote and backslash (RFC 6749 section 5.2, RFC 6750 section 3).
fn quotable(text: &str) -> String {
    let plain = |c: char| if c == ' ' || (c.is_ascii_graphic() && c != '"' && c != '\\') { c } else { '\'' };
    text.chars().map(plain).collect()
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let (status, code) = wire(&self.0, oauth_refusal);
        // RFC 6749 section 5.2: 401 names the scheme by which a client may authenticate.
        let challenge = (code == "invalid_client").then(|| "Basic realm=\"remint\"".to_owned());
        respond(&self.0, (status, code), challenge)
    }
}

impl IntoResponse for BearerError {
    fn into_response(self) -> Response {
        let (status, code) = wire(&self.0, bearer_refusal);
        let description = quotable(&described(&self.0));
        let challenge = match &self.0 {
            Failure::NoToken => Some("Bearer realm=\"remint\"".to_owned()), // section 3.1: no code without a token
            Failure::Refused(Refusal::AuthenticationTooOld { max_age } | Refusal::FactorNotShown { max_age }) => {
                Some(format!("Bearer error=\"{code}\", error_description=\"{description}\", max_age={max_age}"))
            }
            Failure::Refused(Refusal::InsufficientScope { needed }) => {
                Some(format!("Bearer error=\"{code}\", error_description=\"{description}\", scope=\"{needed}\""))
            }
            _ if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Some(format!("Bearer error=\"{code}\", error_description=\"{description}\""))
            }
            _ => None,
        };
        respond(&self.0, (status, code), challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_can_not_be_broken_out_of() {
        assert_eq!(quotable("a\"b\\c\nd\u{e9}"), "a'b'c'd'");
    }

    #[test]
    fn no_token_gets_a_bare_challenge() {
        let response = BearerError(Failure::NoToken).into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"remint\"");
    }

    #[test]
    fn a_step_up_says_how_recent_it_must_be() {
        let response = BearerError(Refusal::AuthenticationTooOld { max_age: 300 }.into()).into_response();
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Bearer error=\"insufficient_user_authentication\""), "{challenge}");
        assert!(challenge.ends_with("max_age=300"), "{challenge}");
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        let refusal = Refusal::InDoubt { retry_after: Duration::from_millis(1500) };
        let response = OAuthError(refusal.into()).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }
}
