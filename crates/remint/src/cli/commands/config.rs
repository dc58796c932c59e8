//! `remint config`: what the settings are, and the running server told to look at them again.

use http::Method;
use serde_json::{Value, json};

use crate::cli::{CliError, Setup};
use crate::config::{Config, Shown, show};

/// The configuration.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Configuration {
    /// Print the settings, and check them; secrets are never shown
    Show {
        /// All of them, with their defaults
        #[arg(long)]
        effective: bool,
        /// Where each came from
        #[arg(long)]
        sources: bool,
    },
    /// Tell the running server to look at its settings again (as SIGHUP does)
    Reload,
}

pub(in crate::cli) async fn run(setup: &Setup, command: Configuration) -> Result<(), CliError> {
    match command {
        Configuration::Reload => {
            let reloaded = setup.server().await?.ask(Method::POST, "/admin/api/config/reload", None).await;
            setup.print(&reloaded?)
        }
        Configuration::Show { effective, sources } => {
            let all = show(&setup.flags, &setup.environment, effective)?;
            let view = |Shown { setting, value, source }: Shown| -> Value {
                let mut view = json!({ "setting": setting, "value": value });
                if sources {
                    view["source"] = json!(source);
                }
                view
            };
            setup.print(&json!({ "settings": all.into_iter().map(view).collect::<Vec<_>>() }))?;
            Ok(Config::load(&setup.flags, &setup.environment).map(drop)?)
        }
    }
}
