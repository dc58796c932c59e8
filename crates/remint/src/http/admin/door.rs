//! Who may come in to the administrative endpoints. On the control socket everybody who could connect, with all rights;
//! on the network whoever shows a token for the admin API (RFC 6750) that carries what the endpoint needs. Says it to the
//! operation as a [`By`]. Never lets a token for another api in, nor a person's.

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::IF_MATCH;
use http::request::Parts;
use http::{HeaderMap, Method};
use remint_core::administration::{AdminScope, Lacking, Rights};
use remint_core::audit::{Actor, Doer, Target};
use remint_core::claims::AccessClaims;
use remint_core::id::{ClientId, Jti};
use remint_core::jws::TokenError;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::scope::ScopeSet;
use remint_core::session::EndReason;

use crate::admin::{AdminError, By, Expected};
use crate::app::App;
use crate::failure::Failure;
use crate::grant::refused;
use crate::grant::revoke::revoked;
use crate::http::body::decode;
use crate::http::caller::Caller;
use crate::http::credentials::bearer;
use crate::http::error::BearerError;
use crate::store::{ClientById, Counter};
use crate::telemetry::KnownClient;

/// Where a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The control socket: who may connect may do everything.
    Socket,
    /// The public listener.
    Network,
}

/// What stands before one endpoint.
#[derive(Clone)]
pub(super) struct Guarded {
    pub(super) app: App,
    pub(super) door: Door,
    pub(super) needs: &'static [AdminScope],
    pub(super) versioned: bool,
}

/// Lets in who may come in, and tells the endpoint who that is.
pub(super) async fn admit(State(guarded): State<Guarded>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let by = match guarded.by(&mut parts).await {
        Ok(by) => by,
        Err(failure) => return BearerError(failure).into_response(),
    };
    let client = by.acting_client().map(|(id, _)| id.clone());
    if let Some(needed) = guarded.needs.iter().find(|scope| !by.may(**scope)).map(|scope| scope.as_str()) {
        guarded.tell_refused(by.doer(), needed).await;
        return BearerError(Refusal::InsufficientScope { needed }.into()).into_response();
    }
    let doer = by.doer().clone();
    let said = reason(&parts).and_then(|reason| Ok(by.saying(reason, guarded.expected(&parts)?)));
    let mut response = match said {
        Ok(by) => {
            parts.extensions.insert(Arc::new(by));
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => error.into_response(),
    };
    if let Some(lacking) = response.extensions().get::<Lacking>().map(Lacking::word) {
        guarded.tell_refused(&doer, lacking).await;
    }
    if let Some(client) = client {
        response.extensions_mut().insert(KnownClient(client));
    }
    response
}

impl Guarded {
    async fn by(&self, parts: &mut Parts) -> Result<By, Failure> {
        match self.door {
            Door::Socket => Ok(By::operator()),
            Door::Network => {
                let Ok(caller) = Caller::from_request_parts(parts, &self.app).await;
                administrator(&self.app, &parts.headers, &caller).await
            }
        }
    }

    /// At which version a change is wanted. Where nothing has one, whoever names one would believe that it was looked at.
    fn expected(&self, parts: &Parts) -> Result<Expected, AdminError> {
        let changes = ![Method::GET, Method::HEAD].contains(&parts.method);
        if changes && !self.versioned && parts.headers.contains_key(IF_MATCH) {
            return Err(AdminError::invalid("If-Match", "has nothing here to be compared with: leave it out"));
        }
        expected(&parts.headers)
    }

    /// Tells the audit log that a client wanted what it may not.
    async fn tell_refused(&self, doer: &Doer, lacking: &'static str) {
        if let Actor::Client(id) = &doer.actor {
            refused::tell(&self.app, doer, Target::Client(id.clone()), lacking).await;
        }
    }
}

/// The client whose token it is: what it may do is read now, so that a right that was taken away is gone at once.
async fn administrator(app: &App, headers: &HeaderMap, caller: &Caller) -> Result<By, Failure> {
    let token = bearer(headers)?.ok_or(Failure::NoToken)?;
    let admin = app.settings.issuer.admin().to_string();
    let claims = app.mint.verify_own(token, &[admin], app.clock.now()).await??;
    let (id, jti, scope) = own(&claims)?;
    let client = app.store.read(ClientById(id)).await?.ok_or(Refusal::ClientDisabled)?;
    if client.disabled {
        return Err(Refusal::ClientDisabled.into());
    }
    if claims.pv != Some(client.pv) || app.store.read(Counter(revoked(jti))).await?.is_some() {
        return Err(Refusal::SessionEnded(EndReason::Revoked).into());
    }
    let doer = Doer::at(Actor::Client(client.id.clone()), caller.address);
    Ok(By::client(doer, Rights::of(&client, &scope), &client))
}

/// A client's own token: there is no session in it, and the client is its subject.
fn own(claims: &AccessClaims) -> Result<(ClientId, Jti, ScopeSet), TokenError> {
    let missing = |name| TokenError::MissingClaim { name };
    let mistyped = |name| TokenError::MistypedClaim { name };
    let id = claims.client_id.as_deref().ok_or(missing("client_id"))?;
    if claims.session.is_some() || claims.sub != id {
        return Err(mistyped("sub"));
    }
    let jti = claims.jti.as_deref().ok_or(missing("jti"))?.parse().map_err(|_| mistyped("jti"))?;
    let scope = claims.scope.as_deref().unwrap_or_default().parse().map_err(|_| mistyped("scope"))?;
    Ok((id.parse().map_err(|_| mistyped("client_id"))?, jti, scope))
}

/// `?reason=`: why, for the audit log. A request that changes nothing needs none.
fn reason(parts: &Parts) -> Result<Option<remint_core::audit::Reason>, AdminError> {
    if [Method::GET, Method::HEAD].contains(&parts.method) {
        return Ok(None);
    }
    let mut found = None;
    for pair in parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "reason" || found.is_some() {
            return Err(AdminError::invalid("reason", "is the only parameter of the query, once"));
        }
        let text = decode(value.as_bytes()).unwrap_or_default();
        found = Some(text.parse().map_err(|bad| AdminError::invalid("reason", bad))?);
    }
    Ok(found)
}

