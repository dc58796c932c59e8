//! An installation that is moved from one database into the other and back is the same, every table of it; and whatever is in
//! the way is named, and leaves both sides as they were.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use remint::store::{
    Counter, FeedAfter, FeedEntry, FeedHead, MoveError, Moved, OpenError, Progress, Store, StoreOptions, Whereabouts,
    relocate,
};
use remint_core::audit::{Act, Doer, Entry, Target};
use remint_core::change::{Changes, Row, Take};
use remint_core::time::Timestamp;
use rusqlite::Connection;

use crate::cluster::Cluster;
use crate::promises::{At, done};
use crate::samples::{SEED, ended, every_row, stored, uid, user};
use crate::{Fixture, PostgresDatabase, SqliteFile};

/// Tables that say something of their own database only.
const OF_THE_STORE: [&str; 2] = ["document_age", "remint_schema"];

fn file(at: &SqliteFile) -> Whereabouts {
    Whereabouts::Sqlite(at.path())
}

fn database(at: &PostgresDatabase) -> Whereabouts {
    Whereabouts::Postgres(at.url().parse().unwrap())
}

/// Moves, where no runtime drives the test's own thread.
async fn moved(from: Whereabouts, to: Whereabouts) -> Result<Vec<Moved>, MoveError> {
    tokio::task::spawn_blocking(move || relocate(&from, &to, None, &mut |_| {})).await.unwrap()
}

async fn refused(from: Whereabouts, to: Whereabouts) -> String {
    moved(from, to).await.unwrap_err().to_string()
}

