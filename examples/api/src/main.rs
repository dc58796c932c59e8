//! A small API guarded by `remint-guard`: `GET /api/me` answers the claims of the caller. Configured by environment;
//! what is wrong with the configuration is said in one line, with exit code 2.

mod settings;

use std::io::Write as _;
use std::process::ExitCode;

use axum::routing::get;
use axum::{Json, Router};
use remint_guard::{Claims, RemintLayer, Verifier, cors};
use serde_json::Value;
use settings::Settings;

/// Wrong configuration, as against a failure while running.
const MISCONFIGURED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("info").init();
    let app = Settings::from_environment().and_then(|settings| Ok((app(&settings)?, settings)));
    let (app, settings) = match app {
        Ok(both) => both,
        Err(wrong) => {
            let _ = writeln!(std::io::stderr(), "example-api: {wrong}");
            return ExitCode::from(MISCONFIGURED);
        }
    };
    match serve(app, settings.bind).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            let _ = writeln!(std::io::stderr(), "example-api: cannot listen on {}: {cause}", settings.bind);
            ExitCode::FAILURE
        }
    }
}

/// The whole API.
fn app(settings: &Settings) -> Result<Router, String> {
    let origins = settings.origins.iter().map(String::as_str);
    let pages = cors(origins).map_err(|wrong| format!("EXAMPLE_ORIGINS: {wrong}"))?;
    // Last: it begins to fetch keys at once.
    let verifier: Verifier = settings.verifier().build().map_err(|wrong| wrong.to_string())?;
    Ok(Router::new()
        .route("/api/me", get(|Claims(claims): Claims<Value>| async move { Json(claims) }))
        .layer(RemintLayer::new(verifier).rolling())
        .layer(pages))
}

/// Says where it listens, on standard output, once it does.
async fn serve(app: Router, bind: std::net::SocketAddr) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(bind).await?;
    let _ = writeln!(std::io::stdout(), "http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await
}

/// Until the process is told to stop.
async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
