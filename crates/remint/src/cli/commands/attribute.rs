//! `remint attribute`: what a user record may hold.

use http::Method;
use serde_json::{Value, json};

use crate::cli::ask::path;
use crate::cli::{CliError, Setup};

/// Attributes: what a user record may hold, and who may write it.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Attribute {
    /// List the attributes that are declared
    List,
    /// Show the declaration of an attribute
    Show {
        /// Its name
        name: String,
    },
    /// Declare an attribute, or change its limit and who may write it
    Declare(Declaration),
}

/// A declaration.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Declaration {
    /// Its name
    name: String,
    /// Its type
    #[arg(long = "type", default_value = "string", value_parser = ["string", "boolean", "integer", "string_list"])]
    kind: String,
    /// Who may write it
    #[arg(long, default_value = "admin", value_parser = ["admin", "user"])]
    writable_by: String,
    /// The longest value, in bytes of its JSON text
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_bytes: u32,
    /// The user must have logged in within five minutes to write it
    #[arg(long)]
    recent_login: bool,
}

impl Declaration {
    /// The request that declares it.
    pub(super) fn request(&self) -> (Method, String, Option<Value>) {
        let body = json!({
            "name": self.name,
            "type": self.kind,
            "writable_by": self.writable_by,
            "max_bytes": self.max_bytes,
            "recent_login": self.recent_login,
        });
        (Method::POST, "/admin/api/attributes".to_owned(), Some(body))
    }
}

pub(in crate::cli) async fn run(setup: &Setup, command: Attribute) -> Result<(), CliError> {
    let (method, path, body) = match command {
        Attribute::List => (Method::GET, "/admin/api/attributes".to_owned(), None),
        Attribute::Show { name } => (Method::GET, path("attributes", &name, ""), None),
        Attribute::Declare(declaration) => declaration.request(),
    };
    setup.ask(method, &path, body).await
}
