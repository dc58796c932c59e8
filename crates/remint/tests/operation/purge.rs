//! The purge: what is over goes when nobody can ask for it any more, and not before.

use std::time::Duration;

use http::Method;
use remint::jobs::purge::{Pace, Purged, SLICE, pass};
use remint::store::{ChallengeById, CounterLimits, FeedAfter, FeedHead, SessionById, SessionLimits};
use remint_core::change::{Changes, Row, Take};
use remint_core::code::{Asking, CODE_LIFE, Challenge, ChallengeToken, Code, Purpose};
use remint_core::id::SessionId;
use remint_core::retention::ENDED_KEPT;
use remint_core::rev::Rev;
use remint_core::secret::{MacKey, Salt};
use remint_core::session::Session;
use serde_json::json;

use crate::follow::follow;
use crate::scene::Scene;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn purged(scene: &Scene) -> Purged {
    pass(&scene.app, Pace::AT_ONCE).await.unwrap()
}

#[tokio::test]
async fn a_session_that_ended_says_why_for_thirty_days_and_then_is_unknown() {
    let scene = Scene::new().await;
    let login = scene.login("refresh").await;
    let token = login.text("refresh_token");
    scene.bare(Method::DELETE, "/session", Some(&login.text("account_token"))).await.expect(204);
    scene.advance(ENDED_KEPT - DAY);
    assert_eq!(purged(&scene).await.sessions, 0);
    let told = scene.refresh("refresh", &token).await.expect(400);
    assert_eq!(told.body["error_description"], "session ended: logout");
    scene.advance(DAY);
    assert_eq!(purged(&scene).await.sessions, 1);
    let refused = scene.refresh("refresh", &token).await.expect(400);
    assert_eq!(refused.body["error"], "invalid_grant");
    assert_ne!(refused.body["error_description"], "session ended: logout");
    assert_eq!(purged(&scene).await.sessions, 0, "once is enough");
}

#[tokio::test]
async fn a_session_in_use_stays_and_one_that_ran_out_goes_when_no_token_can_name_it() {
    let scene = Scene::new().await;
    let idle = scene.login("refresh").await;
    let sid: SessionId = idle.claims()["sid"].as_str().unwrap().parse().unwrap();
    let mut used = scene.login("refresh").await.text("refresh_token");
    for _ in 0..15 {
        scene.advance(DAY);
        used = scene.refresh("refresh", &used).await.expect(200).text("refresh_token");
    }
    assert_eq!(purged(&scene).await.sessions, 0, "it ran out a day ago, and a token of it may live for some days");
    scene.advance(scene.app.horizon().await.unwrap());
    assert_eq!(purged(&scene).await.sessions, 1);
    assert!(scene.app.store.read(SessionById(sid)).await.unwrap().is_none());
    scene.refresh("refresh", &used).await.expect(200);
}

#[tokio::test]
async fn more_sessions_than_a_slice_go_in_one_pass_and_whoever_serves_goes_on() {
    let scene = Scene::new().await;
    let login = scene.login("refresh").await;
    let kept = scene.held(&login.text("refresh_token")).await.session;
    let many = SLICE * 2 + 7;
    for n in 0..many {
        let sid = SessionId::from_bytes(((n as u128 * 7 + 1) << 64).to_be_bytes());
        let over = Session { sid, rev: Rev::NEW, idle_at: kept.created_at, ..kept.clone() };
        scene.app.store.commit(Changes::none().write(Row::Session(over))).await.unwrap();
    }
    scene.advance(DAY + scene.app.horizon().await.unwrap());
    let (gone, answered) = tokio::join!(purged(&scene), scene.login("fixed"));
    assert_eq!((gone.sessions, answered.status.as_u16()), (many as u64, 200));
    let left = scene.app.store.read(SessionLimits { after: None, limit: 9 }).await.unwrap();
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn a_session_that_is_used_while_it_is_looked_at_stays() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    scene.advance(DAY);
    let held = scene.held(&token).await.session;
    scene.refresh("refresh", &token).await.expect(200);
    let stale = Changes::none().delete(remint_core::change::RowKey::Session(held.sid), held.rev);
    let answer = scene.app.store.commit(stale).await.unwrap();
    assert!(matches!(answer, remint::store::Commit::Conflict { .. }), "{answer:?}");
    assert_eq!(purged(&scene).await, Purged::default());
}

