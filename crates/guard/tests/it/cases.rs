//! The cases that every guard runs, the one for Node too (`tests/guard-cases.json`): of a token, and of what the feed said.

use http::Response;
use http::header::WWW_AUTHENTICATE;
use remint_core::claims::{AccessClaims, Expected};
use remint_core::event::Event;
use remint_core::jwk::Kid;
use remint_core::jwks::Jwks;
use remint_core::jws::TokenError;
use remint_core::ledger::{Facts, Ledger, Verdict};
use remint_core::time::Timestamp;
use remint_guard::{Reject, core as remint_core};
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
struct File {
    issuer: String,
    audience: String,
    now: i64,
    leeway: u64,
    jwks: serde_json::Value,
    cases: Vec<Case>,
    ledger: Vec<Heard>,
    ledger_token: String,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    token: String,
    refused: Option<Refused>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Refused {
    code: String,
    challenge: Option<String>,
}

#[derive(Deserialize)]
struct Heard {
    name: String,
    events: Vec<Event>,
    says: String,
}

fn file() -> File {
    serde_json::from_str(include_str!("../../../../tests/guard-cases.json")).unwrap()
}

fn accepted(file: &File, token: &str) -> Result<AccessClaims, TokenError> {
    let audience = [file.audience.clone()];
    let keys = Jwks::parse(file.jwks.to_string().as_bytes()).unwrap();
    let expected = Expected::new(&file.issuer, &audience).unwrap().leeway(Duration::from_secs(file.leeway));
    expected.accept(token, &keys, Timestamp::from_secs(file.now))
}

#[test]
fn each_token_is_taken_or_refused_in_the_same_words() {
    let file = file();
    for Case { name, token, refused } in &file.cases {
        let said = accepted(&file, token).err().map(|cause| {
            let reject = Reject::from(cause);
            let answer: Response<String> = reject.answer();
            let challenge = answer.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
            Refused { code: reject.code().to_owned(), challenge }
        });
        assert_eq!(&said, refused, "{name}");
    }
}

#[test]
fn what_the_feed_said_is_judged_alike() {
    let file = file();
    let kid: Kid = "es".parse().unwrap();
    let facts = Facts::of(&accepted(&file, &file.ledger_token).unwrap(), Some(kid));
    for Heard { name, events, says } in &file.ledger {
        let mut ledger = Ledger::new();
        events.iter().for_each(|event| ledger.apply(event, Duration::ZERO).unwrap());
        let said = match ledger.judge(&facts) {
            Verdict::Good => "good".to_owned(),
            Verdict::Stale { .. } => "stale_claims".to_owned(),
            Verdict::ClientChanged { .. } => "client_changed".to_owned(),
            Verdict::Ended(reason) => format!("session_ended {}", reason.as_str()),
            Verdict::TokenEnded => "token_revoked".to_owned(),
            Verdict::KeyWithdrawn => "key_withdrawn".to_owned(),
        };
        assert_eq!(&said, says, "{name}");
    }
}
