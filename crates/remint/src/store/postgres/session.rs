//! One connection, driven by the thread that owns it: statements are prepared once, and those that need not wait for each
//! other travel together. Never waits longer than its patience, and after that never says what became of a statement.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all, try_join3};
use remint_core::change::RowKey;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Connection, Error, Row, SimpleQueryMessage, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::column::Column;
use super::place::Place;
use super::trouble::Trouble;
use crate::store::documents::Age;
use crate::store::error::StoreError;
use crate::store::record::Param;

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// As [`WRITING`], where a snapshot is to be left first.
const WRITING_INSTEAD: &str = "ROLLBACK; BEGIN ISOLATION LEVEL READ COMMITTED";
const AGE: &str = "SELECT age FROM document_age WHERE one = 1";

/// What the statements of a session are part of.
#[derive(Clone, Copy)]
enum Scope {
    /// Each is by itself.
    None,
    /// One statement, and no other: it is a snapshot by itself.
    One { asked: bool },
    /// The next statement begins a snapshot.
    ToBegin,
    /// A snapshot in which clients and apis have this age.
    Snapshot(Age),
    /// A transaction that writes.
    Writing,
}

/// What a connection is carried by.
type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A connection and all that belongs to it.
pub(in crate::store) struct Session {
    runtime: Runtime,
    client: Client,
    patience: Duration,
    statements: RefCell<HashMap<&'static str, Statement>>,
    scope: Cell<Scope>,
    /// Rows that were fetched together, for as long as their snapshot lasts.
    fetched: RefCell<HashMap<RowKey, Option<Rc<Row>>>>,
    broken: Cell<bool>,
    era: Cell<u64>,
}

impl Session {
    /// A session to work with.
    pub(super) fn open(place: &Place) -> Result<Self, Trouble> {
        let session = Self::bare(place)?;
        session.script(&place.settings())?;
        Ok(session)
    }

