//! `GET /session/events`: a page hears that its own session ended or its record changed, and nothing else.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use remint_core::change::{Changes, Row};
use remint_core::client::Client;
use remint_core::session::Session;
use serde_json::json;
use tower::ServiceExt as _;

use crate::scene::{Scene, from_page, header, with_token};

struct Page(Body);

impl Page {
    async fn of(scene: &Scene, request: Request<Body>) -> Self {
        let response = scene.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self(response.into_body())
    }

    /// The next frame that is no sign of life; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            let data = self.0.frame().await?.unwrap().into_data().unwrap();
            if data.as_ref() != b":\n\n" {
                return Some(String::from_utf8(data.to_vec()).unwrap());
            }
        }
    }
}

fn by_token(token: &str) -> Request<Body> {
    with_token(Request::get("/session/events"), Some(token)).body(Body::empty()).unwrap()
}

fn by_cookie(cookie: &str) -> Request<Body> {
    from_page(Method::GET, "/session/events", cookie, None)
}

fn changed(cv: u64) -> Option<String> {
    Some(format!("event: claims-changed\ndata: {{\"cv\":{cv}}}\n\n"))
}

fn ended(reason: &str) -> Option<String> {
    Some(format!("event: ended\ndata: {{\"reason\":\"{reason}\"}}\n\n"))
}

async fn ends(mut page: Page, reason: &str) {
    assert_eq!(page.next().await, ended(reason));
    assert_eq!(page.next().await, None, "the stream ends with the session");
}

#[tokio::test]
async fn a_page_hears_of_its_record_and_of_its_end_by_token_and_by_cookie() {
    let scene = Scene::new().await;
    let token = scene.login("refresh").await.expect(200).text("account_token");
    let cookie = scene.login("web").await.expect(200).cookie();
    let mut pages = [Page::of(&scene, by_token(&token)).await, Page::of(&scene, by_cookie(&cookie)).await];
    for page in &mut pages {
        assert_eq!(page.next().await, changed(1), "the version that is now comes first");
    }
    scene.json(Method::PATCH, "/account", Some(&token), json!({"nickname": "x"})).await.expect(200);
    for page in &mut pages {
        assert_eq!(page.next().await, changed(2));
    }
    let [tokens, cookies] = pages;
    scene.bare(Method::DELETE, "/session", Some(&token)).await.expect(204);
    ends(tokens, "logout").await;
    scene.page(Method::DELETE, "/session?everywhere=true", &cookie, None).await.expect(204);
    ends(cookies, "everywhere").await;
}

#[tokio::test]
async fn a_page_hears_nothing_of_another_session() {
    let scene = Scene::new().await;
    let own = scene.login("refresh").await.expect(200).text("account_token");
    let other = scene.login("refresh").await.expect(200).text("account_token");
    let mut page = Page::of(&scene, by_token(&own)).await;
    assert_eq!(page.next().await, changed(1));
    scene.bare(Method::DELETE, "/session", Some(&other)).await.expect(204);
    scene.json(Method::PATCH, "/account", Some(&own), json!({"nickname": "x"})).await.expect(200);
    assert_eq!(page.next().await, changed(2), "the other's end, which came before, is not told");
}

#[tokio::test]
async fn theft_a_disabled_user_and_a_disabled_client_are_told() {
    let scene = Scene::new().await;
    let login = scene.login("refresh").await.expect(200);
    let page = Page::of(&scene, by_token(&login.text("account_token"))).await;
    let mut page = page;
    page.next().await;
    let old = login.text("refresh_token");
    scene.advance(Duration::from_secs(31));
    let head = scene.refresh("refresh", &old).await.expect(200).text("refresh_token");
    scene.advance(Duration::from_secs(31));
    scene.refresh("refresh", &head).await.expect(200);
    scene.refresh("refresh", &old).await.expect(400);
    ends(page, "theft").await;

    let token = scene.login("rolling").await.expect(200).text("account_token");
    let mut page = Page::of(&scene, by_token(&token)).await;
    page.next().await;
    scene.admin(Method::POST, "/admin/api/clients/rolling/disable", json!({})).await.expect(200);
    ends(page, "disabled").await;

    let cookie = scene.login("web").await.expect(200).cookie();
    let mut page = Page::of(&scene, by_cookie(&cookie)).await;
    page.next().await;
    let ada = scene.ada.to_string();
    scene.admin(Method::POST, &format!("/admin/api/users/{ada}/disable"), json!({})).await.expect(200);
    ends(page, "disabled").await;
}

