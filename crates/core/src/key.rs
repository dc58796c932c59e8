//! The keys of an installation and their lives: next, current, retired, withdrawn. The private half is sealed under
//! the master key; this room never sees it open.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::jwk::{Algorithm, Jwk};
use crate::rev::Rev;
use crate::time::Timestamp;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Signs access tokens, by this algorithm.
    Sign(Algorithm),
    /// Derives refresh tokens.
    Refresh,
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, does not sign yet.
    Next,
    /// Signs.
    Current,
    /// Signs no more, is still believed.
    Retired,
    /// Not believed any more.
    Withdrawn,
}

/// Key material sealed under the master key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

impl Sealed {
    /// From stored bytes, or from what was just sealed.
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One key of the keyring, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its `kid`: for a refresh key, the decimal number of its [`MacKeyId`](crate::refresh::MacKeyId).
    pub kid: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is in its life.
    pub state: KeyState,
    /// Since when it is there.
    pub since: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// The private half.
    pub sealed: Sealed,
    /// The public half of a signing key.
    pub public: Option<Jwk>,
    /// The version of the row.
    pub rev: Rev,
}
