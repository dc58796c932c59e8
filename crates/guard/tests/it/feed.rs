//! What the guard learns from the feed, how soon, and what it does when it learns nothing.

use super::*;
use http::StatusCode;
use remint_guard::core::event::{Cause, Event, Initiator};
use remint_guard::core::id::{Jti, SessionId, UserId};
use remint_guard::core::session::EndReason;
use remint_guard::testing::{CLIENT_ID, SECRET};
use remint_guard::{Feed, OnLag, Reject, StaleClaims, Standing};

const LATER: Timestamp = Timestamp::from_secs(NOON.secs() + 86_400);
const ADA: UserId = UserId::from_bytes([0xad; 16]);
const SID: SessionId = SessionId::from_bytes([0x51; 16]);

fn session_ended(reason: EndReason) -> Event {
    Event::SessionEnded { sid: SID, reason, forget_after: LATER }
}

fn claims_changed(cv: u64) -> Event {
    let (names, cause, who) = (vec!["nickname".parse().unwrap()], Cause::Attributes, Initiator::User);
    Event::ClaimsChanged { sub: ADA, cv, names, cause, who, forget_after: LATER }
}

fn user_ended(cv: u64) -> Event {
    Event::UserEnded { sub: ADA, cv, reason: EndReason::Everywhere, forget_after: LATER }
}

fn feed() -> Feed {
    Feed::new(CLIENT_ID, SECRET)
}

/// Waits for something that the other side of a socket brings about.
async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_session_that_ended_is_refused_at_once_with_its_reason() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    let api = api(RemintLayer::new(verifier.clone()));
    let token = issuer.token("ada").user(ADA).sid(SID).mint();
    assert_eq!(call(&api, "/me", Some(&token)).await.status(), 200);
    let place = issuer.publish(&session_ended(EndReason::Theft));
    verifier.heard(place.seq).await;
    let answer = call(&api, "/me", Some(&token)).await;
    assert_eq!(refusal(&answer), (401, &*invalid_token("session ended: theft")));
    assert_eq!(call(&api, "/me", Some(&issuer.token("ada").user(ADA).mint())).await.status(), 200, "another session");
}

#[tokio::test]
async fn what_ended_before_the_guard_started_is_in_the_snapshot() {
    let (issuer, _) = issuer().await;
    issuer.publish(&session_ended(EndReason::Logout));
    (0..1200).for_each(|n: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        issuer.publish(&Event::TokenEnded { jti: Jti::from_bytes(id), forget_after: LATER });
    });
    let verifier = ready(issuer.verifier()).await;
    let token = issuer.token("ada").user(ADA).sid(SID).mint();
    assert_eq!(verifier.verify(&token).await.unwrap_err(), Reject::Ended { reason: EndReason::Logout });
    let mut last = [0; 16];
    last[..4].copy_from_slice(&1199_u32.to_be_bytes());
    let revoked = issuer.token("service").without_session().jti(Jti::from_bytes(last)).mint();
    assert_eq!(verifier.verify(&revoked).await.unwrap_err(), Reject::Revoked);
}

#[tokio::test]
async fn a_changed_record_makes_older_tokens_stale_and_names_the_version_that_is_needed() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    let api = api(RemintLayer::new(verifier.clone()));
    let (old, new) = (issuer.token("a").user(ADA).cv(4).mint(), issuer.token("a").user(ADA).cv(5).mint());
    assert_eq!(call(&api, "/me", Some(&old)).await.status(), 200);
    verifier.heard(issuer.publish(&claims_changed(5)).seq).await;
    let answer = call(&api, "/me", Some(&old)).await;
    assert_eq!(refusal(&answer), (401, &*invalid_token("stale claims")));
    assert_eq!(answer.headers()["remint-renew"], "5");
    assert_eq!(call(&api, "/me", Some(&new)).await.status(), 200);
}

#[tokio::test]
async fn an_api_may_serve_stale_claims_with_a_hint_but_never_dead_ones() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier().stale_claims(StaleClaims::Hint)).await;
    let api = api(RemintLayer::new(verifier.clone()));
    let token = issuer.token("a").user(ADA).cv(4).mint();
    verifier.heard(issuer.publish(&claims_changed(5)).seq).await;
    let answer = call(&api, "/me", Some(&token)).await;
    assert_eq!((answer.status(), &answer.headers()["remint-renew"]), (StatusCode::OK, &"5".parse().unwrap()));
    verifier.heard(issuer.publish(&user_ended(5)).seq).await;
    let answer = call(&api, "/me", Some(&token)).await;
    assert_eq!(refusal(&answer), (401, &*invalid_token("session ended: everywhere")));
    let next = issuer.token("a").user(ADA).cv(5).client("test-client", 1).mint();
    assert_eq!(call(&api, "/me", Some(&next)).await.status(), 200);
    let changed = Event::ClientChanged { client_id: "test-client".parse().unwrap(), pv: 2, forget_after: LATER };
    verifier.heard(issuer.publish(&changed).seq).await;
    let answer = call(&api, "/me", Some(&next)).await;
    assert_eq!(refusal(&answer), (401, &*invalid_token("stale claims")), "settings of the client are never a hint");
    assert_eq!(answer.headers()["remint-renew"], "5");
}

