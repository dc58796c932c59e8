//! `/session` and `/sessions`.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::scene::{IDENTIFIER, PAGE, PASSWORD, Scene, header, json_request};

const HALF_AND_JITTER: Duration = Duration::from_secs(20 * 60 * 7 / 10 + 5);

#[tokio::test]
async fn a_log_in_answers_the_token_response_with_the_account_token() {
    let scene = Scene::new().await;
    let reply = scene.login("refresh").await.expect(200);
    assert_eq!(reply.body["token_type"], "Bearer");
    assert_eq!(reply.body["expires_in"], 300);
    assert_eq!(reply.body["scope"], "read write");
    assert!(reply.text("refresh_token").starts_with("rt1."));
    assert_eq!(reply.header("cache-control"), "no-store");
    let claims = reply.claims();
    assert_eq!(
        (&claims["aud"], &claims["nickname"], &claims["role"]),
        (&json!("demo-api"), &json!("ada"), &json!("engineer"))
    );
    let account = crate::scene::claims(&reply.text("account_token"));
    assert_eq!((&account["aud"], &account["sid"]), (&json!("https://id.example.test"), &claims["sid"]));
    for other in ["rolling", "fixed"] {
        let reply = scene.login(other).await.expect(200);
        assert!(reply.body.get("refresh_token").is_none(), "{other} has no refresh token");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_answered_alike() {
    let scene = Scene::new().await;
    let mut replies = Vec::new();
    let before = scene.app.passwords.computed();
    for (identifier, password) in
        [(IDENTIFIER, "wrong"), ("nobody@example.test", PASSWORD), ("no one at all", PASSWORD)]
    {
        let body = json!({"client_id": "rolling", "identifier": identifier, "password": password});
        let reply = scene.json(Method::POST, "/session", None, body).await.expect(400);
        assert_eq!(reply.body["error"], "invalid_grant");
        replies.push(reply.body);
    }
    assert!(replies.iter().all(|body| *body == replies[0]), "{replies:?}");
    assert_eq!(scene.app.passwords.computed() - before, 3, "the same work for each");
}

#[tokio::test]
async fn too_many_guesses_at_one_account_are_refused_and_an_honest_log_in_waits_for_the_window() {
    let scene = Scene::new().await;
    let guess = |password: &'static str| {
        let body = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": password});
        scene.json(Method::POST, "/session", None, body)
    };
    for _ in 0..10 {
        guess("wrong").await.expect(400);
    }
    let refused = guess("wrong").await.expect(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    let shouted = json!({"client_id": "rolling", "identifier": "ADA@Example.test", "password": PASSWORD});
    scene.json(Method::POST, "/session", None, shouted).await.expect(429);
    scene.advance(Duration::from_secs(15 * 60));
    scene.login("rolling").await.expect(200);
}

#[tokio::test]
async fn a_person_who_is_right_forty_times_at_once_is_no_guesser() {
    let scene = std::sync::Arc::new(Scene::with(|settings| settings.limits.hashing_queue = 100).await);
    let tabs: Vec<_> = (0..40)
        .map(|_| {
            let scene = scene.clone();
            tokio::spawn(async move { scene.login("rolling").await.expect(200) })
        })
        .collect();
    for tab in tabs {
        tab.await.unwrap();
    }
}

#[tokio::test]
async fn a_log_in_forgets_the_failures_before_it() {
    let scene = Scene::new().await;
    for _ in 0..3 {
        for _ in 0..9 {
            let body = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": "wrong"});
            scene.json(Method::POST, "/session", None, body).await.expect(400);
        }
        scene.login("rolling").await.expect(200);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_protocols_own_form() {
    let scene = Scene::new().await;
    let good = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": PASSWORD});
    let mut unknown = good.clone();
    unknown["admin"] = json!(true);
    let refused = scene.json(Method::POST, "/session", None, unknown).await.expect(400);
    assert_eq!(refused.body, json!({"error": "invalid_request", "error_description": "`admin` is not known here"}));
    let missing = scene.json(Method::POST, "/session", None, json!({"client_id": "rolling"})).await.expect(400);
    assert!(missing.text("error_description").contains("`identifier` is missing"));
    let mistyped = scene.json(Method::POST, "/session", None, json!({"client_id": 5})).await.expect(400);
    assert!(mistyped.text("error_description").contains("`client_id`"));
    let twice = http::Request::post("/session").header("content-type", "application/json");
    let twice = twice.body(axum::body::Body::from(r#"{"client_id":"a","client_id":"b"}"#)).unwrap();
    scene.send(twice).await.expect(400);
    let untyped = http::Request::post("/session").body(axum::body::Body::from(good.to_string())).unwrap();
    scene.send(untyped).await.expect(415);
    let huge = json!({"client_id": "x".repeat(70_000)});
    scene.json(Method::POST, "/session", None, huge).await.expect(413);
    scene.bare(Method::PUT, "/session", None).await.expect(405);
    scene.bare(Method::GET, "/nothing", None).await.expect(404);
}

#[tokio::test]
async fn only_the_clients_own_pages_may_speak_to_it() {
    let scene = Scene::new().await;
    let login = || {
        let body = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": PASSWORD});
        json_request(Method::POST, "/session", None, body)
    };
    let own = scene.send(header(login(), "origin", PAGE)).await.expect(200);
    assert_eq!(own.header("access-control-allow-origin"), PAGE);
    assert!(own.header("access-control-expose-headers").contains("Remint-Token"));
    assert!(own.headers.get_all("vary").iter().any(|value| value == "Origin"));
    for foreign in
        ["https://evil.example", "null", "https://app.example.test.evil.example", "https://app.example.test/"]
    {
        let refused = scene.send(header(login(), "origin", foreign)).await.expect(403);
        assert_eq!(refused.header("access-control-allow-origin"), "");
    }
    scene.send(header(login(), "sec-fetch-site", "cross-site")).await.expect(403);
    scene.send(header(login(), "sec-fetch-site", "same-origin")).await.expect(200);
    scene.send(header(header(login(), "origin", PAGE), "origin", "https://evil.example")).await.expect(403);
    let preflight = |origin: &str| {
        let request = http::Request::options("/session").body(axum::body::Body::empty()).unwrap();
        header(header(request, "origin", origin), "access-control-request-method", "POST")
    };
    scene.send(preflight(PAGE)).await.expect(204);
    scene.send(preflight("https://evil.example")).await.expect(403);
}

#[tokio::test]
async fn a_client_that_is_not_first_party_cannot_log_anybody_in() {
    let scene = Scene::new().await;
    let held = scene.app.store.read(remint::store::ClientById("rolling".parse().unwrap())).await.unwrap().unwrap();
    let third = remint_core::client::Client { first_party: false, ..(*held).clone() };
    scene.commit(remint_core::change::Changes::none().write(remint_core::change::Row::Client(third))).await;
    let refused = scene.login("rolling").await.expect(400);
    assert_eq!(refused.body["error"], "unauthorized_client");
}

#[tokio::test]
async fn a_rolling_token_renews_itself_past_half_of_its_life_and_not_before() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await.expect(200);
    scene.json(Method::POST, "/session/renew", Some(&first.text("account_token")), json!({})).await.expect(204);
    scene.advance(HALF_AND_JITTER);
    let renewed =
        scene.json(Method::POST, "/session/renew", Some(&first.text("account_token")), json!({})).await.expect(200);
    assert_eq!(renewed.claims()["sid"], first.claims()["sid"]);
    assert!(renewed.claims()["exp"].as_i64() > first.claims()["exp"].as_i64());
    assert!(renewed.body["account_token"].is_string());
    scene.advance(Duration::from_secs(20 * 60));
    let late =
        scene.json(Method::POST, "/session/renew", Some(&first.text("account_token")), json!({})).await.expect(401);
    assert!(late.header("www-authenticate").contains("error=\"invalid_token\""), "{late:?}");
}

#[tokio::test]
async fn an_api_token_is_renewed_for_its_own_audience_only_and_opens_nothing_else() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await.expect(200);
    scene.advance(HALF_AND_JITTER);
    let api_token = first.text("access_token");
    let renewed = scene.bare(Method::POST, "/session/renew", Some(&api_token)).await.expect(200);
    assert_eq!(renewed.claims()["aud"], "demo-api");
    assert!(renewed.body.get("account_token").is_none());
    for (method, path) in [
        (Method::GET, "/session"),
        (Method::DELETE, "/session"),
        (Method::GET, "/sessions"),
        (Method::PATCH, "/account"),
    ] {
        let refused = scene.json(method.clone(), path, Some(&api_token), json!({})).await.expect(401);
        assert!(refused.header("www-authenticate").contains("invalid_token"), "{method} {path}");
    }
    let fixed = scene.login("fixed").await.expect(200);
    scene.bare(Method::POST, "/session/renew", Some(&fixed.text("access_token"))).await.expect(400);
}

#[tokio::test]
async fn fifty_tabs_renewing_at_once_get_one_and_the_same_token() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let first = scene.login("rolling").await.expect(200);
    scene.advance(HALF_AND_JITTER);
    let tabs: Vec<_> = (0..50)
        .map(|_| {
            let (scene, token) = (scene.clone(), first.text("account_token"));
            tokio::spawn(async move {
                scene.advance(Duration::from_millis(1)); // no two of them see the same time
                scene.bare(Method::POST, "/session/renew", Some(&token)).await.expect(200)
            })
        })
        .collect();
    let mut tokens = std::collections::BTreeSet::new();
    for tab in tabs {
        tokens.insert(tab.await.unwrap().text("access_token"));
    }
    assert_eq!(tokens.len(), 1);
}

#[tokio::test]
async fn an_active_person_who_changes_their_record_is_not_logged_out_by_it() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await.expect(200);
    scene.advance(Duration::from_secs(9 * 60));
    let changed =
        scene.json(Method::PATCH, "/account", Some(&first.text("account_token")), json!({"nickname": "x"})).await;
    let changed = changed.expect(200);
    scene.advance(Duration::from_secs(15 * 60)); // the first token has run out, the second is past its half
    scene.bare(Method::POST, "/session/renew", Some(&changed.text("account_token"))).await.expect(200);
}

#[tokio::test]
async fn a_log_in_beside_a_dead_or_foreign_account_token_is_a_whole_log_in() {
    let scene = Scene::new().await;
    let body = || json!({"client_id": "refresh", "identifier": IDENTIFIER, "password": PASSWORD});
    let dead = scene.login("refresh").await.text("account_token");
    scene.bare(Method::DELETE, "/session", Some(&dead)).await.expect(204);
    let foreign = scene.login("rolling").await.text("account_token");
    for token in [dead, foreign] {
        let reply = scene.json(Method::POST, "/session", Some(&token), body()).await.expect(200);
        assert!(reply.text("refresh_token").starts_with("rt1."));
    }
}

#[tokio::test]
async fn a_person_can_prove_who_they_are_after_a_scope_was_taken_from_the_client() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await.expect(200);
    let client = scene.app.store.read(remint::store::ClientById("rolling".parse().unwrap())).await.unwrap().unwrap();
    let less = remint_core::client::Client { scopes: "read".parse().unwrap(), ..(*client).clone() };
    scene.commit(remint_core::change::Changes::none().write(remint_core::change::Row::Client(less))).await;
    let body = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": PASSWORD});
    let again = scene.json(Method::POST, "/session", Some(&first.text("account_token")), body).await.expect(200);
    assert_eq!((&again.claims()["scope"], &again.claims()["sid"]), (&json!("read"), &first.claims()["sid"]));
}

#[tokio::test]
async fn whoever_is_turned_away_by_overload_and_comes_back_is_not_locked_out_for_it() {
    let scene = std::sync::Arc::new(
        Scene::with(|settings| (settings.limits.hashing_at_once, settings.limits.hashing_queue) = (1, 1)).await,
    );
    let storm: Vec<_> = (0..4)
        .map(|_| {
            let scene = scene.clone();
            tokio::spawn(async move {
                loop {
                    let typed = remint_core::secret::Password::new("x".into()).unwrap();
                    let _ = scene.app.passwords.verify(typed, None).await; // only the work matters
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut turned_away = 0;
    for _ in 0..200 {
        match scene.login("rolling").await.status.as_u16() {
            503 => turned_away += 1,
            status => assert_eq!(status, 200, "never locked out"),
        }
    }
    storm.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(turned_away > 10, "more than a guesser may try: {turned_away}");
}

#[tokio::test]
async fn whoever_gets_no_answer_because_hashing_takes_too_long_is_not_locked_out_for_it() {
    let scene = Scene::new().await;
    for _ in 0..15 {
        let before = scene.app.passwords.computed();
        let begun = async {
            while scene.app.passwords.computed() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = begun => {} // the log-in is dropped, as the server's deadline does it
            reply = scene.login("rolling") => panic!("answered before its password was looked at: {reply:?}"),
        }
    }
    scene.login("rolling").await.expect(200);
}

#[tokio::test]
async fn a_fixed_session_lives_and_ends_and_is_never_extended() {
    let scene = Scene::new().await;
    let first = scene.login("fixed").await.expect(200);
    scene.advance(Duration::from_secs(6 * 24 * 3600));
    scene.bare(Method::POST, "/session/renew", Some(&first.text("account_token"))).await.expect(204);
    scene.advance(Duration::from_secs(24 * 3600));
    scene.bare(Method::GET, "/session", Some(&first.text("account_token"))).await.expect(401);
}

#[tokio::test]
async fn no_token_and_a_bad_token_are_told_apart() {
    let scene = Scene::new().await;
    let none = scene.bare(Method::GET, "/session", None).await.expect(401);
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"remint\"");
    for garbage in ["x", "a.b.c", "rt1.1.x", "eyJhbGciOiJub25lIn0.e30."] {
        let refused = scene.bare(Method::GET, "/session", Some(garbage)).await.expect(401);
        assert!(refused.header("www-authenticate").starts_with("Bearer error=\"invalid_token\""), "{garbage}");
    }
}

#[tokio::test]
async fn a_log_in_grants_no_more_scope_than_the_client_has_and_opens_nothing_where_it_refuses() {
    let scene = Scene::new().await;
    let with = |name: &'static str, value: &'static str| {
        let mut body = json!({"client_id": "refresh", "identifier": IDENTIFIER, "password": PASSWORD});
        body[name] = json!(value);
        scene.json(Method::POST, "/session", None, body)
    };
    assert_eq!(with("scope", "read admin").await.expect(400).body["error"], "invalid_scope");
    assert_eq!(with("resource", "nobody").await.expect(400).body["error"], "invalid_target");
    let all = remint::store::SessionsOf { user: scene.ada, limit: 10 };
    assert!(scene.app.store.read(all).await.unwrap().is_empty());
    assert_eq!(with("scope", "read").await.expect(200).claims()["scope"], "read");
}

#[tokio::test]
async fn the_session_shows_itself_and_its_limits() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await.expect(200);
    let shown = scene.bare(Method::GET, "/session", Some(&first.text("account_token"))).await.expect(200);
    assert_eq!(shown.body["user"]["attributes"], json!({"nickname": "ada", "role": "engineer"}));
    assert_eq!((&shown.body["policy"], &shown.body["amr"]), (&json!("rolling"), &json!(["pwd"])));
    assert_eq!(shown.body["expires_at"].as_i64().unwrap() - shown.body["created_at"].as_i64().unwrap(), 12 * 3600);
}

#[tokio::test]
async fn logging_out_ends_this_session_and_no_other_and_may_be_repeated() {
    let scene = Scene::new().await;
    let (one, other) = (scene.login("refresh").await.expect(200), scene.login("refresh").await.expect(200));
    scene.bare(Method::DELETE, "/session", Some(&one.text("account_token"))).await.expect(204);
    scene.bare(Method::DELETE, "/session", Some(&one.text("account_token"))).await.expect(204);
    let refused = scene.refresh("refresh", &one.text("refresh_token")).await.expect(400);
    assert_eq!(refused.body["error_description"], "session ended: logout");
    scene.bare(Method::GET, "/session", Some(&one.text("account_token"))).await.expect(401);
    scene.refresh("refresh", &other.text("refresh_token")).await.expect(200);
}

#[tokio::test]
async fn ending_everywhere_ends_every_session_of_the_person() {
    let scene = Scene::new().await;
    let (one, other) = (scene.login("refresh").await.expect(200), scene.login("rolling").await.expect(200));
    let everywhere = "/session?everywhere=true";
    scene.bare(Method::DELETE, "/session?everywhere=maybe", Some(&one.text("account_token"))).await.expect(400);
    scene.bare(Method::DELETE, everywhere, Some(&other.text("account_token"))).await.expect(204);
    scene.bare(Method::DELETE, everywhere, Some(&other.text("account_token"))).await.expect(204);
    let refused = scene.refresh("refresh", &one.text("refresh_token")).await.expect(400);
    assert_eq!(refused.body["error_description"], "session ended: everywhere");
    scene.advance(HALF_AND_JITTER);
    scene.bare(Method::POST, "/session/renew", Some(&other.text("access_token"))).await.expect(401);
    scene.login("refresh").await.expect(200);
}

#[tokio::test]
async fn a_person_sees_and_ends_their_own_devices_and_nobody_elses() {
    let scene = Scene::new().await;
    let phone = header(
        json_request(
            Method::POST,
            "/session",
            None,
            json!({"client_id": "refresh", "identifier": IDENTIFIER, "password": PASSWORD}),
        ),
        "user-agent",
        "Phone",
    );
    let (laptop, phone) = (scene.login("rolling").await.expect(200), scene.send(phone).await.expect(200));
    let account = laptop.text("account_token");
    let list = scene.bare(Method::GET, "/sessions", Some(&account)).await.expect(200);
    let devices = list.body["sessions"].as_array().unwrap();
    assert_eq!(devices.len(), 2);
    assert_eq!(devices.iter().filter(|device| device["current"] == true).count(), 1);
    for member in ["sid", "client_id", "created_at", "last_seen", "user_agent", "address"] {
        assert!(devices.iter().all(|device| device.get(member).is_some()), "{member}");
    }
    let sid = phone.claims()["sid"].as_str().unwrap().to_owned();
    scene.bare(Method::DELETE, &format!("/sessions/{sid}"), Some(&account)).await.expect(204);
    let refused = scene.refresh("refresh", &phone.text("refresh_token")).await.expect(400);
    assert_eq!(refused.body["error_description"], "session ended: revoked");
    for foreign in ["AAAAAAAAAAAAAAAAAAAAAA", "x", "..%2f..", "%ff", &"A".repeat(500)] {
        scene.bare(Method::DELETE, &format!("/sessions/{foreign}"), Some(&account)).await.expect(404);
    }
}

#[tokio::test]
async fn proving_again_who_one_is_keeps_the_session_and_moves_auth_time() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await.expect(200);
    scene.advance(Duration::from_secs(600));
    let body = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": PASSWORD});
    let again = scene.json(Method::POST, "/session", Some(&first.text("account_token")), body).await.expect(200);
    let (before, after) = (first.claims(), again.claims());
    assert_eq!(before["sid"], after["sid"]);
    assert_eq!(after["auth_time"].as_i64().unwrap() - before["auth_time"].as_i64().unwrap(), 600);
    assert_eq!(after["cv"].as_u64().unwrap(), before["cv"].as_u64().unwrap() + 1);
}
