//! The promises, each a scene through `read` and `commit` only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use remint::store::{
    AccountById, AccountOf, ApiById, ApiFor, Apis, AuditLog, BeforeCommit, ClientById, Clients, Commit, Counter,
    CounterLimits, DeclaredAttributes, FeedAfter, FeedAlive, FeedAt, FeedForgotten, FeedHead, Holding, IdentifiersOf,
    Keys, LongestLife, Question, Reader, SessionById, SessionLimits, SessionsDerivedWith, SessionsOf, Store,
    StoreError, UserById, Users,
};
use remint_core::audit::{Act, Actor, Doer, Target};
use remint_core::change::{Changes, Forgotten, Identifier, Row, RowKey, Take, Taken};
use remint_core::client::{Api, Client};
use remint_core::event::{ChainHash, Cursor};
use remint_core::id::{SessionId, UserId};
use remint_core::refresh::{Chain, MacKeyId};
use remint_core::rev::Rev;
use remint_core::session::{Continuity, EndReason, Session};
use remint_core::time::Timestamp;
use remint_core::user::User;
use tokio::sync::Barrier;

use crate::Fixture;
use crate::samples::{self, SEED, api, client, ended, every_row, session, sid, stored, uid, user};

pub(crate) use crate::settling::*;

/// Any row by its key.
pub(crate) struct At(pub(crate) RowKey);

impl Question for At {
    type Answer = Option<Row>;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.row(&self.0)
    }
}

pub(crate) async fn done(store: &Store, changes: Changes) -> (Vec<Taken>, Option<Cursor>) {
    match store.commit(changes).await.unwrap() {
        Commit::Done { taken, cursor } => (taken, cursor),
        conflict @ Commit::Conflict { .. } => panic!("{conflict:?}"),
    }
}

async fn conflict(store: &Store, changes: Changes) -> (RowKey, Option<Row>) {
    match store.commit(changes).await.unwrap() {
        Commit::Conflict { key, current } => (key, current.map(|row| *row)),
        done @ Commit::Done { .. } => panic!("{done:?}"),
    }
}

fn writes(rows: impl IntoIterator<Item = Row>) -> Changes {
    rows.into_iter().fold(Changes::none(), Changes::write)
}

async fn user_now(store: &Store, n: u32) -> User {
    store.read(UserById(uid(n))).await.unwrap().unwrap()
}

pub(crate) async fn every_kind_of_row_reads_back_as_it_was_written_extremes_included(at: impl Fixture) {
    let (store, rows) = (at.open(), every_row());
    done(&store, writes(rows.clone())).await;
    let once: Vec<Row> = rows.iter().map(stored).collect();
    for row in &once {
        assert_eq!(store.read(At(row.key())).await.unwrap().as_ref(), Some(row));
    }
    done(&store, writes(once.clone())).await;
    for row in &once {
        assert_eq!(store.read(At(row.key())).await.unwrap(), Some(stored(row)));
    }
    let deletes = once.iter().map(|row| (row.key(), row.rev().next())).collect();
    done(&store, Changes { deletes, ..Changes::none() }).await;
    for row in &once {
        assert_eq!(store.read(At(row.key())).await.unwrap(), None);
    }
}

pub(crate) async fn a_number_that_no_column_holds_is_refused_and_nothing_is_written(at: impl Fixture) {
    let store = at.open();
    let beyond = User { cv: samples::MOST + 1, ..user(2) };
    let refused = store.commit(writes([Row::User(user(1)), Row::User(beyond)])).await;
    assert_eq!(refused, Err(StoreError::Unstorable { table: "users", column: "cv" }));
    assert_eq!(store.read(UserById(uid(1))).await.unwrap(), None);
    done(&store, writes([Row::User(user(1))])).await;
}

