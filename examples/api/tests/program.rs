//! The program as it is started: by environment, against an issuer over HTTP.
#![expect(clippy::unwrap_used, reason = "a scene that cannot be set fails its test")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use remint_guard::core::event::Event;
use remint_guard::core::id::SessionId;
use remint_guard::core::session::EndReason;
use remint_guard::core::time::Timestamp;
use remint_guard::testing::{AUDIENCE, CLIENT_ID, Issuer, SECRET};

fn program(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-api"));
    command.env_clear().envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn started(environment: &[(&str, &str)]) -> (Running, String) {
    let mut child = program(environment).stderr(Stdio::null()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (Running(child), url.trim().to_owned())
}

async fn me(url: &str, token: &str) -> (u16, String) {
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let answer = client.get(format!("{url}/api/me")).bearer_auth(token).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

#[test]
fn wrong_configuration_is_one_line_that_says_what_to_do_and_exit_code_2() {
    let issuer = ("REMINT_ISSUER", "http://localhost:1");
    let audience = ("REMINT_AUDIENCE", "demo-api");
    let off = ("REMINT_FEED", "off");
    for (environment, word) in [
        (&[][..], "set REMINT_ISSUER"),
        (&[issuer], "set REMINT_AUDIENCE"),
        (&[issuer, audience], "REMINT_CLIENT_ID and REMINT_CLIENT_SECRET"),
        (&[issuer, audience, ("REMINT_FEED", "maybe")], "neither `on` nor `off`"),
        (&[issuer, audience, off, ("BIND", "here")], "BIND=here"),
        (&[("REMINT_ISSUER", "http://auth.example.com"), audience, off], "use https"),
        (&[issuer, audience, off, ("EXAMPLE_ORIGINS", "*")], "is no origin"),
    ] {
        let output = program(environment).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(word) && text.trim().lines().count() == 1, "{text}");
    }
}

#[tokio::test]
async fn it_answers_the_claims_and_refuses_the_session_once_it_has_ended() {
    // given the program behind an issuer
    let issuer = Issuer::start().await;
    let environment = [
        ("REMINT_ISSUER", issuer.url()),
        ("REMINT_AUDIENCE", AUDIENCE),
        ("REMINT_CLIENT_ID", CLIENT_ID),
        ("REMINT_CLIENT_SECRET", SECRET),
        ("BIND", "127.0.0.1:0"),
    ];
    let (_running, url) = started(&environment);
    let sid = SessionId::from_bytes([3; 16]);
    let token = issuer.token("ada").sid(sid).claim("nickname", "countess").mint();
    // when it is called with a good token (503 until it has heard the feed)
    let answer = loop {
        let answer = me(&url, &token).await;
        if answer.0 != 503 {
            break answer;
        }
    };
    // then it answers the claims
    assert_eq!(answer.0, 200);
    assert!(answer.1.contains(r#""nickname":"countess""#), "{}", answer.1);
    // and soon after the session ended it does not
    let forget_after = Timestamp::MAX;
    issuer.publish(&Event::SessionEnded { sid, reason: EndReason::Everywhere, forget_after });
    let refused = loop {
        let answer = me(&url, &token).await;
        if answer.0 != 200 {
            break answer;
        }
    };
    assert_eq!(refused.0, 401);
    assert!(refused.1.contains("session ended: everywhere"), "{}", refused.1);
}

#[test]
fn a_port_that_is_taken_is_a_failure_and_not_a_wrong_configuration() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let environment =
        [("REMINT_ISSUER", "http://localhost:1"), ("REMINT_AUDIENCE", "a"), ("REMINT_FEED", "off"), ("BIND", &bind)];
    let mut child = program(&environment).spawn().unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{text}");
    assert!(text.contains("cannot listen on"), "{text}");
}

#[tokio::test]
async fn the_snippet_of_the_playground_answers_the_claims_where_dev_has_left_its_facts() {
    // given what `remint dev` writes, and a port that is free
    let issuer = Issuer::start().await;
    let folder = std::env::temp_dir().join(format!("remint-axum-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("remint-dev")).unwrap();
    let api = serde_json::json!({ "audience": AUDIENCE, "client_id": CLIENT_ID, "client_secret": SECRET });
    let facts = serde_json::json!({ "issuer": issuer.url(), "apis": [api] });
    std::fs::write(folder.join("remint-dev/dev.json"), facts.to_string()).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    // when it is started there
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_example-api")).parent().unwrap().join("examples/axum");
    let child = Command::new(program).arg(&free).current_dir(&folder).spawn().unwrap();
    let _running = Running(child);
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let token = issuer.token("ada").claim("nickname", "countess").mint();
    // then it takes a good token, once it listens and has heard the feed
    let answer = loop {
        match client.get(format!("http://{free}/me")).bearer_auth(&token).send().await {
            Ok(answer) if answer.status() != 503 => break answer,
            Ok(_) | Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    };
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("countess"));
    // and lets the pages of the demo's origins read what it answers, a refusal too
    let origin = "http://localhost:3000";
    let refused = client.get(format!("http://{free}/me")).header("origin", origin).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["access-control-allow-origin"], origin);
    std::fs::remove_dir_all(folder).unwrap();
}
