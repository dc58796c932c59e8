//! `/admin/api/audit`: who did what to whom, when, from where and why, written in the commit of the act itself.

use std::time::Duration;

use http::Method;
use remint_core::session::EndReason;
use serde_json::{Value, json};

use crate::admin::Administrator;
use crate::scene::{IDENTIFIER, NUMBER, PASSWORD, Reply, START, Scene, secret};

async fn log(scene: &Scene, query: &str) -> Vec<Value> {
    let reply = scene.admin(Method::GET, &format!("/admin/api/audit?{query}"), json!({})).await.expect(200);
    reply.body["entries"].as_array().unwrap().clone()
}

fn acts(entries: &[Value]) -> Vec<&str> {
    entries.iter().rev().map(|entry| entry["act"].as_str().unwrap()).collect()
}

async fn guess(scene: &Scene, identifier: &str) -> Reply {
    let body = json!({"client_id": "rolling", "identifier": identifier, "password": "wrong"});
    scene.json(Method::POST, "/session", None, body).await
}

#[tokio::test]
async fn every_administrative_act_is_in_the_log_with_who_did_it_to_whom_from_where_and_why() {
    let scene = Scene::new().await;
    let scopes = "remint:users:read remint:users:write remint:clients remint:keys remint:sessions";
    let chief = Administrator::new(&scene, "chief", scopes, &[]).await;
    let sid = scene.login("rolling").await.expect(200).claims()["sid"].as_str().unwrap().to_owned();
    let seen = log(&scene, "").await.len();
    let (key, _) = scene.app.keyring.current_refresh();
    let user = json!({"identifiers": ["new"], "attributes": {"role": "x"}});
    let client = json!({"id": "new", "policy": {"kind": "fixed"}, "apis": ["demo-api"], "confidential": true});
    let api = json!({"id": "new-api", "audience": "new-api"});
    let attribute = json!({"name": "color", "type": "string"});
    let sender = json!({"webhook_url": "https://sms.example.test/", "secret": "0123456789abcdef0123456789abcdef"});
    for (method, path, body, act) in [
        (Method::POST, "/users", user, "user.created"),
        (Method::PATCH, "/users/new", json!({"role": "y"}), "user.changed"),
        (Method::POST, "/users/new/disable", json!({}), "user.disabled"),
        (Method::POST, "/users/new/enable", json!({}), "user.enabled"),
        (Method::POST, "/users/new/unlock", json!({}), "user.unlocked"),
        (Method::POST, "/users/new/password", json!({"password": "hunter2 hunter2"}), "user.password.changed"),
        (Method::DELETE, "/users/new/sessions", json!({}), "user.sessions.ended"),
        (Method::DELETE, "/users/new", json!({}), "user.deleted"),
        (Method::DELETE, &format!("/sessions/{sid}"), json!({}), "session.ended"),
        (Method::POST, "/attributes", attribute, "attribute.declared"),
        (Method::POST, "/apis", api, "api.created"),
        (Method::PATCH, "/apis/demo-api", json!({"max_life": 604_801}), "api.changed"),
        (Method::POST, "/apis/demo-api/secret", json!({}), "api.secret.rotated"),
        (Method::POST, "/clients", client, "client.created"),
        (Method::PATCH, "/clients/new", json!({"name": "New"}), "client.changed"),
        (Method::POST, "/clients/new/disable", json!({}), "client.disabled"),
        (Method::POST, "/clients/new/enable", json!({}), "client.enabled"),
        (Method::POST, "/clients/new/secret", json!({}), "client.secret.rotated"),
        (Method::POST, "/keys", json!({"purpose": "refresh", "at_once": true}), "keys.rotated"),
        (Method::DELETE, &format!("/keys/{}", key.0), json!({}), "key.withdrawn"),
        (Method::PUT, "/senders/sms", sender, "sender.set"),
        (Method::DELETE, "/senders/sms", json!({}), "sender.removed"),
    ] {
        let uri = format!("/admin/api{path}?reason=case+%C3%A97");
        let done = scene.json(method, &uri, Some(&chief.token), body).await;
        assert!(done.status.is_success(), "{path}: {done:?}");
        let newest = log(&scene, "limit=1").await.remove(0);
        let said =
            (newest["act"].as_str(), newest["actor"].as_str(), newest["reason"].as_str(), newest["from"].as_str());
        assert_eq!(said, (Some(act), Some("client:chief"), Some("case é7"), Some("0.0.0.0")), "{path}");
        assert_eq!(newest["at"].as_i64(), Some(START.secs()));
    }
    assert_eq!(log(&scene, "").await.len(), seen + 22);
    let changed = log(&scene, "act=client.changed").await.remove(0);
    assert_eq!((changed["target"].as_str(), &changed["names"]), (Some("client:new"), &json!(["name"])));
    let ended = log(&scene, "act=session.ended").await.remove(0);
    assert_eq!(
        (ended["sid"].as_str(), ended["target"].as_str()),
        (Some(sid.as_str()), Some(&*format!("user:{}", scene.ada)))
    );
}

