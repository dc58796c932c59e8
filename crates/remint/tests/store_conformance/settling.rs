//! What is promised of a decision that is taken where commits are written. The other promises are in `promises.rs`.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use remint::store::{Commit, Store, StoreError, UserById};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::rev::Rev;
use remint_core::user::User;
use tokio::sync::Barrier;

use crate::Fixture;
use crate::promises::done;
use crate::samples::{uid, user};

/// One more for the claims version of user 1, at the rev that was found.
fn raised(found: Option<User>) -> (Changes, u64) {
    let found = found.unwrap();
    let cv = found.cv + 1;
    (Changes::none().write(Row::User(User { cv, ..found })), cv)
}

async fn now(store: &Store) -> User {
    store.read(UserById(uid(1))).await.unwrap().unwrap()
}

pub(crate) async fn decisions_of_one_row_that_are_settled_at_once_follow_each_other(at: impl Fixture) {
    const CALLERS: u64 = 50;
    let store = at.open();
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    let (before, barrier) = (now(&store).await.cv, Arc::new(Barrier::new(50)));
    let callers = (0..CALLERS).map(|_| {
        let (store, barrier) = (store.clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            for _ in 0..8 {
                // In one batch all see what was committed before it: one of them is first, the others decide again.
                match store.settle(UserById(uid(1)), raised).await.unwrap() {
                    (cv, Commit::Done { .. }) => return Some(cv),
                    (_, Commit::Conflict { key, .. }) => assert_eq!(key, RowKey::User(uid(1))),
                }
            }
            None
        })
    });
    let won: Vec<u64> = join_all(callers).await.into_iter().filter_map(Result::unwrap).collect();
    let distinct: std::collections::BTreeSet<u64> = won.iter().copied().collect();
    assert!(!won.is_empty() && distinct.len() == won.len(), "no two made the same step: {won:?}");
    assert_eq!(now(&store).await.cv, before + won.len() as u64, "and nothing is lost");
}

pub(crate) async fn where_nothing_is_decided_nothing_is_written(at: impl Fixture) {
    let store = at.open();
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    let before = now(&store).await;
    let (seen, commit) = store.settle(UserById(uid(1)), |found| (Changes::none(), found)).await.unwrap();
    assert_eq!((seen, commit), (Some(before.clone()), Commit::Done { taken: Vec::new(), cursor: None }));
    assert_eq!(now(&store).await, before);
}

pub(crate) async fn a_decision_on_an_old_row_is_a_conflict_and_writes_nothing(at: impl Fixture) {
    let store = at.open();
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    let old = User { rev: Rev::NEW, ..now(&store).await };
    let settled = store.settle(UserById(uid(1)), move |_| (Changes::none().write(Row::User(old)), ())).await;
    let current = Some(Box::new(Row::User(now(&store).await)));
    assert_eq!(settled, Ok(((), Commit::Conflict { key: RowKey::User(uid(1)), current })));
}

pub(crate) async fn a_decision_that_panics_harms_its_caller_alone(at: impl Fixture) {
    let store = at.open();
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    let before = now(&store).await.cv;
    let settle = |panics: bool| {
        store.settle(UserById(uid(1)), move |found| {
            assert!(!panics, "this one is meant to panic");
            raised(found)
        })
    };
    let (bad, good) = tokio::join!(settle(true), settle(false));
    assert_eq!(bad, Err(StoreError::Unknown));
    assert_eq!(good.unwrap().0, before + 1);
    assert_eq!(settle(false).await.unwrap().0, before + 2);
}

pub(crate) async fn nothing_is_decided_for_a_caller_that_is_gone(at: impl Fixture) {
    let store = at.open();
    done(&store, Changes::none().write(Row::User(user(1)))).await;
    let before = now(&store).await.cv;
    // given decisions that wait for one that is held up
    let (release, held) = std::sync::mpsc::channel::<()>();
    let first = store.settle(UserById(uid(1)), move |_| {
        let _released = held.recv();
        (Changes::none(), ())
    });
    let mut first = Box::pin(first);
    assert!(first.as_mut().now_or_never().is_none());
    let mut gone = Box::pin(store.settle(UserById(uid(1)), raised));
    assert!(gone.as_mut().now_or_never().is_none());
    // when the caller of the second goes away
    drop(gone);
    drop(release);
    first.await.unwrap();
    // then nothing of it comes to be
    done(&store, Changes::none().write(Row::User(user(2)))).await;
    assert_eq!(now(&store).await.cv, before);
}
