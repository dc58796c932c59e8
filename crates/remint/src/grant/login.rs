//! Log-in with a password: `POST /session`. Guesses are counted before they are compared, an unknown user costs the
//! same work as a known one, and a log-in in flight cannot outlive a disable: the commit expects user, password and
//! client as they were read. Where the account has a second factor no session is opened: that is [`super::factor`]'s.
//! Never says which of identifier and password was wrong.

use std::net::IpAddr;
use std::time::Duration;

use remint_core::audit::{Act, Actor, Doer, Entry, Target};
use remint_core::change::{Changes, PasswordRow, Row, RowKey, Take};
use remint_core::client::Client;
use remint_core::code::HalfLogin;
use remint_core::cookie::SessionCookie;
use remint_core::event::{Cause, Initiator};
use remint_core::factor;
use remint_core::id::{ClientId, SessionId, UserId};
use remint_core::notice;
use remint_core::policy::Policy;
use remint_core::refresh::Chain;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::secret::{Password, PasswordHash, Salt};
use remint_core::session::{Continuity, Device, Opening, Session};
use remint_core::time::Timestamp;
use remint_core::user::User;

use crate::account::identifier::CanonicalIdentifier;
use crate::account::password::Verdict;
use crate::account::throttle;
use crate::app::App;
use crate::bearer::Bearer;
use crate::failure::Failure;
use crate::grant::gate::{self, Kind};
use crate::grant::issue::{self, Issued, Proof, Wanted};
use crate::grant::{MAX_CONFLICTS, refresh};
use crate::store::{Account, AccountOf, ClientById, Commit, SessionById, Store};

/// One attempt.
#[derive(Debug)]
pub struct Attempt {
    /// What the person typed to say who they are.
    pub identifier: String,
    /// The password; `None` where it was empty or boundless.
    pub password: Option<Password>,
    /// What the client asked for.
    pub wanted: Wanted,
    /// Where the request came from.
    pub address: IpAddr,
    /// The device.
    pub device: Device,
    /// The live account token or session cookie of the same person, where they prove again who they are.
    pub again: Option<Bearer>,
}

/// Tokens for a person who proved who they are.
pub async fn login(app: &App, client: &Client, attempt: &Attempt) -> Result<Issued, Failure> {
    if !client.first_party {
        return Err(Refusal::NotFirstParty.into());
    }
    let typed: Option<CanonicalIdentifier> = attempt.identifier.parse().ok();
    let _place = app.logging_in.enter(typed.as_ref().map_or("", CanonicalIdentifier::as_str)).await;
    let (counted, known) = count(app, client, typed.as_ref(), attempt).await?;
    let (mut before, mut allowed) = (None, None);
    for _ in 0..MAX_CONFLICTS {
        let unanswered = Unanswered { app, counter: Some(counted.counter()) };
        let authenticated = authenticate(app, typed.as_ref(), attempt, before.as_ref()).await;
        unanswered.answered();
        let proved = match authenticated {
            Ok(proved) => proved,
            Err(failure) => {
                tell_of_failure(app, client, attempt, &counted, known, &failure).await;
                return Err(uncounted(app, counted, failure).await);
            }
        };
        let client = app.store.read(ClientById(client.id.clone())).await?.ok_or(Refusal::BadClient)?;
        let (now, amr) = (app.clock.now(), factor::amr_of_password());
        let sid = attempt.again.as_ref().map(|bearer| bearer.sid);
        let (user, session, changes, cookie) =
            match reauthenticated(app, &proved.user, &client, sid, attempt.again.as_ref()).await? {
                Some(session) => again(app, app.horizon().await?, &proved.user, &client, session, amr, now),
                None => open(app, &proved.user, &client, (&attempt.wanted, &attempt.device), amr, now),
            };
        gate::stands(&user, &client, &session, now)?;
        grantable(app, &client, &session, &attempt.wanted)?;
        if factor::demanded(&proved.user).is_some() {
            let half = proved.half(&client, &session, attempt);
            let expecting = proved.expected(Changes::none(), &client);
            match super::factor::begin(app, &proved.user, half, expecting, attempt.address, &mut allowed).await {
                // The account stays counted until the code was right; the address has shown that it is no guesser's.
                Ok(Some(asked)) => {
                    app.throttle.succeeded(counted);
                    return Err(Failure::SecondFactor(asked));
                }
                Ok(None) => before = Some(proved),
                Err(failure) => return Err(uncounted(app, counted, failure).await),
            }
            continue;
        }
        gate::may_issue(&user, &client, &session, Kind::Login, now)?;
        let changes = proved.expected(changes, &client).reset(counted.counter());
        let changes = changes.audit(entry(attempt.address, &session, now));
        match app.store.commit(changes).await {
            Ok(Commit::Done { .. }) => {
                app.throttle.succeeded(counted);
                return tokens(app, &user, &client, &session, (&attempt.wanted, cookie), now).await;
            }
            Err(error) => return Err(uncounted(app, counted, error.into()).await),
            Ok(Commit::Conflict { .. }) => before = Some(proved), // disabled, changed or new password in between
        }
    }
    Err(Failure::Contended)
}