#[tokio::test]
async fn a_client_that_is_refused_is_told_of_once_a_window_for_each_reason_and_a_name_that_nobody_has_never() {
    let scene = Scene::new().await;
    let clerk = Administrator::new(&scene, "clerk", "remint:clients", &[]).await;
    for (client, times) in [("clerk", 5), ("nobody", 5), ("rolling", 1)] {
        for _ in 0..times {
            let form = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", "wrong")];
            scene.form("/oauth2/token", &form).await.expect(401);
        }
    }
    for path in ["/users", "/keys", "/users", "/keys"] {
        let uri = format!("/admin/api{path}");
        scene.json(Method::GET, &uri, Some(&clerk.token), json!({})).await.expect(403);
    }
    let told = log(&scene, "act=client.refused").await;
    let one = |entry: &Value| format!("{} {} {}", entry["actor"], entry["target"], entry["names"]).replace('"', "");
    assert_eq!(
        told.iter().map(one).collect::<Vec<_>>(),
        [
            "client:clerk client:clerk [remint:keys]",
            "client:clerk client:clerk [remint:users:read]",
            "nobody client:rolling [secret]",
            "nobody client:clerk [secret]",
        ]
    );
    scene.advance(scene.app.settings.limits.login_window);
    let wish = json!({"id": "new", "policy": {"kind": "fixed"}, "apis": [], "confidential": true,
        "client_credentials": true, "administration": {"scopes": "remint:keys"}});
    let again = clerk.asks(&scene, None).await.expect(200).text("access_token");
    scene.json(Method::POST, "/admin/api/clients", Some(&again), wish).await.expect(403);
    let told = log(&scene, "act=client.refused").await;
    assert_eq!((told.len(), one(&told[0]).as_str()), (5, "client:clerk client:clerk [remint:keys]"), "{told:?}");
}

#[tokio::test]
async fn what_changes_nothing_and_what_is_refused_is_not_told() {
    let scene = Scene::new().await;
    let before = log(&scene, "").await.len();
    scene.admin(Method::PATCH, "/admin/api/clients/rolling", json!({})).await.expect(200);
    scene.admin(Method::PATCH, "/admin/api/apis/demo-api", json!({})).await.expect(200);
    scene.admin(Method::PATCH, "/admin/api/users/ada@example.test", json!({"role": "engineer"})).await.expect(200);
    scene.admin(Method::POST, "/admin/api/users/ada@example.test/enable", json!({})).await.expect(200);
    scene.admin(Method::POST, "/admin/api/users", json!({"identifiers": [IDENTIFIER]})).await.expect(409);
    scene.admin(Method::POST, "/admin/api/clients/rolling/secret", json!({})).await.expect(400);
    assert_eq!(log(&scene, "").await.len(), before);
}

#[tokio::test]
async fn what_a_person_does_by_cookie_is_told_as_by_token() {
    let scene = Scene::new().await;
    let login = |client: &str| json!({"client_id": client, "identifier": IDENTIFIER, "password": PASSWORD});
    let page = scene.login("web").await.expect(200);
    let again = scene.page(Method::POST, "/session", &page.cookie(), Some(login("web"))).await.expect(200);
    scene.exchange("demo-api", &again.cookie()).await.expect(200);
    scene.page(Method::DELETE, "/session", &again.cookie(), None).await.expect(204);
    let entries = log(&scene, &format!("actor=user:{}", scene.ada)).await;
    assert_eq!(acts(&entries), ["login", "login.again", "session.ended"]);
    for entry in &entries {
        assert_eq!((&entry["sid"], entry["client_id"].as_str()), (&page.body["claims"]["sid"], Some("web")));
    }
    let stolen = scene.login("spa").await.expect(200);
    let mut seen = stolen.cookie();
    for _ in 0..3 {
        scene.advance(Duration::from_secs(3600));
        seen = scene.page(Method::POST, "/session/renew", &seen, None).await.expect(200).cookie();
    }
    scene.page(Method::POST, "/session/renew", &stolen.cookie(), None).await.expect(401);
    let entries = log(&scene, "act=session.theft").await;
    assert_eq!((entries.len(), entries[0]["from"].as_str()), (1, Some("0.0.0.0")), "{entries:?}");
}

