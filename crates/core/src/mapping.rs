//! Claims mapping: data of the client that says which attributes its tokens show, and under which names. It can never
//! write a reserved claim (the names are of a type that refuses them) and never reach a credential (those are no
//! attributes). Beside attributes it reads the fields that a proof wrote, and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::id::AttributeName;
use crate::user::User;

/// The claims that Remint writes, and nobody else: those of RFC 7519 section 4.1, RFC 9068 section 2.2, RFC 7800
/// (`cnf`), RFC 8693 (`act`), OpenID Connect Core sections 2 and 3.1.3.6, and our own.
pub const RESERVED: [&str; 19] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "cv",
    "pv",
    "client_id",
    "scope",
    "cnf",
    "act",
    "amr",
    "acr",
    "auth_time",
    "azp",
    "nonce",
];
/// `at_hash` and its kin, reserved too.
pub const RESERVED_HASHES: [&str; 3] = ["at_hash", "c_hash", "s_hash"];

/// The name of a claim that a mapping may write: 1 to 128 visible ASCII characters, not reserved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimName(Box<str>);

/// The name cannot be mapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClaimName {
    /// It is written by Remint alone.
    #[error("the claim `{0}` is reserved: choose another name")]
    Reserved(String),
    /// It is no name.
    #[error("a claim name is 1 to 128 visible ASCII characters")]
    Malformed,
}

impl ClaimName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClaimName {
    type Err = BadClaimName;

    fn from_str(text: &str) -> Result<Self, BadClaimName> {
        if !(1..=128).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BadClaimName::Malformed);
        }
        if RESERVED.iter().chain(&RESERVED_HASHES).any(|name| name.eq_ignore_ascii_case(text)) {
            return Err(BadClaimName::Reserved(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ClaimName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClaimName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a claim shows where the attribute is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Absent {
    /// The claim is left out.
    #[default]
    Omit,
    /// The claim is `null`.
    Null,
}

/// Where one claim comes from. In settings either the attribute's name, or `{ "from": name, "absent": "null" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SourceText", into = "SourceText")]
pub struct Source {
    /// The attribute.
    pub from: AttributeName,
    /// What to show where it is absent.
    pub absent: Absent,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum SourceText {
    Short(AttributeName),
    Long {
        from: AttributeName,
        #[serde(default)]
        absent: Absent,
    },
}

impl From<SourceText> for Source {
    fn from(text: SourceText) -> Self {
        match text {
            SourceText::Short(from) => Self { from, absent: Absent::Omit },
            SourceText::Long { from, absent } => Self { from, absent },
        }
    }
}

impl From<Source> for SourceText {
    fn from(source: Source) -> Self {
        match source.absent {
            Absent::Omit => Self::Short(source.from),
            absent => Self::Long { from: source.from, absent },
        }
    }
}

/// Names of claims on the left, attributes of the user record on the right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping(BTreeMap<ClaimName, Source>);

impl FromIterator<(ClaimName, Source)> for Mapping {
    fn from_iter<I: IntoIterator<Item = (ClaimName, Source)>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

/// Claims that a mapping wrote. Only [`Mapping::apply`] makes them, so none is reserved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapped(Map<String, Value>);

impl Mapped {
    /// No claims.
    pub fn none() -> Self {
        Self::default()
    }

    /// The claims, in the order of their names.
    pub fn into_claims(self) -> Map<String, Value> {
        self.0
    }
}

impl Mapping {
    /// The claims that this record gives.
    pub fn apply(&self, user: &User) -> Mapped {
        let claim = |(name, source): (&ClaimName, &Source)| match (user.field(&source.from), source.absent) {
            (Some(value), _) => Some((name.to_string(), value)),
            (None, Absent::Null) => Some((name.to_string(), Value::Null)),
            (None, Absent::Omit) => None,
        };
        Mapped(self.0.iter().filter_map(claim).collect())
    }

    /// The attributes that it shows.
    pub fn sources(&self) -> impl Iterator<Item = &AttributeName> {
        self.0.values().map(|source| &source.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    #[test]
    fn a_reserved_claim_cannot_even_be_named() {
        for name in RESERVED.iter().chain(&RESERVED_HASHES) {
            assert_eq!(name.parse::<ClaimName>(), Err(BadClaimName::Reserved((*name).to_owned())));
            let mapping = serde_json::from_value::<Mapping>(json!({ *name: "nickname" }));
            assert!(mapping.unwrap_err().to_string().contains("reserved"), "{name}");
        }
        assert!("SUB".parse::<ClaimName>().is_err(), "a reader that folds case must not be fooled");
        assert!("".parse::<ClaimName>().is_err() && "a b".parse::<ClaimName>().is_err());
    }

    #[test]
    fn an_absent_attribute_gives_null_or_is_left_out_as_the_mapping_says() {
        let mapping: Mapping = serde_json::from_value(json!({
            "nick": "nickname",
            "phone_number": {"from": "phone_number", "absent": "null"},
            "locale": "locale",
        }))
        .unwrap();
        let mapped = mapping.apply(&fixture::user());
        assert_eq!(Value::Object(mapped.clone().into_claims()), json!({"nick": "ada", "phone_number": null}));
        assert_eq!(serde_json::to_value(&mapping).unwrap()["locale"], json!("locale"));
    }

    #[test]
    fn a_verified_number_can_be_shown_and_no_attribute_of_its_name_passes_for_it() {
        let mapping: Mapping =
            serde_json::from_value(json!({"phone_number": "phone_number", "verified": "phone_number_verified"}))
                .unwrap();
        let shown = |user: &User| Value::Object(mapping.apply(user).into_claims());
        let attributes = serde_json::from_value(json!({"phone_number": "+1", "phone_number_verified": true})).unwrap();
        let pretender = User { attributes, ..fixture::user() };
        assert_eq!(shown(&pretender), json!({}));
        let proved = pretender.with_phone_number(Some("+441632960011".parse().unwrap())).unwrap();
        assert_eq!(shown(&proved.user), json!({"phone_number": "+441632960011", "verified": true}));
        assert_eq!(proved.user.cv, pretender.cv + 1);
        assert_eq!(proved.user.with_phone_number(proved.user.phone_number.clone()), None);
        assert_eq!(proved.user.deleted().phone_number, None);
    }
}
