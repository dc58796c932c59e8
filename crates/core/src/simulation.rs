//! The life of one session, played through: given when a person is at work, each renewal is decided by the very rules
//! that the server uses ([`crate::rolling`], [`crate::refresh`], [`crate::cookie`], [`crate::token`]). For people who
//! choose a policy. Never has a rule of its own about what lives and what dies, and knows no network that loses answers.

use std::time::Duration;

use crate::client::Client;
use crate::cookie;
use crate::id::{Audience, SessionId, UserId};
use crate::policy::{Policy, Timing};
use crate::refresh::{self, Chain, KeyProof, MacKeyId, Presentation, RefreshToken, Setting};
use crate::refusal::Refusal;
use crate::rolling::{self, Held, Renewal};
use crate::secret::{MacKey, Salt, SecretHash};
use crate::session::{Continuity, Device, Opening, Session};
use crate::time::Timestamp;
use crate::token::{Bounds, Issuing, Target, TokenClaims};
use crate::user::{Attributes, User};

/// At most so many moments are played through.
pub const MAX_MOMENTS: usize = 1_000_000;

/// When a person is at work: `active`, then a `pause`, and so on. The log-in is at zero.
#[derive(Clone, Debug)]
pub struct Usage {
    /// How long a stretch of work lasts.
    pub active: Duration,
    /// How long nobody is there between two of them; zero: without a pause.
    pub pause: Duration,
    /// In a stretch, one request so often.
    pub every: Duration,
    /// Whether an open page renews by timer while nobody is there (`interactive=false`); at work the requests do.
    pub timer: bool,
    /// When the record changes, so that tokens are stale.
    pub changes: Vec<Duration>,
    /// How long is looked at.
    pub until: Duration,
}

/// A use that cannot be played through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUsage {
    /// A length that must not be zero is.
    #[error("`{0}` must be longer than nothing")]
    Zero(&'static str),
    /// Too much to play through.
    #[error("that is more than {MAX_MOMENTS} requests to play through: lower `until` or raise `every`")]
    TooLong,
}

/// Who asked for a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A request of the person's.
    Request,
    /// A timer of the page's.
    Timer,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The person logged in.
    LoggedIn,
    /// A new access token. Under the refresh policy with the generation of the refresh token that came with it; none
    /// came where the one presented stays good.
    Renewed {
        /// Who asked.
        by: By,
        /// The generation of the new refresh token.
        generation: Option<u64>,
        /// Whether it was asked for because the record had changed.
        stale: bool,
    },
    /// The record changed: the access token is stale.
    RecordChanged,
}

/// Something that happened, and how things stood then. Every length is counted from the log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// What.
    pub what: What,
    /// The access token is good until then.
    pub access_until: Duration,
    /// Unless it is used before, the session ends then.
    pub idle_until: Duration,
}

/// Which limit ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wall {
    /// Nobody used it for so long.
    Idle,
    /// It was as old as it may become.
    Absolute,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Duration,
    /// At which limit.
    pub wall: Wall,
    /// When somebody noticed: the first request that is refused, which has to log in.
    pub noticed: Option<Duration>,
    /// What that request is told.
    pub refusal: Refusal,
}

/// A session's life.
#[derive(Clone, Debug)]
pub struct Life {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Its end, if it came within the time looked at.
    pub end: Option<End>,
    /// The absolute limit, which never moves.
    pub absolute: Duration,
    /// The stretches of work, as far as they were looked at.
    pub stretches: Vec<(Duration, Duration)>,
    /// How many requests were made, the log-in included, refused ones not.
    pub requests: usize,
}

