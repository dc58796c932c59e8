//! Where the database is and how it is spoken to, as a URL says it: to which of several hosts, in clear or not, for how
//! long it is waited for. Never shows a password, never lets a node speak to a standby.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls;
use crate::store::error::OpenError;

/// Statements of rows by their keys: a table that has grown since its plan was made is still not read from end to end.
const BY_KEY: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// What libpq calls that which is done here wherever there is TLS.
const VERIFIED: [&str; 2] = ["sslmode=verify-full", "sslmode=verify-ca"];

/// How long a host is waited for at most, where there is another.
const NEXT_AFTER: Duration = Duration::from_secs(2);

/// Where the database is, and how long it is waited for.
#[derive(Clone)]
pub(in crate::store) struct Place {
    config: Config,
    /// The same for each host alone, in the order of the URL.
    hosts: Vec<Config>,
    pub(super) tls: MakeRustlsConnect,
    pub(super) patience: Duration,
    /// How often another connection took the place of the writer's.
    era: Arc<AtomicU64>,
}

impl Place {
    /// The place of `url`. `ca_file` holds who is believed to vouch for the database, in place of the system's
    /// authorities.
    pub(super) fn new(url: &str, ca_file: Option<&Path>, patience: Duration) -> Result<Self, OpenError> {
        let mut config = config(url).map_err(|what| OpenError::BadUrl { what })?;
        // Always: the name of a single host may come to mean a standby, where nothing can be written and what is read is
        // of the past.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite).keepalives_idle(Duration::from_secs(10));
        if config.get_application_name().is_none() {
            config.application_name("remint");
        }
        let tls = tls::connector(config.get_ssl_mode(), ca_file)?;
        let hosts = each_host(&config)
            .ok_or_else(|| OpenError::BadUrl { what: "hosts, addresses and ports are not equally many".to_owned() })?;
        Ok(Self { config, hosts, tls, patience, era: Arc::default() }.with_patience(patience))
    }

    /// The same place, waited for differently.
    pub(super) fn with_patience(&self, patience: Duration) -> Self {
        let mut place = Self { patience, ..self.clone() };
        for host in &mut place.hosts {
            host.tcp_user_timeout(patience).connect_timeout((patience / 2).min(NEXT_AFTER));
        }
        place
    }

    /// The hosts in their order, and how long each may take to let somebody in: one that only seems to be there must not
    /// keep anybody from the next.
    pub(super) fn hosts(&self) -> (&[Config], Duration) {
        let each = match self.hosts.len() {
            0 | 1 => self.patience,
            count => NEXT_AFTER.min(self.patience / u32::try_from(count).unwrap_or(u32::MAX)),
        };
        (&self.hosts, each)
    }

    /// What a session is told first, so that a statement that nobody waits for any more ends, and gives back what it
    /// holds. Statements, and no parameters of the start: poolers refuse those.
    pub(super) fn settings(&self) -> String {
        let patience_ms = self.patience.as_millis().max(1);
        let within = (patience_ms * 3 / 4).max(1); // the server's word is to come before its silence is one
        format!(
            "{BY_KEY}; SET statement_timeout = {within}; SET lock_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}",
            (within / 2).max(1),
            patience_ms * 2,
        )
    }

    /// How often the writer's connection was another one: connections of an earlier era are not trusted any more.
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::SeqCst)
    }

    /// The writer's connection was lost, and there is another one.
    pub(super) fn begin_era(&self) {
        self.era.fetch_add(1, Ordering::SeqCst);
    }
}

/// Which database it is, for people; never a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_config(&self.config))
    }
}

/// The same, of a URL.
pub(in crate::store) fn named(url: &str) -> String {
    config(url).map_or_else(|_| "(unnamed)".to_owned(), |config| of_config(&config))
}

fn of_config(config: &Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<_> = config.get_hosts().iter().map(host).collect();
    format!("`{}` at {}", config.get_dbname().or(config.get_user()).unwrap_or("(unnamed)"), hosts.join(", "))
}

/// What `url` says, and where it does not say how to encrypt: TLS, but to this machine itself.
pub(in crate::store) fn config(url: &str) -> Result<Config, String> {
    let known = VERIFIED.iter().fold(url.to_owned(), |url, word| url.replace(word, "sslmode=require"));
    let mut config: Config = known.parse().map_err(|error: tokio_postgres::Error| match error.into_source() {
        Some(source) => source.to_string(),
        None => "it is no URL of PostgreSQL".to_owned(),
    })?;
    let holds_at = |name: Option<&str>| name.is_some_and(|name| name.contains('@'));
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => Some(name.as_str()),
        Host::Unix(_) => None,
    });
    if hosts.chain([config.get_dbname()]).any(holds_at) {
        return Err("an @ in its password is taken for the end of it: write it as %40".to_owned());
    }
    if !says_sslmode(url) {
        config.ssl_mode(if is_local(&config) { SslMode::Disable } else { SslMode::Require });
    }
    Ok(config)
}