#[tokio::test]
async fn a_session_that_expires_is_noticed_and_a_quiet_stream_shows_that_it_lives() {
    let scene = Scene::with(|settings| settings.page_heartbeat = Duration::from_millis(10)).await;
    let reply = scene.login("web").await.expect(200);
    let mut page = Page::of(&scene, by_cookie(&reply.cookie())).await;
    assert_eq!(page.next().await, changed(1));
    let sign = page.0.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(sign.as_ref(), b":\n\n");
    let held = scene.session(reply.body["claims"]["sid"].as_str().unwrap()).await;
    let idle = Session { idle_at: scene.clock.now(), ..held.session };
    scene.commit(Changes::none().write(Row::Session(idle))).await;
    ends(page, "expired").await;
}

#[tokio::test]
async fn a_stream_ends_with_the_secret_that_opened_it() {
    let scene = Scene::new().await;
    let cookie = scene.login("web").await.expect(200).cookie();
    let mut page = Page::of(&scene, by_cookie(&cookie)).await;
    assert_eq!(page.next().await, changed(1));
    let login = json!({"client_id": "web", "identifier": crate::scene::IDENTIFIER, "password": crate::scene::PASSWORD});
    let again = scene.page(Method::POST, "/session", &cookie, Some(login)).await.expect(200);
    assert_eq!(page.next().await, None, "not `ended`: the session goes on for who holds the new one");
    let mut page = Page::of(&scene, by_cookie(&again.cookie())).await;
    assert_eq!(page.next().await, changed(2));
}

#[tokio::test]
async fn who_has_no_live_session_of_its_own_page_gets_no_stream() {
    let scene = Scene::new().await;
    scene.bare(Method::GET, "/session/events", None).await.expect(401);
    let login = scene.login("rolling").await.expect(200);
    scene.bare(Method::GET, "/session/events", Some(&login.text("access_token"))).await.expect(401);
    let foreign = header(by_token(&login.text("account_token")), "origin", "https://evil.example");
    scene.send(foreign).await.expect(403);
    scene.bare(Method::DELETE, "/session", Some(&login.text("account_token"))).await.expect(204);
    let refused = scene.bare(Method::GET, "/session/events", Some(&login.text("account_token"))).await.expect(401);
    assert!(refused.text("error_description").contains("logout"), "{refused:?}");
    let held = scene.session(login.claims()["sid"].as_str().unwrap()).await;
    let disabled = Client { disabled: true, ..(*held.client).clone() };
    let token = scene.login("rolling").await.expect(200).text("account_token");
    scene.commit(Changes::none().write(Row::Client(disabled))).await;
    scene.send(by_token(&token)).await.expect(401);
}

#[tokio::test]
async fn the_streams_of_one_session_and_of_all_are_bounded_and_given_back() {
    let scene = Scene::with(|settings| settings.limits.page_streams = 9).await;
    let (one, two) = (scene.login("refresh").await.expect(200), scene.login("refresh").await.expect(200));
    let (one, two) = (one.text("account_token"), two.text("account_token"));
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(Page::of(&scene, by_token(&one)).await);
    }
    let refused = scene.send(by_token(&one)).await.expect(429);
    assert!(!refused.header("retry-after").is_empty());
    let last = Page::of(&scene, by_token(&two)).await;
    scene.send(by_token(&two)).await.expect(429);
    drop(last);
    open.pop();
    drop(Page::of(&scene, by_token(&two)).await);
    drop(Page::of(&scene, by_token(&one)).await);
}
