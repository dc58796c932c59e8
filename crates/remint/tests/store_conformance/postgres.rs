//! What PostgreSQL's store promises beside: several nodes on one database, and what becomes of connections that are lost.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use remint::store::{
    BeforeCommit, ClientById, Commit, Counter, FeedAfter, FeedHead, Holding, OpenError, SessionById, Store, StoreError,
    StoreOptions, UserById,
};
use remint_core::change::{Changes, Row, RowKey, Take, Taken};
use remint_core::client::Client;
use remint_core::event::{ChainHash, Cursor};
use remint_core::id::SessionId;
use remint_core::rev::Rev;
use remint_core::session::Session;
use remint_core::time::Timestamp;
use remint_core::user::{User, UserStatus};

use crate::cluster::Cluster;
use crate::promises::done;
use crate::proxy::{Proxy, Wire};
use crate::samples::{SEED, client, ended, session, sid, uid, user};
use crate::{Fixture, PostgresDatabase};

fn new_user(n: u32) -> Changes {
    Changes::none().write(Row::User(user(n)))
}

async fn cv(store: &Store) -> u64 {
    store.read(UserById(uid(1))).await.unwrap().unwrap().cv
}

/// One more for the claims version of user 1, however often somebody else is first. The `rev` that was written over.
async fn raised(store: Store) -> i64 {
    let mut seen = store.read(UserById(uid(1))).await.unwrap().unwrap();
    loop {
        let changes = Changes::none().write(Row::User(seen.with_new_cv())).notice(ended(1, 1, 9));
        match store.commit(changes).await.unwrap() {
            Commit::Done { .. } => return seen.rev.number(),
            Commit::Conflict { current, .. } => match current.map(|row| *row) {
                Some(Row::User(current)) => seen = current,
                other => panic!("{other:?}"),
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_lose_nothing_of_each_other_and_share_one_feed() {
    let at = PostgresDatabase::new();
    let nodes = [at.open(), at.open()];
    done(&nodes[0], new_user(1)).await;
    let won = join_all((0..40).map(|n| tokio::spawn(raised(nodes[n % 2].clone())))).await;
    let won: BTreeSet<i64> = won.into_iter().map(Result::unwrap).collect();
    assert_eq!(won, (1..=40).collect(), "each rev was written over once");
    assert_eq!((cv(&nodes[0]).await, cv(&nodes[1]).await), (41, 41));
    let mut history = Cursor { seq: 0, chain: ChainHash::origin(SEED) };
    for entry in nodes[1].read(FeedAfter { seq: 0, limit: 99 }).await.unwrap() {
        history = Cursor { seq: history.seq + 1, chain: history.chain.then(&entry.text) };
        assert_eq!(entry.cursor, history, "gapless, and one chain");
    }
    assert_eq!((history.seq, nodes[0].read(FeedHead).await.unwrap()), (40, history));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_two_nodes_make_at_once_is_made_once_and_counted_by_both() {
    let at = PostgresDatabase::new();
    let nodes = [at.open(), at.open()];
    let attempts = (0..200_u32).map(|n| {
        let store = nodes[n as usize % 2].clone();
        tokio::spawn(async move {
            let take = Take {
                key: "log-in ada".into(),
                limit: 7,
                window: Duration::from_secs(60),
                at: Timestamp::from_secs(100),
            };
            let made = store.commit(new_user(n / 2)).await.unwrap();
            let (taken, _) = done(&store, Changes::none().take(take)).await;
            (matches!(made, Commit::Done { .. }), matches!(taken[..], [Taken::Allowed { .. }]))
        })
    });
    let all: Vec<_> = join_all(attempts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().filter(|(made, _)| *made).count(), 100, "each of a hundred users by one of two");
    assert_eq!(all.iter().filter(|(_, allowed)| *allowed).count(), 7);
    assert_eq!(nodes[0].read(Counter("log-in ada".into())).await.unwrap().unwrap().count, 7);
}

#[tokio::test]
async fn a_client_that_one_node_changed_is_never_answered_from_the_memory_of_another() {
    let at = PostgresDatabase::new();
    let (here, there) = (at.open(), at.open());
    done(&here, Changes::none().write(Row::Client(client("demo")))).await;
    let crowd: Vec<_> = (0..16)
        .map(|_| {
            let there = there.clone();
            tokio::spawn(async move { while there.read(ClientById(client("demo").id)).await.is_ok() {} })
        })
        .collect();
    for round in 1..30 {
        let known = there.read(ClientById(client("demo").id)).await.unwrap().unwrap();
        assert_eq!(known.rev, Rev::from_stored(round));
        let changed = Client { pv: known.pv + 1, ..(*known).clone() };
        done(&here, Changes::none().write(Row::Client(changed))).await;
    }
    there.close().await;
    for one in crowd {
        bounded(one).await.unwrap(); // a store that is closed says so, also to them
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_has_gone_silent_hides_no_change_of_a_client() {
    let at = PostgresDatabase::new();
    let (here, there) = (at.open(), at.open());
    let pv = async || bounded(there.read(ClientById(client("demo").id))).await.unwrap().unwrap().pv;
    done(&here, Changes::none().write(Row::Client(client("demo")))).await;
    let first = pv().await;
    let looks = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT age FROM%'";
    let silent = Stopped::all(at.ask(looks));
    for more in 1..4 {
        let changed = Client { pv: first + more, rev: Rev::from_stored(more.try_into().unwrap()), ..client("demo") };
        done(&here, Changes::none().write(Row::Client(changed))).await;
        assert_eq!(pv().await, first + more);
    }
    drop(silent);
    assert_eq!(pv().await, first + 3);
}

/// Processes that do nothing, as long as this lives.
struct Stopped(Vec<String>);

impl Stopped {
    fn all(processes: Vec<String>) -> Self {
        assert!(!processes.is_empty());
        let stopped = Self(processes);
        stopped.signal("-STOP");
        stopped
    }

    fn signal(&self, signal: &str) {
        assert!(std::process::Command::new("kill").arg(signal).args(&self.0).status().unwrap().success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[tokio::test]
async fn a_database_that_lacks_the_last_changes_is_not_taken_for_the_one_before() {
    let at = PostgresDatabase::new();
    let (here, there) = (at.open(), at.open());
    let pv = async |store: &Store| store.read(ClientById(client("demo").id)).await.unwrap().unwrap().pv;
    done(&here, Changes::none().write(Row::Client(client("demo")))).await;
    let first = pv(&there).await;
    let changed = |pv, rev| Changes::none().write(Row::Client(Client { pv, rev, ..client("demo") }));
    done(&here, changed(first + 1, Rev::from_stored(1))).await;
    assert_eq!(pv(&there).await, first + 1);
    // when a standby takes over that had not received the last change, and another one counts as many
    at.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'remint'");
    at.ask("UPDATE document_age SET age = age - 1");
    let elsewhere = at.open();
    done(&elsewhere, changed(first + 2, Rev::from_stored(2))).await;
    done(&there, new_user(1)).await; // so that the writer has met the new one
    assert_eq!(pv(&there).await, first + 2);
}

#[tokio::test]
async fn what_one_node_appends_to_the_feed_wakes_the_other() {
    let at = PostgresDatabase::new();
    let (here, there) = (at.open(), at.open());
    let mut grew = there.feed_grew();
    assert_eq!(*grew.borrow_and_update(), 0);
    done(&here, Changes::none().notice(ended(1, 1, 9)).notice(ended(2, 1, 9))).await;
    bounded(grew.changed()).await.unwrap();
    assert_eq!(*grew.borrow(), 2);
}

#[tokio::test]
async fn connections_that_the_database_ends_are_made_anew_and_nobody_notices() {
    let at = PostgresDatabase::new();
    let store = at.open();
    done(&store, new_user(1)).await;
    for n in 2..6 {
        assert_eq!(cv(&store).await, 1);
        at.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'remint'");
        if n % 2 == 0 {
            assert_eq!(cv(&store).await, 1, "a question is asked anew");
        }
        done(&store, new_user(n)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_decided_on_another_connection_than_before_is_decided_after_the_loss_was_told() {
    let at = PostgresDatabase::new();
    let store = at.open();
    for round in 1..=5 {
        at.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'remint'");
        let found = store.lost_and_found();
        let (told, _) = store.settle(UserById(uid(1)), move |_| (Changes::none(), *found.borrow())).await.unwrap();
        assert_eq!(told, round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_leave_their_connections_when_the_writer_has_another_one() {
    let at = PostgresDatabase::new();
    let store = at.open();
    let ours = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'remint'";
    let processes = || at.ask(&format!("SELECT pid {ours}"));
    let asked = || join_all((0..64).map(|n| store.read(UserById(uid(n)))));
    asked().await;
    let before = processes();
    assert_eq!(at.ask(&format!("SELECT pg_terminate_backend(pid) {ours} AND query LIKE '%feed_head%'")), ["t"]);
    bounded(store.lost_and_found().changed()).await.unwrap();
    bounded(async {
        while processes().iter().any(|process| before.contains(process)) {
            assert!(asked().await.iter().all(Result::is_ok), "and nobody notices");
        }
    })
    .await;
}

/// A store whose wire to its database a test can break, and one that has a sound one.
async fn through_a_proxy(at: &PostgresDatabase, longest_wait: Duration) -> (Proxy, Store, Store) {
    let proxy = Proxy::to(Cluster::shared().port()).await;
    let url = at.url().replace(&Cluster::shared().port().to_string(), &proxy.port.to_string());
    let options = StoreOptions { longest_wait, ..StoreOptions::default() };
    let opened = tokio::task::spawn_blocking(move || Store::connect(&url, options, SEED).unwrap());
    (proxy, opened.await.unwrap(), at.open())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_decided_on_one_server_is_not_written_to_the_one_that_takes_its_place() {
    // A row alone is written and committed in one go, so nobody knows; all else is known not to be written.
    let (alone, beside) = (|changes| changes, |changes: Changes| changes.expect(RowKey::User(uid(9)), Rev::NEW));
    assert_eq!(decided_while_the_server_is_replaced(alone).await, StoreError::Unknown);
    assert_eq!(decided_while_the_server_is_replaced(beside).await, StoreError::Busy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_has_decided_that_nothing_is_to_be_written_leaves_no_snapshot_open() {
    let at = PostgresDatabase::new();
    let store = at.open();
    let open = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    done(&store, new_user(1)).await;
    for write in [false, true, false] {
        let decide = move |user: Option<User>| match write {
            true => (Changes::none().write(Row::User(user.unwrap().with_new_cv())), ()),
            false => (Changes::none(), ()),
        };
        store.settle(UserById(uid(1)), decide).await.unwrap();
        bounded(async {
            while at.ask(open) != ["0"] {
                tokio::task::yield_now().await; // it is left after the answer
            }
        })
        .await;
    }
    assert_eq!(cv(&store).await, 2);
}

/// What is told of changes that were decided upon one server, and whose commit finds another.
async fn decided_while_the_server_is_replaced(beside: fn(Changes) -> Changes) -> StoreError {
    let (at, standby) = (PostgresDatabase::new(), Cluster::of("-standby"));
    let _ = standby.ask("postgres", &format!("DROP DATABASE IF EXISTS {} (FORCE)", at.name));
    let _ = standby.ask("postgres", &format!("CREATE DATABASE {}", at.name));
    let (proxy, store, _) = through_a_proxy(&at, Duration::from_secs(5)).await;
    let url = standby.url(&at.name);
    let there = tokio::task::spawn_blocking(move || Store::connect(&url, StoreOptions::default(), SEED).unwrap());
    let there = there.await.unwrap();
    // given a user at the same rev in both: the change that led to it was lost here, and there it is another one
    let first = |user: User| Changes::none().write(Row::User(user));
    for node in [&store, &there] {
        done(node, new_user(1)).await;
    }
    let seen = store.read(UserById(uid(1))).await.unwrap().unwrap();
    done(&store, first(seen.with_new_cv())).await;
    done(&there, first(User { status: UserStatus::Disabled, ..seen })).await;
    // when the server is replaced between a decision and its commit
    let port = standby.port();
    let raised = move |user: Option<User>| {
        proxy.lead_to(port);
        (beside(Changes::none().write(Row::User(user.unwrap().with_new_cv()))), ())
    };
    let decided = store.settle(UserById(uid(1)), raised).await;
    // then it is decided again by whoever asked, and what the other one acknowledged stands
    assert_eq!(there.read(UserById(uid(1))).await.unwrap().unwrap().status, UserStatus::Disabled);
    assert_eq!(store.read(UserById(uid(1))).await.unwrap().unwrap().status, UserStatus::Disabled);
    let written = async || loop {
        match store.commit(new_user(2)).await {
            Err(StoreError::Busy) => {} // until the writer has found the other one
            answer => return answer,
        }
    };
    assert!(matches!(bounded(written()).await, Ok(Commit::Done { .. })));
    done(&store, new_user(3)).await;
    store.close().await;
    there.close().await;
    standby.ask("postgres", &format!("DROP DATABASE {} (FORCE)", at.name));
    decided.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_whose_answer_is_lost_is_unknown_and_the_store_says_when_the_database_is_found_again() {
    for (wire, written) in [(Wire::BreaksBeforeCommit, false), (Wire::BreaksAfterCommit, true)] {
        let at = PostgresDatabase::new();
        let (proxy, store, sound) = through_a_proxy(&at, Duration::from_secs(5)).await;
        let mut found = store.lost_and_found();
        done(&store, new_user(1)).await;
        proxy.set(wire);
        assert_eq!(store.commit(new_user(2)).await, Err(StoreError::Unknown), "{wire:?}");
        assert_eq!(sound.read(UserById(uid(2))).await.unwrap().is_some(), written, "{wire:?}");
        proxy.set(Wire::Sound);
        bounded(found.changed()).await.unwrap();
        assert_eq!(*found.borrow(), 1, "lost, and found again");
        done(&store, new_user(3)).await;
    }
}

/// What comes well within ten seconds.
async fn bounded<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_away_is_an_error_soon_and_works_again_when_it_is_back() {
    let at = PostgresDatabase::new();
    let (proxy, store, _) = through_a_proxy(&at, Duration::from_millis(500)).await;
    done(&store, new_user(1)).await;
    for (round, wire) in (2..).zip([Wire::Down, Wire::Silent]) {
        assert_eq!(cv(&store).await, 1);
        proxy.set(wire);
        let read = bounded(async { store.read(UserById(uid(1))).await.map(drop) });
        let (read, write) = tokio::join!(read, bounded(async { store.commit(new_user(round)).await.map(drop) }));
        for answer in [read, write] {
            assert!(matches!(answer, Err(StoreError::Io { .. } | StoreError::Busy)), "{wire:?}: {answer:?}");
        }
        let mut found = store.lost_and_found();
        found.borrow_and_update();
        proxy.set(Wire::Sound);
        bounded(found.changed()).await.unwrap();
        assert_eq!(store.read(UserById(uid(round))).await.unwrap(), None, "what was refused is not there");
        done(&store, new_user(round)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_that_somebody_keeps_locked_is_busy_and_the_rest_goes_on_afterwards() {
    let at = PostgresDatabase::new();
    let store = at.open_with(StoreOptions { longest_wait: Duration::from_millis(800), ..StoreOptions::default() });
    done(&store, new_user(1)).await;
    let (other, connection) = tokio_postgres::connect(&at.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    other.batch_execute("BEGIN; SELECT rev FROM users FOR UPDATE").await.unwrap();
    let seen = store.read(UserById(uid(1))).await.unwrap().unwrap();
    let raised = Changes::none().write(Row::User(seen.with_new_cv()));
    assert_eq!(store.commit(raised.clone()).await, Err(StoreError::Busy));
    assert_eq!(cv(&store).await, 1, "readers are not held up");
    other.batch_execute("ROLLBACK").await.unwrap();
    done(&store, raised).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_are_asked_for_together_are_each_their_own() {
    let at = PostgresDatabase::new();
    let store = at.open();
    done(
        &store,
        (0..3).fold(Changes::none().write(Row::Client(client("demo"))), |all, n| all.write(Row::User(user(n)))),
    )
    .await;
    for n in 0..30 {
        done(&store, Changes::none().write(Row::Session(session(n, &user(n % 4))))).await; // of user 3 there is none
    }
    let mut begins_like = *sid(1).as_bytes();
    begins_like[15] ^= 1;
    let begins_like = SessionId::from_bytes(begins_like);
    let asked = || (0..40).map(sid).chain([begins_like]).map(|sid| store.read(BeforeCommit(Holding(sid))));
    for round in 0..3 {
        for (n, held) in (0..).zip(join_all(asked()).await) {
            let held = held.unwrap();
            assert_eq!(held.is_some(), n < 30 && n % 4 != 3, "{n}");
            let of = held.map(|held| (held.session.sid, held.session.user, held.user.id, held.user.cv));
            let cv = 1 + if n % 4 == 0 { round } else { 0 };
            assert_eq!(of, of.map(|_| (sid(n), uid(n % 4), uid(n % 4), cv)));
        }
        let first = store.read(UserById(uid(0))).await.unwrap().unwrap();
        done(&store, Changes::none().write(Row::User(first.with_new_cv()))).await;
    }
}

#[tokio::test]
async fn a_value_that_the_database_refuses_harms_its_own_commit_alone() {
    let at = PostgresDatabase::new();
    let store = at.open();
    let with_nul = |n| Row::Session(Session { bound_key: Some("\0".into()), ..session(n, &user(1)) });
    let all = (0..40).map(|n| {
        let row = if n % 4 == 0 { with_nul(n) } else { Row::Session(session(n, &user(1))) };
        store.commit(Changes::none().write(row))
    });
    for (n, answer) in join_all(all).await.into_iter().enumerate() {
        match n % 4 {
            0 => assert!(matches!(answer, Err(StoreError::Io { .. })), "{answer:?}"),
            _ => assert!(matches!(answer, Ok(Commit::Done { .. })), "{answer:?}"),
        }
    }
    assert_eq!(store.read(SessionById(sid(4))).await.unwrap(), None);
}

#[tokio::test]
async fn a_renewal_is_written_in_its_page_and_touches_no_index() {
    let at = PostgresDatabase::new();
    let store = at.open();
    for n in 0..50 {
        done(&store, Changes::none().write(Row::Session(session(n, &user(1))))).await;
    }
    // As few to a page as its reserve takes: nothing in another database of the server keeps what is over in its place.
    for n in (0..50).step_by(10) {
        let renewed = Session { rev: Rev::from_stored(1), last_seen: Timestamp::from_secs(7), ..session(n, &user(1)) };
        done(&store, Changes::none().write(Row::Session(renewed))).await;
    }
    store.close().await; // a connection tells what it did when it ends
    let counts = "SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'";
    assert_eq!(at.ask(counts), ["5 5"]);
}

fn refused(at: &PostgresDatabase) -> OpenError {
    match Store::connect(&at.url(), StoreOptions::default(), SEED) {
        Ok(_) => panic!("{} was opened", at.url()),
        Err(error) => error,
    }
}

#[test]
fn a_host_that_only_seems_to_be_there_keeps_nobody_from_the_next() {
    let at = PostgresDatabase::new();
    let seems_to_be = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hosts = format!("@{},127.0.0.1:", seems_to_be.local_addr().unwrap());
    let options = StoreOptions { longest_wait: Duration::from_millis(1000), ..StoreOptions::default() };
    drop(Store::connect(&at.url().replace("@127.0.0.1:", &hosts), options, SEED).unwrap());
}

#[test]
fn a_database_of_another_program_or_of_a_later_version_is_refused_by_name_and_left_alone() {
    let theirs = PostgresDatabase::new();
    theirs.ask("CREATE TABLE theirs (x BIGINT)");
    let error = refused(&theirs);
    assert!(matches!(error, OpenError::ForeignTables { .. }), "{error}");
    assert_eq!(theirs.ask("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'"), ["1"]);
    let later = PostgresDatabase::new();
    drop(later.open());
    later.ask("UPDATE remint_schema SET version = version + 1, least = version + 1");
    let error = refused(&later);
    assert!(matches!(error, OpenError::NewerDatabase { found, known, .. } if found == known + 1), "{error}");
    assert!(error.to_string().contains("install a newer version"), "{error}");
}

#[test]
fn a_database_that_cannot_be_reached_is_refused_without_its_password() {
    let url = "postgres://me:hunter2@127.0.0.1:1/nothing";
    let error = Store::connect(url, StoreOptions::default(), SEED).err().unwrap().to_string();
    assert!(error.contains("`nothing` at 127.0.0.1") && !error.contains("hunter2"), "{error}");
    let error = Store::connect("postgres://a:hunter2@[", StoreOptions::default(), SEED).err().unwrap().to_string();
    assert!(error.contains("postgres://USER@HOST/DATABASE") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn nodes_that_open_an_empty_database_at_once_make_it_once() {
    let at = PostgresDatabase::new();
    let opened = (0..4).map(|n| {
        let url = at.url();
        tokio::task::spawn_blocking(move || Store::connect(&url, StoreOptions::default(), [n; 16]).unwrap())
    });
    let nodes: Vec<_> = join_all(opened).await.into_iter().map(Result::unwrap).collect();
    let mut heads = Vec::new();
    for node in &nodes {
        heads.push(node.read(FeedHead).await.unwrap());
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "one history");
    done(&nodes[3], Changes::none().write(Row::User(User { cv: 7, ..user(1) }))).await;
    assert_eq!(cv(&nodes[0]).await, 7);
}
