//! `/metrics`: every metric that the dashboard and the alert rules name is told by a running server.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::place::{FORM, JSON, Place, Running, ask};

const DASHBOARD: &str = include_str!("../../../../deploy/grafana/remint.json");
const ALERTS: &str = include_str!("../../../../deploy/prometheus/alerts.yml");

fn scraped(server: &Running) -> String {
    let (status, text) = ask(&server.operations, "GET", "/metrics", "", "");
    assert_eq!(status, 200);
    text
}

/// A server with one api and one client, at which somebody logged in, renewed and failed to; and the stream of a guard.
fn at_work(place: &Place) -> (Running, BufReader<TcpStream>) {
    let server = place.serve();
    let secret = place.json(&["api", "create", "orders"])["client_secret"].as_str().unwrap().to_owned();
    place.json(&["client", "create", "web", "--policy", "refresh", "--api", "orders", "--first-party"]);
    let made = place.with_stdin(&["user", "create", "ada"], "analytical engine 1843\n");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let login = |password: &str| {
        let body = json!({"client_id": "web", "identifier": "ada", "password": password}).to_string();
        ask(&server.public, "POST", "/session", JSON, &body)
    };
    assert_eq!(login("a guess").0, 400);
    let (status, answer) = login("analytical engine 1843");
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let token = answer["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&client_id=web&refresh_token={token}");
    assert_eq!(ask(&server.public, "POST", "/oauth2/token", FORM, &form).0, 200);
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("orders:{secret}"));
    let mut feed = TcpStream::connect(&server.public).unwrap();
    write!(feed, "GET /feed HTTP/1.1\r\nHost: id.example\r\nAuthorization: Basic {basic}\r\n\r\n").unwrap();
    let mut feed = BufReader::new(feed);
    let mut line = String::new();
    while !line.contains("hello") {
        line.clear();
        assert!(feed.read_line(&mut line).unwrap() > 0, "the feed says hello");
    }
    (server, feed)
}

/// The names of metrics in an expression: words of ours, without what a histogram adds to them.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("remint_") || word.starts_with("process_")).map(str::to_owned).collect()
}

fn expressions(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            all.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| expressions(value, all));
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_told() {
    let place = Place::new();
    let (server, _feed) = at_work(&place);
    let text = scraped(&server);
    let mut all = Vec::new();
    expressions(&serde_json::from_str(DASHBOARD).unwrap(), &mut all);
    assert!(all.len() > 15, "{}", all.len());
    let names: BTreeSet<String> = all.iter().flat_map(|text| named(text)).chain(named(ALERTS)).collect();
    for name in &names {
        let told =
            text.lines().any(|line| line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['{', ' '])));
        assert!(told, "{name} is not told: {text}");
    }
    let described: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for told in described {
        assert!(text.contains(&format!("# HELP {told} ")), "{told} is not described");
    }
}

#[test]
fn what_happened_is_counted_once_and_under_its_outcome() {
    let place = Place::new();
    let (server, feed) = at_work(&place);
    let text = scraped(&server);
    for line in [
        "remint_logins_total{outcome=\"success\"} 1",
        "remint_logins_total{outcome=\"credentials\"} 1",
        "remint_logins_total{outcome=\"throttled\"} 0",
        "remint_refreshes_total{outcome=\"success\"} 1",
        "remint_refresh_theft_total 0",
        "remint_feed_followers 1",
        "remint_store_queue_depth 0",
        "remint_in_doubt 0",
        "remint_purged_rows_total{kind=\"session\"} 0",
        "remint_key_rotation_period_seconds 7776000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert!(text.contains("remint_key_age_seconds{purpose=\"ES256\",state=\"current\"}"), "{text}");
    let memory = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
    assert!(memory.parse::<f64>().unwrap() > 1e6, "{memory}");
    drop(feed);
    // The stream is found to be gone when the next heartbeat cannot be sent.
    while !scraped(&server).lines().any(|line| line == "remint_feed_followers 0") {}
}
