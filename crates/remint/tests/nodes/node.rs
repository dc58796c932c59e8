//! `remint serve` as a process: a node of an installation on one database, with a folder for its control socket.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::evidence;
use crate::pair::PATIENCE;
use crate::scene::MASTER_KEY;

/// A node that runs; dropped, it is killed.
pub(crate) struct Node {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Node {
    /// One that serves.
    pub(crate) async fn start(data: &Path, issuer: &str, database: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_remint"))
            .args(["serve", "--listen=127.0.0.1:0", "--operations-listen=127.0.0.1:0", "--log-format=json"])
            .arg(format!("--public-url={issuer}"))
            .arg("--data")
            .arg(data)
            .env_clear() // whatever is set where the tests run is no setting of theirs
            .env("REMINT_MASTER_KEY", MASTER_KEY)
            .env("REMINT_DATABASE", database)
            .envs([("REMINT_LOGINS_PER_ACCOUNT", "100000"), ("REMINT_LOGINS_PER_ADDRESS", "1000000")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let serving = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                evidence::line(&line);
                if line.contains("\"serving\"") {
                    return serde_json::from_str::<Value>(&line).unwrap();
                }
                said.push(line);
            }
            panic!("the node does not start: {said:#?}")
        };
        let serving = tokio::time::timeout(PATIENCE, serving).await.expect("the node starts");
        let address = serving["listen"].as_str().unwrap().parse().unwrap();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                evidence::line(&line);
            }
        });
        Self { process, address }
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
        tokio::time::timeout(PATIENCE, self.process.wait()).await.expect("it stops").unwrap().code()
    }
}
