//! Two nodes as processes, behind a balancer that knows nothing of them but who takes a connection, while people act: both
//! are stopped in turn, and one is killed again and again. Nothing that was acknowledged is lost, nobody is logged out.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::balancer::Balancer;
use crate::cluster::Cluster;
use crate::node::Node;
use crate::pair::{PATIENCE, until};
use crate::people::{Manner, Person, Stage, act, all_kept, gathered, latest_kept, people};
use crate::server::Folder;

/// How often a node is killed.
const KILLS: u64 = 20;
/// How often both are replaced.
const ROUNDS: u64 = 2;
/// A node is not stopped before so much more was acknowledged.
const LEAST_ACKNOWLEDGED: u64 = 15;

/// An installation, and where the folders of its nodes are. Commands go to node `a`.
struct Installation {
    folders: [Folder; 2],
    balancer: Balancer,
    issuer: String,
    database: String,
    nodes: [Option<Node>; 2],
}

impl Installation {
    async fn new() -> Self {
        let (cluster, balancer) = (Cluster::shared(), Balancer::new().await);
        let issuer = format!("http://localhost:{}", balancer.address.port());
        let database = cluster.url(&cluster.new_database());
        let folders = [Folder::new(1), Folder::new(1)];
        let mut new = Self { folders, balancer, issuer, database, nodes: [None, None] };
        new.start(0).await;
        new.start(1).await;
        for command in [
            "attribute declare nickname --writable-by user",
            "api create demo-api",
            // As short as may be, so that tokens grow old enough to be rotated: R and W are 17 s.
            "client create demo-refresh --policy refresh --client-timeout 1s --api demo-api --first-party \
             --claim nickname=nickname",
            "client create demo-fixed --policy fixed --api demo-api --first-party --claim nickname=nickname",
        ] {
            new.folders[0].command(&command.split_whitespace().collect::<Vec<_>>(), "").await;
        }
        new
    }

    async fn start(&mut self, at: usize) {
        self.nodes[at] = Some(Node::start(&self.folders[at].data(), &self.issuer, &self.database).await);
        let known: Vec<_> = self.nodes.iter().flatten().map(|node| node.address).collect();
        self.balancer.to(&known);
    }

    /// Takes a node out of the hands of the balancer's friends; the balancer itself finds out.
    fn node(&mut self, at: usize) -> Node {
        self.nodes[at].take().unwrap()
    }

    fn port(&self) -> u16 {
        self.balancer.address.port()
    }

    fn assert_running(&mut self) {
        assert!(self.nodes.iter_mut().flatten().all(Node::runs), "a node ended by itself");
    }
}

/// Lets people act until the curtain falls; whoever loses a connection goes on over another one.
fn acting(people: Vec<Person>, stage: &Stage, port: u16) -> Vec<JoinHandle<Person>> {
    let on_and_on = |person: Person| {
        let stage = stage.clone();
        tokio::spawn(async move {
            let mut person = person;
            while !stage.is_closed() {
                person = gathered(act(vec![person], port)).await.pop().unwrap();
            }
            person
        })
    };
    people.into_iter().map(on_and_on).collect()
}

async fn more_acknowledged(stage: &Stage, installation: &mut Installation) {
    let begin = stage.acknowledged();
    let busy = async {
        while stage.acknowledged() - begin < LEAST_ACKNOWLEDGED {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, busy).await.expect("what is asked is acknowledged");
    installation.assert_running();
}

/// Whoever has just started is in doubt and rotates nothing: it takes as long as W at most.
async fn one_more_rotated(stage: &Stage) {
    let before = stage.rotated();
    until("a token is rotated", async || (stage.rotated() > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_loses_nothing_that_was_acknowledged_and_logs_nobody_out() {
    let (mut installation, stage) = (Installation::new().await, Stage::default());
    let people = people(&installation.folders[0], &stage, Manner::Steady).await;
    let acting = acting(people, &stage, installation.port());
    one_more_rotated(&stage).await;
    for round in 0..2 * ROUNDS {
        let at = usize::from(round % 2 == 1);
        more_acknowledged(&stage, &mut installation).await;
        assert_eq!(installation.node(at).terminate().await, Some(0), "in order");
        more_acknowledged(&stage, &mut installation).await; // by the other one
        installation.start(at).await;
        one_more_rotated(&stage).await; // so tokens are handed on from node to node
    }
    more_acknowledged(&stage, &mut installation).await;
    stage.close();
    let mut people = gathered(acting).await;
    all_kept(&mut people, installation.port()).await;
    eprintln!("{} acknowledged, {} tokens rotated", stage.acknowledged(), stage.rotated());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_again_and_again_under_load_loses_nothing_and_revives_nothing() {
    let (mut installation, stage) = (Installation::new().await, Stage::default());
    let mut people = people(&installation.folders[0], &stage, Manner::Restless).await;
    for kill in 0..KILLS {
        stage.open();
        let acting = acting(people, &stage, installation.port());
        more_acknowledged(&stage, &mut installation).await;
        // A different moment in each life: 0 to 120 ms, in steps that do not follow each other.
        tokio::time::sleep(Duration::from_millis(kill * 37 % 121)).await;
        installation.node(1).kill().await;
        more_acknowledged(&stage, &mut installation).await; // by the one that is left
        installation.start(1).await;
        stage.close();
        people = gathered(acting).await;
        latest_kept(&mut people, installation.port()).await;
    }
    all_kept(&mut people, installation.port()).await;
    eprintln!(
        "{} acknowledged, {} of them endings, {} tokens rotated",
        stage.acknowledged(),
        stage.ended(),
        stage.rotated()
    );
    assert!(stage.ended() > 0, "nothing was ended, so nothing is shown");
}
