//! Scenes with the program itself as a process: `dev`, `serve`, and the command line with and without a server. What
//! is awaited is always a line or an answer of that process.
#![expect(clippy::unwrap_used, reason = "a scene that cannot be set up has failed")]

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "evidence/mod.rs"]
#[allow(dead_code, reason = "no server is in this process")]
mod evidence;

const KEY: &str = "3f9a1c77e05b42d86610fe9b8827ac5513d0e4b96f21783a4cc59d02b7e6f845";

/// A directory to work in, with no configuration around it.
struct Place(TempDir);

/// A running server; it is killed when the scene ends.
struct Running {
    child: Child,
    stderr: Option<std::thread::JoinHandle<String>>,
    issuer: String,
    operations: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remint"));
        command.current_dir(self.0.path()).env_clear().args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    fn remint(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The answer of a command that succeeds.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.remint(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a command that succeeds prints for people.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.remint(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code and the message of a command that fails.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.remint(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn with_stdin(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// `remint dev` on a free port, once it says that it runs.
    fn dev(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(&[&["dev", "--port", "0", "--no-open"], arguments].concat()).spawn().unwrap();
        let stderr = child.stderr.take().map(collected);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("dev says something").unwrap();
        let issuer = first.split(' ').find(|word| word.starts_with("http://")).unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Running { child, stderr, issuer, operations: String::new() }
    }

    /// `remint serve` on free ports, once it says that it runs.
    fn serve(&self) -> Running {
        let mut child = self.command(&["serve"]).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut lines = lines.inspect(|line| evidence::line(line));
        let line = lines.find(|line| line.contains("serving")).expect("it serves");
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| format!("http://{}", said[name].as_str().unwrap());
        let stderr = std::thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
        Running { child, stderr: Some(stderr), issuer: address("listen"), operations: address("operations") }
    }

    /// The three settings of `serve`, in a file, and a master key beside it.
    fn configured(self) -> Self {
        fs::write(self.path("key"), KEY).unwrap();
        fs::set_permissions(self.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
        let file = "public_url = 'https://id.example'\ndata = 'data'\nmaster_key_file = 'key'\nlisten = '127.0.0.1:0'\n\
                    operations_listen = '127.0.0.1:0'\nlog_format = 'json'\n";
        fs::write(self.path("remint.toml"), file).unwrap();
        self
    }

    fn facts(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path("remint-dev/dev.json")).unwrap()).unwrap()
    }
}

fn collected(stderr: std::process::ChildStderr) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let lines = BufReader::new(stderr).lines().map_while(Result::ok).inspect(|line| evidence::line(line));
        lines.fold(String::new(), |text, line| text + &line + "\n")
    })
}

/// An answer: status, body and head.
struct Answer(u16, String, String);

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.1).unwrap_or_else(|_| panic!("no JSON: {}", self.1))
    }
}

