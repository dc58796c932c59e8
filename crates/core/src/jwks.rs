//! Key sets (RFC 7517 section 5), of this issuer or of any other. Nothing here fetches; a key set is bytes in, keys out.

use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::json::{self, JsonError};
use crate::jwk::{Algorithm, Jwk, JwkError, Kid, PublicKey};

/// The longest key set that is parsed, in bytes. The largest in use (certificates included) are a tenth of it.
pub const MAX_JWKS_BYTES: usize = 512 * 1024;

/// The most keys that a set may list.
pub const MAX_KEYS: usize = 100;

/// Why a key set is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Longer than [`MAX_JWKS_BYTES`].
    #[error("the key set is longer than {MAX_JWKS_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_KEYS`] keys.
    #[error("the key set lists more than {MAX_KEYS} keys")]
    TooMany,
    /// Not a strict JSON object.
    #[error("the key set is not a strict JSON object: {0}")]
    Json(#[from] JsonError),
    /// `keys` is absent, or not an array.
    #[error("the key set has no array `keys`")]
    NoKeys,
    /// Two different keys carry one id: which of them a token means cannot be known.
    #[error("two different keys carry the id {kid}")]
    DuplicateKid {
        /// The id.
        kid: Kid,
    },
}

/// A key of a set that was passed over, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the array `keys`, from 0.
    pub index: usize,
    /// Why it cannot be used.
    pub cause: JwkError,
}

/// A set of public keys, parsed once.
///
/// Keys that cannot be used (another `kty` or `crv`, encryption keys, unsound numbers) are passed over, as RFC 7517
/// section 5 asks, and counted: [`Jwks::skipped`] is for the operator. A key that carries private members is passed
/// over too: the world can sign with it.
#[derive(Clone, Debug, Default)]
pub struct Jwks {
    keys: Vec<PublicKey>,
    by_kid: HashMap<Kid, usize>,
    skipped: Vec<Skipped>,
}

impl Jwks {
    /// Parses a key set document.
    ///
    /// # Errors
    /// [`JwksError`]. A set without a single usable key is not an error: no token verifies under it.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        if document.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLong);
        }
        let members = json::object(document)?;
        let Some(Value::Array(entries)) = members.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        if entries.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        let mut set = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            match usable(entry) {
                Ok(key) => set.add(key)?,
                Err(cause) => set.skipped.push(Skipped { index, cause }),
            }
        }
        Ok(set)
    }

    /// Makes a set of keys that are already parsed.
    ///
    /// # Errors
    /// [`JwksError::DuplicateKid`], [`JwksError::TooMany`].
    pub fn of(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, JwksError> {
        let mut set = Self::default();
        for key in keys {
            set.add(key)?;
        }
        if set.keys.len() > MAX_KEYS { Err(JwksError::TooMany) } else { Ok(set) }
    }

    fn add(&mut self, key: PublicKey) -> Result<(), JwksError> {
        if let Some(kid) = key.kid() {
            match self.by_kid.get(kid) {
                Some(&known) if self.keys[known].jwk() == key.jwk() => return Ok(()), // the same key, listed twice
                Some(_) => return Err(JwksError::DuplicateKid { kid: kid.clone() }),
                None => self.by_kid.insert(kid.clone(), self.keys.len()),
            };
        }
        self.keys.push(key);
        Ok(())
    }

    /// The key with that id.
    pub fn key(&self, kid: &str) -> Option<&PublicKey> {
        self.by_kid.get(kid).map(|&index| &self.keys[index])
    }

    /// The key that a token without `kid` can only mean: the one that serves `algorithm`, if there is exactly one.
    ///
    /// RFC 7515 section 4.1.4 leaves `kid` optional. With two candidates the choice would be a guess, so none is made.
    pub fn only_key_for(&self, algorithm: Algorithm) -> Option<&PublicKey> {
        let mut candidates = self.keys.iter().filter(|key| key.serves(algorithm));
        candidates.next().filter(|_| candidates.next().is_none())
    }

    /// The usable keys, in the order of the document.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The keys that were passed over.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

fn usable(entry: &Value) -> Result<PublicKey, JwkError> {
    const NOT_AN_OBJECT: JwkError = JwkError::Json(JsonError::NotAnObject);
    let members: &Map<String, Value> = entry.as_object().ok_or(NOT_AN_OBJECT)?;
    PublicKey::from_jwk(&Jwk::from_members(members)?)
}

impl Serialize for Jwks {
    /// The document of RFC 7517 section 5: usable keys only, public members only.
    fn serialize<S: Serializer>(&self, sink: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            keys: Vec<&'a Jwk>,
        }
        Document { keys: self.keys.iter().map(PublicKey::jwk).collect() }.serialize(sink)
    }
}
