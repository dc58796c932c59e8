//! `/oauth2/token`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use remint_core::change::{Changes, Row};
use remint_core::session::State;
use serde_json::json;

use crate::scene::{PAGE, Scene, form_request, header, secret};

/// Longer than R, so that a head rotates.
const PAST_R: Duration = Duration::from_secs(31);

#[tokio::test]
async fn inside_r_a_refresh_answers_an_access_token_and_no_refresh_token() {
    let scene = Scene::new().await;
    let first = scene.login("refresh").await;
    let again = scene.refresh("refresh", &first.text("refresh_token")).await.expect(200);
    assert!(again.body.get("refresh_token").is_none());
    assert_eq!(again.claims()["sid"], first.claims()["sid"]);
}

#[tokio::test]
async fn fifty_parallel_refreshes_of_one_token_get_one_and_the_same_successor() {
    let scene = Arc::new(Scene::new().await);
    let token = scene.login("refresh").await.text("refresh_token");
    scene.advance(PAST_R);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (scene, token) = (scene.clone(), token.clone());
            tokio::spawn(async move { scene.refresh("refresh", &token).await.expect(200).text("refresh_token") })
        })
        .collect();
    let mut successors = BTreeSet::new();
    for task in tasks {
        successors.insert(task.await.unwrap());
    }
    assert_eq!(successors.len(), 1);
    assert!(!successors.contains(&token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_changed_again_and_again_is_refreshed_all_the_while() {
    let scene = Arc::new(Scene::new().await);
    let mut refreshing = Vec::new();
    for _ in 0..4 {
        let (scene, token) = (scene.clone(), scene.login("refresh").await.text("refresh_token"));
        refreshing.push(tokio::spawn(async move {
            for _ in 0..50 {
                scene.refresh("refresh", &token).await.expect(200);
            }
        }));
    }
    for n in 0..40 {
        let changed = json!({"mapping": {"name": if n % 2 == 0 { "nickname" } else { "role" }}});
        scene.admin(Method::PATCH, "/admin/api/clients/refresh", changed).await.expect(200);
    }
    for task in refreshing {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_answer_repeated_inside_the_window_is_the_same_and_after_it_a_new_branch() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    scene.advance(PAST_R);
    let lost = scene.refresh("refresh", &token).await.expect(200).text("refresh_token");
    scene.advance(Duration::from_secs(29));
    let repeated = scene.refresh("refresh", &token).await.expect(200).text("refresh_token");
    assert_eq!(lost, repeated);
    scene.advance(PAST_R);
    let branch = scene.refresh("refresh", &token).await.expect(200).text("refresh_token");
    assert_ne!(branch, lost);
    scene.refresh("refresh", &branch).await.expect(200);
}

#[tokio::test]
async fn a_chain_of_refreshes_goes_on_until_the_absolute_limit() {
    let scene = Scene::new().await;
    let mut token = scene.login("refresh").await.text("refresh_token");
    for _ in 0..8 {
        scene.advance(Duration::from_secs(11 * 24 * 3600));
        token = scene.refresh("refresh", &token).await.expect(200).text("refresh_token");
    }
    scene.advance(Duration::from_secs(2 * 24 * 3600));
    let over = scene.refresh("refresh", &token).await.expect(400);
    assert_eq!(
        (&over.body["error"], &over.body["error_description"]),
        (&json!("invalid_grant"), &json!("the session has expired"))
    );
}

#[tokio::test]
async fn a_renewal_by_timer_does_not_keep_a_session_alive() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    scene.advance(Duration::from_secs(13 * 24 * 3600));
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "refresh"),
        ("refresh_token", &token),
        ("interactive", "false"),
    ];
    let token = scene.form("/oauth2/token", &form).await.expect(200).text("refresh_token");
    scene.advance(Duration::from_secs(24 * 3600));
    scene.refresh("refresh", &token).await.expect(400);
}

#[tokio::test]
async fn a_forged_or_truncated_token_changes_nothing() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    scene.advance(PAST_R);
    let before = scene.held(&token).await.session;
    let mut flipped: Vec<String> = (0..token.len())
        .map(|at| {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    flipped.extend((0..token.len()).map(|end| token[..end].to_owned()));
    flipped.push(format!("{token}A"));
    for forged in flipped.iter().filter(|forged| !forged.is_empty()) {
        let refused = scene.refresh("refresh", forged).await.expect(400);
        assert_eq!(
            refused.body,
            json!({"error": "invalid_grant", "error_description": "the refresh token is not valid"})
        );
    }
    assert_eq!(scene.held(&token).await.session, before);
    scene.refresh("refresh", &token).await.expect(200);
}

#[tokio::test]
async fn a_token_of_another_client_is_refused_and_stays_good_for_its_own() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    scene.refresh("stranger", &token).await.expect(400);
    scene.refresh("refresh", &token).await.expect(200);
}