pub(crate) async fn changes_are_written_whole_or_not_at_all(at: impl Fixture) {
    let store = at.open();
    done(&store, writes([Row::User(user(1)), Row::User(user(2))])).await;
    let stale = Row::User(User { rev: Rev::from_stored(9), ..user(2) });
    let whole = Changes::none()
        .delete(RowKey::User(uid(1)), Rev::from_stored(1))
        .write(Row::Session(session(1, &user(1))))
        .take(Take { key: "k".into(), limit: 5, window: Duration::from_secs(9), at: Timestamp::from_secs(1) })
        .notice(ended(1, 1, 9))
        .write(stale);
    let (key, _) = conflict(&store, whole).await;
    assert_eq!(key, RowKey::User(uid(2)));
    assert!(store.read(UserById(uid(1))).await.unwrap().is_some());
    assert_eq!(store.read(SessionById(sid(1))).await.unwrap(), None);
    assert_eq!(store.read(Counter("k".into())).await.unwrap(), None);
    assert_eq!(store.read(FeedHead).await.unwrap().seq, 0);
}

pub(crate) async fn fifty_callers_on_one_row_each_rev_has_one_winner_and_all_win_in_the_end(at: impl Fixture) {
    let store = at.open();
    done(&store, writes([Row::User(user(1))])).await;
    let callers = (0..50).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut seen = user_now(&store, 1).await;
            loop {
                let changes = Changes::none().write(Row::User(seen.with_new_cv())).notice(ended(1, 1, 9));
                match store.commit(changes).await.unwrap() {
                    Commit::Done { .. } => return seen.rev.number(),
                    Commit::Conflict { current, .. } => match current.map(|row| *row) {
                        Some(Row::User(current)) => {
                            assert!(current.rev > seen.rev, "a conflict shows what is newer");
                            seen = current;
                        }
                        other => panic!("{other:?}"),
                    },
                }
            }
        })
    });
    let won: Vec<i64> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(won.iter().copied().collect::<BTreeSet<_>>(), (1..=50).collect());
    let after = user_now(&store, 1).await;
    assert_eq!((after.cv, after.rev), (51, Rev::from_stored(51)));
    assert_eq!(store.read(FeedHead).await.unwrap().seq, 50, "one event for each that won, none for a conflict");
}

pub(crate) async fn a_session_opened_against_a_user_disabled_in_between_is_a_conflict(at: impl Fixture) {
    let store = at.open();
    done(&store, writes([Row::User(user(1)), Row::Client(client("demo"))])).await;
    let read = user_now(&store, 1).await;
    done(&store, writes([Row::User(read.disabled())])).await;
    let opening = Changes::none()
        .expect(RowKey::User(read.id), read.rev)
        .expect(RowKey::Client(client("demo").id), Rev::from_stored(1))
        .write(Row::Session(session(1, &read)));
    let (key, current) = conflict(&store, opening.clone()).await;
    assert_eq!((key, current), (RowKey::User(read.id), Some(Row::User(user_now(&store, 1).await))));
    assert_eq!(store.read(SessionById(sid(1))).await.unwrap(), None);
    assert!(store.read(SessionsOf { user: uid(1), limit: 9 }).await.unwrap().is_empty());
}

pub(crate) async fn whatever_was_committed_between_a_read_and_its_write_is_noticed(at: impl Fixture) {
    let store = at.open();
    done(&store, writes([Row::User(user(1))])).await;
    let barrier = Arc::new(Barrier::new(8));
    let rivals = (0..8).map(|_| {
        let (store, barrier) = (store.clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            let read = user_now(&store, 1).await;
            barrier.wait().await; // all have read before any writes
            matches!(store.commit(writes([Row::User(read.with_new_cv())])).await.unwrap(), Commit::Done { .. })
        })
    });
    let winners = join_all(rivals).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!((winners, user_now(&store, 1).await.cv), (1, 2));
}

pub(crate) async fn one_member_that_fails_leaves_the_others_committed(at: impl Fixture) {
    let store = at.open();
    let members = (0..60).map(|n| match n % 3 {
        0 => store.commit(writes([Row::User(User { cv: u64::MAX, ..user(n) })]).notice(ended(n, 1, 9))),
        1 => store.commit(writes([Row::User(User { rev: Rev::from_stored(1), ..user(n) })]).notice(ended(n, 1, 9))),
        _ => store.commit(writes([Row::User(user(n))]).notice(ended(n, 1, 9))),
    });
    for (n, answer) in join_all(members).await.into_iter().enumerate() {
        let stored = store.read(UserById(uid(n as u32))).await.unwrap().is_some();
        match n % 3 {
            0 => assert!(matches!((answer, stored), (Err(StoreError::Unstorable { .. }), false))),
            1 => assert!(matches!((answer, stored), (Ok(Commit::Conflict { current: None, .. }), false))),
            _ => assert!(matches!((answer, stored), (Ok(Commit::Done { .. }), true))),
        }
    }
    assert_eq!(store.read(FeedHead).await.unwrap().seq, 20);
}

