//! A primary that is killed and its standby that takes over, while people go on and a ledger is kept outside. Confirmed by
//! the standby, nothing is lost; unconfirmed, what is lost is counted, and nobody honest is called a thief.

use std::time::Duration;

use crate::node::{Http, Node, Place};
use crate::people::{Acting, Audit, Stage, audit, people};
use crate::server::{Postgres, free_port};
use crate::{soon, until};

const PEOPLE: usize = 4;
/// Every commit waits for the standby of this name.
const CONFIRMED: &str = "synchronous_standby_names = 'other'\nsynchronous_commit = on";

/// Two servers, and a node that knows both.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    place: Place,
    node: Node,
}

impl Pair {
    async fn new(confirmed: bool) -> Self {
        let primary = Postgres::new("max_wal_senders = 4");
        let standby = primary.standby("other", free_port());
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
        let place = Place::new(&format!("postgres://remint@{hosts}/postgres"), "");
        let node = place.serve();
        place.peopled(PEOPLE);
        let pair = Self { primary, standby, place, node };
        pair.in_step(confirmed).await;
        pair
    }

    /// The standby follows, and where commits are to be confirmed by it, from now on they are.
    async fn in_step(&self, confirmed: bool) {
        if confirmed {
            self.primary.set(CONFIRMED);
            self.primary.reload();
        }
        let state = if confirmed { "sync" } else { "async" };
        let followed =
            format!("SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '{state}'");
        until(|| async { self.primary.ask(&followed) == "1" }).await;
    }

    /// The one that was killed comes back as the standby of the other.
    fn change_places(&mut self) {
        let standby = self.standby.standby("other", self.primary.port);
        self.primary = std::mem::replace(&mut self.standby, standby);
    }

    /// Nothing reaches the standby any more.
    async fn cut(&self) {
        self.primary.write("data/pg_hba.conf", "host all all 127.0.0.1/32 trust\n"); // and so none for replication
        self.primary.reload();
        let cut = "SELECT COUNT(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_replication) AS senders";
        until(|| async { self.primary.ask(cut) == "0" }).await;
    }

    /// Kills the primary and lets the standby take its place. How long it was from the kill to the first acknowledgement.
    async fn fail_over(&self, acting: &Acting) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "it is measured, not decided upon")]
        let killed = std::time::Instant::now();
        self.primary.stop("immediate");
        let put_off = Stage::count(&acting.stage.put_off);
        until(|| async { Stage::count(&acting.stage.put_off) > put_off }).await;
        let before = Stage::count(&acting.stage.acknowledged);
        self.standby.promote();
        until(|| async { Stage::count(&acting.stage.acknowledged) > before }).await;
        killed.elapsed()
    }
}

/// How often the servers change places: `REMINT_TEST_ROUNDS`, for longer runs than those of the suite.
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says for how long")]
fn rounds() -> usize {
    std::env::var("REMINT_TEST_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

/// Everybody goes on until tokens are rotated again: none is while there is doubt.
async fn beyond_doubt(acting: &Acting) {
    let before = Stage::count(&acting.stage.rotated);
    until(|| async { Stage::count(&acting.stage.rotated) >= before + PEOPLE }).await;
}

async fn settled(acting: Acting, http: &Http) -> Audit {
    let mut people = acting.end().await;
    audit(&mut people, http).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_standby_confirmed_outlives_the_primary_and_what_was_revoked_stays_so() {
    let mut pair = Pair::new(true).await;
    let (people, stage) = people(PEOPLE, &pair.node.http, false).await;
    let acting = Acting::begin(people, stage, &pair.node.http);
    for round in 1..=rounds() {
        if round > 1 {
            pair.change_places();
            pair.in_step(true).await;
        }
        let (ended, rotated) = (Stage::count(&acting.stage.ended), Stage::count(&acting.stage.rotated));
        until(|| async {
            Stage::count(&acting.stage.ended) >= ended + PEOPLE
                && Stage::count(&acting.stage.rotated) >= rotated + PEOPLE
        })
        .await;
        let took = pair.fail_over(&acting).await;
        eprintln!("round {round}: {} ms from the kill to the first acknowledgement", took.as_millis());
        beyond_doubt(&acting).await;
    }
    let acknowledged = Stage::count(&acting.stage.acknowledged);
    let audit = settled(acting, &pair.node.http).await;
    eprintln!("confirmed by the standby: {acknowledged} acknowledged, {audit:?}");
    assert!(audit.lost + audit.revived == 0 && audit.kept >= PEOPLE && audit.over >= PEOPLE, "{audit:?}");
    no_theft(&pair.node);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_commits_are_lost_it_is_counted_and_every_honest_client_goes_on() {
    let pair = Pair::new(false).await;
    let (people, stage) = people(PEOPLE, &pair.node.http, true).await;
    let here = pair.primary.ask("SELECT pg_current_wal_lsn()");
    let caught_up = format!("SELECT pg_last_wal_replay_lsn() >= '{here}'");
    until(|| async { pair.standby.ask(&caught_up) == "t" }).await;
    pair.cut().await; // from here on, what is acknowledged is known to the primary alone
    let acting = Acting::begin(people, stage, &pair.node.http);
    until(|| async { Stage::count(&acting.stage.ended) >= PEOPLE && Stage::count(&acting.stage.rotated) >= PEOPLE })
        .await;
    let took = pair.fail_over(&acting).await;
    beyond_doubt(&acting).await;
    let acknowledged = Stage::count(&acting.stage.acknowledged);
    let audit = settled(acting, &pair.node.http).await;
    eprintln!("{} ms from the kill to the first acknowledgement", took.as_millis());
    eprintln!("confirmed by nobody: {acknowledged} acknowledged, {audit:?}");
    assert!(audit.lost > 0 && audit.revived > 0, "the scene lost nothing: {audit:?}");
    assert!(audit.kept >= PEOPLE, "{audit:?}");
    no_theft(&pair.node);
    assert!(pair.node.log().contains("the store has lost commits"), "no token was ahead of its row");
}

/// The node accused nobody, ended nothing, and said that it was in doubt.
fn no_theft(node: &Node) {
    let log = node.log();
    assert!(!log.contains("used by two holders"), "{log}");
    assert!(log.contains("lost and found: in doubt"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_standby_confirms_is_neither_acknowledged_nor_shown_and_goes_on_when_one_does() {
    let pair = Pair::new(true).await;
    let opened = soon(async {
        loop {
            let reply = pair.node.http.login(0).await;
            if reply.is_ok() {
                break reply;
            }
        }
    })
    .await;
    let (refresh_token, account_token) = (opened.text("refresh_token").unwrap(), opened.text("account_token").unwrap());
    pair.standby.stop("fast");
    for _ in 0..2 {
        let revoked = pair.node.http.revoke(refresh_token).await;
        assert!(revoked.is_put_off(), "only the primary has it: {revoked:?}");
        let seen = pair.node.http.session(account_token).await;
        assert!(seen.is_ok() || seen.is_put_off(), "nobody was told that it is over: {seen:?}");
    }
    pair.standby.start();
    until(|| async { pair.node.http.ready().await == 200 }).await;
    until(|| async { pair.node.http.revoke(refresh_token).await.is_ok() }).await;
    let over = pair.node.http.refresh(refresh_token).await;
    assert_eq!(over.text("error_description"), Some("session ended: revoked"), "{over:?}");
    drop(pair.place);
}
