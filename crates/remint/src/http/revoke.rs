//! `POST /oauth2/revoke` (RFC 7009 section 2). `token_type_hint` may be given and is not needed: a token shows what it
//! is.

use axum::extract::State;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::grant::revoke::revoke;
use crate::http::body::Form;
use crate::http::caller::Caller;
use crate::http::credentials::Credentials;
use crate::http::error::OAuthError;
use crate::http::origin;

/// 200 with an empty body once it is durable, for tokens that are not ours too (section 2.2).
pub async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    form: Form,
) -> Result<StatusCode, OAuthError> {
    let credentials = Credentials::of(&headers, form.optional("client_id"), form.optional("client_secret"))?;
    let client = credentials.client(&app, &caller).await?;
    origin::check(&headers, &app, &client)?;
    revoke(&app, &client, form.required("token")?, &caller.client(&client.id)).await?;
    Ok(StatusCode::OK)
}
