//! What a verifier is told before it starts. What would be unsafe or could not work is refused here, with a text that
//! says what to change.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use remint_core::claims::{Expected, NothingExpected, Profile};
use reqwest::Url;

use crate::cache::TokenCache;
use crate::feed::{FeedState, Follower};
use crate::fetch::Fetch;
use crate::keys::{Keys, Source, metadata_addresses};
use crate::state::{Clock, SystemClock};
use crate::verifier::{Leeway, Parts, Tasks, Verifier};

/// The longest leeway that can be set.
pub const MAX_LEEWAY: Duration = remint_core::ledger::MAX_LEEWAY;

/// The leeway where neither [`Builder::leeway`] nor the issuer's feed says another.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);

/// How many verified tokens are remembered where [`Builder::remember`] does not say.
pub const DEFAULT_REMEMBERED: u64 = 16 * 1024;

/// The least time between two fetches of keys that tokens with unknown keys cause.
const LEAST_KEY_INTERVAL: Duration = Duration::from_secs(10);

/// What is done with tokens whose user record has changed since (they have not ended).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StaleClaims {
    /// Refused: 401 `stale claims` with `Remint-Renew: <cv>`; the client renews once and asks again.
    #[default]
    Refuse,
    /// Served, with `Remint-Renew: <cv>` beside the answer.
    Hint,
}

/// What is done while the feed does not tell which sessions have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLag {
    /// 503 with `Retry-After`: nobody is served on old knowledge, and nobody is logged out.
    Refuse,
    /// Served on what was last known: a session that has ended since is served until the feed is back, or its token
    /// has expired.
    Serve,
    /// The issuer is asked about the token of each request (RFC 7662) until the feed is back; where it does not answer
    /// either, as [`OnLag::Refuse`]. Each request then waits for the network.
    Introspect,
}

/// The credential of the api at the issuer. Never printed.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) client_id: String,
    secret: String,
}

impl Credential {
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// How the issuer's feed is followed.
#[derive(Clone, Debug)]
pub struct Feed {
    pub(crate) credential: Credential,
    pub(crate) lagging_after: Duration,
    pub(crate) on_lagging: OnLag,
    pub(crate) lost_after: Duration,
    pub(crate) on_lost: OnLag,
}

impl Feed {
    /// With the credential of the api. Served on old knowledge for up to a minute of silence ([`OnLag::Serve`]), so that
    /// a restart of the issuer is not an outage of every API; after it refused ([`OnLag::Refuse`]).
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            credential: Credential { client_id: client_id.into(), secret: client_secret.into() },
            lagging_after: Duration::from_secs(10),
            on_lagging: OnLag::Serve,
            lost_after: Duration::from_secs(60),
            on_lost: OnLag::Refuse,
        }
    }

    /// After so much silence the knowledge counts as lagging, and `choice` decides. Give it some of the issuer's
    /// heartbeats (1 s by default). Default: 10 s, [`OnLag::Serve`].
    #[must_use]
    pub fn lagging_after(self, silence: Duration, choice: OnLag) -> Self {
        Self { lagging_after: silence, on_lagging: choice, ..self }
    }

    /// After so much silence the feed counts as lost, and `choice` decides; also before it was ever heard. Default:
    /// 60 s, [`OnLag::Refuse`].
    #[must_use]
    pub fn lost_after(self, silence: Duration, choice: OnLag) -> Self {
        Self { lost_after: silence, on_lost: choice, ..self }
    }
}

/// An address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// No absolute URL, or one with a user, a query or a fragment.
    #[error("write an absolute URL without user, query and fragment")]
    NotAnAddress,
    /// Neither `https` nor a loopback address.
    #[error("use https, or allow plain http with `Builder::plain_http` where the network in between is trusted")]
    PlainHttp,
}

/// Which addresses are acceptable.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) plain_http: bool,
}

