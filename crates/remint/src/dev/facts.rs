//! What scripts and people need to know of a dev server: `dev.json` in its folder, and what it prints. The secrets in
//! it are random per folder and worth nothing elsewhere.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use remint_core::policy::Windows;
use serde_json::{Value, json};

use super::seed::{API, IDENTIFIER, PASSWORD, SERVICE, public_clients};
use super::speed::Speed;
use super::{DevError, write_private};
use crate::app::App;

/// The file with the facts, mode 0600.
const FILE: &str = "dev.json";

/// The secrets that a folder keeps.
pub(super) struct Secrets {
    /// Of the api's credential.
    pub(super) api: String,
    /// Of the confidential client.
    pub(super) service: String,
}

impl Secrets {
    /// From the facts of an earlier start.
    pub(super) fn kept(data: &Path) -> Option<Self> {
        let facts: Value = serde_json::from_str(&std::fs::read_to_string(data.join(FILE)).ok()?).ok()?;
        let secret = |list: &str, id: &str| {
            let one = facts[list].as_array()?.iter().find(|one| one["client_id"] == json!(id))?;
            one["client_secret"].as_str().map(str::to_owned)
        };
        Some(Self { api: secret("apis", API)?, service: secret("clients", SERVICE)? })
    }
}

/// Writes the facts, and answers them.
pub(super) fn write(app: &App, speed: Speed, secrets: &Secrets) -> Result<Value, DevError> {
    let settings = &app.settings;
    let windows =
        Windows::derived(settings.client_timeout, settings.timing.server_deadline, settings.timing.clock_skew);
    let mut clients: Vec<Value> =
        public_clients().iter().map(|(id, policy)| json!({ "client_id": id, "policy": policy.name() })).collect();
    clients.push(json!({ "client_id": SERVICE, "client_secret": secrets.service, "policy": "refresh" }));
    let facts = json!({
        "issuer": settings.issuer.as_str(),
        "audience": API,
        "user": { "identifier": IDENTIFIER, "password": PASSWORD },
        "clients": clients,
        "speed": speed.times(),
        "apis": [{ "client_id": API, "client_secret": secrets.api, "audience": API }],
        "timing": {
            "client_timeout": secs(settings.client_timeout),
            "leeway": secs(settings.leeway),
            "window": secs(windows.parent),
            "quantum": secs(settings.timing.quantum),
        },
    });
    write_private(&settings.data.join(FILE), &format!("{facts:#}\n"))?;
    Ok(facts)
}

/// What a page may know of it: no secret, but the lives of each policy, in seconds.
pub(super) fn public(facts: &Value, speed: Speed) -> Value {
    let clients = public_clients().map(|(id, policy)| json!({ "client_id": id, "policy": speed.policy(&policy) }));
    let mut told = json!({ "clients": clients });
    for name in ["issuer", "audience", "user", "speed", "timing"] {
        told[name] = facts[name].clone();
    }
    told
}

/// Seconds, a whole number where it is one.
fn secs(length: Duration) -> Value {
    if length.subsec_nanos() == 0 { json!(length.as_secs()) } else { json!(length.as_secs_f64()) }
}

/// Three lines to try, in this order.
pub(super) fn tries(facts: &Value) -> [String; 3] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let issuer = text(&facts["issuer"]);
    let (name, password) = (text(&facts["user"]["identifier"]), text(&facts["user"]["password"]));
    let login = json!({ "identifier": name, "password": password, "client_id": "demo-rolling" });
    [
        format!(
            "TOKEN=$(curl -s {issuer}/session -H 'Content-Type: application/json' -d '{login}' | \
             sed 's/.*\"account_token\":\"\\([^\"]*\\).*/\\1/')"
        ),
        format!("curl -s {issuer}/session -H \"Authorization: Bearer $TOKEN\""),
        format!(
            "curl -s -X PATCH {issuer}/account -H \"Authorization: Bearer $TOKEN\" \
             -H 'Content-Type: application/json' -d '{{\"nickname\":\"Countess\"}}'"
        ),
    ]
}

/// Prints what there is to try.
pub(super) fn print(facts: &Value, data: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    writeln!(
        out,
        "Remint is running at {} (Ctrl-C stops it; for trying out, on this machine only)\n",
        text(&facts["issuer"])
    )?;
    writeln!(out, "  look      {}/play", text(&facts["issuer"]))?;
    writeln!(out, "  user      {}  {}", text(&facts["user"]["identifier"]), text(&facts["user"]["password"]))?;
    let ids = |list: &str| {
        let all = facts[list].as_array().into_iter().flatten();
        all.map(|one| text(&one["client_id"])).collect::<Vec<_>>().join("  ")
    };
    writeln!(out, "  clients   {}", ids("clients"))?;
    writeln!(out, "  api       {}", ids("apis"))?;
    writeln!(out, "  metadata  {}/.well-known/oauth-authorization-server", text(&facts["issuer"]))?;
    writeln!(out, "  messages  {}/dev/inbox", text(&facts["issuer"]))?;
    writeln!(out, "  all of it, with secrets, for scripts: {}\n", data.join(FILE).display())?;
    writeln!(out, "Try: log in, look at the session, change the record:\n")?;
    tries(facts).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    out.flush()
}
