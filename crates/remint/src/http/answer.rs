//! The token response (RFC 6749 section 5.1), never cached. What a page of the cookie policy gets in its place is no
//! token; what travels in a cookie is not in the body.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::grant::issue::{Issued, Proof};
use crate::http::cookie;

/// Tokens on their way out. Cannot be printed.
#[derive(Serialize)]
struct TokenResponse<'a> {
    #[serde(flatten)]
    bearer: Option<Bearer<'a>>,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_token: Option<&'a str>,
    /// The value of the cookie, without its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<String>,
    #[serde(flatten)]
    page: Option<PageResponse<'a>>,
}

#[derive(Serialize)]
struct Bearer<'a> {
    access_token: &'a str,
    token_type: &'static str,
}

#[derive(Serialize)]
struct PageResponse<'a> {
    claims: &'a Map<String, Value>,
    idle_expires_at: i64,
    expires_at: i64,
}

impl IntoResponse for Issued {
    fn into_response(self) -> Response {
        let bearer = |access_token| Bearer { access_token, token_type: "Bearer" };
        let body = TokenResponse {
            bearer: self.access_token.as_ref().map(|token| bearer(token.reveal())),
            expires_in: self.expires_in,
            refresh_token: self.refresh_token.as_ref().map(|token| token.reveal()),
            scope: self.scope.as_str(),
            account_token: self.account_token.as_ref().map(|token| token.reveal()),
            cookie: self.handed.as_ref().map(Proof::reveal),
            page: self.page.as_ref().map(|page| PageResponse {
                claims: &page.claims,
                idle_expires_at: page.idle_expires_at,
                expires_at: page.expires_at,
            }),
        };
        let mut response = ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], Json(body)).into_response();
        if let Some(carried) = &self.carried {
            cookie::set(response.headers_mut(), carried);
        }
        response
    }
}
