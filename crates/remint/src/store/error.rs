//! Why the store could not do what it was asked. None of these is an answer: a caller turns each into 503, never into
//! success and never into "not found". Never carries a value of a row, only the names of tables and keys.

use std::path::PathBuf;

/// A question or a commit that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// More commits wait than the queue holds, or another program has the file locked: shed the request. Nothing was
    /// written.
    #[error("the store is busy")]
    Busy,
    /// The commit failed half way: it may or may not be written.
    #[error("the commit failed: it may or may not be written")]
    Unknown,
    /// The file or the file system is read-only. Nothing was written.
    #[error("the store is read-only")]
    ReadOnly,
    /// The disk, or the limit set for the file, is full. Nothing was written.
    #[error("the store is full")]
    Full,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The file holds what this program never wrote.
    #[error("the store is corrupt: {what} in table `{table}`, key `{key}`")]
    Corrupt {
        /// The table, or `file` where the whole file is meant.
        table: &'static str,
        /// The key of the row.
        key: String,
        /// What is wrong there.
        what: String,
    },
    /// A number is beyond what a column holds (2^63 - 1). Nothing was written.
    #[error("`{column}` is too large for the table `{table}`")]
    Unstorable {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The database or the operating system failed in another way. Nothing was written.
    #[error("the store failed: {what}")]
    Io {
        /// What it said.
        what: String,
    },
}

/// A store that could not be opened, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process: stop it first, or name another data directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The file is of another program, or no database.
    #[error("{} is not a Remint data file: name another data directory", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file is a copy: served as it is, it would pass for the history that went on after it was taken.
    #[error("{} is a backup: move it elsewhere and restore it with `remint restore FILE`", path.display())]
    Backup {
        /// The file.
        path: PathBuf,
    },
    /// A migration into it was cut off: not all of the installation is there.
    #[error(
        "not all is in {place} yet: a migration into it runs, or was cut off. Let `remint migrate` run to its end, once \
         more if need be; to begin with another installation, name another place"
    )]
    Unfinished {
        /// The file or the database.
        place: String,
    },
    /// A later version of this program wrote the file.
    #[error("{} has schema {found}, this program knows up to {known}: install a newer version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The latest that this program knows.
        known: u32,
    },
    /// The file may not be written.
    #[error("{} is read-only: give this user write permission to it and to its directory", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot open {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("cannot open {}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// What it holds cannot be read.
    #[error("cannot open {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// What should say where the database is does not.
    #[error("the URL of the database cannot be read: {what}. Write postgres://USER@HOST/DATABASE")]
    BadUrl {
        /// Why.
        what: String,
    },
    /// The file of the authorities of the database cannot be used.
    #[error("`database_ca_file` ({}) cannot be used: {what}. It must hold certificates in PEM", path.display())]
    BadCaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// This machine names no authorities.
    #[error("nobody can vouch for the database: {what}. Install ca-certificates, or set `database_ca_file`")]
    NoAuthorities {
        /// Why.
        what: String,
    },
    /// The database cannot be reached, or refuses.
    #[error("cannot open the database {place}: {what}")]
    Refused {
        /// Which database.
        place: String,
        /// Why.
        what: String,
    },
    /// Somebody else is connected to the database, and must not be.
    #[error("the database {place} is in use ({by}): stop its nodes and close every other connection to it first")]
    InUse {
        /// Which database.
        place: String,
        /// By whom.
        by: String,
    },
    /// There are tables in the database, and none of them is ours.
    #[error("the database {place} holds tables of another program: name an empty database")]
    ForeignTables {
        /// Which database.
        place: String,
    },
    /// A later version of this program wrote the database.
    #[error("the database {place} has schema {found}, this program knows up to {known}: install a newer version")]
    NewerDatabase {
        /// Which database.
        place: String,
        /// Its schema.
        found: u32,
        /// The latest that this program knows.
        known: u32,
    },
}
