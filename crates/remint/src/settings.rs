//! What an installation is told when it starts, already checked. Where the values come from (file, environment,
//! flags) is the configuration room's business.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use remint_core::client::Origin;
use remint_core::id::Audience;
use remint_core::policy::Timing;
use remint_core::sender::SomeLimits;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The public URL of the server: `https://host[:port][/path]`, no query, no fragment, no trailing slash (RFC 8414
/// section 2). `http` is accepted for loopback hosts only.
#[derive(Clone, PartialEq, Eq)]
pub struct Issuer {
    url: String,
    origin: Origin,
    audience: Audience,
    admin: Audience,
}

/// The text cannot be an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the public URL must be `https://host` (with `:port` and a path if need be, `http` for localhost only), without query, fragment and trailing slash"
)]
pub struct BadIssuer;

impl Issuer {
    /// The URL, as it stands in `iss`.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Its origin: pages of the issuer itself.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The issuer as an audience: that of account tokens.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Its host and port: who a message is from.
    pub fn host(&self) -> &str {
        self.origin.as_str().split_once("://").map_or("", |(_, host)| host)
    }

    /// Whether no api may be called so: its tokens would open accounts, or administration.
    pub fn is_own(&self, audience: &Audience) -> bool {
        [&self.audience, &self.admin].contains(&audience)
    }

    /// The audience of tokens for the admin API.
    pub const fn admin(&self) -> &Audience {
        &self.admin
    }

    /// Its path, empty or beginning with a slash.
    pub fn path(&self) -> &str {
        &self.url[self.origin.as_str().len()..]
    }
}

impl FromStr for Issuer {
    type Err = BadIssuer;

    fn from_str(text: &str) -> Result<Self, BadIssuer> {
        let (scheme, rest) = text.split_once("://").ok_or(BadIssuer)?;
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let origin: Origin = format!("{scheme}://{host}").parse().map_err(|_| BadIssuer)?;
        let loopback = ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|name| host.strip_prefix(name).is_some_and(|port| port.is_empty() || port.starts_with(':')));
        let segment = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'.' | b'_' | b'~');
        let clean = path.bytes().all(segment) && !path.ends_with('/') && !path.contains("//");
        if (scheme != "https" && !loopback) || !clean {
            return Err(BadIssuer);
        }
        let audience = |text: &str| text.parse().map_err(|_| BadIssuer);
        let (own, admin) = (audience(text)?, audience(&format!("{text}/admin/api"))?);
        Ok(Self { url: text.to_owned(), origin, audience: own, admin })
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// A range of addresses: `10.0.0.0/8`, `::1/128`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    base: IpAddr,
    prefix: u8,
}

/// The text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a range like `10.0.0.0/8`")]
pub struct BadRange;

impl FromStr for AddressRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let (base, prefix) = text.split_once('/').map_or((text, None), |(base, prefix)| (base, Some(prefix)));
        let base: IpAddr = base.parse().map_err(|_| BadRange)?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |prefix| prefix.parse().map_err(|_| BadRange))?;
        if prefix > longest { Err(BadRange) } else { Ok(Self { base, prefix }) }
    }
}

impl AddressRange {
    /// Whether the range holds more than any network of one owner: below a /8 of IPv4, a /7 of IPv6.
    pub const fn is_too_wide(&self) -> bool {
        self.prefix < if self.base.is_ipv4() { 8 } else { 7 }
    }

    /// Whether the address lies in the range; an IPv4 address in IPv6 clothes is its IPv4 self.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                u64::from(base.to_bits()) >> shift == u64::from(address.to_bits()) >> shift
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                base.to_bits().checked_shr(shift).unwrap_or(0) == address.to_bits().checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// How fast and how often things may be tried.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Failed log-ins of one account within [`Self::login_window`].
    pub logins_per_account: u32,
    /// Failed log-ins from one address (IPv6: one /64) within [`Self::login_window`].
    pub logins_per_address: u32,
    /// See above.
    pub login_window: Duration,
    /// Password hashes under way at once: two by default, one where there is one processor. Each takes 19 MiB.
    pub hashing_at_once: usize,
    /// Password hashes that may wait; one more is answered 503.
    pub hashing_queue: usize,
    /// Streams of `GET /session/events` open at once: each is a connection.
    pub page_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            logins_per_account: 10,
            logins_per_address: 100,
            login_window: Duration::from_secs(15 * 60),
            hashing_at_once: hashing_at_once().into(),
            hashing_queue: 32,
            page_streams: 5_000,
        }
    }
}

