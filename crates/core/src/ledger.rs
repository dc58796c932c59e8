//! A guard's memory of the feed: what it must know to refuse tokens that would verify. Forgets when no token that is
//! concerned can still be alive.
//!
//! Events may be applied twice and in any order: versions and dates only ever rise, so a replay after a snapshot changes
//! nothing. Never reads a clock, never does IO, never looks at a signature.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use crate::claims::AccessClaims;
use crate::event::Event;
use crate::id::{ClientId, Jti, SessionId, UserId};
use crate::jwk::Kid;
use crate::session::EndReason;
use crate::time::Timestamp;

/// How many things a ledger remembers at most. Some 160 bytes each at worst.
pub const MAX_ENTRIES: usize = 16_000_000;

/// The longest leeway that a verifier may grant to clocks: so long after its date an event may still concern a token that
/// is served. Guards refuse to be set to more, and the feed tells that much of the past.
pub const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// There is no room for one thing more: who follows the feed cannot follow it any more, and must say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger holds {MAX_ENTRIES} entries and takes no more")]
pub struct LedgerFull;

/// What a verified token says that the ledger can know something about. Ids that are not of this server's form are
/// nobody's here: the feed never names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The user, where the token has a session.
    pub sub: Option<UserId>,
    /// The session.
    pub sid: Option<SessionId>,
    /// The version of the user's claims.
    pub cv: Option<u64>,
    /// The client.
    pub client_id: Option<ClientId>,
    /// The version of the client's settings.
    pub pv: Option<u64>,
    /// The token.
    pub jti: Option<Jti>,
    /// The key that signed it.
    pub kid: Option<Kid>,
}

impl Facts {
    /// Of the claims of a token that `kid` signed.
    pub fn of(claims: &AccessClaims, kid: Option<Kid>) -> Self {
        let session = claims.session.as_ref();
        Self {
            sub: session.and_then(|_| claims.sub.parse().ok()),
            sid: session.and_then(|session| session.sid.parse().ok()),
            cv: session.map(|session| session.cv),
            client_id: claims.client_id.as_deref().and_then(|id| id.parse().ok()),
            pv: claims.pv,
            jti: claims.jti.as_deref().and_then(|jti| jti.parse().ok()),
            kid,
        }
    }
}

/// What the ledger says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Good,
    /// The user record has changed since: the api's choice whether it is served.
    Stale {
        /// The token's `cv`.
        have: u64,
        /// The least `cv` that shows the change.
        need: u64,
    },
    /// The client's settings have changed since. Never served; a new token can be had unless the client was disabled.
    ClientChanged {
        /// The token's `pv`; zero where it has none.
        have: u64,
        /// The least `pv` that lives.
        need: u64,
    },
    /// Its session ended, alone or with all the user's sessions.
    Ended(EndReason),
    /// The token itself was revoked.
    TokenEnded,
    /// The key that signed it was withdrawn.
    KeyWithdrawn,
}

/// What is remembered of a user: two versions, and the reason for the second.
#[derive(Clone, Copy, Debug)]
struct UserMark {
    least_cv: u64,
    dead: Option<(u64, EndReason)>,
}

/// One thing remembered, and until when.
#[derive(Clone, Copy, Debug)]
struct Remembered<T> {
    what: T,
    until: Timestamp,
}

/// What an entry is filed under, to be found when its time has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(UserId),
    Session(SessionId),
    Client(ClientId),
    Token(Jti),
    Signing(Box<str>),
}

impl Key {
    fn of(event: &Event) -> Self {
        match event {
            Event::ClaimsChanged { sub, .. } | Event::UserEnded { sub, .. } => Self::User(*sub),
            Event::SessionEnded { sid, .. } => Self::Session(*sid),
            Event::ClientChanged { client_id, .. } => Self::Client(client_id.clone()),
            Event::TokenEnded { jti, .. } => Self::Token(*jti),
            Event::KeyWithdrawn { kid, .. } => Self::Signing(kid.as_str().into()),
        }
    }
}

/// How many seconds share one shelf of the calendar: that much later than it could an entry is forgotten.
const SHELF_SECS: i64 = 64;

