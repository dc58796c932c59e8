//! `remint user`.

use http::Method;
use serde_json::{Value, json};

use super::attribute::Declaration;
use super::{pairs, query};
use crate::cli::ask::path;
use crate::cli::password::PasswordFrom;
use crate::cli::{CliError, Setup};

/// Users and their attributes.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum User {
    /// Make a user
    Create {
        /// User names and e-mail addresses by which the person logs in
        #[arg(required_unless_present = "external_id")]
        identifiers: Vec<String>,
        /// What a backend that keeps its own users calls the person
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
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
        #[arg(allow_hyphen_values = true)]
        user: String,
    },
    /// List users
    List {
        /// Those of this status only
        #[arg(long, value_parser = ["active", "disabled"])]
        status: Option<String>,
        /// Those behind this cursor, the `next` of the page before
        #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
        after: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Find users by the beginning of a user name or an e-mail address
    Search {
        /// How it begins
        beginning: String,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Change attributes: tokens that show the old ones are stale at once
    Patch {
        /// The id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
        /// Attributes; `NAME=null` removes one
        #[arg(required = true, value_name = "NAME=VALUE")]
        attributes: Vec<String>,
    },
    /// Let a user log in no more, and end every session
    Disable {
        /// The id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
    },
    /// Let a user log in again
    Enable {
        /// The id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
    },
    /// Empty the record for good, and end every session
    Delete {
        /// The id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
        /// Say that it is meant
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Set the password, and end every session
    SetPassword {
        /// The id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Take the phone number off an account, and with it the second factor: the phone was lost
    RemovePhone {
        /// The id or an identifier
        user: String,
    },
    /// End every session of a user
    EndSessions {
        /// The id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
    },
    /// Forget failed log-ins, so that the user can try again at once
    Unlock {
        /// The id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
    },
    /// List the attributes that are declared; the same as `remint attribute list`
    Attributes,
    /// Declare an attribute; the same as `remint attribute declare`
    Declare(Declaration),
}

pub(in crate::cli) async fn run(setup: &Setup, command: User) -> Result<(), CliError> {
    let post = |user: &str, what: &str| (Method::POST, path("users", user, what), None);
    let (method, path, body) = match command {
        User::Create { identifiers, external_id, attributes, password, no_password } => {
            let mut body = json!({ "identifiers": identifiers, "attributes": pairs(&attributes)? });
            if let Some(id) = external_id {
                body["external_id"] = json!(id);
            }
            if !no_password {
                body["password"] = json!(password.read()?.as_str());
            }
            (Method::POST, "/admin/api/users".to_owned(), Some(body))
        }
        User::Show { user } => (Method::GET, path("users", &user, ""), None),
        User::List { status, after, limit } => {
            let query = query([("status", status), ("limit", Some(limit.to_string())), ("cursor", after)]);
            (Method::GET, format!("/admin/api/users?{query}"), None)
        }
        User::Search { beginning, limit } => {
            let query = query([("identifier", Some(beginning)), ("limit", Some(limit.to_string()))]);
            (Method::GET, format!("/admin/api/users?{query}"), None)
        }
        User::Unlock { user } => post(&user, "/unlock"),
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
        User::RemovePhone { user } => (Method::DELETE, path("users", &user, "/phone"), None),
        User::EndSessions { user } => (Method::DELETE, path("users", &user, "/sessions"), None),
        User::Attributes => (Method::GET, "/admin/api/attributes".to_owned(), None),
        User::Declare(declaration) => declaration.request(),
    };
    setup.ask(method, &path, body).await
}