/// A second hash beside the first gains nothing where there is one processor, and those who are logged in would feel it.
pub(crate) fn hashing_at_once() -> u16 {
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1) { 1 } else { 2 }
}

/// The secret that webhooks are signed with. Cannot be printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// Fewer bytes could be guessed.
    pub const MIN_BYTES: usize = 32;

    /// From text; `None` where it is shorter than [`Self::MIN_BYTES`].
    pub fn new(text: &str) -> Option<Self> {
        (text.len() >= Self::MIN_BYTES).then(|| Self(text.to_owned()))
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, as it was given.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// Where messages are posted to.
#[derive(Clone)]
pub struct WebhookTarget {
    /// An absolute URL; `https`, or `http` on a loopback host. It may hold a key of the operator's: it is not printed.
    pub url: String,
    /// What the posts are signed with.
    pub secret: WebhookSecret,
    /// How long one try may take.
    pub timeout: Duration,
}

impl WebhookTarget {
    /// How long one try may take, if nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(5);

    /// An address, if it is one to which codes may be sent: nobody on the way may read them.
    pub fn checked_url(text: &str) -> Option<String> {
        let host = text.strip_prefix("https://").or_else(|| {
            let rest = text.strip_prefix("http://")?;
            let follows = |after: &str| after.is_empty() || after.starts_with([':', '/']);
            let loopback = |name: &str| rest.strip_prefix(name).is_some_and(follows);
            ["localhost", "127.0.0.1", "[::1]"].into_iter().any(loopback).then_some(rest)
        })?;
        let clean =
            text.bytes().all(|b| b.is_ascii_graphic()) && !host.is_empty() && !host.starts_with(['/', ':', '?']);
        let authority = host.split(['/', '?', '#']).next().unwrap_or_default();
        let read_alike = reqwest::Url::parse(text).is_ok() && !text.contains('\\');
        (clean && read_alike && !authority.contains('@') && !text.contains('#')).then(|| text.to_owned())
    }

    /// Whether the address is, as it is written, this machine or one of a private network: what listens there may take
    /// whoever reaches it for the operator.
    pub fn is_inside(text: &str) -> bool {
        let Ok(url) = reqwest::Url::parse(text) else { return true };
        let name = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches([']', '.']);
        match name.parse().map(|ip: IpAddr| ip.to_canonical()) {
            Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
            Ok(IpAddr::V6(ip)) => {
                ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookTarget(..)")
    }
}

/// Who carries messages to phones.
#[derive(Clone, Debug, Default)]
pub enum Carrier {
    /// Nobody, but for a sender that an administrator declared.
    #[default]
    Nobody,
    /// A page of this machine: `remint dev`, and tests.
    Inbox,
    /// An HTTP webhook.
    Webhook(WebhookTarget),
}

/// Messages to phones: who carries them, and how many codes may be sent. What is set here stands over what is stored.
#[derive(Clone, Debug, Default)]
pub struct Sms {
    /// Who carries them.
    pub carrier: Carrier,
    /// Those of the limits that are set.
    pub limits: SomeLimits,
}

/// Lives of keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyLives {
    /// How long a JWKS may be cached (`Cache-Control: max-age` of `/oauth2/jwks`): a next key is published at least
    /// this long before it signs.
    pub jwks_max_age: Duration,
    /// How long a key signs.
    pub rotate_every: Duration,
}

impl Default for KeyLives {
    fn default() -> Self {
        Self { jwks_max_age: Duration::from_secs(300), rotate_every: Duration::from_secs(90 * 24 * 3600) }
    }
}

/// How far apart the clocks of nodes on one database may lie.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// Where a PostgreSQL database is, and who opens it. A password may stand in it, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Database(String);

impl Database {
    /// The URL, password included.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The text does not say where a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a URL like postgres://remint@db.example/remint")]
pub struct BadDatabase;

impl FromStr for Database {
    type Err = BadDatabase;

    fn from_str(text: &str) -> Result<Self, BadDatabase> {
        if crate::store::is_database(text) { Ok(Self(text.to_owned())) } else { Err(BadDatabase) }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database(..)")
    }
}

/// Everything that an installation is told when it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The public URL.
    pub issuer: Issuer,
    /// Where the data lies; with a database, the socket of the command line alone.
    pub data: PathBuf,
    /// The database that keeps the data in place of a file.
    pub database: Option<Database>,
    /// Who vouches for the database, where it is not an authority of the system's.
    pub database_ca_file: Option<PathBuf>,
    /// Deadlines, clock skew and quantum.
    pub timing: Timing,
    /// The client timeout that new refresh policies and the feed's first event carry.
    pub client_timeout: Duration,
    /// The leeway that guards are told to give expiry.
    pub leeway: Duration,
    /// How often the feed says that it is alive.
    pub heartbeat: Duration,
    /// How often a page's own channel says that it is alive; proxies close what is silent for a minute.
    pub page_heartbeat: Duration,
    /// The reverse proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<AddressRange>,
    /// How fast and how often things may be tried.
    pub limits: Limits,
    /// Lives of keys.
    pub keys: KeyLives,
    /// The collector of traces.
    pub traces_url: Option<String>,
    /// Messages to phones.
    pub sms: Sms,
}

impl Settings {
    /// These, with the data in a database. Several nodes may write to it, so their clocks may lie apart (S).
    #[must_use]
    pub fn with_database(self, database: Database) -> Self {
        let timing = Timing { clock_skew: CLOCK_SKEW, ..self.timing };
        Self { database: Some(database), timing, ..self }
    }

    /// An installation with the defaults.
    pub fn new(issuer: Issuer, data: PathBuf) -> Self {
        Self {
            issuer,
            data,
            database: None,
            database_ca_file: None,
            timing: Timing::default(),
            client_timeout: remint_core::policy::CLIENT_TIMEOUT,
            leeway: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
            page_heartbeat: Duration::from_secs(20),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            keys: KeyLives::default(),
            traces_url: None,
            sms: Sms::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_https_url_or_a_loopback_one() {
        for good in ["https://id.example.com", "https://example.com/auth", "http://localhost:7070", "http://[::1]:1"] {
            assert_eq!(good.parse::<Issuer>().unwrap().as_str(), good);
        }
        let issuer: Issuer = "https://example.com/auth".parse().unwrap();
        assert_eq!((issuer.path(), issuer.admin().as_str()), ("/auth", "https://example.com/auth/admin/api"));
        for wrong in [
            "",
            "id.example.com",
            "http://id.example.com",
            "https://id.example.com/",
            "https://id.example.com/a?b",
            "https://id.example.com#x",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil",
            "https://u@h",
            "ftp://h",
        ] {
            assert_eq!(wrong.parse::<Issuer>(), Err(BadIssuer), "{wrong}");
        }
    }

    #[test]
    fn a_webhook_is_https_or_on_this_machine_and_is_never_printed() {
        for good in
            ["https://sms.example.com/send?key=1", "http://localhost:9/x", "http://127.0.0.1", "http://[::1]:1/"]
        {
            assert!(WebhookTarget::checked_url(good).is_some(), "{good}");
        }
        for wrong in [
            "",
            "https://",
            "https:///x",
            "http://sms.example.com",
            "http://localhost.evil.example/",
            "http://127.0.0.1@evil.example/",
            "https://user@sms.example.com/",
            "https://h/a b",
            "https://h/#x",
            "ftp://h",
        ] {
            assert!(WebhookTarget::checked_url(wrong).is_none(), "{wrong}");
        }
        let secret = WebhookSecret::new(&"s".repeat(32)).unwrap();
        let target = WebhookTarget { url: "https://h/?key=1".into(), secret, timeout: WebhookTarget::TIMEOUT };
        assert_eq!(format!("{:?} {target:?}", target.secret), "WebhookSecret(..) WebhookTarget(..)");
        assert!(WebhookSecret::new(&"s".repeat(31)).is_none());
    }

    #[test]
    fn a_range_contains_its_addresses_in_either_clothes() {
        let range: AddressRange = "10.1.0.0/16".parse().unwrap();
        assert!(range.contains("10.1.255.1".parse().unwrap()));
        assert!(range.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!range.contains("10.2.0.1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<AddressRange>().unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!("::/0".parse::<AddressRange>().unwrap().contains("2001:db8::1".parse().unwrap()));
        assert!("fd00::/8".parse::<AddressRange>().unwrap().contains("fd12::1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<AddressRange>().is_err() && "x".parse::<AddressRange>().is_err());
    }
}
