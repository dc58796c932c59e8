//! What `remint doctor` asks of an installation: is what is stored whole, do the clock, the keys and the settings of all
//! clients still work. Reads only; each finding says what to do.

use remint_core::client::{Api, Client, Origin};
use remint_core::id::ClientId;
use remint_core::key::{KeyState, Purpose};
use remint_core::policy::Policy;
use remint_core::time::Timestamp;
use serde_json::{Value, json};

use crate::admin::{AdminError, senders};
use crate::app::App;
use crate::ready;
use crate::store::{Apis, Clients, Question, Reader, StoreError};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, but somebody should look.
    Warning,
    /// It does not work, or soon will not.
    Error,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub grade: Grade,
    /// What was found, and what to do about it.
    pub found: String,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, grade: Grade::Ok, found: found.into() }
    }

    /// Somebody should look.
    pub fn warning(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, grade: Grade::Warning, found: found.into() }
    }

    /// It does not work.
    pub fn error(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, grade: Grade::Error, found: found.into() }
    }

    /// As it is answered.
    pub fn view(&self) -> Value {
        let grade = match self.grade {
            Grade::Ok => "ok",
            Grade::Warning => "warning",
            Grade::Error => "error",
        };
        json!({ "check": self.check, "grade": grade, "found": self.found })
    }
}

/// Whatever SQLite says is wrong with the file; `ok` alone where nothing is.
struct Integrity;

impl Question for Integrity {
    type Answer = Vec<String>;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader
            .all("file", "PRAGMA integrity_check(10)", &[], |record| record.text("integrity_check").map(str::to_owned))
    }
}

/// The version of the database that answers.
struct Version;

impl Question for Version {
    type Answer = Option<String>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT current_setting('server_version') AS version";
        reader.one("database", sql, &[], |record| record.text("version").map(str::to_owned))
    }
}

/// The newest time that is stored.
struct Newest;

impl Question for Newest {
    type Answer = Option<Timestamp>;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sessions =
            reader.one("sessions", "SELECT MAX(last_seen) FROM sessions", &[], |row| row.maybe_time("last_seen"))?;
        let feed = reader.one("feed", "SELECT MAX(at) FROM feed", &[], |row| row.maybe_time("at"))?;
        Ok(sessions.flatten().max(feed.flatten()))
    }
}

/// All findings about what is stored.
pub async fn run(app: &App) -> Result<Value, AdminError> {
    let apis: Vec<Api> = app.store.read(Apis).await?.iter().map(|api| Api::clone(api)).collect();
    let clients = app.store.read(Clients).await?;
    let mut findings = vec![integrity(app).await, clock(app).await?, keys(app, &apis), rotation(app)];
    findings.extend(forwarded(app));
    findings.push(senders::check(app).await?);
    if clients.is_empty() {
        findings.push(Finding::warning("clients", "there is no client: make one with `remint client create`"));
    }
    let ids: Vec<&ClientId> = clients.iter().map(|client| &client.id).collect();
    findings.extend(clients.iter().flat_map(|one| client(app, one, &apis, &ids)));
    let called = |api: &Api| clients.iter().any(|client| client.apis.contains(&api.audience));
    findings.extend(apis.iter().filter(|api| !called(api)).map(|api| {
        let found = format!(
            "`{}`: no client may call it. Name it in `--api` of `remint client create` or `update`; if nobody needs it, leave \
             it: an api is not removed, because tokens name it",
            api.id
        );
        Finding::warning("api", found)
    }));
    Ok(json!({ "checks": findings.iter().map(Finding::view).collect::<Vec<_>>() }))
}

async fn integrity(app: &App) -> Finding {
    if app.store.is_shared() {
        return match app.store.read(Version).await {
            Ok(version) => {
                let version = version.unwrap_or_default();
                let found = format!("PostgreSQL {version} answers; whether its files are whole, `pg_amcheck` says");
                Finding::ok("store", found)
            }
            Err(error) => Finding::error("store", format!("{error}. Look at the database and at the way to it")),
        };
    }
    match app.store.read(Integrity).await {
        Ok(said) if said == ["ok"] => Finding::ok("store", "the data file is whole"),
        Ok(said) => Finding::error("store", format!("the data file is damaged: {}. Restore a backup", said.join("; "))),
        Err(error) => Finding::error("store", format!("{error}. Look at the disk, then restore a backup")),
    }
}