pub(crate) async fn a_conflict_carries_the_row_as_it_is_now(at: impl Fixture) {
    let store = at.open();
    for row in every_row() {
        done(&store, writes([row.clone()])).await;
        let is = (row.key(), Some(stored(&row)));
        assert_eq!(conflict(&store, writes([row.clone()])).await, is, "written as new");
        let key = row.key();
        assert_eq!(conflict(&store, Changes::none().expect(key.clone(), Rev::from_stored(2))).await, is);
        assert_eq!(conflict(&store, Changes::none().delete(key.clone(), Rev::from_stored(2))).await, is);
        assert_eq!(conflict(&store, writes([stored(&stored(&row))])).await, is, "written at a later rev");
    }
}

pub(crate) async fn absence_can_be_expected(at: impl Fixture) {
    let store = at.open();
    let key = RowKey::Identifier("ada".into());
    done(&store, Changes::none().expect(key.clone(), Rev::NEW).delete(key.clone(), Rev::NEW)).await;
    let ada = Row::Identifier(Identifier { text: "ada".into(), user: uid(1), rev: Rev::NEW });
    assert_eq!(conflict(&store, writes([stored(&ada)])).await, (key.clone(), None), "an update of nothing");
    assert_eq!(conflict(&store, Changes::none().delete(key.clone(), Rev::from_stored(1))).await, (key.clone(), None));
    done(&store, Changes::none().expect(key.clone(), Rev::NEW).write(ada.clone())).await;
    for absent in [Changes::none().expect(key.clone(), Rev::NEW), Changes::none().delete(key.clone(), Rev::NEW)] {
        assert_eq!(conflict(&store, absent).await, (key.clone(), Some(stored(&ada))));
    }
}

pub(crate) async fn two_apis_never_share_an_audience(at: impl Fixture) {
    let store = at.open();
    done(&store, writes([Row::Api(api("a", "one")), Row::Api(api("b", "two"))])).await;
    let holder = (RowKey::Api("a".parse().unwrap()), Some(stored(&Row::Api(api("a", "one")))));
    assert_eq!(conflict(&store, writes([Row::Api(api("c", "one"))])).await, holder);
    let moved = Api { rev: Rev::from_stored(1), ..api("b", "one") };
    assert_eq!(conflict(&store, writes([Row::Api(moved)])).await, holder);
    assert_eq!(store.read(ApiFor("two".parse().unwrap())).await.unwrap().unwrap().id.as_str(), "b");
}

pub(crate) async fn a_client_made_anew_is_never_answered_from_memory(at: impl Fixture) {
    let store = at.open();
    let first = client("demo");
    done(&store, writes([Row::Client(first.clone())])).await;
    store.read(ClientById(first.id.clone())).await.unwrap().unwrap();
    done(&store, Changes::none().delete(RowKey::Client(first.id.clone()), Rev::from_stored(1))).await;
    assert_eq!(store.read(ClientById(first.id.clone())).await.unwrap(), None);
    let second = Client { disabled: true, ..first.clone() };
    done(&store, writes([Row::Client(second.clone())])).await;
    let read = store.read(ClientById(first.id)).await.unwrap().unwrap();
    assert_eq!(*read, Client { rev: Rev::from_stored(1), ..second });
}