/// Counts the attempt, durably, before anything is compared.
async fn count(
    app: &App,
    client: &Client,
    typed: Option<&CanonicalIdentifier>,
    attempt: &Attempt,
) -> Result<(throttle::Attempt, Option<UserId>), Failure> {
    let found = account_of(app, typed).await?;
    let account = match &found {
        Some(account) => throttle::Account::Known(account.user.id),
        None => throttle::Account::Unknown(typed.map_or(attempt.identifier.as_str(), CanonicalIdentifier::as_str)),
    };
    let known = found.as_ref().map(|account| account.user.id);
    let counted = app.throttle.attempt(&app.store, account, attempt.address, app.clock.now()).await;
    if let Err(throttle::Throttled::Account(_)) = &counted {
        tell_locked(app, &client.id, attempt.address, known).await;
    }
    Ok((counted?, known))
}

/// What the audit log keeps of a log-in.
pub(super) fn entry(address: IpAddr, session: &Session, now: Timestamp) -> Entry {
    let act = if session.rev == Rev::NEW { Act::LogIn } else { Act::Reauthenticated };
    let doer = Doer::at(Actor::User(session.user), address);
    doer.did(act, Target::User(session.user), now).session(&session.client, session.sid).names(&session.amr)
}

/// The most failed log-ins that are told of in an hour, of accounts that there are, by password and by code, and of those
/// that there are not: a flood of one kind must not hide another.
const FAILURES_TOLD: u32 = 1000;
const FAILURES_WINDOW: Duration = Duration::from_secs(3600);

/// Tells the audit log of a wrong password. What was typed is told to nobody: it may be the password. Whether the account
/// is there or not takes the same commit.
async fn tell_of_failure(
    app: &App,
    client: &Client,
    attempt: &Attempt,
    counted: &throttle::Attempt,
    known: Option<UserId>,
    failure: &Failure,
) {
    if !matches!(failure, Failure::Refused(Refusal::BadCredentials)) {
        return;
    }
    let target = known.map_or(Target::Unknown, Target::User);
    tell_failed(app, &client.id, attempt.address, target, (factor::PASSWORD, &counted.counter())).await;
}

/// Tells the audit log that an account is locked for a while: too many have failed at it. Whether it is there or not
/// takes the same commit; those that are not there are told of together.
pub(super) async fn tell_locked(app: &App, client: &ClientId, address: IpAddr, known: Option<UserId>) {
    let (target, counter) = match known {
        Some(user) => (Target::User(user), throttle::counter_of(user)),
        None => (Target::Unknown, "unknown".to_owned()),
    };
    tell_failed(app, client, address, target, ("locked", &counter)).await;
}

/// Tells the audit log that a log-in failed at one method (RFC 8176): the first in a window of those that are counted
/// alike.
pub(super) async fn tell_failed(
    app: &App,
    client: &ClientId,
    address: IpAddr,
    target: Target,
    (method, counter): (&str, &str),
) {
    let now = app.clock.now();
    let all = match target {
        Target::Unknown => "audit:login.failed:unknown".to_owned(),
        _ => format!("audit:login.failed:known:{method}"),
    };
    let take = |key: String, limit, window| Take { key, limit, window, at: now };
    let entry = Doer::at(Actor::Nobody, address)
        .did(Act::LogInFailed, target, now)
        .client(client)
        .names([method])
        .within(take(format!("audit:{method}:{counter}"), 1, app.settings.limits.login_window))
        .within(take(all, FAILURES_TOLD, FAILURES_WINDOW));
    if let Err(error) = app.store.commit(Changes::none().audit(entry)).await {
        tracing::warn!(%error, "a failed log-in is not in the audit log");
    }
}

/// Where nothing was compared, or no code could be sent, the attempt was none: whoever is turned away by overload and comes
/// back as told is not locked out for it.
async fn uncounted(app: &App, counted: throttle::Attempt, failure: Failure) -> Failure {
    if !matches!(failure, Failure::Refused(_)) {
        given_back(&app.store, counted.counter()).await;
        app.throttle.succeeded(counted);
    }
    failure
}

/// A password that is being looked at. Dropped before that came to anything, because the deadline is past or the caller is
/// gone, it gives the attempt back to the account: nobody has learned anything, and a slow machine must lock out nobody.
/// The address stays counted: whoever hangs up again and again has had the work of it done.
struct Unanswered<'a> {
    app: &'a App,
    counter: Option<String>,
}

