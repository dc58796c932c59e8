//! What people do at one node counts at the other: sessions, attempts, challenges, codes, endings.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use crate::pair::{PAST_W, Pair};
use crate::scene::{IDENTIFIER, NUMBER, PASSWORD, Reply, Scene, form_request, header};

async fn guess(at: &Scene) -> Reply {
    let body = json!({"client_id": "fixed", "identifier": IDENTIFIER, "password": "a guess"});
    at.json(Method::POST, "/session", None, body).await
}

#[tokio::test]
async fn attempts_at_an_account_are_counted_together() {
    let Pair { a, b } = Pair::new().await;
    for attempt in 0..10 {
        let at = if attempt % 2 == 0 { &a } else { &b };
        guess(at).await.expect(400);
    }
    for at in [&a, &b] {
        guess(at).await.expect(429);
        at.login("fixed").await.expect(429);
    }
    a.admin(Method::POST, &format!("/admin/api/users/{}/unlock", a.ada), json!({})).await.expect(200);
    b.login("fixed").await.expect(200);
}

#[tokio::test]
async fn fifty_guesses_spread_over_two_nodes_at_once_are_ten() {
    let pair = Arc::new(Pair::new().await);
    let guesses = (0..50).map(|number| {
        let pair = Arc::clone(&pair);
        tokio::spawn(async move { guess(if number % 2 == 0 { &pair.a } else { &pair.b }).await.status.as_u16() })
    });
    let answers: Vec<u16> = join_all(guesses).await.into_iter().map(Result::unwrap).collect();
    let compared = answers.iter().filter(|status| **status == 400).count();
    assert!(compared <= 10, "{answers:?}");
    assert!(answers.iter().all(|status| [400, 429, 503].contains(status)), "{answers:?}");
}

#[tokio::test]
async fn a_challenge_of_one_node_is_answered_at_the_other_once() {
    let Pair { a, b } = Pair::new().await;
    a.with_factor().await;
    let asked = a.login("refresh").await.expect(403);
    let (challenge, code) = (asked.text("challenge"), a.code());
    let tokens = b.factor("refresh", &challenge, &code).await.expect(200);
    a.refresh("refresh", &tokens.text("refresh_token")).await.expect(200);
    for at in [&a, &b] {
        assert_eq!(at.factor("refresh", &challenge, &code).await.expect(400).text("error"), "invalid_challenge");
    }
}

#[tokio::test]
async fn a_code_that_one_node_sent_verifies_the_number_at_the_other() {
    let Pair { a, b } = Pair::new().await;
    let account = a.login("rolling").await.expect(200).text("account_token");
    a.json(Method::POST, "/account/phone", Some(&account), json!({ "phone_number": NUMBER })).await.expect(202);
    let code = json!({ "code": a.code() });
    let verified = b.json(Method::POST, "/account/phone/verify", Some(&account), code.clone()).await.expect(200);
    assert_eq!(verified.claims()["phone_number"], NUMBER);
    a.json(Method::POST, "/account/phone/verify", Some(&account), code).await.expect(400);
    let shown = a.bare(Method::GET, "/session", Some(&verified.text("account_token"))).await.expect(200);
    assert_eq!(shown.body["user"]["phone_number"], NUMBER);
}

#[tokio::test]
async fn fifty_parallel_refreshes_spread_over_two_nodes_get_one_and_the_same_successor() {
    let pair = Arc::new(Pair::new().await);
    for round in 0..4 {
        let token = pair.a.login("refresh").await.expect(200).text("refresh_token");
        pair.advance(PAST_W);
        let asking = (0..50).map(|number| {
            let (pair, token) = (Arc::clone(&pair), token.clone());
            tokio::spawn(async move {
                let at = if (number + round) % 2 == 0 { &pair.a } else { &pair.b };
                at.refresh("refresh", &token).await.expect(200).text("refresh_token")
            })
        });
        let successors: BTreeSet<String> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(successors.len(), 1, "{successors:?}");
        assert!(!successors.contains(&token));
    }
}

