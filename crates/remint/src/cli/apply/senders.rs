//! The senders of a file: checked here, and compared by the server, which alone knows the secret that is there. Never
//! tells a secret, nor an address whole.

use std::collections::BTreeMap;

use http::Method;
use remint_core::sender::{SenderName, SmsLimits, SomeLimits};
use serde_json::{Map, Value, json};

use super::file::{Entry, Section};
use super::plan::{Beside, Change};
use crate::admin::senders::origin;
use crate::admin::{AdminError, document, members};
use crate::cli::CliError;
use crate::cli::ask::{Answerer, path};
use crate::config::{Key, checked_secret, read_secret};
use crate::settings::{WebhookSecret, WebhookTarget};

/// A sender as the file wants it, and what that would change.
pub(super) struct Compared {
    pub(super) is_new: bool,
    pub(super) body: Value,
    pub(super) changes: Vec<Change>,
    /// What of it the configuration sets, and so wins.
    pub(super) overridden: Vec<String>,
}

/// Each sender of the file beside what is there. What is wrong with one is told with its line.
pub(super) async fn compared(
    answerer: &Answerer,
    entries: &[Entry],
    beside: &Beside<'_>,
) -> Result<BTreeMap<String, Result<Compared, String>>, CliError> {
    let mut all = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.section == Section::Senders) {
        let one = match Wanted::read(entry, beside) {
            Ok(wanted) => compare(answerer, entry, wanted).await?,
            Err(why) => Err(why),
        };
        all.insert(entry.name.clone(), one);
    }
    Ok(all)
}

async fn compare(answerer: &Answerer, entry: &Entry, wanted: Wanted) -> Result<Result<Compared, String>, CliError> {
    let stored = answerer.find(&path("senders", &entry.name, "")).await?;
    if stored.is_none() && wanted.secret.is_none() {
        let why = "needs `secret_file` or `secret_env`: make a secret with `openssl rand -hex 32`";
        return Ok(Err(format!("{}: {why}", entry.at(None))));
    }
    let body = wanted.body();
    let would = answerer.ask(Method::POST, &path("senders", &entry.name, "/preview"), Some(body.clone())).await;
    let would = would.map_err(|error| CliError::new(error.exit, format!("{}: {error}", entry.at(None))))?;
    let names = |member: &str| -> Vec<String> {
        let all = would[member].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let changes = names("changes").into_iter().map(|name| wanted.change(name, stored.as_ref())).collect();
    Ok(Ok(Compared { is_new: stored.is_none(), body, changes, overridden: names("overridden") }))
}

/// A sender as it is declared.
struct Wanted {
    url: String,
    secret: Option<WebhookSecret>,
    limits: SomeLimits,
}

impl Wanted {
    fn read(entry: &Entry, beside: &Beside<'_>) -> Result<Self, String> {
        entry.name.parse::<SenderName>().map_err(|why| format!("{} {why}", entry.at(None)))?;
        let mut rest = entry.members.clone();
        let mut text = |name: &'static str| match rest.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{}: must be a text", entry.at(Some(name)))),
        };
        let (url, file, variable) = (text("webhook_url")?, text("secret_file")?, text("secret_env")?);
        let url = WebhookTarget::checked_url(&url.unwrap_or_default())
            .ok_or_else(|| format!("{}: must be {}", entry.at(Some("webhook_url")), Key::SmsWebhookUrl.expected()))?;
        let told = |member: &str, why: String| format!("{}: {why}", entry.at(Some(member)));
        let secret = match (file, variable) {
            (Some(_), Some(_)) => return Err(told("secret_env", "there is a `secret_file` too: keep one".to_owned())),
            (Some(file), None) => Some(read_secret(&beside.folder.join(file)).map_err(|why| told("secret_file", why))?),
            (None, Some(variable)) => {
                let text = beside.environment.get(&variable).ok_or_else(|| "the variable is not set".to_owned());
                Some(text.and_then(checked_secret).map_err(|why| told("secret_env", why))?)
            }
            (None, None) => None,
        };
        let limits = document(rest).map_err(|bad| match bad {
            AdminError::Invalid { field, why } => format!("{}: {why}", entry.at(field.as_deref())),
            other => format!("{}: {other}", entry.at(None)),
        })?;
        Ok(Self { url, secret, limits })
    }

    fn body(&self) -> Value {
        let mut body = members(&self.limits);
        body.insert("webhook_url".into(), json!(self.url));
        if let Some(secret) = &self.secret {
            body.insert("secret".into(), json!(secret.reveal()));
        }
        Value::Object(body)
    }

    /// A member that differs, as it may be shown.
    fn change(&self, name: String, stored: Option<&Value>) -> Change {
        let limits: Map<String, Value> = members(&self.limits.over(SmsLimits::default()));
        let (before, after) = match name.as_str() {
            "secret" => (stored.map(|_| json!("(not shown)")), json!("(another, not shown)")),
            "webhook_url" => {
                let shown = |origin: &str| json!(format!("{origin} (the rest is not shown)"));
                let before = stored.and_then(|stored| stored["webhook"].as_str()).map(shown);
                (before, shown(&origin(&self.url)))
            }
            limit => {
                let before = stored.map(|stored| stored[limit].clone());
                (before, limits.get(limit).cloned().unwrap_or_default())
            }
        };
        (name, before.unwrap_or_default(), after)
    }
}
