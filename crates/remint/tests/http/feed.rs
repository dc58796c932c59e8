//! `/feed`: what an api must know, in order, resumable, for its own audience only.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use remint_core::event::Event;
use remint_core::feed::{Frame, FrameReader, Message};
use serde_json::json;
use tower::ServiceExt as _;

use crate::scene::{Scene, secret};

/// A follower, as a guard is one.
struct Follower {
    body: Body,
    reader: FrameReader,
    frames: std::collections::VecDeque<Frame>,
}

fn request(api: &str, secret: &str, last: Option<&str>) -> Request<Body> {
    let basic = STANDARD.encode(format!("{api}:{secret}"));
    let mut request = Request::get("/feed").header("authorization", format!("Basic {basic}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.body(Body::empty()).unwrap()
}

impl Follower {
    async fn of(scene: &Scene, api: &str, last: Option<&str>) -> Self {
        let response = scene.router.clone().oneshot(request(api, secret().reveal(), last)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), reader: FrameReader::default(), frames: Default::default() }
    }

    /// The next message that is no heartbeat.
    async fn next(&mut self) -> Message {
        loop {
            while let Some(frame) = self.frames.pop_front() {
                match Message::read(&frame).unwrap() {
                    Message::Heartbeat(_) => {}
                    message => return message,
                }
            }
            let data = self.body.frame().await.expect("the feed goes on").unwrap().into_data().unwrap();
            self.frames.extend(self.reader.push(&data).unwrap());
        }
    }

    async fn event(&mut self) -> (String, Event) {
        match self.next().await {
            Message::Live { cursor, event } => (cursor.to_string(), event),
            other => panic!("{other:?}"),
        }
    }

    async fn until_snapshot_ends(&mut self) -> (bool, Vec<Event>, String) {
        let Message::Hello(hello) = self.next().await else { panic!("hello first") };
        let mut events = Vec::new();
        if hello.resumed {
            return (true, events, hello.cursor.to_string());
        }
        loop {
            match self.next().await {
                Message::Snapshot(part) => events.extend(part),
                Message::SnapshotEnd(cursor) => return (false, events, cursor.to_string()),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn short_heartbeat(settings: &mut remint::settings::Settings) {
    settings.heartbeat = Duration::from_millis(20);
}

#[tokio::test]
async fn a_change_and_an_ending_reach_the_follower_in_order() {
    let scene = Scene::with(short_heartbeat).await;
    let mut follower = Follower::of(&scene, "demo-api", None).await;
    let (resumed, past, _) = follower.until_snapshot_ends().await;
    assert!(!resumed && past.is_empty());
    let login = scene.login("rolling").await;
    let account = login.text("account_token");
    scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": "x"})).await.expect(200);
    scene.bare(Method::DELETE, "/session", Some(&account)).await.expect(204);
    let (_, first) = follower.event().await;
    assert!(matches!(first, Event::ClaimsChanged { cv: 2, .. }), "{first:?}");
    let (_, second) = follower.event().await;
    let Event::SessionEnded { sid, .. } = second else { panic!("{second:?}") };
    assert_eq!(json!(sid), login.claims()["sid"]);
}

#[tokio::test]
async fn a_follower_goes_on_where_it_was_and_another_history_gets_a_snapshot() {
    let scene = Scene::with(short_heartbeat).await;
    let mut follower = Follower::of(&scene, "demo-api", None).await;
    let (_, _, start) = follower.until_snapshot_ends().await;
    let account = scene.login("rolling").await.text("account_token");
    for name in ["a", "b", "c"] {
        scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": name})).await.expect(200);
    }
    let (place, _) = follower.event().await;
    drop(follower);
    let mut again = Follower::of(&scene, "demo-api", Some(&place)).await;
    assert!(again.until_snapshot_ends().await.0);
    assert!(matches!(again.event().await.1, Event::ClaimsChanged { cv: 3, .. }));
    assert!(matches!(again.event().await.1, Event::ClaimsChanged { cv: 4, .. }));
    let (seq, chain) = place.split_once('-').unwrap();
    let other_history = format!("{seq}-{}", chain.chars().rev().collect::<String>());
    for foreign in [other_history.as_str(), &format!("99-{chain}"), "garbage"] {
        let mut stranger = Follower::of(&scene, "demo-api", Some(foreign)).await;
        let (resumed, past, _) = stranger.until_snapshot_ends().await;
        assert!(!resumed, "{foreign}");
        assert_eq!(past.len(), 3, "{foreign}");
    }
    let mut from_start = Follower::of(&scene, "demo-api", Some(&start)).await;
    assert!(from_start.until_snapshot_ends().await.0, "the place before the first event is a place");
    assert!(matches!(from_start.event().await.1, Event::ClaimsChanged { cv: 2, .. }));
}

#[tokio::test]
async fn the_feed_goes_on_after_a_restart() {
    let scene = Scene::with(short_heartbeat).await;
    let account = scene.login("rolling").await.text("account_token");
    let mut follower = Follower::of(&scene, "demo-api", None).await;
    follower.until_snapshot_ends().await;
    scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": "a"})).await.expect(200);
    let (place, _) = follower.event().await;
    drop(follower);
    let scene = scene.restarted().await;
    let mut again = Follower::of(&scene, "demo-api", Some(&place)).await;
    assert!(again.until_snapshot_ends().await.0);
    scene.json(Method::PATCH, "/account", Some(&account), json!({"nickname": "b"})).await.expect(200);
    assert!(matches!(again.event().await.1, Event::ClaimsChanged { cv: 3, .. }));
}

#[tokio::test]
async fn only_an_apis_own_credential_opens_the_feed() {
    let scene = Scene::new().await;
    for wrong in [
        request("demo-api", "wrong", None),
        request("nobody", secret().reveal(), None),
        request("service", secret().reveal(), None),
        Request::get("/feed").body(Body::empty()).unwrap(),
        Request::get("/feed").header("authorization", "Bearer x").body(Body::empty()).unwrap(),
    ] {
        let refused = scene.send(wrong).await.expect(401);
        assert_eq!(refused.body["error"], "invalid_client");
        assert_eq!(refused.header("access-control-allow-origin"), "");
    }
}
