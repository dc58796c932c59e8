//! What happens at the edges: too much at once, too many attempts, too large a body, a store that takes nothing, a clock
//! that was set.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::future::join_all;
use http::{Method, Request};
use remint::app::DATA_FILE;
use remint::clock::Clock;
use remint::listen::{Limits, Listener, Peer, Server};
use remint::serve::House;
use remint::{control, telemetry};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tower::ServiceExt as _;

use crate::cluster::Cluster;
use crate::scene::{Reply, Scene, header, json_request};

/// Longer than R, so that a head rotates.
const PAST_R: Duration = Duration::from_secs(31);
/// Never reached by a test that passes.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_beyond_the_queue_are_told_to_come_back_and_none_hangs() {
    let scene = Scene::with(|settings| {
        settings.limits.hashing_at_once = 1;
        settings.limits.hashing_queue = 1;
        settings.limits.logins_per_account = 100;
    });
    let scene = Arc::new(scene.await);
    let logins = (0..30).map(|_| {
        let scene = scene.clone();
        tokio::spawn(async move { scene.login("fixed").await })
    });
    let replies = tokio::time::timeout(LONG, join_all(logins)).await.expect("none hangs");
    let (served, shed): (Vec<Reply>, Vec<Reply>) =
        replies.into_iter().map(Result::unwrap).partition(|reply| reply.status == 200);
    assert!(!served.is_empty() && !shed.is_empty(), "{} served, {} shed", served.len(), shed.len());
    for reply in shed {
        assert_unavailable(&reply);
    }
    scene.login("fixed").await.expect(200);
}

#[track_caller]
fn assert_unavailable(reply: &Reply) {
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|secs| secs >= 1), "{reply:?}");
    assert_eq!(reply.text("error"), "temporarily_unavailable");
    assert_eq!(reply.header("cache-control"), "no-store");
}

/// A log-in of nobody, from `peer`, which says that it speaks for `forwarded`.
fn attempt(number: u32, peer: &str, forwarded: &str) -> Request<Body> {
    let identifier = format!("nobody-{number}@example.test");
    let body = json!({"client_id": "fixed", "identifier": identifier, "password": "wrong"});
    let mut request = header(json_request(Method::POST, "/session", None, body), "x-forwarded-for", forwarded);
    request.extensions_mut().insert(Peer::Remote(SocketAddr::new(peer.parse().unwrap(), 4711)));
    request
}

#[tokio::test]
async fn attempts_count_per_address_and_only_a_trusted_proxy_says_which_that_is() {
    const PROXY: &str = "10.0.0.1";
    const STRANGER: &str = "203.0.113.9";
    let scene = Scene::with(|settings| {
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        settings.limits.logins_per_address = 2;
    });
    let scene = scene.await;
    let tries = [
        (PROXY, "198.51.100.1", 400),
        (PROXY, "6.6.6.6, 198.51.100.1", 400),
        (PROXY, "198.51.100.1", 429),
        (PROXY, "198.51.100.2", 400),
        // Whoever is no proxy is himself, whatever he says, and harms nobody by it.
        (STRANGER, "198.51.100.3", 400),
        (STRANGER, "198.51.100.3", 400),
        (STRANGER, "198.51.100.4", 429),
        (PROXY, "198.51.100.3", 400),
        // One household has a /64.
        (PROXY, "2001:db8:1:2::1", 400),
        (PROXY, "2001:db8:1:2:ffff::2", 400),
        (PROXY, "2001:db8:1:2::3", 429),
        (PROXY, "2001:db8:1:3::1", 400),
    ];
    for (number, (peer, forwarded, status)) in (0..).zip(tries) {
        let reply = scene.send(attempt(number, peer, forwarded)).await;
        assert_eq!(reply.status.as_u16(), status, "{peer} for {forwarded}: {reply:?}");
        assert_eq!(status == 429, reply.headers.contains_key("retry-after"), "{peer} for {forwarded}");
    }
    scene.advance(Duration::from_secs(15 * 60));
    scene.send(attempt(99, PROXY, "198.51.100.1")).await.expect(400);
}

/// Puts a fault into the store that can be switched on and off: every statement that writes a session again or counts
/// something fails then, as on a disk that fails. Everything can be read.
fn with_fault(scene: &Scene) {
    const SQLITE: &str = "CREATE TABLE fault (active INTEGER); INSERT INTO fault VALUES (0);
         CREATE TRIGGER no_session BEFORE UPDATE ON sessions WHEN (SELECT active FROM fault)
             BEGIN SELECT json('{'); END;
         CREATE TRIGGER no_counter BEFORE INSERT ON counters WHEN (SELECT active FROM fault)
             BEGIN SELECT json('{'); END;";
    const POSTGRES: &str = "CREATE TABLE fault (active INTEGER); INSERT INTO fault VALUES (0);
         CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF (SELECT active FROM fault) = 1 THEN RAISE 'a fault'; END IF; RETURN NEW;
         END $$;
         CREATE TRIGGER no_session BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION fault();
         CREATE TRIGGER no_counter BEFORE INSERT OR UPDATE ON counters FOR EACH ROW EXECUTE FUNCTION fault();";
    outside(scene, if scene.app.settings.database.is_some() { POSTGRES } else { SQLITE });
}

