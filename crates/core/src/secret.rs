//! Secrets are types that cannot be printed: no `Display`, a `Debug` that says only what kind it is, wiped when
//! dropped, compared in constant time. Never makes a secret: random bytes are an argument.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! unprintable {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

/// The secret of a confidential client or of an api (RFC 6749 section 2.3.1): 256 random bits, as text 43 characters
/// of base64url.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ClientSecret(String);
unprintable!(ClientSecret);

impl ClientSecret {
    /// A new secret from 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What a caller presented, of any form: it is only ever hashed and compared.
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, to be handed to its owner once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored in its place. A plain hash is enough for 256 random bits.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }
}

/// SHA-256 of a secret of full entropy; all that the store holds of it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretHash([u8; 32]);
unprintable!(SecretHash);

impl SecretHash {
    /// The hash of a secret's bytes.
    pub fn of(secret: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(hash)
    }

    /// From its stored bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `presented` is that secret; in constant time.
    pub fn matches(&self, presented: &ClientSecret) -> bool {
        self.equals(&presented.hash())
    }

    /// Whether both are hashes of the same secret; in constant time.
    pub fn equals(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

/// A password as a person typed it. Its bytes reach the hash function and nothing else.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password(String);
unprintable!(Password);

impl Password {
    /// The longest password that is hashed, in bytes: long enough for any passphrase, short enough to bound the work.
    pub const MAX_BYTES: usize = 1024;

    /// The shortest password that is set, in characters (NIST SP 800-63B section 3.1.1.2). One that was set before is
    /// compared however short it is.
    pub const MIN_CHARS: usize = 8;

    /// Whether it is long enough to be set.
    pub fn is_long_enough(&self) -> bool {
        self.0.chars().count() >= Self::MIN_CHARS
    }

    /// From text; `None` where it is empty or longer than [`Self::MAX_BYTES`].
    pub fn new(text: String) -> Option<Self> {
        let text = Self(text);
        (1..=Self::MAX_BYTES).contains(&text.0.len()).then_some(text)
    }

    /// The bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A password hash in PHC string form (`$argon2id$v=19$...`).
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PasswordHash(String);
unprintable!(PasswordHash);

impl PasswordHash {
    /// From a PHC string.
    pub fn from_phc(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, to verify against or to store.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

/// 128 random bits in a session's row that its refresh tokens are derived with: without it the MAC key forges nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Salt([u8; 16]);
unprintable!(Salt);

impl Salt {
    /// From 16 random or stored bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A key that refresh tokens are derived with (HMAC-SHA-256). It lives in the keyring, never in the database.
#[derive(Clone)]
pub struct MacKey(hmac::Key);
unprintable!(MacKey);

impl MacKey {
    /// From 32 random or unsealed bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// From a key that was derived elsewhere.
    pub const fn from_key(key: hmac::Key) -> Self {
        Self(key)
    }

    /// The MAC over the parts, one after the other.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Whether `tag` is the MAC over the parts; compared in constant time.
    pub(crate) fn verifies(&self, parts: &[&[u8]], tag: &[u8; 32]) -> bool {
        constant_time::verify_slices_are_equal(&self.tag(parts), tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_can_be_printed() {
        let secret = ClientSecret::from_random([1; 32]);
        let printed = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            secret,
            secret.hash(),
            Password::new("hunter2".into()),
            PasswordHash::from_phc("$argon2id$x".into()),
            Salt::from_bytes([9; 16]),
            MacKey::from_bytes(&[3; 32]),
        );
        assert_eq!(printed, "ClientSecret(..) SecretHash(..) Some(Password(..)) PasswordHash(..) Salt(..) MacKey(..)");
    }

    #[test]
    fn a_secret_matches_its_own_hash_only() {
        let secret = ClientSecret::from_random([1; 32]);
        assert!(secret.hash().matches(&secret));
        assert!(!secret.hash().matches(&ClientSecret::from_random([2; 32])));
        assert!(!secret.hash().matches(&ClientSecret::presented(&secret.reveal()[..42])));
    }

    #[test]
    fn an_empty_or_boundless_password_is_none() {
        assert!(Password::new(String::new()).is_none());
        assert!(Password::new("x".repeat(Password::MAX_BYTES + 1)).is_none());
        assert!(Password::new("x".repeat(Password::MAX_BYTES)).is_some());
    }

    #[test]
    fn a_password_is_set_only_with_eight_characters_of_any_kind() {
        for (text, long_enough) in [("1234567", false), ("12345678", true), ("äöüäöüä", false), ("äöüäöüäö", true)]
        {
            assert_eq!(Password::new(text.into()).unwrap().is_long_enough(), long_enough, "{text}");
        }
    }
}
