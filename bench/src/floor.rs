//! The floor: the least that a server could do that answers a refresh. The same listener, axum, one form read, one
//! signature over claims of the same size, one JSON answer of the same size. No store, no rules, no log. Where nothing
//! is signed: the same bytes, whoever asks.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use remint::entropy::Entropy;
use remint::listen::{Drain, Limits, Listener, Server};
use remint_core::jwk::{Algorithm, SigningKey};
use remint_core::jws::{self, Typ};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Fallible;

/// What the handler has at hand.
struct Desk {
    key: SigningKey,
    claims: String,
    entropy: Entropy,
    text: String,
}

#[derive(Deserialize)]
struct Asked {
    grant_type: String,
    client_id: String,
    #[serde(default)]
    refresh_token: String,
}

#[derive(Serialize)]
struct Answer {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: String,
    scope: &'static str,
}

/// Signs these claims, or answers this text, for whoever asks, until the process ends.
pub(crate) async fn serve(port: u16, claims: String, text: String) -> Fallible<()> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, Entropy::system().rng())
        .map_err(|_| "no key could be made")?;
    let key = SigningKey::from_pkcs8(Algorithm::Es256, "floor".parse()?, document.as_ref())?;
    let desk = Arc::new(Desk { key, claims, entropy: Entropy::system(), text });
    let router =
        Router::new().route("/oauth2/token", post(answer)).route("/text", get(written).post(form)).with_state(desk);
    let listener = Listener::Tcp(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?);
    Server { router, limits: Limits::default(), drain: Drain::default() }.run(listener).await;
    Ok(())
}

async fn answer(State(desk): State<Arc<Desk>>, Form(asked): Form<Asked>) -> Result<Json<Answer>, String> {
    if asked.grant_type.is_empty() || asked.client_id.is_empty() {
        return Err("not a request for a token".to_owned());
    }
    let signed = jws::compact(Typ::AccessToken, desk.claims.as_bytes(), &desk.key, desk.entropy.rng());
    Ok(Json(Answer {
        access_token: signed.map_err(|error| error.to_string())?,
        token_type: "Bearer",
        expires_in: 300,
        refresh_token: asked.refresh_token,
        scope: "read write",
    }))
}

async fn written(State(desk): State<Arc<Desk>>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/json")], desk.text.clone())
}

async fn form(desk: State<Arc<Desk>>, Form(asked): Form<HashMap<String, String>>) -> Result<impl IntoResponse, String> {
    if asked.is_empty() { Err("nothing was asked".to_owned()) } else { Ok(written(desk).await) }
}