impl Running {
    fn ask(&self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> Answer {
        ask(&self.issuer, method, path, headers, body)
    }

    fn log_in(&self, client: &str) -> Value {
        let body = json!({
            "identifier": "ada@example.test", "password": "analytical engine 1843", "client_id": client,
        });
        let answer = self.ask("POST", "/session", "", Some(&body));
        assert_eq!(answer.0, 200, "{}", answer.1);
        answer.json()
    }

    fn host(&self) -> &str {
        self.issuer.trim_start_matches("http://")
    }

    /// Tells it to stop, and answers how it ended and what it logged.
    fn stopped(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        (code, self.stderr.take().unwrap().join().unwrap())
    }
}

fn ask(base: &str, method: &str, path: &str, headers: &str, body: Option<&Value>) -> Answer {
    try_ask(base, method, path, headers, body).unwrap()
}

/// As `ask`; an error where the connection was closed without an answer.
fn try_ask(base: &str, method: &str, path: &str, headers: &str, body: Option<&Value>) -> io::Result<Answer> {
    let host = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    let has_host = headers.lines().any(|line| line.to_lowercase().starts_with("host:"));
    let own_host = if has_host { String::new() } else { format!("Host: {host}\r\n") };
    body.into_iter().for_each(evidence::secrets_in);
    let body = body.map(|body| body.to_string());
    let typed =
        body.as_ref().map(|body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    let (typed, body) = (typed.unwrap_or_default(), body.unwrap_or_default());
    write!(stream, "{method} {path} HTTP/1.1\r\n{own_host}{headers}{typed}Connection: close\r\n\r\n{body}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let answer = Answer(head[9..12].parse().unwrap(), body.to_owned(), head.to_lowercase());
    evidence::secrets_in(&serde_json::from_str(&answer.1).unwrap_or_default());
    Ok(answer)
}

fn bearer(token: &Value) -> String {
    format!("Authorization: Bearer {}\r\n", token.as_str().unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn dev_needs_nothing_and_its_facts_are_enough_to_log_in_with_every_client() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let facts = place.facts();
    assert_eq!(facts["issuer"], json!(dev.issuer));
    assert_eq!(mode(&place.path("remint-dev/dev.json")), 0o600);
    assert_eq!(mode(&place.path("remint-dev")), 0o700);
    assert_eq!(facts["timing"], json!({"client_timeout": 10, "leeway": 5, "window": 30, "quantum": 5}));
    for client in ["demo-rolling", "demo-fixed", "demo-refresh"] {
        let tokens = dev.log_in(client);
        assert_eq!(tokens.get("refresh_token").is_some(), client == "demo-refresh");
        let inspected = place.json(&["token", "inspect", tokens["access_token"].as_str().unwrap()]);
        assert_eq!(inspected["claims"]["nickname"], json!("ada"), "{inspected}");
        assert_eq!(inspected["claims"]["role"], json!("engineer"));
        assert_eq!(inspected["claims"]["aud"], facts["audience"]);
    }
    let page = dev.log_in("demo-cookie");
    assert_eq!(page["claims"]["nickname"], json!("ada"));
    assert!(page.get("access_token").is_none(), "a page of the cookie policy gets no token: {page}");
    assert!(facts["clients"].as_array().unwrap().contains(&json!({"client_id": "demo-cookie", "policy": "cookie"})));
}

#[test]
fn dev_answers_only_as_this_host() {
    let place = Place::new();
    let dev = place.dev(&[]);
    assert_eq!(dev.ask("GET", "/", "", None).0, 200);
    for host in ["evil.example", "localhost", "evil.example:7070"] {
        let answer = dev.ask("GET", "/oauth2/jwks", &format!("Host: {host}\r\n"), None);
        assert_eq!(answer.0, 421, "{host}: {}", answer.1);
    }
}

#[test]
fn dev_lets_nobody_in_while_it_ends() {
    let place = Place::new();
    let mut dev = place.dev(&[]);
    let mut half_said = TcpStream::connect(dev.host()).unwrap();
    half_said.write_all(b"POST /oauth2/tok").unwrap(); // waited for: its head may still come
    let pid = dev.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    while !TcpStream::connect(dev.host()).is_err_and(refused) {
        std::thread::yield_now(); // let in before the signal came, or cut off in the queue that was closed
    }
    assert_eq!(dev.child.try_wait().unwrap(), None, "it refuses before it has ended");
    drop(half_said);
    assert_eq!(dev.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_playground_is_in_dev_only_and_runs_no_script_from_elsewhere() {
    let place = Place::new().configured();
    let dev = place.dev(&[]);
    let page = dev.ask("GET", "/play", "", None);
    assert_eq!(page.0, 200);
    for directive in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'self'"] {
        assert!(page.2.contains(directive), "{directive}: {}", page.2);
    }
    assert!(!page.2.contains("unsafe"), "{}", page.2);
    for needed in ["main.js", "play.css", "library.js", "mark.svg"] {
        assert_eq!(dev.ask("GET", &format!("/play/{needed}"), "", None).0, 200, "{needed}");
    }
    assert_eq!(dev.ask("GET", "/play/dev.json", "", None).0, 404);
    let library = format!("/sdk/{}/index.js", env!("CARGO_PKG_VERSION"));
    let module = dev.ask("GET", &library, "", None);
    assert!(module.0 == 200 && module.2.contains("cache-control: no-cache"), "{}", module.2);
    assert_eq!(dev.ask("GET", &library, "If-None-Match: *\r\n", None).0, 304);
    let port = dev.host().rsplit(':').next().unwrap();
    let elsewhere = dev.ask("GET", "/play", &format!("Host: 127.0.0.1:{port}\r\n"), None);
    assert!(elsewhere.0 == 307 && elsewhere.2.contains(&format!("location: {}/play", dev.issuer)), "{}", elsewhere.2);
    let facts = dev.ask("GET", "/dev/facts.json", "", None);
    assert!(facts.1.contains("demo-rolling") && !facts.1.contains("secret"), "{}", facts.1);

    let server = place.serve();
    assert!(ask(&server.issuer, "GET", &library, "", None).2.contains("immutable"));
    for path in ["/play", "/play/main.js", "/dev/facts.json", "/dev/role", "/dev/speed", "/dev/inbox.json"] {
        assert_eq!(ask(&server.issuer, "GET", path, "", None).0, 404, "{path}");
    }
}

#[test]
fn only_dev_s_own_page_changes_a_role_or_the_speed() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let role = json!({"role": "admiral"});
    for wrong in ["", "Origin: http://localhost:1\r\n", "Origin: null\r\n", "Origin: http://evil.example\r\n"] {
        assert_eq!(dev.ask("POST", "/dev/role", wrong, Some(&role)).0, 403, "{wrong}");
        assert_eq!(dev.ask("POST", "/dev/speed", wrong, Some(&json!({"speed": 60}))).0, 403, "{wrong}");
    }
    let own = format!("Origin: {}\r\n", dev.issuer);
    assert_eq!(dev.ask("POST", "/dev/role", &own, Some(&role)).json(), json!({"cv": 2}));
    assert_eq!(dev.ask("POST", "/dev/role", &own, Some(&json!({"role": 7}))).0, 400);
    assert_eq!(dev.ask("POST", "/dev/speed", &own, Some(&json!({"speed": 61}))).0, 400);
    assert_eq!(place.json(&["user", "show", "ada@example.test"])["attributes"]["role"], json!("admiral"));
}

#[test]
fn the_speed_changes_while_dev_runs_and_sessions_go_on() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let tokens = dev.log_in("demo-refresh");
    // As much of a life as the rounding of minting times leaves.
    let lives = |tokens: &Value, life: u64, quantum: u64| {
        let left = tokens["expires_in"].as_u64().unwrap();
        assert!((life - quantum..=life).contains(&left), "{left} of {life}");
    };
    lives(&tokens, 300, 5);
    let own = format!("Origin: {}\r\n", dev.issuer);
    for (speed, life) in [(60, 5), (30, 10)] {
        assert_eq!(dev.ask("POST", "/dev/speed", &own, Some(&json!({"speed": speed}))).0, 202);
        // Who comes while the server begins anew waits, or meets the run that ends: as it was, or hanging up.
        let facts = || try_ask(&dev.issuer, "GET", "/dev/facts.json", "", None);
        assert!((0..100).any(|_| facts().is_ok_and(|facts| facts.json()["speed"] == json!(speed))));
        lives(&dev.log_in("demo-refresh"), life, 1);
        let shown = dev.ask("GET", "/session", &bearer(&tokens["account_token"]), None);
        assert_eq!(shown.0, 200, "{}", shown.1);
    }
    assert_eq!(place.json(&["client", "show", "demo-refresh"])["policy"]["life"], json!(10));
    assert_eq!(dev.stopped().0, Some(0), "it still ends in order");
}

#[test]
fn dev_keeps_its_data_and_secrets_and_its_folder_is_refused_by_serve() {
    let place = Place::new();
    let first = place.dev(&[]);
    let sub = |tokens: &Value| {
        place.json(&["token", "inspect", tokens["access_token"].as_str().unwrap()])["claims"]["sub"].clone()
    };
    let before = (sub(&first.log_in("demo-fixed")), place.facts()["apis"].clone(), place.facts()["clients"].clone());
    assert_eq!(first.stopped().0, Some(0));
    let second = place.dev(&["--speed", "60"]);
    assert_eq!(
        (sub(&second.log_in("demo-fixed")), place.facts()["apis"].clone(), place.facts()["clients"].clone()),
        before
    );
    assert_eq!(place.facts()["timing"]["window"], json!(2));
    assert_eq!(place.json(&["client", "show", "demo-refresh"])["policy"]["life"], json!(5));
    assert_eq!(place.refused(&["dev", "--speed", "61", "--no-open", "--data", "other"]).0, 2);
    let (code, message) = place.refused(&["serve", "--data", "remint-dev"]);
    assert!(code == 2 && message.contains("was made by `remint dev`"), "{message}");
}

#[test]
fn a_port_that_is_taken_says_what_to_do() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let port = dev.host().rsplit(':').next().unwrap();
    let (code, message) = place.refused(&["dev", "--port", port, "--no-open", "--data", "other"]);
    assert!(code == 2 && message.contains("--port"), "{message}");
    assert!(!place.path("other").exists(), "no folder is left behind");
}

#[test]
fn an_administrator_changes_a_record_and_ends_sessions_over_the_socket_and_without_a_server() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let tokens = dev.log_in("demo-rolling");
    assert_eq!(place.json(&["user", "patch", "ada@example.test", "role=admiral"])["cv"], json!(2));
    let shown = dev.ask("GET", "/session", &bearer(&tokens["account_token"]), None).json();
    assert_eq!(shown["user"]["attributes"]["role"], json!("admiral"));
    let sessions = place.json(&["session", "list", "ada@example.test"]);
    let sid = sessions["sessions"][0]["sid"].as_str().unwrap().to_owned();
    assert_eq!(place.json(&["session", "end", &sid])["was_live"], json!(true));
    assert_eq!(dev.ask("GET", "/session", &bearer(&tokens["account_token"]), None).0, 401);
    assert_eq!(dev.stopped().0, Some(0));

    assert_eq!(place.json(&["user", "show", "ada@example.test"])["attributes"]["role"], json!("admiral"));
    assert_eq!(place.json(&["user", "disable", "ada@example.test"])["cv"], json!(3));
    assert_eq!(place.json(&["user", "disable", "ada@example.test"])["cv"], json!(3), "it was so already");
    assert_eq!(place.json(&["user", "show", "ada@example.test"])["status"], json!("disabled"));
    let again = place.dev(&[]);
    let body =
        json!({"identifier": "ada@example.test", "password": "analytical engine 1843", "client_id": "demo-fixed"});
    assert_eq!(again.ask("POST", "/session", "", Some(&body)).0, 400);
}

#[test]
fn an_installation_applied_to_a_running_server_is_in_the_next_token() {
    let place = Place::new();
    let dev = place.dev(&["--speed", "60"]);
    let installation = "[attributes.team]\ntype = 'string'\n[clients.team-app]\napis = ['demo-api']\n\
                        policy = { kind = 'refresh', life = '10s', client_timeout = 1 }\nfirst_party = true\n\
                        mapping = { team = 'team' }\n[users.'ada@example.test']\nattributes = { team = 'engines' }\n";
    fs::write(place.path("installation.toml"), installation).unwrap();
    let applied = place.json(&["apply", "installation.toml"]);
    assert_eq!(applied["changes"].as_array().unwrap().len(), 3, "{applied}");
    let tokens = dev.log_in("team-app");
    let inspected = place.json(&["token", "inspect", tokens["access_token"].as_str().unwrap()]);
    assert_eq!(inspected["claims"]["team"], json!("engines"));
    assert_eq!(inspected["problems"], json!([]));
    assert_eq!(place.json(&["apply", "installation.toml"])["changes"], json!([]));
}

#[test]
fn a_client_that_may_not_administer_gets_no_token_for_it_and_is_told_why() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let facts = place.facts();
    let service =
        facts["clients"].as_array().unwrap().iter().find(|client| client["client_secret"].is_string()).unwrap();
    let id = service["client_id"].as_str().unwrap();
    let elsewhere = ["user", "list", "--url", &dev.issuer, "--client-id", id, "--client-secret-file", "secret"];
    fs::write(place.path("secret"), service["client_secret"].as_str().unwrap()).unwrap();
    let (code, message) = place.refused(&elsewhere);
    assert!(code == 1 && message.contains("got no token") && message.contains("may not administer"), "{message}");
    fs::write(place.path("secret"), "another").unwrap();
    let (code, message) = place.refused(&elsewhere);
    assert!(code == 1 && message.contains("rotate-secret"), "{message}");
}

