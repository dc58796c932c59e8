//! `/account`.

use std::time::Duration;

use http::Method;
use remint_core::change::{Changes, Row};
use serde_json::json;

use crate::scene::{IDENTIFIER, PASSWORD, Scene, claims};

#[tokio::test]
async fn a_changed_record_is_in_the_answer_and_in_the_next_token_of_every_session() {
    let scene = Scene::new().await;
    let (rolling, refresh, fixed) =
        (scene.login("rolling").await, scene.login("refresh").await, scene.login("fixed").await);
    let changed = scene
        .json(Method::PATCH, "/account", Some(&rolling.text("account_token")), json!({"nickname": "lovelace"}))
        .await
        .expect(200);
    assert_eq!(changed.claims()["nickname"], "lovelace");
    assert_eq!(changed.claims()["cv"], 2);
    assert_eq!(claims(&changed.text("account_token"))["cv"], 2);
    assert!(changed.body.get("refresh_token").is_none(), "PATCH /account never carries one");
    let refreshed = scene.refresh("refresh", &refresh.text("refresh_token")).await.expect(200);
    assert_eq!(refreshed.claims()["nickname"], "lovelace");
    let renewed = scene.bare(Method::POST, "/session/renew", Some(&fixed.text("account_token"))).await.expect(200);
    assert_eq!(renewed.claims()["nickname"], "lovelace");
    assert_eq!(renewed.claims()["exp"], fixed.claims()["exp"], "never extended");
    let stale_rolling = rolling.text("access_token");
    let minted = scene.bare(Method::POST, "/session/renew", Some(&stale_rolling)).await.expect(200);
    assert_eq!(minted.claims()["nickname"], "lovelace", "stale claims mint at once");
}

#[tokio::test]
async fn an_unknown_or_unwritable_attribute_is_refused_by_name_and_nothing_is_written() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    for (patch, word) in [
        (json!({"role": "admin"}), "`role` may be written by an administrator only"),
        (json!({"nickname": "x", "role": "admin"}), "`role`"),
        (json!({"shoe_size": 43}), "`shoe_size` is not declared"),
        (json!({"cv": 99}), "`cv` is not declared"),
        (json!({"password": "x"}), "`password` is not declared"),
        (json!({"nickname": 5}), "must be a string"),
    ] {
        let refused = scene.json(Method::PATCH, "/account", Some(&account), patch).await.expect(400);
        assert_eq!(refused.body["error"], "invalid_request");
        assert!(refused.text("error_description").contains(word), "{refused:?}");
    }
    assert_eq!(scene.user().await.cv, 1);
}

#[tokio::test]
async fn what_demands_a_recent_log_in_is_refused_until_the_person_proves_again_who_they_are() {
    let scene = Scene::new().await;
    let first = scene.login("rolling").await;
    let patch = json!({"payout": "DE02"});
    scene.json(Method::PATCH, "/account", Some(&first.text("account_token")), patch.clone()).await.expect(200);
    scene.advance(Duration::from_secs(301));
    let old =
        scene.json(Method::PATCH, "/account", Some(&first.text("account_token")), patch.clone()).await.expect(401);
    let challenge = old.header("www-authenticate");
    assert!(
        challenge.contains("insufficient_user_authentication") && challenge.ends_with("max_age=300"),
        "{challenge}"
    );
    scene
        .json(Method::PATCH, "/account", Some(&first.text("account_token")), json!({"nickname": "x"}))
        .await
        .expect(200);
    let login = json!({"client_id": "rolling", "identifier": IDENTIFIER, "password": PASSWORD});
    let again = scene.json(Method::POST, "/session", Some(&first.text("account_token")), login).await.expect(200);
    scene.json(Method::PATCH, "/account", Some(&first.text("account_token")), patch.clone()).await.expect(401);
    scene.json(Method::PATCH, "/account", Some(&again.text("account_token")), patch).await.expect(200);
}

#[tokio::test]
async fn a_change_that_changes_nothing_makes_no_token_stale() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": "ada"})).await.expect(200);
    assert_eq!(scene.user().await.cv, 1);
}

