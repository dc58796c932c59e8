//! The token response (RFC 6749 section 5.1), never cached.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA};
use serde::Serialize;

use crate::grant::issue::Issued;

/// Tokens on their way out. Cannot be printed.
#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_token: Option<&'a str>,
}

impl IntoResponse for Issued {
    fn into_response(self) -> Response {
        let body = TokenResponse {
            access_token: self.access_token.reveal(),
            token_type: "Bearer",
            expires_in: self.expires_in,
            refresh_token: self.refresh_token.as_ref().map(|token| token.reveal()),
            scope: self.scope.as_str(),
            account_token: self.account_token.as_ref().map(|token| token.reveal()),
        };
        ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], Json(body)).into_response()
    }
}
