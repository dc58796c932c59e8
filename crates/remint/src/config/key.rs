//! The names of settings: the same in the file, in the environment (`REMINT_` and upper case) and as a flag. Knows what
//! each is for, never what it is set to.

use std::fmt;

/// A setting of `remint serve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The public URL: `iss`.
    PublicUrl,
    /// The data directory.
    Data,
    /// The database, where the data is not kept in the data directory.
    Database,
    /// The file of who vouches for the database.
    DatabaseCaFile,
    /// The file of the master key.
    MasterKeyFile,
    /// Where the server answers.
    Listen,
    /// Where it answers operators.
    OperationsListen,
    /// Whose `X-Forwarded-For` counts.
    TrustedProxies,
    /// The filter of the log.
    Log,
    /// The form of the log.
    LogFormat,
    /// Connections at once.
    Connections,
    /// How long requests under way may take when the server stops.
    DrainTime,
    /// How long a JWKS may be cached.
    JwksMaxAge,
    /// How long a key signs.
    RotateKeysEvery,
    /// Failed log-ins of one account within the window.
    LoginsPerAccount,
    /// Failed log-ins from one address within the window.
    LoginsPerAddress,
    /// That window.
    LoginWindow,
    /// Password hashes at once.
    HashingAtOnce,
    /// Password hashes that may wait.
    HashingQueue,
    /// Streams of pages at once.
    PageStreams,
    /// How often such a stream says that it is alive.
    PageHeartbeat,
    /// The collector of traces.
    TracesUrl,
    /// Where messages to phones are posted.
    SmsWebhookUrl,
    /// The file of the secret that they are signed with.
    SmsWebhookSecretFile,
    /// Codes to one number in an hour.
    SmsPerNumber,
    /// Codes to one block of numbers in an hour.
    SmsPerBlock,
    /// Codes asked for from one address in an hour.
    SmsPerAddress,
    /// Codes in a day.
    SmsPerDay,
    /// The countries that codes are sent to.
    SmsCountries,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::PublicUrl,
        Self::Data,
        Self::Database,
        Self::DatabaseCaFile,
        Self::MasterKeyFile,
        Self::Listen,
        Self::OperationsListen,
        Self::TrustedProxies,
        Self::Log,
        Self::LogFormat,
        Self::Connections,
        Self::DrainTime,
        Self::JwksMaxAge,
        Self::RotateKeysEvery,
        Self::LoginsPerAccount,
        Self::LoginsPerAddress,
        Self::LoginWindow,
        Self::HashingAtOnce,
        Self::HashingQueue,
        Self::PageStreams,
        Self::PageHeartbeat,
        Self::TracesUrl,
        Self::SmsWebhookUrl,
        Self::SmsWebhookSecretFile,
        Self::SmsPerNumber,
        Self::SmsPerBlock,
        Self::SmsPerAddress,
        Self::SmsPerDay,
        Self::SmsCountries,
    ];

    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        self.described().0
    }

    /// Its name in the environment.
    pub fn variable(self) -> String {
        format!("REMINT_{}", self.name().to_ascii_uppercase())
    }

    /// Its name on the command line.
    pub fn flag(self) -> String {
        format!("--{}", self.name().replace('_', "-"))
    }

    /// What it is for.
    pub(super) const fn purpose(self) -> &'static str {
        self.described().1
    }

    /// What its value must be.
    pub(crate) const fn expected(self) -> &'static str {
        self.described().2
    }

    /// Whether it has many values: in the environment and as a flag separated by commas.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::TrustedProxies | Self::SmsCountries)
    }

    /// Whether it can be swapped while the server runs.
    pub(super) const fn is_live(self) -> bool {
        matches!(
            self,
            Self::TrustedProxies | Self::Log | Self::LoginsPerAccount | Self::LoginsPerAddress | Self::LoginWindow
        )
    }

    /// What it is where it is not set, as text; nothing where it must be set, or is empty.
    pub(super) const fn default_text(self) -> Option<&'static str> {
        match self {
            Self::PublicUrl
            | Self::Data
            | Self::Database
            | Self::DatabaseCaFile
            | Self::MasterKeyFile
            | Self::TrustedProxies
            | Self::TracesUrl
            | Self::SmsWebhookUrl
            | Self::SmsWebhookSecretFile
            | Self::SmsCountries => None,
            Self::Listen => Some("127.0.0.1:7070"),
            Self::OperationsListen => Some("127.0.0.1:7071"),
            Self::Log => Some("info"),
            Self::LogFormat => Some("text"),
            Self::Connections => Some("10000"),
            Self::DrainTime => Some("10s"),
            Self::JwksMaxAge => Some("5m"),
            Self::RotateKeysEvery => Some("90d"),
            Self::LoginsPerAccount => Some("10"),
            Self::LoginsPerAddress => Some("100"),
            Self::LoginWindow => Some("15m"),
            Self::HashingAtOnce => Some("2"),
            Self::HashingQueue => Some("32"),
            Self::PageStreams => Some("5000"),
            Self::PageHeartbeat => Some("20s"),
            Self::SmsPerNumber => Some("5"),
            Self::SmsPerBlock => Some("30"),
            Self::SmsPerAddress => Some("20"),
            Self::SmsPerDay => Some("10000"),
        }
    }

    const fn described(self) -> (&'static str, &'static str, &'static str) {
        const ADDRESS: &str = "an address and a port like 127.0.0.1:7070 or [::1]:7070";
        const LENGTH: &str = "a length of time like 30s, 5m, 12h or 90d";
        const NUMBER: &str = "a whole number of at least 1";
        match self {
            Self::PublicUrl => (
                "public_url",
                "the URL at which the world reaches this server, the `iss` of its tokens",
                "https://host, with :port and a path if need be (http for localhost only), without query, fragment and trailing slash",
            ),
            Self::Data => ("data", "the directory in which the server keeps its data", "a directory"),
            Self::Database => (
                "database",
                "the PostgreSQL database that keeps the data in place of a file in the data directory",
                "a URL like postgres://remint@db.example/remint, or a list of settings like host=/run/postgresql (sslmode: \
                 disable, prefer, require or verify-full; a file of authorities is named in `database_ca_file`)",
            ),
            Self::DatabaseCaFile => (
                "database_ca_file",
                "the certificates of who vouches for the database, in place of the system's authorities",
                "a file",
            ),
            Self::MasterKeyFile => ("master_key_file", "the file of the master key", "a file"),
            Self::Listen => ("listen", "where the server answers", ADDRESS),
            Self::OperationsListen => ("operations_listen", "where the server answers operators", ADDRESS),
            Self::TrustedProxies => {
                ("trusted_proxies", "the proxies whose X-Forwarded-For counts", "a list of addresses and ranges")
            }
            Self::Log => ("log", "what is logged", "a filter like info or warn,remint::access=info"),
            Self::LogFormat => ("log_format", "the form of the log", "text or json"),
            Self::Connections => ("connections", "connections at once", "a whole number from 1 to 65535"),
            Self::DrainTime => ("drain_time", "how long requests under way may take at the end", LENGTH),
            Self::JwksMaxAge => ("jwks_max_age", "how long the public keys may be cached", LENGTH),
            Self::RotateKeysEvery => ("rotate_keys_every", "how long a key signs", LENGTH),
            Self::LoginsPerAccount => ("logins_per_account", "failed log-ins of one account in a window", NUMBER),
            Self::LoginsPerAddress => ("logins_per_address", "failed log-ins of one address in a window", NUMBER),
            Self::LoginWindow => ("login_window", "the window in which failed log-ins are counted", LENGTH),
            Self::HashingAtOnce => ("hashing_at_once", "password hashes at once", "a whole number from 1 to 65535"),
            Self::PageStreams => {
                ("page_streams", "streams of /session/events open at once", "a whole number from 1 to 65535")
            }
            Self::PageHeartbeat => {
                ("page_heartbeat", "how often a silent stream of /session/events says that it is alive", LENGTH)
            }
            Self::TracesUrl => (
                "traces_url",
                "where traces are sent, by OTLP over HTTP",
                "a URL like http://127.0.0.1:4318/v1/traces, without a user or password in it",
            ),
            Self::HashingQueue => ("hashing_queue", "password hashes that may wait", "a whole number from 1 to 65535"),
            Self::SmsWebhookUrl => (
                "sms_webhook_url",
                "where messages to phones are posted",
                "an https URL without user and fragment (http for localhost only)",
            ),
            Self::SmsWebhookSecretFile => {
                ("sms_webhook_secret_file", "the file of the secret that messages are signed with", "a file")
            }
            Self::SmsPerNumber => ("sms_per_number", "codes to one number in an hour", NUMBER),
            Self::SmsPerBlock => ("sms_per_block", "codes to ten thousand neighbouring numbers in an hour", NUMBER),
            Self::SmsPerAddress => ("sms_per_address", "codes asked for from one address in an hour", NUMBER),
            Self::SmsPerDay => ("sms_per_day", "codes in a day", NUMBER),
            Self::SmsCountries => (
                "sms_countries",
                "the calling codes of the countries that codes are sent to",
                "a list of calling codes like 44 or 49",
            ),
        }
    }

    /// The key of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The key whose name is nearest, if one is near.
    pub(super) fn nearest(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('-', "_");
        let similarity = |key: Self| strsim::jaro_winkler(&name, key.name());
        let best = Self::ALL.into_iter().max_by(|a, b| similarity(*a).total_cmp(&similarity(*b)))?;
        (similarity(best) > 0.75).then_some(best)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