/// Plays a session at `client` through.
///
/// # Errors
/// Where the use cannot be played through.
pub fn simulate(client: &Client, timing: &Timing, usage: &Usage) -> Result<Life, BadUsage> {
    for (name, length) in [("active", usage.active), ("every", usage.every), ("until", usage.until)] {
        if length.is_zero() {
            return Err(BadUsage::Zero(name));
        }
    }
    let moments = usage.until.as_micros() / usage.every.as_micros().max(1);
    if usize::try_from(moments).unwrap_or(usize::MAX) > MAX_MOMENTS {
        return Err(BadUsage::TooLong);
    }
    let mut holder = Holder::logged_in(client, timing);
    let mut clock = Moments::of(usage);
    let end = loop {
        let Some((at, what)) = clock.next(usage, &holder) else { break holder.ended_unnoticed(usage.until) };
        match what {
            Moment::Change => holder.record_changes(at),
            Moment::Ask(by) => {
                if let Some(end) = holder.asks(at, by) {
                    break Some(end);
                }
            }
        }
    };
    let shown = end.as_ref().map_or(usage.until, |end| end.noticed.unwrap_or(usage.until));
    let absolute = holder.since_log_in(holder.session.absolute_at);
    Ok(Life { events: holder.events, end, absolute, stretches: usage.stretches(shown), requests: clock.requests })
}

impl Usage {
    /// The first request after `at`.
    fn following(&self, at: Duration) -> Duration {
        let (at, active) = (at.as_micros(), self.active.as_micros());
        let (cycle, every) = (active + self.pause.as_micros(), self.every.as_micros().max(1));
        let start = at / cycle * cycle;
        let within = ((at - start) / every + 1) * every;
        let next = if within <= active { start + within } else { start + cycle };
        Duration::from_micros(u64::try_from(next).unwrap_or(u64::MAX))
    }

    fn at_work(&self, at: Duration) -> bool {
        at.as_micros() % (self.active + self.pause).as_micros() <= self.active.as_micros()
    }

    fn stretches(&self, until: Duration) -> Vec<(Duration, Duration)> {
        if self.pause.is_zero() {
            return vec![(Duration::ZERO, until)];
        }
        let starts = std::iter::successors(Some(Duration::ZERO), |start| Some(*start + self.active + self.pause));
        starts.take_while(|start| *start < until).map(|start| (start, (start + self.active).min(until))).collect()
    }
}

enum Moment {
    Change,
    Ask(By),
}

/// What comes next: a change of the record, a request, a timer; at one moment in this order.
struct Moments {
    changes: Vec<Duration>,
    request: Duration,
    timer_tried: Duration,
    requests: usize,
}

impl Moments {
    fn of(usage: &Usage) -> Self {
        let mut changes = usage.changes.clone();
        changes.sort_unstable_by(|a, b| b.cmp(a)); // the next one is the last
        let request = usage.following(Duration::ZERO);
        Self { changes, request, timer_tried: Duration::ZERO, requests: 1 }
    }

    fn next(&mut self, usage: &Usage, holder: &Holder<'_>) -> Option<(Duration, Moment)> {
        let awaited = |due: &Duration| usage.timer && *due > self.timer_tried && !usage.at_work(*due);
        let due = holder.timer_due().filter(awaited);
        let (change, timer) = (self.changes.last().copied().unwrap_or(Duration::MAX), due.unwrap_or(Duration::MAX));
        let at = change.min(self.request).min(timer);
        if at > usage.until {
            return None;
        }
        if at == change {
            self.changes.pop();
            return Some((at, Moment::Change));
        }
        if at == self.request {
            self.request = usage.following(at);
            self.requests += 1;
            return Some((at, Moment::Ask(By::Request)));
        }
        self.timer_tried = at;
        Some((at, Moment::Ask(By::Timer)))
    }
}

/// The keys and the salt of the play: nothing outside it is signed with them.
const KID: MacKeyId = MacKeyId(1);
const SALT: Salt = Salt::from_bytes([0; 16]);
const COOKIE: &[u8] = b"simulated";

/// What a holder got.
enum Outcome {
    /// Nothing: what it has is good.
    Kept,
    /// A new access token, and perhaps a new refresh token.
    Minted { generation: Option<u64> },
}

/// Who holds the session: what it was given, and what the server's row says.
struct Holder<'a> {
    client: &'a Client,
    timing: &'a Timing,
    key: MacKey,
    user: User,
    session: Session,
    held: Held,
    refresh_token: Option<RefreshToken>,
    events: Vec<Event>,
}

