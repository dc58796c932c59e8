//! What each kind of change tells the feed: one function per kind, so that every path that makes the change says the
//! same. Never says less than the truth: an event is remembered at least as long as any token that it concerns lives,
//! one that was being minted while the change was committed included.

use std::time::Duration;

use crate::client::Client;
use crate::event::{Cause, Concerns, Event, Initiator, Notice};
use crate::id::{AttributeName, Jti};
use crate::policy::Timing;
use crate::session::{EndReason, Session};
use crate::time::Timestamp;
use crate::user::User;

/// How long any token that exists now, or is being minted now, can live: what an event must be remembered for that
/// may concern a token of any client. `longest_life` is the longest access life that any client ever had, disabled ones
/// too: their tokens are still out.
pub fn horizon(longest_life: Duration, timing: &Timing) -> Duration {
    longest_life + in_flight(timing)
}

/// A mint that read before the change may sign this much after it.
fn in_flight(timing: &Timing) -> Duration {
    timing.server_deadline + timing.clock_skew
}

/// The record changed: `user` is the record after the change, `names` are the attributes that differ, `horizon` is
/// [`horizon`] of all clients.
pub fn claims_changed(
    user: &User,
    names: Vec<AttributeName>,
    cause: Cause,
    who: Initiator,
    horizon: Duration,
    now: Timestamp,
) -> Notice {
    let event = Event::ClaimsChanged { sub: user.id, cv: user.cv, names, cause, who, forget_after: now.plus(horizon) };
    Notice { event, concerns: Concerns::Everyone, at: now }
}

/// Every session of the user ended: `user` is the record with its new epoch, `horizon` is [`horizon`] of all clients.
pub fn user_ended(user: &User, horizon: Duration, now: Timestamp) -> Notice {
    let (sub, cv, reason, forget_after) = (user.id, user.cv, user.epoch_reason, now.plus(horizon));
    Notice { event: Event::UserEnded { sub, cv, reason, forget_after }, concerns: Concerns::Everyone, at: now }
}

/// One session ended. Only the apis that its client may call can hold tokens of it: where `apis` was changed, `pv`
/// rose, and that killed the tokens for the others.
pub fn session_ended(session: &Session, client: &Client, reason: EndReason, timing: &Timing, now: Timestamp) -> Notice {
    let longest = now.plus(client.longest_life + in_flight(timing));
    let forget_after = longest.min(session.absolute_at).max(now);
    let event = Event::SessionEnded { sid: session.sid, reason, forget_after };
    Notice { event, concerns: Concerns::Only(client.apis.clone()), at: now }
}

/// A client's tokens show something else now, or nothing. `None` where `pv` did not rise: then no token is dead. The
/// apis that it may no longer call hear of it too.
pub fn client_changed(before: &Client, after: &Client, timing: &Timing, now: Timestamp) -> Option<Notice> {
    if after.pv == before.pv {
        return None;
    }
    let mut apis = after.apis.clone();
    apis.extend(before.apis.iter().filter(|api| !after.apis.contains(api)).cloned());
    let forget_after = now.plus(before.longest_life.max(after.longest_life) + in_flight(timing));
    let event = Event::ClientChanged { client_id: after.id.clone(), pv: after.pv, forget_after };
    Some(Notice { event, concerns: Concerns::Only(apis), at: now })
}

/// One token without a session was revoked (RFC 7009); it would have expired at `exp`.
pub fn token_ended(jti: Jti, exp: Timestamp, now: Timestamp) -> Notice {
    Notice { event: Event::TokenEnded { jti, forget_after: exp }, concerns: Concerns::Everyone, at: now }
}

/// A signing key is not to be believed any more. `horizon` is [`horizon`] of all clients.
pub fn key_withdrawn(kid: String, horizon: Duration, now: Timestamp) -> Notice {
    Notice {
        event: Event::KeyWithdrawn { kid, forget_after: now.plus(horizon) },
        concerns: Concerns::Everyone,
        at: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::policy::{Policy, SERVER_DEADLINE};

    fn client(policy: Policy) -> Client {
        fixture::client(policy)
    }

    #[test]
    fn an_event_is_remembered_as_long_as_the_longest_token_and_the_mint_that_was_under_way() {
        let longest = client(Policy::fixed()).longest_life;
        assert_eq!(horizon(longest, &Timing::default()), Policy::fixed().life() + SERVER_DEADLINE);
        let now = Timestamp::from_secs(100);
        let notice = user_ended(&fixture::user(), horizon(longest, &Timing::default()), now);
        assert_eq!(notice.event.forget_after(), now.plus(Policy::fixed().life() + SERVER_DEADLINE));
    }

    #[test]
    fn a_session_is_never_remembered_beyond_its_absolute_limit() {
        let session = fixture::session(Policy::rolling());
        let late = session.absolute_at.minus(Duration::from_secs(60));
        let ended =
            |now| session_ended(&session, &client(Policy::rolling()), EndReason::Logout, &Timing::default(), now);
        assert_eq!(ended(late).event.forget_after(), session.absolute_at);
        let early = Timestamp::from_secs(1);
        assert_eq!(ended(early).event.forget_after(), early.plus(Policy::rolling().life() + SERVER_DEADLINE));
        assert_eq!(ended(early).concerns, Concerns::Only(vec!["demo-api".parse().unwrap()]));
    }

    #[test]
    fn an_api_that_a_client_may_no_longer_call_hears_that_its_tokens_are_dead() {
        let before = client(Policy::fixed());
        let after = Client { apis: vec!["other".parse().unwrap()], pv: before.pv + 1, ..before.clone() };
        let notice = client_changed(&before, &after, &Timing::default(), Timestamp::default()).unwrap();
        assert!(["demo-api", "other"].iter().all(|api| notice.concerns.include(&api.parse().unwrap())));
        let renamed = Client { name: "New".into(), ..before.clone() };
        assert_eq!(client_changed(&before, &renamed, &Timing::default(), Timestamp::default()), None);
    }

    #[test]
    fn a_changed_record_names_its_version_and_never_a_value() {
        let (user, now) = (fixture::user().with_new_cv(), Timestamp::from_secs(1));
        let names = vec!["nickname".parse().unwrap()];
        let notice = claims_changed(&user, names, Cause::Attributes, Initiator::Admin, Duration::from_secs(9), now);
        assert_eq!(notice.concerns, Concerns::Everyone);
        let text = serde_json::to_string(&notice.event).unwrap();
        assert!(text.contains(r#""cv":2"#) && text.contains(r#""forget_after":10000000"#), "{text}");
        assert!(!text.contains("ada"), "{text}");
    }
}
