//! The three sources of settings, laid over each other. Never interprets a value; knows only which keys there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{BadConfig, DEFAULT_FILE, Environment, Flags, Key, shown};

/// Variables that belong to others: the library for APIs and its example, and what Kubernetes sets for a service of
/// the name `remint`.
const OF_OTHERS: [&str; 8] =
    ["ISSUER", "AUDIENCE", "JWKS_URI", "FEED", "CLIENT_ID", "CLIENT_SECRET", "PORT", "SERVICE_HOST"];
const PREFIXES_OF_OTHERS: [&str; 2] = ["SERVICE_PORT", "PORT_"];
/// Variables that are no settings of the file: they name the file itself, hold a secret, or say which server elsewhere
/// the command line asks.
const NOT_IN_FILE: [&str; 5] = ["CONFIG", "MASTER_KEY", "SMS_WEBHOOK_SECRET", "URL", "CLIENT_SECRET_FILE"];

/// The value of a setting, and where it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// One text, or more where the setting is a list.
    pub(super) values: Vec<String>,
    /// For messages: `remint.toml`, `REMINT_LISTEN`, `--listen`.
    pub(super) origin: String,
}

impl Found {
    /// The one text of a setting that is no list.
    pub(super) fn text(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }
}

/// All settings that were found.
#[derive(Debug, Default)]
pub(super) struct Sources {
    found: BTreeMap<Key, Found>,
    wrong: Vec<String>,
}

impl Sources {
    /// Reads the file, then the environment, then the flags.
    pub(super) fn gather(flags: &Flags, environment: &Environment) -> Result<Self, BadConfig> {
        let mut sources = Self::default();
        let named = flags.file.clone().or_else(|| environment.get("REMINT_CONFIG").map(PathBuf::from));
        match named {
            Some(file) => sources.read_file(&file)?,
            None if Path::new(DEFAULT_FILE).exists() => sources.read_file(Path::new(DEFAULT_FILE))?,
            None => {}
        }
        sources.read_environment(environment);
        for (key, values) in &flags.values {
            sources.found.insert(*key, Found { values: values.clone(), origin: key.flag() });
        }
        if sources.wrong.is_empty() { Ok(sources) } else { Err(BadConfig(sources.wrong)) }
    }

    pub(super) fn value(&self, key: Key) -> Option<&Found> {
        self.found.get(&key)
    }

    /// The texts of a setting, as far as it is set.
    pub(super) fn texts(&self, key: Key) -> Option<&[String]> {
        self.found.get(&key).map(|found| found.values.as_slice())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), BadConfig> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadConfig::one(format!("the configuration {} cannot be read: {error}", path.display())))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            BadConfig::one(format!("the configuration {} is not TOML: {}", path.display(), error.message()))
        })?;
        let origin = path.display().to_string();
        for (name, value) in table {
            let key = Key::named(&name);
            match (key, key.and_then(|key| values(key, value))) {
                (Some(key), Some(values)) => {
                    self.found.insert(key, Found { values, origin: origin.clone() });
                }
                (Some(key), None) => self.wrong.push(format!("`{key}` ({origin}) must be {}", key.expected())),
                (None, _) if name == "master_key" => self.wrong.push(format!(
                    "`master_key` does not belong into {origin}: put it into a file of its own, and name that in `master_key_file`"
                )),
                (None, _) => self.wrong.push(unknown(&shown(&name), &origin, Key::nearest(&name).map(Key::name))),
            }
        }
        Ok(())
    }

    fn read_environment(&mut self, environment: &Environment) {
        for (name, value) in environment.ours() {
            let key = Key::named(&name.to_ascii_lowercase());
            let in_file = name.strip_suffix("_FILE").and_then(|name| Key::named(&name.to_ascii_lowercase()));
            let of_others = OF_OTHERS.contains(&name) || PREFIXES_OF_OTHERS.iter().any(|of| name.starts_with(of));
            match (key, in_file) {
                (Some(key), _) => self.insert(key, value, format!("REMINT_{name}")),
                (None, Some(key)) => match std::fs::read_to_string(value) {
                    Ok(text) => self.insert(key, text.trim(), format!("REMINT_{name}")),
                    Err(error) => {
                        self.wrong.push(format!("REMINT_{name} names a file that cannot be read: {error}"));
                    }
                },
                (None, None) if NOT_IN_FILE.contains(&name) || of_others => {}
                (None, None) => {
                    let nearest = Key::nearest(name).map(Key::variable);
                    self.wrong.push(unknown(&format!("REMINT_{}", shown(name)), "the environment", nearest.as_deref()));
                }
            }
        }
    }

    /// A list is separated by commas.
    fn insert(&mut self, key: Key, text: &str, origin: String) {
        let values = if key.is_list() {
            text.split(',').map(|one| one.trim().to_owned()).collect()
        } else {
            vec![text.to_owned()]
        };
        self.found.insert(key, Found { values, origin });
    }
}

fn unknown(name: &str, origin: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("`{name}` ({origin}) is not a setting: did you mean `{nearest}`?"),
        None => format!("`{name}` ({origin}) is not a setting: remove it"),
    }
}

/// A text, a number, or where the setting is one, a list of texts; nothing else is a setting.
fn values(key: Key, value: toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Array(all) if key.is_list() => {
            all.into_iter().map(|one| one.as_str().map(str::to_owned)).collect()
        }
        toml::Value::Array(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => None,
    }
}