impl<'a> Holder<'a> {
    fn logged_in(client: &'a Client, timing: &'a Timing) -> Self {
        let now = Timestamp::default();
        let user = User::new(UserId::from_bytes([0; 16]), Attributes::new(), now);
        let continuity = match client.policy {
            Policy::Rolling { .. } => Continuity::Rolling,
            Policy::Fixed { .. } => Continuity::Fixed,
            Policy::Refresh { .. } => Continuity::Refresh(Chain::new(KID, SALT, now)),
            Policy::Cookie { .. } => Continuity::Cookie(SecretHash::of(COOKIE)),
        };
        let opening = Opening {
            sid: SessionId::from_bytes([0; 16]),
            continuity,
            scope: client.scopes.clone(),
            amr: Vec::new(),
            device: Device::default(),
        };
        let session = Session::open(&user, &client.id, &client.policy, opening, now);
        let held = Held { iat: 0, exp: 0, cv: user.cv, pv: client.pv };
        let key = MacKey::from_bytes(&[0; 32]);
        let mut holder = Self { client, timing, key, user, session, held, refresh_token: None, events: Vec::new() };
        holder.take_head();
        holder.minted(now);
        holder.note(Duration::ZERO, What::LoggedIn);
        holder
    }

    fn since_log_in(&self, at: Timestamp) -> Duration {
        at.since(self.session.created_at)
    }

    fn note(&mut self, at: Duration, what: What) {
        let access_until = self.since_log_in(Timestamp::from_secs(self.held.exp));
        let idle_until = self.since_log_in(self.session.idle_at);
        self.events.push(Event { at, what, access_until, idle_until });
    }

    /// The refresh token of the row's head, where there is one.
    fn take_head(&mut self) {
        if let Continuity::Refresh(chain) = &self.session.continuity {
            self.refresh_token = Some(refresh::derive(KID, &self.key, self.session.sid, &SALT, chain.head));
        }
    }

    fn minted(&mut self, now: Timestamp) {
        let quantum = self.timing.quantum;
        let by = Issuing { issuer: "", quantum, now };
        let audience: Option<&Audience> = self.client.default_api();
        let exp = audience.map_or(0, |audience| {
            let target = Target::Issuer(audience);
            TokenClaims::of_session(by, &self.user, self.client, &self.session, target, Bounds::default()).exp()
        });
        self.held = Held { iat: now.quantised(quantum).secs(), exp, cv: self.user.cv, pv: self.client.pv };
    }

    fn record_changes(&mut self, at: Duration) {
        self.user = self.user.with_new_cv();
        self.note(at, What::RecordChanged);
    }

    fn is_stale(&self) -> bool {
        self.held.cv < self.user.cv
    }

    /// When the held access token is due to be renewed.
    fn due(&self) -> Timestamp {
        rolling::due_at(self.session.sid.as_bytes(), Timestamp::from_secs(self.held.iat), self.client.policy.life())
    }

    /// When a page's timer renews. Nothing renews a fixed session, and a page with a cookie has no token to renew.
    fn timer_due(&self) -> Option<Duration> {
        match self.client.policy {
            Policy::Rolling { .. } | Policy::Refresh { .. } => Some(self.since_log_in(self.due())),
            Policy::Fixed { .. } | Policy::Cookie { .. } => None,
        }
    }

    /// A request, or a timer: whatever the policy's rule says to it. The end, if the session is over.
    fn asks(&mut self, at: Duration, by: By) -> Option<End> {
        let now = self.session.created_at.plus(at);
        let stale = self.is_stale();
        let expired = now >= Timestamp::from_secs(self.held.exp);
        let renewed = match self.client.policy {
            Policy::Rolling { .. } | Policy::Fixed { .. } => self.renews_by_token(now),
            Policy::Refresh { .. } if stale || expired || now >= self.due() => self.refreshes(now, by),
            Policy::Cookie { .. } if stale || expired => self.shows_cookie(now, by),
            Policy::Refresh { .. } | Policy::Cookie { .. } => Ok(Outcome::Kept),
        };
        match renewed {
            Ok(Outcome::Kept) => None,
            Ok(Outcome::Minted { generation }) => {
                self.minted(now);
                self.note(at, What::Renewed { by, generation, stale });
                None
            }
            Err(refusal) => Some(self.end(refusal, Some(at))),
        }
    }

