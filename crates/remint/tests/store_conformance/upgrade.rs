//! A database of every released schema is brought to the latest, and one that a newer version expands is still that of the
//! nodes of this version, until what they use is taken away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use remint::store::{FeedHead, Holding, OpenError, SenderNamed, Step, Store, StoreError, StoreOptions, UserById};
use remint_core::change::{Changes, Row};
use remint_core::sender::SenderName;
use remint_core::session::EndReason;

use crate::promises::done;
use crate::samples::{SEED, client, ended, sender, session, sid, stored, uid, user};
use crate::{Fixture, PostgresDatabase};

/// A database of each earlier schema and of this one, as that version left it: the statements that made it and its rows.
const RELEASED: [&str; 1] = [include_str!("released/postgres/0001.sql")];

/// What the next version adds: nothing that this one must know.
const EXPANDS: Step = Step {
    sql: "ALTER TABLE users ADD COLUMN locale TEXT; CREATE TABLE notes (one BIGINT NOT NULL PRIMARY KEY)",
    least: 1,
};

/// What the version after that takes away.
const CONTRACTS: Step = Step { sql: "ALTER TABLE users RENAME COLUMN attributes TO document", least: 2 };

fn version(steps: &[Step]) -> StoreOptions {
    StoreOptions { later_steps: steps.to_vec(), ..StoreOptions::default() }
}

/// The schema of a database, as it describes itself.
fn schema(at: &PostgresDatabase) -> Vec<String> {
    let columns = "SELECT CONCAT_WS(' ', table_name, column_name, data_type, is_nullable, collation_name, is_identity) \
                   FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";
    let indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname";
    let versions = "SELECT CONCAT_WS(' ', version, least) FROM remint_schema";
    [columns, indexes, versions].into_iter().flat_map(|asked| at.ask(asked)).collect()
}

#[tokio::test]
async fn a_database_of_every_released_schema_is_brought_to_the_latest_with_all_its_rows() {
    let fresh = PostgresDatabase::new();
    drop(fresh.open());
    assert_eq!(fresh.ask("SELECT version::TEXT FROM remint_schema"), [RELEASED.len().to_string()], "each has its file");
    for (i, released) in RELEASED.into_iter().enumerate() {
        let at = PostgresDatabase::new();
        at.ask(released);
        assert_eq!(at.ask("SELECT version::TEXT FROM remint_schema"), [(i + 1).to_string()]);
        let store = at.open();
        let held = store.read(Holding(sid(1))).await.unwrap().unwrap();
        assert_eq!(Row::Session(held.session), stored(&Row::Session(session(1, &user(1)))));
        assert_eq!(Row::User(held.user), stored(&Row::User(user(1))));
        assert_eq!(Row::Client((*held.client).clone()), stored(&Row::Client(client("demo"))));
        assert_eq!(store.read(FeedHead).await.unwrap().seq, 1);
        let kept = store.read(SenderNamed(SenderName::Sms)).await.unwrap().map(Row::Sender);
        assert_eq!(kept, Some(stored(&Row::Sender(sender()))));
        done(&store, Changes::none().notice(ended(1, 1, 9))).await;
        drop(store);
        assert_eq!(schema(&at), schema(&fresh), "as if it had been made today");
    }
}

/// Opens sessions and ends them at one node, as often as can be, until told to stop; how many.
async fn at_work(store: Store, from: u32, stop: Arc<AtomicBool>) -> u32 {
    let mut n = from;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        done(&store, Changes::none().write(Row::Session(session(n, &user(1))))).await;
        let open = store.read(Holding(sid(n))).await.unwrap().unwrap().session;
        let end = open.ended(EndReason::Logout, open.created_at);
        done(&store, Changes::none().write(Row::Session(end)).notice(ended(n, 1, 9))).await;
    }
    n - from
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_node_works_on_while_a_new_one_expands_the_schema_and_is_let_in_again() {
    let at = PostgresDatabase::new();
    let old = at.open();
    done(&old, Changes::none().write(Row::User(user(1))).write(Row::Client(client("demo")))).await;
    let stop = Arc::new(AtomicBool::new(false));
    let working = tokio::spawn(at_work(old.clone(), 1000, Arc::clone(&stop)));
    while at.ask("SELECT COUNT(*)::TEXT FROM feed") == ["0"] {
        tokio::task::yield_now().await;
    }
    let new = at.open_with(version(&[EXPANDS]));
    assert_eq!(at.ask("SELECT CONCAT_WS(' ', version, least) FROM remint_schema"), ["2 1"]);
    done(&new, Changes::none().write(Row::User(user(2)))).await;
    let before = old.read(FeedHead).await.unwrap().seq;
    while new.read(FeedHead).await.unwrap().seq < before + 20 {
        tokio::task::yield_now().await; // the old one goes on
    }
    stop.store(true, Ordering::Relaxed);
    let turns = working.await.unwrap();
    assert_eq!(new.read(FeedHead).await.unwrap().seq, u64::from(turns), "and none of its commits failed");
    assert!(old.read(UserById(uid(2))).await.unwrap().is_some());
    old.close().await;

    let again = at.open();
    done(&again, Changes::none().write(Row::User(user(3)))).await;
    assert!(new.read(UserById(uid(3))).await.unwrap().is_some());
    assert_eq!(at.ask("SELECT CONCAT_WS(' ', version, least) FROM remint_schema"), ["2 1"], "it takes nothing back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_an_old_node_uses_is_taken_away_only_from_nodes_that_are_two_versions_behind() {
    let at = PostgresDatabase::new();
    let oldest = at.open();
    done(&oldest, Changes::none().write(Row::User(user(1)))).await;
    drop(at.open_with(version(&[EXPANDS])));
    drop(at.open_with(version(&[EXPANDS, CONTRACTS])));
    assert_eq!(at.ask("SELECT CONCAT_WS(' ', version, least) FROM remint_schema"), ["3 2"]);

    let written = oldest.commit(Changes::none().write(Row::User(user(2)))).await;
    assert!(matches!(written, Err(StoreError::Io { .. })), "a clear failure: {written:?}");
    let read = oldest.read(UserById(uid(1))).await;
    assert!(matches!(read, Err(StoreError::Io { .. })), "{read:?}");
    assert_eq!(at.ask("SELECT COUNT(*)::TEXT FROM users"), ["1"]);
    oldest.close().await;
    match Store::connect(&at.url(), StoreOptions::default(), SEED) {
        Err(OpenError::NewerDatabase { found: 3, known: 1, .. }) => {}
        other => panic!("{:?}", other.err()),
    }
    drop(at.open_with(version(&[EXPANDS])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_at_once_expand_the_schema_once() {
    let at = PostgresDatabase::new();
    let open = || {
        let (url, options) = (at.url(), version(&[EXPANDS]));
        tokio::task::spawn_blocking(move || Store::connect(&url, options, SEED).map(drop).map_err(|e| e.to_string()))
    };
    for node in [open(), open(), open()] {
        node.await.unwrap().unwrap();
    }
    assert_eq!(at.ask("SELECT CONCAT_WS(' ', version, least) FROM remint_schema"), ["2 1"]);
}