#[test]
fn a_client_that_may_administer_pages_through_users_and_reads_the_audit_log_from_elsewhere() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let installation = "[clients.ops]\npolicy = 'fixed'\napis = ['demo-api']\nconfidential = true\n\
                        client_credentials = true\n\
                        administration = { scopes = 'remint:users:read remint:users:write remint:audit remint:clients' }\n";
    fs::write(place.path("ops.toml"), installation).unwrap();
    place.json(&["apply", "ops.toml", "--secrets", "secrets.toml"]);
    let secrets = fs::read_to_string(place.path("secrets.toml")).unwrap();
    let secrets: toml::Table = secrets.parse().unwrap();
    fs::write(place.path("secret"), secrets["ops"].as_str().unwrap()).unwrap();
    let ops = |command: &[&str]| {
        let elsewhere = ["--url", &dev.issuer, "--client-id", "ops", "--client-secret-file", "secret"];
        place.json(&[command, &elsewhere].concat())
    };
    ops(&["user", "create", "--no-password", "grace@example.test"]);
    let doctor = ops(&["doctor"])["checks"].take();
    let checks: Vec<_> = doctor.as_array().unwrap().iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert!(checks[..3] == ["machine", "server", "store"] && !checks.contains(&"disk"), "{doctor}");
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let after = cursor.as_ref().map(|cursor: &String| ["--after", cursor]);
        let page =
            ops(&[&["user", "list", "--limit", "1"][..], after.as_ref().map_or(&[], |after| &after[..])].concat());
        names.extend(page["users"].as_array().unwrap().iter().map(|user| user["identifiers"][0].clone()));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    for name in ["ada@example.test", "grace@example.test"] {
        assert_eq!(names.iter().filter(|found| **found == json!(name)).count(), 1, "{names:?}");
    }
    let first = ops(&["audit", "list", "--actor", "client:ops", "--since", "1h"]);
    assert_eq!((&first["entries"][0]["act"], &first["next"]), (&json!("user.created"), &Value::Null), "{first}");
    let newest = ops(&["audit", "list", "--limit", "1"]);
    let older = ops(&["audit", "list", "--limit", "1", "--after", newest["next"].as_str().unwrap()]);
    assert_ne!(older["entries"][0]["id"], newest["entries"][0]["id"]);
    let shown = place.text(&["audit", "list", "--actor", "client:ops"]);
    assert!(shown.contains("user.created"), "{shown}");
}

