//! `remint serve` on a database, as a process, and the people's way to it: HTTP. Never reads its store.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::evidence;

const KEY: &str = "3f9a1c77e05b42d86610fe9b8827ac5513d0e4b96f21783a4cc59d02b7e6f845";
pub(crate) const PASSWORD: &str = "analytical engine 1843";
/// Far beyond the server's deadline, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a node is to live: its settings, and nothing else around it.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new(database: &str, more: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.path("key"), KEY).unwrap();
        std::fs::set_permissions(place.path("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let settings = format!(
            "public_url = 'https://id.example'\ndata = 'data'\nmaster_key_file = 'key'\nlisten = '127.0.0.1:0'\n\
             operations_listen = '127.0.0.1:0'\nlog_format = 'json'\ndatabase = '{database}'\n{more}"
        );
        std::fs::write(place.path("remint.toml"), settings).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remint"));
        command.current_dir(self.0.path()).env_clear().args(arguments); // whatever is set here is no setting of theirs
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command that is done.
    pub(crate) fn remint(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// `serve` that is refused: its exit code and what it says.
    pub(crate) fn refused(&self) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.command(&["serve"]).output().unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    }

    /// A node, once it says that it serves.
    pub(crate) fn serve(&self) -> Node {
        let mut process = self.command(&["serve"]).stdout(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let mut lines = lines.inspect(move |line| {
            evidence::line(line);
            *kept.lock().unwrap() += &format!("{line}\n");
        });
        let Some(line) = lines.find(|line| line.contains("serving")) else {
            panic!("it does not serve:\n{}", log.lock().unwrap());
        };
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| format!("http://{}", said[name].as_str().unwrap());
        std::thread::spawn(move || lines.for_each(drop)); // to its end
        let client = Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        let http = Http { client, base: address("listen"), operations: address("operations") };
        Node { process, http, log }
    }

    /// A client whose tokens are soon rotated, and its people.
    pub(crate) fn peopled(&self, people: usize) {
        self.remint(&["api", "create", "demo-api"]);
        self.remint(&[
            "client",
            "create",
            "app",
            "--policy",
            "refresh",
            "--api",
            "demo-api",
            "--first-party",
            "--life",
            "60s",
            "--client-timeout",
            "1s",
        ]);
        std::fs::write(self.path("password"), PASSWORD).unwrap();
        for person in 0..people {
            self.remint(&["user", "create", &identifier(person), "--password-file", "password"]);
        }
    }
}

pub(crate) fn identifier(person: usize) -> String {
    format!("person{person}@example.test")
}

/// A node that runs; dropped, it is killed.
pub(crate) struct Node {
    process: Child,
    pub(crate) http: Http,
    log: Arc<Mutex<String>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn text(&self, member: &str) -> Option<&str> {
        self.body[member].as_str()
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// Whether it says "not just now", in the protocol's form. Anything else that is no answer is a panic.
    #[track_caller]
    pub(crate) fn is_put_off(&self) -> bool {
        assert!(self.status == 503 || !self.status.is_server_error(), "{self:?}");
        if self.status == 503 {
            assert!(self.retry_after.is_some_and(|seconds| (1..=60).contains(&seconds)), "{self:?}");
            assert_eq!(self.text("error"), Some("temporarily_unavailable"), "{self:?}");
        }
        self.status == 503
    }
}

/// The way to a node.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    base: String,
    operations: String,
}

impl Http {
    async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let answer = request.send().await.unwrap_or_else(|error| panic!("a request without an answer: {error}"));
        let (status, headers) = (answer.status(), answer.headers().clone());
        let retry_after = headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
        evidence::secrets_in(&body);
        Reply { status, retry_after, body }
    }

    async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Reply {
        self.send(self.client.post(format!("{}{path}", self.base)).form(pairs)).await
    }

    pub(crate) async fn login(&self, person: usize) -> Reply {
        let body = json!({ "client_id": "app", "identifier": identifier(person), "password": PASSWORD });
        evidence::secrets_in(&body);
        self.send(self.client.post(format!("{}/session", self.base)).json(&body)).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Reply {
        let form = [("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", token)];
        self.form("/oauth2/token", &form).await
    }

    pub(crate) async fn revoke(&self, token: &str) -> Reply {
        self.form("/oauth2/revoke", &[("client_id", "app"), ("token", token)]).await
    }

    /// A look at the own session, with an account token.
    pub(crate) async fn session(&self, token: &str) -> Reply {
        self.send(self.client.get(format!("{}/session", self.base)).bearer_auth(token)).await
    }

    pub(crate) async fn ready(&self) -> StatusCode {
        self.send(self.client.get(format!("{}/readyz", self.operations))).await.status
    }
}