pub(crate) async fn a_changed_client_or_api_is_seen_by_every_question_after_the_answer(at: impl Fixture) {
    let store = at.open();
    done(&store, writes([Row::Client(client("demo")), Row::Api(api("a", "one"))])).await;
    done(&store, writes([Row::User(user(1)), Row::Session(session(1, &user(1)))])).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let crowd: Vec<_> = (0..4)
        .map(|_| {
            let (store, stopped) = (store.clone(), stopped.clone());
            tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Handle::current();
                while !*stopped.borrow() {
                    runtime.block_on(store.read(Holding(sid(1)))).unwrap().unwrap();
                    runtime.block_on(store.read(ApiFor("one".parse().unwrap()))).unwrap().unwrap();
                }
            })
        })
        .collect();
    for round in 1..300 {
        let rev = Rev::from_stored(round);
        done(
            &store,
            writes([Row::Client(Client { rev, pv: 7, ..client("demo") }), Row::Api(Api { rev, ..api("a", "one") })]),
        )
        .await;
        let held = store.read(Holding(sid(1))).await.unwrap().unwrap();
        let by_id = store.read(ApiById("a".parse().unwrap())).await.unwrap().unwrap();
        let by_audience = store.read(ApiFor("one".parse().unwrap())).await.unwrap().unwrap();
        assert_eq!([held.client.rev, by_id.rev, by_audience.rev], [rev.next(); 3]);
    }
    stop.send(true).unwrap();
    join_all(crowd).await.into_iter().for_each(|reader| reader.unwrap());
}

fn attempt(limit: u32, at: i64) -> Changes {
    Changes::none().take(Take {
        key: "log-in ada".into(),
        limit,
        window: Duration::from_secs(60),
        at: Timestamp::from_secs(at),
    })
}

pub(crate) async fn two_hundred_parallel_takes_grant_exactly_their_limit(at: impl Fixture) {
    let store = at.open();
    let attempts = (0..200).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { done(&store, attempt(7, 100)).await.0 })
    });
    let mut granted = Vec::new();
    for taken in join_all(attempts).await {
        match taken.unwrap()[..] {
            [Taken::Allowed { count }] => granted.push(count),
            [Taken::Exhausted { retry_after }] => assert_eq!(retry_after, Duration::from_secs(60)),
            ref other => panic!("{other:?}"),
        }
    }
    granted.sort_unstable();
    assert_eq!(granted, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(store.read(Counter("log-in ada".into())).await.unwrap().unwrap().count, 7);
}

pub(crate) async fn a_window_begins_anew_and_a_clock_that_went_back_grants_nothing(at: impl Fixture) {
    let store = at.open();
    let exhausted = |secs| vec![Taken::Exhausted { retry_after: Duration::from_secs(secs) }];
    assert_eq!(done(&store, attempt(1, 100)).await.0, [Taken::Allowed { count: 1 }]);
    assert_eq!(done(&store, attempt(1, 159)).await.0, exhausted(1));
    drop(store);
    let store = at.open();
    assert_eq!(done(&store, attempt(1, -3_500)).await.0, exhausted(3_660), "after a restart an hour earlier");
    assert_eq!(done(&store, attempt(1, 160)).await.0, [Taken::Allowed { count: 1 }]);
    let returned = Changes::none().give_back("log-in ada".into()).give_back("log-in nobody".into());
    done(&store, returned).await;
    assert_eq!(done(&store, attempt(1, 160)).await.0, [Taken::Allowed { count: 1 }], "given back, and taken again");
    let forgotten = Changes { resets: vec!["log-in ada".into()], ..Changes::none() };
    done(&store, forgotten).await;
    assert_eq!(done(&store, attempt(1, 161)).await.0, [Taken::Allowed { count: 1 }]);
    let row = store.read(Counter("log-in ada".into())).await.unwrap().unwrap();
    assert_eq!(row.expires_at, Timestamp::from_secs(221), "what may be purged, and when");
}

pub(crate) async fn a_take_is_not_counted_where_its_commit_conflicts(at: impl Fixture) {
    let store = at.open();
    conflict(&store, attempt(1, 100).expect(RowKey::User(uid(1)), Rev::from_stored(1))).await;
    assert_eq!(done(&store, attempt(1, 100)).await.0, [Taken::Allowed { count: 1 }]);
}