fn tables_of_file(path: PathBuf) -> BTreeSet<String> {
    let file = Connection::open(path).unwrap();
    let mut tables = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let names = tables.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

fn tables_of_database(at: &PostgresDatabase) -> BTreeSet<String> {
    let tables = at.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    tables.into_iter().filter(|table| !OF_THE_STORE.contains(&table.as_str())).collect()
}

/// An entry of the audit log.
fn told(secs: i64) -> Entry {
    Doer::operator().did(Act::UserCreated, Target::User(uid(1)), Timestamp::from_secs(secs))
}

/// Something in every table.
async fn full(store: &Store) {
    for row in every_row() {
        done(store, Changes::none().write(row)).await;
    }
    let take =
        Take { key: "log-in ada".into(), limit: 7, window: Duration::from_secs(60), at: Timestamp::from_secs(100) };
    let changes = Changes::none().take(take).notice(ended(1, 1, 9)).notice(ended(2, 1, 9));
    done(store, changes.audit(told(5)).audit(told(6))).await;
}

/// All that was written, as it reads, and that it goes on.
async fn is_whole(store: &Store, before: &[FeedEntry]) {
    for row in every_row() {
        assert_eq!(store.read(At(row.key())).await.unwrap(), Some(stored(&row)));
    }
    assert_eq!(store.read(Counter("log-in ada".into())).await.unwrap().unwrap().count, 1);
    let feed = store.read(FeedAfter { seq: 0, limit: 99 }).await.unwrap();
    assert_eq!(feed, before);
    done(store, Changes::none().audit(told(7)).notice(ended(3, 1, 9))).await;
    assert_eq!(store.read(FeedHead).await.unwrap().seq, before.len() as u64 + 1, "the same history goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_both_databases_is_moved_and_back_again() {
    let (at, there, back) = (SqliteFile::new(), PostgresDatabase::new(), SqliteFile::new());
    let store = at.open();
    full(&store).await;
    let feed = store.read(FeedAfter { seq: 0, limit: 99 }).await.unwrap();
    store.close().await;

    let first = moved(file(&at), database(&there)).await.unwrap();
    let second = moved(database(&there), file(&back)).await.unwrap();
    assert_eq!(first, second, "the same rows, table by table");
    assert!(first.iter().all(|moved| moved.tally.rows > 0), "else a table that is not read would pass: {first:#?}");
    let names: BTreeSet<String> = first.into_iter().map(|moved| moved.table).collect();
    assert_eq!((tables_of_file(at.path()), tables_of_database(&there)), (names.clone(), names));

    is_whole(&there.open(), &feed).await;
    is_whole(&back.open(), &feed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_rows_than_a_slice_arrive_each_once() {
    let (at, there, back) = (SqliteFile::new(), PostgresDatabase::new(), SqliteFile::new());
    drop(at.open());
    // Keys in no order, and such as sort differently by a language than by their bytes.
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
                INSERT INTO counters SELECT CHAR(65 + i % 60) || 'ä' || (i * 7919 % 3001) || CHAR(97 - i % 40), i, 1, 2 FROM n";
    Connection::open(at.path()).unwrap().execute_batch(many).unwrap();
    let mut heard = 0;
    let (from, to) = (file(&at), database(&there));
    let first = tokio::task::spawn_blocking(move || {
        let mut count = |progress: Progress<'_>| heard += u32::from(matches!(progress, Progress::Copied { .. }));
        (relocate(&from, &to, None, &mut count).unwrap(), heard)
    });
    let (first, heard) = first.await.unwrap();
    assert!(heard as usize >= first.len() + 3, "in slices");
    let rows = |table: &str| first.iter().find(|moved| moved.table == table).unwrap().tally.rows;
    assert_eq!((rows("counters"), there.ask("SELECT COUNT(*)::TEXT FROM counters")), (3000, vec!["3000".into()]));
    assert_eq!(first, moved(database(&there), file(&back)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_in_use_is_not_moved() {
    let (at, other, there) = (SqliteFile::new(), SqliteFile::new(), PostgresDatabase::new());
    let store = at.open();
    let told = refused(file(&at), database(&there)).await;
    assert!(told.contains("in use by another process"), "{told}");
    assert_eq!(tables_of_database(&there), BTreeSet::new());
    store.close().await;
    moved(file(&at), database(&there)).await.unwrap();

    let node = there.open();
    let told = refused(database(&there), file(&other)).await;
    assert!(told.contains("is in use (") && told.contains("as remint") && told.contains("stop its nodes"), "{told}");
    assert!(!other.path().exists());
    done(&node, Changes::none().write(Row::User(user(1)))).await;
    node.close().await;
    moved(database(&there), file(&other)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_over_and_nothing_is_made_of_nothing() {
    let (at, there) = (SqliteFile::new(), PostgresDatabase::new());
    let told = refused(file(&at), database(&there)).await;
    assert!(told.contains("no installation") && !at.path().exists(), "{told}");
    std::fs::write(at.path(), "").unwrap();
    assert!(refused(file(&at), database(&there)).await.contains("no installation"));
    assert!(refused(database(&there), file(&at)).await.contains("no installation"));
    assert_eq!(tables_of_database(&there), BTreeSet::new());

    full(&at.open()).await;
    let other = SqliteFile::new();
    drop(other.open());
    let before = std::fs::read(other.path()).unwrap();
    assert!(refused(file(&at), file(&other)).await.contains("nothing is overwritten"));
    std::fs::write(other.path(), "somebody's own text, not a data file of any kind".repeat(99)).unwrap();
    assert!(refused(file(&at), file(&other)).await.contains("nothing is overwritten"));
    assert_ne!(before, std::fs::read(other.path()).unwrap());
    drop(there.open());
    assert!(refused(file(&at), database(&there)).await.contains("nothing is overwritten"));
    let foreign = PostgresDatabase::new();
    foreign.ask("CREATE TABLE somebodys (one BIGINT)");
    assert!(refused(file(&at), database(&foreign)).await.contains("nothing is overwritten"));
    assert_eq!(foreign.ask("SELECT COUNT(*)::TEXT FROM pg_tables WHERE schemaname = 'public'"), ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_only_one_store_has_is_named_and_nothing_is_moved() {
    let (at, there) = (SqliteFile::new(), PostgresDatabase::new());
    drop(at.open());
    Connection::open(at.path()).unwrap().execute_batch("CREATE TABLE added (one BIGINT PRIMARY KEY)").unwrap();
    let told = refused(file(&at), database(&there)).await;
    assert!(told.contains("`added` is not the same in both stores"), "{told}");
    let Err(error) = Store::connect(&there.url(), StoreOptions::default(), SEED) else { panic!("it was opened") };
    assert!(matches!(error, OpenError::Unfinished { .. }) && error.to_string().contains("remint migrate"), "{error}");
    Connection::open(at.path()).unwrap().execute_batch("DROP TABLE added").unwrap();
    moved(file(&at), database(&there)).await.unwrap();
    drop(there.open());
}

/// A value that one side takes and the other does not, behind rows that were copied already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_half_way_leaves_a_place_that_no_server_serves_and_that_is_filled_the_next_time() {
    let (at, there, back) = (SqliteFile::new(), PostgresDatabase::new(), SqliteFile::new());
    full(&at.open()).await;
    let change = |sql: &str| Connection::open(at.path()).unwrap().execute_batch(sql).unwrap();
    change("INSERT INTO senders VALUES ('a' || CHAR(0), 1, '{}', x'00')");
    let told = refused(file(&at), database(&there)).await;
    assert!(told.contains("Nothing was moved: run it again"), "{told}");
    assert_eq!(tables_of_database(&there), ["migration_unfinished".to_owned()].into());
    let Err(error) = Store::connect(&there.url(), StoreOptions::default(), SEED) else { panic!("it was opened") };
    assert!(matches!(error, OpenError::Unfinished { .. }), "{error}");
    change("DELETE FROM senders WHERE name <> 'sms'");
    moved(file(&at), database(&there)).await.unwrap();

    there.ask("ALTER TABLE senders ALTER COLUMN sealed DROP NOT NULL");
    there.ask("INSERT INTO senders VALUES ('other', 1, '{}', NULL)");
    let told = refused(database(&there), file(&back)).await;
    assert!(told.contains("NOT NULL"), "{told}");
    let Err(error) = Store::open(&back.path(), StoreOptions::default(), SEED) else { panic!("it was opened") };
    assert!(matches!(error, OpenError::Unfinished { .. }), "{error}");
    there.ask("DELETE FROM senders WHERE name = 'other'");
    moved(database(&there), file(&back)).await.unwrap();
    drop(back.open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_in_no_message() {
    let at = SqliteFile::new();
    drop(at.open());
    let url = Cluster::shared().url("nowhere").replace("remint@", "remint:hunter2@");
    let there = Whereabouts::Postgres(url.parse().unwrap());
    assert!(there.holds_password() && !format!("{there} {there:?}").contains("hunter2"), "{there}");
    let told = refused(file(&at), there).await;
    assert!(told.contains("nowhere") && !told.contains("hunter2"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_first_schema_is_moved_as_it_would_be_served() {
    let (at, there) = (SqliteFile::new(), PostgresDatabase::new());
    Connection::open(at.path()).unwrap().execute_batch(include_str!("released/0001.sql")).unwrap();
    moved(file(&at), database(&there)).await.unwrap();
    let store = there.open();
    assert_eq!(store.read(At(Row::User(user(1)).key())).await.unwrap(), Some(stored(&Row::User(user(1)))));
}
