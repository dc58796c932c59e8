//! `POST /session/renew` where the refresh token travels in a cookie (`transport = "cookie"`).

use std::time::Duration;

use http::{Method, Request};
use serde_json::json;

use crate::scene::{IDENTIFIER, PASSWORD, Reply, Scene, header};

const NAME: &str = "__Host-remint-rt-spa";
const PAST_THE_WINDOW: Duration = Duration::from_secs(31);

async fn renew(scene: &Scene, cookie: &str) -> Reply {
    scene.page(Method::POST, "/session/renew", cookie, None).await
}

#[tokio::test]
async fn the_refresh_token_is_in_a_strict_cookie_and_absent_from_the_body() {
    let scene = Scene::new().await;
    let reply = scene.login("spa").await.expect(200);
    let line = reply.header("set-cookie").to_owned();
    let (pair, attributes) = line.split_once("; ").unwrap();
    assert!(pair.starts_with(&format!("{NAME}=rt1.")), "{pair}");
    assert_eq!(attributes, format!("Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={}", 90 * 24 * 3600));
    assert!(!reply.body.to_string().contains("rt1."));
    assert!(reply.body.get("refresh_token").is_none());
    reply.text("access_token");
    reply.text("account_token");
}

#[tokio::test]
async fn a_renewal_answers_both_tokens_and_sets_a_cookie_only_with_a_new_refresh_token() {
    let scene = Scene::new().await;
    let first = scene.login("spa").await.expect(200);
    let early = renew(&scene, &first.cookie()).await.expect(200);
    assert!(!early.sets_cookies(), "inside the window the head stays: {early:?}");
    early.text("account_token");
    scene.advance(PAST_THE_WINDOW);
    let rotated = renew(&scene, &first.cookie()).await.expect(200);
    assert_ne!(rotated.cookie(), first.cookie());
    assert!(rotated.body.get("refresh_token").is_none());
    assert_eq!(rotated.claims()["sid"], first.claims()["sid"]);
    let account = crate::scene::claims(&rotated.text("account_token"));
    assert_eq!(account["aud"], crate::scene::ISSUER);
    scene.advance(PAST_THE_WINDOW);
    renew(&scene, &rotated.cookie()).await.expect(200);
}

#[tokio::test]
async fn tabs_that_race_get_one_successor_and_no_loser_clears_it() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let first = scene.login("spa").await.expect(200).cookie();
    scene.advance(PAST_THE_WINDOW);
    let tabs: Vec<_> = (0..8)
        .map(|_| {
            let (scene, first) = (scene.clone(), first.clone());
            tokio::spawn(async move { renew(&scene, &first).await.expect(200) })
        })
        .collect();
    let mut successors = std::collections::BTreeSet::new();
    for tab in tabs {
        successors.insert(tab.await.unwrap().cookie());
    }
    assert_eq!(successors.len(), 1);
}

#[tokio::test]
async fn theft_is_noticed_and_no_refusal_touches_the_cookie() {
    let scene = Scene::new().await;
    let old = scene.login("spa").await.expect(200).cookie();
    scene.advance(PAST_THE_WINDOW);
    let head = renew(&scene, &old).await.expect(200).cookie();
    scene.advance(PAST_THE_WINDOW);
    let next = renew(&scene, &head).await.expect(200).cookie();
    let stolen = renew(&scene, &old).await.expect(401);
    assert!(stolen.text("error_description").contains("theft"), "{stolen:?}");
    let victim = renew(&scene, &next).await.expect(401);
    assert!(!stolen.sets_cookies() && !victim.sets_cookies());
    assert!(!renew(&scene, &format!("{NAME}=rt1.nonsense")).await.expect(401).sets_cookies());
}

#[tokio::test]
async fn the_token_endpoint_neither_reads_the_cookie_nor_takes_its_value() {
    let scene = Scene::new().await;
    let cookie = scene.login("spa").await.expect(200).cookie();
    let form = [("grant_type", "refresh_token"), ("client_id", "spa")];
    let request = crate::scene::form_request("/oauth2/token", &form);
    scene.send(header(header(request, "cookie", &cookie), "origin", crate::scene::PAGE)).await.expect(400);
    let refused = scene.refresh("spa", cookie.split_once('=').unwrap().1).await.expect(400);
    assert_eq!(refused.body["error"], "unauthorized_client");
    renew(&scene, &cookie).await.expect(200);
}

#[tokio::test]
async fn a_refresh_token_of_a_body_is_not_taken_from_a_cookie() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.expect(200).text("refresh_token");
    for name in ["__Host-remint-rt-refresh", NAME] {
        let refused = renew(&scene, &format!("{name}={token}")).await.expect(401);
        assert!(!refused.sets_cookies());
    }
    scene.refresh("refresh", &token).await.expect(200);
}

#[tokio::test]
async fn the_cookie_is_taken_from_a_page_of_its_client_only_and_never_twice() {
    let scene = Scene::new().await;
    let cookie = scene.login("spa").await.expect(200).cookie();
    let plain = || Request::post("/session/renew").header("cookie", &cookie).body(axum::body::Body::empty()).unwrap();
    scene.send(plain()).await.expect(403);
    scene.send(header(plain(), "origin", "https://evil.example")).await.expect(403);
    scene.send(header(plain(), "sec-fetch-site", "same-site")).await.expect(403);
    scene.send(header(plain(), "sec-fetch-site", "same-origin")).await.expect(200);
    let refused = renew(&scene, &format!("{cookie}; {cookie}")).await.expect(400);
    assert!(refused.text("error_description").contains(NAME), "{refused:?}");
    // It renews and does nothing else.
    scene.page(Method::GET, "/session", &cookie, None).await.expect(401);
    scene.page(Method::DELETE, "/session", &cookie, None).await.expect(401);
}

#[tokio::test]
async fn a_log_out_clears_the_cookie_and_ends_the_line() {
    let scene = Scene::new().await;
    let reply = scene.login("spa").await.expect(200);
    let out = scene.bare(Method::DELETE, "/session", Some(&reply.text("account_token"))).await.expect(204);
    assert_eq!(out.header("set-cookie"), format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"));
    let refused = renew(&scene, &reply.cookie()).await.expect(401);
    assert!(refused.text("error_description").contains("session ended: logout"), "{refused:?}");
    // Where tokens travel in bodies there is nothing to clear.
    let body = scene.login("refresh").await.expect(200).text("account_token");
    assert!(!scene.bare(Method::DELETE, "/session", Some(&body)).await.expect(204).sets_cookies());
}

#[tokio::test]
async fn a_new_proof_of_who_they_are_leaves_the_line_and_sets_no_cookie() {
    let scene = Scene::new().await;
    let first = scene.login("spa").await.expect(200);
    let login = json!({"client_id": "spa", "identifier": IDENTIFIER, "password": PASSWORD});
    let again = scene.json(Method::POST, "/session", Some(&first.text("account_token")), login).await.expect(200);
    assert_eq!(again.claims()["sid"], first.claims()["sid"]);
    assert!(!again.sets_cookies());
    renew(&scene, &first.cookie()).await.expect(200);
}