pub(crate) async fn the_feed_is_gapless_and_in_commit_order_and_its_chain_can_be_recomputed(at: impl Fixture) {
    let store = at.open();
    let grew = store.feed_grew();
    done(&store, writes((0..4).map(|n| Row::User(user(n))))).await;
    let writers = (0..80_u32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let row = user_now(&store, n % 4).await;
            let notices = (0..=n % 3).map(|i| ended(n * 10 + i, 1, 9)).collect();
            let changes = Changes { notices, ..writes([Row::User(row.with_new_cv())]) };
            match store.commit(changes).await.unwrap() {
                Commit::Done { cursor, .. } => Some((n, row.rev, cursor.unwrap())),
                Commit::Conflict { .. } => None,
            }
        })
    });
    let won: Vec<_> = join_all(writers).await.into_iter().filter_map(Result::unwrap).collect();
    let feed = store.read(FeedAfter { seq: 0, limit: usize::MAX }).await.unwrap();
    let mut history = Cursor { seq: 0, chain: ChainHash::origin(SEED) };
    for entry in &feed {
        history = Cursor { seq: history.seq + 1, chain: history.chain.then(&entry.text) };
        assert_eq!(entry.cursor, history, "gapless, and each fingerprint follows from the one before");
    }
    assert_eq!(store.read(FeedHead).await.unwrap(), history);
    assert_eq!(history.seq, won.iter().map(|(n, ..)| u64::from(n % 3) + 1).sum::<u64>());
    assert_eq!(*grew.borrow(), history.seq, "followers are woken with the newest number");
    for (n, _, cursor) in &won {
        let mine = n % 3 + 1;
        for i in 0..mine {
            let entry = &feed[(cursor.seq - u64::from(mine - i)) as usize];
            assert_eq!(
                entry.text,
                serde_json::to_string(&ended(n * 10 + i, 1, 9).event).unwrap(),
                "together, in order"
            );
        }
    }
    for one in 0..4 {
        let mut of_one: Vec<_> = won.iter().filter(|(n, ..)| n % 4 == one).map(|(_, rev, at)| (*rev, at.seq)).collect();
        of_one.sort_unstable();
        assert!(of_one.is_sorted_by_key(|(_, seq)| *seq), "a later rev has a later number");
    }
}

pub(crate) async fn the_feed_forgets_nothing_that_still_matters(at: impl Fixture) {
    let store = at.open();
    let notices: Vec<_> = [(1, 50), (2, 10), (3, 99)].map(|(n, forget)| ended(n, i64::from(n), forget)).into();
    let (_, last) = done(&store, Changes { notices: notices.clone(), ..Changes::none() }).await;
    let alive = |now, until| {
        let store = store.clone();
        async move {
            let asked = FeedAlive { after: FeedAlive::at(Timestamp::from_secs(now)), until, limit: 9 };
            store.read(asked).await.unwrap().iter().map(|entry| entry.cursor.seq).collect::<Vec<_>>()
        }
    };
    assert_eq!((alive(9, 3).await, alive(10, 3).await, alive(50, 3).await), (vec![2, 1, 3], vec![1, 3], vec![3]));
    assert_eq!((alive(0, 1).await, alive(0, 2).await, alive(99, 3).await), (vec![1], vec![2, 1], vec![]));
    let next = FeedAlive { after: (Timestamp::from_secs(10), 2), until: 3, limit: 1 };
    assert_eq!(store.read(next).await.unwrap()[0].cursor.seq, 1, "the next page begins behind the last entry");
    let third = &store.read(FeedAfter { seq: 2, limit: 9 }).await.unwrap()[0];
    assert_eq!((third.concerns.clone(), third.at, third.forget_after), {
        let notice = &notices[2];
        (notice.concerns.clone(), notice.at, notice.event.forget_after())
    });
    assert_eq!(store.read(FeedAt(3)).await.unwrap(), last);
    let origin = Cursor { seq: 0, chain: ChainHash::origin(SEED) };
    assert_eq!(store.read(FeedAt(0)).await.unwrap(), Some(origin));
    assert_eq!((store.read(FeedAt(4)).await.unwrap(), store.read(FeedAt(u64::MAX)).await.unwrap()), (None, None));
    assert!(store.read(FeedAfter { seq: u64::MAX, limit: 9 }).await.unwrap().is_empty());
}

