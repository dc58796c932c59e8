//! `POST /admin/api/sessions`: a backend that keeps its own users vouches for one of them, and Remint does the rest.

use std::time::Duration;

use http::Method;
use remint::store::{ClientById, FeedAfter, UserById};
use remint_core::change::{Changes, Row};
use remint_core::client::Client;
use remint_core::policy::Policy;
use serde_json::{Value, json};

use crate::admin::Administrator;
use crate::scene::{IDENTIFIER, NUMBER, Reply, START, Scene};

const SCOPES: &str = "remint:sessions:open remint:users:read remint:users:write remint:audit";

async fn backend(scene: &Scene, at: &[&str]) -> Administrator {
    Administrator::new(scene, "backend", SCOPES, at).await
}

async fn open(scene: &Scene, backend: &Administrator, change: Value) -> Reply {
    let mut body = json!({"user": "4711", "client_id": "refresh", "amr": ["pwd", "otp"]});
    change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
    scene.json(Method::POST, "/admin/api/sessions", Some(&backend.token), body).await
}

#[tokio::test]
async fn a_person_known_to_the_backend_gets_tokens_that_live_like_any_other() {
    let scene = Scene::new().await;
    let backend = backend(&scene, &["refresh", "rolling", "fixed"]).await;
    let auth_time = START.secs() - 30;
    let change = json!({"attributes": {"role": "buyer"}, "auth_time": auth_time, "user_agent": "Firefox", "address": "192.0.2.9"});
    let opened = open(&scene, &backend, change).await.expect(200);
    let claims = opened.claims();
    assert_eq!((claims["role"].as_str(), claims["auth_time"].as_i64()), (Some("buyer"), Some(auth_time)));
    assert_eq!((&claims["amr"], claims["client_id"].as_str()), (&json!(["pwd", "otp"]), Some("refresh")));
    let account = opened.text("account_token");
    let devices = scene.bare(Method::GET, "/sessions", Some(&account)).await.expect(200);
    assert_eq!(
        (&devices.body["sessions"][0]["user_agent"], &devices.body["sessions"][0]["address"]),
        (&json!("Firefox"), &json!("192.0.2.9"))
    );
    let again = open(&scene, &backend, json!({})).await.expect(200);
    assert_eq!(again.claims()["sub"], claims["sub"], "the same person");
    assert_ne!(again.claims()["sid"], claims["sid"], "another session");
    scene.advance(Duration::from_secs(60));
    scene.refresh("refresh", &opened.text("refresh_token")).await.expect(200);
    for client in ["rolling", "fixed"] {
        let other = open(&scene, &backend, json!({"client_id": client})).await.expect(200);
        assert!(other.body.get("refresh_token").is_none() && other.body.get("account_token").is_some(), "{other:?}");
    }
}

#[tokio::test]
async fn a_client_with_cookies_is_answered_their_value_and_the_backend_sets_the_cookie_itself() {
    let scene = Scene::new().await;
    let backend = backend(&scene, &["web", "spa"]).await;
    let opened = open(&scene, &backend, json!({"client_id": "web"})).await.expect(200);
    assert!(!opened.sets_cookies() && !opened.body.to_string().contains("eyJ"), "no cookie, no token: {opened:?}");
    let exchanged = scene.exchange("demo-api", &opened.text("cookie")).await.expect(200).claims();
    assert_eq!((&exchanged["sid"], &exchanged["amr"]), (&opened.body["claims"]["sid"], &json!(["pwd", "otp"])));
    let page = format!("__Host-remint-session-web={}", opened.text("cookie"));
    scene.page(Method::POST, "/session/renew", &page, None).await.expect(200);

    let opened = open(&scene, &backend, json!({"client_id": "spa"})).await.expect(200);
    assert!(!opened.sets_cookies() && opened.body.get("refresh_token").is_none(), "{opened:?}");
    scene.advance(Duration::from_secs(60));
    let page = format!("__Host-remint-rt-spa={}", opened.text("cookie"));
    let renewed = scene.page(Method::POST, "/session/renew", &page, None).await.expect(200);
    assert_eq!(renewed.claims()["sid"], opened.claims()["sid"]);
}

