//! The version of a stored row. A row is written at the version it was read at, or not at all.

use serde::{Deserialize, Serialize};

/// Counts the writes of a row. [`Rev::NEW`] says that the row is not stored yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rev(i64);

impl Rev {
    /// Of a row that is not stored yet: writing it demands that it does not exist.
    pub const NEW: Self = Self(0);

    /// From its stored number.
    pub const fn from_stored(number: i64) -> Self {
        Self(number)
    }

    /// The number to store or compare.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The version after one more write.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
