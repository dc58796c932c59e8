//! `remint api`.

use http::Method;
use serde_json::json;

use crate::cli::ask::path;
use crate::cli::{CliError, Setup};
use crate::config::duration;

/// Apis: the resource servers.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Api {
    /// Make an api; its secret is printed once
    Create {
        /// The client_id of its credential
        id: String,
        /// Its name in the `aud` of tokens [default: the id]
        #[arg(long)]
        audience: Option<String>,
        /// A scope that it knows
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// How its tokens are signed
        #[arg(long, default_value = "ES256", value_parser = ["ES256", "EdDSA", "RS256", "PS256"])]
        algorithm: String,
        /// The longest life of a token for it [default: 7d]
        #[arg(long, value_name = "TIME")]
        max_life: Option<String>,
    },
    /// List apis
    List,
    /// Show an api
    Show {
        /// The client_id of its credential
        id: String,
    },
    /// Make a new secret, printed once; the old one is refused from now on
    RotateSecret {
        /// The client_id of its credential
        id: String,
    },
}

pub(in crate::cli) async fn run(setup: &Setup, command: Api) -> Result<(), CliError> {
    let (method, path, body) = match command {
        Api::Create { id, audience, scopes, algorithm, max_life } => {
            let audience = audience.unwrap_or_else(|| id.clone());
            let mut body =
                json!({ "id": id, "audience": audience, "scopes": scopes.join(" "), "algorithm": algorithm });
            if let Some(text) = max_life {
                let life = duration(&text)
                    .ok_or_else(|| CliError::usage("--max-life must be a length of time like 30s, 5m, 12h or 90d"))?;
                body["max_life"] = json!(life.as_secs());
            }
            (Method::POST, "/admin/api/apis".to_owned(), Some(body))
        }
        Api::List => (Method::GET, "/admin/api/apis".to_owned(), None),
        Api::Show { id } => (Method::GET, path("apis", &id, ""), None),
        Api::RotateSecret { id } => (Method::POST, path("apis", &id, "/secret"), None),
    };
    setup.ask(method, &path, body).await
}
