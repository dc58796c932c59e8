//! Where keys come from, and what a token cannot make the guard do.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use remint_guard::core::event::Event;
use remint_guard::core::jwk::Algorithm;
use remint_guard::{Profile, Reject};

/// The payload and signature of a good token under another header.
fn with_header(token: &str, header: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
}

#[tokio::test]
async fn a_flood_of_unknown_keys_fetches_once_per_interval() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed().key_interval(Duration::from_secs(10))).await;
    let good = issuer.token("ada").mint();
    let flood = |round: usize| {
        let (verifier, good) = (verifier.clone(), good.clone());
        async move {
            let token =
                |n: usize| with_header(&good, &format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"k{round}-{n}"}}"#));
            let asked = (0..200).map(|n| {
                let (verifier, token) = (verifier.clone(), token(n));
                tokio::spawn(async move { verifier.verify(&token).await })
            });
            for answer in futures_util::future::join_all(asked).await {
                let refused = answer.unwrap().unwrap_err();
                assert!(matches!(refused, Reject::UnknownKey | Reject::KeysUnavailable), "{refused:?}");
            }
        }
    };
    flood(0).await;
    assert_eq!(issuer.key_fetches(), 1, "the keys were fetched a moment ago");
    for round in 1..4 {
        clock.advance(Duration::from_secs(10));
        flood(round).await;
        assert_eq!(issuer.key_fetches(), 1 + round);
    }
    assert!(verifier.verify(&good).await.is_ok());
}

#[tokio::test]
async fn a_key_that_was_looked_for_in_vain_is_not_looked_for_again_and_again() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed().key_interval(Duration::from_secs(10))).await;
    let token = with_header(&issuer.token("ada").mint(), r#"{"alg":"ES256","typ":"at+jwt","kid":"gone"}"#);
    for _ in 0..10 {
        clock.advance(Duration::from_secs(11));
        assert_eq!(verifier.verify(&token).await.unwrap_err(), Reject::UnknownKey);
    }
    assert_eq!(issuer.key_fetches(), 2);
}

#[tokio::test]
async fn a_new_key_is_found_by_the_first_token_that_it_signed() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed()).await;
    let old = issuer.token("ada").mint();
    assert!(verifier.verify(&old).await.is_ok());
    issuer.rotate_key();
    clock.advance(Duration::from_secs(10));
    assert!(verifier.verify(&issuer.token("bob").mint()).await.is_ok());
    assert!(verifier.verify(&old).await.is_ok(), "the old key is still published");
}

#[tokio::test]
async fn a_key_that_could_not_be_looked_for_yet_is_not_held_to_be_unknown() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed().key_interval(Duration::from_secs(10))).await;
    // given a key that is made and used right after the guard fetched
    issuer.rotate_key();
    let token = issuer.token("ada").mint();
    let answer = call(&api(RemintLayer::new(verifier.clone())), "/me", Some(&token)).await;
    assert_eq!(refusal(&answer), (503, ""), "no challenge: the token may well be good");
    assert_eq!(issuer.key_fetches(), 1);
    // when the guard may look again, then it does
    clock.advance(Duration::from_secs(10));
    assert!(verifier.verify(&token).await.is_ok());
}

#[tokio::test]
async fn a_withdrawal_on_the_feed_fetches_the_successor_however_lately_keys_were_fetched() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    let kid = issuer.rotate_key();
    issuer.drop_old_keys();
    let forget_after = NOON.plus(Duration::from_secs(3600));
    verifier.heard(issuer.publish(&Event::KeyWithdrawn { kid, forget_after }).seq).await;
    let token = issuer.token("ada").mint();
    while issuer.key_fetches() < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    while let Err(refused) = verifier.verify(&token).await {
        assert_eq!(refused, Reject::KeysUnavailable, "until the answer is read");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(issuer.key_fetches(), 2);
}

#[tokio::test]
async fn a_key_that_is_gone_takes_the_tokens_that_it_signed_with_it() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed()).await;
    let old = issuer.token("ada").mint();
    assert!(verifier.verify(&old).await.is_ok());
    issuer.rotate_key();
    issuer.drop_old_keys();
    clock.advance(Duration::from_secs(10));
    assert!(verifier.verify(&issuer.token("bob").mint()).await.is_ok());
    assert_eq!(verifier.verify(&old).await.unwrap_err(), Reject::UnknownKey);
}

#[tokio::test]
async fn the_old_keys_are_kept_where_new_ones_cannot_be_had() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed()).await;
    issuer.answer_keys_with(StatusCode::BAD_GATEWAY);
    clock.advance(Duration::from_secs(3600));
    let unknown = with_header(&issuer.token("ada").mint(), r#"{"alg":"ES256","typ":"at+jwt","kid":"new"}"#);
    assert_eq!(verifier.verify(&unknown).await.unwrap_err(), Reject::KeysUnavailable, "nobody can say");
    assert_eq!(issuer.key_fetches(), 2, "it was tried");
    assert!(verifier.verify(&issuer.token("ada").mint()).await.is_ok());
}

#[tokio::test]
async fn without_keys_the_answer_is_503_and_never_401() {
    let (issuer, _) = issuer().await;
    issuer.answer_keys_with(StatusCode::INTERNAL_SERVER_ERROR);
    let verifier = issuer.verifier_without_feed().build().unwrap();
    let answer = call(&api(RemintLayer::new(verifier)), "/me", Some(&issuer.token("ada").mint())).await;
    assert_eq!(refusal(&answer), (503, ""));
    assert_eq!(answer.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_token_cannot_name_an_address_to_be_fetched() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed()).await;
    let good = issuer.token("ada").mint();
    let (canary, _) = issuer.canary();
    for member in ["jku", "x5u"] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"test-key-1","{member}":"{canary}"}}"#);
        let refused = verifier.verify(&with_header(&good, &header)).await.unwrap_err();
        assert!(matches!(refused, Reject::BadToken(_)), "{refused:?}");
    }
    clock.advance(Duration::from_secs(10));
    let as_kid = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{canary}"}}"#);
    assert_eq!(verifier.verify(&with_header(&good, &as_kid)).await.unwrap_err(), Reject::UnknownKey);
    assert_eq!(issuer.canary().1, 0);
}

#[tokio::test]
async fn no_algorithm_but_the_keys_is_accepted() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed()).await;
    let good = issuer.token("ada").mint();
    for alg in ["none", "HS256", "RS256", "EdDSA", "ES384"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"test-key-1"}}"#);
        let refused = verifier.verify(&with_header(&good, &header)).await.unwrap_err();
        assert!(matches!(refused, Reject::BadToken(_)), "{alg}: {refused:?}");
    }
}

#[tokio::test]
async fn any_issuers_keys_do_at_their_address_and_without_a_feed() {
    let clock = Arc::new(ManualClock::at(NOON));
    let settings = Settings { algorithm: Algorithm::EdDsa, clock, ..Settings::default() };
    let issuer = Issuer::start_with(settings).await;
    let keys = format!("{}/oauth2/jwks", issuer.url());
    let verifier = ready(issuer.verifier_without_feed().jwks_uri(keys).profile(Profile::AnyJwt)).await;
    let token = issuer.token("auth0|5f7c8ec7c33c6c004bbafe82").without_session().mint();
    assert_eq!(verifier.verify(&token).await.unwrap().claims().sub, "auth0|5f7c8ec7c33c6c004bbafe82");
    assert_eq!(verifier.standing(), None);
}
