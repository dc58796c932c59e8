//! The program itself as a process, in a directory of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use tempfile::TempDir;

use crate::evidence;

pub(crate) const KEY: &str = "3f9a1c77e05b42d86610fe9b8827ac5513d0e4b96f21783a4cc59d02b7e6f845";

/// A directory to work in, with `remint.toml`, a master key, and nothing else around it.
pub(crate) struct Place(TempDir);

/// A running server; it is killed when the scene ends.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    pub(crate) public: String,
    pub(crate) operations: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.private("key", KEY);
        place.configured("");
        place
    }

    /// Writes `remint.toml` anew, with more lines at its end.
    pub(crate) fn configured(&self, more: &str) {
        let file = "data = 'data'\nmaster_key_file = 'key'\nlisten = '127.0.0.1:0'\noperations_listen = '127.0.0.1:0'\n\
                    log_format = 'json'\n";
        let url = if more.contains("public_url") { "" } else { "public_url = 'https://id.example'\n" };
        fs::write(self.path("remint.toml"), format!("{url}{file}{more}")).unwrap();
    }

    /// A file that only its owner can read.
    pub(crate) fn private(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.mode(name, 0o600);
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_remint"));
        command.current_dir(self.0.path()).env_clear().envs(environment.iter().copied()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn remint(&self, arguments: &[&str]) -> Output {
        self.command(arguments, &[]).output().unwrap()
    }

    pub(crate) fn remint_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments, environment).output().unwrap()
    }

    /// The answer of a command that succeeds.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.remint(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The exit code and the message of a command that fails.
    pub(crate) fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.remint(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    pub(crate) fn with_stdin(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments, &[]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// `remint serve` on free ports, once it says that it runs.
    pub(crate) fn serve(&self) -> Running {
        self.serve_with(&[], &[])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut child = self.command(&[&["serve"], arguments].concat(), environment).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        let kept = |line: &String| evidence::line(line);
        let lines_of_it = stderr.lines().map_while(Result::ok).inspect(kept);
        std::thread::spawn(move || lines_of_it.map(|line| sender.send(line)).for_each(drop)); // to its end, heard or not
        let mut running = Running { child, lines, public: String::new(), operations: String::new() };
        let said: Value = serde_json::from_str(&running.line("serving")).unwrap();
        let address = |name: &str| said[name].as_str().unwrap().to_owned();
        (running.public, running.operations) = (address("listen"), address("operations"));
        running
    }
}

impl Running {
    /// The next line of the log that holds a text.
    pub(crate) fn line(&self, text: &str) -> String {
        let mut before = Vec::new();
        loop {
            let line = self.lines.recv().unwrap_or_else(|_| panic!("no line with `{text}`: {before:#?}"));
            if line.contains(text) {
                return line;
            }
            before.push(line);
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Tells it to stop, and answers how it ended.
    pub(crate) fn stopped(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }
}

/// An answer over TCP: its status and its body.
pub(crate) fn ask(host: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    evidence::secrets_in(&serde_json::from_str(body).unwrap_or_default());
    (head[9..12].parse().unwrap(), body.to_owned())
}

pub(crate) const JSON: &str = "Content-Type: application/json\r\n";
pub(crate) const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
