//! `PATCH /account`: the person writes their own attributes, and the answer carries tokens that show them. Never a
//! refresh token.

use axum::extract::State;

use crate::account::record;
use crate::app::App;
use crate::grant::issue::Issued;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::error::BearerError;
use crate::http::session::Account;

/// A JSON object of attributes; `null` removes one. An unknown or unwritable one is refused by name.
pub async fn patch(
    State(app): State<App>,
    caller: Caller,
    Account(bearer): Account,
    body: Json,
) -> Result<Issued, BearerError> {
    Ok(record::patch(&app, &bearer, &body.0, &caller.person(&bearer)).await?)
}
