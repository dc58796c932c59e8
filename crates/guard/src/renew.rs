//! Rolling: past half of its life a token is presented to the issuer, and the new one travels beside the API's answer.
//! One flight per session; an answer waits for it no longer than its budget, and the next request gets what came late.
//! Sends the issuer the token and nothing else of any request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
use remint_core::id::SessionId;
use remint_core::rolling::due_at;
use remint_core::time::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::fetch::Renewed;
use crate::verifier::{Verified, Verifier};

/// The header that carries a new token.
pub const REMINT_TOKEN: HeaderName = HeaderName::from_static("remint-token");

/// How many sessions are kept in mind, and how many flights are under way at once.
const MAX_SLOTS: usize = 10_000;
const MAX_FLIGHTS: usize = 64;

/// How long a new token is handed to requests that still carry the old one.
const READY_FOR: Duration = Duration::from_secs(60);

/// How long to leave the issuer alone about a session: it said not yet; it refused; it could not.
const AFTER_NOT_YET: Duration = Duration::from_secs(5);
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
const AFTER_FAILURE: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How long an answer waits for a renewal at most, where it is ready before.
#[derive(Clone, Copy, Debug)]
pub struct Rolling {
    budget: Duration,
}

impl Default for Rolling {
    /// A budget of 250 ms.
    fn default() -> Self {
        Self { budget: Duration::from_millis(250) }
    }
}

impl Rolling {
    /// Another budget, counted from the beginning of the request.
    #[must_use]
    pub const fn budget(self, budget: Duration) -> Self {
        Self { budget }
    }
}

/// What makes two tokens renew to the same: one session has tokens for several audiences and scopes, and from before and
/// after the person proved again who they are. Whoever holds the older proof must not be handed the newer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Line {
    sid: SessionId,
    aud: Vec<String>,
    scope: Option<String>,
    auth_time: Option<i64>,
    amr: Vec<String>,
}

enum Slot {
    Flying(watch::Receiver<Option<Landed>>),
    Ready { token: Arc<Minted>, until: Duration },
    Resting { until: Duration },
}

/// What a flight brought: a new token, or nothing.
pub(crate) type Landed = Option<Arc<Minted>>;

/// A new token that this API's own verifier accepted.
#[derive(Debug)]
pub(crate) struct Minted {
    token: String,
    verified: Verified,
}

/// The renewals of one layer.
pub(crate) struct Renewals {
    verifier: Verifier,
    settings: Rolling,
    slots: Mutex<HashMap<Line, Slot>>,
    flights: Arc<Semaphore>,
}

/// A renewal that an answer may wait for.
pub(crate) enum Pending {
    Ready(Arc<Minted>),
    Flying(watch::Receiver<Option<Landed>>, tokio::time::Sleep),
}

impl Renewals {
    pub(crate) fn new(verifier: Verifier, settings: Rolling) -> Self {
        Self { verifier, settings, slots: Mutex::default(), flights: Arc::new(Semaphore::new(MAX_FLIGHTS)) }
    }

    /// Begins a renewal where one is due, or joins the one under way.
    pub(crate) fn begin(self: &Arc<Self>, token: &str, verified: &Verified) -> Option<Pending> {
        if !is_due(verified) {
            return None;
        }
        let line = line(verified)?;
        let now = self.verifier.clock().ticks();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.get(&line) {
            Some(Slot::Resting { until }) if now < *until => return None,
            Some(Slot::Ready { token, until }) if now < *until && self.beats(token, verified) => {
                return Some(Pending::Ready(token.clone()));
            }
            Some(Slot::Flying(landing)) if landing.has_changed().is_ok() => {
                return Some(Pending::Flying(landing.clone(), tokio::time::sleep(self.settings.budget)));
            }
            _ => {}
        }
        let permit = self.flights.clone().try_acquire_owned().ok()?;
        if !has_room(&mut slots, now) {
            return None;
        }
        let (lands, landing) = watch::channel(None);
        slots.insert(line.clone(), Slot::Flying(landing.clone()));
        drop(slots);
        let (flight, token) = (self.clone(), token.to_owned());
        tokio::spawn(async move {
            let landed = flight.fly(line, &token).await;
            drop(permit);
            lands.send_replace(Some(landed));
        });
        Some(Pending::Flying(landing, tokio::time::sleep(self.settings.budget)))
    }

    /// Whether what was minted is newer than what is presented, and still good.
    fn beats(&self, minted: &Minted, presented: &Verified) -> bool {
        let age = |verified: &Verified| (verified.facts().cv, verified.claims().iat);
        let good = self.verifier.verify_remembered(&minted.token).unwrap_or_else(|| Ok(minted.verified.clone()));
        age(&minted.verified) > age(presented) && good.is_ok_and(|now| now.stale().is_none())
    }

