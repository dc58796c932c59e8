//! `remint doctor`: looks at an installation from outside and inside, and says what to do. Mends nothing. Where no
//! server runs it opens the data as a server would: an earlier schema is brought to the latest, and a directory without
//! data gets its file and its first keys.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::ask::Who;
use super::{CliError, Exit, Setup};
use crate::admin::checks::Finding;
use crate::config::{Config, DEV_MARKER};
use crate::dev;
use crate::settings::{AddressRange, Issuer, Settings};

/// How long an address is tried.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(setup: &Setup) -> Result<(), CliError> {
    if setup.remote.is_some() {
        let stored = inside(setup).await?;
        return report(setup, &[vec![left_out().view()], stored].concat());
    }
    if let Err(wrong) = Config::data(&setup.flags, &setup.environment) {
        return report(setup, &[Finding::error("configuration", wrong.to_string()).view()]);
    }
    let data = setup.data()?;
    let mut findings = vec![directory(&data), space(&data)];
    match settings(setup, &data) {
        Ok((settings, operations)) => {
            findings.push(Finding::ok("configuration", "every setting can be used"));
            findings.extend(outside(&settings));
            findings.extend(operations.map(operators_alone));
            findings.push(reachable(&settings.issuer).await);
        }
        Err(wrong) => findings.push(Finding::error("configuration", wrong.message)),
    }
    let mut checks: Vec<Value> = findings.iter().map(Finding::view).collect();
    match inside(setup).await {
        Ok(stored) => checks.extend(stored),
        Err(error) => checks.push(Finding::error("server", error.message).view()),
    }
    report(setup, &checks)
}

/// What only the machine of the server knows.
fn left_out() -> Finding {
    let found = "not looked at from here: configuration, data directory, disk, proxies and whether the public URL answers to \
                 others. Run `remint doctor` there, without --url";
    Finding::ok("machine", found)
}

fn report(setup: &Setup, checks: &[Value]) -> Result<(), CliError> {
    let errors = checks.iter().filter(|check| check["grade"] == json!("error")).count();
    setup.print(&json!({ "checks": checks }))?;
    match errors {
        0 => Ok(()),
        1 => Err(CliError::new(Exit::Failed, "one thing does not work")),
        errors => Err(CliError::new(Exit::Failed, format!("{errors} things do not work"))),
    }
}

/// With the address for operators, where one is set.
fn settings(setup: &Setup, data: &Path) -> Result<(Settings, Option<SocketAddr>), CliError> {
    if data.join(DEV_MARKER).exists() {
        return Ok((dev::settings_of(data)?.0, None));
    }
    let config = Config::load(&setup.flags, &setup.environment)?;
    Ok((config.settings, Some(config.operations_listen)))
}

fn directory(data: &Path) -> Finding {
    const CHECK: &str = "data directory";
    match data.metadata() {
        Err(error) => Finding::error(CHECK, format!("{}: {error}. Start the server once", data.display())),
        Ok(metadata) if metadata.permissions().mode() & 0o022 != 0 => Finding::error(
            CHECK,
            format!("others can put files there, and the server does not start: chmod 700 {}", data.display()),
        ),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            Finding::warning(CHECK, format!("others can enter {0}: chmod 700 {0}", data.display()))
        }
        Ok(_) => Finding::ok(CHECK, format!("{}, for this user only", data.display())),
    }
}

/// Whether the disk has room: a full one refuses every log-in and every refresh.
fn space(data: &Path) -> Finding {
    match rustix::fs::statvfs(data) {
        Ok(found) => room(found.f_bavail.saturating_mul(found.f_frsize)),
        Err(_) => Finding::warning(DISK, "how much room is left cannot be found out"),
    }
}

const DISK: &str = "disk";

/// So many bytes are left for others than root.
fn room(free: u64) -> Finding {
    const ENOUGH_BYTES: u64 = 1 << 30;
    const TIGHT_BYTES: u64 = 64 << 20;
    let said = format!("{} MiB are free", free >> 20);
    let what = "remove what is not needed there, or move the data to a larger disk";
    match free {
        ENOUGH_BYTES.. => Finding::ok(DISK, said),
        TIGHT_BYTES.. => Finding::warning(DISK, format!("{said}: {what}")),
        _ => Finding::error(DISK, format!("{said}: commits will soon be refused; {what}")),
    }
}

