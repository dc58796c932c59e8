//! Where settings come from: a file, the environment, flags; the later wins. The one room that reads the environment.
//! Every value is checked here, with a message that says what to do. Never makes a master key, and never prints one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::app::DATA_FILE;
use crate::keyring::MasterKey;
use crate::listen;
use crate::settings::{AddressRange, Database, Issuer, Settings, hashing_at_once};
use crate::traces;

mod environment;
mod key;
mod reload;
mod show;
mod sms;
mod source;
#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use key::Key;
pub use reload::{Reloaded, Reloader};
pub use show::{Shown, show};
pub(crate) use sms::{checked_secret, read_secret};
use source::Sources;

/// Where the file is looked for, if no other is named: in the working directory.
pub const DEFAULT_FILE: &str = "remint.toml";
/// In the data directory: `remint dev` made it, `serve` refuses it.
pub const DEV_MARKER: &str = "made-by-remint-dev";
/// The name of the systemd credential that holds the master key (`LoadCredential=remint-master-key:/path`).
const CREDENTIAL: &str = "remint-master-key";

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// How the log is written, and what of it.
#[derive(Clone, Debug)]
pub struct Log {
    /// In which form.
    pub format: LogFormat,
    /// A filter: `info`, or `warn,remint::access=info`.
    pub filter: String,
}

/// Everything that `remint serve` is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the server itself needs.
    pub settings: Settings,
    /// What its private keys are sealed with.
    pub master_key: MasterKey,
    /// Where it answers; the proxy in front terminates TLS.
    pub listen: SocketAddr,
    /// Where it answers operators: `/livez`, `/readyz`, `/metrics`.
    pub operations_listen: SocketAddr,
    /// What a connection may cost.
    pub limits: listen::Limits,
    /// The log.
    pub log: Log,
}

/// Settings that cannot be used. Each says what to do; all that were found are told at once.
#[derive(Debug, PartialEq, Eq)]
pub struct BadConfig(pub Vec<String>);

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for BadConfig {}

impl BadConfig {
    fn one(what: impl Into<String>) -> Self {
        Self(vec![what.into()])
    }
}

/// What the command line says about settings. The keys are those of the file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// All others.
    pub values: BTreeMap<Key, Vec<String>>,
}

impl Config {
    /// All settings of a server, checked.
    ///
    /// # Errors
    /// [`BadConfig`] with everything that is wrong, and what to do about it.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, BadConfig> {
        let sources = Sources::gather(flags, environment)?;
        let mut read = Reading { sources: &sources, wrong: Vec::new() };
        let sms = read.sms(environment);
        let settings = read.settings().map(|settings| Settings { sms, ..settings });
        let listen = read.or(Key::Listen, SocketAddr::from(([127, 0, 0, 1], 7070)));
        let operations_listen = read.operations_listen();
        if listen == operations_listen && listen.port() != 0 {
            read.wrong.push(format!(
                "`listen` and `operations_listen` are both {listen}: operators need an address of their own"
            ));
        }
        let limits = read.limits();
        let log = Log {
            format: read.or(Key::LogFormat, LogFormat::Text),
            filter: read.parsed(Key::Log, filter).unwrap_or_else(|| "info".to_owned()),
        };
        let data = settings.as_ref().map(|settings| settings.data.as_path());
        let master_key = read.master_key(data, environment);
        match (settings, master_key, read.wrong) {
            (Some(settings), Some(master_key), wrong) if wrong.is_empty() => {
                Ok(Self { settings, master_key, listen, operations_listen, limits, log })
            }
            (_, _, wrong) => Err(BadConfig(wrong)),
        }
    }

    /// Where operators are answered: what a health check needs to know.
    ///
    /// # Errors
    /// [`BadConfig`] where the sources cannot be read, or the address is none.
    pub fn operations_listen(flags: &Flags, environment: &Environment) -> Result<SocketAddr, BadConfig> {
        let sources = Sources::gather(flags, environment)?;
        let mut read = Reading { sources: &sources, wrong: Vec::new() };
        let address = read.operations_listen();
        if read.wrong.is_empty() { Ok(address) } else { Err(BadConfig(read.wrong)) }
    }

    /// The database alone, as far as it is set, and who vouches for it: what is moved may be no server's yet.
    ///
    /// # Errors
    /// [`BadConfig`] where the sources cannot be read, or what they say is no database.
    pub fn database(
        flags: &Flags,
        environment: &Environment,
    ) -> Result<(Option<Database>, Option<PathBuf>), BadConfig> {
        let sources = Sources::gather(flags, environment)?;
        let mut read = Reading { sources: &sources, wrong: Vec::new() };
        let found = (read.database(), read.database_ca_file());
        if read.wrong.is_empty() { Ok(found) } else { Err(BadConfig(read.wrong)) }
    }

    /// The data directory alone, as far as it is set: what the command line needs to find a running server.
    ///
    /// # Errors
    /// [`BadConfig`] where the sources cannot be read.
    pub fn data(flags: &Flags, environment: &Environment) -> Result<Option<PathBuf>, BadConfig> {
        Ok(Sources::gather(flags, environment)?.value(Key::Data).map(|found| PathBuf::from(found.text())))
    }
}

