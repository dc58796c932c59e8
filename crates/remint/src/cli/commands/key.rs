//! `remint key`.

use http::Method;
use serde_json::json;

use crate::cli::ask::path;
use crate::cli::{CliError, Setup};

/// Keys.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Key {
    /// List the keys
    List,
    /// Make the next key, which signs when every verifier can know it
    Rotate {
        /// What it is for
        #[arg(value_parser = ["ES256", "EdDSA", "RS256", "PS256", "refresh"])]
        purpose: String,
        /// Let it sign at once: some verifiers may refuse its tokens for a few minutes
        #[arg(long)]
        at_once: bool,
    },
    /// Withdraw a key that somebody else may know: nothing that it signed is believed
    Withdraw {
        /// Its kid
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Say that it is meant
        #[arg(long, required = true)]
        yes: bool,
    },
}

pub(in crate::cli) async fn run(setup: &Setup, command: Key) -> Result<(), CliError> {
    match command {
        Key::List => setup.ask(Method::GET, "/admin/api/keys", None).await,
        Key::Rotate { purpose, at_once } => {
            let body = json!({ "purpose": purpose, "at_once": at_once });
            setup.ask(Method::POST, "/admin/api/keys", Some(body)).await
        }
        Key::Withdraw { kid, .. } => setup.ask(Method::DELETE, &path("keys", &kid, ""), None).await,
    }
}