/// What a guard must know, for one audience.
#[derive(Debug, Default)]
pub struct Ledger {
    users: HashMap<UserId, Remembered<UserMark>>,
    sessions: HashMap<SessionId, Remembered<EndReason>>,
    clients: HashMap<ClientId, Remembered<u64>>,
    tokens: HashMap<Jti, Remembered<()>>,
    keys: HashMap<Box<str>, Remembered<()>>,
    /// Each entry is filed exactly once, under a shelf not after its `until`; [`Ledger::forget`] files it anew.
    calendar: BTreeMap<i64, Vec<Key>>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many things are remembered.
    pub fn len(&self) -> usize {
        self.users.len() + self.sessions.len() + self.clients.len() + self.tokens.len() + self.keys.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Learns what happened. `leeway` is what the verifier grants to clocks: so much longer it is remembered.
    ///
    /// # Errors
    /// [`LedgerFull`]: it was not learnt.
    pub fn apply(&mut self, event: &Event, leeway: Duration) -> Result<(), LedgerFull> {
        let until = event.forget_after().plus(leeway);
        let room = if self.len() < MAX_ENTRIES { Room::Some } else { Room::None };
        let new = match event {
            Event::ClaimsChanged { sub, cv, .. } => {
                let mark = UserMark { least_cv: *cv, dead: None };
                remember(&mut self.users, *sub, mark, until, room, UserMark::join)
            }
            Event::UserEnded { sub, cv, reason, .. } => {
                let mark = UserMark { least_cv: *cv, dead: Some((*cv, *reason)) };
                remember(&mut self.users, *sub, mark, until, room, UserMark::join)
            }
            Event::SessionEnded { sid, reason, .. } => {
                remember(&mut self.sessions, *sid, *reason, until, room, Ord::max)
            }
            Event::ClientChanged { client_id, pv, .. } => {
                remember(&mut self.clients, client_id.clone(), *pv, until, room, Ord::max)
            }
            Event::TokenEnded { jti, .. } => remember(&mut self.tokens, *jti, (), until, room, |(), ()| ()),
            Event::KeyWithdrawn { kid, .. } => {
                remember(&mut self.keys, kid.as_str().into(), (), until, room, |(), ()| ())
            }
        }?;
        if new {
            self.calendar.entry(shelf(until)).or_default().push(Key::of(event));
        }
        Ok(())
    }

    /// What is known of a token that verified. The gravest first: an end is never reported as a change.
    pub fn judge(&self, facts: &Facts) -> Verdict {
        if facts.kid.as_ref().is_some_and(|kid| self.keys.contains_key(kid.as_str())) {
            return Verdict::KeyWithdrawn;
        }
        if facts.jti.is_some_and(|jti| self.tokens.contains_key(&jti)) {
            return Verdict::TokenEnded;
        }
        if let Some(ended) = facts.sid.and_then(|sid| self.sessions.get(&sid)) {
            return Verdict::Ended(ended.what);
        }
        let user = facts.sub.zip(facts.cv).and_then(|(sub, cv)| Some((cv, self.users.get(&sub)?.what)));
        if let Some((_, reason)) = user.and_then(|(cv, mark)| mark.dead.filter(|(dead_cv, _)| cv < *dead_cv)) {
            return Verdict::Ended(reason);
        }
        if let Some(client) = facts.client_id.as_ref().and_then(|client| self.clients.get(client)) {
            let (have, need) = (facts.pv.unwrap_or(0), client.what);
            if have < need {
                return Verdict::ClientChanged { have, need };
            }
        }
        match user {
            Some((have, UserMark { least_cv: need, .. })) if have < need => Verdict::Stale { have, need },
            _ => Verdict::Good,
        }
    }

    /// Forgets what no living token is concerned by at `now`, looking at no more than `limit` entries, so that nobody
    /// waits long. Answers whether there is more to do at once.
    pub fn forget(&mut self, now: Timestamp, limit: usize) -> bool {
        let mut left = limit;
        while left > 0 {
            let Some(mut first) = self.calendar.first_entry().filter(|first| *first.key() < shelf(now)) else {
                self.give_back_room();
                return false;
            };
            let looked_at = left.min(first.get().len());
            let due = first.get().len() - looked_at;
            let keys = first.get_mut().split_off(due);
            if first.get().is_empty() {
                first.remove();
            }
            left -= looked_at;
            keys.into_iter().for_each(|key| self.forget_one(key, now));
        }
        true
    }

    /// Forgets one entry, or files it under the later date that it was given since.
    fn forget_one(&mut self, key: Key, now: Timestamp) {
        let kept = match &key {
            Key::User(sub) => forget_in(&mut self.users, sub, now),
            Key::Session(sid) => forget_in(&mut self.sessions, sid, now),
            Key::Client(client) => forget_in(&mut self.clients, client, now),
            Key::Token(jti) => forget_in(&mut self.tokens, jti, now),
            Key::Signing(kid) => forget_in(&mut self.keys, kid, now),
        };
        if let Some(until) = kept {
            self.calendar.entry(shelf(until)).or_default().push(key);
        }
    }

    fn give_back_room(&mut self) {
        shrink(&mut self.users);
        shrink(&mut self.sessions);
        shrink(&mut self.clients);
        shrink(&mut self.tokens);
        shrink(&mut self.keys);
    }
}

impl UserMark {
    /// Both, in whatever order they came.
    fn join(self, other: Self) -> Self {
        Self { least_cv: self.least_cv.max(other.least_cv), dead: self.dead.max(other.dead) }
    }
}

/// Whether a new entry may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Some,
    None,
}

