//! Attributes of the user record are declared: name, type, size, and who may write them. An unknown or unwritable one
//! is refused by name; nothing is dropped in silence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::AttributeName;
use crate::mapping::Mapping;
use crate::rev::Rev;
use crate::user::Attributes;

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeType {
    /// A JSON string.
    String,
    /// A JSON boolean.
    Boolean,
    /// A JSON number without fraction, within ±(2^53 - 1), so that every reader of the token sees the same.
    Integer,
    /// A JSON array of strings.
    StringList,
}

/// Who may write an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WritableBy {
    /// Administrators only.
    #[default]
    Admin,
    /// The user too, about themselves.
    User,
}

/// Who is writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// An administrator.
    Admin,
    /// The user.
    User,
}

/// The declaration of one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Its name.
    pub name: AttributeName,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: AttributeType,
    /// The longest value, in bytes of its JSON text.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: usize,
    /// Who may write it.
    #[serde(default)]
    pub writable_by: WritableBy,
    /// Whether the user must have logged in recently to write it ([`crate::session::RECENT_LOGIN`]).
    #[serde(default)]
    pub recent_login: bool,
    /// The version of the row.
    #[serde(skip)]
    pub rev: Rev,
}

impl Declaration {
    /// Whether a person may write by this what they may not write by `before`.
    pub fn lets_in_more_than(&self, before: &Self) -> bool {
        let by_themselves = self.writable_by == WritableBy::User;
        by_themselves && (before.writable_by == WritableBy::Admin || (before.recent_login && !self.recent_login))
    }
}

const fn default_max_bytes() -> usize {
    256
}

/// An attribute that was refused, by name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAttribute {
    /// It is not declared.
    #[error("the attribute `{name}` is not declared")]
    Unknown {
        /// As it was sent, cut to 64 bytes.
        name: String,
    },
    /// The caller may not write it.
    #[error("the attribute `{name}` may be written by an administrator only")]
    Unwritable {
        /// Which one.
        name: String,
    },
    /// It is a field that only a proof writes.
    #[error("`{name}` is no attribute: it is written by verifying a phone number")]
    Proved {
        /// Which one.
        name: String,
    },
    /// The value is not of its type.
    #[error("the attribute `{name}` must be {expected}")]
    WrongType {
        /// Which one.
        name: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The value is too long.
    #[error("the attribute `{name}` must be at most {max_bytes} bytes")]
    TooLong {
        /// Which one.
        name: String,
        /// Its limit.
        max_bytes: usize,
    },
}

impl BadAttribute {
    /// Which attribute was refused.
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name }
            | Self::Unwritable { name }
            | Self::Proved { name }
            | Self::WrongType { name, .. }
            | Self::TooLong { name, .. } => name,
        }
    }
}

/// Fields of the user record beside its attributes: a mapping can read them, and only the proof that they stand for can
/// write them, whoever asks.
pub const PROVED_FIELDS: [&str; 2] = [PHONE_NUMBER, PHONE_NUMBER_VERIFIED];
/// The verified number (OpenID Connect Core section 5.1).
pub const PHONE_NUMBER: &str = "phone_number";
/// That it is verified (OpenID Connect Core section 5.1).
pub const PHONE_NUMBER_VERIFIED: &str = "phone_number_verified";

/// Whether a name is of a field that is no attribute, in any spelling: what looks like a proof must be one.
pub fn is_proved(name: &AttributeName) -> bool {
    PROVED_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name.as_str()))
}

/// Whether a mapping can read a field of this name although nobody declares it.
pub fn is_field(name: &AttributeName) -> bool {
    PROVED_FIELDS.contains(&name.as_str())
}

/// All declarations, by name.
#[derive(Clone, Debug, Default)]
pub struct Declarations(BTreeMap<AttributeName, Declaration>);

impl FromIterator<Declaration> for Declarations {
    fn from_iter<I: IntoIterator<Item = Declaration>>(all: I) -> Self {
        Self(all.into_iter().map(|declaration| (declaration.name.clone(), declaration)).collect())
    }
}

impl Declarations {
    /// The declaration of that name.
    pub fn named(&self, name: &AttributeName) -> Option<&Declaration> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Declaration> {
        self.0.values()
    }

