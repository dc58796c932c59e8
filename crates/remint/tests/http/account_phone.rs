//! `/account/phone`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use remint::settings::Carrier;
use remint_core::change::{Changes, Row};
use remint_core::session::EndReason;
use serde_json::{Value, json};

use crate::scene::{IDENTIFIER, NUMBER, PASSWORD, Reply, Scene, claims};

const OTHER_NUMBER: &str = "+12025550188";

async fn ask(scene: &Scene, account: &str, number: &str) -> Reply {
    scene.json(Method::POST, "/account/phone", Some(account), json!({ "phone_number": number })).await
}

async fn verify(scene: &Scene, account: &str, code: &str) -> Reply {
    scene.json(Method::POST, "/account/phone/verify", Some(account), json!({ "code": code })).await
}

async fn number(scene: &Scene) -> Option<String> {
    scene.user().await.phone_number.map(|number| number.as_str().to_owned())
}

/// Another code than this.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn a_verified_number_is_in_the_answer_and_in_the_next_token_of_every_session() {
    let scene = Scene::new().await;
    let (rolling, refresh) = (scene.login("rolling").await, scene.login("refresh").await);
    let account = rolling.text("account_token");
    let asked = ask(&scene, &account, "+1 (202) 555-0123").await.expect(202);
    assert_eq!(asked.body, json!({"sent_to": "***23", "expires_in": 600}));
    assert_eq!(scene.letters()[0].message.to.as_str(), NUMBER);
    assert_eq!(number(&scene).await, None, "not before it is proved");
    let verified = verify(&scene, &account, &scene.code()).await.expect(200);
    assert_eq!((&verified.claims()["phone_number"], &verified.claims()["cv"]), (&json!(NUMBER), &json!(2)));
    assert_eq!(claims(&verified.text("account_token"))["cv"], 2);
    assert!(verified.body.get("refresh_token").is_none(), "as PATCH /account");
    let refreshed = scene.refresh("refresh", &refresh.text("refresh_token")).await.expect(200);
    assert_eq!(refreshed.claims()["phone_number"], NUMBER);
    let shown = scene.bare(Method::GET, "/session", Some(&verified.text("account_token"))).await.expect(200);
    let user = &shown.body["user"];
    assert_eq!((&user["phone_number"], &user["phone_number_verified"]), (&json!(NUMBER), &json!(true)));
    verify(&scene, &account, &scene.code()).await.expect(400);
}

#[tokio::test]
async fn no_way_writes_a_number_but_its_proof() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    let ada = format!("/admin/api/users/{}", scene.ada);
    for name in ["phone_number", "phone_number_verified"] {
        let patch = json!({ name: NUMBER });
        let refused = scene.json(Method::PATCH, "/account", Some(&account), patch.clone()).await.expect(400);
        assert!(refused.text("error_description").contains(&format!("`{name}`")), "{refused:?}");
        scene.admin(Method::PATCH, &ada, patch.clone()).await.expect(400);
        let new = json!({"identifiers": ["eve@example.test"], "attributes": patch});
        scene.admin(Method::POST, "/admin/api/users", new).await.expect(400);
        let declaration = json!({"name": name, "type": "string", "writable_by": "user"});
        let refused = scene.admin(Method::POST, "/admin/api/attributes", declaration).await.expect(400);
        assert_eq!(refused.body["field"], "name");
    }
    assert_eq!((number(&scene).await, scene.user().await.cv), (None, 1));
}

#[tokio::test]
async fn a_text_that_is_no_number_is_refused_by_name_and_nothing_is_sent() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    for bad in [json!("12025550123"), json!("+1"), json!("+1 900 555 0123"), json!(12), json!(null)] {
        let body = json!({ "phone_number": bad });
        let refused = scene.json(Method::POST, "/account/phone", Some(&account), body).await.expect(400);
        assert!(refused.text("error_description").contains("`phone_number`"), "{refused:?}");
    }
    let body = json!({"phone_number": NUMBER, "phone_number_verified": true});
    let refused = scene.json(Method::POST, "/account/phone", Some(&account), body).await.expect(400);
    assert!(refused.text("error_description").contains("`phone_number_verified`"), "{refused:?}");
    scene.json(Method::POST, "/account/phone/verify", Some(&account), json!({"code": 123_456})).await.expect(400);
    assert!(scene.letters().is_empty());
}

