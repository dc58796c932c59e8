//! `POST /session/exchange`: a backend swaps its caller's session cookie for a short token of its own audience.

use std::time::Duration;

use http::Method;
use remint_core::change::{Changes, Row};
use remint_core::client::Client;
use remint_core::policy::Policy;
use remint_core::session::EndReason;
use serde_json::json;

use crate::scene::{Scene, basic, header, json_request};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_backend_gets_a_five_minute_token_of_its_own_audience() {
    let scene = Scene::new().await;
    let cookie = scene.login("web").await.expect(200).cookie();
    for api in ["demo-api", "other-api"] {
        let reply = scene.exchange(api, &cookie).await.expect(200);
        assert_eq!((&reply.body["token_type"], &reply.body["expires_in"]), (&json!("Bearer"), &json!(300)));
        assert_eq!((&reply.claims()["aud"], &reply.claims()["nickname"]), (&json!(api), &json!("ada")));
        assert!(reply.body.get("account_token").is_none() && reply.body.get("refresh_token").is_none());
        assert!(!reply.sets_cookies());
        assert_eq!(reply.header("cache-control"), "no-store");
        // It opens nothing at the issuer: no api can change its caller's record.
        let token = reply.text("access_token");
        scene.bare(Method::GET, "/session", Some(&token)).await.expect(401);
        scene.bare(Method::POST, "/session/renew", Some(&token)).await.expect(400);
        scene.json(Method::PATCH, "/account", Some(&token), json!({"nickname": "x"})).await.expect(401);
    }
}

#[tokio::test]
async fn a_changed_record_is_in_the_next_token() {
    let scene = Scene::new().await;
    let cookie = scene.login("web").await.expect(200).cookie();
    scene.page(Method::PATCH, "/account", &cookie, Some(json!({"nickname": "Countess"}))).await.expect(200);
    let claims = scene.exchange("demo-api", &cookie).await.expect(200).claims();
    assert_eq!((&claims["nickname"], &claims["cv"]), (&json!("Countess"), &json!(2)));
}

