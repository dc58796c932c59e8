//! `remint api`.

use http::Method;
use serde_json::{Map, Value, json};

use super::{Paging, query};
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
    List(Paging),
    /// Change settings
    Update {
        /// The client_id of its credential
        id: String,
        /// A scope that it knows; all of them are given anew
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// How its tokens are signed
        #[arg(long, value_parser = ["ES256", "EdDSA", "RS256", "PS256"])]
        algorithm: Option<String>,
        /// The longest life of a token for it
        #[arg(long, value_name = "TIME")]
        max_life: Option<String>,
    },
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
                body["max_life"] = seconds(&text)?;
            }
            (Method::POST, "/admin/api/apis".to_owned(), Some(body))
        }
        Api::List(page) => (Method::GET, format!("/admin/api/apis?{}", query(page.parameters())), None),
        Api::Update { id, scopes, algorithm, max_life } => {
            let scopes = (!scopes.is_empty()).then(|| json!(scopes.join(" ")));
            let max_life = max_life.map(|text| seconds(&text)).transpose()?;
            let all = [("scopes", scopes), ("algorithm", algorithm.map(Value::from)), ("max_life", max_life)];
            let body: Map<_, _> = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            if body.is_empty() {
                return Err(CliError::usage("nothing to change: give at least one setting"));
            }
            (Method::PATCH, path("apis", &id, ""), Some(Value::Object(body)))
        }
        Api::Show { id } => (Method::GET, path("apis", &id, ""), None),
        Api::RotateSecret { id } => (Method::POST, path("apis", &id, "/secret"), None),
    };
    setup.ask(method, &path, body).await
}

fn seconds(text: &str) -> Result<Value, CliError> {
    let life = duration(text);
    let life = life.ok_or_else(|| CliError::usage("--max-life must be a length of time like 30s, 5m, 12h or 90d"))?;
    Ok(json!(life.as_secs()))
}