pub(crate) async fn what_is_over_is_found_in_slices_and_only_that_is_forgotten(at: impl Fixture) {
    let (store, secs) = (at.open(), Timestamp::from_secs);
    let over = session(2, &user(1)).ended(EndReason::Theft, secs(77));
    done(&store, writes([1, 3].map(|n| Row::Session(session(n, &user(1)))).into_iter().chain([Row::Session(over)])))
        .await;
    let first = store.read(SessionLimits { after: None, limit: 2 }).await.unwrap();
    assert_eq!(first.iter().map(|end| end.limits.ended_at).collect::<Vec<_>>(), [None, Some(secs(77))]);
    let rest = store.read(SessionLimits { after: Some(first[1].sid), limit: 2 }).await.unwrap();
    let third = session(3, &user(1));
    assert_eq!((rest.len(), rest[0].sid, rest[0].rev), (1, sid(3), Rev::from_stored(1)));
    assert_eq!((rest[0].limits.idle_at, rest[0].limits.absolute_at), (third.idle_at, third.absolute_at));

    done(&store, attempt(5, 100)).await;
    let all = store.read(CounterLimits { after: String::new(), limit: 9 }).await.unwrap();
    let (key, expires_at) = all[0].clone();
    assert!(store.read(CounterLimits { after: key.clone(), limit: 9 }).await.unwrap().is_empty());
    let counter = |by| Changes::none().forget(Forgotten::Counter { key: key.clone(), by });
    done(&store, counter(expires_at.minus(Duration::from_micros(1)))).await;
    assert!(store.read(Counter(key.clone())).await.unwrap().is_some(), "it has not expired by then");
    done(&store, counter(expires_at)).await;
    assert!(store.read(Counter(key.clone())).await.unwrap().is_none());

    let notices: Vec<_> = [(1, 50), (2, 10), (3, 99), (4, 5)].map(|(n, forget)| ended(n, 1, forget)).into();
    let (_, head) = done(&store, Changes { notices, ..Changes::none() }).await;
    let by = |time, limit| FeedForgotten { by: secs(time), limit };
    assert_eq!(store.read(by(50, 9)).await.unwrap(), [2, 1], "the first to be forgotten first, and never the last");
    assert_eq!(store.read(by(49, 9)).await.unwrap(), [2]);
    assert_eq!(store.read(by(50, 1)).await.unwrap(), [2]);
    done(&store, [2, 4, 9].into_iter().fold(Changes::none(), |all, seq| all.forget(Forgotten::Event(seq)))).await;
    let left = store.read(FeedAfter { seq: 0, limit: 9 }).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.cursor.seq).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!((store.read(FeedAt(2)).await.unwrap(), store.read(FeedAt(4)).await.unwrap()), (None, head));
}

pub(crate) async fn a_question_is_one_snapshot(at: impl Fixture) {
    let store = at.open();
    let first = session(1, &user(1));
    done(&store, writes([Row::User(user(1)), Row::Session(first), Row::Client(client("demo"))])).await;
    let writing = store.clone();
    let writer = tokio::spawn(async move {
        for _ in 0..300 {
            let held = writing.read(Holding(sid(1))).await.unwrap().unwrap();
            let user = held.user.with_new_epoch(EndReason::Everywhere);
            let session = Session { epoch: user.epoch, ..held.session };
            done(&writing, writes([Row::Session(session), Row::User(user)])).await;
        }
    });
    let mut looks = 0;
    while !writer.is_finished() || looks == 0 {
        let held = store.read(Holding(sid(1))).await.unwrap().unwrap();
        assert_eq!((held.session.epoch, held.session.rev), (held.user.epoch, held.user.rev));
        looks += 1;
    }
    writer.await.unwrap();
    assert_eq!(user_now(&store, 1).await.epoch, 300);
}