#[test]
fn an_administrator_lets_a_guessed_at_user_try_again_and_ends_every_session() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let log_in = |password: &str| {
        let body = json!({"identifier": "ada@example.test", "password": password, "client_id": "demo-fixed"});
        dev.ask("POST", "/session", "", Some(&body)).0
    };
    let guessed = (0..30).map(|_| log_in("wrong guess")).find(|status| *status == 429);
    assert_eq!(guessed, Some(429));
    assert_eq!(log_in("analytical engine 1843"), 429);
    place.json(&["user", "unlock", "ada@example.test"]);
    assert_eq!(log_in("analytical engine 1843"), 200);
    place.json(&["session", "end-all", "ada@example.test"]);
    let sessions = place.json(&["session", "list", "ada@example.test"]);
    assert_eq!(sessions["sessions"][0]["over"], json!("session ended: revoked"));
}

#[test]
fn a_wrong_command_says_what_to_do_and_its_exit_code_what_it_was() {
    let place = Place::new();
    assert_eq!(place.refused(&["user", "list"]).0, 2, "no data directory is known");
    assert_eq!(place.refused(&["user", "list", "--data", "nothing"]).0, 3);
    let _dev = place.dev(&[]);
    for (arguments, code, word) in [
        (&["user", "show", "nobody@example.test"][..], 3, "no user `nobody@example.test`"),
        (&["user", "patch", "ada@example.test", "rolle=x"], 2, "`rolle` is not declared"),
        (&["client", "update", "demo-refresh", "--life", "10s"], 2, "raise `life`"),
        (&["client", "update", "demo-refresh", "--claim", "sub=role"], 2, "`sub` is reserved"),
        (&["client", "create", "x", "--policy", "fixed", "--api", "nope"], 2, "no api `nope`"),
        (&["client", "create", "demo-api", "--policy", "fixed", "--api", "demo-api"], 1, "exists already"),
        (&["api", "create", "demo-api"], 1, "exists already"),
        (&["user", "create", "Ada@Example.TEST", "--no-password"], 1, "exists already"),
        (&["user", "create", "a b@c", "--no-password"], 2, "identifiers"),
        (&["key", "withdraw", "nope", "--yes"], 3, "nope"),
        (&["session", "end", "AAAAAAAAAAAAAAAAAAAAAA"], 3, "no session"),
        (&["token", "inspect", "garbage"], 2, "neither"),
    ] {
        let (found, message) = place.refused(arguments);
        assert!(found == code && message.contains(word), "{arguments:?}: {found} {message}");
    }
    let message = place.refused(&["--json", "user", "show", "nobody@example.test"]).1;
    assert!(serde_json::from_str::<Value>(&message).unwrap()["error"].is_string());
}

