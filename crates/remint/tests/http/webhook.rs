//! Codes by webhook, against a real HTTP server: signed, tried again, and a sender that is down, slow or at fault.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, Method, StatusCode, header};
use remint::settings::{Carrier, WebhookSecret, WebhookTarget};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::scene::{NUMBER, Reply, Scene};

const SECRET: &str = "a secret that both sides have been told";

/// Who receives the posts: what it answers next, and what came.
pub(crate) struct Receiver {
    answers: Mutex<VecDeque<u16>>,
    came: mpsc::UnboundedSender<(HeaderMap, String)>,
    /// Answers are held back until there is one of these.
    open: Semaphore,
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: String) -> (StatusCode, HeaderMap) {
    receiver.came.send((headers, body)).unwrap();
    receiver.open.acquire().await.unwrap().forget();
    let status = receiver.answers.lock().unwrap().pop_front().unwrap_or(204);
    let location = HeaderMap::from_iter([(header::LOCATION, "/elsewhere".parse().unwrap())]);
    (StatusCode::from_u16(status).unwrap(), if status == 307 { location } else { HeaderMap::new() })
}

/// What came.
pub(crate) type Came = mpsc::UnboundedReceiver<(HeaderMap, String)>;

/// Somebody who receives posts at this address, answers like this, and then 204.
pub(crate) async fn listening(answers: &[u16], open: usize) -> (String, Arc<Receiver>, Came) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sms", listener.local_addr().unwrap());
    let (sender, came) = mpsc::unbounded_channel();
    let receiver = Arc::new(Receiver {
        answers: Mutex::new(answers.iter().copied().collect()),
        came: sender,
        open: Semaphore::new(open),
    });
    // A redirect that was followed would come here too.
    let router = Router::new().route("/sms", post(receive)).route("/elsewhere", post(receive));
    let service = router.with_state(receiver.clone());
    tokio::spawn(async move { axum::serve(listener, service).await });
    (url, receiver, came)
}

struct Hooked {
    scene: Arc<Scene>,
    receiver: Arc<Receiver>,
    came: Came,
    account: String,
}

impl Hooked {
    /// A server whose codes go to a receiver that answers like this, and then 204.
    async fn new(answers: &[u16], open: usize) -> Self {
        let (url, receiver, came) = listening(answers, open).await;
        let (scene, account) = scene(url).await;
        Self { scene, receiver, came, account }
    }

    async fn ask(&self) -> Reply {
        ask(&self.scene, &self.account).await
    }
}

async fn scene(url: String) -> (Arc<Scene>, String) {
    let scene = Scene::with(|settings| {
        let secret = WebhookSecret::new(SECRET).unwrap();
        settings.sms.carrier = Carrier::Webhook(WebhookTarget { url, secret, timeout: Duration::from_secs(60) });
        settings.sms.limits.per_number = NonZeroU32::new(1);
    });
    let scene = Arc::new(scene.await);
    let account = scene.login("rolling").await.text("account_token");
    (scene, account)
}

async fn ask(scene: &Scene, account: &str) -> Reply {
    scene.json(Method::POST, "/account/phone", Some(account), json!({ "phone_number": NUMBER })).await
}

/// `t` and `v1` of the signature.
fn signature(headers: &HeaderMap) -> (String, String) {
    let text = headers["remint-signature"].to_str().unwrap();
    let (time, tag) = text.split_once(',').unwrap();
    (time.strip_prefix("t=").unwrap().to_owned(), tag.strip_prefix("v1=").unwrap().to_owned())
}

/// Whether a post is signed with a secret.
pub(crate) fn is_signed(headers: &HeaderMap, body: &str, secret: &str) -> bool {
    let (time, tag) = signature(headers);
    tag == hmac_of(&format!("{time}.{body}"), secret)
}

fn hmac_of(text: &str, secret: &str) -> String {
    use aws_lc_rs::hmac;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_code_arrives_signed_and_verifies_the_number() {
    let mut hooked = Hooked::new(&[], 100).await;
    hooked.ask().await.expect(202);
    let (headers, body) = hooked.came.recv().await.unwrap();
    assert_eq!(signature(&headers).0, hooked.scene.clock.now().secs().to_string());
    assert!(is_signed(&headers, &body, SECRET) && !is_signed(&headers, &body, "another"));
    let message: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&message["to"], &message["kind"]), (&json!(NUMBER), &json!("code")));
    let text = message["text"].as_str().unwrap();
    assert!(text[6..].starts_with(" is your code for id.example.test"), "{text}");
    let typed = json!({"code": &text[..6]});
    let verified = hooked.scene.json(Method::POST, "/account/phone/verify", Some(&hooked.account), typed).await;
    assert_eq!(verified.expect(200).claims()["phone_number"], NUMBER);
}

#[tokio::test]
async fn a_receiver_at_fault_is_tried_again_with_the_same_id() {
    let mut hooked = Hooked::new(&[500, 429], 100).await;
    hooked.ask().await.expect(202);
    let mut ids = Vec::new();
    while let Ok((_, body)) = hooked.came.try_recv() {
        ids.push(serde_json::from_str::<Value>(&body).unwrap()["id"].clone());
    }
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0] && id.as_str().is_some_and(|id| id.len() == 32)));
}

#[tokio::test]
async fn a_receiver_that_stays_at_fault_or_says_no_is_503() {
    for (answers, tries) in [(&[500, 502, 503][..], 3), (&[400], 1), (&[307], 1)] {
        let mut hooked = Hooked::new(answers, 100).await;
        let reply = hooked.ask().await.expect(503);
        assert_eq!(reply.text("error"), "temporarily_unavailable");
        assert!(reply.header("retry-after").parse::<u32>().is_ok());
        let came = std::iter::from_fn(|| hooked.came.try_recv().ok()).count();
        assert_eq!(came, tries, "{answers:?}");
        hooked.ask().await.expect(429); // it may have been sent: it stays counted
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_is_503_and_nothing_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sms", listener.local_addr().unwrap());
    drop(listener);
    let (scene, account) = scene(url).await;
    for _ in 0..2 {
        ask(&scene, &account).await.expect(503);
    }
}

#[tokio::test]
async fn a_receiver_that_goes_down_after_it_was_reached_may_have_sent_and_stays_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sms", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    });
    let (scene, account) = scene(url).await;
    ask(&scene, &account).await.expect(503);
    ask(&scene, &account).await.expect(429);
}

#[tokio::test]
async fn a_receiver_that_is_down_locks_nobody_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (scene, _) = scene(format!("http://{address}/sms")).await;
    scene.with_factor().await;
    for _ in 0..12 {
        scene.login("rolling").await.expect(503);
    }
}

#[tokio::test]
async fn a_receiver_that_is_slow_holds_up_neither_the_store_nor_other_requests() {
    let mut hooked = Hooked::new(&[], 0).await;
    let (scene, account) = (hooked.scene.clone(), hooked.account.clone());
    let asking = tokio::spawn(async move { ask(&scene, &account).await });
    hooked.came.recv().await.unwrap();
    let patch = json!({"nickname": "patient"});
    hooked.scene.json(Method::PATCH, "/account", Some(&hooked.account), patch).await.expect(200);
    hooked.scene.login("refresh").await.expect(200);
    hooked.receiver.open.add_permits(1);
    asking.await.unwrap().expect(202);
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_not_waited_for() {
    let mut hooked = Hooked::new(&[], 0).await;
    hooked.ask().await.expect(202); // after half of the server deadline
    hooked.came.recv().await.unwrap();
}
