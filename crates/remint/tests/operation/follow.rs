//! A guard, as far as the feed is concerned: it follows, and says what it heard first.

use axum::body::Body;
use base64::Engine as _;
use http::Request;
use http_body_util::BodyExt as _;
use remint_core::event::Event;
use remint_core::feed::{FrameReader, Message};
use tower::ServiceExt as _;

use crate::scene::{Scene, secret};

/// What the feed says to whoever comes with this place.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Whether it goes on from there.
    pub(crate) resumed: bool,
    /// The events of the snapshot, where there was one.
    pub(crate) snapshot: Vec<Event>,
    /// The place after it.
    pub(crate) place: String,
}

/// Follows as `demo-api` until the state is known.
pub(crate) async fn follow(scene: &Scene, last: Option<&str>) -> Heard {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("demo-api:{}", secret().reveal()));
    let mut request = Request::get("/feed").header("authorization", format!("Basic {basic}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = scene.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    heard(response.into_body()).await
}

async fn heard(mut body: Body) -> Heard {
    let (mut reader, mut snapshot) = (FrameReader::default(), Vec::new());
    loop {
        let data = body.frame().await.expect("the feed goes on").unwrap().into_data().unwrap();
        for frame in reader.push(&data).unwrap() {
            match Message::read(&frame).unwrap() {
                Message::Hello(hello) if hello.resumed => {
                    return Heard { resumed: true, snapshot, place: hello.cursor.to_string() };
                }
                Message::Snapshot(part) => snapshot.extend(part),
                Message::SnapshotEnd(place) => return Heard { resumed: false, snapshot, place: place.to_string() },
                Message::Hello(_) | Message::Live { .. } | Message::Heartbeat(_) | Message::Unknown(_) => {}
            }
        }
    }
}