    /// A session as the server gives it.
    pub(super) fn bare(place: &Place) -> Result<Self, Trouble> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| Trouble::lost(&error))?;
        let (client, connection) = runtime.block_on(connected(place))?;
        runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %Trouble::from(error), "a connection to the database ended");
            }
        });
        Ok(Self {
            runtime,
            client,
            patience: place.patience,
            statements: RefCell::default(),
            scope: Cell::new(Scope::None),
            fetched: RefCell::default(),
            broken: Cell::new(false),
            era: Cell::new(0),
        })
    }

    /// The era that it began in.
    pub(super) fn era(&self) -> u64 {
        self.era.get()
    }

    /// It began in this era.
    pub(super) fn begins_in(&self, era: u64) {
        self.era.set(era);
    }

    /// Whether it is of no use any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.get() || self.client.is_closed()
    }

    /// What follows is one statement.
    pub(super) fn begin_one(&self) {
        self.scope.set(Scope::One { asked: false });
    }

    /// What follows sees one snapshot.
    pub(super) fn begin_snapshot(&self) {
        self.scope.set(Scope::ToBegin);
    }

    /// Leaves the snapshot, or gives up what was being written.
    pub(super) fn leave(&self) {
        self.fetched.borrow_mut().clear();
        let left = match self.scope.replace(Scope::None) {
            _ if self.is_broken() => Ok(()), // nobody would answer
            Scope::Snapshot(_) | Scope::Writing => self.run(self.client.batch_execute("ROLLBACK")),
            Scope::None | Scope::One { .. } | Scope::ToBegin => Ok(()),
        };
        if left.is_err() {
            self.broken.set(true);
        }
    }

    /// The age of clients and apis in this snapshot; none where there is no snapshot that others see too.
    pub(in crate::store) fn age(&self) -> Result<Option<Age>, Trouble> {
        match self.scope.get() {
            Scope::Snapshot(age) => Ok(Some(age)),
            Scope::ToBegin => self.run(async {
                let age = self.prepared(AGE).await?;
                let begun = try_join(self.client.batch_execute(SNAPSHOT), self.client.query_one(&age, &[]));
                self.begun(&begun.await?.1).map(Some)
            }),
            Scope::None | Scope::One { .. } | Scope::Writing => Ok(None),
        }
    }

    /// The age of clients and apis now.
    pub(super) fn age_now(&self) -> Result<Age, Trouble> {
        self.begin_one();
        let found = self.rows(AGE, &[])?;
        let age = found.first().map(|row| row.try_get(0)).transpose()?;
        age.map(|age| Age::stored(age, self.era.get())).ok_or_else(|| Trouble::Failed(no_age()))
    }

    fn begun(&self, age: &Row) -> Result<Age, Error> {
        let age = Age::stored(age.try_get(0)?, self.era.get());
        self.scope.set(Scope::Snapshot(age));
        Ok(age)
    }

    /// The rows that a statement answers.
    pub(in crate::store) fn rows(&self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>, Trouble> {
        if let Scope::One { asked } = self.scope.get() {
            if asked {
                return Err(Trouble::Failed(StoreError::Io { what: "asked more than it said".into() }));
            }
            self.scope.set(Scope::One { asked: true });
        }
        self.asked(sql, &params.iter().map(|param| param as &(dyn ToSql + Sync)).collect::<Vec<_>>())
    }

    fn asked(&self, sql: &'static str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Trouble> {
        self.run(async {
            let statement = self.prepared(sql).await?;
            if !matches!(self.scope.get(), Scope::ToBegin) {
                return self.client.query(&statement, params).await;
            }
            let age = self.prepared(AGE).await?;
            let begin = self.client.batch_execute(SNAPSHOT);
            let asked = (self.client.query_one(&age, &[]), self.client.query(&statement, params));
            let ((), age, rows) = try_join3(begin, asked.0, asked.1).await?; // sent in this order
            self.begun(&age)?;
            Ok(rows)
        })
    }

    /// Keeps a row of this snapshot, or that there is none.
    pub(super) fn keep(&self, key: RowKey, row: Option<Rc<Row>>) {
        self.fetched.borrow_mut().insert(key, row);
    }

    /// A row that is kept.
    pub(in crate::store) fn fetched(&self, key: &RowKey) -> Option<Option<Rc<Row>>> {
        self.fetched.borrow().get(key).cloned()
    }

    /// The rows of a statement over whole columns, in the snapshot.
    pub(super) fn many(&self, call: &Call<'_>) -> Result<Vec<Row>, Trouble> {
        self.asked(call.sql, &call.params())
    }

    /// Nothing more is asked in the snapshot: it is left on the way with what comes next, or by [`Self::leave`].
    pub(super) fn asked_all(&self) {
        self.fetched.borrow_mut().clear();
    }

    /// Begins to write, and asks all these at once.
    pub(super) fn begin_writing(&self, asked: &[Call<'_>]) -> Result<Vec<Vec<Row>>, Trouble> {
        let begin = match self.scope.replace(Scope::Writing) {
            Scope::Snapshot(_) => WRITING_INSTEAD,
            Scope::None | Scope::One { .. } | Scope::ToBegin | Scope::Writing => WRITING,
        };
        self.run(async {
            let statements = self.all_prepared(asked).await?;
            let params = asked.iter().map(Call::params).collect::<Vec<_>>();
            let rows = statements.iter().zip(&params).map(|(statement, params)| self.client.query(statement, params));
            try_join(self.client.batch_execute(begin), in_order(rows)).await.map(|((), rows)| rows)
        })
    }

    /// One statement that writes, a transaction by itself: what it answers is committed.
    pub(super) fn at_once(&self, call: &Call<'_>) -> Result<Vec<Row>, Trouble> {
        let statement = self.run(self.prepared(call.sql))?;
        let left = matches!(self.scope.replace(Scope::None), Scope::Snapshot(_));
        let done = self.run(async {
            let params = call.params();
            let asked = self.client.query(&statement, &params);
            if !left {
                return asked.await;
            }
            try_join(self.client.batch_execute("ROLLBACK"), asked).await.map(|((), rows)| rows) // sent in this order
        });
        done.map_err(Trouble::of_one_statement)
    }

    /// Runs all these at once; how many rows each of them changed.
    pub(super) fn execute(&self, calls: &[Call<'_>]) -> Result<Vec<u64>, Trouble> {
        self.run(async {
            let statements = self.all_prepared(calls).await?;
            let params = calls.iter().map(Call::params).collect::<Vec<_>>();
            let done = statements.iter().zip(&params).map(|(statement, params)| self.client.execute(statement, params));
            in_order(done).await
        })
    }

    /// Commits what was written. Where the answer does not come, nobody knows what became of it.
    pub(in crate::store) fn commit(&self) -> Result<(), Trouble> {
        self.scope.set(Scope::None);
        self.run(self.client.batch_execute("COMMIT")).map_err(Trouble::of_commit)
    }

    /// The rows of a statement that is asked too seldom to be kept.
    pub(in crate::store) fn seldom(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Trouble> {
        self.run(self.client.query(sql, params))
    }

    /// Statements as they stand, several of them, outside of everything.
    pub(in crate::store) fn script(&self, sql: &str) -> Result<(), Trouble> {
        self.run(self.client.batch_execute(sql))
    }

    /// The process of the server that answers: another one each time where a pooler stands between.
    pub(super) fn server_process(&self) -> Result<Option<String>, Trouble> {
        self.told("SELECT pg_backend_pid()")
    }

    /// Since when the server runs: another time says another server, or one that was started anew.
    pub(super) fn server_start(&self) -> Result<Option<String>, Trouble> {
        self.told("SELECT pg_postmaster_start_time()")
    }

    fn told(&self, sql: &str) -> Result<Option<String>, Trouble> {
        let said = self.run(self.client.simple_query(sql))?;
        Ok(said.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    async fn all_prepared(&self, calls: &[Call<'_>]) -> Result<Vec<Statement>, Error> {
        let mut all = Vec::with_capacity(calls.len());
        for call in calls {
            all.push(self.prepared(call.sql).await?);
        }
        Ok(all)
    }

    async fn prepared(&self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.borrow_mut().insert(sql, statement.clone());
        Ok(statement)
    }

    fn run<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
        let done = self.runtime.block_on(async { tokio::time::timeout(self.patience, work).await });
        let done = done.map_err(|_| Trouble::silent()).and_then(|done| done.map_err(Trouble::from));
        if matches!(done, Err(Trouble::Lost(_))) {
            self.broken.set(true);
        }
        done
    }
}

fn no_age() -> StoreError {
    StoreError::Corrupt { table: "document_age", key: "1".to_owned(), what: "it is not there".to_owned() }
}

/// A connection with the first host that lets a writer in, or why the last did not.
async fn connected(place: &Place) -> Result<(Client, Wire), Trouble> {
    let (hosts, patience) = place.hosts();
    let mut trouble = Trouble::silent();
    for host in hosts {
        trouble = match tokio::time::timeout(patience, host.connect(place.tls.clone())).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => Trouble::of_connecting(error),
            Err(_) => Trouble::silent(),
        };
    }
    Err(trouble)
}

/// More than so many are polled in no particular order by what joins them.
const JOINED: usize = 24;

/// All of them, sent in their order without waiting for each other.
async fn in_order<T>(all: impl Iterator<Item = impl Future<Output = Result<T, Error>>>) -> Result<Vec<T>, Error> {
    let (mut all, mut done) = (all.peekable(), Vec::new());
    while all.peek().is_some() {
        done.extend(try_join_all(all.by_ref().take(JOINED)).await?);
    }
    Ok(done)
}

/// A statement over whole columns of values.
pub(super) struct Call<'a> {
    pub(super) sql: &'static str,
    pub(super) columns: Vec<Column<'a>>,
}

impl Call<'_> {
    fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect()
    }
}