/// What is said, for each host alone. None where it is not clear which belongs to which.
fn each_host(config: &Config) -> Option<Vec<Config>> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    let fits = |many: usize, few: usize| many == count || many <= few;
    if !(fits(hosts.len(), 0) && fits(addresses.len(), 0) && fits(ports.len(), 1)) {
        return None;
    }
    let alone = |i: usize| {
        let mut one = common(config);
        match hosts.get(i) {
            Some(Host::Tcp(name)) => drop(one.host(name)),
            Some(Host::Unix(path)) => drop(one.host_path(path)),
            None => {}
        }
        addresses.get(i).map(|address| one.hostaddr(*address));
        ports.get(i).or(ports.first()).map(|port| one.port(*port));
        one
    };
    Some((0..count).map(alone).collect())
}

/// What is said of all hosts.
fn common(config: &Config) -> Config {
    let mut common = Config::new();
    config.get_user().map(|user| common.user(user));
    config.get_password().map(|password| common.password(password));
    config.get_dbname().map(|name| common.dbname(name));
    config.get_options().map(|options| common.options(options));
    config.get_application_name().map(|name| common.application_name(name));
    config.get_keepalives_interval().map(|interval| common.keepalives_interval(interval));
    config.get_keepalives_retries().map(|retries| common.keepalives_retries(retries));
    common
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs());
    common
}

fn says_sslmode(url: &str) -> bool {
    let settings = url.replace(" =", "=");
    settings.split(['?', '&', ' ']).any(|setting| setting.starts_with("sslmode="))
}

/// Whether nothing of it leaves this machine.
fn is_local(config: &Config) -> bool {
    let loopback = |name: &str| name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let local = |host: &Host| match host {
        Host::Tcp(name) => loopback(name),
        Host::Unix(_) => true,
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(local),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        config(url).unwrap().get_ssl_mode()
    }

    #[test]
    fn clear_text_leaves_this_machine_only_where_the_url_says_so() {
        for url in ["postgres://u@db.example/d", "postgres://u@127.0.0.1,10.0.0.1/d", "host=db.example user=u"] {
            assert_eq!(mode(url), SslMode::Require, "{url}");
        }
        let nowhere = "host=localhost hostaddr=10.0.0.1 user=u";
        assert_eq!(mode(nowhere), SslMode::Require, "the address is what is connected to");
        for url in ["postgres://u@localhost/d", "postgres://u@127.0.0.1:1,[::1]:2/d", "host=/run/postgresql user=u"] {
            assert_eq!(mode(url), SslMode::Disable, "{url}");
        }
        for (said, means) in [
            ("disable", SslMode::Disable),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::Require),
            ("verify-full", SslMode::Require),
        ] {
            for host in ["db.example", "localhost"] {
                assert_eq!(mode(&format!("postgres://u@{host}/d?sslmode={said}")), means);
                assert_eq!(mode(&format!("host={host} user=u sslmode={said}")), means);
            }
        }
        assert_eq!(mode("host=db.example sslmode = disable"), SslMode::Disable);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for url in ["postgres://u:hunter2@h/d?sslmode=maybe", "postgres://u:hunter2@h/d?sslrootcert=ca.pem"] {
            let wrong = config(url).unwrap_err();
            assert!(wrong.contains("ssl") && !wrong.contains("hunter2"), "{wrong}");
        }
        for url in ["postgres://u:p@hunter2@h/d", "postgres://u:p@h/hunter2@h/d"] {
            let wrong = config(url).unwrap_err();
            assert!(wrong.contains("%40") && !wrong.contains("hunter2"), "{wrong}");
        }
    }

    #[test]
    fn a_standby_is_never_spoken_to() {
        for said in ["", "?target_session_attrs=any", "?target_session_attrs=read-only"] {
            let place = Place::new(&format!("postgres://u@127.0.0.1/d{said}"), None, Duration::from_secs(1)).unwrap();
            assert_eq!(place.hosts[0].get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        }
    }

    #[test]
    fn each_host_is_asked_alone_for_all_that_was_said() {
        let url = "host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1,2 user=u password=p dbname=d options=-cx=y sslmode=require \
                   channel_binding=require keepalives_idle=7 keepalives_interval=8 keepalives_retries=9";
        let all = config(url).unwrap();
        for (one, alone) in
            each_host(&all).unwrap().iter().zip(["host=a hostaddr=10.0.0.1 port=1", "host=b hostaddr=10.0.0.2 port=2"])
        {
            let rest = url.split_once(" user").unwrap().1;
            assert_eq!(*one, config(&format!("{alone} user{rest}")).unwrap());
        }
        assert_eq!(each_host(&config("host=a,b port=1,2,3 user=u").unwrap()), None);
        assert_eq!(each_host(&config("host=a,b port=7 user=u").unwrap()).unwrap()[1].get_ports(), [7]);
    }
}
