//! A whole installation from one store into another: every table, in slices by primary key, read back and compared before it
//! counts. Which tables there are is asked of the databases themselves, so none can be forgotten. Never changes a row, never
//! writes over one, and leaves nothing that a server would take for an installation unless it is all there.

mod postgres;
mod sqlite;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};

use super::error::{OpenError, StoreError};
use super::postgres::{Kind, config};
use super::record::{Field, Param};
use crate::settings::Database;

/// What a target has while it is being filled, and no finished one: a store with it is never served.
pub(super) const UNFINISHED: &str = "migration_unfinished";

/// Makes that mark.
const MARK: &str = "CREATE TABLE migration_unfinished (one BIGINT NOT NULL PRIMARY KEY)";

/// Tables that say something of their own store, and nothing of the installation: the schema of a database, and what its
/// nodes may keep in memory of it.
const OF_THE_STORE: [&str; 2] = ["remint_schema", "document_age"];

/// Rows in memory at a time.
const SLICE: usize = 1000;

/// Where an installation's data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// A data file.
    Sqlite(PathBuf),
    /// A database.
    Postgres(Database),
}

impl Whereabouts {
    /// Whether a password stands in it.
    pub fn holds_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(database) => config(database.reveal()).is_ok_and(|of| of.get_password().is_some()),
        }
    }
}

/// Neither a data file nor a database is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write sqlite:PATH for a data file, or postgres://USER@HOST/DATABASE")]
pub struct BadWhereabouts;

impl FromStr for Whereabouts {
    type Err = BadWhereabouts;

    fn from_str(text: &str) -> Result<Self, BadWhereabouts> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err(BadWhereabouts),
            Some(path) => Ok(Self::Sqlite(path.into())),
            None => text.parse().map(Self::Postgres).map_err(|_| BadWhereabouts),
        }
    }
}

/// For people; never a password.
impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(database) => f.write_str(&super::postgres::named(database.reveal())),
        }
    }
}

/// A table that arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub table: String,
    /// What both sides hold.
    pub tally: Tally,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// So many rows of a table were copied.
    Copied {
        /// The table.
        table: &'a str,
        /// How many.
        rows: u64,
    },
    /// A table is whole, and was read back.
    Arrived(&'a Moved),
}

/// Why nothing was moved, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// One of the two cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no installation at the source.
    #[error("there is no installation at {0}: name the data file or the database of one")]
    NothingThere(String),
    /// The target is not empty.
    #[error("{0} holds data already, and nothing is overwritten: name an empty database, or a file that is not there")]
    NotEmpty(String),
    /// Two migrations into one target.
    #[error("another migration into {0} is under way: wait for its end")]
    UnderWay(String),
    /// What the stores hold is not of the same kind.
    #[error("the table `{table}` is not the same in both stores: use the version of Remint that made them")]
    Unlike {
        /// The table.
        table: String,
    },
    /// A store failed.
    #[error("{place}: {source}. Nothing was moved: run it again")]
    Failed {
        /// Which store.
        place: String,
        /// Why.
        source: StoreError,
    },
    /// What was written reads back differently.
    #[error("the table `{table}` reads back from {place} otherwise than it was written: {what}. Nothing was moved")]
    Differs {
        /// The table.
        table: String,
        /// The target.
        place: String,
        /// How.
        what: String,
    },
    /// The end of it is not known.
    #[error(
        "the answer of {0} to the last step was lost: run it again. If that says that it holds data, all was moved"
    )]
    Unknown(String),
}

/// How many rows a table has, and a digest of them all, whatever their order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub rows: u64,
    sum: (u128, u128),
}

