//! The settings as they stand, and where each came from. Never shows a master key or another
//! secret: that there is one, and whence.

use super::sms;
use super::source::Sources;
use super::{BadConfig, CREDENTIAL, Environment, Flags, Key};

const HIDDEN: &str = "(never shown)";

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub setting: &'static str,
    /// Its value; of a list, separated by commas.
    pub value: String,
    /// Where it came from: a file, a variable, a flag, or `default`.
    pub source: String,
}

/// The settings that are set; with `effective` all, those that are not by their defaults.
///
/// # Errors
/// [`BadConfig`] where the sources cannot be read, or name what is no setting. Values are not checked.
pub fn show(flags: &Flags, environment: &Environment, effective: bool) -> Result<Vec<Shown>, BadConfig> {
    let sources = Sources::gather(flags, environment)?;
    let mut all: Vec<Shown> = Key::ALL.into_iter().filter_map(|key| shown(&sources, key, effective)).collect();
    all.extend(master_key(&sources, environment));
    all.extend(webhook_secret(&sources, environment));
    Ok(all)
}

fn shown(sources: &Sources, key: Key, effective: bool) -> Option<Shown> {
    let (value, source) = match sources.value(key) {
        // The address of a webhook is often its own password, and that of a database holds one.
        Some(found) if matches!(key, Key::SmsWebhookUrl | Key::Database) => (HIDDEN.to_owned(), found.origin.clone()),
        Some(found) => (found.values.join(","), found.origin.clone()),
        None if effective => (key.default_text().unwrap_or_default().to_owned(), "default".to_owned()),
        None => return None,
    };
    Some(Shown { setting: key.name(), value, source })
}

fn master_key(sources: &Sources, environment: &Environment) -> Option<Shown> {
    let source = if environment.get("REMINT_MASTER_KEY").is_some() {
        "REMINT_MASTER_KEY".to_owned()
    } else if let Some(found) = sources.value(Key::MasterKeyFile) {
        format!("the file of `master_key_file` ({})", found.origin)
    } else {
        environment.get("CREDENTIALS_DIRECTORY").map(|_| format!("the credential {CREDENTIAL}"))?
    };
    Some(Shown { setting: "master_key", value: HIDDEN.to_owned(), source })
}

fn webhook_secret(sources: &Sources, environment: &Environment) -> Option<Shown> {
    let source = if environment.get(sms::SECRET).is_some() {
        sms::SECRET.to_owned()
    } else {
        let found = sources.value(Key::SmsWebhookSecretFile)?;
        format!("the file of `sms_webhook_secret_file` ({})", found.origin)
    };
    Some(Shown { setting: "sms_webhook_secret", value: HIDDEN.to_owned(), source })
}
