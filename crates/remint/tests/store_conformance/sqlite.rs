//! What SQLite's file promises: who may open it, what becomes of an earlier or a foreign one, and that a failure is
//! an error and never an answer.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use remint::store::{
    Commit, FeedHead, Holding, LATEST_SCHEMA, OpenError, SenderNamed, SessionById, Store, StoreError, StoreOptions,
    UserById, Users,
};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::rev::Rev;
use remint_core::sender::SenderName;
use remint_core::session::{EndReason, State};
use remint_core::user::User;
use rusqlite::Connection;

use crate::promises::{At, done};
use crate::samples::{SEED, client, ended, every_row, sender, session, sid, stored, uid, user};
use crate::{Fixture, SqliteFile};

fn refused(path: &Path) -> OpenError {
    match Store::open(path, StoreOptions::default(), SEED) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

/// The schema of a file, in the words of its statements.
fn schema(path: &Path) -> Vec<String> {
    let file = Connection::open(path).unwrap();
    let mut all = file.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let texts = all.query_map([], |row| row.get::<_, String>(0)).unwrap();
    texts.map(|text| text.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_file_and_its_log_are_for_their_owner_only() {
    let at = SqliteFile::new();
    std::fs::write(at.path(), "").unwrap();
    std::fs::set_permissions(at.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = at.open();
    for entry in std::fs::read_dir(at.path().parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    drop(store);
}

#[test]
fn one_data_directory_is_never_opened_twice() {
    let at = SqliteFile::new();
    let store = at.open();
    let error = refused(&at.path());
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));
    drop(store);
    at.open();
}

#[tokio::test]
async fn an_empty_file_becomes_the_latest_schema() {
    let (fresh, empty) = (SqliteFile::new(), SqliteFile::new());
    std::fs::write(empty.path(), "").unwrap();
    for at in [&fresh, &empty] {
        let store = at.open();
        done(&store, Changes::none().write(Row::User(user(1)))).await;
    }
    assert_eq!(schema(&fresh.path()), schema(&empty.path()));
    let file = Connection::open(fresh.path()).unwrap();
    let number = |pragma: &str| file.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!((number("user_version"), number("page_size")), (LATEST_SCHEMA, 1024));
}

/// A file of each earlier schema and of this one, as that version left it: the statements that made it and its rows.
const RELEASED: [&str; 5] = [
    include_str!("released/0001.sql"),
    include_str!("released/0002.sql"),
    include_str!("released/0003.sql"),
    include_str!("released/0004.sql"),
    include_str!("released/0005.sql"),
];

#[tokio::test]
async fn a_file_of_every_released_schema_is_brought_to_the_latest_with_all_its_rows() {
    assert_eq!(RELEASED.len(), LATEST_SCHEMA as usize, "every released schema has its file here");
    let fresh = SqliteFile::new();
    drop(fresh.open());
    for (i, released) in RELEASED.into_iter().enumerate() {
        let at = SqliteFile::new();
        let file = Connection::open(at.path()).unwrap();
        file.execute_batch(released).unwrap();
        let before = file.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!(before as usize, i + 1);
        drop(file);
        let store = at.open();
        let held = store.read(Holding(sid(1))).await.unwrap().unwrap();
        assert_eq!(Row::Session(held.session), stored(&Row::Session(session(1, &user(1)))));
        assert_eq!(Row::User(held.user), stored(&Row::User(user(1))));
        assert_eq!(Row::Client((*held.client).clone()), stored(&Row::Client(client("demo"))));
        assert_eq!(store.read(FeedHead).await.unwrap().seq, 1);
        let kept = store.read(SenderNamed(SenderName::Sms)).await.unwrap().map(Row::Sender);
        assert_eq!(kept, (before >= 5).then(|| stored(&Row::Sender(sender()))));
        done(&store, Changes::none().notice(ended(1, 1, 9))).await;
        drop(store);
        assert_eq!(schema(&at.path()), schema(&fresh.path()), "as if it had been made today");
    }
}

#[test]
fn a_file_of_a_later_version_is_refused_by_name_and_left_alone() {
    let at = SqliteFile::new();
    drop(at.open());
    Connection::open(at.path()).unwrap().pragma_update(None, "user_version", LATEST_SCHEMA + 1).unwrap();
    let error = refused(&at.path());
    assert!(
        matches!(error, OpenError::Newer { found, known, .. } if (found, known) == (LATEST_SCHEMA + 1, LATEST_SCHEMA))
    );
    assert!(error.to_string().contains("install a newer version"), "{error}");
}

#[test]
fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let at = SqliteFile::new();
    let other = Connection::open(at.path()).unwrap();
    other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    drop(other);
    let before = std::fs::read(at.path()).unwrap();
    assert!(matches!(refused(&at.path()), OpenError::NotOurs { .. }));
    assert_eq!(std::fs::read(at.path()).unwrap(), before);
    let text = "no database at all, but long enough to be looked at as one".repeat(20);
    std::fs::write(at.path(), &text).unwrap();
    assert!(matches!(refused(&at.path()), OpenError::NotOurs { .. }));
    assert_eq!(std::fs::read_to_string(at.path()).unwrap(), text);
}

#[tokio::test]
async fn what_this_program_never_wrote_is_named_and_never_a_default() {
    let at = SqliteFile::new();
    let mut store = at.open();
    let rows = [Row::User(user(1)), Row::Session(session(1, &user(1))), Row::Client(client("demo"))];
    done(&store, rows.into_iter().fold(Changes::none(), Changes::write)).await;
    let table_key = [("users", uid(1).to_string()), ("sessions", sid(1).to_string()), ("clients", "demo".into())];
    for (sql, (table, key)) in [
        ("UPDATE users SET status = 'Active'", &table_key[0]),
        ("UPDATE users SET epoch_reason = ''", &table_key[0]),
        ("UPDATE users SET cv = -1", &table_key[0]),
        ("UPDATE users SET rev = 0", &table_key[0]),
        ("UPDATE users SET attributes = '[]'", &table_key[0]),
        ("UPDATE sessions SET ended_reason = 'logout'", &table_key[1]),
        ("UPDATE sessions SET policy = 'rolling'", &table_key[1]),
        ("UPDATE sessions SET salt = NULL", &table_key[1]),
        ("UPDATE sessions SET idle_at = 'soon'", &table_key[1]),
        ("UPDATE sessions SET branch = 4294967296", &table_key[1]),
        ("UPDATE clients SET document = replace(document, '\"demo\"', '\"other\"')", &table_key[2]),
        ("UPDATE clients SET document = x'7b7d'", &table_key[2]),
    ] {
        drop(store); // what nobody else may write is not read again while it is open
        let file = Connection::open(at.path()).unwrap();
        file.execute_batch(&format!("CREATE TEMP TABLE kept AS SELECT * FROM {table}; {sql}")).unwrap();
        store = at.open();
        match store.read(Holding(sid(1))).await {
            Err(StoreError::Corrupt { table: named, key: of, .. }) => assert_eq!((named, &of), (*table, key), "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
        drop(store);
        file.execute_batch(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept")).unwrap();
        store = at.open();
        assert!(store.read(Holding(sid(1))).await.unwrap().is_some(), "whole again");
    }
}

#[tokio::test]
async fn more_commits_than_the_queue_holds_are_shed_and_never_half_done() {
    let at = SqliteFile::new();
    let store = at.open_with(StoreOptions { queue: 2, ..StoreOptions::default() });
    let all = (0..400).map(|n| store.commit(Changes::none().write(Row::User(user(n)))));
    let answers = join_all(all).await;
    let shed = answers.iter().filter(|answer| **answer == Err(StoreError::Busy)).count();
    let written = answers.iter().filter(|answer| matches!(answer, Ok(Commit::Done { .. }))).count();
    assert_eq!(shed + written, 400);
    assert!(shed > 0 && written > 0, "{shed} shed, {written} written");
    assert_eq!(store.read(Users { after: None, limit: 999 }).await.unwrap().len(), written);
}

#[tokio::test]
async fn a_commit_that_waited_past_the_deadline_is_not_written() {
    let at = SqliteFile::new();
    let store = at.open_with(StoreOptions { longest_wait: std::time::Duration::ZERO, ..StoreOptions::default() });
    let late = store.commit(Changes::none().write(Row::User(user(1)))).await;
    assert_eq!(late, Err(StoreError::Busy));
    assert!(store.read(Users { after: None, limit: 9 }).await.unwrap().is_empty());
}

fn large(n: u32) -> User {
    let long = "x".repeat(200_000);
    User { attributes: serde_json::from_value(serde_json::json!({ "a": long })).unwrap(), ..user(n) }
}

#[tokio::test]
async fn a_full_disk_is_an_error_the_rest_is_unharmed_and_space_makes_it_work_again() {
    let at = SqliteFile::new();
    let store = at.open_with(StoreOptions { max_bytes: Some(1 << 20), ..StoreOptions::default() });
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    let mut stored = Vec::new();
    for n in 100..120 {
        match store.commit(Changes::none().write(Row::User(large(n))).notice(ended(n, 1, 9))).await {
            Ok(Commit::Done { .. }) => stored.push(n),
            other => assert_eq!(other, Err(StoreError::Full)),
        }
    }
    assert!((1..10).contains(&stored.len()), "{stored:?}");
    assert_eq!(store.read(FeedHead).await.unwrap().seq, stored.len() as u64);
    let together = (0..40_u32).map(|n| {
        let seen = User { rev: Rev::from_stored(i64::from(n) / 2 + 1), cv: n.into(), ..user(1) };
        store.commit(Changes::none().write(Row::User(if n % 2 == 0 { seen } else { large(n + 200) })))
    });
    for (n, answer) in join_all(together).await.into_iter().enumerate() {
        match n % 2 {
            0 => assert!(matches!(answer, Ok(Commit::Done { .. })), "what needs no space goes on: {n} {answer:?}"),
            _ => assert_eq!(answer, Err(StoreError::Full)),
        }
    }
    let gone = Changes { deletes: vec![(RowKey::User(uid(stored[0])), Rev::from_stored(1))], ..Changes::none() };
    done(&store, gone).await;
    done(&store, Changes::none().write(Row::User(large(300)))).await;
    drop(store);
    let store = at.open();
    assert_eq!(store.read(Users { after: None, limit: 99 }).await.unwrap().len(), stored.len() + 1);
    assert_eq!(store.read(UserById(uid(1))).await.unwrap().unwrap().rev, Rev::from_stored(21));
    done(&store, Changes::none().write(Row::User(large(301)))).await;
}

#[tokio::test]
async fn a_file_that_another_program_keeps_locked_is_an_error_and_works_again_afterwards() {
    let at = SqliteFile::new();
    let store = at.open_with(StoreOptions { patience: Duration::from_millis(20), ..StoreOptions::default() });
    let other = Connection::open(at.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.commit(Changes::none().write(Row::User(user(1)))).await, Err(StoreError::Busy));
    assert_eq!(store.read(UserById(uid(1))).await.unwrap(), None, "readers are not held up");
    other.execute_batch("ROLLBACK").unwrap();
    done(&store, Changes::none().write(Row::User(user(1)))).await;
}

/// Set for a process that a test starts of itself: the data file to work on.
const CHILD: &str = "REMINT_STORE_TEST_FILE";

#[expect(clippy::disallowed_methods, reason = "a test that starts itself again tells the copy so by its environment")]
fn data_file_of_child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// This test again, in a process of its own that works on `path`, started by `program`: the test binary or one that
/// starts it.
fn child(mut program: Command, test: &str, path: &Path) -> Command {
    program.args(["--exact", &format!("sqlite::{test}"), "--nocapture"]).env(CHILD, path).stdout(Stdio::piped());
    program
}

fn this_binary() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[tokio::test]
async fn a_read_only_file_is_refused_when_it_is_opened() {
    if let Some(path) = data_file_of_child() {
        assert!(matches!(refused(&path), OpenError::ReadOnly { .. }), "{}", refused(&path));
        return;
    }
    let at = SqliteFile::new();
    done(&at.open(), Changes::none().write(Row::User(user(1)))).await;
    let directory = at.path().parent().unwrap().to_path_buf();
    // To its owner root no file is read-only: the copy runs as nobody, and so it needs a binary that nobody may run.
    let binary = directory.join("test");
    std::fs::copy(this_binary(), &binary).unwrap();
    for (path, mode) in [(&at.path(), 0o444), (&directory, 0o755), (&binary, 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut program = Command::new(&binary);
    if std::fs::metadata(at.path()).unwrap().uid() == 0 {
        program.uid(65534);
        std::fs::set_permissions(at.path().with_extension("lock"), std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let tried = child(program, "a_read_only_file_is_refused_when_it_is_opened", &at.path()).output().unwrap();
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    assert_eq!(at.open().read(Users { after: None, limit: 9 }).await.unwrap().len(), 1);
}

/// In the copy: the operating system refuses to let any file grow; then it allows it again.
async fn commit_through_a_failing_disk(path: &Path) {
    let store = Store::open(path, StoreOptions::default(), SEED).unwrap();
    let found = store.lost_and_found();
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    limit_files("200000");
    let mut n = 2;
    let error = loop {
        match store.commit(Changes::none().write(Row::User(large(n)))).await {
            Ok(Commit::Done { .. }) => n += 1,
            Ok(conflict) => panic!("{conflict:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Unknown | StoreError::Io { .. } | StoreError::Full), "{error:?}");
    assert_eq!(
        store.read(UserById(uid(1))).await.unwrap().map(|user| user.id),
        Some(uid(1)),
        "what was there is there"
    );
    assert!(store.commit(Changes::none().write(Row::User(large(900)))).await.is_err());
    assert_eq!(*found.borrow(), 0);
    limit_files("unlimited");
    done(&store, Changes::none().write(Row::User(large(901)))).await;
    assert_eq!(*found.borrow(), 1, "lost, and found again");
    done(&store, Changes::none().write(Row::User(large(902)))).await;
    assert_eq!(*found.borrow(), 1);
    let present = store.read(Users { after: None, limit: 99 }).await.unwrap();
    assert!(present.len() > n as usize);
}

fn limit_files(bytes: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), &format!("--fsize={bytes}:unlimited")])
        .status();
    assert!(limited.unwrap().success());
}

#[tokio::test]
async fn a_disk_that_fails_is_an_error_and_the_store_says_when_it_is_found_again() {
    if let Some(path) = data_file_of_child() {
        return commit_through_a_failing_disk(&path).await;
    }
    let at = SqliteFile::new();
    // The signal that would end the process is ignored, so that the write fails.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(this_binary());
    let test = "a_disk_that_fails_is_an_error_and_the_store_says_when_it_is_found_again";
    let tried = child(shell, test, &at.path()).output().unwrap();
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    let store = at.open();
    assert!(store.read(UserById(uid(902))).await.unwrap().is_some());
}

/// In the copy: opens and ends sessions until it is killed, and says what was answered.
async fn commit_until_killed(path: &Path) {
    let store = Store::open(path, StoreOptions::default(), SEED).unwrap();
    let workers = (0..8).map(|worker| {
        let store = &store;
        async move {
            for n in (0..).filter(|n| n % 8 == worker) {
                let opening = Changes::none().write(Row::Session(session(n, &user(1))));
                if matches!(store.commit(opening).await.unwrap(), Commit::Conflict { .. }) {
                    continue; // opened before an earlier kill
                }
                println!("\nopened {n}");
                let open = store.read(SessionById(sid(n))).await.unwrap().unwrap();
                let end = open.ended(EndReason::Logout, open.created_at);
                done(store, Changes::none().write(Row::Session(end)).notice(ended(n, 1, 9))).await;
                println!("\nended {n}");
            }
        }
    });
    join_all(workers).await;
}

#[tokio::test]
async fn a_process_that_is_killed_has_lost_nothing_that_was_answered_and_revived_nothing() {
    if let Some(path) = data_file_of_child() {
        return commit_until_killed(&path).await;
    }
    let at = SqliteFile::new();
    let (mut opened, mut over) = (BTreeSet::new(), BTreeSet::new());
    for round in 1..=6 {
        let test = "a_process_that_is_killed_has_lost_nothing_that_was_answered_and_revived_nothing";
        let mut process = child(Command::new(this_binary()), test, &at.path()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut heard = |line: String| match line.split_once(' ') {
            Some(("opened", n)) => opened.insert(n.parse::<u32>().unwrap()),
            Some(("ended", n)) => over.insert(n.parse::<u32>().unwrap()),
            _ => false,
        };
        let mut count = 0;
        while count < 37 * round {
            count += u32::from(heard(said.next().unwrap().unwrap()));
        }
        process.kill().unwrap();
        process.wait().unwrap();
        said.map_while(Result::ok).for_each(|line| _ = heard(line));
        let store = at.open();
        for &n in &opened {
            let session = store.read(SessionById(sid(n))).await.unwrap().unwrap_or_else(|| panic!("{n} is lost"));
            assert!(!over.contains(&n) || matches!(session.state, State::Ended { .. }), "{n} was revived");
        }
        assert!(store.read(FeedHead).await.unwrap().seq >= over.len() as u64);
    }
}

#[tokio::test]
async fn reading_goes_on_while_the_log_is_moved_into_the_file() {
    let at = SqliteFile::new();
    let options = StoreOptions { checkpoint_bytes: 64 << 10, ..StoreOptions::default() };
    let store = at.open_with(options);
    for row in every_row() {
        done(&store, Changes::none().write(row)).await;
    }
    for n in 1_000..1_400 {
        done(&store, Changes::none().write(Row::User(user(n)))).await;
        assert!(store.read(UserById(uid(n))).await.unwrap().is_some());
    }
    let log = std::fs::metadata(at.path().with_extension("db-wal")).unwrap().len();
    assert!(log < 512 << 10, "the log is used again from its start: {log} bytes");
    for row in every_row() {
        assert_eq!(store.read(At(row.key())).await.unwrap(), Some(stored(&row)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn snapshots_that_readers_keep_do_not_keep_the_log_from_its_beginning() {
    let at = SqliteFile::new();
    let options = StoreOptions { checkpoint_bytes: 64 << 10, ..StoreOptions::default() };
    let store = at.open_with(options);
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert!(store.read(UserById(uid(1))).await.unwrap().is_some());
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in asking {
        task.await.unwrap();
    }
    // Nobody asks any more: what the connections hold they hold, unless the writer sees to it.
    for n in 1_000..2_000 {
        done(&store, Changes::none().write(Row::User(user(n)))).await;
    }
    let log = std::fs::metadata(at.path().with_extension("db-wal")).unwrap().len();
    assert!(log < 512 << 10, "the log is used again from its start: {log} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_decision_is_the_last_that_knows_the_store_it_is_closed_all_the_same() {
    let at = SqliteFile::new();
    let store = at.open();
    let (begun, under_way) = std::sync::mpsc::channel();
    let (go_on, gone) = std::sync::mpsc::channel::<()>();
    let (asker, last) = (store.clone(), store.clone());
    let asking = tokio::spawn(async move {
        let settled = asker.settle(UserById(uid(1)), move |_| {
            begun.send(()).unwrap();
            let _gone = gone.recv(); // until nobody else knows the store
            drop(last);
            (Changes::none(), ())
        });
        settled.await
    });
    under_way.recv().unwrap();
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    drop(store);
    drop(go_on);
    while Store::open(&at.path(), StoreOptions::default(), SEED).is_err() {
        tokio::task::yield_now().await; // the writer closes the file when the decision is over
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_is_closed_when_everybody_was_told_however_busy_the_runtime_is() {
    let at = SqliteFile::new();
    let store = at.open();
    let (begun, under_way) = std::sync::mpsc::channel();
    let (go_on, free) = std::sync::mpsc::channel::<()>();
    let busy = tokio::spawn(async move {
        begun.send(()).unwrap();
        let _free = free.recv();
    });
    under_way.recv().unwrap(); // from here on the one thread that runs tasks runs none
    let commits = (0..50).map(|n| store.commit(Changes::none().write(Row::User(user(n)))));
    let mut waiting = Box::pin(join_all(commits));
    assert_eq!(waiting.as_mut().now_or_never(), None);
    let mut closing = Box::pin(store.clone().close());
    let path = at.path();
    let ended = tokio::task::spawn_blocking(move || {
        while remint::store::lock(&path).is_err() {
            std::thread::yield_now(); // the lock is given back when the writer has ended
        }
    });
    tokio::select! {
        () = &mut closing => panic!("closed before everybody was told"),
        ended = ended => ended.unwrap(),
    }
    for _ in 0..100 {
        assert_eq!(closing.as_mut().now_or_never(), None, "closed before everybody was told");
        tokio::task::spawn_blocking(std::thread::yield_now).await.unwrap();
    }
    drop(go_on);
    closing.await;
    let answers = waiting.now_or_never().expect("all are told when it is closed");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Commit::Done { .. }))), "{answers:?}");
    busy.await.unwrap();
}