    /// The first source of a mapping that is neither declared nor a field of every record: no token can show it.
    pub fn undeclared<'a>(&self, mapping: &'a Mapping) -> Option<&'a AttributeName> {
        mapping.sources().find(|name| !is_field(name) && self.named(name).is_none())
    }

    /// Whether the patch names an attribute that its user may write only after a recent log-in.
    pub fn demand_recent_login(&self, patch: &Map<String, Value>) -> bool {
        self.0.values().any(|declaration| declaration.recent_login && patch.contains_key(declaration.name.as_str()))
    }

    /// The attributes with `patch` applied; `null` removes. All of the patch is good, or nothing of it counts.
    pub fn apply(
        &self,
        attributes: &Attributes,
        patch: &Map<String, Value>,
        writer: Writer,
    ) -> Result<Attributes, BadAttribute> {
        let mut after = attributes.clone();
        for (name, value) in patch {
            let declaration = self.writable(name, writer)?;
            if value.is_null() {
                after.remove(&declaration.name);
            } else {
                declaration.check(value)?;
                after.insert(declaration.name.clone(), value.clone());
            }
        }
        Ok(after)
    }

    fn writable(&self, name: &str, writer: Writer) -> Result<&Declaration, BadAttribute> {
        let unknown = || BadAttribute::Unknown { name: name[..name.floor_char_boundary(64)].to_owned() };
        let parsed: AttributeName = name.parse().map_err(|_| unknown())?;
        if is_proved(&parsed) {
            return Err(BadAttribute::Proved { name: name.to_owned() });
        }
        let declaration = self.0.get(&parsed).ok_or_else(unknown)?;
        match (writer, declaration.writable_by) {
            (Writer::Admin, _) | (Writer::User, WritableBy::User) => Ok(declaration),
            (Writer::User, WritableBy::Admin) => Err(BadAttribute::Unwritable { name: name.to_owned() }),
        }
    }
}

impl AttributeType {
    /// The shortest JSON text of a value: what `max_bytes` must leave room for.
    pub const fn least_bytes(self) -> usize {
        match self {
            Self::String | Self::StringList => 2, // "" and []
            Self::Integer => 1,
            Self::Boolean => 5, // false
        }
    }
}

const SAFE_INTEGER: i64 = (1 << 53) - 1;

impl Declaration {
    fn check(&self, value: &Value) -> Result<(), BadAttribute> {
        let (fits, expected) = match self.kind {
            AttributeType::String => (value.is_string(), "a string"),
            AttributeType::Boolean => (value.is_boolean(), "true or false"),
            AttributeType::Integer => {
                let fits = value.as_i64().is_some_and(|n| (-SAFE_INTEGER..=SAFE_INTEGER).contains(&n));
                (fits, "a whole number within ±(2^53 - 1)")
            }
            AttributeType::StringList => {
                (value.as_array().is_some_and(|all| all.iter().all(Value::is_string)), "a list of strings")
            }
        };
        let name = || self.name.to_string();
        if !fits {
            return Err(BadAttribute::WrongType { name: name(), expected });
        }
        if value.to_string().len() > self.max_bytes {
            return Err(BadAttribute::TooLong { name: name(), max_bytes: self.max_bytes });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    fn patch(writer: Writer, patch: Value) -> Result<Attributes, BadAttribute> {
        let attributes = fixture::user().attributes;
        fixture::declarations().apply(&attributes, patch.as_object().unwrap(), writer)
    }

    #[test]
    fn an_unknown_or_unwritable_attribute_is_refused_by_name() {
        let unknown = patch(Writer::Admin, json!({"nickname": "x", "rôle": "admin"})).unwrap_err();
        assert_eq!(unknown, BadAttribute::Unknown { name: "rôle".into() });
        let unwritable = patch(Writer::User, json!({"role": "admin"})).unwrap_err();
        assert_eq!(unwritable, BadAttribute::Unwritable { name: "role".into() });
        for writer in [Writer::Admin, Writer::User] {
            for field in ["phone_number", "phone_number_verified", "Phone_Number"] {
                let refused = patch(writer, json!({ field: true })).unwrap_err();
                assert_eq!(refused, BadAttribute::Proved { name: field.into() });
            }
        }
        for reserved in ["id", "cv", "epoch", "status", "password", "rev"] {
            assert!(patch(Writer::Admin, json!({ reserved: "x" })).is_err(), "{reserved}");
        }
    }

    #[test]
    fn a_value_must_fit_its_declaration() {
        for (bad, word) in [
            (json!({"nickname": 5}), "a string"),
            (json!({"age": 1.5}), "whole number"),
            (json!({"age": 9_007_199_254_740_992_i64}), "whole number"),
            (json!({"groups": ["a", 1]}), "a list of strings"),
            (json!({"newsletter": "yes"}), "true or false"),
            (json!({"nickname": "x".repeat(300)}), "at most 256 bytes"),
        ] {
            let refused = patch(Writer::Admin, bad.clone()).unwrap_err().to_string();
            assert!(refused.contains(word), "{bad}: {refused}");
        }
    }

    #[test]
    fn the_least_limit_of_a_type_is_one_that_a_value_fits() {
        for (kind, value) in [
            (AttributeType::String, json!("")),
            (AttributeType::StringList, json!([])),
            (AttributeType::Integer, json!(1)),
            (AttributeType::Boolean, json!(false)),
        ] {
            assert_eq!(value.to_string().len(), kind.least_bytes(), "{kind:?}");
        }
    }

    #[test]
    fn null_removes_and_a_bad_member_spoils_the_whole_patch() {
        let after = patch(Writer::User, json!({"nickname": null})).unwrap();
        assert!(!after.contains_key(&"nickname".parse().unwrap()));
        assert!(patch(Writer::User, json!({"nickname": "b", "role": "b"})).is_err());
    }
}
