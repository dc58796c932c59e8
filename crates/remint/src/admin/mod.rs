//! What an administrator can do: users, clients, apis, attributes, sessions, keys, senders. Each operation reads, decides by the
//! rules of `remint_core`, commits with what the feed must tell and what the audit log keeps, and decides again where
//! somebody else was first. Never asks who the caller is, nor whether they may come in: the door says it in [`By`].

use remint_core::administration::Lacking;
use remint_core::rev::Rev;
use serde_json::{Map, Value, json};

pub mod apis;
pub mod attributes;
pub mod audit;
mod by;
pub mod checks;
pub mod clients;
pub mod keys;
pub mod page;
pub mod preview;
pub mod senders;
pub mod sessions;
pub mod users;

pub use self::by::{By, Expected};
use crate::failure::Failure;

/// One thing as it is now, with the version that it is at.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What is answered of it.
    pub view: Value,
    /// Its version: the `ETag`.
    pub rev: Rev,
}

/// Why an administrator's wish was not done. Each says what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdminError {
    /// There is none of that name.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// By which name.
        name: String,
    },
    /// The name is taken.
    #[error("the {what} `{name}` exists already")]
    Exists {
        /// What was to be made.
        what: &'static str,
        /// By which name.
        name: String,
    },
    /// A value that cannot be.
    #[error("{}{why}", field.as_ref().map(|field| format!("`{field}`: ")).unwrap_or_default())]
    Invalid {
        /// The member of the request that is wrong, where it is one.
        field: Option<String>,
        /// What is wrong, and what to do.
        why: String,
    },
    /// It is not at the version that the caller expects (RFC 9110 section 13.1.1).
    #[error("it was changed since you read it: read it again, and decide anew")]
    Moved,
    /// The caller lacks what they would grant.
    #[error(transparent)]
    Lacking(Lacking),
    /// The server could not.
    #[error(transparent)]
    Failed(Failure),
}

impl<F: Into<Failure>> From<F> for AdminError {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

impl AdminError {
    fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound { what, name: shown(&name.to_string()) }
    }

    fn exists(what: &'static str, name: impl ToString) -> Self {
        Self::Exists { what, name: shown(&name.to_string()) }
    }

    /// A wrong value of a member.
    pub fn invalid(field: &str, why: impl ToString) -> Self {
        Self::Invalid { field: Some(shown(field)), why: why.to_string() }
    }

    fn wrong(why: impl ToString) -> Self {
        Self::Invalid { field: None, why: why.to_string() }
    }
}

/// A text of the caller's as it may stand in a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(128).collect()
}

/// `stored` with the members of `input` in the place of its own (RFC 7396, one level): `null` takes the default.
fn merged(mut stored: Map<String, Value>, input: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in input {
        if value.is_null() {
            stored.remove(&name);
        } else {
            stored.insert(name, value);
        }
    }
    stored
}

/// Members that only the server writes.
fn refuse_members(input: &Map<String, Value>, names: &[&str]) -> Result<(), AdminError> {
    match names.iter().find(|name| input.contains_key(**name)) {
        Some(name) => Err(AdminError::invalid(name, "is kept by the server: leave it out")),
        None => Ok(()),
    }
}

/// The members of a document of ours.
pub(crate) fn members(document: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(document) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(), // our documents are structs with text keys: they have members
    }
}

/// Reads a document of ours; the error names the member.
pub(crate) fn document<T: serde::de::DeserializeOwned>(members: Map<String, Value>) -> Result<T, AdminError> {
    serde_json::from_value(Value::Object(members.clone())).map_err(|error| {
        let alone = |name: &&String| {
            let without: Map<_, _> = members.iter().filter(|(other, _)| other != name).map(clone).collect();
            serde_json::from_value::<T>(Value::Object(without)).map_err(|other| other.to_string()).err()
                != Some(error.to_string())
        };
        match members.keys().find(alone) {
            Some(field) => AdminError::invalid(field, &error),
            None => AdminError::wrong(&error),
        }
    })
}

fn clone((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// A secret for its owner, shown this once.
fn with_secret(mut seen: Seen, secret: Option<&remint_core::secret::ClientSecret>) -> Seen {
    if let (Value::Object(members), Some(secret)) = (&mut seen.view, secret) {
        members.insert("client_secret".into(), json!(secret.reveal()));
    }
    seen
}

/// The names of the members in which two documents differ.
fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}
