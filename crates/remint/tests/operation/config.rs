//! `remint config`: what the settings are and where they came from, and a running server that takes them anew.

use serde_json::{Value, json};

use crate::place::{JSON, KEY, Place, ask};

fn settings(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> Vec<Value> {
    let output = place.remint_with(&[&["--json", "config", "show"], arguments].concat(), environment);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(KEY), "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["settings"].as_array().unwrap().clone()
}

fn one<'a>(all: &'a [Value], setting: &str) -> &'a Value {
    all.iter().find(|one| one["setting"] == setting).unwrap_or(&Value::Null)
}

#[test]
fn each_setting_is_shown_with_the_source_that_won() {
    let place = Place::new();
    place.private("level", "debug\n");
    let environment = [("REMINT_LISTEN", "127.0.0.1:2"), ("REMINT_LOG_FILE", "level")];
    let all = settings(&place, &["--effective", "--sources", "--data", "elsewhere"], &environment);
    for (setting, value, source) in [
        ("public_url", "https://id.example", "remint.toml"),
        ("listen", "127.0.0.1:2", "REMINT_LISTEN"),
        ("log", "debug", "REMINT_LOG_FILE"),
        ("data", "elsewhere", "--data"),
        ("connections", "10000", "default"),
        ("trusted_proxies", "", "default"),
    ] {
        assert_eq!(one(&all, setting), &json!({"setting": setting, "value": value, "source": source}));
    }
    assert_eq!(one(&all, "master_key")["value"], json!("(never shown)"));
    let set = settings(&place, &[], &environment);
    assert_eq!(one(&set, "listen"), &json!({"setting": "listen", "value": "127.0.0.1:2"}));
    assert_eq!(one(&set, "connections"), &Value::Null, "without --effective only what is set");
    let given = settings(&place, &["--sources"], &[("REMINT_MASTER_KEY_FILE", "key")]);
    assert_eq!(one(&given, "master_key_file")["value"], json!("key"), "it names a file, and that is no secret");
}

#[test]
fn the_webhook_and_its_secret_are_never_shown_only_that_they_are_set() {
    let place = Place::new();
    let secret = "f00dfeedf00dfeedf00dfeedf00dfeed";
    place.configured("sms_webhook_url = 'https://sms.example/hooks/t0ken'\n");
    let all = settings(&place, &["--effective", "--sources"], &[("REMINT_SMS_WEBHOOK_SECRET", secret)]);
    let text = Value::from(all.clone()).to_string();
    assert!(!text.contains(secret) && !text.contains("t0ken"), "{text}");
    assert_eq!(one(&all, "sms_webhook_url")["value"], json!("(never shown)"));
    assert_eq!(one(&all, "sms_webhook_secret")["source"], json!("REMINT_SMS_WEBHOOK_SECRET"));
    assert_eq!(one(&all, "sms_per_number")["value"], json!("5"));
}

#[test]
fn a_setting_that_cannot_be_used_is_shown_and_refused() {
    let place = Place::new();
    place.configured("connections = 0\n");
    let output = place.remint(&["config", "show"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stdout).unwrap().contains("connections"));
    assert!(String::from_utf8(output.stderr).unwrap().contains("from 1 to 65535"));
}

fn guess(server: &crate::place::Running) -> u16 {
    let body = json!({"client_id": "web", "identifier": "nobody", "password": "guess"}).to_string();
    ask(&server.public, "POST", "/session", JSON, &body).0
}

fn with_client(place: &Place) {
    place.json(&["api", "create", "orders"]);
    place.json(&["client", "create", "web", "--policy", "refresh", "--api", "orders", "--first-party"]);
}

#[test]
fn a_reload_swaps_what_can_be_swapped_and_names_what_needs_a_restart() {
    let place = Place::new();
    let server = place.serve();
    with_client(&place);
    assert_eq!([guess(&server), guess(&server)], [400, 400]);
    place.configured(
        "logins_per_account = 1\nlog = 'remint::jobs=info,off'\nconnections = 7\ntrusted_proxies = ['10.0.0.1']\n",
    );
    let reloaded = place.json(&["config", "reload"]);
    assert_eq!(reloaded["swapped"], json!(["trusted_proxies", "log", "logins_per_account"]));
    assert_eq!(reloaded["need_restart"], json!(["connections"]));
    assert_eq!(guess(&server), 429, "the new limit holds at once");
    let again = place.json(&["config", "reload", "--reason", "ticket 7"]);
    let entries = place.json(&["audit", "list", "--act", "config.reloaded"])["entries"].take();
    assert_eq!(entries[1]["names"], reloaded["swapped"], "{entries}");
    assert_eq!((&entries[0]["reason"], &entries[0]["target"]), (&json!("ticket 7"), &json!("config")));
    assert_eq!((&again["swapped"], &again["need_restart"]), (&json!([]), &json!(["connections"])));
}

#[test]
fn where_no_server_runs_there_is_nobody_to_reload() {
    let place = Place::new();
    let (code, message) = place.refused(&["config", "reload"]);
    assert!(code == 3 && message.contains("no server is running"), "{message}");
}

#[test]
fn a_signal_reloads_and_a_wrong_file_leaves_everything_as_it_was() {
    let place = Place::new();
    let server = place.serve();
    with_client(&place);
    place.configured("logins_per_account = 1\nconnections = 0\n");
    let (code, message) = place.refused(&["config", "reload", "--data", "data"]);
    assert!(code == 2 && message.contains("connections"), "{message}");
    server.signal("-HUP");
    let line = server.line("was not reloaded");
    assert!(line.contains("connections") && line.contains("ERROR"), "{line}");
    assert_eq!([guess(&server), guess(&server)], [400, 400], "the old limit stands");
    place.configured("logins_per_account = 2\n");
    server.signal("-HUP");
    let line = server.line("was reloaded");
    assert!(line.contains("logins_per_account"), "{line}");
    assert_eq!(guess(&server), 429);
    assert_eq!(server.stopped(), Some(0));
}

#[test]
fn health_is_asked_without_any_other_tool() {
    let place = Place::new();
    let server = place.serve();
    let environment = [("REMINT_OPERATIONS_LISTEN", server.operations.as_str())];
    let ready = place.remint_with(&["--json", "health"], &environment);
    assert!(ready.status.success(), "{}", String::from_utf8_lossy(&ready.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&ready.stdout).unwrap()["ready"], json!(true));
    let operations = server.operations.clone();
    assert_eq!(server.stopped(), Some(0));
    let gone = place.remint_with(&["health"], &[("REMINT_OPERATIONS_LISTEN", operations.as_str())]);
    assert_eq!(gone.status.code(), Some(3));
}
