//! An API guarded by `remint-guard` beside the real server: a changed record and an ended session reach it over the feed
//! while its tokens are still young, and a rolling token is replaced on the way.

use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use remint::clock::Stopwatch;
use remint_guard::{Claims, Feed, RemintLayer, Verifier};
use reqwest::Method;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde_json::Value;

use crate::server::{Folder, Http, Server, claims};

/// A second is promised; only beyond this the scene fails, for a machine can be busy.
const DEADLINE: Duration = Duration::from_secs(5);
/// As long as the shortest window of a refresh policy may take to pass, and some more.
const WINDOWS: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_millis(5);

/// A server, and an API in this process that trusts it.
struct Scene {
    folder: Folder,
    _server: Server,
    http: Http,
    api: String,
    client: reqwest::Client,
}

/// What the API answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn challenge(&self) -> &str {
        self.header(WWW_AUTHENTICATE.as_str())
    }
}

impl Scene {
    async fn new(speed: u32) -> Self {
        let mut folder = Folder::new(speed);
        let server = folder.start().await;
        let api = api(&folder.facts()).await;
        let client = reqwest::Client::builder().timeout(WINDOWS).no_proxy().build().unwrap();
        Self { http: Http::to(server.port), folder, _server: server, api, client }
    }

    async fn call(&self, token: &str) -> Answer {
        let answer = self.client.get(&self.api).bearer_auth(token).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.json().await.unwrap_or_default() }
    }

    /// Calls until the API refuses the token, which must be soon; says how long it took.
    async fn refused(&self, token: &str, what: &str) -> Answer {
        let stopwatch = Stopwatch::start();
        loop {
            let answer = self.call(token).await;
            if answer.status != 200 {
                eprintln!("{what}: refused {} ms after the answer", stopwatch.elapsed().as_millis());
                return answer;
            }
            assert!(stopwatch.elapsed() < DEADLINE, "{what}: served for {DEADLINE:?}");
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// `GET /me` answers the caller's claims.
async fn api(facts: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let credential = &facts["apis"][0];
    let verifier = Verifier::builder(text(&facts["issuer"]))
        .audience(text(&facts["audience"]))
        .feed(Feed::new(text(&credential["client_id"]), text(&credential["client_secret"])))
        .build()
        .unwrap();
    verifier.ready().await;
    let me = get(|Claims(all): Claims<Value>| async move { Json(all) });
    let app = Router::new().route("/me", me).layer(RemintLayer::new(verifier).rolling());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/me", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn a_changed_record_makes_the_old_token_stale_and_the_new_one_shows_it() {
    let scene = Scene::new(1).await;
    for client in ["demo-rolling", "demo-fixed", "demo-refresh"] {
        let before = scene.http.logged_in(client).await;
        let (old, nickname) = (before.demand("access_token"), format!("countess of {client}"));
        assert_eq!(scene.call(&old).await.status, 200);
        let after = scene.http.patch(&before.demand("account_token"), &nickname).await.unwrap().expect(200);
        let refused = scene.refused(&old, "a changed record").await;
        assert_eq!(refused.status, 401);
        assert!(refused.challenge().contains("stale claims"), "{refused:?}");
        let new = after.demand("access_token");
        assert_eq!(refused.header("remint-renew"), claims(&new)["cv"].to_string());
        let served = scene.call(&new).await;
        assert_eq!((served.status, served.body["nickname"].as_str()), (200, Some(nickname.as_str())));
    }
}

#[tokio::test]
async fn an_ended_session_is_refused_by_the_api_whoever_ended_it() {
    let scene = Scene::new(1).await;
    let login = async || scene.http.logged_in("demo-refresh").await;

    let mine = login().await;
    scene.http.revoke(&mine.demand("refresh_token")).await.unwrap().expect(200);
    let refused = scene.refused(&mine.demand("access_token"), "revoked by its client").await;
    assert!(refused.challenge().contains("session ended: revoked"), "{refused:?}");

    let (phone, laptop) = (login().await, login().await);
    let sid = claims(&phone.demand("access_token"))["sid"].as_str().unwrap().to_owned();
    let account = laptop.demand("account_token");
    scene.http.bearer(Method::DELETE, &format!("/sessions/{sid}"), &account).await.unwrap().expect(204);
    let refused = scene.refused(&phone.demand("access_token"), "ended from another device").await;
    assert!(refused.challenge().contains("session ended: revoked"), "{refused:?}");
    assert_eq!(scene.call(&laptop.demand("access_token")).await.status, 200, "the other device goes on");

    scene.http.bearer(Method::DELETE, "/session?everywhere=true", &account).await.unwrap().expect(204);
    let refused = scene.refused(&laptop.demand("access_token"), "ended everywhere").await;
    assert!(refused.challenge().contains("session ended: everywhere"), "{refused:?}");
    assert_eq!(scene.call(&login().await.demand("access_token")).await.status, 200, "a new log-in is a new session");
}

#[tokio::test]
async fn a_theft_ends_access_to_the_api() {
    let scene = Scene::new(20).await; // R and W are 2 s
    let stolen = scene.http.logged_in("demo-refresh").await.demand("refresh_token");
    let rotated = loop {
        let reply = scene.http.refreshed(&stolen).await.expect(200);
        if reply.text("refresh_token").is_some() {
            break reply;
        }
        tokio::time::sleep(10 * EVERY).await;
    };
    scene.http.refreshed(&rotated.demand("refresh_token")).await.expect(200);
    let access = rotated.demand("access_token");
    assert_eq!(scene.call(&access).await.status, 200);
    let thief = async {
        loop {
            let reply = scene.http.refreshed(&stolen).await;
            if reply.status != 200 {
                return reply;
            }
            tokio::time::sleep(10 * EVERY).await;
        }
    };
    let caught = tokio::time::timeout(WINDOWS, thief).await.expect("the thief is served for ever").expect(400);
    assert_eq!(caught.cause(), "session ended: theft");
    let refused = scene.refused(&access, "a theft").await;
    assert!(refused.challenge().contains("session ended: theft"), "{refused:?}");
    let victim = scene.http.refreshed(&rotated.demand("refresh_token")).await.expect(400);
    assert_eq!(victim.cause(), "session ended: theft");
}

#[tokio::test]
async fn a_rolling_token_past_half_of_its_life_is_replaced_on_the_way_to_the_api() {
    let scene = Scene::new(20).await;
    scene.folder.command(&["client", "update", "demo-rolling", "--life", "6s"], "").await;
    let rolled = async {
        loop {
            let asked = Stopwatch::start();
            let first = scene.http.logged_in("demo-rolling").await.demand("access_token");
            if let Some(answer) = replaced(&scene, &first, &asked).await {
                return (first, answer);
            }
        }
    };
    let (first, answer) = tokio::time::timeout(WINDOWS, rolled).await.expect("it is never replaced");
    assert_eq!(answer.header("cache-control"), "private, no-store");
    let (old, new) = (claims(&first), claims(answer.header("remint-token")));
    assert_eq!(new["sid"], old["sid"]);
    let passed = new["iat"].as_i64().unwrap() - old["iat"].as_i64().unwrap();
    assert!((2..=6).contains(&passed), "not before half of its life: after {passed} s");
    assert_eq!(scene.call(answer.header("remint-token")).await.status, 200);
}

/// The answer that came with a new token; none where the old one came to its own end before that: an API leaves the issuer
/// alone for five seconds where a renewal has failed, and a machine without a second to spare lets it fail.
async fn replaced(scene: &Scene, first: &str, asked: &Stopwatch) -> Option<Answer> {
    loop {
        let answer = scene.call(first).await;
        if answer.status == 401 && asked.elapsed() > Duration::from_secs(4) {
            assert!(answer.challenge().contains("expired"), "{answer:?}");
            return None;
        }
        assert_eq!(answer.status, 200, "the old token is good to its own end: {answer:?}");
        if !answer.header("remint-token").is_empty() {
            return Some(answer);
        }
        tokio::time::sleep(10 * EVERY).await;
    }
}
