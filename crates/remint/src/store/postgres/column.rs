//! Values on their way to the database and back: one as a parameter, a column of them as an array. Binary, and nothing is
//! converted: a type that is not expected is an error.

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, Kind as TypeKind, ToSql, Type, to_sql_checked};

use crate::store::record::{Field, Param};

type BoxedError = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql_checked(ty, out),
            Self::Text(text) => text.to_sql_checked(ty, out),
            Self::Blob(bytes) => bytes.as_ref().to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true // the value knows, and says
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Field<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
        Ok(match *ty {
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::TEXT => Self::Text(<&str>::from_sql(ty, raw)?),
            Type::BYTEA => Self::Blob(raw),
            _ => Self::Foreign,
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxedError> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value of a row; nothing behind the last.
pub(in crate::store) fn field(row: &Row, index: usize) -> Field<'_> {
    row.try_get(index).unwrap_or(Field::Foreign)
}

/// The text in a row; empty where there is none.
pub(in crate::store) fn text(row: &Row, index: usize) -> String {
    if let Field::Text(text) = field(row, index) { text.to_owned() } else { String::new() }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Kind {
    Int,
    Text,
    Blob,
}

impl Kind {
    /// The kind of a column that is declared so, in the words of either database.
    pub(in crate::store) fn declared(declared: &str) -> Option<Self> {
        match declared.to_ascii_lowercase().as_str() {
            "bigint" | "integer" => Some(Self::Int),
            "text" => Some(Self::Text),
            "bytea" | "blob" => Some(Self::Blob),
            _ => None,
        }
    }

    pub(in crate::store) const fn array(self) -> &'static str {
        match self {
            Self::Int => "BIGINT[]",
            Self::Text => "TEXT[]",
            Self::Blob => "BYTEA[]",
        }
    }
}

/// The values of one column, of many rows.
#[derive(Debug)]
pub(in crate::store) enum Column<'a> {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<&'a str>>),
    Blobs(Vec<Option<&'a [u8]>>),
}

impl<'a> Column<'a> {
    /// One value of each row. One of another kind is a mistake here, and arrives as nothing, which the database refuses.
    pub(super) fn of(kind: Kind, values: impl Iterator<Item = &'a Param<'a>>) -> Self {
        match kind {
            Kind::Int => {
                Self::Ints(values.map(|value| if let Param::Int(int) = value { Some(*int) } else { None }).collect())
            }
            Kind::Text => Self::Texts(
                values.map(|value| if let Param::Text(text) = value { Some(&**text) } else { None }).collect(),
            ),
            Kind::Blob => Self::Blobs(
                values.map(|value| if let Param::Blob(blob) = value { Some(&**blob) } else { None }).collect(),
            ),
        }
    }

    /// The columns of rows that all have values of these kinds.
    pub(in crate::store) fn all(kinds: &[Kind], rows: &'a [Vec<Param<'a>>]) -> Vec<Self> {
        let column = |(index, kind): (usize, &Kind)| Self::of(*kind, rows.iter().filter_map(move |row| row.get(index)));
        kinds.iter().enumerate().map(column).collect()
    }
}

impl ToSql for Column<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        match self {
            Self::Ints(all) => all.to_sql_checked(ty, out),
            Self::Texts(all) => all.to_sql_checked(ty, out),
            Self::Blobs(all) => all.to_sql_checked(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), TypeKind::Array(_))
    }

    to_sql_checked!();
}