#[tokio::test]
async fn a_record_that_the_backend_changes_reaches_the_token_and_the_answer_says_its_version() {
    let scene = Scene::new().await;
    let backend = backend(&scene, &["refresh"]).await;
    let opened = open(&scene, &backend, json!({"attributes": {"role": "buyer"}})).await.expect(200);
    let patch = json!({"role": "seller"});
    let path = "/admin/api/users/external:4711";
    let patched = scene.json(Method::PATCH, path, Some(&backend.token), patch).await.expect(200);
    assert_eq!((patched.body["cv"].as_u64(), patched.body["external_id"].as_str()), (Some(2), Some("4711")));
    assert_eq!(patched.body["identifiers"], json!([]));
    let renewed = scene.bare(Method::POST, "/session/renew", Some(&opened.text("account_token"))).await;
    assert_ne!(renewed.status, 500, "{renewed:?}");
    let refreshed = scene.refresh("refresh", &opened.text("refresh_token")).await.expect(200).claims();
    assert_eq!((refreshed["role"].as_str(), refreshed["cv"].as_u64()), (Some("seller"), Some(2)));
    // What changes with a log-in is told to the feed in the same commit.
    let before = scene.app.store.read(FeedAfter { seq: 0, limit: 99 }).await.unwrap().len();
    let newer = open(&scene, &backend, json!({"attributes": {"role": "both"}})).await.expect(200).claims();
    assert_eq!((newer["role"].as_str(), newer["cv"].as_u64()), (Some("both"), Some(3)));
    assert_eq!(scene.app.store.read(FeedAfter { seq: 0, limit: 99 }).await.unwrap().len(), before + 1);
}

#[tokio::test]
async fn sessions_are_opened_at_the_named_clients_only_and_never_for_who_has_a_password_here() {
    let scene = Scene::new().await;
    let backend = backend(&scene, &["refresh"]).await;
    for client in ["rolling", "nowhere", "backend"] {
        let refused = open(&scene, &backend, json!({"client_id": client})).await.expect(403);
        assert_eq!(refused.text("error"), "insufficient_scope", "{client}");
    }
    let stranger = open(&scene, &backend, json!({"user": IDENTIFIER})).await.expect(200).claims();
    assert_ne!(stranger["sub"].as_str(), Some(&*scene.ada.to_string()), "an identifier is no external id");
    let by_id = open(&scene, &backend, json!({"user": scene.ada.to_string()})).await.expect(200).claims();
    assert_ne!(by_id["sub"].as_str(), Some(&*scene.ada.to_string()));
    let typed = json!({"client_id": "refresh", "identifier": "external 4711", "password": ""});
    open(&scene, &backend, json!({})).await.expect(200);
    scene.json(Method::POST, "/session", None, typed).await.expect(400);
}

#[tokio::test]
async fn what_the_backend_says_is_checked() {
    let scene = Scene::new().await;
    let backend = backend(&scene, &["refresh"]).await;
    let now = START.secs();
    for (field, change) in [
        ("auth_time", json!({"auth_time": now + 60})),
        ("auth_time", json!({"auth_time": -1})),
        ("auth_time", json!({"auth_time": "now"})),
        ("amr", json!({"amr": []})),
        ("amr", json!({"amr": ["p w"]})),
        ("amr", json!({"amr": "pwd"})),
        ("user", json!({"user": ""})),
        ("user", json!({"user": "a b"})),
        ("attributes", json!({"attributes": {"shoe_size": 44}})),
        ("attributes", json!({"attributes": {"role": 44}})),
        ("password", json!({"password": "x"})),
        ("client_id", json!({"client_id": "a b"})),
    ] {
        let refused = open(&scene, &backend, change.clone()).await.expect(400);
        assert_eq!(refused.text("field"), field, "{change}");
    }
    open(&scene, &backend, json!({"scope": "read pay"})).await.expect(400);
    open(&scene, &backend, json!({"resource": "nowhere"})).await.expect(400);
    let ahead = open(&scene, &backend, json!({"auth_time": now + 2})).await.expect(200).claims();
    assert_eq!(ahead["auth_time"].as_i64(), Some(now), "a clock a little ahead is no liar");
    let log = scene.admin(Method::GET, "/admin/api/audit?act=session.opened", json!({})).await.expect(200);
    assert_eq!(log.body["entries"].as_array().unwrap().len(), 1, "what was refused opened nothing");
}

#[tokio::test]
async fn twenty_first_log_ins_at_once_make_one_user() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let backend = std::sync::Arc::new(backend(&scene, &["refresh"]).await);
    let opened = (0..20).map(|_| {
        let (scene, backend) = (scene.clone(), backend.clone());
        tokio::spawn(
            async move { open(&scene, &backend, json!({"user": "new"})).await.expect(200).claims()["sub"].clone() },
        )
    });
    let mut subjects = Vec::new();
    for one in opened.collect::<Vec<_>>() {
        subjects.push(one.await.unwrap());
    }
    assert!(subjects.iter().all(|sub| *sub == subjects[0]), "{subjects:?}");
}

