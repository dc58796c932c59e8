//! `/session` and `/session/factor` of an account with a second factor.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use remint::store::{AccountById, SessionsOf};
use remint_core::change::{Changes, PasswordRow, Row};
use remint_core::session::EndReason;
use serde_json::{Value, json};

use crate::scene::{IDENTIFIER, NUMBER, PASSWORD, Reply, Scene, claims};

const BOTH: [&str; 3] = ["pwd", "sms", "mfa"];

async fn scene() -> Scene {
    let scene = Scene::new().await;
    scene.with_factor().await;
    scene
}

fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

async fn sessions(scene: &Scene) -> usize {
    scene.app.store.read(SessionsOf { user: scene.ada, limit: 1000 }).await.unwrap().len()
}

#[track_caller]
fn is_over(reply: Reply) {
    assert_eq!(reply.expect(400).text("error"), "invalid_challenge");
}

#[tokio::test]
async fn the_password_is_answered_with_a_challenge_and_the_code_with_tokens_that_say_both() {
    let scene = scene().await;
    let asked = scene.login("refresh").await.expect(403);
    assert_eq!(asked.text("error"), "second_factor_required");
    assert_eq!((&asked.body["sent_to"], &asked.body["expires_in"]), (&json!("***23"), &json!(600)));
    assert_eq!(asked.header("cache-control"), "no-store");
    assert!(asked.body.get("access_token").is_none() && asked.body.get("account_token").is_none());
    assert_eq!(scene.letters()[0].message.to.as_str(), NUMBER);
    assert_eq!(sessions(&scene).await, 0, "nothing is opened before the code");
    let tokens = scene.factor("refresh", &asked.text("challenge"), &scene.code()).await.expect(200);
    assert_eq!(tokens.claims()["amr"], json!(BOTH));
    assert_eq!(claims(&tokens.text("account_token"))["amr"], json!(BOTH));
    assert_eq!(tokens.claims()["phone_number"], NUMBER);
    scene.refresh("refresh", &tokens.text("refresh_token")).await.expect(200);
    assert_eq!(sessions(&scene).await, 1);
    is_over(scene.factor("refresh", &asked.text("challenge"), &scene.code()).await);
}

#[tokio::test]
async fn a_challenge_is_never_a_session_nor_any_token() {
    let scene = scene().await;
    let challenge = scene.login("refresh").await.expect(403).text("challenge");
    for (method, path) in [
        (Method::GET, "/session"),
        (Method::GET, "/sessions"),
        (Method::DELETE, "/session"),
        (Method::POST, "/session/renew"),
        (Method::DELETE, "/account/phone"),
    ] {
        let reply = scene.bare(method.clone(), path, Some(&challenge)).await;
        assert_eq!(reply.status, 401, "{method} {path}: {reply:?}");
    }
    scene.json(Method::PATCH, "/account", Some(&challenge), json!({"nickname": "x"})).await.expect(401);
    scene.refresh("refresh", &challenge).await.expect(400);
    let tokens = scene.login_with_factor("refresh").await.expect(200);
    for other in ["refresh_token", "access_token", "account_token"] {
        is_over(scene.factor("refresh", &tokens.text(other), &scene.code()).await);
    }
    for other in ["", "sf1.", "x"] {
        is_over(scene.factor("refresh", other, &scene.code()).await);
    }
}

#[tokio::test]
async fn a_wrong_password_is_answered_alike_with_a_factor_without_one_and_without_an_account() {
    let (with, without) = (scene().await, Scene::new().await);
    let mut replies = Vec::new();
    for (scene, identifier) in [(&with, IDENTIFIER), (&without, IDENTIFIER), (&with, "nobody@example.test")] {
        let before = scene.app.passwords.computed();
        let body = json!({"client_id": "rolling", "identifier": identifier, "password": "wrong"});
        let reply = scene.json(Method::POST, "/session", None, body).await;
        assert_eq!(scene.app.passwords.computed() - before, 1, "the same work for each");
        replies.push((reply.status, reply.headers, reply.body));
    }
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert_eq!(replies[0].0, 400);
    assert!(with.letters().is_empty(), "no code before the password");
}

