//! What anybody may know: the keys (RFC 7517) and the metadata (RFC 8414). Readable by every page, cacheable.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::app::App;

/// `GET /oauth2/jwks`: cacheable for as long as a next key is published before it signs. Whoever looks for the key of a
/// token that another node has just signed finds it. Where the store does not answer, no node has made one.
pub async fn jwks(State(app): State<App>) -> Response {
    if let Err(error) = app.keyring.look().await {
        tracing::warn!(%error, "the key set is answered as it was known");
    }
    let max_age = format!("public, max-age={}", app.settings.keys.jwks_max_age.as_secs());
    let headers = [
        (CACHE_CONTROL, max_age.as_str()),
        (CONTENT_TYPE, "application/jwk-set+json"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, app.keyring.jwks_document().to_string()).into_response()
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414 section 3).
pub async fn metadata(State(app): State<App>) -> Response {
    let headers = [(CACHE_CONTROL, "public, max-age=300"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, Json(document(app.settings.issuer.as_str()))).into_response()
}

/// There is no authorization endpoint yet, hence no response type; the field itself is required (RFC 8414 section 2).
fn document(issuer: &str) -> Value {
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/oauth2/jwks"),
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": format!("{issuer}/oauth2/revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": format!("{issuer}/oauth2/introspect"),
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        "grant_types_supported": ["refresh_token", "client_credentials"],
        "response_types_supported": [],
        "session_endpoint": format!("{issuer}/session"),
        "feed_endpoint": format!("{issuer}/feed"),
    })
}
