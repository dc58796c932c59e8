//! `remint-guard` beside the real server, over TCP, while only the feed cannot be heard: what the issuer says of a token
//! (`/oauth2/introspect`) decides in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use remint::clock::Clock;
use remint_guard::{Feed, OnLag, Reject, Verifier};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::scene::{Scene, secret};

/// What lies between an API and its issuer: it can swallow the feed, and counts who asks about tokens.
struct Between {
    feed_is_cut: watch::Sender<bool>,
    asked: AtomicUsize,
}

async fn between(State(between): State<Arc<Between>>, request: Request, next: Next) -> Response {
    match request.uri().path() {
        "/feed" if *between.feed_is_cut.borrow() => StatusCode::BAD_GATEWAY.into_response(),
        "/feed" => {
            let mut cut = between.feed_is_cut.subscribe();
            let until_cut = async move { drop(cut.wait_for(|cut| *cut).await) };
            let response = next.run(request).await;
            response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(until_cut))))
        }
        path => {
            if path == "/oauth2/introspect" {
                between.asked.fetch_add(1, Ordering::SeqCst);
            }
            next.run(request).await
        }
    }
}

#[tokio::test]
async fn while_only_the_feed_is_cut_the_server_is_asked_about_each_token_and_an_ended_session_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let scene = Scene::with(|settings| settings.issuer = issuer.parse().unwrap()).await;
    scene.clock.set(Clock::system().now()); // the guard reads its own
    let wire = Arc::new(Between { feed_is_cut: watch::Sender::new(false), asked: AtomicUsize::new(0) });
    let router = scene.router.clone().layer(from_fn_with_state(wire.clone(), between));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });

    let soon = Duration::from_millis(1); // of silence: as soon as it is cut
    let feed = Feed::new("demo-api", secret().reveal())
        .lagging_after(soon, OnLag::Introspect)
        .lost_after(soon, OnLag::Introspect);
    let verifier = Verifier::builder(issuer).audience("demo-api").feed(feed).build().unwrap();
    verifier.ready().await;
    let (going, staying) = (scene.login("fixed").await.expect(200), scene.login("fixed").await.expect(200));
    let (gone, stays) = (going.text("access_token"), staying.text("access_token"));
    for token in [&gone, &stays] {
        verifier.verify(token).await.unwrap();
    }
    wire.feed_is_cut.send_replace(true);
    scene.bare(Method::DELETE, "/session", Some(&going.text("account_token"))).await.expect(204);
    let before = wire.asked.load(Ordering::SeqCst);
    assert_eq!(verifier.verify(&gone).await.unwrap_err(), Reject::Inactive);
    verifier.verify(&stays).await.unwrap();
    assert_eq!(wire.asked.load(Ordering::SeqCst), before + 2, "each of them was asked about");

    serving.abort();
    let _ = serving.await;
    let unknown = loop {
        // A connection that was open may still be answered.
        match verifier.verify(&stays).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(unknown) => break unknown,
        }
    };
    assert_eq!(unknown, Reject::FeedLagging, "nobody is logged out because nobody answers");
}
