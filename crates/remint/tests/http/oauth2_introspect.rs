//! `POST /oauth2/introspect` (RFC 7662): whether a token stands at this moment, for the api that it is meant for.

use std::time::Duration;

use http::{Method, StatusCode};
use remint_core::audit::Doer;
use remint_core::change::{Changes, Row};
use remint_core::client::Client;
use remint_core::session::EndReason;
use serde_json::json;

use crate::scene::{Reply, Scene, basic, form_request, header, secret};

#[track_caller]
fn inactive(reply: Reply) {
    assert_eq!((reply.status, &reply.body), (StatusCode::OK, &json!({"active": false})), "exactly that");
}

async fn client_token(scene: &Scene) -> String {
    let secret = secret();
    let form = [("grant_type", "client_credentials"), ("client_id", "service"), ("client_secret", secret.reveal())];
    scene.form("/oauth2/token", &form).await.expect(200).text("access_token")
}

#[tokio::test]
async fn a_token_that_stands_says_what_it_is() {
    let scene = Scene::new().await;
    let login = scene.login("refresh").await.expect(200);
    let reply = scene.introspect("demo-api", &login.text("access_token")).await.expect(200);
    let mut expected = login.claims();
    expected["active"] = json!(true);
    expected["token_type"] = json!("Bearer");
    assert_eq!(reply.body, expected);
    assert_eq!(reply.header("cache-control"), "no-store");
    let client = client_token(&scene).await;
    let reply = scene.introspect("demo-api", &client).await.expect(200);
    assert_eq!((&reply.body["active"], &reply.body["sub"]), (&json!(true), &json!("service")));
    assert!(reply.body.get("sid").is_none() && reply.body.get("amr").is_none());
}

#[tokio::test]
async fn a_token_of_another_audience_is_inactive() {
    let scene = Scene::new().await;
    let login = scene.login("rolling").await.expect(200);
    inactive(scene.introspect("other-api", &login.text("access_token")).await);
    inactive(scene.introspect("demo-api", &login.text("account_token")).await);
    inactive(scene.introspect("other-api", &client_token(&scene).await).await);
}

#[tokio::test]
async fn what_is_no_access_token_of_ours_is_inactive() {
    let scene = Scene::new().await;
    let login = scene.login("refresh").await.expect(200);
    inactive(scene.introspect("demo-api", &login.text("refresh_token")).await);
    let cookie = scene.login("web").await.expect(200).cookie();
    inactive(scene.introspect("demo-api", cookie.split_once('=').unwrap().1).await);
    let token = login.text("access_token");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    for wrong in ["x", "a.b.c", "..", &forged, &token[1..]] {
        inactive(scene.introspect("demo-api", wrong).await);
    }
}

#[tokio::test]
async fn only_the_credential_of_an_api_may_ask() {
    let scene = Scene::new().await;
    let token = scene.login("rolling").await.expect(200).text("access_token");
    let ask = || form_request("/oauth2/introspect", &[("token", &token)]);
    let refused = scene.send(ask()).await.expect(401);
    assert_eq!(refused.body["error"], "invalid_client");
    assert!(refused.header("www-authenticate").starts_with("Basic"));
    for (id, secret) in [("demo-api", "wrong"), ("nobody", "x"), ("service", secret().reveal()), ("rolling", "")] {
        scene.send(header(ask(), "authorization", &basic(id, secret))).await.expect(401);
    }
    scene.send(header(ask(), "authorization", &format!("Bearer {token}"))).await.expect(401);
    let secret = secret();
    let own = [("token", token.as_str()), ("client_id", "demo-api"), ("client_secret", secret.reveal())];
    scene.form("/oauth2/introspect", &own).await.expect(401);
    scene.api("demo-api", form_request("/oauth2/introspect", &[])).await.expect(400);
    scene.bare(Method::GET, "/oauth2/introspect", None).await.expect(405);
}