    /// One flight: ask, check what came, and leave word for the next request.
    async fn fly(&self, line: Line, token: &str) -> Landed {
        let renewed = self.verifier.fetch().renewal(self.verifier.renew_at(), token).await;
        let (landed, rest) = match renewed {
            Renewed::Token(token) => match self.accepted(&line, token).await {
                Some(minted) => (Some(Arc::new(minted)), Duration::ZERO),
                None => (None, AFTER_REFUSAL),
            },
            Renewed::NotYet => (None, AFTER_NOT_YET),
            Renewed::Refused => (None, AFTER_REFUSAL),
            Renewed::Failed(wait) => (None, wait.unwrap_or(AFTER_FAILURE).clamp(AFTER_NOT_YET, LONGEST_REST)),
        };
        let now = self.verifier.clock().ticks();
        let slot = match &landed {
            Some(token) => Slot::Ready { token: token.clone(), until: now + READY_FOR },
            None => Slot::Resting { until: now + rest },
        };
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).insert(line, slot);
        landed
    }

    /// A token for the same session, audience, scope and proof that verifies here; anything else is not passed on.
    async fn accepted(&self, asked: &Line, token: String) -> Option<Minted> {
        match self.verifier.verify(&token).await {
            Ok(verified) if line(&verified).as_ref() == Some(asked) => Some(Minted { token, verified }),
            Ok(_) => {
                tracing::warn!("the issuer renewed a token to one of another session, audience, scope or proof");
                None
            }
            Err(cause) => {
                tracing::warn!(code = cause.code(), "the issuer renewed a token to one that is not accepted here");
                None
            }
        }
    }
}

impl Pending {
    /// The new token, if it comes within the budget.
    async fn token(self) -> Landed {
        match self {
            Self::Ready(token) => Some(token),
            Self::Flying(mut landing, budget) => {
                let landed = async { landing.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone()) };
                tokio::select! { biased; landed = landed => landed.flatten(), () = budget => None }
            }
        }
    }

    /// Puts the new token beside the answer, unless the handler wants its answer shared.
    pub(crate) async fn beside(self, headers: &mut HeaderMap) {
        if is_shared(headers) {
            return;
        }
        let Some(minted) = self.token().await else { return };
        let Ok(mut value) = HeaderValue::from_str(&minted.token) else { return };
        value.set_sensitive(true);
        headers.insert(REMINT_TOKEN, value);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
}

fn line(verified: &Verified) -> Option<Line> {
    let claims = verified.claims();
    Some(Line {
        sid: verified.facts().sid?,
        aud: claims.aud.clone(),
        scope: claims.scope.clone(),
        auth_time: claims.auth_time,
        amr: claims.amr.clone(),
    })
}

/// Where the issuer would mint: past half of the token's life with the session's jitter, or where the record changed.
fn is_due(verified: &Verified) -> bool {
    let (Some(sid), Some(iat)) = (verified.facts().sid, verified.claims().iat) else { return false };
    let life = u64::try_from(verified.claims().exp - iat).unwrap_or(0);
    let due = due_at(sid.as_bytes(), Timestamp::from_secs(iat), Duration::from_secs(life));
    verified.stale().is_some() || verified.at() >= due
}

/// Makes room by dropping what is over; says whether there is any.
fn has_room(slots: &mut HashMap<Line, Slot>, now: Duration) -> bool {
    if slots.len() >= MAX_SLOTS {
        slots.retain(|_, slot| match slot {
            Slot::Flying(landing) => landing.has_changed().is_ok(),
            Slot::Ready { until, .. } | Slot::Resting { until } => now < *until,
        });
    }
    slots.len() < MAX_SLOTS
}

/// Whether shared caches may keep the answer (RFC 9111 section 5.2.2): a token must not be in it.
fn is_shared(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|directive| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("public") || name.eq_ignore_ascii_case("s-maxage")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_caches_may_share_is_recognised_however_it_is_written() {
        let shared = |lines: &[&'static str]| {
            is_shared(&lines.iter().map(|line| (CACHE_CONTROL, HeaderValue::from_static(line))).collect())
        };
        for lines in [&["public"][..], &["max-age=60, Public"], &["max-age=60", "s-maxage=5"]] {
            assert!(shared(lines), "{lines:?}");
        }
        for lines in [&[][..], &["private"], &["no-store, max-age=0"], &["x-public"]] {
            assert!(!shared(lines), "{lines:?}");
        }
    }
}
