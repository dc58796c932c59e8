//! The store against a map, over random changes and reopenings.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use remint::store::{Commit, FeedHead, Store};
use remint_core::change::{Changes, Identifier, Row, RowKey, Take, Taken};
use remint_core::event::{ChainHash, Cursor};
use remint_core::rev::Rev;
use remint_core::time::Timestamp;
use remint_core::user::User;

use crate::Fixture;
use crate::promises::At;
use crate::samples::{SEED, ended, session, stored, uid, user};

/// What is done: named by small numbers, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Commit {
        writes: Vec<(u32, i64)>,
        deletes: Vec<(u32, i64)>,
        expects: Vec<(u32, i64)>,
        takes: Vec<(u8, i64)>,
        returned: Option<u8>,
        reset: Option<u8>,
        notices: u8,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let rows = |most| prop::collection::vec((0..9_u32, 0..4_i64), 0..=most);
    let takes = prop::collection::vec((0..2_u8, 0..40_i64), 0..3);
    let counter = || prop::option::weighted(0.2, 0..2_u8);
    let commit = (rows(2), rows(1), rows(1), takes, counter(), counter(), 0..3_u8);
    prop_oneof![
        20 => commit.prop_map(|(writes, deletes, expects, takes, returned, reset, notices)| {
            Step::Commit { writes, deletes, expects, takes, returned, reset, notices }
        }),
        1 => Just(Step::Reopen),
    ]
}

/// A row of the number's kind, at the rev given.
fn row(n: u32, rev: i64) -> Row {
    let rev = Rev::from_stored(rev);
    match n % 3 {
        0 => Row::User(User { rev, cv: u64::from(n) + 5, ..user(n) }),
        1 => Row::Identifier(Identifier { text: format!("name {n}"), user: uid(n), rev }),
        _ => Row::Session(remint_core::session::Session { rev, ..session(n, &user(n)) }),
    }
}

const LIMIT: u32 = 2;
const WINDOW: i64 = 10;

/// What the store should be.
#[derive(Clone, Debug)]
struct Model {
    rows: BTreeMap<u32, Row>,
    counters: BTreeMap<u8, (i64, u32)>,
    head: Cursor,
}

impl Model {
    fn rev(&self, n: u32) -> i64 {
        self.rows.get(&n).map_or(0, |row| row.rev().number())
    }

    /// The conflicting row, or what the commit takes and the state after it.
    fn commit(&self, step: &Step) -> Result<(Vec<Taken>, Self), u32> {
        let mut after = self.clone();
        let Step::Commit { writes, deletes, expects, takes, returned, reset, notices } = step else {
            return Ok((vec![], after));
        };
        for &(n, rev) in expects {
            (self.rev(n) == rev).then_some(()).ok_or(n)?;
        }
        for &(n, rev) in deletes {
            (after.rev(n) == rev).then_some(()).ok_or(n)?;
            after.rows.remove(&n);
        }
        for &(n, rev) in writes {
            (after.rev(n) == rev).then_some(()).ok_or(n)?;
            after.rows.insert(n, stored(&row(n, rev)));
        }
        let taken = takes.iter().map(|&(key, at)| after.take(key, at)).collect();
        if let Some((_, count)) = returned.and_then(|key| after.counters.get_mut(&key)) {
            *count = count.saturating_sub(1);
        }
        if let Some(key) = reset {
            after.counters.remove(key);
        }
        for i in 0..*notices {
            let event = serde_json::to_string(&ended(i.into(), 1, 9).event).unwrap();
            after.head = Cursor { seq: after.head.seq + 1, chain: after.head.chain.then(&event) };
        }
        Ok((taken, after))
    }

    fn take(&mut self, key: u8, at: i64) -> Taken {
        let counter = self.counters.get(&key).copied().filter(|(start, _)| at < start + WINDOW);
        let (start, count) = counter.unwrap_or((at, 0));
        if count == LIMIT {
            return Taken::Exhausted { retry_after: Duration::from_secs((start + WINDOW - at) as u64) };
        }
        self.counters.insert(key, (start, count + 1));
        Taken::Allowed { count: count + 1 }
    }
}

fn changes(step: &Step) -> Changes {
    let Step::Commit { writes, deletes, expects, takes, returned, reset, notices } = step else {
        return Changes::none();
    };
    let keyed = |all: &[(u32, i64)]| -> Vec<(RowKey, Rev)> {
        all.iter().map(|&(n, rev)| (row(n, 0).key(), Rev::from_stored(rev))).collect()
    };
    let take = |&(key, at): &(u8, i64)| Take {
        key: key.to_string(),
        limit: LIMIT,
        window: Duration::from_secs(WINDOW as u64),
        at: Timestamp::from_secs(at),
    };
    Changes {
        writes: writes.iter().map(|&(n, rev)| row(n, rev)).collect(),
        deletes: keyed(deletes),
        expects: keyed(expects),
        takes: takes.iter().map(take).collect(),
        returns: returned.iter().map(u8::to_string).collect(),
        resets: reset.iter().map(u8::to_string).collect(),
        notices: (0..*notices).map(|i| ended(i.into(), 1, 9)).collect(),
        entries: Vec::new(),
    }
}

async fn run(at: &impl Fixture, steps: &[Step]) {
    let mut model = Model {
        rows: BTreeMap::new(),
        counters: BTreeMap::new(),
        head: Cursor { seq: 0, chain: ChainHash::origin(SEED) },
    };
    let mut store = at.open();
    for step in steps {
        if matches!(step, Step::Reopen) {
            drop(store);
            store = at.open();
            same(&store, &model).await;
            continue;
        }
        match (store.commit(changes(step)).await.unwrap(), model.commit(step)) {
            (Commit::Done { taken, cursor }, Ok((expected, after))) => {
                assert_eq!(taken, expected);
                assert_eq!(cursor, (after.head != model.head).then_some(after.head));
                model = after;
            }
            (Commit::Conflict { key, current }, Err(n)) => {
                assert_eq!(key, row(n, 0).key());
                assert_eq!(current.map(|row| *row).as_ref(), model.rows.get(&n), "as before the changes");
            }
            (answer, expected) => panic!("{step:?}: {answer:?}, expected {expected:?}"),
        }
    }
    same(&store, &model).await;
}

async fn same(store: &Store, model: &Model) {
    for n in 0..9 {
        assert_eq!(store.read(At(row(n, 0).key())).await.unwrap().as_ref(), model.rows.get(&n));
    }
    assert_eq!(store.read(FeedHead).await.unwrap(), model.head);
}

pub(crate) fn whatever_is_committed_it_behaves_like_a_map<F: Fixture>() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 1..60), |steps| {
            runtime.block_on(run(&F::new(), &steps));
            Ok(())
        })
        .unwrap();
}