fn fault(scene: &Scene, active: bool) {
    outside(scene, if active { "UPDATE fault SET active = 1" } else { "UPDATE fault SET active = 0" });
}

fn outside(scene: &Scene, sql: &str) {
    if scene.app.settings.database.is_some() {
        let name = std::fs::read_to_string(scene.folder.path().join("database")).unwrap();
        Cluster::shared().ask(&name, sql);
        return;
    }
    rusqlite::Connection::open(scene.folder.path().join(DATA_FILE)).unwrap().execute_batch(sql).unwrap();
}

/// Every way to end or to go on with a session, on a store that does not take it.
async fn assert_nothing_is_pretended(scene: &Scene, held: &Reply) {
    let (refresh, account) = (held.text("refresh_token"), held.text("account_token"));
    assert_unavailable(&scene.form("/oauth2/revoke", &[("client_id", "refresh"), ("token", &refresh)]).await);
    assert_unavailable(&scene.bare(Method::DELETE, "/session", Some(&account)).await);
    assert_unavailable(&scene.refresh("refresh", &refresh).await);
    assert_unavailable(&scene.login("refresh").await);
}

#[tokio::test]
async fn while_the_store_takes_no_commit_nothing_is_said_to_be_done() {
    let scene = Scene::new().await;
    with_fault(&scene);
    let held = scene.login("refresh").await.expect(200);
    scene.advance(PAST_R);
    fault(&scene, true);
    assert_nothing_is_pretended(&scene, &held).await;
    fault(&scene, false);
    scene.refresh("refresh", &held.text("refresh_token")).await.expect(200);
    scene.bare(Method::DELETE, "/session", Some(&held.text("account_token"))).await.expect(204);
}

#[tokio::test]
async fn a_closed_store_is_no_answer_either() {
    let scene = Scene::new().await;
    let held = scene.login("refresh").await.expect(200);
    scene.advance(PAST_R);
    scene.app.store.clone().close().await;
    assert_nothing_is_pretended(&scene, &held).await;
}

#[tokio::test]
async fn ready_is_only_who_can_write_and_again_when_he_can() {
    let scene = Scene::with(|settings| settings.timing.clock_skew = LONG).await;
    scene.clock.set(Clock::system().now()); // a database has a clock of its own
    with_fault(&scene);
    let router = telemetry::operations(scene.app.clone(), scene.app.drain.clone());
    let ready =
        async || router.clone().oneshot(Request::get("/readyz").body(Body::empty()).unwrap()).await.unwrap().status();
    assert_eq!((ready().await, ready().await), (http::StatusCode::OK, http::StatusCode::OK));
    fault(&scene, true);
    assert_eq!(ready().await, 503, "it reads, and can write nothing");
    fault(&scene, false);
    assert_eq!(ready().await, 200);
    scene.app.store.clone().close().await;
    assert_eq!(ready().await, 503);
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_after_a_restart_loses_no_honest_session() {
    const HOUR: Duration = Duration::from_secs(3600);
    for forward in [true, false] {
        let scene = Scene::new().await;
        let first = scene.login("refresh").await.expect(200).text("refresh_token");
        scene.advance(PAST_R);
        let mut newest = scene.refresh("refresh", &first).await.expect(200).text("refresh_token");
        let now = scene.clock.now();
        scene.clock.set(if forward { now.plus(HOUR) } else { now.minus(HOUR) });
        let scene = scene.restarted().await;
        for _ in 0..3 {
            let reply = scene.refresh("refresh", &newest).await.expect(200);
            if reply.body.get("refresh_token").is_some() {
                newest = reply.text("refresh_token");
            }
            scene.advance(PAST_R);
        }
        scene.clock.set(scene.clock.now().plus(HOUR)); // and when it is set right, or wrong again
        let scene = scene.restarted().await;
        scene.refresh("refresh", &newest).await.expect(200);
    }
}

/// Sends the bytes and reads until the server closes.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_413_over_the_wire() {
    let scene = Scene::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server { router: scene.router.clone(), limits: Limits::default(), drain: scene.app.drain.clone() };
    let running = tokio::spawn(server.run(Listener::Tcp(listener)));
    for (path, kind) in [("/session", "application/json"), ("/oauth2/token", "application/x-www-form-urlencoded")] {
        let body = "a".repeat(64 * 1024 + 1);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: id.example.test\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        let answer = exchange(TcpStream::connect(address).await.unwrap(), (head + &body).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        assert!(answer.contains("invalid_request"), "{path}: {answer}");
    }
    running.abort();
}

#[tokio::test]
async fn a_command_may_take_longer_than_a_request() {
    let scene = Scene::new().await;
    let _house = House::new(scene.app.clone(), Limits { request_time: Duration::ZERO, ..Limits::default() }).unwrap();
    let socket = UnixStream::connect(control::socket_path(scene.folder.path())).await.unwrap();
    let ask = b"GET /admin/api/checks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = exchange(socket, ask).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
