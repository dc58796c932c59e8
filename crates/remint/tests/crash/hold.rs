//! Clients that hold on and give nothing: silent ones, slow ones, endless ones. The server goes on serving the others.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Folder, Http};

/// Of each kind.
const HOLDERS: usize = 50;
/// A request that is never finished is cut within 10 s; this is far beyond.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a holder sends before it falls silent.
const SILENT: &str = "";
const HALF_A_HEAD: &str = "POST /session HTTP/1.1\r\nHost: 127.0.0.1:";
const NO_BODY: &str =
    "POST /session HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
const ENDLESS: &str = "POST /oauth2/token HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\
                       Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99999999999\r\n\r\n";

async fn holder(port: u16, opening: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(opening.replace("PORT", &port.to_string()).as_bytes()).await.unwrap();
    stream
}

/// Everything that the server says until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too: what was sent and not read is thrown away.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes it");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn two_hundred_clients_that_hold_on_do_not_hold_the_server() {
    let mut folder = Folder::new(1);
    let server = folder.start().await;
    let mut holders = Vec::new();
    for opening in [SILENT, HALF_A_HEAD, NO_BODY, ENDLESS].repeat(HOLDERS) {
        holders.push((opening, holder(server.port, opening).await));
    }
    let http = Http::to(server.port);
    for client in ["demo-refresh", "demo-rolling", "demo-fixed"] {
        let reply = http.logged_in(client).await;
        let look = http.bearer(reqwest::Method::GET, "/session", &reply.demand("account_token")).await;
        look.expect("the server answers").expect(200);
    }
    let closed = holders.into_iter().filter(|(opening, _)| *opening != SILENT).map(|(opening, stream)| async move {
        let answer = until_closed(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{opening:?}: {answer}");
    });
    futures_util::future::join_all(closed).await;
}

#[tokio::test]
async fn a_body_without_end_is_refused_and_what_follows_is_not_read() {
    let mut folder = Folder::new(1);
    let server = folder.start().await;
    let mut stream = holder(server.port, ENDLESS).await;
    let chunk = vec![b'a'; 1 << 16];
    let mut sent = 0_usize;
    let pushing = async {
        while stream.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
            assert!(sent < 1 << 28, "the server takes everything that it is sent");
        }
    };
    tokio::time::timeout(PATIENCE, pushing).await.expect("the server closes the connection");
    Http::to(server.port).logged_in("demo-fixed").await;
}