#[tokio::test]
async fn a_person_s_log_in_log_out_and_change_are_told_with_their_session() {
    let scene = Scene::new().await;
    let tokens = scene.login("refresh").await.expect(200);
    let account = tokens.text("account_token");
    scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": "countess"})).await.expect(200);
    let login = json!({"client_id": "refresh", "identifier": IDENTIFIER, "password": PASSWORD});
    scene.json(Method::POST, "/session", Some(&account), login).await.expect(200);
    scene.bare(Method::DELETE, "/session", Some(&account)).await.expect(204);
    let other = scene.login("rolling").await.expect(200);
    scene.bare(Method::DELETE, "/session?everywhere=true", Some(&other.text("account_token"))).await.expect(204);
    let entries = log(&scene, &format!("actor=user:{}", scene.ada)).await;
    let told = ["login", "user.changed", "login.again", "session.ended", "login", "user.sessions.ended"];
    assert_eq!(acts(&entries), told);
    let sid = tokens.claims()["sid"].clone();
    assert_eq!(
        (&entries[5]["sid"], entries[5]["client_id"].as_str(), &entries[5]["names"]),
        (&sid, Some("refresh"), &json!(["pwd"]))
    );
    assert_eq!(entries[4]["names"], json!(["nickname"]), "names, and never a value");
    assert_eq!((&entries[2]["sid"], &entries[2]["names"]), (&sid, &json!([EndReason::Logout.as_str()])));
}

#[tokio::test]
async fn a_failed_log_in_is_told_once_a_window_for_each_account_and_never_what_was_typed() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        guess(&scene, IDENTIFIER).await.expect(400);
    }
    for typed in ["nobody", "my secret passphrase typed here"] {
        guess(&scene, typed).await.expect(400);
        guess(&scene, typed).await.expect(400);
    }
    let failed = log(&scene, "act=login.failed").await;
    let targets: Vec<_> = failed.iter().rev().map(|entry| entry["target"].as_str().unwrap()).collect();
    assert_eq!(targets, [&*format!("user:{}", scene.ada), "unknown", "unknown"]);
    assert!(failed.iter().all(|entry| entry["actor"] == "nobody" && entry["client_id"] == "rolling"));
    assert!(!json!(failed).to_string().contains("passphrase"), "{failed:?}");
    scene.advance(Duration::from_secs(15 * 60));
    guess(&scene, IDENTIFIER).await.expect(400);
    assert_eq!(log(&scene, "act=login.failed").await.len(), 4, "the next window");
}

#[tokio::test]
async fn a_wrong_code_after_the_right_password_is_told_once_a_window_and_never_the_code() {
    let scene = Scene::new().await;
    scene.with_factor().await;
    let asked = scene.login("rolling").await.expect(403);
    for _ in 0..3 {
        let wrong = if scene.code() == "271828" { "314159" } else { "271828" };
        scene.factor("rolling", &asked.text("challenge"), wrong).await.expect(400);
    }
    let failed = log(&scene, "act=login.failed").await;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(
        (failed[0]["target"].as_str().unwrap(), &failed[0]["names"]),
        (&*format!("user:{}", scene.ada), &json!(["sms"]))
    );
    assert!(!json!(failed).to_string().contains("271828"));
    guess(&scene, IDENTIFIER).await.expect(400);
    assert_eq!(log(&scene, "act=login.failed").await[0]["names"], json!(["pwd"]), "the other method is told beside");
    for _ in 0..12 {
        guess(&scene, IDENTIFIER).await;
    }
    let failed = log(&scene, "act=login.failed").await;
    assert_eq!((failed.len(), &failed[0]["names"]), (3, &json!(["locked"])), "{failed:?}");
    for typed in ["nobody", "no one"].repeat(12) {
        guess(&scene, typed).await;
    }
    let locked = log(&scene, "act=login.failed&target=unknown").await;
    let locked: Vec<_> = locked.iter().filter(|entry| entry["names"] == json!(["locked"])).collect();
    assert_eq!(locked.len(), 1, "the same commit for who is not there: {locked:?}");
}

#[tokio::test]
async fn a_wrong_code_for_a_number_is_told_and_never_the_code() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.expect(200).text("account_token");
    let number = json!({"phone_number": NUMBER});
    scene.json(Method::POST, "/account/phone", Some(&account), number).await.expect(202);
    let wrong = if scene.code() == "271828" { "314159" } else { "271828" };
    let code = json!({ "code": wrong });
    scene.json(Method::POST, "/account/phone/verify", Some(&account), code).await.expect(400);
    let told = log(&scene, "act=user.code.refused").await;
    assert_eq!((told.len(), told[0]["actor"].as_str().unwrap()), (1, &*format!("user:{}", scene.ada)));
    assert!(!json!(told).to_string().contains(wrong));
}

