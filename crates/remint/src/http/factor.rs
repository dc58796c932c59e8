//! `POST /session/factor`: the code that was sent, with the challenge that `POST /session` answered, finishes the log-in.
//! Answers as `POST /session` does where the password is enough.

use axum::Extension;
use axum::extract::State;
use http::{HeaderMap, Method};
use serde::Deserialize;

use crate::app::App;
use crate::grant::factor::{Answer, TypedCode, finish};
use crate::grant::issue::Issued;
use crate::http::body::Json;
use crate::http::caller::Caller;
use crate::http::credentials::Credentials;
use crate::http::error::OAuthError;
use crate::http::origin;
use crate::http::session::already_here;
use crate::meters;
use crate::telemetry::KnownClient;

#[derive(Deserialize)]
struct Body {
    client_id: String,
    client_secret: Option<String>,
    challenge: String,
    code: String,
}

const MEMBERS: [&str; 4] = ["client_id", "client_secret", "challenge", "code"];

/// The token response of RFC 6749 section 5.1, `amr` of its tokens `pwd sms mfa` (RFC 8176); a client of the cookie policy
/// gets a cookie and no token. The session that was proved anew stays, if it was of a cookie that came along here too.
pub async fn post(
    State(app): State<App>,
    method: Method,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<(Extension<KnownClient>, Issued), OAuthError> {
    let form: Body = body.read(&MEMBERS)?;
    let code = TypedCode::new(form.code);
    let credentials = Credentials::of(&HeaderMap::new(), Some(&form.client_id), form.client_secret.as_deref())?;
    let client = credentials.client(&app, &caller).await?;
    origin::check(&headers, &app, &client)?;
    let answer = Answer {
        challenge: form.challenge.parse()?,
        code,
        address: caller.address,
        device: caller.device,
        again: already_here(&app, &method, &headers, &client).await,
    };
    let issued = meters::login(finish(&app, &client, &answer).await)?;
    Ok((Extension(KnownClient(client.id.clone())), issued))
}