#[tokio::test]
async fn two_hundred_guesses_at_once_with_the_right_one_among_them_are_five() {
    let scene = Arc::new(scene().await);
    let challenge = scene.login("rolling").await.expect(403).text("challenge");
    let right: u32 = scene.code().parse().unwrap();
    let guesses = (0..200).map(|n| {
        let (scene, challenge) = (scene.clone(), challenge.clone());
        let code = format!("{:06}", (right + 1_000_000 - 150 + n) % 1_000_000);
        tokio::spawn(async move { scene.factor("rolling", &challenge, &code).await })
    });
    let replies: Vec<Reply> = join_all(guesses).await.into_iter().map(Result::unwrap).collect();
    let compared = replies.iter().filter(|reply| reply.status == 200 || reply.body["error"] == "invalid_code");
    assert!(compared.count() <= 5);
    assert!(replies.iter().all(|reply| !reply.status.is_server_error()), "{replies:?}");
    assert!(sessions(&scene).await <= 1);
}

#[tokio::test]
async fn the_right_code_sent_many_times_at_once_opens_one_session() {
    let scene = Arc::new(scene().await);
    let challenge = scene.login("rolling").await.expect(403).text("challenge");
    let tries = (0..5).map(|_| {
        let (scene, challenge) = (scene.clone(), challenge.clone());
        tokio::spawn(async move { scene.factor("rolling", &challenge, &scene.code()).await.status })
    });
    let statuses = join_all(tries).await.into_iter().map(Result::unwrap);
    assert_eq!(statuses.filter(|status| *status == 200).count(), 1);
    assert_eq!(sessions(&scene).await, 1);
}

#[tokio::test]
async fn all_factors_count_on_one_account_and_a_lock_out_destroys_what_was_half_made() {
    let scene = Scene::with(|settings| settings.sms.limits.per_number = NonZeroU32::new(100)).await;
    scene.with_factor().await;
    let mut kept = Vec::new();
    let mut guesses = 0;
    let locked = loop {
        let asked = scene.login("rolling").await; // the right password gives no guess back
        if asked.status == 429 {
            break asked;
        }
        let challenge = asked.expect(403).text("challenge");
        kept.push((challenge.clone(), scene.code()));
        guesses += 1;
        scene.factor("rolling", &challenge, &wrong(&scene.code())).await;
    };
    assert!(guesses <= 5, "ten attempts, of passwords and codes together");
    assert!(locked.header("retry-after").parse::<u32>().is_ok());
    let (challenge, code) = kept.pop().unwrap();
    scene.factor("rolling", &challenge, &code).await.expect(429);
    is_over(scene.factor("rolling", &challenge, &code).await);
    scene.advance(Duration::from_secs(15 * 60));
    is_over(scene.factor("rolling", &challenge, &code).await);
    scene.login_with_factor("rolling").await.expect(200);
}

#[tokio::test]
async fn wrong_passwords_and_wrong_codes_by_whatever_identifier_are_counted_together() {
    let scene = scene().await;
    let challenge = scene.login("rolling").await.expect(403).text("challenge");
    let code = scene.code();
    for n in 0..9 {
        let identifier = if n % 2 == 0 { IDENTIFIER.to_uppercase() } else { format!(" {IDENTIFIER}") };
        let body = json!({"client_id": "rolling", "identifier": identifier, "password": "wrong"});
        scene.json(Method::POST, "/session", None, body).await.expect(400);
    }
    scene.factor("rolling", &challenge, &code).await.expect(429);
    is_over(scene.factor("rolling", &challenge, &code).await);
}

#[tokio::test]
async fn who_shows_both_factors_is_never_locked_out() {
    let scene = Scene::with(|settings| {
        settings.sms.limits.per_number = NonZeroU32::new(100);
        settings.sms.limits.per_address = NonZeroU32::new(100);
        settings.sms.limits.per_block = NonZeroU32::new(100);
    });
    let scene = scene.await;
    scene.with_factor().await;
    for _ in 0..12 {
        scene.login_with_factor("rolling").await.expect(200);
    }
}

#[tokio::test]
async fn a_challenge_is_of_one_client_and_another_uses_up_no_try() {
    let scene = scene().await;
    let challenge = scene.login("rolling").await.expect(403).text("challenge");
    for _ in 0..20 {
        is_over(scene.factor("refresh", &challenge, &scene.code()).await);
    }
    scene.factor("rolling", &challenge, &scene.code()).await.expect(200);
}

#[tokio::test]
async fn a_challenge_is_good_for_five_tries_and_ten_minutes() {
    let scene = scene().await;
    let challenge = scene.login("rolling").await.expect(403).text("challenge");
    for _ in 0..5 {
        let reply = scene.factor("rolling", &challenge, &wrong(&scene.code())).await.expect(400);
        assert_eq!(reply.text("error"), "invalid_code");
    }
    is_over(scene.factor("rolling", &challenge, &scene.code()).await);
    let late = scene.login("rolling").await.expect(403).text("challenge");
    scene.advance(Duration::from_secs(600));
    is_over(scene.factor("rolling", &late, &scene.code()).await);
}

