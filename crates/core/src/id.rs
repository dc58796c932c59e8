//! The names of things: random 128-bit ids, and names that an operator chose. Parsed at the door, strict;
//! never made here (randomness is an argument).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not an id or a name of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed {0}")]
pub struct BadId(pub &'static str);

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        ///
        /// 128 bits; as text 22 characters of unpadded base64url (RFC 4648 section 5).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From 16 bytes: random ones for a new id, stored ones for a known id.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, as they are stored.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 22];
                match URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).map(|n| std::str::from_utf8(&text[..n])) {
                    Ok(Ok(text)) => f.write_str(text),
                    _ => Err(fmt::Error),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let mut bytes = [0; 16];
                match (text.len(), URL_SAFE_NO_PAD.decode_slice(text, &mut bytes)) {
                    (22, Ok(16)) => Ok(Self(bytes)),
                    _ => Err(BadId($kind)),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

random_id!(
    /// One login of one user at one client on one device: the `sid` claim.
    SessionId, "session id"
);
random_id!(
    /// A user, the `sub` claim. Never used again after the user is deleted.
    UserId, "user id"
);
random_id!(
    /// One access token, the `jti` claim (RFC 7519 section 4.1.7).
    Jti, "token id"
);

random_id!(
    /// A code that was sent and not used yet.
    ChallengeId, "challenge id"
);

macro_rules! chosen_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self(text.into())) } else { Err(BadId($kind)) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

chosen_name!(
    /// A client or the credential of an api: `client_id` (RFC 6749 section 2.2). 1 to 64 of `A-Z a-z 0-9 . _ ~ -`.
    ClientId, "client_id", |text| (1..=64).contains(&text.len()) && text.bytes().all(is_unreserved)
);
chosen_name!(
    /// The name of a resource server in `aud` (RFC 7519 section 4.1.3) and `resource` (RFC 8707): 1 to 255 visible
    /// ASCII characters, a URI or a plain name.
    Audience, "audience", |text| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);
chosen_name!(
    /// The name of an attribute of the user record: a letter, then up to 63 of `a-z A-Z 0-9 _`.
    AttributeName, "attribute name", |text| {
        text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    }
);

/// The unreserved characters of RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_exactly_its_22_characters() {
        let id = SessionId::from_bytes([7; 16]);
        let text = id.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(text.parse(), Ok(id));
        for wrong in [&text[..21], &format!("{text}A"), &format!("{}=", &text[..21]), "", &format!("{}B", &text[..21])]
        {
            assert_eq!(wrong.parse::<SessionId>(), Err(BadId("session id")), "{wrong}");
        }
    }

    #[test]
    fn names_refuse_what_could_reach_a_header_a_path_or_a_file() {
        for wrong in ["", "a b", "a\nb", "a/b", "ä", &"x".repeat(65)] {
            assert!(wrong.parse::<ClientId>().is_err(), "{wrong:?}");
        }
        assert!("demo-refresh".parse::<ClientId>().is_ok());
        assert!("https://api.example.com".parse::<Audience>().is_ok());
        assert!("a b".parse::<Audience>().is_err());
        assert!("phone_number".parse::<AttributeName>().is_ok());
        assert!("0x".parse::<AttributeName>().is_err());
        assert!("a-b".parse::<AttributeName>().is_err());
    }
}
