//! Two nodes on one database, each with a folder and a clock of its own.

use std::time::Duration;

use remint::clock::Clock;
use remint::settings::{Database, Settings};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::scene::{START, Scene, open};

/// Longer than W and R of a client of the refresh policy where clocks may lie apart (35 s).
pub(crate) const PAST_W: Duration = Duration::from_secs(36);
/// Far beyond what a node needs to hear of another, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The nodes `a` and `b`.
pub(crate) struct Pair {
    pub(crate) a: Scene,
    pub(crate) b: Scene,
}

impl Pair {
    /// Whose clocks say the same, past the doubt that each begins with.
    pub(crate) async fn new() -> Self {
        let pair = Self::with(Duration::ZERO, |_| {}).await;
        pair.advance(PAST_W);
        pair
    }

    /// `b` is ahead by so much.
    pub(crate) async fn with(ahead: Duration, change: impl Fn(&mut Settings)) -> Self {
        let cluster = Cluster::shared();
        let database: Database = cluster.url(&cluster.new_database()).parse().unwrap();
        let on_it = |settings: &mut Settings| {
            *settings = settings.clone().with_database(database.clone());
            change(settings);
        };
        let a = Scene::with(on_it).await;
        let (folder, clock) = (TempDir::new().unwrap(), Clock::manual(START.plus(ahead)));
        let app = open(&folder, &clock, on_it).await;
        let b = Scene { router: remint::http::router(app.clone()), app, clock, ada: a.ada, folder };
        Self { a, b }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.a.advance(by);
        self.b.advance(by);
    }
}

/// Waits until something has come about at another node.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("it does not come about: {what}"))
}
