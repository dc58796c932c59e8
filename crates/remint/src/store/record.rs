//! What goes into a statement and what comes out of a row, in four types that every database here has. Reads
//! strictly: what this program would not have written is an error, never a default.

use std::borrow::Cow;
use std::str::FromStr;

use remint_core::rev::Rev;
use remint_core::time::Timestamp;
use serde::de::DeserializeOwned;

use super::{postgres, sqlite};

/// One parameter of a statement.
#[derive(Clone, Debug)]
pub enum Param<'a> {
    /// Nothing.
    Null,
    /// A number, or a time in microseconds.
    Int(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

impl<'a> Param<'a> {
    /// Text that is borrowed.
    pub const fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Bytes that are borrowed.
    pub const fn blob(bytes: &'a [u8]) -> Self {
        Self::Blob(Cow::Borrowed(bytes))
    }

    /// Text that was made for this.
    pub const fn owned(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }

    /// A point in time.
    pub const fn time(at: Timestamp) -> Self {
        Self::Int(at.micros())
    }

    /// The version of a row.
    pub const fn rev(rev: Rev) -> Self {
        Self::Int(rev.number())
    }

    /// How many rows at most.
    pub fn limit(limit: usize) -> Self {
        Self::Int(i64::try_from(limit).unwrap_or(i64::MAX))
    }

    /// Something that may be absent.
    pub fn maybe<T>(value: Option<T>, some: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, some)
    }
}

/// The column that holds what this program never wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadColumn(pub &'static str);

/// One value of a row, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub enum Field<'r> {
    /// Nothing.
    Null,
    /// A number, or a time in microseconds.
    Int(i64),
    /// Text.
    Text(&'r str),
    /// Bytes.
    Blob(&'r [u8]),
    /// Of a type that no column of ours has, or text that is not UTF-8.
    Foreign,
}

/// A row that is read from left to right, in the order of the columns of its `SELECT`.
pub struct Record<'r> {
    row: Answer<'r>,
    next: usize,
}

/// A row, as the database hands it over.
pub(super) enum Answer<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl<'r> Record<'r> {
    pub(super) const fn of(row: Answer<'r>) -> Self {
        Self { row, next: 0 }
    }

    /// The next value of the row; nothing behind the last.
    fn field(&mut self) -> Field<'r> {
        let index = self.next;
        self.next += 1;
        self.at(index)
    }

    /// The first value: the key.
    pub(super) fn key(&self) -> Field<'r> {
        self.at(0)
    }

    fn at(&self, index: usize) -> Field<'r> {
        match self.row {
            Answer::Sqlite(row) => sqlite::field(row, index),
            Answer::Postgres(row) => postgres::field(row, index),
        }
    }

    fn number<T: TryFrom<i64>>(&mut self, column: &'static str) -> Result<Option<T>, BadColumn> {
        match self.field() {
            Field::Null => Ok(None),
            Field::Int(number) => number.try_into().map(Some).map_err(|_| BadColumn(column)),
            _ => Err(BadColumn(column)),
        }
    }

    /// A number that fits its type.
    pub fn int<T: TryFrom<i64>>(&mut self, column: &'static str) -> Result<T, BadColumn> {
        self.number(column)?.ok_or(BadColumn(column))
    }

    /// A number that fits its type, or nothing.
    pub fn maybe_int<T: TryFrom<i64>>(&mut self, column: &'static str) -> Result<Option<T>, BadColumn> {
        self.number(column)
    }

    /// A point in time.
    pub fn time(&mut self, column: &'static str) -> Result<Timestamp, BadColumn> {
        self.int(column).map(Timestamp::from_micros)
    }

    /// A point in time, or nothing.
    pub fn maybe_time(&mut self, column: &'static str) -> Result<Option<Timestamp>, BadColumn> {
        Ok(self.number(column)?.map(Timestamp::from_micros))
    }

    /// The version of the row: at least one.
    pub fn rev(&mut self) -> Result<Rev, BadColumn> {
        match self.int("rev")? {
            number @ 1.. => Ok(Rev::from_stored(number)),
            _ => Err(BadColumn("rev")),
        }
    }

    /// Text.
    pub fn text(&mut self, column: &'static str) -> Result<&'r str, BadColumn> {
        self.maybe_text(column)?.ok_or(BadColumn(column))
    }

    /// Text, or nothing.
    pub fn maybe_text(&mut self, column: &'static str) -> Result<Option<&'r str>, BadColumn> {
        match self.field() {
            Field::Null => Ok(None),
            Field::Text(text) => Ok(Some(text)),
            _ => Err(BadColumn(column)),
        }
    }

    /// Text that parses.
    pub fn parsed<T: FromStr>(&mut self, column: &'static str) -> Result<T, BadColumn> {
        self.text(column)?.parse().map_err(|_| BadColumn(column))
    }

    /// Text that is JSON of this type.
    pub fn json<T: DeserializeOwned>(&mut self, column: &'static str) -> Result<T, BadColumn> {
        serde_json::from_str(self.text(column)?).map_err(|_| BadColumn(column))
    }

    /// Bytes of any length.
    pub fn blob(&mut self, column: &'static str) -> Result<&'r [u8], BadColumn> {
        match self.field() {
            Field::Blob(bytes) => Ok(bytes),
            _ => Err(BadColumn(column)),
        }
    }

    /// Bytes of this length.
    pub fn bytes<const N: usize>(&mut self, column: &'static str) -> Result<[u8; N], BadColumn> {
        self.maybe_bytes(column)?.ok_or(BadColumn(column))
    }

    /// Bytes of this length, or nothing.
    pub fn maybe_bytes<const N: usize>(&mut self, column: &'static str) -> Result<Option<[u8; N]>, BadColumn> {
        match self.field() {
            Field::Null => Ok(None),
            Field::Blob(bytes) => bytes.try_into().map(Some).map_err(|_| BadColumn(column)),
            _ => Err(BadColumn(column)),
        }
    }
}