#[tokio::test]
async fn what_ended_at_one_node_is_over_at_the_other_and_a_changed_record_shows() {
    let Pair { a, b } = Pair::new().await;
    let (first, second) = (a.login("refresh").await.expect(200), b.login("refresh").await.expect(200));
    a.bare(Method::DELETE, "/session", Some(&first.text("account_token"))).await.expect(204);
    let over = b.refresh("refresh", &first.text("refresh_token")).await.expect(400);
    assert_eq!(over.text("error_description"), "session ended: logout");
    let account = second.text("account_token");
    a.json(Method::PATCH, "/account", Some(&account), json!({"nickname": "countess"})).await.expect(200);
    let shown = b.refresh("refresh", &second.text("refresh_token")).await.expect(200);
    assert_eq!(shown.claims()["nickname"], "countess");
    b.bare(Method::DELETE, "/session?everywhere=true", Some(&shown_account(&b, &second).await)).await.expect(204);
    let over = a.refresh("refresh", &second.text("refresh_token")).await.expect(400);
    assert_eq!(over.text("error_description"), "session ended: everywhere");
}

/// The account token, for whoever has the refresh token of a log-in.
async fn shown_account(at: &Scene, login: &Reply) -> String {
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "refresh"),
        ("refresh_token", &login.text("refresh_token")),
        ("resource", crate::scene::ISSUER),
    ];
    at.form("/oauth2/token", &form).await.expect(200).text("access_token")
}

#[tokio::test]
async fn a_client_that_one_node_changed_or_disabled_is_so_at_the_other() {
    let Pair { a, b } = Pair::new().await;
    let token = b.login("refresh").await.expect(200).text("refresh_token");
    a.admin(Method::PATCH, "/admin/api/clients/refresh", json!({"mapping": {"name": "nickname"}})).await.expect(200);
    let mapped = b.refresh("refresh", &token).await.expect(200).claims();
    assert_eq!((&mapped["name"], mapped.get("nickname")), (&json!("ada"), None));
    a.admin(Method::POST, "/admin/api/clients/refresh/disable", json!({})).await.expect(200);
    assert_eq!(b.refresh("refresh", &token).await.expect(401).text("error"), "invalid_client");
    let declared = json!({"name": "team", "type": "string", "writable_by": "user"});
    a.admin(Method::POST, "/admin/api/attributes", declared).await.expect(200);
    let account = b.login("rolling").await.expect(200).text("account_token");
    b.json(Method::PATCH, "/account", Some(&account), json!({"team": "engine"})).await.expect(200);
}

/// What node `b` remembers of a client is as `a` left it: whoever shows what was good before is refused there too, and
/// the session stays where it was.
#[tokio::test]
async fn what_one_node_took_from_a_client_opens_nothing_at_the_other_and_moves_no_session() {
    let pair = Pair::new().await;
    let made = json!({"id": "vault", "policy": {"kind": "refresh"}, "apis": ["demo-api"], "scopes": "read",
                      "first_party": true, "confidential": true, "origins": ["https://shop.example"]});
    let made = pair.a.admin(Method::POST, "/admin/api/clients", made).await.expect(201);
    let opened = json!({"client_id": "vault", "client_secret": made.text("client_secret"),
                        "identifier": IDENTIFIER, "password": PASSWORD});
    let token = pair.b.json(Method::POST, "/session", None, opened).await.expect(200).text("refresh_token");
    pair.advance(PAST_W);
    let shown = |secret: &str, origin: Option<&'static str>| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "vault"),
            ("client_secret", secret),
            ("refresh_token", &token),
        ];
        let request = form_request("/oauth2/token", &form);
        pair.b.send(origin.into_iter().fold(request, |request, origin| header(request, "origin", origin)))
    };
    let (first, before) = (made.text("client_secret"), pair.b.held(&token).await.session);

    let replaced = pair.a.admin(Method::POST, "/admin/api/clients/vault/secret", json!({})).await.expect(200);
    assert_eq!(shown(&first, None).await.expect(401).text("error"), "invalid_client");
    pair.a.admin(Method::PATCH, "/admin/api/clients/vault", json!({"origins": []})).await.expect(200);
    let second = replaced.text("client_secret");
    shown(&second, Some("https://shop.example")).await.expect(403);
    assert_eq!(pair.b.held(&token).await.session, before, "nothing was decided");

    let rotated = shown(&second, None).await.expect(200);
    assert!(rotated.body["refresh_token"].is_string(), "{rotated:?}");
    pair.a.admin(Method::PATCH, "/admin/api/apis/demo-api", json!({"algorithm": "EdDSA"})).await.expect(200);
    let algorithm = |reply: &Reply| {
        use base64::Engine as _;
        let head = reply.text("access_token").split('.').next().unwrap().to_owned();
        let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).unwrap();
        serde_json::from_slice::<serde_json::Value>(&head).unwrap()["alg"].clone()
    };
    assert_eq!(algorithm(&shown(&second, None).await.expect(200)), "EdDSA", "what one node made of an api, too");
}
