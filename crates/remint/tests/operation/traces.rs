//! Traces against a collector on this machine, in a binary that was built with them: one span for each request, and
//! nothing in it that a caller must keep secret.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;

use crate::place::{FORM, JSON, Place, ask};

/// A collector: each body that was posted to it, and where.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            let request_line = head.lines().next().unwrap().to_owned();
            let _ = sender.send((request_line, body));
        }
    });
    (url, received)
}

/// The fields of a message in the wire format of Protocol Buffers that hold bytes, and the numbers among the others.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>, u64)> {
    let mut all = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let (bytes, number) = match tag & 7 {
            0 => (Vec::new(), varint(&mut message)),
            1 => (message.split_off(..8).unwrap().to_vec(), 0),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                (message.split_off(..length).unwrap().to_vec(), 0)
            }
            5 => (message.split_off(..4).unwrap().to_vec(), 0),
            other => panic!("wire type {other}"),
        };
        all.push((tag >> 3, bytes, number));
    }
    all
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *message.split_off_first().unwrap();
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

fn within(message: &[u8], field: u64) -> Vec<Vec<u8>> {
    fields(message).into_iter().filter(|(number, ..)| *number == field).map(|(_, bytes, _)| bytes).collect()
}

/// The name of a span, its trace, its parent and its status of HTTP.
#[derive(Debug)]
struct Span {
    name: String,
    trace: Vec<u8>,
    parent: Vec<u8>,
    status: u64,
}

fn spans(body: &[u8]) -> Vec<Span> {
    let scopes = within(body, 1).into_iter().flat_map(|resource| within(&resource, 2));
    let spans = scopes.flat_map(|scope| within(&scope, 2));
    let read = |span: Vec<u8>| {
        let one = |field| within(&span, field).pop().unwrap_or_default();
        let attributes = within(&span, 9).into_iter();
        let mut status = attributes
            .filter(|pair| within(pair, 1)[0] == b"http.response.status_code")
            .map(|pair| fields(&within(&pair, 2)[0])[0].2);
        let status = status.next_back().unwrap_or_default();
        Span { name: String::from_utf8(one(5)).unwrap(), trace: one(1), parent: one(4), status }
    };
    spans.map(read).collect()
}

#[test]
fn each_request_is_one_span_with_its_route_and_status_and_no_token() {
    let (url, received) = collector();
    let place = Place::new();
    place.configured(&format!("traces_url = '{url}'\ntrusted_proxies = ['127.0.0.1']\n"));
    let server = place.serve();
    place.json(&["api", "create", "orders"]);
    place.json(&["client", "create", "web", "--policy", "refresh", "--api", "orders", "--first-party"]);
    assert!(place.with_stdin(&["user", "create", "ada"], "analytical engine 1843\n").status.success());
    let login = json!({"client_id": "web", "identifier": "ada", "password": "analytical engine 1843"}).to_string();
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let (status, answer) = ask(&server.public, "POST", "/session", &format!("{JSON}{trace}"), &login);
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let token = answer["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&client_id=web&refresh_token={token}x");
    assert_eq!(ask(&server.public, "POST", "/oauth2/token?secret=query", FORM, &form).0, 400);
    assert_eq!(ask(&server.public, "GET", &format!("/{token}"), "", "").0, 404);
    assert_eq!(server.stopped(), Some(0), "what is left is sent at the end");

    let sent: Vec<(String, Vec<u8>)> = received.try_iter().collect();
    assert!(sent.iter().all(|(line, _)| line == "POST /v1/traces HTTP/1.1"), "{sent:?}");
    let all: Vec<Span> = sent.iter().flat_map(|(_, body)| spans(body)).collect();
    let named: Vec<_> = all.iter().map(|span| (span.name.as_str(), span.status)).collect();
    assert_eq!(named, [("POST /session", 200), ("POST /oauth2/token", 400), ("GET none", 404)]);
    assert_eq!(all[0].trace[..2], [0x0a, 0xf7], "the trace of the proxy goes on");
    assert_eq!(all[0].parent[..2], [0xb7, 0xad]);
    assert!(all[1].parent.is_empty());
    let bytes: Vec<u8> = sent.into_iter().flat_map(|(_, body)| body).collect();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("service.name") && text.contains("remint"));
    for secret in [token, &token[token.len() - 12..], "analytical", "secret=query", "ada"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_collector_that_is_gone_costs_no_request_anything() {
    let place = Place::new();
    place.configured("traces_url = 'http://127.0.0.1:1/v1/traces'\n");
    let server = place.serve();
    assert_eq!(ask(&server.public, "GET", "/oauth2/jwks", "", "").0, 200);
    assert_eq!(server.stopped(), Some(0));
}
