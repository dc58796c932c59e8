//! The smallest API behind `remint dev`. Start it where `remint-dev` lies: cargo run --example axum

use axum::{Json, Router, routing::get};
use remint_guard::{Claims, Feed, RemintLayer, Verifier, cors};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let facts: Value = serde_json::from_slice(&std::fs::read("remint-dev/dev.json")?)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api = &facts["apis"][0];
    let verifier = Verifier::builder(text(&facts["issuer"]))
        .audience(text(&api["audience"]))
        .feed(Feed::new(text(&api["client_id"]), text(&api["client_secret"])))
        .build()?;
    let app = Router::new()
        .route("/me", get(|Claims(me): Claims<Value>| async move { Json(me) }))
        .layer(RemintLayer::new(verifier).rolling())
        .layer(cors(["http://localhost:3000", "http://localhost:4200", "http://localhost:5173"])?); // pages that may call
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