    fn renews_by_token(&mut self, now: Timestamp) -> Result<Outcome, Refusal> {
        let quantum = self.timing.quantum;
        match rolling::renewal(&self.held, &self.session, &self.user, self.client, quantum, now)? {
            Renewal::Keep => Ok(Outcome::Kept),
            Renewal::Mint(row) => {
                if let Some(row) = row {
                    self.session = *row;
                }
                Ok(Outcome::Minted { generation: None })
            }
        }
    }

    fn refreshes(&mut self, now: Timestamp, by: By) -> Result<Outcome, Refusal> {
        let token = self.refresh_token.as_ref().and_then(|token| token.prove(&self.key, &SALT));
        let interactive = by == By::Request;
        let shown = Presentation { token, client: &self.client.id, proof: KeyProof::None, interactive };
        let set = Setting {
            windows: self.client.policy.windows(self.timing),
            idle: self.client.policy.idle(),
            current_kid: KID,
            always_return_refresh: false,
            in_doubt: false,
        };
        let decision = refresh::present(&self.session, &self.user, &shown, &set, now);
        if let Some(row) = decision.session {
            self.session = row;
        }
        let Continuity::Refresh(chain) = &self.session.continuity else { return Err(Refusal::WrongMac) };
        let generation = match decision.answer? {
            refresh::Answer::AccessOnly => None,
            refresh::Answer::WithHead => Some(chain.head.generation),
        };
        if generation.is_some() {
            self.take_head();
        }
        Ok(Outcome::Minted { generation })
    }

    fn shows_cookie(&mut self, now: Timestamp, by: By) -> Result<Outcome, Refusal> {
        let (shown, interactive) = (SecretHash::of(COOKIE), by == By::Request);
        match cookie::present(&self.session, &self.user, self.client, &shown, interactive, now)? {
            cookie::Use::Live => {}
            cookie::Use::Touched(row) => self.session = *row,
        }
        Ok(Outcome::Minted { generation: None })
    }

    /// Over when nobody asked any more.
    fn ended_unnoticed(&self, until: Duration) -> Option<End> {
        let over = self.session.over(&self.user, self.session.created_at.plus(until))?;
        Some(self.end(over, None))
    }

