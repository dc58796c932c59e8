//! `POST /session/exchange`: a backend swaps the session cookie that its caller sent for a short access token of its own
//! audience, by the credential of its api. No CORS: it is not for pages, and the cookie comes in the body, never in a
//! header.

use axum::extract::State;
use http::HeaderMap;
use remint_core::cookie::SessionCookie;
use remint_core::refusal::Refusal;
use serde::Deserialize;

use crate::app::App;
use crate::grant;
use crate::grant::issue::Issued;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::credentials::Credentials;
use crate::http::error::OAuthError;

#[derive(Deserialize)]
struct Exchange {
    /// The value of the cookie, without its name.
    cookie: String,
    /// Whether a person is at work; a poll that the page does by itself says that none is.
    interactive: Option<bool>,
}

/// Answers the token response of RFC 6749 section 5.1, or `invalid_grant` where the cookie opens nothing.
pub async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Issued, OAuthError> {
    let api = Credentials::api(&app, &caller, &headers).await?;
    let form: Exchange = body.read(&["cookie", "interactive"])?;
    let shown: SessionCookie = form.cookie.parse().map_err(|_| Refusal::BadCookie)?;
    Ok(grant::cookie::exchange(&app, &api, &shown, form.interactive.unwrap_or(true)).await?)
}
