//! A primary that is killed and its standby that takes over, while people go on and a ledger is kept outside. Confirmed by
//! the standby, nothing is lost; unconfirmed, what is lost is counted, and nobody honest is called a thief.

use std::time::Duration;

use crate::node::{Http, Node, Place};
use crate::people::{Acting, Audit, Stage, audit, people};
use crate::server::Postgres;
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
        let standby = primary.standby("other");
        if confirmed {
            primary.set(CONFIRMED);
            primary.reload();
        }
        until(|| async { primary.ask("SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1" })
            .await;
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
        let place = Place::new(&format!("postgres://remint@{hosts}/postgres"), "");
        let node = place.serve();
        place.peopled(PEOPLE);
        Self { primary, standby, place, node }
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

/// Everybody goes on until all their sessions have been renewed, so that all they do is beyond doubt again.
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
    let pair = Pair::new(true).await;
    let (people, stage) = people(PEOPLE, &pair.node.http, false).await;
    let acting = Acting::begin(people, stage, &pair.node.http);
    until(|| async { Stage::count(&acting.stage.ended) >= PEOPLE && Stage::count(&acting.stage.rotated) >= PEOPLE })
        .await;
    let took = pair.fail_over(&acting).await;
    beyond_doubt(&acting).await;
    let acknowledged = Stage::count(&acting.stage.acknowledged);
    let audit = settled(acting, &pair.node.http).await;
    eprintln!("confirmed: {acknowledged} acknowledged, {audit:?}; {} ms from the kill to the first", took.as_millis());
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
    pair.standby.stop("fast"); // from here on, what is acknowledged is known to the primary alone
    let acting = Acting::begin(people, stage, &pair.node.http);
    until(|| async { Stage::count(&acting.stage.ended) >= PEOPLE && Stage::count(&acting.stage.rotated) >= PEOPLE })
        .await;
    pair.standby.start();
    pair.standby.stop("fast"); // it must have received nothing: see below
    let took = pair.fail_over(&acting).await;
    beyond_doubt(&acting).await;
    let acknowledged = Stage::count(&acting.stage.acknowledged);
    let audit = settled(acting, &pair.node.http).await;
    eprintln!(
        "unconfirmed: {acknowledged} acknowledged, {audit:?}; {} ms from the kill to the first",
        took.as_millis()
    );
    assert!(audit.lost + audit.revived > 0, "the scene lost nothing: {audit:?}");
    assert!(audit.kept >= PEOPLE, "{audit:?}");
    no_theft(&pair.node);
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
