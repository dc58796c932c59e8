//! Rolling: new tokens beside answers, and what that may never cost.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use remint_guard::Rolling;
use remint_guard::core::event::{Cause, Event, Initiator};
use remint_guard::core::id::{SessionId, UserId};
use remint_guard::testing::Renewal;

/// Long enough never to be reached by a renewal on the loopback.
const PATIENT: Duration = Duration::from_secs(30);

struct Scene {
    issuer: Issuer,
    clock: Arc<ManualClock>,
    verifier: Verifier,
    api: Router,
}

async fn scene(budget: Duration) -> Scene {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier_without_feed()).await;
    let layer = RemintLayer::new(verifier.clone()).rolling_with(Rolling::default().budget(budget));
    let shared = || async { ([(CACHE_CONTROL, "public, max-age=60")], "for everybody") };
    let api = Router::new().route("/me", get(|| async { "me" })).route("/shared", get(shared)).layer(layer);
    Scene { issuer, clock, verifier, api }
}

impl Scene {
    /// A token past its point, whatever its jitter.
    fn due(&self) -> String {
        let issued = self.clock.now_secs() - 900;
        self.issuer.token("ada").issued(Timestamp::from_secs(issued)).claim("role", "engineer").mint()
    }
}

trait Secs {
    fn now_secs(&self) -> i64;
}

impl Secs for ManualClock {
    fn now_secs(&self) -> i64 {
        remint_guard::Clock::now(self).secs()
    }
}

fn new_token(answer: &Response<Body>) -> Option<&str> {
    answer.headers().get("remint-token").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn past_half_of_its_life_a_token_is_answered_with_a_new_one() {
    let scene = scene(PATIENT).await;
    let old = scene.due();
    let answer = call(&scene.api, "/me", Some(&old)).await;
    let new = new_token(&answer).unwrap().to_owned();
    assert_eq!(answer.headers()[CACHE_CONTROL], "private, no-store");
    assert_eq!(body(answer).await, "me");
    let verified = scene.verifier.verify(&new).await.unwrap();
    assert_eq!((verified.claims().iat, &verified.claims().rest["role"]), (Some(NOON.secs()), &"engineer".into()));
    assert_eq!(new_token(&call(&scene.api, "/me", Some(&new)).await), None, "the new one is not due");
}

#[tokio::test]
async fn before_half_of_its_life_the_issuer_is_not_asked() {
    let scene = scene(PATIENT).await;
    let young = scene.issuer.token("ada").issued(NOON.minus(Duration::from_secs(599))).mint();
    assert_eq!(new_token(&call(&scene.api, "/me", Some(&young)).await), None);
    let service = scene.issuer.token("svc").without_session().issued(NOON.minus(Duration::from_secs(1100))).mint();
    assert_eq!(new_token(&call(&scene.api, "/me", Some(&service)).await), None, "a client token has no session");
    assert!(scene.issuer.renewals().is_empty());
}

#[tokio::test]
async fn the_issuer_gets_the_token_and_nothing_else_of_the_request() {
    let scene = scene(PATIENT).await;
    let token = scene.due();
    let request = Request::get("/me?q=private").header("authorization", format!("Bearer {token}"));
    let request =
        request.header("cookie", "a=b").header("x-forwarded-for", "192.0.2.1").header("origin", "https://x.example");
    let answer = scene.api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert!(new_token(&answer).is_some());
    let asked = scene.issuer.renewals();
    let (headers, sent) = &asked[0];
    assert_eq!(sent.as_ref(), br#"{"interactive":true}"#);
    assert_eq!(headers["authorization"], format!("Bearer {token}"));
    let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "authorization", "content-length", "content-type", "host", "user-agent"]);
}