/// Reads settings one by one, and collects what is wrong with them.
struct Reading<'a> {
    sources: &'a Sources,
    wrong: Vec<String>,
}

impl Reading<'_> {
    fn parsed<T>(&mut self, key: Key, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = self.sources.value(key)?;
        let value = Some(found.text()).filter(|text| !text.is_empty()).and_then(parse);
        if value.is_none() {
            self.wrong.push(format!("`{key}` ({}) must be {}", found.origin, key.expected()));
        }
        value
    }

    fn or<T: FromStr>(&mut self, key: Key, default: T) -> T {
        self.parsed(key, |text| text.parse().ok()).unwrap_or(default)
    }

    fn required<T: FromStr>(&mut self, key: Key) -> Option<T> {
        if self.sources.value(key).is_none() {
            self.wrong.push(format!(
                "`{key}` is not set: {}. Set it in {DEFAULT_FILE}, as {} in the environment, or with {}",
                key.purpose(),
                key.variable(),
                key.flag()
            ));
        }
        self.parsed(key, |text| text.parse().ok())
    }

    fn positive<T: FromStr + PartialOrd + From<u8>>(&mut self, key: Key, default: T) -> T {
        let positive = |text: &str| text.parse().ok().filter(|number| *number >= T::from(1));
        self.parsed(key, positive).unwrap_or(default)
    }

    fn database(&mut self) -> Option<Database> {
        self.parsed(Key::Database, |text| text.parse().ok())
    }

    fn database_ca_file(&mut self) -> Option<PathBuf> {
        self.parsed(Key::DatabaseCaFile, |text| Some(PathBuf::from(text)))
    }

    fn operations_listen(&mut self) -> SocketAddr {
        self.or(Key::OperationsListen, SocketAddr::from(([127, 0, 0, 1], 7071)))
    }

    fn duration(&mut self, key: Key, default: Duration) -> Duration {
        self.parsed(key, duration).unwrap_or(default)
    }

    fn settings(&mut self) -> Option<Settings> {
        let issuer: Option<Issuer> = self.required(Key::PublicUrl);
        let data: Option<PathBuf> = self.required(Key::Data);
        let data = data.filter(|data| self.fit_for_serve(data));
        let (proxies, database) = (self.proxies(), self.database());
        let mut settings = Settings::new(issuer?, data?);
        if let Some(database) = database {
            settings = settings.with_database(database);
        }
        settings.database_ca_file = self.database_ca_file();
        settings.trusted_proxies = proxies;
        let limits = &mut settings.limits;
        limits.logins_per_account = self.positive(Key::LoginsPerAccount, limits.logins_per_account);
        limits.logins_per_address = self.positive(Key::LoginsPerAddress, limits.logins_per_address);
        limits.login_window = self.duration(Key::LoginWindow, limits.login_window);
        limits.hashing_at_once = usize::from(self.positive(Key::HashingAtOnce, hashing_at_once()));
        limits.hashing_queue = usize::from(self.positive(Key::HashingQueue, 32_u16));
        limits.page_streams = usize::from(self.positive(Key::PageStreams, 5_000_u16));
        settings.page_heartbeat = self.duration(Key::PageHeartbeat, settings.page_heartbeat);
        settings.traces_url = self.traces_url();
        settings.keys.jwks_max_age = self.duration(Key::JwksMaxAge, settings.keys.jwks_max_age);
        settings.keys.rotate_every = self.duration(Key::RotateKeysEvery, settings.keys.rotate_every);
        Some(settings)
    }

    /// What `remint dev` made holds its master key beside the data, and a password that everybody knows.
    fn fit_for_serve(&mut self, data: &Path) -> bool {
        let made_by_dev = data.join(DEV_MARKER).exists();
        if made_by_dev {
            self.wrong.push(format!(
                "`data` ({}) was made by `remint dev`, with a password that everybody knows: name another directory",
                data.display()
            ));
        }
        if data.is_file() {
            self.wrong.push(format!("`data` ({}) is a file: name a directory", data.display()));
        }
        !made_by_dev
    }

    fn proxies(&mut self) -> Vec<AddressRange> {
        let Some(found) = self.sources.value(Key::TrustedProxies) else { return Vec::new() };
        let mut proxies = Vec::new();
        for text in &found.values {
            match text.parse::<AddressRange>() {
                Ok(range) => proxies.push(range),
                Err(bad) => {
                    self.wrong.push(format!("`trusted_proxies` ({}): `{}` is {bad}", found.origin, shown(text)));
                }
            }
        }
        proxies
    }

    /// A URL that is safe to show: nobody's password stands in it.
    fn traces_url(&mut self) -> Option<String> {
        let url = self.parsed(Key::TracesUrl, |text| {
            let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
            let host = rest.split('/').next().unwrap_or_default();
            let plain = !host.is_empty() && !host.contains('@') && text.bytes().all(|b| b.is_ascii_graphic());
            plain.then(|| text.to_owned())
        })?;
        if !traces::BUILT_IN {
            let origin = &self.sources.value(Key::TracesUrl)?.origin;
            self.wrong.push(format!(
                "`traces_url` ({origin}): this binary was built without traces. Build it with `--features traces`, or \
                 remove the setting"
            ));
        }
        Some(url)
    }

    fn limits(&mut self) -> listen::Limits {
        let default = listen::Limits::default();
        listen::Limits {
            connections: usize::from(self.positive(Key::Connections, 10_000_u16)),
            drain_time: self.duration(Key::DrainTime, default.drain_time),
            ..default
        }
    }

    /// From the environment, a file outside the data directory, or a credential of systemd; from one of them only.
    fn master_key(&mut self, data: Option<&Path>, environment: &Environment) -> Option<MasterKey> {
        let named = self.sources.value(Key::MasterKeyFile);
        let given = environment.get("REMINT_MASTER_KEY");
        if let (Some(named), Some(_)) = (named, given) {
            self.wrong.push(format!(
                "the master key is given twice: by REMINT_MASTER_KEY and by `master_key_file` ({}): keep one",
                named.origin
            ));
            return None;
        }
        let read = match (named, given) {
            (_, Some(text)) => parse_master_key(text, "REMINT_MASTER_KEY"),
            (Some(named), None) => master_key_file(Path::new(named.text()), data),
            (None, None) => match environment.get("CREDENTIALS_DIRECTORY").map(|dir| Path::new(dir).join(CREDENTIAL)) {
                Some(path) if path.exists() => read_master_key(&path),
                _ => Err(no_master_key(data)),
            },
        };
        read.map_err(|wrong| self.wrong.push(wrong)).ok()
    }
}

