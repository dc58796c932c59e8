//! What people do at one node counts at the other: sessions, attempts, challenges, codes, endings.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::pair::{PAST_W, PATIENCE, Pair};
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

/// A confidential client with one session, whose refresh token is shown to node `b`.
struct Vault {
    secret: String,
    token: String,
}

impl Vault {
    /// Opened at `b`, which then remembers the client.
    async fn opened(pair: &Pair) -> Self {
        let made = json!({"id": "vault", "policy": {"kind": "refresh"}, "apis": ["demo-api"], "scopes": "read",
                          "first_party": true, "confidential": true, "origins": ["https://shop.example"]});
        let made = pair.a.admin(Method::POST, "/admin/api/clients", made).await.expect(201);
        let secret = made.text("client_secret");
        let login =
            json!({"client_id": "vault", "client_secret": secret, "identifier": IDENTIFIER, "password": PASSWORD});
        let token = pair.b.json(Method::POST, "/session", None, login).await.expect(200).text("refresh_token");
        pair.advance(PAST_W);
        Self { secret, token }
    }

    async fn shown(&self, at: &Scene, secret: &str, origin: Option<&'static str>) -> Reply {
        let (id, secret) = (("client_id", "vault"), ("client_secret", secret));
        let form = [("grant_type", "refresh_token"), id, secret, ("refresh_token", &self.token)];
        let request = form_request("/oauth2/token", &form);
        at.send(origin.into_iter().fold(request, |request, origin| header(request, "origin", origin))).await
    }

    /// The secret that `a` puts in the place of the one of before.
    async fn replaced(pair: &Pair) -> String {
        pair.a.admin(Method::POST, "/admin/api/clients/vault/secret", json!({})).await.expect(200).text("client_secret")
    }
}

#[tokio::test]
async fn what_one_node_took_from_a_client_opens_nothing_at_the_other_and_moves_no_session() {
    let pair = Pair::new().await;
    let vault = Vault::opened(&pair).await;
    let before = pair.b.held(&vault.token).await.session;
    let second = Vault::replaced(&pair).await; // what `b` remembers is the one of before
    let refused = vault.shown(&pair.b, &vault.secret, None).await.expect(401);
    assert_eq!(refused.text("error"), "invalid_client");
    let told = pair.a.admin(Method::GET, "/admin/api/audit?act=client.refused", json!({})).await.expect(200);
    assert_eq!(told.body["entries"].as_array().map(Vec::len), Some(1), "{told:?}");
    pair.a.admin(Method::PATCH, "/admin/api/clients/vault", json!({"origins": []})).await.expect(200);
    vault.shown(&pair.b, &second, Some("https://shop.example")).await.expect(403);
    assert_eq!(pair.b.held(&vault.token).await.session, before, "nothing was decided");

    let rotated = vault.shown(&pair.b, &second, None).await.expect(200);
    assert!(rotated.body["refresh_token"].is_string(), "{rotated:?}");
    pair.a.admin(Method::PATCH, "/admin/api/apis/demo-api", json!({"algorithm": "EdDSA"})).await.expect(200);
    let algorithm = |reply: &Reply| {
        let head = URL_SAFE_NO_PAD.decode(reply.text("access_token").split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&head).unwrap()["alg"].clone()
    };
    let after = vault.shown(&pair.b, &second, None).await.expect(200);
    assert_eq!(algorithm(&after), "EdDSA", "what one node made of an api, too");
}

#[tokio::test]
async fn who_shows_a_secret_of_before_waits_for_nobodys_decision_and_shares_none() {
    let pair = Pair::new().await;
    let vault = Vault::opened(&pair).await;
    let turn = pair.b.app.desk.free(pair.b.held(&vault.token).await.session.sid).unwrap();
    let second = Vault::replaced(&pair).await; // what `b` remembers is the one of before
    let refused = tokio::time::timeout(PATIENCE, vault.shown(&pair.b, &vault.secret, None)).await;
    refused.expect("it waits to share what another is answered").expect(401);
    drop(turn);
    vault.shown(&pair.b, &second, None).await.expect(200);
}
