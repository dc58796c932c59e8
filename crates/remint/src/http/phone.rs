//! `/account/phone`: the phone number that is the second factor of the person's own account. Each change needs a recent
//! log-in, and one with the factor where there is one (RFC 9470).

use axum::Json as Reply;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::account::phone;
use crate::app::App;
use crate::grant::factor::TypedCode;
use crate::grant::issue::Issued;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::error::BearerError;
use crate::http::session::Account;

#[derive(Deserialize)]
struct Number {
    phone_number: String,
}

/// `POST /account/phone`: a code is sent to the number. 202: the message is on its way.
pub async fn post(
    State(app): State<App>,
    Account(bearer): Account,
    caller: Caller,
    body: Json,
) -> Result<Response, BearerError> {
    let Number { phone_number } = body.read(&["phone_number"])?;
    let asked = phone::ask(&app, &bearer, &phone_number, caller.address).await?;
    let body = Reply(json!({ "sent_to": asked.sent_to, "expires_in": asked.expires_in }));
    Ok((StatusCode::ACCEPTED, body).into_response())
}

#[derive(Deserialize)]
struct Typed {
    code: String,
}

/// `POST /account/phone/verify`: with the right code the number is the account's. Answers tokens that show it.
pub async fn verify(
    State(app): State<App>,
    Account(bearer): Account,
    caller: Caller,
    body: Json,
) -> Result<Issued, BearerError> {
    let Typed { code } = body.read(&["code"])?;
    Ok(phone::verify(&app, &bearer, TypedCode::new(code).as_str(), &caller.person(&bearer)).await?)
}

/// `DELETE /account/phone`: the account has no number and no second factor any more. Answers tokens that show none;
/// asked again, too.
pub async fn delete(State(app): State<App>, Account(bearer): Account, caller: Caller) -> Result<Issued, BearerError> {
    Ok(phone::remove(&app, &bearer, &caller.person(&bearer)).await?)
}
