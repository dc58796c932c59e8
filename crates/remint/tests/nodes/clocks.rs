//! Clocks that lie apart: by some seconds they do no harm, by more the node says that it is not ready.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use remint::clock::Clock;
use remint::{ready, telemetry};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::pair::{PAST_W, Pair, until};
use crate::scene::Scene;

const APART: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A browser with one jar, which sends each request to the node that it meets.
struct Jar(String);

impl Jar {
    async fn refresh(&mut self, at: &Scene) {
        let reply = at.refresh("refresh", &self.0).await.expect(200);
        if reply.body.get("refresh_token").is_some() {
            self.0 = reply.text("refresh_token");
        }
    }
}

/// Two pairs: in one the node that is asked second is ahead, in the other it is behind.
async fn either_way() -> [(Scene, Scene); 2] {
    let Pair { a, b } = Pair::with(APART, |_| {}).await;
    let Pair { a: slow, b: fast } = Pair::with(APART, |_| {}).await;
    [(a, b), (fast, slow)]
}

fn pass(nodes: &(Scene, Scene), by: Duration) {
    nodes.0.advance(by);
    nodes.1.advance(by);
}

#[tokio::test]
async fn whoever_goes_from_node_to_node_is_renewed_for_ever_and_never_called_a_thief() {
    for nodes in either_way().await {
        pass(&nodes, PAST_W); // what each was in doubt of is over
        let (one, other) = (&nodes.0, &nodes.1);
        let mut jar = Jar(one.login("refresh").await.expect(200).text("refresh_token"));
        // Around R and W, and at once.
        for secs in [0, 1, 2, 33, 34, 35, 36, 37, 38, 70, 0, 35, 36, 300, 1, 36, 0, 37] {
            pass(&nodes, Duration::from_secs(secs));
            jar.refresh(other).await;
            jar.refresh(one).await;
            jar.refresh(other).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_told_again_by_the_other_node_for_as_long_as_it_may_be_asked_again() {
    // A client waits 10 s for an answer and the server works 5 s at most: 2F. Beyond it S is for the clocks.
    for nodes in either_way().await {
        pass(&nodes, PAST_W);
        let (one, other) = (&nodes.0, &nodes.1);
        let old = one.login("refresh").await.expect(200).text("refresh_token");
        pass(&nodes, PAST_W + APART);
        let lost = one.refresh("refresh", &old).await.expect(200).text("refresh_token");
        for secs in [0, 10, 10, 10] {
            pass(&nodes, Duration::from_secs(secs));
            let again = other.refresh("refresh", &old).await.expect(200).text("refresh_token");
            assert_eq!(again, lost);
        }
        one.refresh("refresh", &lost).await.expect(200);
        // Acknowledged: a tab that still has the old one is answered, not accused.
        for (secs, at) in [(0, other), (15, one), (14, other)] {
            pass(&nodes, Duration::from_secs(secs));
            assert_eq!(at.refresh("refresh", &old).await.expect(200).text("refresh_token"), lost);
        }
        one.refresh("refresh", &lost).await.expect(200);
    }
}

#[tokio::test]
async fn a_thief_is_still_a_thief() {
    for nodes in either_way().await {
        pass(&nodes, PAST_W);
        let (one, other) = (&nodes.0, &nodes.1);
        let stolen = one.login("refresh").await.expect(200).text("refresh_token");
        pass(&nodes, PAST_W + APART);
        let next = other.refresh("refresh", &stolen).await.expect(200).text("refresh_token");
        one.refresh("refresh", &next).await.expect(200);
        pass(&nodes, PAST_W + APART);
        let caught = other.refresh("refresh", &stolen).await.expect(400);
        assert_eq!(caught.text("error_description"), "session ended: theft");
        let victim = one.refresh("refresh", &next).await.expect(400);
        assert_eq!(victim.text("error_description"), "session ended: theft");
    }
}

async fn is_expired(at: &Scene, jar: &Jar) {
    let over = at.refresh("refresh", &jar.0).await.expect(400);
    assert_eq!(over.text("error"), "invalid_grant");
    assert!(over.text("error_description").contains("expired"), "{over:?}");
}

#[tokio::test]
async fn limits_pass_at_one_node_a_little_before_the_other_and_nobody_revives() {
    for nodes in either_way().await {
        let (one, other) = (&nodes.0, &nodes.1);
        let idle = one.login("refresh").await.expect(200).text("refresh_token");
        pass(&nodes, 14 * DAY - 2 * APART);
        let mut jar = Jar(idle);
        jar.refresh(other).await; // used: it goes on
        for at in [one, other, one, other, one] {
            pass(&nodes, 14 * DAY - 2 * APART);
            jar.refresh(at).await;
        }
        // 84 of its 90 days are over, but for six times as much: now all of them but twice that.
        pass(&nodes, 6 * DAY + 10 * APART);
        jar.refresh(one).await;
        jar.refresh(other).await;
        pass(&nodes, 4 * APART);
        is_expired(one, &jar).await;
        is_expired(other, &jar).await;
        let idle = Jar(other.login("refresh").await.expect(200).text("refresh_token"));
        pass(&nodes, 14 * DAY + 2 * APART);
        is_expired(one, &idle).await;
        is_expired(other, &idle).await;
    }
}

#[tokio::test]
async fn tokens_and_cookies_of_a_node_that_is_ahead_are_good_at_one_that_is_behind() {
    for nodes in either_way().await {
        let (one, other) = (&nodes.0, &nodes.1);
        let rolling = one.login("rolling").await.expect(200);
        let account = rolling.text("account_token");
        other.bare(Method::GET, "/session", Some(&account)).await.expect(200);
        other.json(Method::PATCH, "/account", Some(&account), json!({"payout": "iban"})).await.expect(200);
        assert_eq!(other.introspect("demo-api", &rolling.text("access_token")).await.body["active"], false, "stale");
        let cookie = one.login("web").await.expect(200).cookie();
        let swapped = other.exchange("demo-api", &cookie).await.expect(200);
        let active = one.introspect("demo-api", &swapped.text("access_token")).await.expect(200);
        assert_eq!(active.body["active"], true);
    }
}

async fn readyz(scene: &Scene) -> (StatusCode, String) {
    let router = telemetry::operations(scene.app.clone(), scene.app.drain.clone());
    let answer = router.oneshot(Request::get("/readyz").body(Body::empty()).unwrap()).await.unwrap();
    let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn finding(scene: &Scene) -> Value {
    let checks = scene.admin(Method::GET, "/admin/api/checks", Value::Null).await.expect(200).body;
    let all = checks["checks"].as_array().unwrap();
    all.iter().find(|check| check["check"] == "clock").unwrap().clone()
}

#[tokio::test]
async fn a_node_whose_clock_is_off_the_databases_says_so_is_not_ready_and_judges_nobody() {
    let Pair { a, b } = Pair::new().await;
    let right = || Clock::system().now();
    let off = Duration::from_secs(10);
    let judges = || !b.app.doubt.now(b.clock.now(), Duration::from_millis(1));
    let watching = tokio::spawn(ready::watch_clock(b.app.clone()));
    for (wrong, said) in [(right().plus(off), "ahead of the database's"), (right().minus(off), "behind the database's")]
    {
        b.clock.set(wrong);
        let (status, text) = readyz(&b).await;
        assert_eq!(status, 503);
        assert!(text.contains(said) && text.contains("NTP"), "{text}");
        until("it judges nobody", async || (!judges()).then_some(())).await;
        let found = finding(&b).await;
        assert_eq!(found["grade"], "error", "{found}");
        assert!(found["found"].as_str().unwrap().contains(said), "{found}");
        until("its clock is set right", async || {
            b.clock.set(right()); // it stands still, while that of the database goes on
            (readyz(&b).await.0 == 200).then_some(())
        })
        .await;
    }
    watching.abort();
    a.clock.set(right().plus(Duration::from_secs(2)));
    assert_eq!(readyz(&a).await.0, 200, "two seconds are no harm");
    until("three seconds are too much", async || {
        a.clock.set(right().plus(Duration::from_secs(3)));
        (readyz(&a).await.0 == 503).then_some(())
    })
    .await;
}
