//! The leanest HTTP/1.1 client that can tell a right answer from a wrong one: one kept-alive connection, one request at
//! a time. It must not be what is measured. Knows the servers measured here, and no others.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Fallible;

/// One connection, and the room that answers are read into.
pub(crate) struct Connection {
    stream: TcpStream,
    room: Vec<u8>,
}

/// An answer that was read to its end.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// A string member of a JSON answer with status 200.
    pub(crate) fn member(&self, name: &str) -> Fallible<String> {
        let shown = || format!("{} {}", self.status, String::from_utf8_lossy(self.body));
        let body: serde_json::Value = serde_json::from_slice(self.body).map_err(|_| shown())?;
        match body[name].as_str() {
            Some(text) if self.status == 200 => Ok(text.to_owned()),
            _ => Err(format!("no `{name}` in the answer: {}", shown()).into()),
        }
    }
}

/// The head of an answer.
struct Head {
    status: u16,
    /// Where the body begins.
    ends_at: usize,
    body_bytes: usize,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Fallible<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, room: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request, all of it, and reads its answer, all of it.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Fallible<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.room.clear();
        loop {
            if self.stream.read_buf(&mut self.room).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(Head { status, ends_at, body_bytes }) = head(&self.room)
                && self.room.len() >= ends_at + body_bytes
            {
                return Ok(Answer { status, body: &self.room[ends_at..ends_at + body_bytes] });
            }
        }
    }
}

/// The head, once all of it is there.
fn head(bytes: &[u8]) -> Option<Head> {
    const LENGTH: &str = "content-length: ";
    let ends_at = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..ends_at]).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix(LENGTH)).map_or(Some(0), |text| text.parse().ok());
    Some(Head { status, ends_at, body_bytes: length? })
}

/// A request with a form, or without a body.
pub(crate) fn asking(method: &str, path: &str, headers: &str, body: Option<(&str, &str)>) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: remint-bench\r\n{headers}");
    match body {
        None => format!("{head}\r\n"),
        Some((kind, body)) => {
            format!("{head}content-type: application/{kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
    }
}

/// How `body` names a form.
pub(crate) const FORM: &str = "x-www-form-urlencoded";

/// The header of HTTP Basic.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{id}:{secret}")))
}

/// A request to the token endpoint.
pub(crate) fn refresh(client: &str, refresh_token: &str, and: &str) -> String {
    let form = format!("grant_type=refresh_token&client_id={client}&refresh_token={refresh_token}{and}");
    asking("POST", "/oauth2/token", "accept: application/json\r\n", Some((FORM, &form)))
}
