//! The issuer's public keys: found by discovery or at a configured address, fetched by one task, kept when a fetch fails.
//! A token can make the guard look again for a key, at most once per interval whatever is sent; it can never say where.
//! Never says that a key is unknown without having looked for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use remint_core::json;
use remint_core::jwk::{Algorithm, Kid, PublicKey};
use remint_core::jwks::{Jwks, MAX_JWKS_BYTES};
use reqwest::Url;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::builder::{Address, BadAddress};
use crate::cache::TokenCache;
use crate::fetch::{Fetch, FetchError};
use crate::reject::Reject;
use crate::state::{Clock, jittered};

/// The longest metadata document that is read, in bytes.
const MAX_METADATA_BYTES: usize = 256 * 1024;

/// How long keys are kept where the issuer does not say, and the bounds where it does.
const DEFAULT_AGE: Duration = Duration::from_secs(300);
const LEAST_AGE: Duration = Duration::from_secs(60);
const GREATEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// How long to wait after a failure, while there are keys and while there are none.
const RETRY_WITH_KEYS: Duration = Duration::from_secs(15);
const RETRY_WITHOUT: Duration = Duration::from_secs(1);

/// How long a request waits for a fetch.
const PATIENCE: Duration = Duration::from_secs(6);

/// How many unknown ids are remembered, and for how long they are not looked for again.
const MAX_UNKNOWN: usize = 1000;
const UNKNOWN_FOR: Duration = Duration::from_secs(300);