#[test]
fn a_password_comes_from_standard_input_or_a_file_and_ends_every_session_when_it_changes() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let tokens = dev.log_in("demo-fixed");
    let set = place.with_stdin(&["user", "set-password", "ada@example.test"], "difference engine\n");
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let answer = dev.ask("GET", "/session", &bearer(&tokens["account_token"]), None);
    assert!(answer.0 == 401 && answer.1.contains("password-changed"), "{}", answer.1);
    fs::write(place.path("password"), "note G of 1843\n").unwrap();
    place.json(&["user", "create", "charles", "--password-file", "password", "--attribute", "nickname=Charles"]);
    let body = json!({"identifier": "CHARLES", "password": "note G of 1843", "client_id": "demo-fixed"});
    assert_eq!(dev.ask("POST", "/session", "", Some(&body)).0, 200);
    place.json(&["user", "delete", "charles", "--yes"]);
    assert_eq!(dev.ask("POST", "/session", "", Some(&body)).0, 400);
    assert_eq!(place.refused(&["user", "show", "charles"]).0, 3);
}

#[test]
fn a_client_that_is_disabled_or_gets_a_new_secret_is_refused_with_the_old_one() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let made = place.json(&[
        "client",
        "create",
        "robot",
        "--confidential",
        "--client-credentials",
        "--policy",
        "refresh",
        "--api",
        "demo-api",
    ]);
    let first = made["client_secret"].as_str().unwrap();
    let token = |secret: &str| {
        let body = format!("grant_type=client_credentials&client_id=robot&client_secret={secret}");
        let headers = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
        let mut stream = TcpStream::connect(dev.host()).unwrap();
        let host = dev.host();
        write!(stream, "POST /oauth2/token HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n{body}")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text[9..12].parse::<u16>().unwrap()
    };
    assert_eq!(token(first), 200);
    let rotated = place.json(&["client", "rotate-secret", "robot"]);
    let second = rotated["client_secret"].as_str().unwrap();
    assert_eq!((token(first), token(second)), (401, 200));
    assert_eq!(place.json(&["client", "disable", "robot"])["pv"], json!(3), "the new secret was one too");
    assert_eq!(token(second), 401);
    place.json(&["client", "enable", "robot"]);
    assert_eq!(token(second), 200);
    assert!(place.json(&["client", "show", "robot"]).get("secret").is_none());
}

