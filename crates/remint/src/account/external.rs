//! What a backend that keeps its own users calls one of them. Stored as an identifier of a form that nobody can type:
//! a person never logs in by it, and it never meets a user name.

use std::fmt;
use std::str::FromStr;

/// An external id: 1 to 200 bytes without blanks and control characters, compared byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalId(Box<str>);

/// The text is no external id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an external id has 1 to 200 bytes, and no blanks or control characters")]
pub struct BadExternalId;

/// No canonical identifier holds a blank.
const STORED: &str = "external ";
/// How a path of the admin API names a user by external id.
const IN_PATH: &str = "external:";

impl ExternalId {
    /// The longest one, in bytes.
    pub const MAX_BYTES: usize = 200;

    /// The text, as the backend gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identifier that it is stored as.
    pub fn identifier(&self) -> String {
        format!("{STORED}{}", self.0)
    }

    /// The external id in an identifier, if it is one.
    pub fn of_identifier(text: &str) -> Option<&str> {
        text.strip_prefix(STORED)
    }

    /// The external id that a path names with `external:`, if it does.
    pub fn of_path(text: &str) -> Option<Result<Self, BadExternalId>> {
        text.strip_prefix(IN_PATH).map(str::parse)
    }
}

impl FromStr for ExternalId {
    type Err = BadExternalId;

    fn from_str(text: &str) -> Result<Self, BadExternalId> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if fits && plain { Ok(Self(text.into())) } else { Err(BadExternalId) }
    }
}

impl fmt::Debug for ExternalId {
    /// It is about a person: logs name users by their id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::identifier::CanonicalIdentifier;

    #[test]
    fn an_external_id_is_kept_as_it_is_and_no_person_can_type_it() {
        let id: ExternalId = "Kunde-4711".parse().unwrap();
        let stored = id.identifier();
        assert_eq!(ExternalId::of_identifier(&stored), Some("Kunde-4711"));
        assert!(stored.parse::<CanonicalIdentifier>().is_err());
        assert_eq!(ExternalId::of_path("external:Kunde-4711"), Some(Ok(id)));
        assert_eq!(ExternalId::of_path("ada"), None);
        for wrong in ["", "a b", "a\n", "\u{a0}", &"x".repeat(201)] {
            assert_eq!(wrong.parse::<ExternalId>(), Err(BadExternalId), "{wrong:?}");
        }
    }
}