impl Unanswered<'_> {
    fn answered(mut self) {
        self.counter = None;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let Some(counter) = self.counter.take() else { return };
        let store = self.app.store.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { given_back(&store, counter).await });
        }
    }
}

async fn given_back(store: &Store, counter: String) {
    if let Err(error) = store.commit(Changes::none().give_back(counter)).await {
        tracing::warn!(%error, "an attempt that was not made stays counted");
    }
}

async fn account_of(app: &App, typed: Option<&CanonicalIdentifier>) -> Result<Option<Account>, Failure> {
    match typed {
        Some(typed) => Ok(app.store.read(AccountOf(typed.as_str().to_owned())).await?),
        None => Ok(None),
    }
}

/// A person whose password was right, and the row that it was compared with.
struct Proved {
    user: User,
    password: PasswordRow,
    /// The same password, hashed as it would be today; where the row's hash is of other parameters.
    rehashed: Option<PasswordHash>,
}

impl Proved {
    /// What is kept of this log-in until its second factor is shown.
    fn half(&self, client: &Client, session: &Session, attempt: &Attempt) -> HalfLogin {
        let password = if self.rehashed.is_some() { self.password.rev.next() } else { self.password.rev };
        HalfLogin {
            client: client.id.clone(),
            epoch: self.user.epoch,
            password,
            scope: attempt.wanted.scope.clone(),
            resource: attempt.wanted.resource.clone(),
            session: (session.rev != Rev::NEW).then_some(session.sid),
        }
    }

    /// Nothing of it counts unless user, password and client are still as they were read.
    fn expected(&self, changes: Changes, client: &Client) -> Changes {
        match &self.rehashed {
            None => expecting(changes, &self.user, &self.password, client),
            Some(hash) => {
                let row = PasswordRow { hash: hash.clone(), ..self.password.clone() };
                expecting_client(expecting_user(changes, &self.user), client).write(Row::Password(row))
            }
        }
    }
}

/// The user whose password this is; an unknown one costs the same work. What was proved before a conflict is proved
/// still, if the password is that same row.
async fn authenticate(
    app: &App,
    typed: Option<&CanonicalIdentifier>,
    attempt: &Attempt,
    before: Option<&Proved>,
) -> Result<Proved, Failure> {
    let account = account_of(app, typed).await?;
    if let (Some(Account { user, password: Some(row) }), Some(before)) = (&account, before)
        && *row == before.password
    {
        let (user, password) = (user.clone(), row.clone());
        return Ok(Proved { user, password, rehashed: before.rehashed.clone() });
    }
    let stored = account.as_ref().and_then(|account| account.password.as_ref()).map(|row| row.hash.clone());
    let Some(password) = &attempt.password else { return Err(Refusal::BadCredentials.into()) };
    let verdict = app.passwords.verify(password.clone(), stored).await?;
    match (verdict, account) {
        (Verdict::Right { outdated }, Some(Account { user, password: Some(row) })) => {
            // Where the pool is full the old hash stays for another time: the person is not turned away for it.
            let rehashed = if outdated { app.passwords.hash(password.clone()).await.ok() } else { None };
            Ok(Proved { user, password: row, rehashed })
        }
        (Verdict::Right { .. } | Verdict::Wrong, _) => Err(Refusal::BadCredentials.into()),
    }
}

/// The session that is proved anew: of the same user and client, live. Another's token is no hint to this log-in. What
/// `shown` was is looked at again, whenever the row is read; between password and code a token need not be shown twice,
/// a cookie must be.
pub(super) async fn reauthenticated(
    app: &App,
    user: &User,
    client: &Client,
    sid: Option<SessionId>,
    shown: Option<&Bearer>,
) -> Result<Option<Session>, Failure> {
    let Some(sid) = sid else { return Ok(None) };
    let session = app.store.read(SessionById(sid)).await?;
    let proved = |session: &Session| match (shown, &session.continuity) {
        (Some(bearer), _) if bearer.sid == sid => bearer.proves(session),
        (_, Continuity::Cookie(_)) => false, // a browser sends it along each time
        (_, Continuity::Rolling | Continuity::Fixed | Continuity::Refresh(_)) => true,
    };
    let carried = |session: &Session| {
        matches!(session.continuity, Continuity::Cookie(_)) == matches!(client.policy, Policy::Cookie { .. })
    };
    let same = |session: &Session| {
        session.user == user.id && session.client == client.id && proved(session) && carried(session)
    };
    Ok(session.filter(|session| same(session) && session.over(user, app.clock.now()).is_none()))
}

/// What a log-in makes: the user as the tokens will show it, the session, what is to be written, and the cookie that
/// proves the session from now on, where one does.
pub(super) type Made = (User, Session, Changes, Option<SessionCookie>);