#[tokio::test]
async fn a_code_is_good_for_five_tries_and_ten_minutes_and_a_new_one_takes_its_place() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    assert_eq!(verify(&scene, &account, "123456").await.expect(400).text("error"), "invalid_challenge");
    ask(&scene, &account, NUMBER).await.expect(202);
    let first = scene.code();
    for guess in [wrong(&first).as_str(), "", "12345", "abcdef", "1234567"] {
        assert_eq!(verify(&scene, &account, guess).await.expect(400).text("error"), "invalid_code", "{guess}");
    }
    assert_eq!(verify(&scene, &account, &first).await.expect(400).text("error"), "invalid_challenge", "the sixth try");
    scene.advance(Duration::from_secs(1));
    ask(&scene, &account, NUMBER).await.expect(202);
    let second = scene.code();
    scene.advance(Duration::from_secs(1));
    ask(&scene, &account, OTHER_NUMBER).await.expect(202);
    let third = scene.code();
    if second != third {
        assert_eq!(verify(&scene, &account, &second).await.expect(400).text("error"), "invalid_code");
    }
    scene.advance(Duration::from_secs(600));
    assert_eq!(verify(&scene, &account, &third).await.expect(400).text("error"), "invalid_challenge", "too late");
    assert_eq!(number(&scene).await, None);
}

#[tokio::test]
async fn a_code_is_of_one_session_and_dies_with_it() {
    let scene = Scene::new().await;
    let (asker, other) = (scene.login("rolling").await, scene.login("rolling").await);
    ask(&scene, &asker.text("account_token"), NUMBER).await.expect(202);
    let stolen = verify(&scene, &other.text("account_token"), &scene.code()).await.expect(400);
    assert_eq!(stolen.text("error"), "invalid_challenge");
    let api_token = verify(&scene, &asker.text("access_token"), &scene.code()).await;
    assert_eq!(api_token.status, 401, "a token of an API changes no number");
    let ended = scene.user().await.with_new_epoch(EndReason::PasswordChanged);
    scene.commit(Changes::none().write(Row::User(ended))).await;
    verify(&scene, &asker.text("account_token"), &scene.code()).await.expect(401);
    assert_eq!(number(&scene).await, None);
}

#[tokio::test]
async fn the_right_code_sent_many_times_at_once_counts_once() {
    let scene = Arc::new(Scene::new().await);
    let account = scene.login("rolling").await.text("account_token");
    ask(&scene, &account, NUMBER).await.expect(202);
    let replies = at_once(&scene, &account, vec![scene.code(); 30]).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert_eq!(scene.user().await.cv, 2);
}

#[tokio::test]
async fn two_hundred_guesses_at_once_with_the_right_one_among_them_are_five() {
    let scene = Arc::new(Scene::new().await);
    let account = scene.login("rolling").await.text("account_token");
    ask(&scene, &account, NUMBER).await.expect(202);
    let right: u32 = scene.code().parse().unwrap();
    let guesses = (0..200).map(|n| format!("{:06}", (right + 1_000_000 - 150 + n) % 1_000_000)).collect();
    let replies = at_once(&scene, &account, guesses).await;
    let compared = replies.iter().filter(|reply| reply.status == 200 || reply.body["error"] == "invalid_code");
    assert!(compared.count() <= 5);
}

async fn at_once(scene: &Arc<Scene>, account: &str, codes: Vec<String>) -> Vec<Reply> {
    let tasks = codes.into_iter().map(|code| {
        let (scene, account) = (scene.clone(), account.to_owned());
        tokio::spawn(async move { verify(&scene, &account, &code).await })
    });
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_number_is_added_after_a_recent_log_in_only() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    scene.advance(Duration::from_secs(301));
    let refused = ask(&scene, &account, NUMBER).await.expect(401);
    let challenge = refused.header("www-authenticate");
    assert!(
        challenge.contains("insufficient_user_authentication") && challenge.ends_with("max_age=300"),
        "{challenge}"
    );
    assert!(scene.letters().is_empty());
    let login = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": PASSWORD});
    let again = scene.json(Method::POST, "/session", Some(&account), login).await.expect(200);
    ask(&scene, &again.text("account_token"), NUMBER).await.expect(202);
}

