//! `/admin/api/openapi.json`.
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;

/// The document.
pub async fn document(State(_app): State<App>) -> Json<Value> {
    Json(json!({}))
}
