//! Scopes (RFC 6749 section 3.3): a set with an order of its own, never more than was granted.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not a scope list of RFC 6749 section 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a well-formed scope: tokens of visible ASCII without quote and backslash, one space between, at most 1024 bytes"
)]
pub struct BadScope;

/// A set of scope tokens. As text they are sorted, one space between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeSet(BTreeSet<Box<str>>);

impl ScopeSet {
    /// The longest scope text that is read, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// No scope at all.
    pub const fn empty() -> Self {
        Self(BTreeSet::new())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the scope token is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Whether every scope here is in `granted` too (RFC 6749 section 6: a refresh asks for no more than was granted).
    pub fn is_subset(&self, granted: &Self) -> bool {
        self.0.is_subset(&granted.0)
    }

    /// What both sets hold.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// What either set holds.
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The scope tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
fn is_scope_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

impl FromStr for ScopeSet {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        if text.is_empty() {
            return Ok(Self::empty());
        }
        if text.len() > Self::MAX_BYTES || !text.split(' ').all(is_scope_token) {
            return Err(BadScope);
        }
        Ok(Self(text.split(' ').map(Box::from).collect()))
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { " " })?;
            f.write_str(scope)?;
        }
        Ok(())
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_list_is_read_and_written_in_one_form() {
        let scopes: ScopeSet = "write read read".parse().unwrap();
        assert_eq!(scopes.to_string(), "read write");
        assert!(scopes.contains("read") && !scopes.contains("rea"));
        assert!(ScopeSet::empty().is_subset(&scopes) && !scopes.is_subset(&"read".parse().unwrap()));
    }

    #[test]
    fn what_is_no_scope_list_is_refused() {
        for wrong in [" ", "a  b", " a", "a ", "a\"b", "a\\b", "ä", "a\tb", &"x".repeat(ScopeSet::MAX_BYTES + 1)] {
            assert_eq!(wrong.parse::<ScopeSet>(), Err(BadScope), "{wrong:?}");
        }
    }
}