/// Where the key set is.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// In the issuer's metadata.
    Discovery { issuer: String, documents: Vec<Url>, plain_http: bool },
    /// Here.
    Uri(Url),
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error("{url}: {cause}")]
    Fetch { url: Url, cause: FetchError },
    #[error("{url} is no metadata document of the issuer: {what}")]
    Metadata { url: Url, what: &'static str },
    #[error("the issuer's `jwks_uri` cannot be used: {0}")]
    Address(#[from] BadAddress),
    #[error("{url}: {cause}")]
    Jwks { url: Url, cause: remint_core::jwks::JwksError },
}

/// The keys of one issuer.
pub(crate) struct Keys {
    fetch: Fetch,
    source: Source,
    clock: Arc<dyn Clock>,
    cache: TokenCache,
    least_interval: Duration,
    current: ArcSwapOption<Jwks>,
    /// Ticks in microseconds at which the last attempt began, plus one; zero before the first.
    attempted: AtomicU64,
    under_way: AtomicBool,
    /// How many attempts have begun, and which of them brought keys last.
    begun: AtomicU64,
    fetched: AtomicU64,
    unknown: Mutex<HashMap<Kid, Duration>>,
    asked: Notify,
    outdated: Notify,
    /// How many attempts have ended.
    ended: watch::Sender<u64>,
}

impl Keys {
    pub(crate) fn new(
        fetch: Fetch,
        source: Source,
        clock: Arc<dyn Clock>,
        cache: TokenCache,
        least_interval: Duration,
    ) -> Self {
        Self {
            fetch,
            source,
            clock,
            cache,
            least_interval,
            current: ArcSwapOption::empty(),
            attempted: AtomicU64::new(0),
            under_way: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
            unknown: Mutex::default(),
            asked: Notify::new(),
            outdated: Notify::new(),
            ended: watch::Sender::new(0),
        }
    }

    /// The set to verify a token with. Where it lacks the key that the token names, the issuer does not publish it: it
    /// was looked for since, or a while ago. [`Reject::KeysUnavailable`] where it could not be looked for yet: the token
    /// may be good, and nothing is remembered against it.
    pub(crate) async fn for_token(&self, kid: Option<&Kid>, algorithm: Algorithm) -> Result<Arc<Jwks>, Reject> {
        let has = |set: &Jwks| match kid {
            Some(kid) => set.key(kid.as_str()).is_some(),
            None => set.only_key_for(algorithm).is_some(),
        };
        if let Some(set) = self.current.load_full().filter(|set| has(set)) {
            return Ok(set);
        }
        if kid.is_some_and(|kid| self.is_known_unknown(kid)) {
            return self.current.load_full().ok_or(Reject::KeysUnavailable);
        }
        let before = self.begun.load(Ordering::Acquire);
        self.look_again().await;
        let set = self.current.load_full().ok_or(Reject::KeysUnavailable)?;
        if let Some(kid) = kid.filter(|_| !has(&set)) {
            if self.fetched.load(Ordering::Acquire) <= before {
                return Err(Reject::KeysUnavailable);
            }
            self.note_unknown(kid);
        }
        Ok(set)
    }

    /// The issuer says that it withdrew a key: where that is one of ours the keys are fetched at once, whenever they
    /// were last. Nobody but the issuer may cause this.
    pub(crate) fn withdrawn(&self, kid: &str) {
        if self.current.load().as_ref().is_some_and(|set| set.key(kid).is_some()) {
            self.outdated.notify_one();
        }
    }

    /// Waits until there are keys.
    pub(crate) async fn ready(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = ended.wait_for(|_| self.current.load().is_some()).await;
    }

    /// Has the task fetch once more, unless it did so a moment ago, and waits for the end of it. A fetch that is under
    /// way is everybody's.
    async fn look_again(&self) {
        let mut ended = self.ended.subscribe();
        let before = *ended.borrow_and_update();
        if !self.under_way.load(Ordering::Acquire) {
            if !self.may_attempt() {
                return;
            }
            self.asked.notify_one();
        }
        let _ = tokio::time::timeout(PATIENCE, ended.wait_for(|now| *now > before)).await;
    }

    fn may_attempt(&self) -> bool {
        let interval =
            if self.current.load().is_some() { self.least_interval } else { self.least_interval.min(RETRY_WITHOUT) };
        match self.attempted.load(Ordering::Acquire) {
            0 => true,
            at => self.clock.ticks().saturating_sub(Duration::from_micros(at - 1)) >= interval,
        }
    }

    fn is_known_unknown(&self, kid: &Kid) -> bool {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.get(kid).is_some_and(|until| self.clock.ticks() < *until)
    }

    fn note_unknown(&self, kid: &Kid) {
        let now = self.clock.ticks();
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() >= MAX_UNKNOWN {
            unknown.retain(|_, until| now < *until);
        }
        if unknown.len() < MAX_UNKNOWN {
            unknown.insert(kid.clone(), now + UNKNOWN_FOR);
        }
    }

    /// The task: fetches at once, then before what it has grows old, and when it is asked to.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let wait = self.attempt().await;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(jittered(wait)) => break,
                    () = self.outdated.notified() => break,
                    () = self.asked.notified() => if self.may_attempt() { break } else { self.ended.send_modify(|n| *n += 1) },
                }
            }
        }
    }

    /// One attempt; answers after how long the next one is due.
    async fn attempt(&self) -> Duration {
        let started = u64::try_from(self.clock.ticks().as_micros()).unwrap_or(u64::MAX - 1);
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        self.under_way.store(true, Ordering::Release);
        self.attempted.store(started + 1, Ordering::Release);
        let wait = match self.fetch_keys().await {
            Ok((set, max_age)) => {
                self.replace(set);
                self.fetched.store(number, Ordering::Release);
                max_age.unwrap_or(DEFAULT_AGE).clamp(LEAST_AGE, GREATEST_AGE).mul_f64(0.9)
            }
            Err(cause) => {
                tracing::warn!(%cause, "the issuer's keys could not be fetched");
                if self.current.load().is_some() { RETRY_WITH_KEYS } else { RETRY_WITHOUT }
            }
        };
        self.under_way.store(false, Ordering::Release);
        self.ended.send_modify(|n| *n += 1);
        wait
    }

    fn replace(&self, set: Jwks) {
        for skipped in set.skipped() {
            tracing::debug!(index = skipped.index, cause = %skipped.cause, "a key of the issuer is passed over");
        }
        let before = self.current.load_full();
        if before.as_ref().is_some_and(|known| same_keys(known, &set)) {
            return;
        }
        let set = Arc::new(set);
        self.current.store(Some(set.clone()));
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.cache.void(); // a key that is gone takes its verified tokens with it
        let gone = before.iter().flat_map(|known| known.keys()).filter_map(PublicKey::kid);
        gone.filter(|kid| set.key(kid.as_str()).is_none()).for_each(|kid| self.note_unknown(kid));
    }

    async fn fetch_keys(&self) -> Result<(Jwks, Option<Duration>), KeysError> {
        let url = match &self.source {
            Source::Uri(url) => url.clone(),
            Source::Discovery { issuer, documents, plain_http } => {
                self.discover(issuer, documents, *plain_http).await?
            }
        };
        let document = self.fetch.document(&url, MAX_JWKS_BYTES).await;
        let document = document.map_err(|cause| KeysError::Fetch { url: url.clone(), cause })?;
        let set = Jwks::parse(&document.bytes).map_err(|cause| KeysError::Jwks { url, cause })?;
        Ok((set, document.max_age))
    }

    /// The `jwks_uri` of the first metadata document that there is (RFC 8414 section 3).
    async fn discover(&self, issuer: &str, documents: &[Url], plain_http: bool) -> Result<Url, KeysError> {
        let mut failed = None;
        for url in documents {
            match self.fetch.document(url, MAX_METADATA_BYTES).await {
                Ok(document) => {
                    let bad = |what| KeysError::Metadata { url: url.clone(), what };
                    let uri = jwks_uri(&document.bytes, issuer).map_err(bad)?;
                    return Ok(Address { plain_http }.parse(&uri)?);
                }
                Err(cause) => failed = Some(KeysError::Fetch { url: url.clone(), cause }),
            }
        }
        let none = || KeysError::Address(BadAddress::NotAnAddress);
        Err(failed.unwrap_or_else(none))
    }
}

