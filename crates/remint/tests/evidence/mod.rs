//! What the servers of the tests log, and beside it the secrets that they gave or were given, for `scripts/scan-logs` to
//! hold against each other. Kept in the folder that `TEST_LOGS` names; where it names none, nothing is kept.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, Once};

use serde_json::Value;
use tracing_subscriber::EnvFilter;

/// The members of requests and answers that nobody may log.
const SECRETS: [&str; 9] = [
    "access_token",
    "account_token",
    "refresh_token",
    "client_secret",
    "secret",
    "password",
    "challenge",
    "cookie",
    "code",
];

/// All that our own rooms say, and of others what an operator would see.
const FILTER: &str = "info,remint=trace,remint_core=trace,remint_guard=trace";

/// A file of this process, by what is in it.
#[expect(clippy::disallowed_methods, reason = "it is no setting of a server: those that the tests start never see it")]
fn file(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TEST_LOGS")?;
    let program = std::env::current_exe().ok()?;
    let name = program.file_stem()?.to_string_lossy().into_owned();
    Some(PathBuf::from(folder).join(format!("{name}-{}.{what}", std::process::id())))
}

fn opened(what: &str) -> Option<File> {
    let path = file(what)?;
    Some(OpenOptions::new().create(true).append(true).open(path).expect("the folder of TEST_LOGS is there"))
}

/// Lets the servers of this process log, all of it.
pub(crate) fn log_of_this_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(log) = opened("log") else { return };
        let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(FILTER)).with_ansi(false);
        subscriber.with_writer(Mutex::new(log)).init();
    });
}

/// A line that a server of its own process logged.
pub(crate) fn line(text: &str) {
    if let Some(mut log) = opened("log") {
        log.write_all(format!("{text}\n").as_bytes()).expect("it can be written");
    }
}

/// A secret that a server was given or gave.
pub(crate) fn secret(text: &str) {
    if let Some(mut secrets) = opened("secrets") {
        secrets.write_all(format!("{text}\n").as_bytes()).expect("it can be written");
    }
}

/// The secrets among the members of a request or an answer.
pub(crate) fn secrets_in(body: &Value) {
    match body {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value.as_str() {
            Some(text) if SECRETS.contains(&name.as_str()) => secret(text),
            _ => secrets_in(value),
        }),
        Value::Array(all) => all.iter().for_each(secrets_in),
        _ => {}
    }
}
