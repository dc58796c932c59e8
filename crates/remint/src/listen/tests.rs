//! Scenes with real sockets. Limits are small; what is awaited is always an event on the socket, never the clock.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const SHORT: Duration = Duration::from_millis(150);
/// Never reached by a test that passes.
const LONG: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits { head_time: LONG, idle_time: LONG, request_time: LONG, drain_time: LONG, ..Limits::default() }
}

fn router(limits: &Limits) -> Router {
    let events = || async {
        let first = futures_util::stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"data: 1\n\n")) });
        let body = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
    };
    let peer = |axum::Extension(peer): axum::Extension<Peer>| async move { peer.ip().unwrap().to_string() };
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/peer", get(peer))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/panic", get(mistaken))
        .route("/never", get(stuck))
        .route("/events", get(events))
        .layer(axum::middleware::from_fn_with_state(limits.request_time, bounded))
}

async fn mistaken() -> &'static str {
    panic!("a mistake, made on purpose by a test")
}

async fn stuck() {
    std::future::pending().await
}

struct Scene {
    address: SocketAddr,
    drain: Drain,
    running: tokio::task::JoinHandle<()>,
}

async fn serving(limits: Limits) -> Scene {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, drain) = (listener.local_addr().unwrap(), Drain::default());
    let server = Server { router: router(&limits), limits, drain: drain.clone() };
    Scene { address, drain, running: tokio::spawn(server.run(Listener::Tcp(listener))) }
}

impl Scene {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends the bytes and reads until the server closes.
    async fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        rest(stream).await
    }
}

/// What comes until the server closes, however it does.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut text)).await.expect("the server closes");
    String::from_utf8(text).unwrap()
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut bytes = [0; 1024];
        let read = tokio::time::timeout(LONG, stream.read(&mut bytes)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    text
}