#[test]
fn the_log_of_a_whole_flow_holds_no_token_and_no_secret() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let tokens = dev.log_in("demo-refresh");
    let (access, account) = (tokens["access_token"].as_str().unwrap(), tokens["account_token"].as_str().unwrap());
    let refresh = tokens["refresh_token"].as_str().unwrap();
    dev.ask("GET", &format!("/session?access_token={access}"), &bearer(&tokens["account_token"]), None);
    dev.ask("PATCH", "/account", &bearer(&tokens["account_token"]), Some(&json!({"nickname": "Countess"})));
    dev.ask("PATCH", "/account", &bearer(&tokens["access_token"]), Some(&json!({"nickname": "Countess"})));
    dev.ask(
        "POST",
        "/session",
        "",
        Some(&json!({"identifier": "ada@example.test", "password": "swordfish", "client_id": "demo-fixed"})),
    );
    dev.ask("GET", &format!("/{refresh}"), "X-Request-Id: forged\r\n", None);
    dev.ask("DELETE", "/session", &bearer(&tokens["account_token"]), None);
    let (code, log) = dev.stopped();
    assert_eq!(code, Some(0));
    assert!(log.contains("route=\"/session\"") && log.contains("status=200") && log.contains("request{id="), "{log}");
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    for secret in [
        access,
        account,
        refresh,
        &signature(access),
        &signature(refresh),
        "swordfish",
        "analytical",
        "forged",
        "Countess",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn serve_is_told_three_settings_and_answers_operators_apart() {
    let place = Place::new().configured();
    let server = place.serve();
    assert_eq!(ask(&server.operations, "GET", "/livez", "", None).0, 200);
    assert_eq!(ask(&server.operations, "GET", "/readyz", "", None).0, 200);
    assert_eq!(server.ask("GET", "/oauth2/jwks", "", None).0, 200);
    let metrics = ask(&server.operations, "GET", "/metrics", "", None);
    assert!(metrics.1.contains("remint_http_requests_total{route=\"/oauth2/jwks\""), "{}", metrics.1);
    for path in ["/metrics", "/livez", "/dev", "/"] {
        assert_eq!(server.ask("GET", path, "", None).0, 404, "{path}");
    }
    assert_eq!(server.ask("GET", "/admin/api/users", "", None).0, 401, "for administrators with a token");
    let metadata = server.ask("GET", "/.well-known/oauth-authorization-server", "", None).json();
    assert_eq!(metadata["issuer"], json!("https://id.example"));
    assert_eq!(mode(&place.path("data")), 0o700);
    assert_eq!(mode(&place.path("data/control.sock")), 0o600);
}

#[test]
fn serve_refuses_a_data_directory_that_others_can_write() {
    let place = Place::new().configured();
    fs::create_dir(place.path("data")).unwrap();
    for others in [0o777, 0o770, 0o702] {
        fs::set_permissions(place.path("data"), fs::Permissions::from_mode(others)).unwrap();
        let (code, message) = place.refused(&["serve"]);
        assert!(code == 1 && message.contains("others can write") && message.contains("chmod 700"), "{message}");
        assert!(fs::read_dir(place.path("data")).unwrap().next().is_none(), "nothing was put there");
    }
    fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o755)).unwrap();
    place.serve();
}