/// Same `sid`; `auth_time` and `amr` set, `cv` + 1. A cookie gets a new secret (row 74: whoever knew the old one, before
/// the person proved who they are, has nothing).
pub(super) fn again(
    app: &App,
    horizon: Duration,
    user: &User,
    client: &Client,
    session: Session,
    amr: Vec<String>,
    now: Timestamp,
) -> Made {
    let (continuity, cookie) = match &session.continuity {
        Continuity::Cookie(_) => continuity(app, session.sid, &client.policy, now),
        kept @ (Continuity::Rolling | Continuity::Fixed | Continuity::Refresh(_)) => (kept.clone(), None),
    };
    let session = session.reauthenticated(amr, continuity, now).used(client.policy.idle(), true, now);
    let raised = user.with_new_cv();
    let told = notice::claims_changed(&raised, Vec::new(), Cause::Reauthentication, Initiator::User, horizon, now);
    let changes = Changes::none().write(Row::Session(session.clone())).write(Row::User(raised.clone())).notice(told);
    (raised, session, changes, cookie)
}

/// A session of its own, for what is wanted on this device.
pub(super) fn open(
    app: &App,
    user: &User,
    client: &Client,
    (wanted, device): (&Wanted, &Device),
    amr: Vec<String>,
    now: Timestamp,
) -> Made {
    let sid = SessionId::from_bytes(app.entropy.bytes());
    let (continuity, cookie) = continuity(app, sid, &client.policy, now);
    let opening = Opening {
        sid,
        continuity,
        scope: wanted.scope.clone().unwrap_or_else(|| client.scopes.clone()),
        amr,
        device: device.clone(),
    };
    let session = Session::open(user, &client.id, &client.policy, opening, now);
    let changes = Changes::none().write(Row::Session(session.clone()));
    (user.clone(), session, changes, cookie)
}

/// Whether what is wanted lies within what the client may have: asked before anything is committed.
pub(super) fn grantable(app: &App, client: &Client, session: &Session, wanted: &Wanted) -> Result<(), Refusal> {
    if session.rev == Rev::NEW && !session.scope.is_subset(&client.scopes) {
        return Err(Refusal::ScopeExceeded);
    }
    issue::grantable(app, client, session, wanted).map(drop)
}

/// How a session is renewed from now on: what its row keeps, and the cookie of which it keeps the hash.
pub fn continuity(app: &App, sid: SessionId, policy: &Policy, now: Timestamp) -> (Continuity, Option<SessionCookie>) {
    match policy {
        Policy::Rolling { .. } => (Continuity::Rolling, None),
        Policy::Fixed { .. } => (Continuity::Fixed, None),
        Policy::Refresh { .. } => {
            let (kid, _) = app.keyring.current_refresh();
            (Continuity::Refresh(Chain::new(kid, Salt::from_bytes(app.entropy.bytes()), now)), None)
        }
        Policy::Cookie { .. } => {
            let cookie = SessionCookie::from_random(sid, app.entropy.bytes());
            (Continuity::Cookie(cookie.hash()), Some(cookie))
        }
    }
}

/// Nothing of it counts unless user, password and client are still as they were read.
pub(super) fn expecting(changes: Changes, user: &User, password: &PasswordRow, client: &Client) -> Changes {
    let changes = expecting_client(expecting_user(changes, user), client);
    changes.expect(RowKey::Password(password.user), password.rev)
}

/// A user who is written is expected by that.
fn expecting_user(changes: Changes, user: &User) -> Changes {
    let writes_user = changes.writes.iter().any(|row| matches!(row, Row::User(_)));
    if writes_user { changes } else { changes.expect(RowKey::User(user.id), user.rev) }
}

fn expecting_client(changes: Changes, client: &Client) -> Changes {
    changes.expect(RowKey::Client(client.id.clone()), client.rev)
}

/// The tokens of a log-in that is committed, or the cookie in their place.
pub(super) async fn tokens(
    app: &App,
    user: &User,
    client: &Client,
    session: &Session,
    (wanted, cookie): (&Wanted, Option<SessionCookie>),
    now: Timestamp,
) -> Result<Issued, Failure> {
    let permit = gate::may_issue(user, client, session, Kind::Login, now)?;
    let wanted = Wanted { account: true, ..wanted.clone() };
    let issued = issue::for_session(app, permit, None, &wanted, now).await?;
    if let Some(cookie) = cookie {
        return Ok(issued.with_cookie(Proof::Session(cookie), session, now));
    }
    if session.rev == Rev::NEW && matches!(session.continuity, Continuity::Refresh(_)) {
        return Ok(issued.with_refresh(refresh::head(app, session).await?, client, session, now));
    }
    Ok(issued)
}
