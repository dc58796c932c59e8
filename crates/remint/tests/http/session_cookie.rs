//! `/session*`, `/sessions*` and `/account` for a page of the cookie policy: an opaque cookie, and no token.

use std::time::Duration;

use http::{Method, Request};
use remint_core::change::{Changes, Row};
use remint_core::policy::Policy;
use remint_core::session::{Continuity, EndReason};
use serde_json::{Value, json};

use crate::scene::{IDENTIFIER, PAGE, PASSWORD, Reply, Scene, from_page, header, json_request};

const NAME: &str = "__Host-remint-session-web";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn login() -> Value {
    json!({"client_id": "web", "identifier": IDENTIFIER, "password": PASSWORD})
}

fn no_token_in(reply: &Reply) {
    let text = reply.body.to_string();
    assert!(!text.contains("_token") && !text.contains("eyJ") && !text.contains("rc1."), "{text}");
}

fn sid(reply: &Reply) -> String {
    reply.body["claims"]["sid"].as_str().unwrap().to_owned()
}

async fn cookie_of(scene: &Scene) -> String {
    scene.login("web").await.expect(200).cookie()
}

fn end_of(cookie: &str) -> Request<axum::body::Body> {
    from_page(Method::DELETE, "/session", cookie, None)
}

#[tokio::test]
async fn a_log_in_of_the_cookie_policy_answers_a_host_cookie_and_no_token() {
    let scene = Scene::new().await;
    let reply = scene.login("web").await.expect(200);
    let line = reply.header("set-cookie").to_owned();
    let (pair, attributes) = line.split_once("; ").unwrap();
    assert!(pair.starts_with(&format!("{NAME}=rc1.")), "{pair}");
    let days = 90 * 24 * 3600;
    assert_eq!(attributes, format!("Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={days}"));
    no_token_in(&reply);
    let claims = &reply.body["claims"];
    assert_eq!((&claims["nickname"], &claims["amr"]), (&json!("ada"), &json!(["pwd"])));
    assert_eq!((&claims["cv"], &claims["client_id"]), (&json!(1), &json!("web")));
    for of_a_token in ["iss", "aud", "iat", "exp", "jti"] {
        assert!(claims.get(of_a_token).is_none(), "{of_a_token}");
    }
    let start = scene.clock.now().secs();
    assert_eq!(reply.body["idle_expires_at"], start + 14 * 24 * 3600);
    assert_eq!(reply.body["expires_at"], start + days);
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test]
async fn the_store_holds_the_hash_of_the_secret_only() {
    let scene = Scene::new().await;
    let reply = scene.login("web").await.expect(200);
    let cookie = reply.cookie();
    let secret = cookie.rsplit('.').next().unwrap().to_owned();
    assert_eq!(secret.len(), 43, "256 bits");
    assert!(matches!(scene.session(&sid(&reply)).await.session.continuity, Continuity::Cookie(_)));
    scene.app.store.clone().close().await;
    for file in std::fs::read_dir(scene.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[tokio::test]
async fn the_cookie_speaks_where_the_account_token_would_and_no_answer_holds_a_token() {
    let scene = Scene::new().await;
    let reply = scene.login("web").await.expect(200);
    let (cookie, other) = (reply.cookie(), scene.login("web").await.expect(200));
    let shown = scene.page(Method::GET, "/session", &cookie, None).await.expect(200);
    assert_eq!((&shown.body["sid"], &shown.body["policy"]), (&json!(sid(&reply)), &json!("cookie")));
    let changed = scene.page(Method::PATCH, "/account", &cookie, Some(json!({"nickname": "Countess"}))).await;
    let changed = changed.expect(200);
    assert_eq!((&changed.body["claims"]["nickname"], &changed.body["claims"]["cv"]), (&json!("Countess"), &json!(2)));
    let renewed = scene.page(Method::POST, "/session/renew", &cookie, None).await.expect(200);
    assert_eq!(renewed.body["claims"], changed.body["claims"]);
    let all = scene.page(Method::GET, "/sessions", &cookie, None).await.expect(200);
    assert_eq!(all.body["sessions"].as_array().unwrap().len(), 2);
    let path = format!("/sessions/{}", sid(&other));
    scene.page(Method::DELETE, &path, &cookie, None).await.expect(204);
    scene.page(Method::GET, "/session", &other.cookie(), None).await.expect(401);
    for answer in [&shown, &changed, &renewed, &all] {
        no_token_in(answer);
        assert!(!answer.sets_cookies(), "only a log-in and a log-out do: {answer:?}");
    }
}

#[tokio::test]
async fn a_wrong_secret_an_unknown_session_and_a_malformed_value_are_answered_alike() {
    let scene = Scene::new().await;
    let cookie = cookie_of(&scene).await;
    let (front, secret) = cookie.rsplit_once('.').unwrap();
    let turned = secret.chars().rev().skip(1).collect::<String>();
    let unknown = format!("{NAME}=rc1.AAAAAAAAAAAAAAAAAAAAAA.{secret}");
    let mut answers = Vec::new();
    for wrong in [format!("{front}.A{turned}"), unknown, format!("{NAME}=rc1.x"), format!("{NAME}=")] {
        let refused = scene.page(Method::GET, "/session", &wrong, None).await.expect(401);
        assert!(!refused.sets_cookies());
        answers.push(refused.body);
    }
    assert!(answers.iter().all(|body| *body == answers[0]), "{answers:?}");
    scene.page(Method::GET, "/session", &cookie, None).await.expect(200);
}

#[tokio::test]
async fn a_cookie_that_changes_something_must_come_from_a_page_of_its_client() {
    let scene = Scene::new().await;
    let cookie = cookie_of(&scene).await;
    let plain = |method: Method| {
        let request = Request::builder().method(method).uri("/session").body(axum::body::Body::empty()).unwrap();
        header(request, "cookie", &cookie)
    };
    let refused = scene.send(plain(Method::DELETE)).await.expect(403);
    assert!(refused.text("error_description").contains("Origin"), "{refused:?}");
    assert!(!refused.sets_cookies());
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        scene.send(header(plain(Method::DELETE), name, value)).await.expect(403);
    }
    let patch = header(json_request(Method::PATCH, "/account", None, json!({"nickname": "x"})), "cookie", &cookie);
    scene.send(patch).await.expect(403);
    let renew = Request::post("/session/renew").header("cookie", &cookie).body(axum::body::Body::empty()).unwrap();
    scene.send(renew).await.expect(403);
    // What changes nothing may be asked without; but by no foreign page.
    scene.send(plain(Method::GET)).await.expect(200);
    scene.send(header(plain(Method::GET), "sec-fetch-site", "cross-site")).await.expect(403);
    scene.send(header(plain(Method::GET), "origin", "https://evil.example")).await.expect(403);
    // The issuer's own pages, and the client's.
    scene.send(header(plain(Method::GET), "origin", crate::scene::ISSUER)).await.expect(200);
    scene.send(header(plain(Method::DELETE), "sec-fetch-site", "same-origin")).await.expect(204);
}

#[tokio::test]
async fn credentials_cross_origins_for_clients_with_cookies_only() {
    let scene = Scene::new().await;
    let other = "https://tokens.example.test";
    let mut rolling = crate::scene::client("only-tokens", Policy::rolling());
    rolling.origins = vec![other.parse().unwrap()];
    scene.commit(Changes::none().write(Row::Client(rolling))).await;
    for (origin, allowed) in [(PAGE, "true"), (other, ""), ("https://evil.example", "")] {
        let request = Request::options("/session").body(axum::body::Body::empty()).unwrap();
        let request = header(header(request, "origin", origin), "access-control-request-method", "POST");
        let preflight = scene.send(request).await;
        assert_eq!(preflight.header("access-control-allow-credentials"), allowed, "{origin}");
    }
}

#[tokio::test]
async fn two_cookies_of_one_name_are_refused_and_change_nothing() {
    let scene = Scene::new().await;
    let (cookie, tossed) = (cookie_of(&scene).await, cookie_of(&scene).await);
    for both in [format!("{cookie}; {tossed}"), format!("{tossed}; {cookie}"), format!("{cookie}; {cookie}")] {
        for (method, path) in
            [(Method::GET, "/session"), (Method::POST, "/session/renew"), (Method::DELETE, "/session")]
        {
            let refused = scene.page(method, path, &both, None).await.expect(400);
            assert!(refused.text("error_description").contains(NAME), "{refused:?}");
            assert!(!refused.sets_cookies());
        }
    }
    let lines = header(from_page(Method::GET, "/session", &cookie, None), "cookie", &tossed);
    scene.send(lines).await.expect(400);
    scene.page(Method::GET, "/session", &cookie, None).await.expect(200);
    // A cookie of another name that only looks like it is another cookie.
    let looks = format!("{cookie}; __host-remint-session-web=x; remint-session-web=y");
    scene.page(Method::GET, "/session", &looks, None).await.expect(200);
}

#[tokio::test]
async fn a_cookie_of_one_client_is_no_cookie_of_another() {
    let scene = Scene::new().await;
    let second = crate::scene::client("web2", Policy::cookie());
    scene.commit(Changes::none().write(Row::Client(second))).await;
    let cookie = cookie_of(&scene).await;
    let value = cookie.split_once('=').unwrap().1;
    let renamed = format!("__Host-remint-session-web2={value}");
    scene.page(Method::GET, "/session", &renamed, None).await.expect(401);
    scene.page(Method::POST, "/session/renew", &renamed, None).await.expect(401);
    // Both clients' pages are of one origin: which is meant must be said.
    let other = scene.login("web2").await.expect(200);
    let jar = format!("{cookie}; {}", other.cookie());
    let refused = scene.page(Method::GET, "/session", &jar, None).await.expect(400);
    assert!(refused.text("error_description").contains("Remint-Client"), "{refused:?}");
    let named = header(from_page(Method::GET, "/session", &jar, None), "remint-client", "web2");
    assert_eq!(scene.send(named).await.expect(200).body["client_id"], "web2");
    let wrong = header(from_page(Method::GET, "/session", &jar, None), "remint-client", "a b");
    scene.send(wrong).await.expect(400);
}

#[tokio::test]
async fn a_planted_cookie_is_never_adopted() {
    let scene = Scene::new().await;
    let planted = format!("{NAME}=rc1.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let reply = scene.page(Method::POST, "/session", &planted, Some(login())).await.expect(200);
    assert_ne!(reply.cookie(), planted);
    assert_ne!(sid(&reply), "AAAAAAAAAAAAAAAAAAAAAA");
    scene.page(Method::GET, "/session", &planted, None).await.expect(401);
    // An attacker's own live session, planted in the browser of ada before she logs in.
    let eve = scene.admin(
        Method::POST,
        "/admin/api/users",
        json!({"identifiers": ["eve@example.test"], "password": "a long enough passphrase of eve"}),
    );
    eve.await.expect(201);
    let theirs =
        json!({"client_id": "web", "identifier": "eve@example.test", "password": "a long enough passphrase of eve"});
    let eves = scene.json(Method::POST, "/session", None, theirs).await.expect(200);
    let adas = scene.page(Method::POST, "/session", &eves.cookie(), Some(login())).await.expect(200);
    assert_ne!(sid(&adas), sid(&eves));
    let shown = scene.page(Method::GET, "/session", &eves.cookie(), None).await.expect(200);
    assert_ne!(shown.body["user"]["sub"], adas.body["claims"]["sub"], "eve's session is still eve's");
    // Two cookies at a log-in: neither is a hint.
    let both = format!("{}; {planted}", adas.cookie());
    let fresh = scene.page(Method::POST, "/session", &both, Some(login())).await.expect(200);
    assert_ne!(sid(&fresh), sid(&adas));
}

#[tokio::test]
async fn a_new_proof_of_who_they_are_keeps_the_session_and_changes_its_secret() {
    let scene = Scene::new().await;
    let first = scene.login("web").await.expect(200);
    scene.advance(DAY);
    let again = scene.page(Method::POST, "/session", &first.cookie(), Some(login())).await.expect(200);
    assert_eq!(sid(&again), sid(&first));
    assert_ne!(again.cookie(), first.cookie());
    assert_eq!(again.body["claims"]["cv"], 2);
    assert_eq!(again.body["claims"]["auth_time"], scene.clock.now().secs());
    assert_eq!(again.body["expires_at"], first.body["expires_at"], "the absolute limit never moves");
    no_token_in(&again);
    let refused = scene.page(Method::GET, "/session", &first.cookie(), None).await.expect(401);
    assert!(!refused.sets_cookies(), "a loser of a race never clears");
    scene.exchange("demo-api", &first.cookie()).await.expect(400);
    let refused = scene.send(end_of(&first.cookie())).await.expect(401);
    assert!(!refused.sets_cookies(), "the browser may hold the newer one by now");
    scene.page(Method::GET, "/session", &again.cookie(), None).await.expect(200);
    // Without the headers of a page the cookie is no hint: a session of its own is opened.
    let request = header(json_request(Method::POST, "/session", None, login()), "cookie", &again.cookie());
    assert_ne!(sid(&scene.send(request).await.expect(200)), sid(&first));
}

#[tokio::test]
async fn a_form_sent_twice_at_once_leaves_every_answers_cookie_alive() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let first = scene.login("web").await.expect(200).cookie();
    let tabs: Vec<_> = (0..2)
        .map(|_| {
            let (scene, first) = (scene.clone(), first.clone());
            tokio::spawn(async move { scene.page(Method::POST, "/session", &first, Some(login())).await.expect(200) })
        })
        .collect();
    for tab in tabs {
        let cookie = tab.await.unwrap().cookie(); // whichever comes last is in the jar
        scene.page(Method::GET, "/session", &cookie, None).await.expect(200);
    }
    scene.page(Method::GET, "/session", &first, None).await.expect(401);
}

#[tokio::test]
async fn what_needs_a_recent_log_in_asks_the_session_of_the_cookie() {
    let scene = Scene::new().await;
    let cookie = cookie_of(&scene).await;
    scene.advance(Duration::from_secs(301));
    let write = |cookie: String| {
        let scene = &scene;
        async move { scene.page(Method::PATCH, "/account", &cookie, Some(json!({"payout": "DE1"}))).await }
    };
    let refused = write(cookie.clone()).await.expect(401);
    assert_eq!(refused.body["error"], "insufficient_user_authentication");
    let again = scene.page(Method::POST, "/session", &cookie, Some(login())).await.expect(200).cookie();
    write(again).await.expect(200);
}

#[tokio::test]
async fn a_log_out_ends_the_session_and_clears_the_cookie_by_its_own_attributes() {
    let scene = Scene::new().await;
    let cookie = cookie_of(&scene).await;
    let cleared = format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    assert_eq!(scene.send(end_of(&cookie)).await.expect(204).header("set-cookie"), cleared);
    let refused = scene.page(Method::GET, "/session", &cookie, None).await.expect(401);
    assert!(refused.text("error_description").contains("session ended: logout"), "{refused:?}");
    scene.exchange("demo-api", &cookie).await.expect(400);
    // A lost answer is asked for again, and a cookie that stands for nothing can still be got rid of.
    assert_eq!(scene.send(end_of(&cookie)).await.expect(204).header("set-cookie"), cleared);
    let unknown = format!("{NAME}=rc1.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for nothing in [unknown, format!("{NAME}=garbage")] {
        assert_eq!(scene.send(end_of(&nothing)).await.expect(204).header("set-cookie"), cleared);
    }
    let foreign =
        header(Request::delete("/session").body(axum::body::Body::empty()).unwrap(), "origin", "https://evil.example");
    assert!(!scene.send(header(foreign, "cookie", &cookie)).await.expect(403).sets_cookies());
    scene.bare(Method::DELETE, "/session", None).await.expect(401);
}

#[tokio::test]
async fn ending_everywhere_by_cookie_ends_every_session_of_the_person() {
    let scene = Scene::new().await;
    let (one, two) = (cookie_of(&scene).await, cookie_of(&scene).await);
    let reply = scene.page(Method::DELETE, "/session?everywhere=true", &one, None).await.expect(204);
    assert!(reply.sets_cookies());
    scene.page(Method::GET, "/session", &two, None).await.expect(401);
    let again = scene.page(Method::DELETE, "/session?everywhere=true", &one, None).await.expect(204);
    assert!(again.sets_cookies());
    // Nobody knows whose a cookie of no session is: nothing was ended, and nobody hears that it was.
    let unknown = format!("{NAME}=rc1.AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    scene.page(Method::DELETE, "/session?everywhere=true", &unknown, None).await.expect(401);
}

#[tokio::test]
async fn idle_time_moves_with_a_person_only_and_is_written_when_half_of_it_has_gone() {
    let scene = Scene::new().await;
    let reply = scene.login("web").await.expect(200);
    let (cookie, sid) = (reply.cookie(), sid(&reply));
    let renew = |body: Value| scene.page(Method::POST, "/session/renew", &cookie, Some(body));
    let rev = scene.session(&sid).await.session.rev;
    scene.advance(6 * DAY);
    renew(json!({})).await.expect(200);
    assert_eq!(scene.session(&sid).await.session.rev, rev, "not written yet");
    scene.advance(2 * DAY);
    renew(json!({"interactive": false})).await.expect(200);
    assert_eq!(scene.session(&sid).await.session.rev, rev, "a timer is no person");
    let moved = renew(json!({})).await.expect(200);
    assert_eq!(moved.body["idle_expires_at"], scene.clock.now().plus(14 * DAY).secs());
    renew(json!({"interactive": 1})).await.expect(400);
    scene.advance(14 * DAY);
    let over = renew(json!({})).await.expect(401);
    assert!(over.text("error_description").contains("expired"), "{over:?}");
}

#[tokio::test]
async fn an_ended_session_says_why_to_its_cookie() {
    let scene = Scene::new().await;
    let cookie = cookie_of(&scene).await;
    let user = scene.user().await.with_new_epoch(EndReason::PasswordChanged);
    scene.commit(Changes::none().write(Row::User(user))).await;
    let refused = scene.page(Method::POST, "/session/renew", &cookie, None).await.expect(401);
    assert!(refused.text("error_description").contains("password-changed"), "{refused:?}");
    assert!(!refused.sets_cookies());
}

#[tokio::test]
async fn an_access_token_goes_before_a_cookie_and_a_bad_one_is_not_made_good_by_it() {
    let scene = Scene::new().await;
    let cookie = cookie_of(&scene).await;
    let account = scene.login("rolling").await.expect(200).text("account_token");
    let both = |token: &str| {
        header(from_page(Method::GET, "/session", &cookie, None), "authorization", &format!("Bearer {token}"))
    };
    assert_eq!(scene.send(both(&account)).await.expect(200).body["client_id"], "rolling");
    scene.send(both("nonsense")).await.expect(401);
}