/// Whether the metrics are for operators only.
fn operators_alone(listen: SocketAddr) -> Finding {
    const CHECK: &str = "operators";
    let ip = listen.ip().to_canonical();
    let private = match ip {
        std::net::IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
        std::net::IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback(),
    };
    if private {
        return Finding::ok(CHECK, format!("answered at {listen}"));
    }
    let found = format!(
        "`operations_listen` is {listen}: whoever reaches that port reads the metrics. Set it to 127.0.0.1 or a private \
         address, or see that a firewall closes the port"
    );
    Finding::warning(CHECK, found)
}

/// What the settings say about the world outside.
fn outside(settings: &Settings) -> Vec<Finding> {
    let issuer = if settings.issuer.as_str().starts_with("https://") {
        Finding::ok("public URL", "https")
    } else {
        Finding::warning("public URL", "http works on this machine only: for others, put a proxy with TLS in front")
    };
    vec![issuer, proxies(settings)]
}

fn proxies(settings: &Settings) -> Finding {
    const CHECK: &str = "trusted proxies";
    let trusted = &settings.trusted_proxies;
    if trusted.iter().any(AddressRange::is_too_wide) {
        let found = "`trusted_proxies` holds nearly everybody: whoever connects can say where a request comes from, and \
                     guess passwords without limit. Name the addresses of your proxies only";
        return Finding::error(CHECK, found);
    }
    if trusted.is_empty() && settings.issuer.as_str().starts_with("https://") {
        let found = "none: with a proxy in front every log-in seems to come from it, and one attacker can lock out \
                     everybody. Set `trusted_proxies` to its address";
        return Finding::warning(CHECK, found);
    }
    Finding::ok(CHECK, format!("{}", trusted.len()))
}

/// Whether this issuer answers at its public URL: the metadata of RFC 8414 section 3.1, fetched as a client would.
async fn reachable(issuer: &Issuer) -> Finding {
    const CHECK: &str = "reachable";
    let url = format!("{}/.well-known/oauth-authorization-server{}", issuer.origin().as_str(), issuer.path());
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return Finding::warning(CHECK, format!("not tried: {error}. Are CA certificates installed?")),
    };
    let answer = match client.get(&url).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let cause = deepest(&error);
            let found = format!(
                "{url} does not answer from here: {cause}. Look at the name in DNS, the proxy and its certificate"
            );
            return Finding::warning(CHECK, found);
        }
    };
    let status = answer.status();
    let metadata = answer.bytes().await.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
    match metadata.as_ref().and_then(|metadata| metadata["issuer"].as_str()) {
        Some(found) if found == issuer.as_str() => Finding::ok(CHECK, format!("{issuer:?} answers from here")),
        Some(other) => {
            let other: String = other.chars().filter(|c| !c.is_control()).take(128).collect();
            let found = format!(
                "{url} is answered by another issuer, {other}: correct `public_url`, or let the proxy pass that URL to `listen`"
            );
            Finding::error(CHECK, found)
        }
        None => {
            let found = format!(
                "{url} answers {status}, and not with the metadata of an issuer: let the proxy pass that URL to `listen`"
            );
            Finding::error(CHECK, found)
        }
    }
}

/// What went wrong first: what it led to says only which URL was asked.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// What is stored, looked at by the running server or by this process.
async fn inside(setup: &Setup) -> Result<Vec<Value>, CliError> {
    let answerer = setup.answerer().await?;
    let who = match &answerer.who {
        Who::Running(_) => Finding::ok("server", "running, and answers on its control socket"),
        Who::Remote(_) => Finding::ok("server", "answers over the network"),
        Who::Here(_) => Finding::ok("server", "not running: the data was looked at without it"),
    };
    let answer = answerer.ask(Method::GET, "/admin/api/checks", None).await;
    answerer.close().await;
    let stored = answer?["checks"].as_array().cloned().unwrap_or_default();
    Ok([vec![who.view()], stored].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::checks::Grade;

    #[test]
    fn a_disk_that_is_nearly_full_is_told_of_before_it_is_full() {
        for (free_mib, grade) in [(2048, Grade::Ok), (1000, Grade::Warning), (63, Grade::Error), (0, Grade::Error)] {
            let finding = room(free_mib << 20);
            assert_eq!(finding.grade, grade, "{finding:?}");
            assert!(finding.found.contains(&format!("{free_mib} MiB")), "{finding:?}");
            assert_eq!(finding.found.contains("larger disk"), grade != Grade::Ok, "{finding:?}");
        }
        let here = space(std::path::Path::new("."));
        assert!(here.found.contains("MiB"), "the disk of this folder can be asked: {here:?}");
    }
}
