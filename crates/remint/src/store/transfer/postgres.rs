//! A database as one side of a migration. A source is held by locks that let nobody write; a target bears the mark of the
//! unfinished first, and loses it in the commit that makes it whole.

use std::path::Path;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{MARK, MoveError, Shape, Side, Target, UNFINISHED, Values, behind, shapes};
use crate::store::error::{OpenError, StoreError};
use crate::store::postgres::schema::Found;
use crate::store::postgres::{AGE, Alone, Column, Kind, Session, Trouble, field, schema, text};
use crate::store::record::Param;

const TABLES: &str = "SELECT table_name::TEXT FROM information_schema.tables WHERE table_schema = current_schema() \
                      AND table_type = 'BASE TABLE' \
                     AND NOT EXISTS (SELECT 1 FROM pg_class AS r JOIN pg_namespace AS n ON n.oid = r.relnamespace \
        WHERE n.nspname = tables.table_schema AND r.relname = tables.table_name AND r.relispartition)";

const COLUMNS: &str = "SELECT c.table_name::TEXT, c.column_name::TEXT, c.data_type::TEXT, \
      CASE WHEN k.column_name IS NULL THEN '' ELSE 'key' END \
    FROM information_schema.columns AS c \
    JOIN information_schema.tables AS b \
      ON b.table_schema = c.table_schema AND b.table_name = c.table_name AND b.table_type = 'BASE TABLE' \
    LEFT JOIN (information_schema.table_constraints AS t JOIN information_schema.key_column_usage AS k \
        USING (constraint_schema, constraint_name, table_schema, table_name)) \
      ON t.constraint_type = 'PRIMARY KEY' AND k.table_schema = c.table_schema AND k.table_name = c.table_name \
        AND k.column_name = c.column_name \
    WHERE c.table_schema = current_schema() \
      AND NOT EXISTS (SELECT 1 FROM pg_class AS r JOIN pg_namespace AS n ON n.oid = r.relnamespace \
        WHERE n.nspname = c.table_schema AND r.relname = c.table_name AND r.relispartition) ORDER BY 1, 2";

/// Columns that the database numbers: it goes on behind what was moved.
const NUMBERED: &str = "SELECT 'SELECT setval(pg_get_serial_sequence(''' || table_name || ''', ''' || column_name || \
      '''), MAX(' || column_name || ')) FROM ' || table_name \
    FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES'";

/// Only one migration at a time goes into a database.
const ONE_AT_A_TIME: &str = "SELECT CASE WHEN pg_try_advisory_xact_lock(1380798037) THEN 'mine' ELSE '' END";

/// A connection, in a transaction.
pub(super) struct Tables(Session);

impl Tables {
    /// A database with an installation; an earlier schema is brought to the latest, as a node does.
    pub(super) fn source(url: &str, ca_file: Option<&Path>) -> Result<Self, MoveError> {
        let Alone { place, session } = Alone::at(url, ca_file)?;
        let refused = |trouble: Trouble| OpenError::Refused { place: place.to_string(), what: trouble.to_string() };
        if schema::schema_of_ours(&session, &place, schema::LATEST)?.version == 0 {
            return Err(MoveError::NothingThere(place.to_string()));
        }
        schema::migrate(&place, &[], [0; 16])?;
        let tables = texts(&session, TABLES).map_err(refused)?.join(", ");
        session.script("BEGIN ISOLATION LEVEL REPEATABLE READ").map_err(refused)?;
        session.script(&format!("LOCK TABLE {tables} IN SHARE MODE")).map_err(refused)?;
        Ok(Self(session))
    }

    /// An empty database, or what a migration left behind that was cut off.
    pub(super) fn target(url: &str, ca_file: Option<&Path>) -> Result<Self, MoveError> {
        let Alone { place, session } = Alone::at(url, ca_file)?;
        let refused = |trouble: Trouble| OpenError::Refused { place: place.to_string(), what: trouble.to_string() };
        schema::begin(&session).map_err(refused)?;
        match texts(&session, TABLES).map_err(refused)?.as_slice() {
            [] => session.script(MARK).map_err(refused)?,
            [one] if one == UNFINISHED => {}
            _ => return Err(MoveError::NotEmpty(place.to_string())),
        }
        session.script("COMMIT; BEGIN").map_err(refused)?;
        if texts(&session, ONE_AT_A_TIME).map_err(refused)? != ["mine"] {
            return Err(MoveError::UnderWay(place.to_string()));
        }
        schema::build(&session, Found::default(), &[], [0; 16]).map_err(refused)?;
        Ok(Self(session))
    }
}

/// The first value of each row.
fn texts(session: &Session, sql: &str) -> Result<Vec<String>, Trouble> {
    session.seldom(sql, &[]).map(|rows| rows.iter().map(|row| text(row, 0)).collect())
}

impl Side for Tables {
    fn shapes(&self) -> Result<Vec<Shape>, StoreError> {
        let column = |row: &Row| (text(row, 0), text(row, 1), text(row, 2), text(row, 3) == "key");
        shapes(self.0.seldom(COLUMNS, &[])?.iter().map(column).collect())
    }

    fn slice(&self, shape: &Shape, after: Option<Param<'static>>) -> Result<Vec<Values>, StoreError> {
        let sql = shape.next_rows(after.is_some());
        let params = behind(after);
        let params: Vec<_> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
        self.0.seldom(&sql, &params)?.iter().map(|row| shape.row(|at| field(row, at))).collect()
    }
}

impl Target for Tables {
    fn clear(&self, shape: &Shape) -> Result<(), StoreError> {
        Ok(self.0.script(&format!("DELETE FROM {}", shape.name))?)
    }

    fn append(&self, shape: &Shape, rows: &[Values]) -> Result<(), StoreError> {
        let kinds: Vec<Kind> = shape.columns.iter().map(|(_, kind)| *kind).collect();
        let arrays: Vec<_> =
            kinds.iter().enumerate().map(|(i, kind)| format!("${}::{}", i + 1, kind.array())).collect();
        let (table, columns) = (&shape.name, shape.column_names());
        let insert = format!("INSERT INTO {table} ({columns}) SELECT * FROM UNNEST({})", arrays.join(", "));
        let columns = Column::all(&kinds, rows);
        let params: Vec<_> = columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
        Ok(self.0.seldom(&insert, &params).map(drop)?)
    }

    fn finish(&self) -> Result<(), StoreError> {
        for number in texts(&self.0, NUMBERED)? {
            self.0.script(&number)?;
        }
        // What nodes keep in memory of an earlier database at this place is not good for this one.
        self.0.script(&format!("{AGE}; DROP TABLE {UNFINISHED}"))?;
        Ok(self.0.commit()?)
    }
}
