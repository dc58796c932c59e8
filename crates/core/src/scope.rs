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

/// A set of scope tokens, as the text that it is on the wire: sorted, none twice, one space between. A request makes and
/// compares several, so it is one piece of memory, and none where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeSet(String);

impl ScopeSet {
    /// The longest scope text that is read, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// No scope at all.
    pub const fn empty() -> Self {
        Self(String::new())
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sorted text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the scope token is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|one| one == scope)
    }

    /// Whether every scope here is in `granted` too (RFC 6749 section 6: a refresh asks for no more than was granted).
    pub fn is_subset(&self, granted: &Self) -> bool {
        let mut granted = granted.iter();
        self.iter().all(|scope| granted.by_ref().find(|one| *one >= scope) == Some(scope)) // both are sorted
    }

    /// What both sets hold.
    pub fn intersection(&self, other: &Self) -> Self {
        if self.is_subset(other) {
            return self.clone();
        }
        let mut others = other.iter().peekable();
        Self::of(self.iter().filter(|scope| {
            while others.next_if(|one| one < scope).is_some() {}
            others.peek() == Some(scope)
        }))
    }

    /// What either set holds.
    pub fn union(&self, other: &Self) -> Self {
        Self::of(self.iter().chain(other.iter()).collect::<BTreeSet<_>>())
    }

    /// The scope tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Of tokens that are sorted, none twice.
    fn of<'a>(sorted: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::new();
        for scope in sorted {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(scope);
        }
        Self(text)
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
        if text.split(' ').is_sorted_by(|one, next| one < next) {
            return Ok(Self(text.to_owned()));
        }
        Ok(Self::of(text.split(' ').collect::<BTreeSet<_>>()))
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
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
    fn subsets_intersections_and_unions_are_those_of_sets() {
        let all = ["", "a", "b", "c", "a b", "a c", "b c", "a b c", "ab", "a ab b"];
        let set = |text: &str| text.parse::<ScopeSet>().unwrap();
        let model = |text: &str| text.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>();
        let read = |scopes: &ScopeSet| scopes.iter().map(str::to_owned).collect::<BTreeSet<_>>();
        for one in all {
            for other in all {
                let (a, b) = (set(one), set(other));
                assert_eq!(a.is_subset(&b), model(one).is_subset(&model(other)), "{one:?} {other:?}");
                assert_eq!(read(&a.intersection(&b)), &model(one) & &model(other), "{one:?} {other:?}");
                assert_eq!(read(&a.union(&b)), &model(one) | &model(other), "{one:?} {other:?}");
                assert_eq!(a.union(&b), b.union(&a));
            }
        }
    }

    #[test]
    fn what_is_no_scope_list_is_refused() {
        for wrong in [" ", "a  b", " a", "a ", "a\"b", "a\\b", "ä", "a\tb", &"x".repeat(ScopeSet::MAX_BYTES + 1)] {
            assert_eq!(wrong.parse::<ScopeSet>(), Err(BadScope), "{wrong:?}");
        }
    }
}