#[test]
fn serve_ends_its_event_streams_and_stops_when_told() {
    let place = Place::new().configured();
    let server = place.serve();
    let api = place.json(&["api", "create", "orders"]);
    let secret = api["client_secret"].as_str().unwrap();
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("orders:{secret}"));
    let mut feed = TcpStream::connect(server.host()).unwrap();
    write!(feed, "GET /feed HTTP/1.1\r\nHost: id.example\r\nAuthorization: Basic {basic}\r\n\r\n").unwrap();
    let mut feed = BufReader::new(feed);
    let mut first = String::new();
    feed.read_line(&mut first).unwrap();
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    let stopwatch = remint::clock::Stopwatch::start();
    assert_eq!(server.stopped().0, Some(0));
    assert!(stopwatch.elapsed() < std::time::Duration::from_secs(5), "the drain waited for its deadline");
    let mut rest = String::new();
    feed.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the stream ends as a whole answer does: {rest:?}");
    assert!(!place.path("data/control.sock").exists());
}

#[test]
fn doctor_finds_what_is_wrong_and_says_what_to_do() {
    let place = Place::new().configured();
    let server = place.serve();
    place.json(&["api", "create", "orders"]);
    place.json(&[
        "client",
        "create",
        "web",
        "--policy",
        "refresh",
        "--api",
        "orders",
        "--origin",
        "http://app.example",
    ]);
    let output = place.remint(&["doctor", "--json"]);
    let checks: Value = serde_json::from_slice(&output.stdout).unwrap();
    let grade = |name: &str| {
        let found = checks["checks"].as_array().unwrap().iter().find(|check| check["check"] == json!(name));
        found.unwrap_or_else(|| panic!("{name}: {checks}"))["grade"].clone()
    };
    for (name, expected) in [
        ("data directory", "ok"),
        ("configuration", "ok"),
        ("server", "ok"),
        ("store", "ok"),
        ("clock", "ok"),
        ("keys", "ok"),
        ("trusted proxies", "warning"),
        ("client", "warning"),
    ] {
        assert_eq!(grade(name), json!(expected), "{name}: {checks}");
    }
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(server.stopped().0, Some(0));
    fs::write(place.path("key"), KEY.chars().rev().collect::<String>()).unwrap();
    let output = place.remint(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("master key"), "{text}");
}

#[test]
fn keys_rotate_and_are_withdrawn_by_command() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let tokens = dev.log_in("demo-fixed");
    let listed = place.json(&["key", "list"]);
    let signing = listed["keys"].as_array().unwrap().iter().find(|key| key["purpose"] == json!("ES256")).unwrap();
    let kid = signing["kid"].as_str().unwrap();
    assert_eq!(place.json(&["key", "rotate", "ES256"])["signs"], json!(false), "verifiers must know it first");
    let withdrawn = place.json(&["key", "withdraw", kid, "--yes"]);
    assert_ne!(withdrawn["current"], json!(kid));
    assert!(!dev.ask("GET", "/oauth2/jwks", "", None).1.contains(kid));
    assert_eq!(dev.ask("GET", "/session", &bearer(&tokens["account_token"]), None).0, 401);
}
