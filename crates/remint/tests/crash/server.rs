//! `remint dev` as a process of its own, in a folder that outlives it. Starts it, ends it, and asks it; never reads its
//! store.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::evidence;

const BINARY: &str = env!("CARGO_BIN_EXE_remint");
const IDENTIFIER: &str = "ada@example.test";
pub(crate) const PASSWORD: &str = "analytical engine 1843";
/// Far beyond any honest answer, also on a busy machine: whoever waits longer has been forgotten.
const PATIENCE: Duration = Duration::from_secs(30);
/// Another process may have taken the port between two lives.
const ATTEMPTS: u8 = 20;

/// What a server keeps between its lives, and how it is started.
pub(crate) struct Folder {
    dir: TempDir,
    speed: u32,
    port: u16,
}

/// A server that runs; dropped, it is killed.
pub(crate) struct Server {
    process: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    pub(crate) port: u16,
}

impl Drop for Folder {
    fn drop(&mut self) {
        evidence::line(&std::fs::read_to_string(self.log()).unwrap_or_default());
    }
}

impl Folder {
    pub(crate) fn new(speed: u32) -> Self {
        Self { dir: TempDir::new().unwrap(), speed, port: 0 }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("stderr")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A process that may or may not come up.
    pub(crate) fn launch(&self) -> Server {
        let log = self.log();
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut process = Command::new(BINARY)
            .args(["dev", "--no-open", "--port", &self.port.to_string(), "--speed", &self.speed.to_string()])
            .arg("--data")
            .arg(self.data())
            .env_clear() // whatever is set where the tests run is no setting of theirs
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        Server { process, stdout, log, port: 0 }
    }

    /// A server that answers, on the port of its first life: the issuer stays the same.
    pub(crate) async fn start(&mut self) -> Server {
        for _ in 0..ATTEMPTS {
            let mut server = self.launch();
            if let Some(port) = server.answers_on().await {
                (self.port, server.port) = (port, port);
                return server;
            }
            assert!(server.log().contains("is taken"), "the server did not start:\n{}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("port {} stays taken", self.port);
    }

    /// Runs an administrative command on the folder; its standard input is `input`.
    pub(crate) async fn command(&self, arguments: &[&str], input: &str) {
        let mut process = Command::new(BINARY)
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .env_clear() // whatever is set where the tests run is no setting of theirs
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = process.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A copy of all its files.
    pub(crate) fn copied(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        copy_files(&self.data(), copy.path());
        copy
    }

    /// Puts the files of a copy back, and nothing else.
    pub(crate) fn restore(&self, copy: &TempDir) {
        std::fs::remove_dir_all(self.data()).unwrap();
        std::fs::create_dir(self.data()).unwrap();
        copy_files(copy.path(), &self.data());
    }

    /// What `dev.json` says.
    pub(crate) fn facts(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.data().join("dev.json")).unwrap()).unwrap()
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

impl Server {
    /// The port, once it listens; `None` where it ended instead.
    async fn answers_on(&mut self) -> Option<u16> {
        let greeting = tokio::time::timeout(PATIENCE, self.stdout.next_line()).await;
        let greeting = greeting.unwrap_or_else(|_| panic!("the server is not up:\n{}", self.log())).unwrap()?;
        let port = greeting.split("http://localhost:").nth(1)?.split(' ').next()?.parse().unwrap();
        Some(port)
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Whether it is still there.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// SIGKILL: nothing of it runs on.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// SIGTERM; answers its exit code.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        let pid = self.process.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        ended.unwrap_or_else(|_| panic!("the server does not stop:\n{}", self.log())).unwrap().code()
    }
}

/// An answer that arrived.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

/// The answer did not arrive: whether the request counts is not known.
#[derive(Debug)]
pub(crate) struct Lost;

impl Reply {
    pub(crate) fn text(&self, member: &str) -> Option<&str> {
        self.body[member].as_str()
    }

    pub(crate) fn demand(&self, member: &str) -> String {
        self.text(member).unwrap_or_else(|| panic!("no `{member}` in {self:?}")).to_owned()
    }

    /// What was said of the cause.
    pub(crate) fn cause(&self) -> &str {
        self.text("error_description").unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

/// The claims of a token, read without verifying.
pub(crate) fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A client of one life of a server.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    base: String,
    issuer: String,
}

impl Http {
    pub(crate) fn to(port: u16) -> Self {
        let client = Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        Self { client, base: format!("http://127.0.0.1:{port}"), issuer: format!("http://localhost:{port}") }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply, Lost> {
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => panic!("no answer and no end of the connection: {error}"),
            Err(_) => return Err(Lost),
        };
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|_| Lost)?;
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        evidence::secrets_in(&body);
        Ok(Reply { status, body })
    }

    pub(crate) async fn login(&self, client_id: &str, identifier: &str) -> Result<Reply, Lost> {
        let body = json!({ "client_id": client_id, "identifier": identifier, "password": PASSWORD });
        evidence::secrets_in(&body);
        self.send(self.client.post(format!("{}/session", self.base)).json(&body)).await
    }

    /// A log-in that is tried until the machine has time to hash a password.
    pub(crate) async fn logged_in(&self, client_id: &str) -> Reply {
        loop {
            let reply = self.login(client_id, IDENTIFIER).await.expect("the server answers");
            if !matches!(reply.status.as_u16(), 408 | 503) {
                return reply.expect(200);
            }
        }
    }

    async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Reply, Lost> {
        self.send(self.client.post(format!("{}{path}", self.base)).form(pairs)).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<Reply, Lost> {
        let form = [("grant_type", "refresh_token"), ("client_id", "demo-refresh"), ("refresh_token", token)];
        self.form("/oauth2/token", &form).await
    }

    /// A refresh that is asked for again where the server says 503, as a client does: at a high `--speed` its deadline is a
    /// second, and the disk of a busy machine takes as long now and then; or it is in doubt, having just started.
    pub(crate) async fn refreshed(&self, token: &str) -> Reply {
        let asking = async {
            loop {
                let reply = self.refresh(token).await.expect("the server answers");
                if reply.status != StatusCode::SERVICE_UNAVAILABLE {
                    return reply;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("it is busy for ever")
    }

    /// A refresh that is answered with the account token.
    pub(crate) async fn account_token(&self, token: &str) -> Result<Reply, Lost> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "demo-refresh"),
            ("refresh_token", token),
            ("resource", &self.issuer),
        ];
        self.form("/oauth2/token", &form).await
    }

    pub(crate) async fn revoke(&self, token: &str) -> Result<Reply, Lost> {
        self.form("/oauth2/revoke", &[("client_id", "demo-refresh"), ("token", token)]).await
    }

    pub(crate) async fn bearer(&self, method: Method, path: &str, token: &str) -> Result<Reply, Lost> {
        self.send(self.client.request(method, format!("{}{path}", self.base)).bearer_auth(token)).await
    }

    pub(crate) async fn patch(&self, token: &str, nickname: &str) -> Result<Reply, Lost> {
        let request = self.client.patch(format!("{}/account", self.base)).bearer_auth(token);
        self.send(request.json(&json!({ "nickname": nickname }))).await
    }
}