#[tokio::test]
async fn narrower_scope_is_granted_and_wider_refused() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    let form = |scope| {
        [("grant_type", "refresh_token"), ("client_id", "refresh"), ("refresh_token", token.as_str()), ("scope", scope)]
    };
    let narrow = scene.form("/oauth2/token", &form("read")).await.expect(200);
    assert_eq!((&narrow.body["scope"], &narrow.claims()["scope"]), (&json!("read"), &json!("read")));
    let wide = scene.form("/oauth2/token", &form("read admin")).await.expect(400);
    assert_eq!(wide.body["error"], "invalid_scope");
    let again = scene.refresh("refresh", &token).await.expect(200);
    assert_eq!(again.body["scope"], "read write", "what was granted stays");
}

#[tokio::test]
async fn a_resource_names_the_audience_and_the_issuer_gives_the_account_token() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    let form = |resource| {
        [
            ("grant_type", "refresh_token"),
            ("client_id", "refresh"),
            ("refresh_token", token.as_str()),
            ("resource", resource),
        ]
    };
    let other = scene.form("/oauth2/token", &form("other-api")).await.expect(200);
    assert_eq!(other.claims()["aud"], "other-api");
    let account = scene.form("/oauth2/token", &form("https://id.example.test")).await.expect(200);
    scene.bare(Method::GET, "/session", Some(&account.text("access_token"))).await.expect(200);
    let unknown = scene.form("/oauth2/token", &form("nobody")).await.expect(400);
    assert_eq!(unknown.body["error"], "invalid_target");
}

#[tokio::test]
async fn a_request_that_is_refused_for_what_it_wants_rotates_nothing() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    scene.advance(PAST_R);
    let before = scene.held(&token).await.session;
    for (name, value) in [("resource", "nobody"), ("scope", "read admin")] {
        let form =
            [("grant_type", "refresh_token"), ("client_id", "refresh"), ("refresh_token", &token), (name, value)];
        scene.form("/oauth2/token", &form).await.expect(400);
    }
    assert_eq!(scene.held(&token).await.session, before);
}

#[tokio::test]
async fn what_is_malformed_is_refused_in_the_form_of_rfc_6749() {
    let scene = Scene::new().await;
    let refused = |pairs: &'static [(&str, &str)]| scene.form("/oauth2/token", pairs);
    let code = |reply: &crate::scene::Reply| reply.text("error");
    assert_eq!(code(&refused(&[("client_id", "refresh")]).await.expect(400)), "invalid_request");
    assert_eq!(
        code(&refused(&[("grant_type", "password"), ("client_id", "refresh")]).await.expect(400)),
        "unsupported_grant_type"
    );
    let twice = refused(&[("grant_type", "refresh_token"), ("client_id", "refresh"), ("client_id", "refresh")])
        .await
        .expect(400);
    assert!(twice.text("error_description").contains("`client_id` is given more than once"));
    let odd = refused(&[("grant_type", "refresh_token"), ("a\"\\\u{e9}", "1"), ("a\"\\\u{e9}", "2")]).await.expect(400);
    let said = odd.text("error_description");
    let allowed = |b: u8| matches!(b, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'); // section 5.2
    assert!(said.contains("`a''?` is given more than once") && said.bytes().all(allowed), "{said}");
    let unknown =
        refused(&[("grant_type", "refresh_token"), ("client_id", "nobody"), ("refresh_token", "x")]).await.expect(401);
    assert_eq!(code(&unknown), "invalid_client");
    assert!(unknown.header("www-authenticate").starts_with("Basic"));
    let json =
        Request::post("/oauth2/token").header("content-type", "application/json").body(Body::from("{}")).unwrap();
    scene.send(json).await.expect(415);
    scene.bare(Method::GET, "/oauth2/token", None).await.expect(405);
    let huge = format!("grant_type={}", "x".repeat(70_000));
    let huge = Request::post("/oauth2/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(huge));
    assert_eq!(code(&scene.send(huge.unwrap()).await.expect(413)), "invalid_request");
}

#[tokio::test]
async fn a_foreign_page_cannot_refresh_and_a_cookie_is_ignored() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("client_id", "refresh"), ("refresh_token", token.as_str())];
    scene.send(header(form_request("/oauth2/token", &form), "origin", "https://evil.example")).await.expect(403);
    scene.send(header(form_request("/oauth2/token", &form), "origin", PAGE)).await.expect(200);
    let cookie = format!("__Host-remint-rt-refresh={token}");
    let without = form_request("/oauth2/token", &form[..2]);
    scene.send(header(without, "cookie", &cookie)).await.expect(400);
}