impl Address {
    pub(crate) fn parse(self, text: &str) -> Result<Url, BadAddress> {
        let url = Url::parse(text).map_err(|_| BadAddress::NotAnAddress)?;
        if url.host_str().is_none()
            || !url.username().is_empty()
            || url.password().is_some()
            || url.fragment().is_some()
        {
            return Err(BadAddress::NotAnAddress);
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.plain_http || is_loopback(&url) => Ok(url),
            "http" => Err(BadAddress::PlainHttp),
            _ => Err(BadAddress::NotAnAddress),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Why a verifier cannot be built. Each text says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There must be an issuer and an audience: without one every token of the issuer would do.
    #[error(transparent)]
    NothingExpected(#[from] NothingExpected),
    /// The issuer, or the address of its keys.
    #[error("{what} is `{text}`: {cause}")]
    Address {
        /// Which address.
        what: &'static str,
        /// What was written.
        text: String,
        /// What is wrong with it.
        cause: BadAddress,
    },
    /// The leeway is longer than [`MAX_LEEWAY`].
    #[error("a leeway of more than {MAX_LEEWAY:?} would keep expired tokens alive: set the machine's clock instead")]
    Leeway,
    /// A feed tells of one audience only.
    #[error("the feed tells of one audience only: name exactly one, and build one verifier per audience")]
    FeedAudience,
    /// The feed's credential is empty, or its limits contradict each other.
    #[error("{0}")]
    Feed(&'static str),
    /// The tasks that fetch keys and follow the feed need a runtime.
    #[error("build the verifier inside a Tokio runtime: it fetches keys and follows the feed in the background")]
    NoRuntime,
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up ({0}): does the machine have CA certificates?")]
    Client(#[source] reqwest::Error),
}

/// Collects what a [`Verifier`] is told; from [`Verifier::builder`].
#[derive(Clone)]
pub struct Builder {
    issuer: String,
    audiences: Vec<String>,
    jwks_uri: Option<String>,
    leeway: Option<Duration>,
    profile: Profile,
    stale: StaleClaims,
    feed: Option<Feed>,
    remembered: u64,
    plain_http: bool,
    key_interval: Duration,
    clock: Option<Arc<dyn Clock>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Builder");
        fields.field("issuer", &self.issuer).field("audiences", &self.audiences).field("feed", &self.feed);
        fields.finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            audiences: Vec::new(),
            jwks_uri: None,
            leeway: None,
            profile: Profile::Rfc9068,
            stale: StaleClaims::Refuse,
            feed: None,
            remembered: DEFAULT_REMEMBERED,
            plain_http: false,
            key_interval: LEAST_KEY_INTERVAL,
            clock: None,
        }
    }

    /// Accepts tokens for this audience, compared byte for byte. At least one is needed.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Where the key set is. Without it the issuer's metadata is asked (RFC 8414, then OpenID Connect Discovery 1.0).
    #[must_use]
    pub fn jwks_uri(self, uri: impl Into<String>) -> Self {
        Self { jwks_uri: Some(uri.into()), ..self }
    }

    /// How far clocks may differ, at both ends of a token's life: 0 to 60 s. Without it the feed's advice counts, and
    /// without a feed [`DEFAULT_LEEWAY`].
    #[must_use]
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway: Some(leeway), ..self }
    }

    /// How much a token must carry. Default: [`Profile::Rfc9068`]; for issuers older than it [`Profile::AnyJwt`].
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// What is done with tokens whose user record has changed. Default: [`StaleClaims::Refuse`].
    #[must_use]
    pub fn stale_claims(self, choice: StaleClaims) -> Self {
        Self { stale: choice, ..self }
    }

    /// Follows the issuer's feed. Without it an ended session is served until its token expires.
    #[must_use]
    pub fn feed(self, feed: Feed) -> Self {
        Self { feed: Some(feed), ..self }
    }

    /// How many verified tokens are remembered, each with two to three times its own size. Zero: none.
    #[must_use]
    pub fn remember(self, tokens: u64) -> Self {
        Self { remembered: tokens, ..self }
    }

    /// Allows plain `http` to other machines. Keys, credentials and tokens can then be read and changed on the way.
    #[must_use]
    pub fn plain_http(self) -> Self {
        Self { plain_http: true, ..self }
    }

    /// The least time between two fetches of keys that tokens with unknown keys cause. Default: 10 s.
    #[must_use]
    pub fn key_interval(self, least: Duration) -> Self {
        Self { key_interval: least, ..self }
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Starts the verifier: keys are fetched and the feed is followed by tasks that end with it. It can be asked at
    /// once; [`Verifier::ready`] waits until it can answer.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn build(self) -> Result<Verifier, ConfigError> {
        Expected::new(&self.issuer, &self.audiences)?;
        if self.leeway.is_some_and(|leeway| leeway > MAX_LEEWAY) {
            return Err(ConfigError::Leeway);
        }
        if let Some(feed) = &self.feed {
            self.feed_is_sound(feed)?;
        }
        let address = Address { plain_http: self.plain_http };
        let issuer = parsed(address, "the issuer", &self.issuer)?;
        let keys_at =
            self.jwks_uri.as_deref().map(|uri| parsed(address, "the address of the keys", uri)).transpose()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let tls = issuer.scheme() == "https" || keys_at.as_ref().is_some_and(|uri| uri.scheme() == "https");
        let fetch = Fetch::new(tls).map_err(ConfigError::Client)?;
        Ok(self.start(&runtime, &issuer, keys_at, fetch))
    }

    fn feed_is_sound(&self, feed: &Feed) -> Result<(), ConfigError> {
        if self.audiences.len() != 1 {
            return Err(ConfigError::FeedAudience);
        }
        if feed.credential.client_id.is_empty() || feed.credential.secret.is_empty() {
            return Err(ConfigError::Feed(
                "the feed needs the api's client_id and client_secret; neither may be empty",
            ));
        }
        if feed.lost_after < feed.lagging_after {
            return Err(ConfigError::Feed("a feed cannot be lost before it lags: raise `lost_after`"));
        }
        Ok(())
    }

    fn start(self, runtime: &tokio::runtime::Handle, issuer: &Url, keys_at: Option<Url>, fetch: Fetch) -> Verifier {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let cache = TokenCache::new(self.remembered);
        let source = keys_at.map_or_else(
            || Source::Discovery {
                issuer: self.issuer.clone(),
                documents: metadata_addresses(issuer),
                plain_http: self.plain_http,
            },
            Source::Uri,
        );
        let keys = Arc::new(Keys::new(fetch.clone(), source, clock.clone(), cache.clone(), self.key_interval));
        let mut tasks = vec![runtime.spawn(keys.clone().keep_fresh()).abort_handle()];
        let feed = self.feed.map(|feed| Arc::new(FeedState::new(feed, clock.clone())));
        if let (Some(state), [audience]) = (&feed, self.audiences.as_slice()) {
            let follower = Follower {
                state: state.clone(),
                fetch: fetch.clone(),
                url: below(issuer, "feed"),
                issuer: self.issuer.clone(),
                audience: audience.clone(),
                cache: cache.clone(),
                keys: keys.clone(),
            };
            tasks.push(runtime.spawn(follower.follow()).abort_handle());
        }
        Verifier::start(Parts {
            renew_at: below(issuer, "session/renew"),
            introspect_at: below(issuer, "oauth2/introspect"),
            issuer: self.issuer,
            audiences: self.audiences,
            profile: self.profile,
            stale: self.stale,
            leeway: Leeway(self.leeway),
            keys,
            feed,
            cache,
            clock,
            fetch,
            tasks: Tasks(tasks),
        })
    }
}

fn parsed(address: Address, what: &'static str, text: &str) -> Result<Url, ConfigError> {
    let wrong = |cause| ConfigError::Address { what, text: text.to_owned(), cause };
    let url = address.parse(text).map_err(wrong)?;
    if what == "the issuer" && url.query().is_some() {
        return Err(wrong(BadAddress::NotAnAddress)); // RFC 8414 section 2
    }
    Ok(url)
}

/// The issuer's endpoint of that path.
fn below(issuer: &Url, path: &str) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!("{}/{path}", issuer.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(builder: Builder) -> Option<ConfigError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { builder.build().err() })
    }

    fn good() -> Builder {
        Builder::new("http://localhost:1".to_owned()).audience("api")
    }

    #[test]
    fn a_verifier_without_issuer_or_audience_is_not_built() {
        assert!(matches!(built(Builder::new(String::new()).audience("api")), Some(ConfigError::NothingExpected(_))));
        assert!(matches!(built(Builder::new("http://localhost".to_owned())), Some(ConfigError::NothingExpected(_))));
        assert!(matches!(built(good().audience("")), Some(ConfigError::NothingExpected(_))));
        assert!(built(good()).is_none());
    }

    #[test]
    fn plain_http_leaves_the_machine_only_where_it_was_allowed() {
        let issuer = |text: &str| Builder::new(text.to_owned()).audience("api");
        let cause = |text: &str| match built(issuer(text)) {
            Some(ConfigError::Address { cause, .. }) => Some(cause),
            _ => None,
        };
        assert_eq!(cause("http://auth.internal"), Some(BadAddress::PlainHttp));
        assert_eq!(cause("http://127.0.0.1.example.com"), Some(BadAddress::PlainHttp));
        assert_eq!(cause("http://[::1]:7070"), None);
        assert!(built(issuer("http://auth.internal").plain_http()).is_none());
        for wrong in ["auth.example.com", "ftp://auth", "https://user@auth", "https://auth/#x", "https://auth/?x=1"] {
            assert_eq!(cause(wrong), Some(BadAddress::NotAnAddress), "{wrong}");
        }
    }

    #[test]
    fn a_feed_needs_one_audience_a_credential_and_limits_in_order() {
        let feed = Feed::new("api", "secret");
        assert!(matches!(built(good().audience("b").feed(feed.clone())), Some(ConfigError::FeedAudience)));
        assert!(matches!(built(good().feed(Feed::new("api", ""))), Some(ConfigError::Feed(_))));
        let early = feed.clone().lost_after(Duration::from_secs(1), OnLag::Refuse);
        assert!(matches!(built(good().feed(early)), Some(ConfigError::Feed(_))));
        assert!(built(good().feed(feed)).is_none());
    }

    #[test]
    fn a_leeway_beyond_a_minute_and_a_missing_runtime_are_refused() {
        assert!(matches!(built(good().leeway(Duration::from_secs(61))), Some(ConfigError::Leeway)));
        assert!(matches!(good().build(), Err(ConfigError::NoRuntime)));
    }

    #[test]
    fn a_secret_is_never_printed() {
        let text = format!("{:?}", good().feed(Feed::new("api", "hunter2")));
        assert!(!text.contains("hunter2") && text.contains("api"), "{text}");
    }
}
