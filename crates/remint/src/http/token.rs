//! `POST /oauth2/token` (RFC 6749 section 3.2): the grants `refresh_token` and `client_credentials`. Ignores cookies.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use http::HeaderMap;
use remint_core::client::Client;

use crate::app::App;
use crate::failure::{BadRequest, Failure};
use crate::grant::MAX_CONFLICTS;
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
    if grant == "refresh_token" {
        return Ok(refreshed(&app, &credentials, &caller, &headers, &form).await?);
    }
    let client = credentials.client(&app, &caller).await?;
    origin::check(&headers, &app, &client)?;
    let wanted = wanted(form.optional("resource"), form.optional("scope"))?;
    let issued = match grant {
        "client_credentials" => client_credentials(&app, &client, &wanted).await?,
        _ => return Err(Failure::from(BadRequest::UnsupportedGrant).into()),
    };
    Ok((Extension(KnownClient(client.id.clone())), issued))
}

/// What the refresh grant is given beside the client.
struct Presented<'a> {
    token: &'a str,
    interactive: bool,
    wanted: Wanted,
}

impl<'a> Presented<'a> {
    fn by(form: &'a Form) -> Result<Self, Failure> {
        let wanted = wanted(form.optional("resource"), form.optional("scope"))?;
        let token = form.required("refresh_token")?;
        Ok(Self { token, interactive: interactive(form.optional("interactive"))?, wanted })
    }
}

/// The client first as memory has it, where looking it up costs something: what is decided is decided upon the one that is
/// stored. Refused is only who was looked up. Where the client is changed meanwhile, it is authenticated anew.
async fn refreshed(
    app: &App,
    credentials: &Credentials,
    caller: &Caller,
    headers: &HeaderMap,
    form: &Form,
) -> Result<(Extension<KnownClient>, Issued), Failure> {
    let decided = async |client: &Arc<Client>, shown: Presented<'_>| {
        let issued = refresh(app, client, shown.token, caller.address, shown.interactive, &shown.wanted).await?;
        Ok((Extension(KnownClient(client.id.clone())), issued))
    };
    let mut refused = None;
    if let Some(client) = credentials.recalled(app)
        && origin::check(headers, app, &client).is_ok()
        && let Ok(shown) = Presented::by(form)
    {
        match decided(&client, shown).await {
            Err(failure) => refused = Some((client, failure)),
            answered => return meters::refresh(answered),
        }
    }
    for _ in 0..MAX_CONFLICTS {
        let client = credentials.client(app, caller).await?;
        origin::check(headers, app, &client)?;
        let shown = Presented::by(form)?;
        match refused.take() {
            Some((known, failure)) if known == client => return meters::refresh(Err(failure)),
            _ => {}
        }
        match decided(&client, shown).await {
            Err(Failure::Contended) => refused = Some((client, Failure::Contended)),
            answered => return meters::refresh(answered),
        }
    }
    meters::refresh(Err(Failure::Contended))
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