#[tokio::test]
async fn what_was_begun_dies_with_the_credentials_that_it_was_begun_with() {
    for change in ["password", "everywhere", "disabled", "disabled and enabled", "number", "no number"] {
        let scene = scene().await;
        let challenge = scene.login("rolling").await.expect(403).text("challenge");
        let user = scene.user().await;
        let after = match change {
            "password" => {
                let row = scene.app.store.read(AccountById(scene.ada)).await.unwrap().unwrap().password.unwrap();
                let row = PasswordRow { changed_at: scene.clock.now(), ..row };
                scene.commit(Changes::none().write(Row::Password(row))).await;
                user
            }
            "everywhere" => user.with_new_epoch(EndReason::Everywhere),
            "disabled" => user.disabled(),
            "disabled and enabled" => user.disabled().enabled(),
            "number" => user.with_phone_number(Some("+12025550188".parse().unwrap())).unwrap().user,
            _ => user.with_phone_number(None).unwrap().user,
        };
        scene.commit(Changes::none().write(Row::User(after))).await;
        let reply = scene.factor("rolling", &challenge, &scene.code()).await;
        assert_eq!((reply.status.as_u16(), &reply.body["error"]), (400, &json!("invalid_challenge")), "{change}");
        assert_eq!(sessions(&scene).await, 0, "{change}");
    }
}

#[tokio::test]
async fn a_second_factor_in_flight_does_not_outlive_a_disable() {
    let scene = Arc::new(scene().await);
    let challenge = scene.login("refresh").await.expect(403).text("challenge");
    let finishing = tokio::spawn({
        let (scene, code) = (scene.clone(), scene.code());
        async move { scene.factor("refresh", &challenge, &code).await }
    });
    tokio::task::yield_now().await;
    let disabled = scene.user().await.disabled();
    scene.commit(Changes::none().write(Row::User(disabled))).await;
    let reply = finishing.await.unwrap();
    if reply.status == 200 {
        scene.refresh("refresh", &reply.text("refresh_token")).await.expect(400);
    }
}

#[tokio::test]
async fn a_new_proof_of_who_one_is_demands_the_factor_too() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await.text("account_token");
    scene.with_factor().await;
    let login = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": PASSWORD});
    let asked = scene.json(Method::POST, "/session", Some(&first), login).await.expect(403);
    assert_eq!(asked.text("error"), "second_factor_required");
    scene.bare(Method::DELETE, "/account/phone", Some(&first)).await.expect(401);
    let again = scene.factor("rolling", &asked.text("challenge"), &scene.code()).await.expect(200);
    assert_eq!(again.claims()["sid"], claims(&first)["sid"], "the same session");
    assert_eq!((&again.claims()["amr"], &again.claims()["cv"]), (&json!(BOTH), &json!(3)));
    scene.bare(Method::DELETE, "/account/phone", Some(&first)).await.expect(401);
    scene.bare(Method::DELETE, "/account/phone", Some(&again.text("account_token"))).await.expect(200);
    assert_eq!(scene.login("rolling").await.expect(200).claims()["amr"], json!(["pwd"]));
}

#[tokio::test]
async fn what_was_asked_for_with_the_password_is_what_the_code_gives() {
    let scene = scene().await;
    let body = |scope: &str, resource: &str| {
        json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": PASSWORD, "scope": scope,
            "resource": resource})
    };
    let asked = scene.json(Method::POST, "/session", None, body("read", "other-api")).await.expect(403);
    let tokens = scene.factor("rolling", &asked.text("challenge"), &scene.code()).await.expect(200);
    assert_eq!((&tokens.claims()["scope"], &tokens.claims()["aud"]), (&json!("read"), &json!("other-api")));
    let sent = scene.letters().len();
    for beyond in [body("admin", "other-api"), body("read", "third-api")] {
        scene.json(Method::POST, "/session", None, beyond).await.expect(400);
    }
    assert_eq!(scene.letters().len(), sent, "what cannot be granted sends no code");
}

#[tokio::test]
async fn what_is_missing_or_unknown_is_refused_by_name() {
    let scene = scene().await;
    let challenge = scene.login("rolling").await.expect(403).text("challenge");
    let good = json!({"client_id": "rolling", "challenge": challenge, "code": "000000"});
    for (name, value) in
        [("code", Value::Null), ("code", json!(5)), ("challenge", Value::Null), ("password", json!("x"))]
    {
        let mut body = good.clone();
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value,
        }
        let refused = scene.json(Method::POST, "/session/factor", None, body).await.expect(400);
        assert!(refused.text("error_description").contains(&format!("`{name}`")), "{refused:?}");
    }
    scene.factor("service", &challenge, "000000").await.expect(401);
}

