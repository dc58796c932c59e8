//! `/admin/api/senders`: a sender that is declared carries the next code, its secret is never answered, and what the
//! configuration sets wins.

use std::num::NonZeroU32;

use axum::body::Body;
use futures_util::stream;
use http::Method;
use remint::settings::{Carrier, WebhookSecret, WebhookTarget};
use remint::store::{ClientById, SenderNamed};
use remint_core::change::{Changes, Row};
use remint_core::client::Client;
use remint_core::key::Sealed;
use remint_core::sender::{Sender, SenderName};
use serde_json::{Value, json};

use crate::admin::Administrator;
use crate::scene::{NUMBER, Reply, Scene, json_request};
use crate::webhook::{is_signed, listening};

const SMS: &str = "/admin/api/senders/sms";
const FIRST: &str = "the first secret that both have been told";
const SECOND: &str = "another secret that both have been told";

/// A server for which the configuration names no sender, and the account token of its user.
async fn bare() -> (Scene, String) {
    let scene = Scene::with(|settings| settings.sms.carrier = Carrier::Nobody).await;
    let account = scene.login("rolling").await.text("account_token");
    (scene, account)
}

async fn asked(scene: &Scene, account: &str, number: &str) -> Reply {
    scene.json(Method::POST, "/account/phone", Some(account), json!({ "phone_number": number })).await
}

fn declared(url: &str, secret: Option<&str>) -> Value {
    json!({ "webhook_url": url, "secret": secret, "per_number": 100, "per_address": 100 })
}

async fn put(scene: &Scene, body: Value) -> Reply {
    scene.admin(Method::PUT, SMS, body).await
}

