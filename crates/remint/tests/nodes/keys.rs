//! Keys: what one node makes is believed by the other at once, what one withdraws is believed by neither.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use remint_core::audit::Doer;
use remint_core::jwk::Algorithm;
use remint_core::key::Purpose;
use remint_core::refresh::RefreshToken;
use serde_json::json;

use crate::pair::{PAST_W, Pair, until};
use crate::scene::Scene;

const ES256: Purpose = Purpose::Sign(Algorithm::Es256);

/// The ids that a node publishes.
async fn published(scene: &Scene) -> Vec<String> {
    let set = scene.send(Request::get("/oauth2/jwks").body(Body::empty()).unwrap()).await.expect(200);
    let keys = set.body["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn rotate(scene: &Scene, purpose: Purpose) {
    scene.app.keyring.rotate(purpose, true, &Doer::server()).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_of_a_key_that_another_node_has_just_made_is_taken_at_once_and_answered_alike() {
    let Pair { a, b } = Pair::new().await;
    for _ in 0..5 {
        rotate(&a, Purpose::Refresh).await;
        let token = a.login("refresh").await.expect(200).text("refresh_token");
        b.refresh("refresh", &token).await.expect(200);
    }
}

#[tokio::test]
async fn a_head_that_another_node_derived_with_a_new_key_is_told_again_by_a_node_that_never_saw_that_key() {
    let pair = Pair::new().await;
    let first = pair.a.login("refresh").await.expect(200).text("refresh_token");
    pair.advance(PAST_W);
    rotate(&pair.a, Purpose::Refresh).await;
    let second = pair.a.refresh("refresh", &first).await.expect(200).text("refresh_token");
    let again = pair.b.refresh("refresh", &first).await.expect(200).text("refresh_token");
    assert_eq!(second, again);
}

#[tokio::test]
async fn a_token_that_another_node_signed_with_a_new_key_is_believed_and_its_key_published_at_once() {
    let Pair { a, b } = Pair::new().await;
    for _ in 0..5 {
        rotate(&a, ES256).await;
        let account = a.login("rolling").await.expect(200).text("account_token");
        b.bare(Method::GET, "/session", Some(&account)).await.expect(200);
        rotate(&a, ES256).await;
        let current = a.app.keyring.signer(Algorithm::Es256).unwrap().kid().to_string();
        assert!(published(&b).await.contains(&current), "a guard that asks the other node finds it");
    }
}

#[tokio::test]
async fn a_token_of_an_api_with_a_new_algorithm_is_signed_by_a_node_that_never_saw_the_key() {
    let Pair { a, b } = Pair::new().await;
    let made = json!({"id": "modern", "audience": "modern", "scopes": "read", "algorithm": "EdDSA"});
    a.admin(Method::POST, "/admin/api/apis", made).await.expect(201);
    a.admin(Method::PATCH, "/admin/api/clients/refresh", json!({"apis": ["modern"]})).await.expect(200);
    let reply = b.login("refresh").await.expect(200);
    assert_eq!(reply.claims()["aud"], "modern");
}

#[tokio::test]
async fn a_key_that_one_node_withdrew_is_believed_by_no_other_and_what_it_signs_is_good_everywhere() {
    let Pair { a, b } = Pair::new().await;
    let old = b.login("rolling").await.expect(200).text("account_token");
    b.bare(Method::GET, "/session", Some(&old)).await.expect(200);
    let kid = a.app.keyring.signer(Algorithm::Es256).unwrap().kid().to_string();
    a.app.keyring.withdraw(&kid, &Doer::server()).await.unwrap();
    assert!(!published(&b).await.contains(&kid), "nobody is told of it any more");
    until("b believes in it no more", async || {
        let status = b.bare(Method::GET, "/session", Some(&old)).await.status;
        (status == 401).then_some(())
    })
    .await;
    for (here, there) in [(&a, &b), (&b, &a)] {
        let new = here.login("rolling").await.expect(200).text("account_token");
        there.bare(Method::GET, "/session", Some(&new)).await.expect(200);
    }
}

#[tokio::test]
async fn a_node_hears_of_a_withdrawn_refresh_key_though_nobody_asks_it_anything() {
    let Pair { a, b } = Pair::new().await;
    let token = b.login("refresh").await.expect(200).text("refresh_token");
    let id = token.parse::<RefreshToken>().unwrap().kid();
    a.app.keyring.withdraw(&id.0.to_string(), &Doer::server()).await.unwrap();
    until("b knows it no more", async || b.app.keyring.refresh_key(id).is_none().then_some(())).await;
    assert_ne!(b.app.keyring.current_refresh().0, id);
    let refused = b.refresh("refresh", &token).await.expect(400);
    assert_eq!(refused.text("error"), "invalid_grant");
    let next = b.login("refresh").await.expect(200).text("refresh_token");
    a.refresh("refresh", &next).await.expect(200);
}

#[tokio::test]
async fn whoever_invents_keys_holds_up_nobody() {
    let Pair { a, b } = Pair::new().await;
    let honest = a.login("refresh").await.expect(200).text("refresh_token");
    let forged = |number: usize| {
        let rest = honest.splitn(3, '.').nth(2).unwrap();
        format!("rt1.{}.{rest}", 1000 + number)
    };
    let forging = (0..64).map(|number| {
        let (b, token) = (&b, forged(number));
        async move { b.refresh("refresh", &token).await.expect(400).text("error") }
    });
    let forging = async {
        for said in futures_util::future::join_all(forging).await {
            assert_eq!(said, "invalid_grant");
        }
    };
    let ((), fresh) = tokio::join!(forging, async {
        rotate(&a, Purpose::Refresh).await;
        let token = a.login("refresh").await.expect(200).text("refresh_token");
        b.refresh("refresh", &token).await
    });
    fresh.expect(200);
    tokio::time::timeout(Duration::from_secs(20), b.refresh("refresh", &honest)).await.unwrap().expect(200);
}
