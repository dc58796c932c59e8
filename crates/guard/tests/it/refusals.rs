//! What is refused, and in which words.

use super::*;
use remint_guard::core::jws::Typ;
use remint_guard::testing::AUDIENCE;
use remint_guard::{Policy, Reject, Require, Verified};
use serde::Deserialize;

#[derive(Deserialize)]
struct Me {
    sub: String,
    role: String,
}

struct Admin;

impl Policy for Admin {
    type Claims = Me;

    fn check(me: &Me, token: &Verified) -> Result<(), Reject> {
        token.demand_scope("admin")?;
        token.demand_recent_login(Duration::from_secs(300))?;
        if me.role == "admin" { Ok(()) } else { Err(Reject::Denied { detail: "for administrators".into() }) }
    }
}

async fn guarded() -> (Issuer, Arc<ManualClock>, Router) {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed()).await;
    (issuer, clock, api(RemintLayer::new(verifier)))
}

#[tokio::test]
async fn a_good_token_reaches_the_handler_with_all_its_claims() {
    let (issuer, _, api) = guarded().await;
    let token = issuer.token("ada").claim("role", "engineer").scope("read").mint();
    for _ in 0..2 {
        let answer = call(&api, "/me", Some(&token)).await;
        assert_eq!(answer.status(), 200);
        let claims: Value = serde_json::from_str(&body(answer).await).unwrap();
        assert_eq!((&claims["sub"], &claims["role"], &claims["cv"]), (&"ada".into(), &"engineer".into(), &1.into()));
    }
}

#[tokio::test]
async fn without_a_token_there_is_a_bare_challenge() {
    let (_, _, api) = guarded().await;
    let answer = call(&api, "/me", None).await;
    assert_eq!(refusal(&answer), (401, "Bearer"));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(body(answer).await, r#"{"title":"a bearer token is needed","status":401,"code":"token_missing"}"#);
}

#[tokio::test]
async fn each_401_says_what_is_wrong() {
    let (issuer, clock, api) = guarded().await;
    let good = issuer.token("ada").mint();
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let other = Issuer::start_with(Settings { clock: clock.clone(), ..Settings::default() }).await;
    for (token, text) in [
        (issuer.token("ada").issued(NOON.minus(Duration::from_secs(7200))).mint(), "expired"),
        (forged, "bad signature"),
        (issuer.token("ada").audience("other-api").mint(), "wrong audience"),
        (issuer.token("ada").bound_to("thumbprint").mint(), "bound to a key (cnf): not a plain bearer token"),
        (issuer.token("ada").typ(Typ::IdToken).mint(), "the token is of another kind: 'typ' must be at+jwt"),
        (issuer.token("ada").typ(Typ::LogoutToken).mint(), "the token is of another kind: 'typ' must be at+jwt"),
        (other.token("ada").mint(), "bad signature"),
        ("opaque".to_owned(), "the token is not a compact JWS: three parts between two dots"),
        ("a.b.c.d.e".to_owned(), "the token is encrypted (JWE): only signed tokens are accepted"),
    ] {
        let answer = call(&api, "/me", Some(&token)).await;
        assert_eq!(refusal(&answer), (401, &*invalid_token(text)), "{text}");
        assert!(!body(answer).await.contains("ada"));
    }
    assert_eq!(call(&api, "/me", Some(&good)).await.status(), 200);
}

#[tokio::test]
async fn a_token_of_another_issuer_with_the_same_key_is_refused_by_name() {
    let (issuer, _) = issuer().await;
    let keys = format!("{}/oauth2/jwks", issuer.url());
    let builder = Verifier::builder("http://localhost:1/another").audience(AUDIENCE).jwks_uri(keys);
    let api = api(RemintLayer::new(ready(builder).await));
    let answer = call(&api, "/me", Some(&issuer.token("ada").mint())).await;
    assert_eq!(refusal(&answer), (401, &*invalid_token("wrong issuer")));
}

#[tokio::test]
async fn a_remembered_token_expires_to_the_second_with_the_leeway() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed().leeway(Duration::from_secs(3))).await;
    let token = issuer.token("ada").lives(Duration::from_secs(60)).mint();
    assert!(verifier.verify(&token).await.is_ok());
    clock.advance(Duration::from_secs(62));
    assert!(verifier.verify_remembered(&token).unwrap().is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(verifier.verify_remembered(&token).unwrap().unwrap_err(), Reject::Expired);
    assert_eq!(verifier.verify(&token).await.unwrap_err(), Reject::Expired);
}

