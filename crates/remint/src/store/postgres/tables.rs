//! The statements that a batch needs of each kind of row: many rows at once, found by their keys. Made of the columns that
//! the statements of one row name, so that a column is named once.

use std::sync::LazyLock;

use remint_core::change::RowKey;
use remint_core::id::{ChallengeId, SessionId, UserId};

use super::column::Kind::{self, Blob, Int, Text};
use crate::store::record::{BadColumn, Record};
use crate::store::rows::{self, Table};

/// One kind of row.
pub(super) struct Bulk {
    pub(super) name: &'static str,
    /// What the values of a row are, key last, in the order of its `INSERT`.
    pub(super) kinds: Vec<Kind>,
    /// Which of the last of them are the key.
    pub(super) keys: usize,
    /// Rows by the first column of their key, whole.
    pub(super) fetch: String,
    /// Locks rows by the first column of their key: they are to be written. Answers id and `rev`.
    pub(super) lock: String,
    /// The same, so that nobody else writes them.
    pub(super) share: String,
    /// Rows that must not exist.
    pub(super) insert: String,
    /// Rows at a key and a `rev`, to another.
    pub(super) update: String,
    /// As `update`; answers the keys of those that were there.
    pub(super) renew: String,
    /// Nothing at a key and a `rev`.
    pub(super) delete: String,
    /// Makes a key of an id.
    key: fn(&mut Record<'_>) -> Result<RowKey, BadColumn>,
}

impl Bulk {
    fn new(
        table: &'static Table,
        (kinds, keys): (&[Kind], usize),
        key: fn(&mut Record<'_>) -> Result<RowKey, BadColumn>,
    ) -> Self {
        let (kinds, name) = (kinds.to_vec(), table.name);
        let columns = columns(table);
        let of_key = &columns[columns.len() - keys..];
        let (first, id) = (of_key[0], of_key[keys - 1]);
        let list = |columns: &[&str]| columns.join(", ");
        let sets: Vec<_> =
            columns[..columns.len() - keys].iter().map(|column| format!("{column} = k.{column}")).collect();
        let at: Vec<_> = of_key.iter().map(|column| format!("t.{column} = k.{column}")).collect();
        let at = at.join(" AND ");
        let first_kind = kinds[kinds.len() - keys];
        let locked = format!(
            "SELECT t.{id}, t.rev FROM {} AS k (key) JOIN {name} AS t ON t.{first} = k.key ORDER BY t.{first}",
            unnest(&[first_kind])
        );
        let every: Vec<Kind> = kinds.iter().copied().chain([Int]).collect();
        let update = format!(
            "UPDATE {name} AS t SET {}, rev = k.rev FROM {} AS k ({}, rev, was) WHERE {at} AND t.rev = k.was",
            sets.join(", "),
            unnest(&[every.as_slice(), &[Int]].concat()),
            list(&columns),
        );
        let whole = table.select.split(" WHERE ").next().unwrap_or_default();
        Self {
            fetch: format!("{whole} WHERE {first} = ANY($1::{})", first_kind.array()),
            insert: format!(
                "INSERT INTO {name} ({}, rev) SELECT * FROM {} ON CONFLICT DO NOTHING",
                list(&columns),
                unnest(&every)
            ),
            renew: format!("{update} RETURNING t.{id}"),
            update,
            delete: format!(
                "DELETE FROM {name} AS t USING {} AS k ({}, was) WHERE {at} AND t.rev = k.was",
                unnest(&[&kinds[kinds.len() - keys..], &[Int]].concat()),
                list(of_key),
            ),
            lock: format!("{locked} FOR UPDATE OF t"),
            share: format!("{locked} FOR SHARE OF t"),
            name,
            kinds,
            keys,
            key,
        }
    }

    /// The key of a row that was locked.
    pub(super) fn key(&self, record: &mut Record<'_>) -> Result<RowKey, BadColumn> {
        (self.key)(record)
    }
}

/// The columns of a table, as its `INSERT` names them, without `rev`.
fn columns(table: &'static Table) -> Vec<&'static str> {
    let named = table.insert.split(['(', ')']).nth(1).unwrap_or_default();
    named.split(',').map(str::trim).filter(|column| *column != "rev").collect()
}

/// Arrays as rows: the statement takes one array for each column.
fn unnest(kinds: &[Kind]) -> String {
    let arrays: Vec<_> = kinds.iter().enumerate().map(|(i, kind)| format!("${}::{}", i + 1, kind.array())).collect();
    format!("UNNEST({})", arrays.join(", "))
}

/// The kinds of a user's values, and those of a session's.
const USER: &[Kind] = &[Int, Int, Text, Text, Text, Int, Text, Int, Blob];
const SESSION: &[Kind] = &[
    Text, Int, Text, Int, Text, Blob, Int, Int, Int, Int, Blob, Int, Int, Text, Int, Text, Int, Int, Int, Int, Text,
    Text, Text, Blob, Int, Blob,
];

/// Every table of rows, in the order in which a batch locks them: on every node the same.
pub(super) static TABLES: LazyLock<[Bulk; 10]> = LazyLock::new(|| {
    [
        Bulk::new(&rows::CLIENTS, (&[Int, Text, Text], 1), |record| record.parsed("id").map(RowKey::Client)),
        Bulk::new(&rows::APIS, (&[Text, Text, Text], 1), |record| record.parsed("id").map(RowKey::Api)),
        Bulk::new(&rows::ATTRIBUTES, (&[Text, Text], 1), |record| record.parsed("name").map(RowKey::Attribute)),
        Bulk::new(&rows::KEYS, (&[Text, Text, Int, Int, Blob, Text, Text], 1), |record| {
            record.text("kid").map(|kid| RowKey::Key(kid.to_owned()))
        }),
        Bulk::new(&rows::SENDERS, (&[Text, Blob, Text], 1), |record| record.parsed("name").map(RowKey::Sender)),
        Bulk::new(&rows::USERS, (USER, 2), |record| record.bytes("id").map(|id| RowKey::User(UserId::from_bytes(id)))),
        Bulk::new(&rows::IDENTIFIERS, (&[Blob, Text], 1), |record| {
            record.text("text").map(|text| RowKey::Identifier(text.to_owned()))
        }),
        Bulk::new(&rows::PASSWORDS, (&[Text, Int, Blob], 1), |record| {
            record.bytes("user_id").map(|id| RowKey::Password(UserId::from_bytes(id)))
        }),
        Bulk::new(&rows::SESSIONS, (SESSION, 2), |record| {
            record.bytes("sid").map(|sid| RowKey::Session(SessionId::from_bytes(sid)))
        }),
        Bulk::new(&rows::CHALLENGES, (&[Blob, Text, Text, Blob, Blob, Int, Int, Blob], 1), |record| {
            record.bytes("id").map(|id| RowKey::Challenge(ChallengeId::from_bytes(id)))
        }),
    ]
});

/// The table that a key is of.
pub(super) const fn table(key: &RowKey) -> usize {
    match key {
        RowKey::Client(_) => 0,
        RowKey::Api(_) => APIS,
        RowKey::Attribute(_) => 2,
        RowKey::Key(_) => 3,
        RowKey::Sender(_) => 4,
        RowKey::User(_) => 5,
        RowKey::Identifier(_) => 6,
        RowKey::Password(_) => 7,
        RowKey::Session(_) => 8,
        RowKey::Challenge(_) => 9,
    }
}

/// Where the table of apis is.
pub(super) const APIS: usize = 1;

/// The apis that have one of these audiences, locked: two never share one.
pub(super) const AUDIENCES: &str =
    "SELECT id, rev, audience FROM apis WHERE audience = ANY($1::TEXT[]) ORDER BY id FOR UPDATE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_names_as_many_columns_as_it_has_kinds_and_stands_where_its_keys_look() {
        for bulk in TABLES.iter() {
            let arrays = bulk.insert.matches("[]").count();
            assert_eq!((arrays, bulk.insert.matches('$').count()), (bulk.kinds.len() + 1, bulk.kinds.len() + 1));
            assert_eq!(bulk.insert.split(['(', ')']).nth(1).unwrap().split(',').count(), arrays, "{}", bulk.insert);
        }
        let keys = [RowKey::User(UserId::from_bytes([0; 16])), RowKey::Session(SessionId::from_bytes([0; 16]))];
        assert_eq!(keys.map(|key| TABLES[table(&key)].name), ["users", "sessions"]);
    }
}