    fn end(&self, refusal: Refusal, noticed: Option<Duration>) -> End {
        let Session { idle_at, absolute_at, .. } = self.session;
        let wall = if idle_at < absolute_at { Wall::Idle } else { Wall::Absolute };
        End { at: self.since_log_in(idle_at.min(absolute_at)), wall, noticed, refusal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn usage() -> Usage {
        Usage { active: 2 * HOUR, pause: 30 * MINUTE, every: MINUTE, timer: false, changes: vec![], until: 24 * HOUR }
    }

    fn life(policy: Policy, usage: &Usage) -> Life {
        simulate(&fixture::client(policy), &Timing::default(), usage).unwrap()
    }

    fn renewals(life: &Life) -> Vec<Event> {
        life.events.iter().filter(|event| matches!(event.what, What::Renewed { .. })).copied().collect()
    }

    #[test]
    fn a_rolling_session_dies_in_a_pause_longer_than_its_token_and_lives_through_a_shorter_one() {
        let dead = life(Policy::rolling(), &usage());
        let end = dead.end.clone().unwrap();
        assert_eq!((end.wall, end.noticed, end.refusal), (Wall::Idle, Some(150 * MINUTE), Refusal::SessionExpired));
        assert_eq!(end.at, renewals(&dead).last().unwrap().access_until, "with its newest token");
        assert!(end.at > 2 * HOUR && end.at <= 2 * HOUR + 20 * MINUTE, "{:?}", end.at);

        let lives = life(Policy::rolling(), &Usage { pause: 5 * MINUTE, ..usage() });
        let end = lives.end.clone().unwrap();
        assert_eq!((end.at, end.wall), (12 * HOUR, Wall::Absolute), "the absolute limit never moves");
        assert!(renewals(&lives).iter().all(|renewal| renewal.access_until <= lives.absolute));
    }

    #[test]
    fn each_rolling_renewal_comes_between_half_and_seven_tenths_of_the_life_before() {
        let lives = life(Policy::rolling(), &Usage { pause: Duration::ZERO, every: Duration::from_secs(5), ..usage() });
        for pair in lives.events.windows(2) {
            let share = (pair[1].at - pair[0].at).as_secs_f64() / 1200.0;
            assert!((0.5..0.71).contains(&share) || pair[1].access_until == lives.absolute, "{share}");
        }
    }

    #[test]
    fn nothing_extends_a_fixed_session_but_a_changed_record_reaches_its_token() {
        let use_of_it = Usage { until: 8 * DAY, changes: vec![HOUR], ..usage() };
        let lives = life(Policy::fixed(), &use_of_it);
        assert_eq!((lives.end.clone().unwrap().at, lives.end.unwrap().wall), (7 * DAY, Wall::Absolute));
        let renewed: Vec<_> = lives.events.iter().filter(|event| event.what != What::LoggedIn).collect();
        assert_eq!((renewed[0].what, renewed[0].at), (What::RecordChanged, HOUR));
        let stale = What::Renewed { by: By::Request, generation: None, stale: true };
        assert_eq!((renewed[1].what, renewed[1].at, renewed[1].access_until), (stale, HOUR, 7 * DAY));
        assert_eq!(renewed.len(), 2);
    }

    #[test]
    fn an_honest_holder_of_refresh_tokens_gets_a_new_generation_each_time_and_is_never_a_thief() {
        let lives = life(Policy::refresh(), &Usage { until: 3 * DAY, ..usage() });
        assert_eq!(lives.end, None);
        for (index, renewal) in renewals(&lives).iter().enumerate() {
            let What::Renewed { generation, .. } = renewal.what else { unreachable!("filtered") };
            assert_eq!(generation, Some(index as u64 + 1));
            assert_eq!(renewal.idle_until, renewal.at + 14 * DAY);
        }
    }

    #[test]
    fn a_timer_renews_tokens_and_keeps_no_session_with_an_idle_limit_alive() {
        let policy = Policy::Refresh {
            life: 5 * MINUTE,
            client_timeout: crate::policy::CLIENT_TIMEOUT,
            idle: HOUR,
            absolute: DAY,
        };
        let away = Usage { active: 10 * MINUTE, pause: 5 * HOUR, timer: true, ..usage() };
        let lives = life(policy, &away);
        let end = lives.end.clone().unwrap();
        let last_used = renewals(&lives)
            .iter()
            .rfind(|renewal| matches!(renewal.what, What::Renewed { by: By::Request, .. }))
            .copied()
            .unwrap();
        assert_eq!((end.wall, end.at), (Wall::Idle, last_used.at + HOUR));
        let by_timer = |event: &&Event| matches!(event.what, What::Renewed { by: By::Timer, .. });
        assert!(renewals(&lives).iter().filter(by_timer).count() >= 10);
        assert!(end.noticed.unwrap() < 2 * HOUR, "the timer notices");
    }

    #[test]
    fn a_cookie_session_writes_its_idle_limit_only_when_half_of_it_has_gone() {
        let lives = life(Policy::cookie(), &Usage { active: HOUR, pause: 23 * HOUR, until: 30 * DAY, ..usage() });
        let mut limits: Vec<Duration> = lives.events.iter().map(|event| event.idle_until).collect();
        limits.dedup();
        assert!(lives.end.is_none() && (4..=5).contains(&limits.len()), "{limits:?}");
        let gone = life(Policy::cookie(), &Usage { active: HOUR, pause: 15 * DAY, until: 30 * DAY, ..usage() });
        assert_eq!(gone.end.unwrap().wall, Wall::Idle);
    }

    #[test]
    fn an_end_that_nobody_notices_is_an_end() {
        let lives = life(Policy::rolling(), &Usage { pause: 100 * DAY, ..usage() });
        let end = lives.end.unwrap();
        assert_eq!((end.wall, end.noticed), (Wall::Idle, None));
    }

    #[test]
    fn what_cannot_be_played_through_is_refused() {
        let refused =
            |usage: Usage| simulate(&fixture::client(Policy::fixed()), &Timing::default(), &usage).unwrap_err();
        assert_eq!(refused(Usage { every: Duration::ZERO, ..usage() }), BadUsage::Zero("every"));
        assert_eq!(refused(Usage { active: Duration::ZERO, ..usage() }), BadUsage::Zero("active"));
        let seconds = Duration::from_secs(1);
        assert_eq!(refused(Usage { every: seconds, until: 400 * DAY, ..usage() }), BadUsage::TooLong);
    }
}
