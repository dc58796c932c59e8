//! The road from a token to claims: parse, key, signature, claims, clock, ledger, in this order. A token that was
//! verified before skips the first four steps, never the last two. Asks the network only for keys, and only as far as
//! [`crate::keys`] allows; and about the token itself where the feed is silent and its owner chose
//! [`OnLag::Introspect`](crate::OnLag::Introspect).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use remint_core::claims::{AccessClaims, Expected, NothingExpected, Profile};
use remint_core::jws::{TokenError, Unverified};
use remint_core::ledger::{Facts, Verdict};
use remint_core::time::Timestamp;
use reqwest::Url;
use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use crate::builder::{Builder, DEFAULT_LEEWAY, StaleClaims};
use crate::cache::TokenCache;
use crate::feed::{FeedState, Standing};
use crate::fetch::Fetch;
use crate::keys::Keys;
use crate::reject::Reject;
use crate::state::Clock;

/// A token that verified, as it is remembered. What changes with time is no part of it.
#[derive(Debug)]
pub(crate) struct Token {
    claims: AccessClaims,
    payload: Box<[u8]>,
    facts: Facts,
}

/// A token that was verified and, at a moment, found good.
#[derive(Clone, Debug)]
pub struct Verified {
    token: Arc<Token>,
    at: Timestamp,
    stale: Option<u64>,
}

impl Verified {
    /// What it says.
    pub fn claims(&self) -> &AccessClaims {
        &self.token.claims
    }

    /// Everything it says, as a type of your own.
    ///
    /// # Errors
    /// [`Reject::ClaimsMismatch`].
    pub fn claims_as<C: DeserializeOwned>(&self) -> Result<C, Reject> {
        serde_json::from_slice(&self.token.payload).map_err(|fault| {
            // The library's text may quote a value; of a missing field it quotes the name alone, which is the handler's.
            let text = fault.to_string();
            let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
            Reject::ClaimsMismatch { missing: missing.map(|(field, _)| field.to_owned()) }
        })
    }

    /// The least `cv` that a new token must have, where the user record has changed and
    /// [`StaleClaims::Hint`] let the token pass.
    pub fn stale(&self) -> Option<u64> {
        self.stale
    }

    /// Demands all of these scopes, one space between.
    ///
    /// # Errors
    /// [`Reject::InsufficientScope`].
    pub fn demand_scope(&self, needed: &'static str) -> Result<(), Reject> {
        let held = self.claims().scope.as_deref().unwrap_or_default();
        let has = |scope: &str| held.split(' ').any(|held| held == scope);
        if needed.split(' ').filter(|scope| !scope.is_empty()).all(has) {
            Ok(())
        } else {
            Err(Reject::InsufficientScope { needed: needed.into() })
        }
    }

    /// Demands that the person proved who they are within `max_age` (RFC 9470); a token without `auth_time` did not.
    ///
    /// # Errors
    /// [`Reject::StepUp`].
    pub fn demand_recent_login(&self, max_age: Duration) -> Result<(), Reject> {
        let age = self.claims().auth_time.map(|secs| self.at.since(Timestamp::from_secs(secs)));
        if age.is_some_and(|age| age <= max_age) {
            Ok(())
        } else {
            Err(Reject::StepUp { acr_values: "".into(), max_age: Some(max_age) })
        }
    }

    /// Demands one of these authentication contexts, one space between (RFC 9470).
    ///
    /// # Errors
    /// [`Reject::StepUp`].
    pub fn demand_acr(&self, acr_values: &'static str) -> Result<(), Reject> {
        let has = |wanted: &str| self.claims().acr.as_deref() == Some(wanted);
        if acr_values.split(' ').filter(|acr| !acr.is_empty()).any(has) {
            Ok(())
        } else {
            Err(Reject::StepUp { acr_values: acr_values.into(), max_age: None })
        }
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.token.facts
    }

    /// When it was found good.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }
}

/// The leeway that was set, if one was.
#[derive(Clone, Copy)]
pub(crate) struct Leeway(pub(crate) Option<Duration>);

/// Tasks that end when their owner does.
pub(crate) struct Tasks(pub(crate) Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// What a verifier is made of.
pub(crate) struct Parts {
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) profile: Profile,
    pub(crate) stale: StaleClaims,
    pub(crate) leeway: Leeway,
    pub(crate) keys: Arc<Keys>,
    pub(crate) feed: Option<Arc<FeedState>>,
    pub(crate) cache: TokenCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fetch: Fetch,
    pub(crate) renew_at: Url,
    pub(crate) introspect_at: Url,
    pub(crate) tasks: Tasks,
}