fn get_of(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

#[tokio::test]
async fn a_request_is_answered_and_its_handler_knows_the_peer() {
    let scene = serving(limits()).await;
    let answer = scene.exchange("GET /peer HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let scene = serving(Limits { head_time: SHORT, ..limits() }).await;
    assert_eq!(scene.exchange("GET / HTTP/1.1\r\nhost: local").await, "");
    assert_eq!(scene.exchange("").await, "", "a connection that never says anything");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_working_one_is_not() {
    let scene = serving(Limits { idle_time: SHORT, ..limits() }).await;
    let mut stream = scene.connect().await;
    for _ in 0..3 {
        stream.write_all(get_of("/").as_bytes()).await.unwrap();
        read_until(&mut stream, "hello").await;
    }
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_may_outlast_the_time_for_a_head() {
    let scene = serving(Limits { head_time: SHORT, idle_time: SHORT * 4, ..limits() }).await;
    let mut stream = scene.connect().await;
    stream.write_all(get_of("/").as_bytes()).await.unwrap();
    read_until(&mut stream, "hello").await;
    let idle = crate::clock::Stopwatch::start();
    assert_eq!(rest(stream).await, "");
    assert!(idle.elapsed() > SHORT * 3, "closed after {:?}", idle.elapsed());
}

#[tokio::test]
async fn a_huge_head_is_answered_431() {
    let scene = serving(Limits { head_bytes: 8192, ..limits() }).await;
    let large = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(9000));
    assert!(scene.exchange(&large).await.starts_with("HTTP/1.1 431"));
    let endless = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(100_000));
    assert!(!scene.exchange(&endless).await.contains("200"));
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    assert!(scene.exchange(&format!("GET / HTTP/1.1\r\n{many}\r\n")).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_huge_body_is_refused_with_and_without_its_length() {
    let scene = serving(Limits { body_bytes: 1000, ..limits() }).await;
    let body = "x".repeat(5000);
    let post = "POST /echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let sized = format!("{post}content-length: 5000\r\n\r\n{body}");
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n1388\r\n{body}\r\n0\r\n\r\n");
    for request in [sized, chunked] {
        let answer = scene.exchange(&request).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_in_is_answered_408_and_a_slow_handler_503() {
    let scene = serving(Limits { request_time: SHORT, ..limits() }).await;
    let answer = scene.exchange("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nxx").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("connection: close"), "{answer}");
    let mut stream = scene.connect().await;
    stream.write_all(get_of("/never").as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "}").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
}

#[tokio::test]
async fn a_handler_that_panics_costs_one_answer_and_not_the_connection() {
    let scene = serving(limits()).await;
    let mut stream = scene.connect().await;
    stream.write_all(get_of("/panic").as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "}").await;
    assert!(answer.starts_with("HTTP/1.1 500") && !answer.contains("on purpose"), "{answer}");
    stream.write_all(get_of("/").as_bytes()).await.unwrap();
    read_until(&mut stream, "hello").await;
}

#[tokio::test]
async fn a_connection_above_the_limit_is_answered_503_and_finds_room_when_another_ends() {
    let scene = serving(Limits { connections: 2, ..limits() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = scene.connect().await;
        stream.write_all(get_of("/").as_bytes()).await.unwrap();
        read_until(&mut stream, "hello").await;
        held.push(stream);
    }
    assert!(rest(scene.connect().await).await.starts_with("HTTP/1.1 503"));
    held.pop();
    let close = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    while !scene.exchange(close).await.contains("hello") {
        tokio::task::yield_now().await; // until the server has noticed that the other one is gone
    }
}

#[tokio::test]
async fn many_connections_at_once_are_all_answered() {
    let scene = serving(limits()).await;
    let close = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answers = futures_util::future::join_all((0..200).map(|_| scene.exchange(close))).await;
    assert!(answers.iter().all(|answer| answer.ends_with("hello")));
}

#[tokio::test]
async fn a_drain_ends_event_streams_and_idle_connections_and_refuses_new_ones() {
    let scene = serving(limits()).await;
    let (mut events, mut idle) = (scene.connect().await, scene.connect().await);
    events.write_all(get_of("/events").as_bytes()).await.unwrap();
    read_until(&mut events, "data: 1").await;
    idle.write_all(get_of("/").as_bytes()).await.unwrap();
    read_until(&mut idle, "hello").await;
    scene.drain.begin();
    assert!(rest(events).await.ends_with("0\r\n\r\n"), "the stream ends as a whole answer does");
    assert_eq!(rest(idle).await, "");
    tokio::time::timeout(LONG, scene.running).await.unwrap().unwrap();
    assert!(TcpStream::connect(scene.address).await.is_err());
}

#[tokio::test]
async fn a_drain_is_over_at_its_deadline_whatever_a_handler_does() {
    let scene = serving(Limits { drain_time: SHORT, ..limits() }).await;
    let mut stuck = scene.connect().await;
    stuck.write_all(format!("{}{}", get_of("/"), get_of("/never")).as_bytes()).await.unwrap();
    read_until(&mut stuck, "hello").await;
    scene.drain.begin();
    tokio::time::timeout(LONG, scene.running).await.unwrap().unwrap();
    assert_eq!(rest(stuck).await, "");
}

#[tokio::test]
async fn a_peer_that_takes_no_answer_is_cut() {
    let limits = Limits { write_time: SHORT, connections: 1, ..limits() };
    let scene = serving(limits).await;
    let mut greedy = scene.connect().await;
    let body = "x".repeat(60_000);
    let post = format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // Reads nothing back: once both sockets' buffers are full, the server cannot write, and gives up.
    while tokio::time::timeout(LONG, greedy.write_all(post.as_bytes())).await.unwrap().is_ok() {}
    let close = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    while !scene.exchange(close).await.contains("hello") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_control_socket_answers_its_own_user() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
    let server = Server { router: router(&limits()), limits: limits(), drain: Drain::default() };
    let running = tokio::spawn(server.clone().run(Listener::Unix { listener, uid }));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("hello"), "{text}");
    server.drain.begin();
    running.await.unwrap();
}