#[tokio::test]
async fn a_withdrawn_key_is_not_believed_from_then_on() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    let token = issuer.token("ada").mint();
    assert!(verifier.verify(&token).await.is_ok());
    let kid = issuer.rotate_key();
    verifier.heard(issuer.publish(&Event::KeyWithdrawn { kid, forget_after: LATER }).seq).await;
    assert_eq!(verifier.verify(&token).await.unwrap_err(), Reject::KeyWithdrawn);
}

#[tokio::test]
async fn after_a_break_the_feed_goes_on_where_it_was_without_a_second_snapshot() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    verifier.heard(issuer.publish(&claims_changed(2)).seq).await;
    issuer.close_feed(true);
    issuer.break_feed();
    until(|| issuer.followers() == 0).await;
    let missed = issuer.publish(&session_ended(EndReason::Revoked));
    issuer.close_feed(false);
    verifier.heard(missed.seq).await;
    let token = issuer.token("ada").user(ADA).sid(SID).mint();
    assert_eq!(verifier.verify(&token).await.unwrap_err(), Reject::Ended { reason: EndReason::Revoked });
    assert_eq!(issuer.snapshots(), 1);
}

#[tokio::test]
async fn another_history_brings_a_snapshot_that_replaces_all_that_was_known() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    verifier.heard(issuer.publish(&session_ended(EndReason::Logout)).seq).await;
    let token = issuer.token("ada").user(ADA).sid(SID).cv(1).mint();
    assert!(verifier.verify(&token).await.is_err());
    issuer.lose_history([9; 16]);
    issuer.publish(&claims_changed(7));
    issuer.break_feed();
    until(|| issuer.snapshots() == 2 && verifier.standing() == Some(Standing::Fresh)).await;
    let known = || async { verifier.verify(&token).await.err() };
    while known().await == Some(Reject::Ended { reason: EndReason::Logout }) {
        tokio::task::yield_now().await;
    }
    assert_eq!(known().await, Some(Reject::StaleClaims { have: 1, need: 7 }));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_loses_the_feed_until_the_next_snapshot() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    issuer.send_raw("event: session-ended\ndata: {}\n\n");
    until(|| issuer.snapshots() == 2 && verifier.standing() == Some(Standing::Fresh)).await;
}

#[tokio::test]
async fn silence_is_served_as_the_owner_chose_and_ends_when_the_feed_is_back() {
    let (issuer, clock) = issuer().await;
    let (ten, sixty) = (Duration::from_secs(10), Duration::from_secs(60));
    let chosen = feed().lagging_after(ten, OnLag::Serve).lost_after(sixty, OnLag::Refuse);
    let verifier = ready(issuer.verifier_without_feed().feed(chosen)).await;
    let api = api(RemintLayer::new(verifier.clone()));
    let token = issuer.token("ada").lives(Duration::from_secs(3600)).mint();
    issuer.close_feed(true);
    issuer.break_feed();
    until(|| issuer.followers() == 0).await;
    assert_eq!(verifier.standing(), Some(Standing::Fresh));
    clock.advance(Duration::from_secs(11));
    assert_eq!(verifier.standing(), Some(Standing::Lagging));
    assert_eq!(call(&api, "/me", Some(&token)).await.status(), 200);
    clock.advance(Duration::from_secs(50));
    assert_eq!(verifier.standing(), Some(Standing::Lost));
    let answer = call(&api, "/me", Some(&token)).await;
    assert_eq!(refusal(&answer), (503, ""), "no challenge: the token may well be good");
    assert_eq!(answer.headers()["retry-after"], "1");
    issuer.close_feed(false);
    until(|| verifier.standing() == Some(Standing::Fresh)).await;
    assert_eq!(call(&api, "/me", Some(&token)).await.status(), 200);
}

#[tokio::test]
async fn a_greeting_that_says_that_nothing_was_missed_ends_the_silence() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    issuer.silence_feed(true);
    issuer.close_feed(true);
    issuer.break_feed();
    until(|| issuer.followers() == 0).await;
    clock.advance(Duration::from_secs(61));
    assert_eq!(verifier.standing(), Some(Standing::Lost));
    issuer.close_feed(false);
    until(|| verifier.standing() == Some(Standing::Fresh)).await;
    assert_eq!(issuer.snapshots(), 1);
}

