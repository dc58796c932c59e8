//! `POST /oauth2/introspect` (RFC 7662), by the credential of an api and for its audience only. What is not active is
//! answered with nothing but that (section 2.2). No CORS: it is not for pages.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use remint_core::claims::AccessClaims;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::http::body::Form;
use crate::http::caller::Caller;
use crate::http::credentials::Credentials;
use crate::http::error::OAuthError;
use crate::introspect::introspect;

/// `token` in, what it says out. `token_type_hint` may be given and is not needed: a token shows what it is.
pub async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let api = Credentials::api(&app, &caller, &headers).await?;
    let claims = introspect(&app, &api, form.required("token")?).await?;
    let body = claims.map_or_else(|| json!({ "active": false }), |claims| Value::Object(active(claims)));
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// The members of section 2.2, and the token's own beside them. No claim of a token is named like one of the answer's.
fn active(claims: AccessClaims) -> Map<String, Value> {
    let own = json!({
        "active": true,
        "token_type": "Bearer",
        "iss": claims.iss,
        "sub": claims.sub,
        "aud": claims.aud.first(),
        "client_id": claims.client_id,
        "sid": claims.session.as_ref().map(|session| &session.sid),
        "cv": claims.session.as_ref().map(|session| session.cv),
        "pv": claims.pv,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "scope": claims.scope,
        "auth_time": claims.auth_time,
        "amr": claims.session.as_ref().map(|_| &claims.amr),
    });
    let mut members = claims.rest;
    if let Value::Object(own) = own {
        members.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
    }
    members
}
