//! What need be done once only is done by one node, and by another one when that dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use remint::app::App;
use remint::jobs::lease::{TERM, alone};
use remint::jobs::{keys, purge};
use remint_core::change::{Changes, Take};
use tokio::task::JoinHandle;

use crate::pair::{Pair, until};

/// A node that does a job when it may: how often it began, and whether it is at it.
struct Worker {
    begun: Arc<AtomicUsize>,
    at_it: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// Is at it as long as it lives.
struct AtIt(Arc<AtomicUsize>);

impl AtIt {
    fn begin(at_it: &Arc<AtomicUsize>) -> Self {
        at_it.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(at_it))
    }
}

impl Drop for AtIt {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Worker {
    fn at(app: &App) -> Self {
        let (begun, at_it) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, held) = (Arc::clone(&begun), Arc::clone(&at_it));
        let work = move |_: App| {
            let (counted, held) = (Arc::clone(&counted), Arc::clone(&held));
            async move {
                let _at_it = AtIt::begin(&held);
                counted.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
        };
        Self { begun, at_it, task: tokio::spawn(alone(app.clone(), "a-job", work)) }
    }

    fn is_at_it(&self) -> bool {
        self.at_it.load(Ordering::SeqCst) == 1
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_job_is_done_by_one_node_which_keeps_it_and_by_the_other_one_when_it_dies() {
    let pair = Pair::new().await;
    let (a, b) = (Worker::at(&pair.a.app), Worker::at(&pair.b.app));
    until("one of them begins", async || (a.is_at_it() || b.is_at_it()).then_some(())).await;
    let (holder, other) = if a.is_at_it() { (a, b) } else { (b, a) };
    // It takes the next term before its own is over, and each next one.
    for _ in 0..8 {
        pair.advance(TERM / 3);
        tokio::time::sleep(Duration::from_millis(1200)).await; // it looks at its clock every second
        assert!(holder.is_at_it() && !other.is_at_it());
    }
    assert_eq!((holder.begun(), other.begun()), (1, 0));
    holder.task.abort();
    until("it is dead", async || (!holder.is_at_it()).then_some(())).await;
    until("the other one takes over, two terms later at most", async || {
        pair.advance(Duration::from_secs(1));
        other.is_at_it().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_that_stood_still_past_its_term_has_lost_the_job() {
    let pair = Pair::new().await;
    let a = Worker::at(&pair.a.app);
    until("it begins", async || a.is_at_it().then_some(())).await;
    let b = Worker::at(&pair.b.app);
    pair.b.advance(5 * TERM); // `a` stood still meanwhile, and so did its clock
    until("the other one takes over", async || b.is_at_it().then_some(())).await;
    pair.a.advance(5 * TERM);
    until("it notices", async || (!a.is_at_it()).then_some(())).await;
    assert!(b.is_at_it());
    a.task.abort();
    b.task.abort();
}

#[tokio::test]
async fn a_purge_that_died_half_way_is_finished_by_the_other_node() {
    const ROWS: usize = 3 * purge::SLICE;
    let pair = Pair::new().await;
    let at = pair.a.clock.now();
    for slice in 0..ROWS.div_ceil(purge::SLICE) {
        let take = |number| Take { key: format!("old:{slice}:{number}"), limit: 1, window: TERM, at };
        let takes = (0..purge::SLICE).map(take);
        pair.a.commit(takes.fold(Changes::none(), Changes::take)).await;
    }
    pair.advance(Duration::from_secs(48 * 3600));
    let slow = purge::Pace { least_pause: Duration::from_secs(3600), times: 0 };
    let work = move |app: App| async move { drop(purge::pass(&app, slow).await) };
    let dying = tokio::spawn(alone(pair.a.app.clone(), "purge", work));
    let left = async || count(&pair).await;
    until("one slice is gone", async || (left().await < ROWS).then_some(())).await;
    dying.abort();
    assert!(left().await > 0);
    let work = |app: App| async move { drop(purge::pass(&app, purge::Pace::AT_ONCE).await) };
    let living = tokio::spawn(alone(pair.b.app.clone(), "purge", work));
    until("the other one finishes it", async || {
        pair.advance(Duration::from_secs(1));
        (left().await == 0).then_some(())
    })
    .await;
    living.abort();
}

/// How many of the old counters are left.
async fn count(pair: &Pair) -> usize {
    let all = pair.a.app.store.read(remint::store::CounterLimits { after: "old:".into(), limit: 5000 }).await.unwrap();
    all.iter().filter(|(key, _)| key.starts_with("old:")).count()
}

#[tokio::test]
async fn keys_that_are_due_are_rotated_once_by_many_nodes() {
    let pair = Pair::new().await;
    let before = pair.a.app.keyring.list().len();
    pair.advance(pair.a.app.settings.keys.rotate_every);
    let tending: Vec<_> =
        [&pair.a, &pair.b].map(|node| tokio::spawn(alone(node.app.clone(), "keys", keys::run))).into_iter().collect();
    let made = async |scene: &crate::scene::Scene| scene.app.keyring.list().len();
    until("both know the keys that are announced", async || {
        (made(&pair.a).await == before + 2 && made(&pair.b).await == before + 2).then_some(())
    })
    .await;
    let both = tokio::join!(pair.a.app.keyring.tick(pair.a.clock.now()), pair.b.app.keyring.tick(pair.b.clock.now()));
    assert_eq!(both, (Ok(()), Ok(())), "and where two do it at once, it is done once all the same");
    assert_eq!((made(&pair.a).await, made(&pair.b).await), (before + 2, before + 2));
    tending.iter().for_each(JoinHandle::abort);
}