#[tokio::test]
async fn a_machine_that_slept_knows_that_it_does_not_know() {
    let (issuer, clock) = issuer().await;
    let strict = feed().lagging_after(Duration::from_secs(10), OnLag::Refuse);
    let verifier = ready(issuer.verifier_without_feed().feed(strict)).await;
    issuer.close_feed(true);
    issuer.break_feed();
    until(|| issuer.followers() == 0).await;
    clock.set_wall(NOON.plus(Duration::from_secs(30))); // asleep: the monotonic clock stood still
    assert_eq!(verifier.standing(), Some(Standing::Lagging));
    assert_eq!(verifier.verify(&issuer.token("ada").mint()).await.unwrap_err(), Reject::FeedLagging);
}

#[tokio::test]
async fn a_feed_that_was_never_heard_is_lost() {
    let (issuer, _) = issuer().await;
    let wrong = Feed::new(CLIENT_ID, "wrong");
    let verifier = issuer.verifier_without_feed().feed(wrong).build().unwrap();
    assert_eq!(verifier.verify(&issuer.token("ada").mint()).await.unwrap_err(), Reject::FeedLagging);
    assert_eq!(verifier.standing(), Some(Standing::Lost));
    let serving = feed().lost_after(Duration::from_secs(60), OnLag::Serve);
    issuer.close_feed(true);
    let verifier = issuer.verifier_without_feed().feed(serving).build().unwrap();
    assert!(verifier.verify(&issuer.token("ada").mint()).await.is_ok());
}

#[tokio::test]
async fn while_the_feed_is_silent_the_issuer_can_be_asked_about_each_token() {
    let (issuer, clock) = issuer().await;
    let asking = feed()
        .lagging_after(Duration::from_secs(10), OnLag::Introspect)
        .lost_after(Duration::from_secs(60), OnLag::Introspect);
    let verifier = ready(issuer.verifier_without_feed().feed(asking)).await;
    let (good, ended, known) =
        (issuer.token("ada").mint(), issuer.token("ada").mint(), issuer.token("ada").sid(SID).mint());
    assert!(verifier.verify(&ended).await.is_ok());
    verifier.heard(issuer.publish(&session_ended(EndReason::Theft)).seq).await;
    assert_eq!(issuer.introspections(), 0, "a feed that is heard is enough");
    issuer.close_feed(true);
    issuer.break_feed();
    until(|| issuer.followers() == 0).await;
    issuer.end_token(&ended);
    for seconds in [11, 50] {
        clock.advance(Duration::from_secs(seconds)); // lagging, then lost
        assert!(verifier.verify(&good).await.is_ok());
        assert_eq!(verifier.verify(&ended).await.unwrap_err(), Reject::Inactive);
        let asked = issuer.introspections();
        let theft = Reject::Ended { reason: EndReason::Theft };
        assert_eq!(verifier.verify(&known).await.unwrap_err(), theft, "what was known stays known");
        assert_eq!(issuer.introspections(), asked, "and nobody is asked for it");
    }
    let api = api(RemintLayer::new(verifier.clone()));
    assert_eq!(
        refusal(&call(&api, "/me", Some(&ended)).await),
        (401, &*invalid_token("the token is not active any more"))
    );
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_about_a_token_logs_nobody_out() {
    let (issuer, _) = issuer().await;
    let wrong = Feed::new(CLIENT_ID, "wrong").lost_after(Duration::from_secs(60), OnLag::Introspect);
    let verifier = issuer.verifier_without_feed().feed(wrong).build().unwrap();
    assert_eq!(verifier.verify(&issuer.token("ada").mint()).await.unwrap_err(), Reject::FeedLagging);
}

#[tokio::test]
async fn the_advice_on_leeway_comes_with_the_feed() {
    let (issuer, clock) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    let token = issuer.token("ada").lives(Duration::from_secs(2)).mint();
    clock.advance(Duration::from_secs(6));
    assert!(verifier.verify(&token).await.is_ok(), "the test issuer advises 5 s");
    clock.advance(Duration::from_secs(1));
    assert_eq!(verifier.verify(&token).await.unwrap_err(), Reject::Expired);
}

#[tokio::test]
async fn the_last_verifier_ends_its_tasks() {
    let (issuer, _) = issuer().await;
    let verifier = ready(issuer.verifier()).await;
    until(|| issuer.followers() == 1).await;
    drop(verifier);
    until(|| issuer.followers() == 0).await;
}