#[tokio::test]
async fn what_was_remembered_is_given_to_the_very_same_token_only() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed()).await;
    let tokens: Vec<(String, String)> =
        (0..50).map(|n| format!("user-{n}")).map(|sub| (issuer.token(&sub).mint(), sub)).collect();
    for _ in 0..2 {
        for (token, sub) in &tokens {
            assert_eq!(verifier.verify(token).await.unwrap().claims().sub, *sub);
        }
    }
    let (ada, eve) = (&tokens[0].0, &tokens[1].0);
    let (head, tail) = (ada.rsplit_once('.').unwrap(), eve.rsplit_once('.').unwrap());
    let mixed = format!("{}.{}", tail.0, head.1); // the claims of one under the signature of the other
    assert!(verifier.verify_remembered(&mixed).is_none());
    assert_eq!(verifier.verify(&mixed).await.unwrap_err(), Reject::BadSignature);
    let longer = format!("{ada}A");
    assert!(verifier.verify(&longer).await.is_err());
}

#[tokio::test]
async fn passthrough_lets_nobody_in_with_a_bad_token() {
    let (issuer, _) = issuer().await;
    let layer = RemintLayer::new(ready(issuer.verifier_without_feed()).await).passthrough();
    let who =
        |me: Option<Claims<Value>>| async move { me.map_or("nobody".to_owned(), |Claims(me)| me["sub"].to_string()) };
    let api = Router::new().route("/", get(who)).layer(layer);
    assert_eq!(body(call(&api, "/", None).await).await, "nobody");
    assert_eq!(body(call(&api, "/", Some(&issuer.token("ada").mint())).await).await, "\"ada\"");
    let expired = issuer.token("ada").lives(Duration::ZERO).issued(NOON.minus(Duration::from_secs(99))).mint();
    assert_eq!(call(&api, "/", Some(&expired)).await.status(), 401);
    let twice = Request::get("/").header("authorization", "Bearer a").header("authorization", "Bearer b");
    let answer = api.clone().oneshot(twice.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_policy_answers_in_its_own_words() {
    let (issuer, _) = issuer().await;
    let layer = RemintLayer::new(ready(issuer.verifier_without_feed()).await);
    let handler = |Require(me): Require<Admin>| async move { me.sub };
    let api = Router::new().route("/", get(handler)).layer(layer);
    let draft = || issuer.token("ada").claim("role", "admin").scope("admin read");
    assert_eq!(body(call(&api, "/", Some(&draft().mint())).await).await, "ada");
    let answer = call(&api, "/", Some(&draft().scope("administrator").mint())).await;
    assert_eq!(answer.status(), 403);
    assert!(refusal(&answer).1.ends_with("scope=\"admin\""));
    let long_ago = draft().logged_in(NOON.minus(Duration::from_secs(301))).mint();
    let answer = call(&api, "/", Some(&long_ago)).await;
    assert_eq!(answer.status(), 401);
    assert!(refusal(&answer).1.contains("insufficient_user_authentication"), "{answer:?}");
    assert!(refusal(&answer).1.ends_with("max_age=\"300\""), "{answer:?}");
    let answer = call(&api, "/", Some(&draft().claim("role", "guest").mint())).await;
    assert_eq!(refusal(&answer), (403, ""));
    let no_role = issuer.token("ada").scope("admin").mint();
    let answer = call(&api, "/", Some(&no_role)).await;
    assert_eq!(refusal(&answer), (401, &*invalid_token("the token has no claim role, which is needed here")));
    let wrong_type = draft().claim("role", 7).mint();
    let answer = call(&api, "/", Some(&wrong_type)).await;
    assert_eq!(refusal(&answer), (401, &*invalid_token("the claims have another shape than is needed here")));
}

#[tokio::test]
async fn a_route_without_the_layer_says_what_is_missing() {
    let api = Router::new().route("/", get(|Claims(_): Claims<Value>| async {}));
    let answer = call(&api, "/", None).await;
    assert_eq!(answer.status(), 500);
    assert!(body(answer).await.contains("RemintLayer::new(verifier)"));
}

#[tokio::test]
async fn a_page_may_read_why_it_was_refused() {
    let (_, _, api) = guarded().await;
    let api = api.layer(remint_guard::cors(["https://app.example.com"]).unwrap());
    let asked = |origin| Request::get("/me").header("origin", origin).body(Body::empty()).unwrap();
    let answer = api.clone().oneshot(asked("https://app.example.com")).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example.com");
    let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
    assert_eq!(exposed, "remint-token,remint-renew,www-authenticate,retry-after");
    let answer = api.clone().oneshot(asked("https://evil.example")).await.unwrap();
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let preflight = Request::options("/me").header("origin", "https://app.example.com");
    let preflight = preflight.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
    assert_eq!(api.oneshot(preflight).await.unwrap().status(), 200, "a preflight carries no token");
}