/// `If-Match` (RFC 9110 section 13.1.1): `*`, or the entity tags that the caller has seen. A weak one never matches.
fn expected(headers: &HeaderMap) -> Result<Expected, AdminError> {
    let malformed = || AdminError::invalid("If-Match", "must be `*` or entity tags as the server gave them");
    let mut revs = Vec::new();
    for header in headers.get_all(IF_MATCH) {
        for tag in header.to_str().map_err(|_| malformed())?.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(Expected::Any);
            }
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let text = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(malformed)?;
            let strong = opaque.len() == tag.len();
            revs.extend(text.parse().ok().filter(|_| strong).map(Rev::from_stored));
        }
    }
    Ok(if headers.contains_key(IF_MATCH) { Expected::OneOf(revs) } else { Expected::Any })
}

/// The entity tag of a version.
pub(super) fn etag(rev: Rev) -> String {
    format!("\"{}\"", rev.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Expected, AdminError> {
        let all = values.iter().map(|value| (IF_MATCH, http::HeaderValue::from_static(value)));
        expected(&all.collect())
    }

    #[test]
    fn if_match_is_read_as_rfc_9110_says() {
        let revs = |numbers: &[i64]| Expected::OneOf(numbers.iter().copied().map(Rev::from_stored).collect());
        assert_eq!(read(&[]).unwrap(), Expected::Any);
        assert_eq!(read(&["*"]).unwrap(), Expected::Any);
        assert_eq!(read(&["\"3\""]).unwrap(), revs(&[3]));
        assert_eq!(read(&["\"3\", \"4\"", "\"5\""]).unwrap(), revs(&[3, 4, 5]));
        assert_eq!(read(&["W/\"3\", \"other\""]).unwrap(), revs(&[]), "they match nothing");
        assert!(read(&["3"]).is_err() && read(&[""]).is_err());
        assert_eq!(etag(Rev::from_stored(7)), "\"7\"");
    }
}