#[tokio::test]
async fn replacing_and_removing_need_the_factor_and_the_old_number_is_told() {
    let scene = Scene::new().await;
    let before = scene.login("rolling").await.text("account_token");
    ask(&scene, &before, NUMBER).await.expect(202);
    let verified = verify(&scene, &before, &scene.code()).await.expect(200).text("account_token");
    for account in [&before, &verified] {
        let refused = ask(&scene, account, OTHER_NUMBER).await.expect(401);
        assert_eq!(refused.text("error"), "insufficient_user_authentication", "the password alone is not enough");
        scene.bare(Method::DELETE, "/account/phone", Some(account)).await.expect(401);
    }
    let account = scene.login_with_factor("rolling").await.expect(200).text("account_token");
    ask(&scene, &account, OTHER_NUMBER).await.expect(202);
    let replaced = verify(&scene, &account, &scene.code()).await.expect(200);
    assert_eq!(replaced.claims()["phone_number"], OTHER_NUMBER);
    told(&scene, "number_replaced", NUMBER).await;
    let removed = scene.bare(Method::DELETE, "/account/phone", Some(&account)).await.expect(200);
    assert!(removed.claims().get("phone_number").is_none());
    told(&scene, "number_removed", OTHER_NUMBER).await;
    scene.bare(Method::DELETE, "/account/phone", Some(&account)).await.expect(200);
    assert_eq!(scene.user().await.cv, 4, "asked again, nothing changes");
    scene.login("rolling").await.expect(200);
}

/// Whoever is told is told beside the answer.
async fn told(scene: &Scene, kind: &str, to: &str) {
    let is_it =
        |letter: &remint::message::Letter| letter.message.content.kind() == kind && letter.message.to.as_str() == to;
    while !scene.letters().iter().any(is_it) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_number_that_came_in_between_ends_what_was_asked_before_it() {
    let scene = Scene::new().await;
    let (first, second) = (scene.login("rolling").await, scene.login("rolling").await);
    ask(&scene, &first.text("account_token"), NUMBER).await.expect(202);
    let code = scene.code();
    ask(&scene, &second.text("account_token"), OTHER_NUMBER).await.expect(202);
    verify(&scene, &second.text("account_token"), &scene.code()).await.expect(200);
    let late = verify(&scene, &first.text("account_token"), &code).await.expect(400);
    assert_eq!(late.text("error"), "invalid_challenge", "it would replace a number without showing it");
    assert_eq!(number(&scene).await.as_deref(), Some(OTHER_NUMBER));
}

#[tokio::test]
async fn without_a_sender_the_answer_says_so_and_nothing_is_counted() {
    let scene = Scene::with(|settings| settings.sms.carrier = Carrier::Nobody).await;
    let account = scene.login("rolling").await.text("account_token");
    let refused = ask(&scene, &account, NUMBER).await.expect(501);
    assert!(refused.text("error_description").contains("declared no sender"), "{refused:?}");
    scene.with_factor().await;
    scene.login("rolling").await.expect(501);
}

#[tokio::test]
async fn codes_are_limited_by_number_by_block_by_address_and_by_day() {
    let limited = async |change: fn(&mut remint::settings::Sms), numbers: [&str; 3]| -> Vec<u16> {
        let scene = Scene::with(|settings| change(&mut settings.sms)).await;
        let account = scene.login("rolling").await.text("account_token");
        let mut statuses = Vec::new();
        for number in numbers {
            let reply = ask(&scene, &account, number).await;
            if reply.status == 429 {
                assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 3600, "{reply:?}");
            }
            statuses.push(reply.status.as_u16());
        }
        statuses
    };
    let (one, same_block, elsewhere) = (NUMBER, OTHER_NUMBER, "+493023125000");
    assert_eq!(
        limited(|sms| sms.limits.per_number = NonZeroU32::new(1), [one, one, same_block]).await,
        [202, 429, 202]
    );
    assert_eq!(
        limited(|sms| sms.limits.per_block = NonZeroU32::new(1), [one, same_block, elsewhere]).await,
        [202, 429, 202]
    );
    assert_eq!(
        limited(|sms| sms.limits.per_address = NonZeroU32::new(2), [one, elsewhere, one]).await,
        [202, 202, 429]
    );
    assert_eq!(limited(|sms| sms.limits.per_day = NonZeroU32::new(2), [one, elsewhere, one]).await, [202, 202, 429]);
    assert_eq!(
        limited(|sms| sms.limits.countries = Some(vec!["49".parse().unwrap()]), [one, elsewhere, one]).await,
        [400, 202, 400]
    );
}

