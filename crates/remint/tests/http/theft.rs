//! A stolen refresh token becomes visible, and ends the session in the commit that tells the feed.

use std::time::Duration;

use remint::store::{FeedAfter, FeedHead};
use remint_core::session::{EndReason, State};

use crate::scene::Scene;

const PAST_R: Duration = Duration::from_secs(31);

#[tokio::test]
async fn an_old_token_ends_the_family_and_the_feed_hears_of_it_in_the_same_commit() {
    let scene = Scene::new().await;
    let stolen = scene.login("refresh").await.text("refresh_token");
    scene.advance(PAST_R);
    let second = scene.refresh("refresh", &stolen).await.expect(200).text("refresh_token");
    scene.advance(PAST_R);
    let third = scene.refresh("refresh", &second).await.expect(200).text("refresh_token");
    let before = scene.app.store.read(FeedHead).await.unwrap();
    let caught = scene.refresh("refresh", &stolen).await.expect(400);
    assert_eq!(caught.body["error_description"], "session ended: theft");
    let session = scene.held(&stolen).await.session;
    assert!(matches!(session.state, State::Ended { reason: EndReason::Theft, .. }));
    let events = scene.app.store.read(FeedAfter { seq: before.seq, limit: 10 }).await.unwrap();
    assert_eq!(events.len(), 1);
    assert!(events[0].text.contains(&session.sid.to_string()) && events[0].text.contains("theft"));
    for token in [&stolen, &second, &third] {
        let ended = scene.refresh("refresh", token).await.expect(400);
        assert_eq!(ended.body["error_description"], "session ended: theft", "a lost answer about theft repeats");
    }
    let after = scene.app.store.read(FeedHead).await.unwrap();
    assert_eq!(after.seq, before.seq + 1, "told once");
}

#[tokio::test]
async fn the_dead_branch_ends_the_family() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.text("refresh_token");
    scene.advance(PAST_R);
    let thiefs = scene.refresh("refresh", &token).await.expect(200).text("refresh_token");
    scene.advance(PAST_R);
    let victims = scene.refresh("refresh", &token).await.expect(200).text("refresh_token");
    assert_ne!(thiefs, victims, "after the window the victim gets a branch of its own");
    let caught = scene.refresh("refresh", &thiefs).await.expect(400);
    assert_eq!(caught.body["error_description"], "session ended: theft");
    scene.refresh("refresh", &victims).await.expect(400);
}