#[tokio::test]
async fn a_record_that_would_not_fit_into_a_token_is_refused_before_it_is_written() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    let patch = json!({"nickname": "x".repeat(2900)});
    let refused = scene.json(Method::PATCH, "/account", Some(&account), patch).await.expect(400);
    assert!(refused.text("error_description").contains("3584 bytes"), "{refused:?}");
    assert_eq!(scene.user().await.cv, 1);
}

#[tokio::test]
async fn fifty_changes_at_once_are_all_made_one_after_the_other() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let account = scene.login("rolling").await.text("account_token");
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (scene, account) = (scene.clone(), account.clone());
            tokio::spawn(async move {
                scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": n.to_string()})).await.status
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(scene.user().await.cv, 51);
}

#[tokio::test]
async fn a_token_from_before_the_person_proved_again_who_they_are_never_says_that_they_did() {
    let scene = Scene::new().await;
    for client in ["rolling", "fixed", "refresh"] {
        let first = scene.login(client).await.expect(200);
        let (stolen, of_api) = (first.text("account_token"), first.text("access_token"));
        scene.advance(Duration::from_secs(250));
        scene.with_factor().await;
        let login = json!({"client_id": client, "identifier": IDENTIFIER, "password": PASSWORD});
        let asked = scene.json(Method::POST, "/session", Some(&stolen), login).await.expect(403);
        let code = json!({"client_id": client, "challenge": asked.text("challenge"), "code": scene.code()});
        let again = scene.json(Method::POST, "/session/factor", Some(&stolen), code).await.expect(200);
        assert_eq!((&again.claims()["sid"], &again.claims()["amr"][1]), (&first.claims()["sid"], &json!("sms")));
        let seen = scene.bare(Method::GET, "/session", Some(&stolen)).await.expect(200);
        let shown = (&seen.body["auth_time"], &seen.body["amr"]);
        assert_eq!(shown, (&first.claims()["auth_time"], &first.claims()["amr"]), "{client}");
        let patched = scene.json(Method::PATCH, "/account", Some(&stolen), json!({})).await.expect(200);
        let renewed = scene.bare(Method::POST, "/session/renew", Some(&stolen)).await;
        let of_api = scene.bare(Method::POST, "/session/renew", Some(&of_api)).await;
        for answered in [patched, renewed, of_api].into_iter().filter(|reply| reply.status == 200) {
            let tokens = [Some("access_token"), answered.body.get("account_token").map(|_| "account_token")];
            for name in tokens.into_iter().flatten() {
                let claims = claims(&answered.text(name));
                assert_eq!(claims["auth_time"], first.claims()["auth_time"], "{client}: {answered:?}");
                assert_eq!(claims["amr"], first.claims()["amr"], "{client}: {answered:?}");
                let number = json!({"phone_number": "+12025550199"});
                let token = answered.text(name);
                let refused = scene.json(Method::POST, "/account/phone", Some(&token), number).await.expect(401);
                assert_ne!(refused.text("error"), "", "{client}: {refused:?}");
            }
        }
        let changed = scene.user().await.with_phone_number(None).unwrap();
        scene.commit(Changes::none().write(Row::User(changed.user))).await;
    }
}

#[tokio::test]
async fn a_change_prolongs_nothing_that_only_the_refresh_token_prolongs() {
    let scene = Scene::new().await;
    for client in ["refresh", "spa"] {
        let first = scene.login(client).await.expect(200);
        scene.advance(Duration::from_secs(290));
        for patch in [json!({}), json!({"nickname": format!("{client} lovelace")})] {
            let changed =
                scene.json(Method::PATCH, "/account", Some(&first.text("account_token")), patch).await.expect(200);
            let account = claims(&changed.text("account_token"));
            assert_eq!(account["exp"], claims(&first.text("account_token"))["exp"]);
            assert_eq!(changed.claims()["exp"], account["exp"]);
            assert!(changed.body["expires_in"].as_u64().unwrap() <= 10, "{changed:?}");
        }
    }
}