/// A page of `web` proves its session anew: the password with this cookie, then the code with that one.
async fn page_again(scene: &Scene, with_password: &str, with_code: &str) -> Reply {
    let login = json!({"client_id": "web", "identifier": IDENTIFIER, "password": PASSWORD});
    let asked = scene.page(Method::POST, "/session", with_password, Some(login)).await.expect(403);
    assert!(asked.headers.get("set-cookie").is_none(), "nothing is handed out before the code");
    let body = json!({"client_id": "web", "challenge": asked.text("challenge"), "code": scene.code()});
    scene.page(Method::POST, "/session/factor", with_code, Some(body)).await
}

fn sid_of_page(reply: &Reply) -> String {
    assert!(!reply.body.to_string().contains("eyJ") && reply.body.get("account_token").is_none(), "{reply:?}");
    reply.body["claims"]["sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_of_the_cookie_policy_gets_its_cookie_with_the_code_and_no_token() {
    let scene = scene().await;
    let asked = scene.login("web").await.expect(403);
    assert!(asked.headers.get("set-cookie").is_none());
    let reply = scene.factor("web", &asked.text("challenge"), &scene.code()).await.expect(200);
    assert!(reply.header("set-cookie").starts_with("__Host-remint-session-web=rc1."), "{reply:?}");
    assert_eq!(reply.body["claims"]["amr"], json!(BOTH));
    let shown = scene.page(Method::GET, "/session", &reply.cookie(), None).await.expect(200);
    assert_eq!(shown.body["sid"], json!(sid_of_page(&reply)));
}

#[tokio::test]
async fn a_refresh_token_that_belongs_into_a_cookie_comes_in_a_cookie_after_the_code_too() {
    let scene = scene().await;
    let reply = scene.login_with_factor("spa").await.expect(200);
    assert!(reply.header("set-cookie").starts_with("__Host-remint-rt-spa="), "{reply:?}");
    assert!(reply.body.get("refresh_token").is_none());
    scene.page(Method::POST, "/session/renew", &reply.cookie(), None).await.expect(200);
}

#[tokio::test]
async fn a_page_that_proves_itself_anew_with_both_factors_keeps_its_session_and_gets_a_new_secret() {
    let scene = scene().await;
    let first = scene.login_with_factor("web").await.expect(200);
    let again = page_again(&scene, &first.cookie(), &first.cookie()).await.expect(200);
    assert_eq!(sid_of_page(&again), sid_of_page(&first));
    assert_ne!(again.cookie(), first.cookie());
    scene.page(Method::GET, "/session", &again.cookie(), None).await.expect(200);
    scene.page(Method::GET, "/session", &first.cookie(), None).await.expect(401);
}

#[tokio::test]
async fn a_cookie_that_does_not_come_with_the_code_as_well_leaves_its_session_alone() {
    let scene = scene().await;
    let first = scene.login_with_factor("web").await.expect(200);
    let other = scene.login_with_factor("web").await.expect(200);
    let opened = page_again(&scene, &first.cookie(), &other.cookie()).await.expect(200);
    let sids = [&first, &other, &opened].map(sid_of_page);
    assert!(sids[2] != sids[0] && sids[2] != sids[1], "{sids:?}");
    for cookie in [first.cookie(), other.cookie(), opened.cookie()] {
        scene.page(Method::GET, "/session", &cookie, None).await.expect(200);
    }
}

#[tokio::test]
async fn a_secret_that_was_replaced_between_password_and_code_proves_nothing() {
    let scene = scene().await;
    let first = scene.login_with_factor("web").await.expect(200);
    let login = json!({"client_id": "web", "identifier": IDENTIFIER, "password": PASSWORD});
    let asked = scene.page(Method::POST, "/session", &first.cookie(), Some(login)).await.expect(403);
    let code = scene.code();
    let newer = page_again(&scene, &first.cookie(), &first.cookie()).await.expect(200);
    let body = json!({"client_id": "web", "challenge": asked.text("challenge"), "code": code});
    let late = scene.page(Method::POST, "/session/factor", &first.cookie(), Some(body)).await.expect(200);
    assert_ne!(sid_of_page(&late), sid_of_page(&first));
    scene.page(Method::GET, "/session", &newer.cookie(), None).await.expect(200);
}