/// Where there is data, a new key would open nothing of it.
fn no_master_key(data: Option<&Path>) -> String {
    match data.filter(|data| data.join(DATA_FILE).exists()) {
        Some(data) => format!(
            "the master key is not set, and {} holds data that was made with one: only that key opens it, a new one \
             does not. Name its file in `master_key_file`, REMINT_MASTER_KEY_FILE or --master-key-file",
            data.display()
        ),
        None => NO_MASTER_KEY.to_owned(),
    }
}

const NO_MASTER_KEY: &str = "the master key is not set: make one with `openssl rand -hex 32` into a file outside the \
                             data directory that only this user can read (mode 0600), and name it in \
                             `master_key_file`, REMINT_MASTER_KEY_FILE or --master-key-file; or give systemd's \
                             LoadCredential=remint-master-key:/path/of/the/file";

/// A master key in a file. It must lie outside the data directory: a backup of that would hold lock and key.
fn master_key_file(path: &Path, data: Option<&Path>) -> Result<MasterKey, String> {
    let resolved = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    let inside = data.and_then(|data| data.canonicalize().ok()).is_some_and(|data| resolved.starts_with(data));
    if inside {
        return Err(format!(
            "the master key {} lies inside the data directory, so a backup would hold lock and key: move it elsewhere",
            path.display()
        ));
    }
    let mode = resolved.metadata().map_err(|error| unreadable(path, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "the master key {} can be read by others (mode {:03o}): chmod 600 {}",
            path.display(),
            mode & 0o777,
            path.display()
        ));
    }
    read_master_key(&resolved)
}

/// Reads a master key from a file, wherever it lies: systemd and `remint dev` see to who can read theirs.
pub(crate) fn read_master_key(path: &Path) -> Result<MasterKey, String> {
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?);
    parse_master_key(&text, &path.display().to_string())
}

fn parse_master_key(text: &str, origin: &str) -> Result<MasterKey, String> {
    text.parse().map_err(|error| format!("the master key ({origin}): {error}"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("the master key {} cannot be read: {error}", path.display())
}

/// `90s`, `5m`, `12h`, `90d`: a whole number, at least 1, and its unit.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let total = number.parse::<u64>().ok().filter(|number| digits && *number >= 1)?.checked_mul(seconds)?;
    Some(Duration::from_secs(total))
}

/// A filter of the log that can be read.
fn filter(text: &str) -> Option<String> {
    EnvFilter::try_new(text).ok().map(|_| text.to_owned())
}

/// A value as it may stand in a message: cut, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