#[tokio::test]
async fn who_is_deleted_comes_back_as_somebody_else_and_who_is_disabled_not_at_all() {
    let scene = Scene::new().await;
    let backend = backend(&scene, &["refresh"]).await;
    let first = open(&scene, &backend, json!({})).await.expect(200).claims();
    scene.admin(Method::POST, "/admin/api/users/external:4711/disable", json!({})).await.expect(200);
    let refused = open(&scene, &backend, json!({})).await.expect(400);
    assert!(refused.text("error_description").contains("disabled"));
    scene.admin(Method::DELETE, "/admin/api/users/external:4711", json!({})).await.expect(200);
    let second = open(&scene, &backend, json!({})).await.expect(200).claims();
    assert_ne!(second["sub"], first["sub"], "an id is never used again");
    let client = scene.app.store.read(ClientById("refresh".parse().unwrap())).await.unwrap().unwrap();
    let disabled = Client { disabled: true, ..(*client).clone() };
    scene.commit(Changes::none().write(Row::Client(disabled))).await;
    let refused = open(&scene, &backend, json!({})).await.expect(400);
    assert_eq!(refused.text("field"), "client_id");
}

#[tokio::test]
async fn a_client_that_is_not_first_party_gets_no_account_token() {
    let scene = Scene::new().await;
    let row = Client { first_party: false, ..crate::scene::client("third", Policy::refresh()) };
    let row =
        row.checked(None, &[crate::scene::api("demo-api"), crate::scene::api("other-api")], &scene.app.settings.timing);
    scene.commit(Changes::none().write(Row::Client(row.unwrap()))).await;
    let backend = backend(&scene, &["third"]).await;
    let opened = open(&scene, &backend, json!({"client_id": "third"})).await.expect(200);
    assert!(opened.body.get("account_token").is_none() && opened.body.get("refresh_token").is_some());
}

#[tokio::test]
async fn it_is_told_who_vouched() {
    let scene = Scene::new().await;
    let backend = backend(&scene, &["refresh"]).await;
    let claims = open(&scene, &backend, json!({})).await.expect(200).claims();
    let log = scene.bare(Method::GET, "/admin/api/audit?actor=client:backend", Some(&backend.token)).await.expect(200);
    let acts: Vec<_> = log.body["entries"].as_array().unwrap().iter().map(|entry| entry["act"].clone()).collect();
    assert_eq!(acts, [json!("session.opened"), json!("user.created")]);
    let opened = &log.body["entries"][0];
    assert_eq!(
        (&opened["sid"], &opened["client_id"], &opened["names"]),
        (&claims["sid"], &json!("refresh"), &json!(["pwd", "otp"]))
    );
}

#[tokio::test]
async fn the_record_of_a_known_person_is_changed_by_those_alone_who_may_change_users() {
    let scene = Scene::new().await;
    let opener = Administrator::new(&scene, "opener", "remint:sessions:open", &["refresh"]).await;
    open(&scene, &opener, json!({"attributes": {"role": "buyer"}})).await.expect(200);
    open(&scene, &opener, json!({"attributes": {"role": "buyer"}})).await.expect(200);
    let refused = open(&scene, &opener, json!({"attributes": {"role": "chief"}})).await.expect(403);
    assert!(refused.text("error_description").contains("`remint:users:write`"), "{refused:?}");
    let other = backend(&scene, &["refresh"]).await;
    let changed = open(&scene, &other, json!({"attributes": {"role": "chief"}})).await.expect(200);
    assert_eq!(changed.claims()["role"], "chief");
    let id = changed.claims()["sub"].as_str().unwrap().parse().unwrap();
    let user = scene.app.store.read(UserById(id)).await.unwrap().unwrap();
    let with_number = user.with_phone_number(Some(NUMBER.parse().unwrap())).unwrap();
    scene.commit(Changes::none().write(Row::User(with_number.user))).await;
    let claimed = json!({"amr": ["pwd", "sms"]});
    open(&scene, &opener, claimed.clone()).await.expect(403);
    open(&scene, &opener, json!({})).await.expect(200);
    open(&scene, &other, claimed).await.expect(200);
}