#[tokio::test]
async fn forgotten_events_go_a_place_before_them_gets_a_snapshot_and_the_last_place_goes_on() {
    let scene = Scene::new().await;
    let account = scene.login("rolling").await.text("account_token");
    for name in ["a", "b", "c"] {
        scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": name})).await.expect(200);
    }
    let events = scene.app.store.read(FeedAfter { seq: 0, limit: 9 }).await.unwrap();
    let (second, last) = (events[1].cursor.to_string(), events[2].cursor.to_string());
    assert!(follow(&scene, Some(&second)).await.resumed);
    scene.advance(scene.app.horizon().await.unwrap() + DAY);
    assert_eq!(purged(&scene).await.events, 0, "a verifier of the greatest leeway may serve what they concern");
    scene.advance(Duration::from_secs(60));
    assert_eq!(purged(&scene).await.events, 2);
    let heard = follow(&scene, Some(&second)).await;
    assert!(!heard.resumed && heard.snapshot.is_empty(), "{heard:?}");
    assert_eq!(heard.place, last);
    assert!(follow(&scene, Some(&last)).await.resumed, "whoever has heard all of it is told nothing twice");
    let again = scene.login("rolling").await.text("account_token");
    scene.bare(Method::DELETE, "/session", Some(&again)).await.expect(204);
    assert_eq!(scene.app.store.read(FeedHead).await.unwrap().seq, 4, "numbers go on");
}

#[tokio::test]
async fn counters_that_expired_go_and_one_that_counts_again_stays() {
    let scene = Scene::new().await;
    let take = |key: &str| Take { key: key.into(), limit: 9, window: Duration::from_secs(60), at: scene.clock.now() };
    scene.app.store.commit(Changes::none().take(take("old")).take(take("again"))).await.unwrap();
    scene.advance(DAY);
    scene.app.store.commit(Changes::none().take(take("again"))).await.unwrap();
    assert_eq!(purged(&scene).await.counters, 0);
    scene.advance(Duration::from_secs(60));
    assert_eq!(purged(&scene).await.counters, 1);
    let left = scene.app.store.read(CounterLimits { after: String::new(), limit: 9 }).await.unwrap();
    assert_eq!(left.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["again"]);
}

#[tokio::test]
async fn codes_that_expired_go_in_slices_and_one_that_can_still_be_shown_stays() {
    let scene = Scene::new().await;
    let many = SLICE + 7;
    let sent = |n: usize| {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&(n as u64).to_be_bytes());
        let asking = Asking {
            id: ChallengeToken::from_random(random).id(),
            user: scene.ada,
            purpose: Purpose::Verification { session: SessionId::from_bytes([1; 16]), replaces: None },
            target: "+441632960011".parse().unwrap(),
        };
        let (code, salt, key) = (Code::from_random([3; 16]), Salt::from_bytes([5; 16]), MacKey::from_bytes(&[4; 32]));
        Challenge::new(asking, Rev::NEW, &code, salt, &key, scene.clock.now())
    };
    for n in 0..many {
        scene.app.store.commit(Changes::none().write(Row::Challenge(sent(n)))).await.unwrap();
    }
    scene.advance(DAY);
    assert_eq!(purged(&scene).await.challenges, 0);
    let last = sent(many);
    let id = last.id;
    scene.app.store.commit(Changes::none().write(Row::Challenge(last))).await.unwrap();
    scene.advance(CODE_LIFE);
    assert_eq!(purged(&scene).await.challenges, many as u64);
    assert!(scene.app.store.read(ChallengeById(id)).await.unwrap().is_some());
}

#[tokio::test]
async fn nothing_goes_while_the_time_is_in_doubt() {
    let scene = Scene::new().await;
    let login = scene.login("refresh").await;
    scene.bare(Method::DELETE, "/session", Some(&login.text("account_token"))).await.expect(204);
    scene.advance(ENDED_KEPT);
    scene.app.doubt.arises(scene.clock.now());
    assert_eq!(purged(&scene).await, Purged::default(), "the clock was moved: it may have been moved wrongly");
    scene.advance(Duration::from_secs(600));
    assert_eq!(purged(&scene).await.sessions, 1);
}
