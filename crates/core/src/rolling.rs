//! The rolling policy: the access token itself is the proof, past half of its life. A fleet does not renew in step
//! (jitter), tabs racing get one token (quantum), and the absolute limit never moves. The fixed policy is here too:
//! nothing extends it, but a changed record reaches its token. Never signs, never reads a clock.

use std::time::Duration;

use aws_lc_rs::digest;

use crate::client::Client;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::time::Timestamp;
use crate::user::User;

/// What a verified access token says about its own age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its `iat`, seconds.
    pub iat: i64,
    /// Its `exp`, seconds.
    pub exp: i64,
    /// Its `cv`.
    pub cv: u64,
    /// Its `pv`.
    pub pv: u64,
}

/// What the holder of a live token gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// A new token. Where the row changed, it is to be written.
    Mint(Option<Box<Session>>),
    /// Nothing: what it has is good.
    Keep,
}

/// Decides whether a token is minted anew for the holder of `held`, whose signature and life were verified.
pub fn renewal(
    held: &Held,
    session: &Session,
    user: &User,
    client: &Client,
    quantum: Duration,
    now: Timestamp,
) -> Result<Renewal, Refusal> {
    if let Some(over) = session.over(user, now) {
        return Err(over);
    }
    let stale = held.cv < user.cv || held.pv < client.pv;
    match &client.policy {
        Policy::Rolling { life, .. } if stale || worth_renewing(held, session, *life, now) => {
            Ok(Renewal::Mint(carried(session, client, quantum, now).map(Box::new)))
        }
        Policy::Fixed { .. } if stale => Ok(Renewal::Mint(None)),
        Policy::Rolling { .. } | Policy::Fixed { .. } => Ok(Renewal::Keep),
        Policy::Refresh { .. } => Err(Refusal::NotRenewedHere {
            policy: "refresh",
            instead: "present the refresh token at /oauth2/token (grant_type=refresh_token)",
        }),
        Policy::Cookie { .. } => {
            Err(Refusal::NotRenewedHere { policy: "cookie", instead: "the session cookie is the proof" })
        }
    }
}

/// The row of a rolling session for which a token is minted at `now`, where that changes it: it is as old as its newest
/// token. Within one quantum the token is the same, and so is the row: tabs racing have nothing to conflict about.
pub fn carried(session: &Session, client: &Client, quantum: Duration, now: Timestamp) -> Option<Session> {
    let Policy::Rolling { life, .. } = &client.policy else { return None };
    let minted_at = now.quantised(quantum);
    let used = session.used(*life, true, minted_at);
    (used.idle_at > session.idle_at).then_some(used)
}

/// Past its due point, and a new token would live longer than this one.
fn worth_renewing(held: &Held, session: &Session, life: Duration, now: Timestamp) -> bool {
    let later = now.plus(life).min(session.absolute_at).secs() > held.exp;
    later && now >= due_at(session.sid.as_bytes(), Timestamp::from_secs(held.iat), life)
}

/// When a token minted at `iat` is due to be minted anew: `iat + life * (1/2 + j)`, `j` in [0, 0.2) derived from the
/// session and `iat`, so that a fleet does not renew in step and every node agrees.
pub fn due_at(sid: &[u8], iat: Timestamp, life: Duration) -> Timestamp {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(sid);
    context.update(&iat.micros().to_be_bytes());
    let hash = context.finish();
    let draw = hash.as_ref().iter().take(4).fold(0_u32, |n, byte| (n << 8) | u32::from(*byte));
    let share = 0.5 + 0.2 * f64::from(draw) / (f64::from(u32::MAX) + 1.0);
    iat.plus(life.mul_f64(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::policy::QUANTUM;
    use crate::session::EndReason;

    const LIFE: i64 = 20 * 60;

    fn held(iat: i64) -> Held {
        Held { iat, exp: iat + LIFE, cv: 1, pv: 1 }
    }

    fn asked(held: &Held, user: &User, at: i64) -> Result<Renewal, Refusal> {
        let session = fixture::session(Policy::rolling());
        renewal(held, &session, user, &fixture::client(Policy::rolling()), QUANTUM, Timestamp::from_secs(at))
    }

    #[test]
    fn before_half_of_its_life_a_token_is_kept_and_after_the_jitter_it_is_minted() {
        let user = fixture::user();
        assert_eq!(asked(&held(0), &user, LIFE / 2 - 1), Ok(Renewal::Keep));
        assert!(matches!(asked(&held(0), &user, LIFE * 7 / 10 + 1), Ok(Renewal::Mint(Some(_)))));
    }

    #[test]
    fn verified_phone_reaches_the_very_next_token() {
        let changed = User { cv: 2, ..fixture::user() };
        assert!(matches!(asked(&held(0), &changed, 1), Ok(Renewal::Mint(_))));
    }

    #[test]
    fn a_changed_client_mints_at_once() {
        let old = Held { pv: 0, ..held(0) };
        assert!(matches!(asked(&old, &fixture::user(), 1), Ok(Renewal::Mint(_))));
    }

    #[test]
    fn the_jitter_is_the_same_for_everyone_and_within_bounds() {
        let life = Duration::from_secs(1000);
        let due = |n: u8| due_at(&[n; 16], Timestamp::default(), life).secs();
        assert!((0..=255).all(|n| (500..700).contains(&due(n))));
        assert!((0..=255).any(|n| due(n) < 520) && (0..=255).any(|n| due(n) > 680), "spread over the whole width");
        assert_eq!(due(7), due(7));
    }

    #[test]
    fn a_token_capped_by_the_absolute_limit_is_not_minted_again_and_again() {
        let session = fixture::session(Policy::rolling());
        let absolute = session.absolute_at.secs();
        let capped = Held { iat: absolute - 60, exp: absolute, cv: 1, pv: 1 };
        assert_eq!(asked(&capped, &fixture::user(), absolute - 1), Err(Refusal::SessionExpired), "never used since");
        let used = session.used(Duration::from_secs(LIFE as u64), true, Timestamp::from_secs(absolute - 60));
        let client = fixture::client(Policy::rolling());
        let at = Timestamp::from_secs(absolute - 1);
        assert_eq!(renewal(&capped, &used, &fixture::user(), &client, QUANTUM, at), Ok(Renewal::Keep));
    }

    #[test]
    fn a_fixed_token_is_never_extended_but_a_changed_record_reaches_it() {
        let (session, client) = (fixture::session(Policy::fixed()), fixture::client(Policy::fixed()));
        let late = session.absolute_at.minus(Duration::from_secs(1));
        let held = Held { iat: 0, exp: session.absolute_at.secs(), cv: 1, pv: 1 };
        assert_eq!(renewal(&held, &session, &fixture::user(), &client, QUANTUM, late), Ok(Renewal::Keep));
        let changed = User { cv: 2, ..fixture::user() };
        assert_eq!(renewal(&held, &session, &changed, &client, QUANTUM, late), Ok(Renewal::Mint(None)));
        assert_eq!(
            renewal(&held, &session, &changed, &client, QUANTUM, session.absolute_at),
            Err(Refusal::SessionExpired)
        );
    }

    #[test]
    fn an_ended_session_mints_nothing_however_fresh_the_token() {
        let session = fixture::session(Policy::rolling()).ended(EndReason::Revoked, Timestamp::default());
        let client = fixture::client(Policy::rolling());
        let refused = renewal(&held(0), &session, &fixture::user(), &client, QUANTUM, Timestamp::from_secs(1));
        assert_eq!(refused, Err(Refusal::SessionEnded(EndReason::Revoked)));
    }
}