pub(crate) async fn a_question_of_either_kind_shows_what_was_answered_before_it(at: impl Fixture) {
    let store = at.open();
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    let answered = Arc::new(AtomicU64::new(user_now(&store, 1).await.cv));
    let over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|number| {
            let (store, answered, over) = (store.clone(), Arc::clone(&answered), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(SeqCst) {
                    let least = answered.load(SeqCst);
                    let found = match number % 2 {
                        0 => store.read(UserById(uid(1))).await,
                        _ => store.read(BeforeCommit(UserById(uid(1)))).await,
                    };
                    assert!(found.unwrap().unwrap().cv >= least, "a commit that was answered is seen");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..300 {
        let raised = user_now(&store, 1).await.with_new_cv();
        let cv = raised.cv;
        done(&store, Changes::none().write(Row::User(raised))).await;
        answered.store(cv, SeqCst);
    }
    over.store(true, SeqCst);
    for task in asking {
        task.await.unwrap();
    }
}

pub(crate) async fn two_ids_that_begin_alike_are_two_and_the_second_is_refused(at: impl Fixture) {
    let store = at.open();
    let mut bytes = *sid(1).as_bytes();
    bytes[15] ^= 1;
    let (like_sid, like_uid) = (SessionId::from_bytes(bytes), UserId::from_bytes(bytes));
    done(&store, writes([Row::User(user(1)), Row::Session(session(1, &user(1)))])).await;
    let rows =
        [Row::User(User { id: like_uid, ..user(1) }), Row::Session(Session { sid: like_sid, ..session(1, &user(1)) })];
    for row in rows {
        let refused = store.commit(Changes::none().write(row.clone())).await.unwrap();
        assert_eq!(refused, Commit::Conflict { key: row.key(), current: None });
    }
    assert_eq!(store.read(SessionById(like_sid)).await.unwrap(), None);
    assert_eq!(store.read(UserById(like_uid)).await.unwrap(), None);
    assert!(store.read(SessionById(sid(1))).await.unwrap().is_some());
}

pub(crate) async fn questions_answer_in_their_order_and_page(at: impl Fixture) {
    let store = at.open();
    done(&store, writes(every_row())).await;
    let users = |after, limit| store.read(Users { after, limit });
    let all: Vec<_> = users(None, 99).await.unwrap().iter().map(|user| user.id).collect();
    assert_eq!(all, [1, 100, 101, 102, 103, 104, 105].map(uid));
    let page: Vec<_> = users(Some(uid(101)), 2).await.unwrap().iter().map(|user| user.id).collect();
    assert_eq!(page, [102, 103].map(uid));
    assert_eq!(store.read(Clients).await.unwrap().len(), 2);
    assert_eq!(store.read(Apis).await.unwrap().len(), 2);
    assert!(store.read(ApiById("demo-api".parse().unwrap())).await.unwrap().is_some());
    assert!(store.read(ApiFor("nobody".parse().unwrap())).await.unwrap().is_none());
    assert_eq!(store.read(DeclaredAttributes).await.unwrap().iter().count(), 2);
    let kids: Vec<_> = store.read(Keys).await.unwrap().into_iter().map(|key| key.kid).collect();
    assert_eq!(kids, ["key-4", "key-3", "key-2", "key-1", "key-0"], "the one made first is first");
    assert_eq!(store.read(LongestLife).await.unwrap(), Duration::from_secs(300));
    let held = store.read(AccountOf("ada@example.test".into())).await.unwrap().unwrap();
    assert_eq!((held.user.id, held.password.is_some()), (uid(1), true));
    assert!(store.read(AccountById(uid(100))).await.unwrap().unwrap().password.is_none());
    assert!(store.read(AccountOf("nobody".into())).await.unwrap().is_none());
    assert_eq!(store.read(IdentifiersOf(uid(1))).await.unwrap().len(), 1);
    assert!(store.read(Holding(sid(999))).await.unwrap().is_none());
    sessions_of_a_user_and_of_a_key(&store).await;
}

async fn sessions_of_a_user_and_of_a_key(store: &Store) {
    let other = user(7);
    let sessions = (0..6).map(|n| {
        let chain = Chain { kid: MacKeyId(40 + n % 2), ..samples::chain() };
        Row::Session(Session {
            last_seen: Timestamp::from_secs([5, 1, 4, 2, 6, 3][n as usize]),
            continuity: Continuity::Refresh(chain),
            ..session(700 + n, &other)
        })
    });
    done(store, writes(sessions)).await;
    let newest: Vec<_> = store.read(SessionsOf { user: uid(7), limit: 3 }).await.unwrap();
    assert_eq!(newest.iter().map(|session| session.sid).collect::<Vec<_>>(), [704, 700, 702].map(sid));
    let derived = |after, limit| store.read(SessionsDerivedWith { kid: MacKeyId(41), after, limit });
    let first: Vec<_> = derived(None, 2).await.unwrap().iter().map(|session| session.sid).collect();
    let rest: Vec<_> = derived(Some(sid(703)), 2).await.unwrap().iter().map(|session| session.sid).collect();
    assert_eq!((first, rest), ([701, 703].map(sid).to_vec(), vec![sid(705)]));
}

pub(crate) async fn what_was_answered_is_there_after_dropping_and_opening_again(at: impl Fixture) {
    for round in 0..5 {
        let store = at.open();
        for before in 0..round * 40 {
            assert!(store.read(UserById(uid(before))).await.unwrap().is_some(), "{before}");
        }
        assert_eq!(store.read(FeedHead).await.unwrap().seq, u64::from(round) * 40, "the history goes on");
        let all =
            (round * 40..round * 40 + 40).map(|n| store.commit(writes([Row::User(user(n))]).notice(ended(n, 1, 9))));
        assert!(join_all(all).await.into_iter().all(|answer| matches!(answer, Ok(Commit::Done { .. }))));
    }
}

pub(crate) async fn closing_answers_everybody_and_then_refuses_all_clones(at: impl Fixture) {
    let store = at.open();
    let at_the_same_time: Vec<_> = (50..150)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(writes([Row::User(user(n))])).await })
        })
        .collect();
    let mut before = Box::pin(join_all((0..50).map(|n| store.commit(writes([Row::User(user(n))])))));
    let at_once = before.as_mut().now_or_never();
    store.clone().close().await;
    let answers = at_once.or_else(|| before.now_or_never()).expect("all are answered when it is closed");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Commit::Done { .. }))), "{answers:?}");
    let mut stored: BTreeSet<_> = (0..50).map(uid).collect();
    for (n, answer) in (50..).zip(join_all(at_the_same_time).await) {
        match answer.unwrap() {
            Ok(Commit::Done { .. }) => assert!(stored.insert(uid(n))),
            other => assert_eq!(other, Err(StoreError::Closed)),
        }
    }
    assert_eq!(store.commit(Changes::none()).await, Err(StoreError::Closed));
    assert_eq!(store.read(FeedHead).await, Err(StoreError::Closed));
    assert_eq!(store.read(Clients).await, Err(StoreError::Closed));
    let again = at.open();
    let found = again.read(Users { after: None, limit: 999 }).await.unwrap();
    assert_eq!(found.iter().map(|user| user.id).collect::<BTreeSet<_>>(), stored);
}