/// RFC 8414 section 3.3: the document's `issuer` must be the one it was asked for, byte for byte.
fn jwks_uri(document: &[u8], issuer: &str) -> Result<String, &'static str> {
    let members = json::object(document).map_err(|_| "it is not a strict JSON object")?;
    if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err("its `issuer` is another one");
    }
    members.get("jwks_uri").and_then(Value::as_str).map(str::to_owned).ok_or("it has no `jwks_uri`")
}

fn same_keys(one: &Jwks, other: &Jwks) -> bool {
    let (one, other) = (one.keys(), other.keys());
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.jwk() == other.jwk())
}

/// Where an issuer's metadata may be: RFC 8414 section 3.1 puts the well-known part between host and path, OpenID Connect
/// Discovery 1.0 section 4 after the path.
pub(crate) fn metadata_addresses(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let at = |path: &str| {
        let mut url = issuer.clone();
        url.set_path(path);
        url
    };
    vec![
        at(&format!("/.well-known/oauth-authorization-server{path}")),
        at(&format!("{path}/.well-known/openid-configuration")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_part_goes_where_each_specification_puts_it() {
        let addresses =
            |issuer: &str| metadata_addresses(&issuer.parse().unwrap()).iter().map(Url::to_string).collect::<Vec<_>>();
        assert_eq!(
            addresses("https://auth.example.com"),
            [
                "https://auth.example.com/.well-known/oauth-authorization-server",
                "https://auth.example.com/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            addresses("https://example.com/tenant/a"),
            [
                "https://example.com/.well-known/oauth-authorization-server/tenant/a",
                "https://example.com/tenant/a/.well-known/openid-configuration"
            ]
        );
    }

    #[test]
    fn metadata_of_another_issuer_is_refused() {
        let document = br#"{"issuer":"https://a.example","jwks_uri":"https://a.example/keys"}"#;
        assert_eq!(jwks_uri(document, "https://a.example"), Ok("https://a.example/keys".to_owned()));
        assert!(jwks_uri(document, "https://a.example/").is_err(), "a slash makes another issuer");
        assert!(jwks_uri(b"{}", "").is_err());
        assert!(jwks_uri(br#"{"issuer":"i"}"#, "i").is_err());
        assert!(jwks_uri(br#"{"issuer":"i","issuer":"i","jwks_uri":"j"}"#, "i").is_err(), "a member named twice");
    }
}