/// Joins `what` with what is known under `key`. Answers whether it is the first.
fn remember<K: Eq + Hash, T: Copy>(
    map: &mut HashMap<K, Remembered<T>>,
    key: K,
    what: T,
    until: Timestamp,
    room: Room,
    join: impl Fn(T, T) -> T,
) -> Result<bool, LedgerFull> {
    if let Some(known) = map.get_mut(&key) {
        *known = Remembered { what: join(known.what, what), until: known.until.max(until) };
        return Ok(false);
    }
    if room == Room::None {
        return Err(LedgerFull);
    }
    map.insert(key, Remembered { what, until });
    Ok(true)
}

/// Removes an entry whose time has come; answers the date of one that is to be kept.
fn forget_in<K: Eq + Hash, T>(map: &mut HashMap<K, Remembered<T>>, key: &K, now: Timestamp) -> Option<Timestamp> {
    let until = map.get(key)?.until;
    if until > now {
        return Some(until);
    }
    map.remove(key);
    None
}

/// A map that was large once gives its memory back when it is mostly empty.
fn shrink<K: Eq + Hash, T>(map: &mut HashMap<K, T>) {
    const WORTH_IT: usize = 4096;
    if map.capacity() > WORTH_IT && map.capacity() / 8 > map.len() {
        map.shrink_to(map.len() * 2);
    }
}