#[tokio::test]
async fn theft_is_told_in_the_commit_that_ends_the_session() {
    let scene = Scene::new().await;
    let first = scene.login("refresh").await.expect(200).text("refresh_token");
    scene.advance(Duration::from_secs(60));
    let second = scene.refresh("refresh", &first).await.expect(200).text("refresh_token");
    scene.advance(Duration::from_secs(60));
    scene.refresh("refresh", &second).await.expect(200);
    scene.advance(Duration::from_secs(60));
    scene.refresh("refresh", &first).await.expect(400);
    scene.refresh("refresh", &first).await.expect(400);
    let told = log(&scene, "act=session.theft").await;
    assert_eq!(told.len(), 1, "one verdict");
    assert_eq!((told[0]["actor"].as_str(), told[0]["from"].as_str()), (Some("server"), Some("0.0.0.0")));
}

#[tokio::test]
async fn revoked_tokens_are_told_and_keys_that_were_due() {
    let scene = Scene::new().await;
    let refresh = scene.login("refresh").await.expect(200).text("refresh_token");
    scene.form("/oauth2/revoke", &[("client_id", "refresh"), ("token", &refresh)]).await.expect(200);
    let ended = log(&scene, "actor=client:refresh").await;
    assert_eq!((acts(&ended), &ended[0]["names"]), (vec!["session.ended"], &json!(["revoked"])));
    let secret = secret();
    let service = [("grant_type", "client_credentials"), ("client_id", "service"), ("client_secret", secret.reveal())];
    let token = scene.form("/oauth2/token", &service).await.expect(200).text("access_token");
    let form = [("client_id", "service"), ("client_secret", secret.reveal()), ("token", &token)];
    scene.form("/oauth2/revoke", &form).await.expect(200);
    assert_eq!(acts(&log(&scene, "target=client:service").await), ["token.revoked"]);
    scene.advance(Duration::from_secs(91 * 24 * 3600));
    scene.app.keyring.tick(scene.clock.now()).await.unwrap();
    assert!(acts(&log(&scene, "actor=server").await).contains(&"keys.rotated"));
}

#[tokio::test]
async fn the_log_is_read_by_time_and_filter_a_page_at_a_time() {
    let scene = Scene::new().await;
    for round in 0..5 {
        scene.login(if round % 2 == 0 { "rolling" } else { "fixed" }).await.expect(200);
        scene.advance(Duration::from_secs(10));
    }
    let since = START.secs() + 10;
    assert_eq!(log(&scene, &format!("act=login&since={since}")).await.len(), 4);
    assert_eq!(log(&scene, &format!("act=login&until={since}")).await.len(), 1);
    let query = format!("limit=2&target=user:{}", scene.ada);
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/admin/api/audit?{query}{cursor}");
        let page = scene.admin(Method::GET, &path, json!({})).await.expect(200);
        ids.extend(page.body["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_i64().unwrap()));
        match page.body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
    for wrong in ["actor=me", "target=user:x", "act=nothing", "since=yesterday", "actor=client:"] {
        scene.admin(Method::GET, &format!("/admin/api/audit?{wrong}"), json!({})).await.expect(400);
    }
}

#[tokio::test]
async fn a_reason_has_a_form_and_the_log_has_no_way_to_change_it() {
    let scene = Scene::new().await;
    for wrong in ["reason=", "reason=a%0Ab", "reason=a&reason=b", "because=x", "reason=%ff"] {
        let path = format!("/admin/api/users/ada@example.test/disable?{wrong}");
        scene.admin(Method::POST, &path, json!({})).await.expect(400);
    }
    for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
        scene.admin(method, "/admin/api/audit", json!({})).await.expect(405);
    }
}

#[tokio::test]
async fn no_secret_and_no_token_is_ever_in_the_log() {
    let scene = Scene::new().await;
    let chief = Administrator::new(&scene, "chief", "remint:clients", &[]).await;
    let tokens = scene.login("refresh").await.expect(200);
    let made = json!({"id": "new", "policy": {"kind": "fixed"}, "apis": ["demo-api"], "confidential": true});
    let made = scene.admin(Method::POST, "/admin/api/clients", made).await.expect(201);
    let password = json!({"password": "a new long password"});
    scene.admin(Method::POST, "/admin/api/users/ada@example.test/password", password).await.expect(200);
    let log = json!(log(&scene, "limit=1000").await).to_string();
    let secrets = [
        tokens.text("access_token"),
        tokens.text("refresh_token"),
        made.text("client_secret"),
        chief.token.clone(),
        PASSWORD.into(),
        "a new long password".into(),
        IDENTIFIER.into(),
    ];
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret}");
        assert!(secret.len() < 40 || !log.contains(&secret[secret.len() - 20..]), "{secret}");
    }
}