pub(crate) async fn the_audit_log_keeps_what_was_committed_and_only_as_much_as_its_counters_allow(at: impl Fixture) {
    let store = at.open();
    let doer = Doer { actor: Actor::Nobody, from: "192.0.2.7".into(), reason: Some("é \"why\"".parse().unwrap()) };
    let told = |act, secs| doer.did(act, Target::User(uid(1)), Timestamp::from_secs(secs));
    let full = told(Act::LogIn, 5).session(&"demo".parse().unwrap(), sid(1)).names(["pwd", "o\"t"]);
    done(&store, writes([Row::User(user(1))]).audit(full.clone())).await;
    // What conflicts is not told.
    let again = store.commit(writes([Row::User(user(1))]).audit(told(Act::UserCreated, 6))).await.unwrap();
    assert!(matches!(again, Commit::Conflict { .. }));
    let take =
        |at| Take { key: "audit".into(), limit: 2, window: Duration::from_secs(10), at: Timestamp::from_secs(at) };
    let guesses = join_all((0..20).map(|_| {
        let entry = told(Act::LogInFailed, 7).within(take(7));
        store.commit(Changes::none().audit(entry))
    }));
    assert!(guesses.await.into_iter().all(|guess| matches!(guess, Ok(Commit::Done { .. }))));
    let log = |until, limit| {
        let (actor, target, act) = (None, Some(Target::User(uid(1))), None);
        AuditLog { actor, target, act, since: Timestamp::from_secs(5), until, limit }
    };
    let all = store.read(log(AuditLog::before(Timestamp::MAX), 99)).await.unwrap();
    let acts: Vec<_> = all.iter().map(|audited| audited.entry.act).collect();
    assert_eq!(acts, [Act::LogInFailed, Act::LogInFailed, Act::LogIn]);
    assert_eq!(all[2].entry, full);
    let first = store.read(log(AuditLog::before(Timestamp::MAX), 1)).await.unwrap();
    let rest = store.read(log((first[0].entry.at, first[0].seq), 99)).await.unwrap();
    assert_eq!([first, rest].concat(), all, "page by page, though two are of one time");
    assert_eq!(store.read(log(AuditLog::before(Timestamp::from_secs(7)), 99)).await.unwrap().len(), 1);
}
