//! A node whose database is away, silent, slow or started anew: a clear 503 meanwhile, nothing that was acknowledged is
//! lost, and it goes on without a restart.

use crate::cluster::Cluster;
use crate::node::{Http, Place, Reply};
use crate::people::{Acting, Stage, audit, people};
use crate::proxy::{Proxy, Wire};
use crate::server::Postgres;
use crate::{soon, until};

/// Log-ins that are tried until there is time to hash a password.
async fn logged_in(http: &Http) -> Reply {
    soon(async {
        loop {
            let reply = http.login(0).await;
            if reply.is_ok() {
                return reply;
            }
            assert!(reply.is_put_off() || reply.status == 408, "{reply:?}");
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_and_readyz_say_503_while_the_wire_is_cut_or_silent_and_all_is_well_when_it_is_whole() {
    let cluster = Cluster::shared();
    let proxy = Proxy::to(cluster.port()).await;
    let url = cluster.url(&cluster.new_database()).replace(&cluster.port().to_string(), &proxy.port.to_string());
    let place = Place::new(&url, "");
    let node = place.serve();
    place.peopled(1);
    let opened = logged_in(&node.http).await;
    let token = |member| opened.text(member).unwrap();
    for wire in [Wire::Down, Wire::Silent] {
        proxy.set(wire);
        until(|| async { node.http.ready().await == 503 }).await;
        let (refresh, session, revoke, login) = soon(async {
            tokio::join!(
                node.http.refresh(token("refresh_token")),
                node.http.session(token("account_token")),
                node.http.revoke(token("refresh_token")),
                node.http.login(0),
            )
        })
        .await;
        for reply in [refresh, session, revoke, login] {
            assert!(reply.is_put_off(), "{wire:?}: {reply:?}");
        }
        proxy.set(Wire::Sound);
        until(|| async { node.http.ready().await == 200 }).await;
        // A revocation that was put off may be carried out: it was asked for.
        let again = node.http.refresh(token("refresh_token")).await;
        assert!(again.is_ok(), "{wire:?}: what was never sent is not done: {again:?}");
    }
    proxy.set(Wire::Slow);
    for _ in 0..3 {
        let reply = node.http.refresh(token("refresh_token")).await;
        assert!(reply.is_ok() || reply.is_put_off(), "{reply:?}");
    }
    proxy.set(Wire::BreaksAfterCommit);
    let reply = node.http.revoke(token("refresh_token")).await;
    assert!(reply.is_put_off(), "nobody knows: {reply:?}");
    proxy.set(Wire::Sound);
    until(|| async { node.http.ready().await == 200 }).await;
    assert!(node.http.revoke(token("refresh_token")).await.is_ok());
    let over = node.http.refresh(token("refresh_token")).await;
    assert_eq!(over.text("error_description"), Some("session ended: revoked"), "{over:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_started_anew_under_load_costs_nobody_anything() {
    let server = Postgres::new("");
    let place = Place::new(&server.url(), "");
    let node = place.serve();
    place.peopled(4);
    let (people, stage) = people(4, &node.http, false).await;
    let acting = Acting::begin(people, stage, &node.http);
    for how in ["fast", "immediate"] {
        let before = Stage::count(&acting.stage.acknowledged);
        until(|| async { Stage::count(&acting.stage.acknowledged) >= before + 50 }).await;
        server.stop(how);
        let put_off = Stage::count(&acting.stage.put_off);
        until(|| async { Stage::count(&acting.stage.put_off) > put_off }).await;
        server.start();
    }
    let before = Stage::count(&acting.stage.acknowledged);
    until(|| async { Stage::count(&acting.stage.acknowledged) >= before + 50 }).await;
    let mut people = acting.end().await;
    let audit = audit(&mut people, &node.http).await;
    assert!(audit.kept >= 4 && audit.lost + audit.revived == 0, "{audit:?}");
}