async fn list(scene: &Scene) -> Vec<Value> {
    let reply = scene.admin(Method::GET, "/admin/api/senders", json!({})).await.expect(200);
    reply.body["senders"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_declared_sender_carries_the_next_code_and_one_that_is_removed_none() {
    let (scene, account) = bare().await;
    let (url, _receiver, mut came) = listening(&[], 100).await;
    asked(&scene, &account, NUMBER).await.expect(501);
    let made = put(&scene, declared(&url, Some(FIRST))).await.expect(201);
    assert_eq!((made.header("etag"), &made.body["in_use"]), ("\"1\"", &json!(true)));
    asked(&scene, &account, NUMBER).await.expect(202);
    let (headers, body) = came.recv().await.unwrap();
    assert!(is_signed(&headers, &body, FIRST));

    put(&scene, declared(&url, Some(SECOND))).await.expect(200);
    asked(&scene, &account, NUMBER).await.expect(202);
    let (headers, body) = came.recv().await.unwrap();
    assert!(is_signed(&headers, &body, SECOND), "at once");

    scene.admin(Method::DELETE, SMS, json!({})).await.expect(200);
    asked(&scene, &account, NUMBER).await.expect(501);
    scene.admin(Method::DELETE, SMS, json!({})).await.expect(404);
    put(&scene, declared(&url, Some(FIRST))).await.expect(201);
    asked(&scene, &account, NUMBER).await.expect(202);
    let (headers, body) = came.recv().await.unwrap();
    assert!(is_signed(&headers, &body, FIRST), "a row made anew at the same version is another one");
}

#[tokio::test]
async fn a_sender_is_there_after_a_restart_and_neither_address_nor_secret_stands_in_the_file_in_clear() {
    let (scene, _) = bare().await;
    let (url, _receiver, mut came) = listening(&[], 100).await;
    put(&scene, declared(&format!("{url}?key=t0ken"), Some(FIRST))).await.expect(201);
    let Scene { app, clock, ada, folder, .. } = scene;
    app.store.clone().close().await;
    drop(app);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        for word in [FIRST, "t0ken"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
    }
    let app = crate::scene::open(&folder, &clock, |settings| settings.sms.carrier = Carrier::Nobody).await;
    let scene = Scene { router: remint::http::router(app.clone()), app, clock, ada, folder };
    let account = scene.login("rolling").await.text("account_token");
    asked(&scene, &account, NUMBER).await.expect(202);
    let (headers, body) = came.recv().await.unwrap();
    assert!(is_signed(&headers, &body, FIRST));
}

#[tokio::test]
async fn what_is_left_out_takes_its_default_but_for_the_secret_and_nothing_changed_is_no_new_version() {
    let (scene, account) = bare().await;
    let (url, _receiver, mut came) = listening(&[], 100).await;
    let missing = put(&scene, declared(&url, None)).await.expect(400);
    assert_eq!(missing.text("field"), "secret");
    put(&scene, declared(&url, Some(FIRST))).await.expect(201);
    let same = put(&scene, declared(&url, Some(FIRST))).await.expect(200);
    assert_eq!((same.header("etag"), &same.body["per_number"]), ("\"1\"", &json!(100)));
    let changed = put(&scene, json!({ "webhook_url": url, "countries": ["1"] })).await.expect(200);
    assert_eq!((changed.header("etag"), &changed.body["per_number"]), ("\"2\"", &json!(5)));
    asked(&scene, &account, NUMBER).await.expect(202);
    let (headers, body) = came.recv().await.unwrap();
    assert!(is_signed(&headers, &body, FIRST), "the secret stays");
    asked(&scene, &account, "+493023125000").await.expect(400);
}

#[tokio::test]
async fn declared_limits_hold_and_those_of_the_configuration_stand_over_them() {
    let scene = Scene::with(|settings| {
        settings.sms.carrier = Carrier::Nobody;
        settings.sms.limits.per_number = NonZeroU32::new(2);
    });
    let scene = scene.await;
    let account = scene.login("rolling").await.text("account_token");
    let (url, _receiver, _came) = listening(&[], 100).await;
    let limits = json!({ "webhook_url": url, "secret": FIRST, "per_number": 1, "per_block": 3 });
    assert_eq!(put(&scene, limits).await.expect(201).body["overridden"], json!(["per_number"]));
    let mut statuses = Vec::new();
    for number in [NUMBER, NUMBER, NUMBER, "+12025550188", "+12025550189"] {
        statuses.push(asked(&scene, &account, number).await.status.as_u16());
    }
    assert_eq!(statuses, [202, 202, 429, 202, 429], "two to one number, three to one block");
}

#[tokio::test]
async fn the_sender_of_the_configuration_wins_and_the_list_says_so() {
    let (first, _receiver, mut came) = listening(&[], 100).await;
    let (second, _other, mut nothing) = listening(&[], 100).await;
    let scene = Scene::with(|settings| {
        let secret = WebhookSecret::new(FIRST).unwrap();
        let timeout = WebhookTarget::TIMEOUT;
        settings.sms.carrier = Carrier::Webhook(WebhookTarget { url: first.clone(), secret, timeout });
    });
    let scene = scene.await;
    let account = scene.login("rolling").await.text("account_token");
    let made = put(&scene, declared(&second, Some(SECOND))).await.expect(201);
    assert_eq!(made.body["overridden"], json!(["webhook_url", "secret"]));
    asked(&scene, &account, NUMBER).await.expect(202);
    let (headers, body) = came.recv().await.unwrap();
    assert!(is_signed(&headers, &body, FIRST) && nothing.try_recv().is_err());
    let listed = list(&scene).await;
    let brief: Vec<_> = listed.iter().map(|one| (&one["source"], &one["in_use"], &one["per_number"])).collect();
    assert_eq!(
        brief,
        [(&json!("configuration"), &json!(true), &json!(100)), (&json!("declared"), &json!(false), &json!(100))],
        "limits that the configuration does not set are as they are declared"
    );
    let checks = scene.admin(Method::GET, "/admin/api/checks", json!({})).await.expect(200).body.to_string();
    assert!(checks.contains("wins over the declared sender"), "{checks}");
}

#[tokio::test]
async fn neither_a_secret_nor_the_rest_of_an_address_is_ever_answered() {
    let (scene, _) = bare().await;
    let url = "https://sms.example.test/hooks/t0ken?key=k3y";
    let mut answers = vec![put(&scene, declared(url, Some(FIRST))).await.expect(201).body];
    answers.push(scene.admin(Method::GET, SMS, json!({})).await.expect(200).body);
    answers.extend(list(&scene).await);
    let preview = |body| scene.admin(Method::POST, "/admin/api/senders/sms/preview", body);
    let would = preview(declared(url, Some(SECOND))).await.expect(200).body;
    assert_eq!(would["changes"], json!(["secret"]));
    answers.push(would);
    let would = preview(declared("https://sms.example.test/hooks/other", Some(FIRST))).await.expect(200).body;
    assert_eq!(would["changes"], json!(["webhook_url"]));
    answers.push(would);
    answers.push(put(&scene, declared(url, Some("short"))).await.expect(400).body);
    let log = scene.admin(Method::GET, "/admin/api/audit?target=sender:sms", json!({})).await.expect(200).body;
    assert_eq!(log["entries"].as_array().unwrap().len(), 1, "a preview changes nothing: {log}");
    assert_eq!(log["entries"][0]["names"], json!(["per_address", "per_number", "webhook_url", "secret"]));
    answers.push(log);
    for answer in answers.iter().map(Value::to_string) {
        for word in [FIRST, SECOND, "t0ken", "k3y", "short"] {
            assert!(!answer.contains(word), "{word}: {answer}");
        }
    }
    assert_eq!(answers[0]["webhook"], json!("https://sms.example.test"));
}

#[tokio::test]
async fn only_whoever_may_pass_for_everybody_sets_a_sender_and_not_at_an_address_of_this_machine() {
    let (scene, _) = bare().await;
    let body = || declared("https://sms.example.test/", Some(FIRST));
    for (id, scopes) in [
        ("keys", "remint:keys remint:users:read"),
        ("users", "remint:users:read remint:users:write remint:clients remint:sessions remint:audit"),
    ] {
        let clerk = Administrator::new(&scene, id, scopes, &[]).await;
        for (method, path) in [(Method::PUT, SMS), (Method::DELETE, SMS), (Method::POST, &format!("{SMS}/preview"))] {
            let refused = scene.json(method, path, Some(&clerk.token), body()).await.expect(403);
            assert_eq!(refused.text("error"), "insufficient_scope");
        }
    }
    let scopes = "remint:keys remint:users:read remint:users:write";
    let chief = Administrator::new(&scene, "chief", scopes, &[]).await;
    for inside in [
        "http://127.0.0.1:9/",
        "https://localhost:8443/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://192.168.1.7/",
        "https://0x7f.1/",
        "https://169.254.169.254/latest",
    ] {
        let local = declared(inside, Some(FIRST));
        let refused = scene.json(Method::PUT, SMS, Some(&chief.token), local).await.expect(400);
        assert_eq!(refused.text("field"), "webhook_url", "{inside}");
    }
    scene.json(Method::PUT, SMS, Some(&chief.token), body()).await.expect(201);
    let stale = json_request(Method::PUT, SMS, Some(&chief.token), declared("https://b.test/", None));
    scene.send(crate::scene::header(stale, "if-match", "\"7\"")).await.expect(412);
    scene.json(Method::GET, "/admin/api/senders/smoke", Some(&chief.token), json!({})).await.expect(404);
}

#[tokio::test]
async fn a_client_that_is_disabled_while_its_request_is_on_the_way_does_nothing_any_more() {
    let (scene, _) = bare().await;
    let scopes = "remint:keys remint:users:read remint:users:write";
    let chief = Administrator::new(&scene, "chief", scopes, &[]).await;
    for (method, path, body) in [
        (Method::PUT, SMS, declared("https://sms.example.test/", Some(FIRST))),
        (Method::POST, "/admin/api/users", json!({"identifiers": ["late@example.test"]})),
    ] {
        // Where its body is asked for, it has been let in.
        let store = scene.app.store.clone();
        let rest = async move {
            let client = store.read(ClientById("chief".parse().unwrap())).await.unwrap().unwrap();
            let disabled = Client { disabled: true, ..(*client).clone() };
            store.commit(Changes::none().write(Row::Client(disabled))).await.unwrap();
            Ok::<_, std::convert::Infallible>(body.to_string())
        };
        let request = json_request(method, path, Some(&chief.token), json!(null));
        let request = request.map(|_| Body::from_stream(stream::once(rest)));
        assert_eq!(scene.send(request).await.expect(503).text("error"), "temporarily_unavailable", "{path}");
        let client = scene.app.store.read(ClientById("chief".parse().unwrap())).await.unwrap().unwrap();
        scene.commit(Changes::none().write(Row::Client(Client { disabled: false, ..(*client).clone() }))).await;
    }
    let again = json!({"id": "chief", "policy": {"kind": "fixed", "life": 600}, "apis": ["demo-api"]});
    let clerk = Administrator::new(&scene, "clerk", "remint:clients", &[]).await;
    let own = json!({"id": "clerk", "policy": {"kind": "fixed", "life": 600}, "apis": ["demo-api"]});
    for body in [again, own] {
        let taken = scene.json(Method::POST, "/admin/api/clients", Some(&clerk.token), body).await;
        assert_eq!(taken.expect(409).text("error"), "exists");
    }
    assert!(list(&scene).await.is_empty());
    let late = scene.admin(Method::GET, "/admin/api/users?identifier=late%40example.test", json!({})).await.expect(200);
    assert_eq!(late.body["users"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_member_that_is_to_blame() {
    let (scene, _) = bare().await;
    for (change, field) in [
        (json!({"webhook_url": "http://sms.example.test/"}), "webhook_url"),
        (json!({"webhook_url": "https://user@sms.example.test/"}), "webhook_url"),
        (json!({"webhook_url": "https://sms.example.test\\key"}), "webhook_url"),
        (json!({"webhook_url": "https://sms.example.test:port/"}), "webhook_url"),
        (json!({"webhook_url": 7}), "webhook_url"),
        (json!({"secret": "too short"}), "secret"),
        (json!({"secret": ["x"]}), "secret"),
        (json!({"per_day": 0}), "per_day"),
        (json!({"countries": ["+44"]}), "countries"),
        (json!({"per_week": 1}), "per_week"),
    ] {
        let mut body = declared("https://sms.example.test/", Some(FIRST));
        change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        assert_eq!(put(&scene, body).await.expect(400).text("field"), field, "{change}");
    }
    assert!(list(&scene).await.is_empty());
}

#[tokio::test]
async fn a_row_that_was_changed_from_outside_sends_nothing_and_doctor_says_so() {
    let (scene, account) = bare().await;
    put(&scene, declared("https://sms.example.test/", Some(FIRST))).await.expect(201);
    let row = scene.app.store.read(SenderNamed(SenderName::Sms)).await.unwrap().unwrap();
    let mut bytes = row.sealed.as_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    scene.commit(Changes::none().write(Row::Sender(Sender { sealed: Sealed::from_bytes(bytes), ..row }))).await;
    asked(&scene, &account, NUMBER).await.expect(503);
    let checks = scene.admin(Method::GET, "/admin/api/checks", json!({})).await.expect(200).body;
    let found = checks["checks"].as_array().unwrap().iter().find(|check| check["check"] == "sender").unwrap();
    assert_eq!(found["grade"], "error", "{found}");
    put(&scene, declared("https://sms.example.test/", Some(SECOND))).await.expect(200);
    assert_eq!(list(&scene).await[0]["in_use"], json!(true));
}