/// Verifies the access tokens of one issuer for one API. Cheap to clone; the last clone ends its tasks.
#[derive(Clone)]
pub struct Verifier(Arc<Parts>);

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Verifier");
        fields.field("issuer", &self.0.issuer).field("audiences", &self.0.audiences).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Of this issuer, byte for byte as its tokens name it.
    pub fn builder(issuer: impl Into<String>) -> Builder {
        Builder::new(issuer.into())
    }

    pub(crate) fn start(parts: Parts) -> Self {
        debug_assert!(!parts.tasks.0.is_empty());
        Self(Arc::new(parts))
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`Reject`]: the first thing that is wrong with it, or why nothing can be said.
    pub async fn verify(&self, token: &str) -> Result<Verified, Reject> {
        let (found, now) = match self.remembered(token) {
            Some(found) => found?,
            None => self.read(token).await?,
        };
        match self.judged(found.clone(), now) {
            Err(Reject::FeedLagging) => self.introspected(token, found, now).await,
            verdict => verdict,
        }
    }

    /// Verifies a token that was verified before; [`None`] for all others. Never waits.
    pub fn verify_remembered(&self, token: &str) -> Option<Result<Verified, Reject>> {
        Some(self.remembered(token)?.and_then(|(found, now)| self.judged(found, now)))
    }

    fn remembered(&self, token: &str) -> Option<Result<(Arc<Token>, Timestamp), Reject>> {
        let found = self.0.cache.find(token)?;
        let now = self.0.clock.now();
        let timely = self.expected().and_then(|expected| expected.timely(&found.claims, now));
        if let Err(over) = timely {
            self.0.cache.drop_one(token);
            return Some(Err(over.into()));
        }
        Some(Ok((found, now)))
    }

    async fn read(&self, token: &str) -> Result<(Arc<Token>, Timestamp), Reject> {
        let era = self.0.cache.era();
        let unverified = Unverified::parse(token)?;
        let keys = self.0.keys.for_token(unverified.kid(), unverified.algorithm()).await?;
        let kid = match unverified.kid() {
            Some(kid) => Some(kid.clone()),
            None => keys.only_key_for(unverified.algorithm()).and_then(|key| key.kid().cloned()),
        };
        let payload = unverified.verify(&keys, self.0.profile.typ())?;
        let now = self.0.clock.now();
        let claims = self.expected()?.check(&payload, now)?;
        let facts = Facts::of(&claims, kid);
        let verified = Arc::new(Token { claims, payload: payload.as_bytes().into(), facts });
        self.0.cache.keep(token, era, verified.clone());
        Ok((verified, now))
    }

    /// The issuer is asked in the feed's place, if its owner chose so. What the ledger knew stays known.
    async fn introspected(&self, text: &str, token: Arc<Token>, now: Timestamp) -> Result<Verified, Reject> {
        let Some(feed) = &self.0.feed else { return Err(Reject::FeedLagging) };
        let credential = feed.introspects_as(now).ok_or(Reject::FeedLagging)?;
        let good = self.by_verdict(feed.last_known(&token.facts), token, now)?;
        match self.0.fetch.introspection(&self.0.introspect_at, credential, text).await {
            Ok(true) => Ok(good),
            Ok(false) => Err(Reject::Inactive),
            Err(cause) => {
                tracing::warn!(%cause, "the issuer could not be asked about a token");
                Err(Reject::FeedLagging)
            }
        }
    }

    /// What this verifier demands; its parts were checked when it was built.
    fn expected(&self) -> Result<Expected<'_>, TokenError> {
        let expected = Expected::new(&self.0.issuer, &self.0.audiences);
        let expected = expected.map_err(|NothingExpected| TokenError::WrongAudience)?;
        Ok(expected.leeway(self.leeway()).profile(self.0.profile))
    }

    fn leeway(&self) -> Duration {
        let advised = || self.0.feed.as_ref().and_then(|feed| feed.advised_leeway());
        self.0.leeway.0.or_else(advised).unwrap_or(DEFAULT_LEEWAY)
    }

    fn judged(&self, token: Arc<Token>, now: Timestamp) -> Result<Verified, Reject> {
        let verdict = match &self.0.feed {
            Some(feed) => feed.judge(&token.facts, now)?,
            None => Verdict::Good,
        };
        self.by_verdict(verdict, token, now)
    }

    fn by_verdict(&self, verdict: Verdict, token: Arc<Token>, now: Timestamp) -> Result<Verified, Reject> {
        let stale = match (verdict, self.0.stale) {
            (Verdict::Good, _) => None,
            (Verdict::Stale { need, .. }, StaleClaims::Hint) => Some(need),
            (Verdict::Stale { have, need }, StaleClaims::Refuse) => return Err(Reject::StaleClaims { have, need }),
            (Verdict::ClientChanged { .. }, _) => return Err(Reject::ClientChanged { cv: token.facts.cv }),
            (Verdict::Ended(reason), _) => return Err(Reject::Ended { reason }),
            (Verdict::TokenEnded, _) => return Err(Reject::Revoked),
            (Verdict::KeyWithdrawn, _) => return Err(Reject::KeyWithdrawn),
        };
        Ok(Verified { token, at: now, stale })
    }

    /// Waits until keys are there and, with a feed, its first snapshot. It waits for as long as it takes: put a
    /// `tokio::time::timeout` around it where starting without them is better than not starting.
    pub async fn ready(&self) {
        self.0.keys.ready().await;
        if let Some(feed) = &self.0.feed {
            feed.ready().await;
        }
    }

    /// How fresh the knowledge of ended sessions is; [`None`] without a feed. For a readiness probe.
    pub fn standing(&self) -> Option<Standing> {
        self.0.feed.as_ref().map(|feed| feed.standing(self.0.clock.now()))
    }

    /// Waits until the feed was heard up to the event with this number. Without a feed it answers at once.
    pub async fn heard(&self, seq: u64) {
        if let Some(feed) = &self.0.feed {
            feed.heard(seq).await;
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn fetch(&self) -> &Fetch {
        &self.0.fetch
    }

    pub(crate) fn renew_at(&self) -> &Url {
        &self.0.renew_at
    }
}