#[tokio::test]
async fn only_the_credential_of_an_api_may_ask() {
    let scene = Scene::new().await;
    let cookie = scene.login("web").await.expect(200).cookie();
    let value = cookie.split_once('=').unwrap().1;
    let ask = || json_request(Method::POST, "/session/exchange", None, json!({ "cookie": value }));
    let refused = scene.send(ask()).await.expect(401);
    assert_eq!(refused.body["error"], "invalid_client");
    scene.send(header(ask(), "authorization", &basic("demo-api", "wrong"))).await.expect(401);
    scene.send(header(ask(), "authorization", &basic("service", crate::scene::secret().reveal()))).await.expect(401);
    let account = scene.login("rolling").await.expect(200).text("account_token");
    scene.send(header(ask(), "authorization", &format!("Bearer {account}"))).await.expect(401);
    // In the body or not at all, and no page learns of it.
    let in_header = json_request(Method::POST, "/session/exchange", None, json!({}));
    scene.api("demo-api", header(in_header, "cookie", &cookie)).await.expect(400);
    let page = scene.api("demo-api", header(ask(), "origin", crate::scene::PAGE)).await.expect(200);
    assert_eq!(page.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn what_opens_nothing_is_an_invalid_grant_and_changes_nothing() {
    let scene = Scene::new().await;
    let reply = scene.login("web").await.expect(200);
    let (cookie, sid) = (reply.cookie(), reply.body["claims"]["sid"].as_str().unwrap().to_owned());
    let rev = scene.session(&sid).await.session.rev;
    scene.advance(8 * DAY); // a use would be written back
    let mut answers = Vec::new();
    let unknown = "rc1.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
    let guessed = format!("rc1.{sid}.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for wrong in [unknown, guessed, String::new(), "x".repeat(5000)] {
        let refused = scene.exchange("demo-api", &wrong).await.expect(400);
        assert_eq!(refused.body["error"], "invalid_grant");
        answers.push(refused.body);
    }
    assert!(answers.iter().all(|body| *body == answers[0]), "{answers:?}");
    // The session of another policy has no cookie.
    let rolling = scene.login("rolling").await.expect(200).claims()["sid"].as_str().unwrap().to_owned();
    let guessed = format!("rc1.{rolling}.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(scene.exchange("demo-api", &guessed).await.expect(400).body, answers[0]);
    // An api that the client may not call gets nothing for its users, and moves nothing.
    let held = scene.session(&sid).await;
    let narrowed = Client { apis: vec!["other-api".parse().unwrap()], ..(*held.client).clone() };
    scene.commit(Changes::none().write(Row::Client(narrowed))).await;
    assert_eq!(scene.exchange("demo-api", &cookie).await.expect(400).body["error"], "invalid_target");
    assert_eq!(scene.session(&sid).await.session.rev, rev);
}

#[tokio::test]
async fn idle_time_is_written_back_by_use_of_a_person() {
    let scene = Scene::new().await;
    let reply = scene.login("web").await.expect(200);
    let (cookie, sid) = (reply.cookie(), reply.body["claims"]["sid"].as_str().unwrap().to_owned());
    scene.advance(8 * DAY);
    let value = cookie.split_once('=').unwrap().1;
    let poll = json!({ "cookie": value, "interactive": false });
    scene.api("demo-api", json_request(Method::POST, "/session/exchange", None, poll)).await.expect(200);
    let before = scene.session(&sid).await.session;
    scene.exchange("demo-api", &cookie).await.expect(200);
    let after = scene.session(&sid).await.session;
    assert_eq!((before.idle_at.plus(8 * DAY), before.absolute_at), (after.idle_at, after.absolute_at));
    assert_eq!(after.last_seen, scene.clock.now());
}

#[tokio::test]
async fn many_at_once_all_get_a_token_when_a_use_is_due_to_be_written() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let cookie = scene.login("web").await.expect(200).cookie();
    scene.advance(8 * DAY);
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let (scene, cookie) = (scene.clone(), cookie.clone());
            tokio::spawn(async move { scene.exchange("demo-api", &cookie).await.expect(200).text("access_token") })
        })
        .collect();
    let mut tokens = std::collections::BTreeSet::new();
    for call in calls {
        tokens.insert(call.await.unwrap());
    }
    assert_eq!(tokens.len(), 1, "one quantum, one token");
}

#[tokio::test]
async fn an_exchange_in_flight_does_not_bring_an_ended_session_back() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let reply = scene.login("web").await.expect(200);
    let (cookie, sid) = (reply.cookie(), reply.body["claims"]["sid"].as_str().unwrap().to_owned());
    scene.advance(8 * DAY);
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (scene, cookie) = (scene.clone(), cookie.clone());
            tokio::spawn(async move { scene.exchange("demo-api", &cookie).await })
        })
        .collect();
    let out = scene.page(Method::DELETE, "/session", &cookie, None).await.expect(204);
    assert!(out.sets_cookies());
    for call in calls {
        call.await.unwrap();
    }
    let ended = scene.session(&sid).await.session;
    assert!(matches!(ended.state, remint_core::session::State::Ended { reason: EndReason::Logout, .. }));
    scene.exchange("demo-api", &cookie).await.expect(400);
}

#[tokio::test]
async fn a_client_of_another_policy_by_now_has_no_cookies() {
    let scene = Scene::new().await;
    let reply = scene.login("web").await.expect(200);
    let held = scene.session(reply.body["claims"]["sid"].as_str().unwrap()).await;
    let rolling = Client { policy: Policy::rolling(), ..(*held.client).clone() };
    scene.commit(Changes::none().write(Row::Client(rolling))).await;
    scene.exchange("demo-api", &reply.cookie()).await.expect(400);
    scene.page(Method::GET, "/session", &reply.cookie(), None).await.expect(401);
}