impl Tally {
    /// Counts a row. Its digest is added: no order is in the sum.
    fn add(&mut self, row: &[Param<'_>]) {
        let mut context = Context::new(&SHA256);
        for value in row {
            let (tag, bytes): (u8, &[u8]) = match value {
                Param::Null => (0, &[]),
                Param::Int(number) => (1, &number.to_be_bytes()),
                Param::Text(text) => (2, text.as_bytes()),
                Param::Blob(bytes) => (3, bytes),
            };
            context.update(&[tag]);
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        }
        let digest = context.finish();
        let half = |at: usize| {
            let bytes = digest.as_ref().get(at..at + 16).and_then(|half| half.try_into().ok());
            u128::from_be_bytes(bytes.unwrap_or_default())
        };
        self.rows += 1;
        self.sum = (self.sum.0.wrapping_add(half(0)), self.sum.1.wrapping_add(half(16)));
    }

    /// The digest, as text.
    pub fn digest(&self) -> String {
        format!("{:032x}{:032x}", self.sum.0, self.sum.1)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, digest {}", self.rows, self.digest())
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A row of any table.
type Values = Vec<Param<'static>>;

/// A table, as a database describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    name: String,
    /// The one column of its primary key.
    key: String,
    /// All of them, by name.
    columns: Vec<(String, Kind)>,
}

impl Shape {
    fn column_names(&self) -> String {
        self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Where the key stands in a row.
    fn key_of(&self, row: &Values) -> Option<Param<'static>> {
        let at = self.columns.iter().position(|(name, _)| *name == self.key)?;
        row.get(at).cloned()
    }

    /// The next rows behind a key, in its order.
    fn next_rows(&self, after: bool) -> String {
        let Self { name, key, .. } = self;
        let (behind, limit) = if after { (format!("WHERE {key} > $1 "), "$2") } else { (String::new(), "$1") };
        format!("SELECT {} FROM {name} {behind}ORDER BY {key} LIMIT {limit}", self.column_names())
    }

    /// A row of this table, out of what a database answers.
    fn row<'r>(&self, field: impl Fn(usize) -> Field<'r>) -> Result<Values, StoreError> {
        let value = |(at, (column, kind)): (usize, &(String, Kind))| match (field(at), kind) {
            (Field::Null, _) => Ok(Param::Null),
            (Field::Int(number), Kind::Int) => Ok(Param::Int(number)),
            (Field::Text(text), Kind::Text) => Ok(Param::owned(text.to_owned())),
            (Field::Blob(bytes), Kind::Blob) => Ok(Param::Blob(bytes.to_vec().into())),
            _ => Err(StoreError::Io { what: format!("`{column}` of the table `{}` is of another type", self.name) }),
        };
        self.columns.iter().enumerate().map(value).collect()
    }
}

/// The tables of a description: each column with its table, its type, and whether it is the key.
fn shapes(columns: Vec<(String, String, String, bool)>) -> Result<Vec<Shape>, StoreError> {
    let mut all: Vec<Shape> = Vec::new();
    for (table, column, declared, is_key) in columns {
        if OF_THE_STORE.contains(&table.as_str()) || table == UNFINISHED {
            continue;
        }
        let unknown = || StoreError::Io { what: format!("`{column}` of the table `{table}` has the type {declared}") };
        let kind = Kind::declared(&declared).ok_or_else(unknown)?;
        if all.last().is_none_or(|last| last.name != table) {
            all.push(Shape { name: table, key: String::new(), columns: Vec::new() });
        }
        let Some(shape) = all.last_mut() else { continue };
        if is_key {
            shape.key.clone_from(&column);
        }
        shape.columns.push((column, kind));
    }
    all.iter_mut().for_each(|shape| shape.columns.sort());
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// One of the two stores, held so that nobody else writes to it, in one transaction.
trait Side {
    /// Its tables, by name.
    fn shapes(&self) -> Result<Vec<Shape>, StoreError>;
    /// The next rows of a table, in the order of its key.
    fn slice(&self, shape: &Shape, after: Option<Param<'static>>) -> Result<Vec<Values>, StoreError>;
}

/// The side that is filled.
trait Target: Side {
    /// Removes what a new store has of its own.
    fn clear(&self, shape: &Shape) -> Result<(), StoreError>;
    /// Adds rows.
    fn append(&self, shape: &Shape, rows: &[Values]) -> Result<(), StoreError>;
    /// Makes all of it count, at once.
    fn finish(&self) -> Result<(), StoreError>;
}

/// Moves the installation at `from` to `to`, which must be empty. `ca_file` vouches for databases; `tell` hears how
/// far it is.
///
/// # Errors
/// [`MoveError`]: where it is not [`MoveError::Unknown`], nothing is at `to` that a server would serve, and the source is
/// as it was.
pub fn relocate(
    from: &Whereabouts,
    to: &Whereabouts,
    ca_file: Option<&Path>,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<Moved>, MoveError> {
    let source: Box<dyn Side> = match from {
        Whereabouts::Sqlite(path) => Box::new(sqlite::File::source(path)?),
        Whereabouts::Postgres(database) => Box::new(postgres::Tables::source(database.reveal(), ca_file)?),
    };
    let target: Box<dyn Target> = match to {
        Whereabouts::Sqlite(path) => Box::new(sqlite::File::target(path)?),
        Whereabouts::Postgres(database) => Box::new(postgres::Tables::target(database.reveal(), ca_file)?),
    };
    let (at_source, at_target) = (failed(from), failed(to));
    let mut moved = Vec::new();
    for shape in agreed(source.shapes().map_err(at_source)?, target.shapes().map_err(&at_target)?)? {
        target.clear(&shape).map_err(&at_target)?;
        let expected = copied(&*source, &*target, &shape, (from, to), tell)?;
        let found = tally(&*target, &shape).map_err(&at_target)?;
        if found != expected {
            let what = format!("{found}, not {expected}");
            return Err(MoveError::Differs { table: shape.name, place: to.to_string(), what });
        }
        let arrived = Moved { table: shape.name, tally: found };
        tell(Progress::Arrived(&arrived));
        moved.push(arrived);
    }
    target.finish().map_err(|source| match source {
        StoreError::Unknown => MoveError::Unknown(to.to_string()),
        source => at_target(source),
    })?;
    Ok(moved)
}

fn failed(at: &Whereabouts) -> impl Fn(StoreError) -> MoveError {
    |source| MoveError::Failed { place: at.to_string(), source }
}

/// The tables, where both stores have the same.
fn agreed(source: Vec<Shape>, target: Vec<Shape>) -> Result<Vec<Shape>, MoveError> {
    let lacks = |some: &[Shape], others: &[Shape]| some.iter().find(|shape| !others.contains(shape)).cloned();
    let keyless = source.iter().find(|shape| shape.key.is_empty()).cloned();
    match lacks(&source, &target).or_else(|| lacks(&target, &source)).or(keyless) {
        Some(Shape { name, .. }) => Err(MoveError::Unlike { table: name }),
        None => Ok(source),
    }
}

fn copied(
    source: &dyn Side,
    target: &dyn Target,
    shape: &Shape,
    (from, to): (&Whereabouts, &Whereabouts),
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Tally, MoveError> {
    let mut tally = Tally::default();
    let mut after = None;
    loop {
        let rows = source.slice(shape, after).map_err(failed(from))?;
        target.append(shape, &rows).map_err(failed(to))?;
        rows.iter().for_each(|row| tally.add(row));
        tell(Progress::Copied { table: &shape.name, rows: tally.rows });
        match rows.last() {
            Some(last) if rows.len() == SLICE => after = shape.key_of(last),
            _ => return Ok(tally),
        }
    }
}

/// What a side holds of a table.
fn tally(side: &dyn Side, shape: &Shape) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut after = None;
    loop {
        let rows = side.slice(shape, after)?;
        rows.iter().for_each(|row| tally.add(row));
        match rows.last() {
            Some(last) if rows.len() == SLICE => after = shape.key_of(last),
            _ => return Ok(tally),
        }
    }
}

/// The parameters of [`Shape::next_rows`].
fn behind(after: Option<Param<'static>>) -> Vec<Param<'static>> {
    after.into_iter().chain([Param::limit(SLICE)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(rows: &[&[Param<'_>]]) -> Tally {
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.add(row));
        tally
    }

    #[test]
    fn a_digest_tells_rows_apart_and_not_their_order() {
        let (a, b) = ([Param::text("ab"), Param::text("c")], [Param::text("a"), Param::text("bc")]);
        assert_eq!(tally(&[&a, &b]), tally(&[&b, &a]));
        let others = [tally(&[&a]), tally(&[&b]), tally(&[&a, &a]), tally(&[&a, &b]), tally(&[])];
        for (i, one) in others.iter().enumerate() {
            assert!(others[..i].iter().all(|other| other != one), "{one}");
        }
        let alike = [Param::Null, Param::text(""), Param::blob(&[]), Param::Int(0)].map(|value| tally(&[&[value]]));
        assert_eq!(alike.iter().filter(|one| **one == alike[1]).count(), 1);
    }

    #[test]
    fn a_table_that_one_store_lacks_or_has_otherwise_is_named() {
        let column = |table: &str, name: &str, kind: &str, key| (table.into(), name.into(), kind.into(), key);
        let shape =
            |kind: &str, key| shapes(vec![column("t", "k", "TEXT", key), column("t", "v", kind, false)]).unwrap();
        let same = shape("bigint", true);
        assert_eq!(agreed(shape("INTEGER", true), same.clone()).unwrap(), same);
        for (a, b) in [(shape("TEXT", true), same.clone()), (vec![], same.clone()), (same, vec![])] {
            assert!(matches!(agreed(a, b), Err(MoveError::Unlike { table }) if table == "t"));
        }
        assert!(agreed(shape("TEXT", false), shape("TEXT", false)).is_err(), "without a key there are no slices");
        assert!(shapes(vec![column("t", "k", "REAL", true)]).is_err());
    }
}