const fn shelf(at: Timestamp) -> i64 {
    at.secs().div_euclid(SHELF_SECS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claims::SessionClaims;
    use crate::event::{Cause, Initiator};

    const LEEWAY: Duration = Duration::from_secs(5);

    fn secs(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn kid(n: u8) -> String {
        format!("key-{n}")
    }

    fn client(n: u8) -> ClientId {
        format!("client-{n}").parse().unwrap()
    }

    fn claims_changed(n: u8, cv: u64, until: i64) -> Event {
        Event::ClaimsChanged {
            sub: UserId::from_bytes([n; 16]),
            cv,
            names: Vec::new(),
            cause: Cause::Attributes,
            who: Initiator::User,
            forget_after: secs(until),
        }
    }

    fn user_ended(n: u8, cv: u64, reason: EndReason, until: i64) -> Event {
        Event::UserEnded { sub: UserId::from_bytes([n; 16]), cv, reason, forget_after: secs(until) }
    }

    fn session_ended(n: u8, until: i64) -> Event {
        let reason = EndReason::Logout;
        Event::SessionEnded { sid: SessionId::from_bytes([n; 16]), reason, forget_after: secs(until) }
    }

    fn facts(n: u8, cv: u64, pv: u64) -> Facts {
        Facts {
            sub: Some(UserId::from_bytes([n; 16])),
            sid: Some(SessionId::from_bytes([n; 16])),
            cv: Some(cv),
            client_id: Some(client(n)),
            pv: Some(pv),
            jti: Some(Jti::from_bytes([n; 16])),
            kid: kid(n).parse().ok(),
        }
    }

    fn ledger(events: &[Event]) -> Ledger {
        let mut ledger = Ledger::new();
        events.iter().for_each(|event| ledger.apply(event, LEEWAY).unwrap());
        ledger
    }

    #[test]
    fn between_dead_and_least_a_token_is_stale_and_under_dead_it_is_ended() {
        let known = ledger(&[user_ended(1, 5, EndReason::Everywhere, 100), claims_changed(1, 8, 100)]);
        let verdicts = [4, 5, 7, 8].map(|cv| known.judge(&facts(1, cv, 1)));
        let stale = |have| Verdict::Stale { have, need: 8 };
        assert_eq!(verdicts, [Verdict::Ended(EndReason::Everywhere), stale(5), stale(7), Verdict::Good]);
        assert_eq!(known.judge(&facts(2, 0, 1)), Verdict::Good, "another user");
    }

    #[test]
    fn a_client_token_has_no_user_and_hears_only_of_itself_its_client_and_its_key() {
        let known = ledger(&[user_ended(1, 5, EndReason::Disabled, 100)]);
        assert_eq!(known.judge(&Facts { cv: None, sid: None, sub: None, ..facts(1, 0, 1) }), Verdict::Good);
        let jti = Jti::from_bytes([1; 16]);
        let known = ledger(&[Event::TokenEnded { jti, forget_after: secs(100) }]);
        assert_eq!(known.judge(&Facts { jti: Some(jti), ..Facts::default() }), Verdict::TokenEnded);
    }

    #[test]
    fn a_token_without_pv_is_older_than_every_change_of_its_client() {
        let known = ledger(&[Event::ClientChanged { client_id: client(1), pv: 2, forget_after: secs(9) }]);
        let token = Facts { pv: None, ..facts(1, 1, 0) };
        assert_eq!(known.judge(&token), Verdict::ClientChanged { have: 0, need: 2 });
        assert_eq!(known.judge(&facts(1, 1, 2)), Verdict::Good);
    }

    #[test]
    fn forgetting_goes_in_slices_and_leaves_what_still_matters() {
        let mut known = ledger(&(0..100).map(|n| session_ended(n, i64::from(n) * 64)).collect::<Vec<_>>());
        assert!(known.forget(secs(64 * 50), 10), "there is more to do");
        assert_eq!(known.len(), 90);
        assert!(!known.forget(secs(64 * 50), 1000));
        assert_eq!(known.judge(&facts(50, 1, 1)), Verdict::Ended(EndReason::Logout), "leeway included");
        assert_eq!(known.judge(&facts(40, 1, 1)), Verdict::Good);
        assert!(!known.forget(secs(1 << 40), 1000));
        assert!(known.is_empty() && known.calendar.is_empty());
    }

    #[test]
    fn an_entry_that_was_given_a_later_date_is_kept_until_then_and_filed_once() {
        let mut known = ledger(&[session_ended(1, 100), session_ended(1, 1000), session_ended(1, 500)]);
        assert!(!known.forget(secs(700), 1000));
        assert_eq!(known.judge(&facts(1, 1, 1)), Verdict::Ended(EndReason::Logout));
        assert_eq!(known.calendar.values().map(Vec::len).sum::<usize>(), 1);
        known.forget(secs(1100), 1000);
        assert!(known.is_empty());
    }

    #[test]
    fn ids_of_another_form_are_nobodys_here() {
        let claims = |sub: &str| AccessClaims {
            iss: "i".to_owned(),
            sub: sub.to_owned(),
            aud: vec!["a".to_owned()],
            client_id: None,
            session: Some(SessionClaims { sid: "s".to_owned(), cv: 1 }),
            pv: None,
            iat: None,
            exp: 1,
            nbf: None,
            jti: None,
            scope: None,
            auth_time: None,
            amr: Vec::new(),
            acr: None,
            cnf: None,
            rest: serde_json::Map::new(),
        };
        let known = ledger(&[user_ended(0, 9, EndReason::Disabled, 100)]);
        let of = |sub: &str| known.judge(&Facts::of(&claims(sub), None));
        assert_eq!(of("auth0|1234"), Verdict::Good);
        assert_eq!(of(&UserId::from_bytes([0; 16]).to_string()), Verdict::Ended(EndReason::Disabled));
    }

    /// What all events together say, without ever forgetting one and without any index.
    fn naive(events: &[Event], facts: &Facts) -> Verdict {
        let any = |test: &dyn Fn(&Event) -> bool| events.iter().any(test);
        if any(
            &|e| matches!(e, Event::KeyWithdrawn { kid, .. } if Some(kid.as_str()) == facts.kid.as_ref().map(Kid::as_str)),
        ) {
            return Verdict::KeyWithdrawn;
        }
        if any(&|e| matches!(e, Event::TokenEnded { jti, .. } if Some(*jti) == facts.jti)) {
            return Verdict::TokenEnded;
        }
        if any(&|e| matches!(e, Event::SessionEnded { sid, .. } if Some(*sid) == facts.sid)) {
            return Verdict::Ended(EndReason::Logout);
        }
        let have = facts.cv.unwrap();
        let dead = events.iter().filter_map(|e| match e {
            Event::UserEnded { sub, cv, reason, .. } if Some(*sub) == facts.sub && have < *cv => Some((*cv, *reason)),
            _ => None,
        });
        if let Some((_, reason)) = dead.max() {
            return Verdict::Ended(reason);
        }
        let pv = facts.pv.unwrap();
        let changed = events.iter().filter_map(|e| match e {
            Event::ClientChanged { client_id, pv: need, .. } if Some(client_id) == facts.client_id.as_ref() => {
                Some(*need)
            }
            _ => None,
        });
        if let Some(need) = changed.max().filter(|need| pv < *need) {
            return Verdict::ClientChanged { have: pv, need };
        }
        let least = events.iter().filter_map(|e| match e {
            Event::ClaimsChanged { sub, cv, .. } | Event::UserEnded { sub, cv, .. } if Some(*sub) == facts.sub => {
                Some(*cv)
            }
            _ => None,
        });
        match least.max() {
            Some(need) if have < need => Verdict::Stale { have, need },
            _ => Verdict::Good,
        }
    }

    /// Whether the event can concern the token at all.
    fn names(event: &Event, facts: &Facts) -> bool {
        let of = |n: u8| Facts { kid: kid(n).parse().ok(), ..self::facts(n, 0, 0) };
        (0..4).map(of).any(|one| match event {
            Event::ClaimsChanged { sub, .. } | Event::UserEnded { sub, .. } => {
                one.sub == Some(*sub) && facts.sub == one.sub
            }
            Event::SessionEnded { sid, .. } => one.sid == Some(*sid) && facts.sid == one.sid,
            Event::ClientChanged { client_id, .. } => {
                one.client_id.as_ref() == Some(client_id) && facts.client_id == one.client_id
            }
            Event::TokenEnded { jti, .. } => one.jti == Some(*jti) && facts.jti == one.jti,
            Event::KeyWithdrawn { kid: withdrawn, .. } => *withdrawn == kid(0) && facts.kid == of(0).kid,
        })
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let reason = prop_oneof![Just(EndReason::Disabled), Just(EndReason::Everywhere)];
        (0..6_u8, 0..4_u8, 0..6_u64, reason, 0..1000_i64).prop_map(|(kind, n, version, reason, until)| match kind {
            0 => claims_changed(n, version, until),
            1 => user_ended(n, version, reason, until),
            2 => session_ended(n, until),
            3 => Event::ClientChanged { client_id: client(n), pv: version, forget_after: secs(until) },
            4 => Event::TokenEnded { jti: Jti::from_bytes([n; 16]), forget_after: secs(until) },
            _ => Event::KeyWithdrawn { kid: kid(0), forget_after: secs(until) },
        })
    }

    fn any_facts() -> impl Strategy<Value = Facts> {
        (0..4_u8, 0..4_u8, 0..4_u8, 0..4_u8, 0..6_u64, 0..6_u64).prop_map(|(user, client, jti, kid, cv, pv)| Facts {
            client_id: facts(client, 0, 0).client_id,
            jti: facts(jti + 2, 0, 0).jti,
            kid: facts(kid, 0, 0).kid,
            sid: facts(user + 1, 0, 0).sid,
            ..facts(user, cv, pv)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_order_and_any_repetition_says_what_all_events_together_say(
            events in proptest::collection::vec(any_event(), 0..12),
            again in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
            token in any_facts(),
        ) {
            let mut played = events.clone();
            if !events.is_empty() {
                for index in again {
                    let event = index.get(&events).clone();
                    played.insert(index.index(played.len()), event);
                }
            }
            played.reverse();
            prop_assert_eq!(ledger(&played).judge(&token), naive(&events, &token));
        }

        #[test]
        fn forgetting_never_changes_what_is_said_of_a_token_that_is_alive(
            events in proptest::collection::vec((any_event(), 0..1200_i64, 1..6_usize), 0..12),
            token in any_facts(),
        ) {
            // given a token that lives as long as the first of the events that concern it allows
            let all: Vec<Event> = events.iter().map(|(event, ..)| event.clone()).collect();
            let concerned = all.iter().filter(|event| names(event, &token));
            let exp = concerned.map(Event::forget_after).min().unwrap_or(Timestamp::MAX);
            // when events come and time goes by
            let mut known = Ledger::new();
            let mut now = 0;
            for (heard, (event, at, slice)) in events.iter().enumerate() {
                known.apply(event, LEEWAY).unwrap();
                now = now.max(*at);
                known.forget(secs(now), *slice);
                // then while it lives nothing is missing
                if exp.plus(LEEWAY) > secs(now) {
                    prop_assert_eq!(known.judge(&token), naive(&all[..=heard], &token));
                }
            }
            while known.forget(secs(10_000), 3) {}
            prop_assert!(known.is_empty() && known.calendar.is_empty());
        }
    }
}
