//! `POST /oauth2/token` (RFC 6749 section 3.2): the grants `refresh_token` and `client_credentials`. Ignores cookies.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use http::HeaderMap;
use remint_core::client::Client;

use crate::app::App;
use crate::failure::{BadRequest, Failure};
use crate::grant::client_credentials::client_credentials;
use crate::grant::issue::{Issued, Wanted};
use crate::grant::refresh::refresh;
use crate::http::body::Form;
use crate::http::caller::Caller;
use crate::http::credentials::Credentials;
use crate::http::error::OAuthError;
use crate::http::origin;
use crate::meters;
use crate::telemetry::KnownClient;

/// Answers the token response of RFC 6749 section 5.1, or the error of section 5.2.
pub async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    form: Form,
) -> Result<(Extension<KnownClient>, Issued), OAuthError> {
    let grant = form.required("grant_type")?;
    let credentials = Credentials::of(&headers, form.optional("client_id"), form.optional("client_secret"))?;
    let mut refused = None;
    if grant == "refresh_token"
        && let Some(client) = credentials.recalled(&app)
        && origin::check(&headers, &app, &client).is_ok()
    {
        match refreshed(&app, &client, &caller, &form).await {
            Ok(issued) => return Ok((Extension(KnownClient(client.id.clone())), meters::refresh(Ok(issued))?)),
            Err(failure) => refused = Some((client, failure)),
        }
    }
    let client = credentials.client(&app, &caller).await?;
    origin::check(&headers, &app, &client)?;
    let issued = match (grant, refused) {
        // What was said to the client as it was recalled stands where it is still that one.
        ("refresh_token", Some((recalled, failure))) if recalled == client => meters::refresh(Err(failure)),
        ("refresh_token", _) => meters::refresh(refreshed(&app, &client, &caller, &form).await),
        ("client_credentials", _) => client_credentials(&app, &client, &wanted_by(&form)?).await,
        _ => Err(BadRequest::UnsupportedGrant.into()),
    };
    Ok((Extension(KnownClient(client.id.clone())), issued?))
}

async fn refreshed(app: &App, client: &Arc<Client>, caller: &Caller, form: &Form) -> Result<Issued, Failure> {
    let wanted = wanted_by(form)?;
    let presented = form.required("refresh_token")?;
    let interactive = interactive(form.optional("interactive"))?;
    refresh(app, client, presented, caller.address, interactive, &wanted).await
}

fn wanted_by(form: &Form) -> Result<Wanted, Failure> {
    wanted(form.optional("resource"), form.optional("scope"))
}

/// What was asked for: `resource` (RFC 8707 section 2), `scope` (RFC 6749 section 3.3). An empty one counts as left out (section 3.1).
pub fn wanted(resource: Option<&str>, scope: Option<&str>) -> Result<Wanted, Failure> {
    let refused = remint_core::refusal::Refusal::UnknownResource;
    let resource = resource.map(str::parse).transpose().map_err(|_| refused)?;
    let malformed = BadRequest::Invalid { name: "scope", why: "is not a list of scopes (RFC 6749 section 3.3)" };
    let scope = scope.filter(|scope| !scope.is_empty()).map(str::parse).transpose().map_err(|_| malformed)?;
    Ok(Wanted { resource, scope, ..Wanted::default() })
}

/// Whether a person is at work: a renewal by timer says `interactive=false`.
fn interactive(text: Option<&str>) -> Result<bool, BadRequest> {
    match text {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(BadRequest::Invalid { name: "interactive", why: "must be true or false" }),
    }
}
