//! `/feed`: what an api must know, in order, resumable, for its own audience only.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use remint::store::ApiById;
use remint_core::change::{Changes, Row};
use remint_core::client::Api;
use remint_core::event::{Concerns, Event, Notice};
use remint_core::feed::{Frame, FrameReader, Message};
use remint_core::id::SessionId;
use remint_core::ledger::MAX_LEEWAY;
use remint_core::secret::ClientSecret;
use remint_core::session::EndReason;
use remint_core::time::Timestamp;
use serde_json::json;
use tower::ServiceExt as _;

use crate::scene::{START, Scene, secret};

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

    /// Whether the next thing heard is a heartbeat.
    async fn heartbeat(&mut self) -> bool {
        while self.frames.is_empty() {
            let data = self.body.frame().await.expect("the feed goes on").unwrap().into_data().unwrap();
            self.frames.extend(self.reader.push(&data).unwrap());
        }
        let frame = self.frames.pop_front().unwrap();
        matches!(Message::read(&frame).unwrap(), Message::Heartbeat(_))
    }

    /// Whether the server ends the stream within some heartbeats.
    async fn ends(mut self) -> bool {
        for _ in 0..50 {
            if self.body.frame().await.is_none() {
                return true;
            }
        }
        false
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

/// An ending that concerns one api, to be forgotten a while after the start.
fn ended(n: u32, audience: &str, forget_after: Timestamp) -> Notice {
    let mut sid = [0; 16];
    sid[..4].copy_from_slice(&n.to_be_bytes());
    let (sid, reason) = (SessionId::from_bytes(sid), EndReason::Logout);
    let concerns = Concerns::Only(vec![audience.parse().unwrap()]);
    Notice { event: Event::SessionEnded { sid, reason, forget_after }, concerns, at: START }
}

const LATER: Timestamp = Timestamp::from_secs(START.secs() + 900);

#[tokio::test]
async fn what_happens_to_other_apis_does_not_withhold_the_heartbeat() {
    let scene = Scene::with(short_heartbeat).await;
    let mut quiet = Follower::of(&scene, "other-api", None).await;
    quiet.until_snapshot_ends().await;
    let busy = async {
        for n in 0..300 {
            scene.commit(Changes::none().notice(ended(n, "demo-api", LATER))).await;
        }
        false
    };
    let heard = tokio::select! {
        heartbeat = quiet.heartbeat() => heartbeat,
        heard = busy => heard,
    };
    assert!(heard, "300 events of others and no heartbeat");
}

#[tokio::test]
async fn a_snapshot_of_many_parts_tells_everything_once_and_goes_on_without_a_gap() {
    let scene = Scene::with(short_heartbeat).await;
    let told = |range: std::ops::Range<u32>| {
        range.fold(Changes::none(), |changes, n| {
            let audience = if n % 3 == 0 { "other-api" } else { "demo-api" };
            changes.notice(ended(n, audience, LATER))
        })
    };
    scene.commit(told(0..1800)).await;
    let mut follower = Follower::of(&scene, "demo-api", None).await;
    scene.commit(told(1800..2400)).await; // while the snapshot is being sent
    let (resumed, past, _) = follower.until_snapshot_ends().await;
    assert!(!resumed);
    let concerning =
        |range: std::ops::Range<u32>| range.filter(|n| n % 3 != 0).map(|n| ended(n, "demo-api", LATER).event);
    assert_eq!(past, concerning(0..1800).collect::<Vec<_>>());
    for expected in concerning(1800..2400) {
        assert_eq!(follower.event().await.1, expected);
    }
}

#[tokio::test]
async fn a_snapshot_is_not_made_before_it_is_read() {
    // given a follower that was greeted and has read nothing
    let scene = Scene::with(short_heartbeat).await;
    scene.commit(Changes::none().notice(ended(1, "demo-api", LATER))).await;
    let mut follower = Follower::of(&scene, "demo-api", None).await;
    assert!(matches!(follower.next().await, Message::Hello(_)));
    // when the store is gone, then there was no snapshot in waiting
    scene.app.store.clone().close().await;
    while let Some(frame) = follower.body.frame().await {
        let frames = follower.reader.push(&frame.unwrap().into_data().unwrap()).unwrap();
        assert!(frames.iter().all(|frame| matches!(Message::read(frame).unwrap(), Message::Heartbeat(_))));
    }
}

#[tokio::test]
async fn a_snapshot_tells_what_the_leeway_of_verifiers_keeps_alive() {
    let scene = Scene::with(short_heartbeat).await;
    let at = |secs| START.plus(Duration::from_secs(secs));
    let changes = Changes::none().notice(ended(1, "demo-api", at(10))).notice(ended(2, "demo-api", at(11)));
    scene.commit(changes).await;
    scene.clock.set(at(10).plus(MAX_LEEWAY));
    let (_, past, _) = Follower::of(&scene, "demo-api", None).await.until_snapshot_ends().await;
    assert_eq!(past, [ended(2, "demo-api", at(11)).event], "the first concerns nobody any more, the second does");
}

#[tokio::test]
async fn a_new_secret_of_the_api_ends_the_streams_that_the_old_one_opened() {
    let scene = Scene::with(short_heartbeat).await;
    let (rotated, other) =
        (Follower::of(&scene, "demo-api", None).await, &mut Follower::of(&scene, "other-api", None).await);
    let api = scene.app.store.read(ApiById("demo-api".parse().unwrap())).await.unwrap().unwrap();
    let secret = ClientSecret::presented("another secret, forty-three characters long").hash();
    scene.commit(Changes::none().write(Row::Api(Api { secret, ..(*api).clone() }))).await;
    assert!(rotated.ends().await);
    other.until_snapshot_ends().await;
    assert!(other.heartbeat().await && other.heartbeat().await, "the credential of others is as it was");
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
