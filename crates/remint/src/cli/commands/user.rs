//! `remint user`.

use http::Method;
use serde_json::{Map, Value, json};

use super::pairs;
use crate::cli::ask::path;
use crate::cli::password::PasswordFrom;
use crate::cli::{CliError, Setup};

/// Users and their attributes.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum User {
    /// Make a user
    Create {
        /// User names and e-mail addresses by which the person logs in
        #[arg(required = true)]
        identifiers: Vec<String>,
        /// An attribute; may be repeated
        #[arg(long = "attribute", value_name = "NAME=VALUE")]
        attributes: Vec<String>,
        #[command(flatten)]
        password: PasswordFrom,
        /// Without a password: nobody can log in by one
        #[arg(long, conflicts_with = "password_file")]
        no_password: bool,
    },
    /// Show a user
    Show {
        /// The id or an identifier
        user: String,
    },
    /// List users
    List {
        /// Those behind this id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u16,
    },
    /// Change attributes: tokens that show the old ones are stale at once
    Patch {
        /// The id or an identifier
        user: String,
        /// Attributes; `NAME=null` removes one
        #[arg(required = true, value_name = "NAME=VALUE")]
        attributes: Vec<String>,
    },
    /// Let a user log in no more, and end every session
    Disable {
        /// The id or an identifier
        user: String,
    },
    /// Let a user log in again
    Enable {
        /// The id or an identifier
        user: String,
    },
    /// Empty the record for good, and end every session
    Delete {
        /// The id or an identifier
        user: String,
        /// Say that it is meant
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Set the password, and end every session
    SetPassword {
        /// The id or an identifier
        user: String,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// End every session of a user
    EndSessions {
        /// The id or an identifier
        user: String,
    },
    /// List the attributes that are declared
    Attributes,
    /// Declare an attribute, or change its limit and who may write it
    Declare {
        /// Its name
        name: String,
        /// Its type
        #[arg(long = "type", default_value = "string", value_parser = ["string", "boolean", "integer", "string_list"])]
        kind: String,
        /// Who may write it
        #[arg(long, default_value = "admin", value_parser = ["admin", "user"])]
        writable_by: String,
        /// The longest value, in bytes of its JSON text
        #[arg(long, default_value_t = 256)]
        max_bytes: u32,
        /// The user must have logged in within five minutes to write it
        #[arg(long)]
        recent_login: bool,
    },
}

pub(in crate::cli) async fn run(setup: &Setup, command: User) -> Result<(), CliError> {
    let post = |user: &str, what: &str| (Method::POST, path("users", user, what), None);
    let (method, path, body) = match command {
        User::Create { identifiers, attributes, password, no_password } => {
            return create(setup, &identifiers, pairs(&attributes)?, &password, no_password).await;
        }
        User::Show { user } => (Method::GET, path("users", &user, ""), None),
        User::List { after, limit } => {
            let after = after.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            (Method::GET, format!("/admin/api/users?limit={limit}{after}"), None)
        }
        User::Patch { user, attributes } => {
            (Method::PATCH, path("users", &user, ""), Some(Value::Object(pairs(&attributes)?)))
        }
        User::Disable { user } => post(&user, "/disable"),
        User::Enable { user } => post(&user, "/enable"),
        User::Delete { user, .. } => (Method::DELETE, path("users", &user, ""), None),
        User::SetPassword { user, password } => {
            let body = json!({ "password": password.read()?.as_str() });
            (Method::POST, path("users", &user, "/password"), Some(body))
        }
        User::EndSessions { user } => (Method::DELETE, path("users", &user, "/sessions"), None),
        User::Attributes => (Method::GET, "/admin/api/attributes".to_owned(), None),
        User::Declare { name, kind, writable_by, max_bytes, recent_login } => {
            let body = json!({
                "name": name,
                "type": kind,
                "writable_by": writable_by,
                "max_bytes": max_bytes,
                "recent_login": recent_login,
            });
            (Method::POST, "/admin/api/attributes".to_owned(), Some(body))
        }
    };
    setup.ask(method, &path, body).await
}

async fn create(
    setup: &Setup,
    identifiers: &[String],
    attributes: Map<String, Value>,
    password: &PasswordFrom,
    no_password: bool,
) -> Result<(), CliError> {
    let mut body = json!({ "identifiers": identifiers, "attributes": attributes });
    if !no_password {
        body["password"] = json!(password.read()?.as_str());
    }
    setup.ask(Method::POST, "/admin/api/users", Some(body)).await
}