#[tokio::test]
async fn a_client_speaks_for_itself_with_its_secret_only() {
    let scene = Scene::new().await;
    let with = |secret: &str| {
        let form = [("grant_type", "client_credentials"), ("client_id", "service"), ("client_secret", secret)];
        form_request("/oauth2/token", &form)
    };
    let reply = scene.send(with(secret().reveal())).await.expect(200);
    assert!(reply.body.get("refresh_token").is_none(), "RFC 6749 section 4.4.3");
    let claims = reply.claims();
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("service"), &json!("service")));
    assert!(claims.get("sid").is_none() && claims.get("cv").is_none());
    scene.send(with("wrong")).await.expect(401);
    let bare = [("grant_type", "client_credentials"), ("client_id", "service")];
    scene.form("/oauth2/token", &bare).await.expect(401);
    let public = [("grant_type", "client_credentials"), ("client_id", "refresh")];
    assert_eq!(scene.form("/oauth2/token", &public).await.expect(400).body["error"], "unauthorized_client");
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("service:{}", secret().reveal()));
    let by_basic = header(
        form_request("/oauth2/token", &[("grant_type", "client_credentials")]),
        "authorization",
        &format!("Basic {basic}"),
    );
    scene.send(by_basic).await.expect(200);
    let both = header(with(secret().reveal()), "authorization", &format!("Basic {basic}"));
    assert_eq!(scene.send(both).await.expect(400).body["error"], "invalid_request");
}

#[tokio::test]
async fn what_was_revoked_stays_so_after_a_restart_with_the_clock_an_hour_back_or_forward() {
    for hour in [-3600_i64, 3600] {
        let scene = Scene::new().await;
        let (ended, live) = (scene.login("refresh").await, scene.login("refresh").await);
        scene.bare(Method::DELETE, "/session", Some(&ended.text("account_token"))).await.expect(204);
        let scene = scene.restarted().await;
        let now = scene.clock.now().micros() + hour * 1_000_000;
        scene.clock.set(remint_core::time::Timestamp::from_micros(now));
        let refused = scene.refresh("refresh", &ended.text("refresh_token")).await.expect(400);
        assert_eq!(refused.body["error_description"], "session ended: logout");
        scene.refresh("refresh", &live.text("refresh_token")).await.expect(200);
    }
}

#[tokio::test]
async fn in_doubt_after_a_restart_nobody_is_taken_for_a_thief() {
    let scene = Scene::new().await;
    let old = scene.login("refresh").await.text("refresh_token");
    scene.advance(PAST_R);
    let second = scene.refresh("refresh", &old).await.expect(200).text("refresh_token");
    scene.advance(PAST_R);
    let third = scene.refresh("refresh", &second).await.expect(200).text("refresh_token");
    let scene = scene.restarted().await;
    let in_doubt = scene.refresh("refresh", &old).await.expect(503);
    assert!(!in_doubt.header("retry-after").is_empty());
    let head = scene.refresh("refresh", &third).await.expect(200);
    assert!(head.body.get("refresh_token").is_none(), "in doubt: an access token, no refresh token");
    scene.advance(PAST_R);
    scene.refresh("refresh", &old).await.expect(400);
    assert!(matches!(scene.held(&old).await.session.state, State::Ended { .. }));
}

#[tokio::test]
async fn a_token_newer_than_its_row_is_believed_and_catches_the_row_up() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    let before = scene.held(&token).await.session;
    scene.advance(PAST_R);
    let newer = scene.refresh("refresh", &token).await.expect(200).text("refresh_token");
    let lost = scene.held(&token).await.session;
    let rolled_back = remint_core::session::Session { rev: lost.rev, ..before };
    scene.commit(Changes::none().write(Row::Session(rolled_back))).await;
    let reply = scene.refresh("refresh", &newer).await.expect(200);
    assert!(reply.body.get("refresh_token").is_none());
    scene.advance(PAST_R);
    scene.refresh("refresh", &newer).await.expect(200).text("refresh_token");
}