#[tokio::test]
async fn whoever_is_refused_by_a_narrow_limit_uses_up_nothing_of_a_wider_one() {
    let scene = Scene::with(|settings| {
        settings.sms.limits.per_number = NonZeroU32::new(1);
        settings.sms.limits.per_day = NonZeroU32::new(2);
        settings.sms.limits.per_address = NonZeroU32::new(100);
    });
    let scene = scene.await;
    let account = scene.login("rolling").await.text("account_token");
    ask(&scene, &account, NUMBER).await.expect(202);
    for _ in 0..10 {
        ask(&scene, &account, NUMBER).await.expect(429);
    }
    ask(&scene, &account, OTHER_NUMBER).await.expect(202);
}

#[tokio::test]
async fn whoever_asks_for_codes_to_somebody_elses_number_keeps_nobody_from_logging_in() {
    let scene = Scene::with(|settings| {
        settings.sms.limits.per_number = NonZeroU32::new(1);
        settings.sms.limits.per_block = NonZeroU32::new(1);
        settings.sms.limits.per_day = NonZeroU32::new(1);
    });
    let scene = scene.await;
    let account = scene.login("rolling").await.text("account_token");
    ask(&scene, &account, NUMBER).await.expect(202);
    ask(&scene, &account, NUMBER).await.expect(429);
    scene.with_factor().await;
    scene.login_with_factor("rolling").await.expect(200);
}

#[tokio::test]
async fn guards_hear_that_the_record_changed_and_never_the_number() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    ask(&scene, &account, NUMBER).await.expect(202);
    verify(&scene, &account, &scene.code()).await.expect(200);
    let entries = scene.app.store.read(remint::store::FeedAfter { seq: 0, limit: 10 }).await.unwrap();
    let event: Value = serde_json::from_str(&entries.last().unwrap().text).unwrap();
    assert_eq!((&event["type"], &event["cv"]), (&json!("claims-changed"), &json!(2)));
    assert_eq!(event["names"], json!(["phone_number", "phone_number_verified"]));
    assert!(!entries.iter().any(|entry| entry.text.contains("2025550123")));
}

#[tokio::test]
async fn an_operator_can_remove_a_number_and_the_person_is_told() {
    let scene = Scene::new().await;
    scene.with_factor().await;
    let path = format!("/admin/api/users/{IDENTIFIER}/phone");
    let shown = scene.admin(Method::GET, &format!("/admin/api/users/{IDENTIFIER}"), json!({})).await.expect(200);
    assert_eq!(shown.body["phone_number"], NUMBER);
    let removed = scene.admin(Method::DELETE, &path, json!({})).await.expect(200);
    assert_eq!(removed.body["cv"], 3);
    told(&scene, "number_removed", NUMBER).await;
    assert_eq!(scene.admin(Method::DELETE, &path, json!({})).await.expect(200).body["cv"], 3);
    scene.login("rolling").await.expect(200);
}

#[tokio::test]
async fn a_client_can_be_told_to_show_the_number_which_nobody_declares() {
    let scene = Scene::new().await;
    let patch = |name: &str| json!({"mapping": {"number": name, "proved": "phone_number_verified"}});
    scene.admin(Method::PATCH, "/admin/api/clients/fixed", patch("phone_number")).await.expect(200);
    scene.admin(Method::PATCH, "/admin/api/clients/fixed", patch("Phone_Number")).await.expect(400);
    scene.with_factor().await;
    let claims = scene.login_with_factor("fixed").await.expect(200).claims();
    assert_eq!((&claims["number"], &claims["proved"]), (&json!(NUMBER), &json!(true)));
}

#[tokio::test]
async fn a_page_verifies_and_removes_a_number_by_its_cookie_and_gets_no_token() {
    let scene = Scene::new().await;
    let cookie = scene.login("web").await.expect(200).cookie();
    scene.page(Method::POST, "/account/phone", &cookie, Some(json!({ "phone_number": NUMBER }))).await.expect(202);
    let body = json!({ "code": scene.code() });
    let verified = scene.page(Method::POST, "/account/phone/verify", &cookie, Some(body)).await.expect(200);
    assert_eq!(verified.body["claims"]["phone_number"], NUMBER);
    assert!(!verified.body.to_string().contains("eyJ"), "{verified:?}");
    let refused = scene.page(Method::DELETE, "/account/phone", &cookie, None).await.expect(401);
    assert_eq!(refused.body["error"], "insufficient_user_authentication", "now it takes both factors");
    let cookie = scene.login_with_factor("web").await.expect(200).cookie();
    let removed = scene.page(Method::DELETE, "/account/phone", &cookie, None).await.expect(200);
    assert!(removed.body["claims"].get("phone_number").is_none() && !removed.body.to_string().contains("eyJ"));
    assert_eq!(number(&scene).await, None);
}