#[tokio::test]
async fn fifty_requests_at_once_make_one_renewal_and_all_get_the_same_token() {
    let scene = scene(PATIENT).await;
    let token = scene.due();
    let (api, token) = (&scene.api, &token);
    let calls = (0..50).map(|_| async move { new_token(&call(api, "/me", Some(token)).await).map(str::to_owned) });
    let tokens = futures_util::future::join_all(calls).await;
    assert!(tokens[0].is_some() && tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(scene.issuer.renewals().len(), 1);
    let late = call(api, "/me", Some(token)).await;
    assert_eq!(new_token(&late), tokens[0].as_deref(), "a request that still has the old one");
    assert_eq!(scene.issuer.renewals().len(), 1);
}

#[tokio::test]
async fn an_answer_does_not_wait_beyond_the_budget_and_the_next_one_gets_what_came_late() {
    let scene = scene(Duration::from_millis(5)).await;
    let token = scene.due();
    scene.issuer.hold_renewals(true);
    let answer = call(&scene.api, "/me", Some(&token)).await;
    assert_eq!((answer.status(), new_token(&answer)), (StatusCode::OK, None));
    scene.issuer.hold_renewals(false);
    let late = loop {
        let answer = call(&scene.api, "/me", Some(&token)).await;
        if let Some(token) = new_token(&answer) {
            break token.to_owned();
        }
    };
    assert!(scene.verifier.verify(&late).await.is_ok());
    assert_eq!(scene.issuer.renewals().len(), 1, "the first flight went on");
}

#[tokio::test]
async fn an_answer_for_everybody_never_carries_a_token() {
    let scene = scene(PATIENT).await;
    let answer = call(&scene.api, "/shared", Some(&scene.due())).await;
    assert_eq!(new_token(&answer), None);
    assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=60");
}

#[tokio::test]
async fn after_a_no_the_issuer_is_left_alone_for_a_while() {
    for (renewal, rest) in [
        (Renewal::NotYet, Duration::from_secs(5)),
        (Renewal::Status(StatusCode::BAD_GATEWAY), Duration::from_secs(5)),
        (Renewal::Status(StatusCode::FORBIDDEN), Duration::from_secs(60)),
    ] {
        let scene = scene(PATIENT).await;
        scene.issuer.answer_renewals_with(renewal);
        let token = scene.due();
        for _ in 0..5 {
            assert_eq!(new_token(&call(&scene.api, "/me", Some(&token)).await), None, "{renewal:?}");
        }
        assert_eq!(scene.issuer.renewals().len(), 1, "{renewal:?}");
        scene.clock.advance(rest);
        scene.issuer.answer_renewals_with(Renewal::Mint);
        assert!(new_token(&call(&scene.api, "/me", Some(&token)).await).is_some(), "{renewal:?}");
    }
}

#[tokio::test]
async fn a_token_from_before_the_person_proved_again_who_they_are_gets_no_token_that_says_so() {
    let (issuer, clock) = issuer().await;
    let api = api(RemintLayer::new(ready(issuer.verifier()).await).rolling_with(Rolling::default().budget(PATIENT)));
    let at = |ago: i64| Timestamp::from_secs(clock.now_secs() - ago);
    let session = || issuer.token("ada").sid(SessionId::from_bytes([9; 16]));
    let before = session().issued(at(950)).logged_in(at(5000)).mint();
    let after = session().issued(at(900)).logged_in(at(900)).mint();
    let proof = |answer: &Response<Body>| {
        let token = new_token(answer).unwrap().to_owned();
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&payload).unwrap()["auth_time"].as_i64().unwrap()
    };
    let newer = proof(&call(&api, "/me", Some(&after)).await);
    let older = proof(&call(&api, "/me", Some(&before)).await);
    assert_eq!((newer, older), (at(900).secs(), at(5000).secs()));
    assert_eq!(issuer.renewals().len(), 2);
}

#[tokio::test]
async fn a_new_token_that_turned_stale_meanwhile_is_not_handed_out() {
    // given a renewal that is kept for late requests
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier().stale_claims(remint_guard::StaleClaims::Hint)).await;
    let api = api(RemintLayer::new(verifier.clone()).rolling_with(Rolling::default().budget(PATIENT)));
    let user = UserId::from_bytes([7; 16]);
    let issued = Timestamp::from_secs(clock.now_secs() - 900);
    let token = issuer.token("ada").user(user).issued(issued).mint();
    let first = new_token(&call(&api, "/me", Some(&token)).await).unwrap().to_owned();
    // when the record changes
    let (names, cause, who) = (Vec::new(), Cause::Attributes, Initiator::Admin);
    let changed = Event::ClaimsChanged { sub: user, cv: 2, names, cause, who, forget_after: NOON.plus(PATIENT) };
    verifier.heard(issuer.publish(&changed).seq).await;
    // then the issuer is asked again, at once
    let second = call(&api, "/me", Some(&token)).await;
    assert_ne!(new_token(&second), Some(first.as_str()));
    assert_eq!(issuer.renewals().len(), 2);
}