#[tokio::test]
async fn every_ending_shows_at_once() {
    type Spoil = fn(&Scene, &remint::store::Held) -> Changes;
    let spoils: [(&str, Spoil); 7] = [
        ("session ended", |scene, held| {
            Changes::none().write(Row::Session(held.session.ended(EndReason::Revoked, scene.clock.now())))
        }),
        ("epoch raised", |_, held| Changes::none().write(Row::User(held.user.with_new_epoch(EndReason::Everywhere)))),
        ("record changed", |_, held| Changes::none().write(Row::User(held.user.with_new_cv()))),
        ("user disabled", |_, held| Changes::none().write(Row::User(held.user.disabled()))),
        ("user deleted", |_, held| Changes::none().write(Row::User(held.user.deleted()))),
        ("client disabled", |_, held| {
            Changes::none().write(Row::Client(Client { disabled: true, ..(*held.client).clone() }))
        }),
        ("client changed", |_, held| {
            Changes::none().write(Row::Client(Client { pv: held.client.pv + 1, ..(*held.client).clone() }))
        }),
    ];
    for (name, spoil) in spoils {
        let scene = Scene::new().await;
        let login = scene.login("refresh").await.expect(200);
        let token = login.text("access_token");
        assert_eq!(scene.introspect("demo-api", &token).await.body["active"], true, "{name}");
        let held = scene.session(login.claims()["sid"].as_str().unwrap()).await;
        scene.commit(spoil(&scene, &held)).await;
        inactive(scene.introspect("demo-api", &token).await);
    }
}

#[tokio::test]
async fn an_expired_token_and_one_of_an_expired_session_are_inactive() {
    let scene = Scene::new().await;
    let login = scene.login("refresh").await.expect(200);
    let held = scene.session(login.claims()["sid"].as_str().unwrap()).await;
    let idle = remint_core::session::Session { idle_at: scene.clock.now(), ..held.session };
    let other = scene.login("refresh").await.expect(200);
    scene.commit(Changes::none().write(Row::Session(idle))).await;
    inactive(scene.introspect("demo-api", &login.text("access_token")).await);
    scene.advance(Duration::from_secs(299));
    assert_eq!(scene.introspect("demo-api", &other.text("access_token")).await.body["active"], true);
    scene.advance(Duration::from_secs(1));
    inactive(scene.introspect("demo-api", &other.text("access_token")).await);
}

#[tokio::test]
async fn a_revoked_client_token_is_inactive_and_another_of_the_same_end_is_not() {
    let scene = Scene::new().await;
    let secret = secret();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "service"),
        ("client_secret", secret.reveal()),
        ("scope", "read"),
    ];
    let narrow = scene.form("/oauth2/token", &form).await.expect(200).text("access_token");
    let wide = client_token(&scene).await;
    assert_eq!(crate::scene::claims(&narrow)["exp"], crate::scene::claims(&wide)["exp"]);
    let revoke = [("token", narrow.as_str()), ("client_id", "service"), ("client_secret", secret.reveal())];
    scene.form("/oauth2/revoke", &revoke).await.expect(200);
    inactive(scene.introspect("demo-api", &narrow).await);
    assert_eq!(scene.introspect("demo-api", &wide).await.body["active"], true);
}

#[tokio::test]
async fn a_withdrawn_key_makes_its_tokens_inactive() {
    let scene = Scene::new().await;
    let token = scene.login("rolling").await.expect(200).text("access_token");
    let kid = scene.app.keyring.signer(remint_core::jwk::Algorithm::Es256).unwrap().kid().to_string();
    scene.app.keyring.withdraw(&kid, &Doer::operator()).await.unwrap();
    inactive(scene.introspect("demo-api", &token).await);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_no_answer_about_the_token() {
    let scene = Scene::new().await;
    let token = scene.login("rolling").await.expect(200).text("access_token");
    scene.introspect("demo-api", &token).await.expect(200); // the credential is known from memory now
    scene.app.store.clone().close().await;
    scene.introspect("demo-api", &token).await.expect(503);
}

#[tokio::test]
async fn the_metadata_names_the_endpoint() {
    let scene = Scene::new().await;
    let metadata = scene.bare(Method::GET, "/.well-known/oauth-authorization-server", None).await.expect(200);
    assert_eq!(metadata.body["introspection_endpoint"], format!("{}/oauth2/introspect", crate::scene::ISSUER));
    assert_eq!(metadata.body["introspection_endpoint_auth_methods_supported"], json!(["client_secret_basic"]));
}
