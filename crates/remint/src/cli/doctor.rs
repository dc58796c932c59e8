//! `remint doctor`: looks at an installation from outside and inside, and says what to do. Mends nothing. Where no
//! server runs it opens the data as a server would: an earlier schema is brought to the latest, and a directory without
//! data gets its file and its first keys.

use std::net::ToSocketAddrs as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::ask::Answerer;
use super::{CliError, Exit, Setup};
use crate::admin::checks::Finding;
use crate::config::{Config, DEV_MARKER};
use crate::dev;
use crate::settings::{Issuer, Settings};

/// How long an address is tried.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(setup: &Setup) -> Result<(), CliError> {
    let data = setup.data()?;
    let mut findings = vec![directory(&data)];
    match settings(setup, &data) {
        Ok(settings) => {
            findings.push(Finding::ok("configuration", "every setting can be used"));
            findings.extend(outside(&settings));
            findings.push(reachable(&settings.issuer).await);
        }
        Err(wrong) => findings.push(Finding::error("configuration", wrong.message)),
    }
    let mut checks: Vec<Value> = findings.iter().map(Finding::view).collect();
    match inside(setup).await {
        Ok(stored) => checks.extend(stored),
        Err(error) => checks.push(Finding::error("server", error.message).view()),
    }
    let errors = checks.iter().filter(|check| check["grade"] == json!("error")).count();
    setup.print(&json!({ "checks": checks }))?;
    match errors {
        0 => Ok(()),
        1 => Err(CliError::new(Exit::Failed, "one thing does not work")),
        errors => Err(CliError::new(Exit::Failed, format!("{errors} things do not work"))),
    }
}

fn settings(setup: &Setup, data: &Path) -> Result<Settings, CliError> {
    if data.join(DEV_MARKER).exists() {
        return Ok(dev::settings_of(data)?.0);
    }
    Ok(Config::load(&setup.flags, &setup.environment)?.settings)
}

fn directory(data: &Path) -> Finding {
    const CHECK: &str = "data directory";
    match data.metadata() {
        Err(error) => Finding::error(CHECK, format!("{}: {error}. Start the server once", data.display())),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            Finding::warning(CHECK, format!("others can enter {0}: chmod 700 {0}", data.display()))
        }
        Ok(_) => Finding::ok(CHECK, format!("{}, for this user only", data.display())),
    }
}

/// What the settings say about the world outside.
fn outside(settings: &Settings) -> Vec<Finding> {
    let issuer = if settings.issuer.as_str().starts_with("https://") {
        Finding::ok("public URL", "https")
    } else {
        Finding::warning("public URL", "http works on this machine only: for others, put a proxy with TLS in front")
    };
    let proxies = if settings.trusted_proxies.is_empty() && settings.issuer.as_str().starts_with("https://") {
        Finding::warning(
            "trusted proxies",
            "none: with a proxy in front every log-in seems to come from it, and one attacker can lock out everybody. \
             Set `trusted_proxies` to its address",
        )
    } else {
        Finding::ok("trusted proxies", format!("{}", settings.trusted_proxies.len()))
    };
    vec![issuer, proxies]
}

/// Whether somebody listens at the public URL. Whether its certificate is good is not looked at.
async fn reachable(issuer: &Issuer) -> Finding {
    const CHECK: &str = "reachable";
    let (scheme, host) = issuer.origin().as_str().split_once("://").unwrap_or_default();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let port = if scheme == "https" { 443 } else { 80 };
    let address = if has_port { host.to_owned() } else { format!("{host}:{port}") };
    let tried = async {
        let resolving = address.clone();
        let all =
            tokio::task::spawn_blocking(move || resolving.to_socket_addrs()).await.map_err(std::io::Error::other)?;
        let all: Vec<_> = all?.collect();
        tokio::net::TcpStream::connect(all.as_slice()).await
    };
    match tokio::time::timeout(PATIENCE, tried).await {
        Ok(Ok(_)) => Finding::ok(CHECK, format!("{address} answers from here")),
        Ok(Err(error)) => Finding::warning(CHECK, format!("{address} does not answer from here: {error}")),
        Err(_) => Finding::warning(CHECK, format!("{address} does not answer from here within {PATIENCE:?}")),
    }
}

/// What is stored, looked at by the running server or by this process.
async fn inside(setup: &Setup) -> Result<Vec<Value>, CliError> {
    let answerer = setup.answerer().await?;
    let who = match &answerer {
        Answerer::Running(_) => Finding::ok("server", "running, and answers on its control socket"),
        Answerer::Remote(_) => Finding::ok("server", "answers over the network"),
        Answerer::Here(_) => Finding::ok("server", "not running: the data was looked at without it"),
    };
    let answer = answerer.ask(Method::GET, "/admin/api/checks", None).await;
    answerer.close().await;
    let stored = answer?["checks"].as_array().cloned().unwrap_or_default();
    Ok([vec![who.view()], stored].concat())
}