async fn clock(app: &App) -> Result<Finding, AdminError> {
    const TOLERATED_SECS: u64 = 5;
    if let Some(off) = ready::clock_off(app) {
        let found = format!(
            "the clock is {off} the database's: set it (NTP). Until then this node is not ready, and judges nobody"
        );
        return Ok(Finding::error("clock", found));
    }
    let (newest, now) = (app.store.read(Newest).await?, app.clock.now());
    let ahead = newest.map_or(0, |newest| newest.since(now).as_secs());
    Ok(if ahead > TOLERATED_SECS {
        let found =
            format!("the clock is {ahead} s behind what is stored: set it (NTP) before anything is decided by it");
        Finding::error("clock", found)
    } else {
        Finding::ok("clock", "not behind what is stored")
    })
}

fn keys(app: &App, apis: &[Api]) -> Finding {
    let keys = app.keyring.list();
    let current = |purpose| keys.iter().any(|key| key.purpose == purpose && key.state == KeyState::Current);
    let needed = apis.iter().map(|api| Purpose::Sign(api.algorithm)).chain([Purpose::Refresh]);
    let missing: Vec<&str> = needed.filter(|purpose| !current(*purpose)).map(Purpose::as_str).collect();
    if missing.is_empty() {
        Finding::ok("keys", format!("the master key opens the keyring; {} keys", keys.len()))
    } else {
        Finding::error(
            "keys",
            format!("no current key for {}: `remint key rotate PURPOSE --at-once`", missing.join(", ")),
        )
    }
}

/// Keys are replaced by the running server when they are due: one that is much older says that none has run, or that it
/// could not.
fn rotation(app: &App) -> Finding {
    const CHECK: &str = "key rotation";
    let (now, period) = (app.clock.now(), app.settings.keys.rotate_every);
    let overdue = |key: &&crate::keyring::KeyInfo| {
        key.state == KeyState::Current && now.since(key.since) > period.saturating_add(period / 10)
    };
    match app.keyring.list().iter().find(overdue) {
        Some(key) => {
            let (days, purpose) = (now.since(key.since).as_secs() / (24 * 3600), key.purpose.as_str());
            let found = format!(
                "the {purpose} key has been in use for {days} days, longer than `rotate_keys_every`: start the server, \
                 see its log, or `remint key rotate {purpose}`"
            );
            Finding::warning(CHECK, found)
        }
        None => Finding::ok(CHECK, "no key is overdue"),
    }
}

/// Whether somebody whose word does not count has said where requests came from.
fn forwarded(app: &App) -> Option<Finding> {
    let found = "X-Forwarded-For arrives from an address that is not in `trusted_proxies`, and is not believed: if that is \
                 your proxy, every log-in seems to come from it, and one attacker can lock out everybody. Add its address";
    app.proxies.went_unheeded().then(|| Finding::warning("forwarded", found))
}

fn client(app: &App, client: &Client, apis: &[Api], ids: &[&ClientId]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(impossible) = client.clone().checked(Some(client), apis, &app.settings.timing) {
        findings.push(Finding::error("client", format!("`{}`: {impossible}", client.id)));
    }
    let vain = client.given_in_vain(apis, |id| ids.contains(&id));
    findings.extend(vain.iter().map(|vain| Finding::warning("client", format!("`{}` {vain}", client.id))));
    let foreign = |origin: &&Origin| origin.as_str().starts_with("http://") && !is_local(origin);
    if let Some(origin) = client.origins.iter().find(foreign) {
        let found = format!("`{}` takes pages of {origin}, which anybody on the way can change: use https", client.id);
        findings.push(Finding::warning("client", found));
    }
    if client.always_return_refresh && matches!(client.policy, Policy::Refresh { .. }) {
        let found = format!("`{}` has always_return_refresh: two refreshes at once can look like theft", client.id);
        findings.push(Finding::warning("client", found));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("client", format!("`{}`: its settings work", client.id)));
    }
    findings
}

fn is_local(origin: &Origin) -> bool {
    let host = origin.as_str().strip_prefix("http://").unwrap_or_default();
    let local = |name| host.strip_prefix(name).is_some_and(|rest: &str| rest.is_empty() || rest.starts_with(':'));
    ["localhost", "127.0.0.1", "[::1]"].into_iter().any(local)
}
