//! Log-in with a password: `POST /session`. Guesses are counted before they are compared, an unknown user costs the
//! same work as a known one, and a log-in in flight cannot outlive a disable: the commit expects user, password and
//! client as they were read. Where the account has a second factor no session is opened: that is [`super::factor`]'s. Never says which of identifier and password was wrong.

use std::net::IpAddr;
use std::time::Duration;

use remint_core::change::{Changes, PasswordRow, Row, RowKey};
use remint_core::client::Client;
use remint_core::code::HalfLogin;
use remint_core::event::{Cause, Initiator};
use remint_core::factor;
use remint_core::id::SessionId;
use remint_core::notice;
use remint_core::policy::Policy;
use remint_core::refresh::Chain;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::secret::{Password, PasswordHash, Salt, SecretHash};
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
use crate::grant::issue::{self, Issued, Wanted};
use crate::grant::{MAX_CONFLICTS, refresh};
use crate::store::{Account, AccountOf, ClientById, Commit, SessionById};

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
    /// The live account token of the same person, where they prove again who they are.
    pub again: Option<Bearer>,
}

/// Tokens for a person who proved who they are.
pub async fn login(app: &App, client: &Client, attempt: &Attempt) -> Result<Issued, Failure> {
    if !client.first_party {
        return Err(Refusal::NotFirstParty.into());
    }
    let typed: Option<CanonicalIdentifier> = attempt.identifier.parse().ok();
    let _place = app.logging_in.enter(typed.as_ref().map_or("", CanonicalIdentifier::as_str)).await;
    let counted = count(app, typed.as_ref(), attempt).await?;
    let (mut before, mut allowed) = (None, None);
    for _ in 0..MAX_CONFLICTS {
        let proved = match authenticate(app, typed.as_ref(), attempt, before.as_ref()).await {
            Ok(proved) => proved,
            Err(failure) => return Err(uncounted(app, counted, failure).await),
        };
        let client = app.store.read(ClientById(client.id.clone())).await?.ok_or(Refusal::BadClient)?;
        let (now, amr) = (app.clock.now(), factor::amr_of_login(&proved.user));
        let sid = attempt.again.as_ref().map(|bearer| bearer.sid);
        let (user, session, changes) = match reauthenticated(app, &proved.user, &client, sid).await? {
            Some(session) => again(app.horizon().await?, &proved.user, &client, session, amr, now),
            None => open(app, &proved.user, &client, (&attempt.wanted, &attempt.device), amr, now),
        };
        gate::may_issue(&user, &client, &session, Kind::Login, now)?;
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
        let changes = proved.expected(changes, &client).reset(counted.counter());
        match app.store.commit(changes).await? {
            Commit::Done { .. } => {
                app.throttle.succeeded(counted);
                return tokens(app, &user, &client, &session, &attempt.wanted, now).await;
            }
            Commit::Conflict { .. } => before = Some(proved), // disabled, changed or new password in between
        }
    }
    Err(Failure::Contended)
}

/// Counts the attempt, durably, before anything is compared.
async fn count(
    app: &App,
    typed: Option<&CanonicalIdentifier>,
    attempt: &Attempt,
) -> Result<throttle::Attempt, Failure> {
    let found = account_of(app, typed).await?;
    let account = match &found {
        Some(account) => throttle::Account::Known(account.user.id),
        None => throttle::Account::Unknown(typed.map_or(attempt.identifier.as_str(), CanonicalIdentifier::as_str)),
    };
    Ok(app.throttle.attempt(&app.store, account, attempt.address, app.clock.now()).await?)
}

/// Where nothing was compared, or no code could be sent, the attempt was none: whoever is turned away by overload and comes
/// back as told is not locked out for it.
async fn uncounted(app: &App, counted: throttle::Attempt, failure: Failure) -> Failure {
    if !matches!(failure, Failure::Refused(_)) {
        let returned = app.store.commit(Changes::none().give_back(counted.counter())).await;
        if let Err(error) = returned {
            tracing::warn!(%error, "an attempt that was not made stays counted");
        }
        app.throttle.succeeded(counted);
    }
    failure
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

/// The session that is proved anew: of the same user and client, live. Another's token is no hint to this log-in.
pub(super) async fn reauthenticated(
    app: &App,
    user: &User,
    client: &Client,
    sid: Option<SessionId>,
) -> Result<Option<Session>, Failure> {
    let Some(sid) = sid else { return Ok(None) };
    let session = app.store.read(SessionById(sid)).await?;
    let same = |session: &Session| session.user == user.id && session.client == client.id;
    Ok(session.filter(|session| same(session) && session.over(user, app.clock.now()).is_none()))
}

/// Same `sid`; `auth_time` and `amr` set, `cv` + 1.
pub(super) fn again(
    horizon: Duration,
    user: &User,
    client: &Client,
    session: Session,
    amr: Vec<String>,
    now: Timestamp,
) -> (User, Session, Changes) {
    let continuity = session.continuity.clone();
    let session = session.reauthenticated(amr, continuity, now).used(client.policy.idle(), true, now);
    let raised = user.with_new_cv();
    let told = notice::claims_changed(&raised, Vec::new(), Cause::Reauthentication, Initiator::User, horizon, now);
    let changes = Changes::none().write(Row::Session(session.clone())).write(Row::User(raised.clone())).notice(told);
    (raised, session, changes)
}

/// A session of its own, for what is wanted on this device.
pub(super) fn open(
    app: &App,
    user: &User,
    client: &Client,
    (wanted, device): (&Wanted, &Device),
    amr: Vec<String>,
    now: Timestamp,
) -> (User, Session, Changes) {
    let opening = Opening {
        sid: SessionId::from_bytes(app.entropy.bytes()),
        continuity: continuity(app, &client.policy, now),
        scope: wanted.scope.clone().unwrap_or_else(|| client.scopes.clone()),
        amr,
        device: device.clone(),
    };
    let session = Session::open(user, &client.id, &client.policy, opening, now);
    let changes = Changes::none().write(Row::Session(session.clone()));
    (user.clone(), session, changes)
}

/// Whether what is wanted lies within what the client may have: asked before anything is committed.
pub(super) fn grantable(app: &App, client: &Client, session: &Session, wanted: &Wanted) -> Result<(), Refusal> {
    if session.rev == Rev::NEW && !session.scope.is_subset(&client.scopes) {
        return Err(Refusal::ScopeExceeded);
    }
    issue::grantable(app, client, session, wanted).map(drop)
}

fn continuity(app: &App, policy: &Policy, now: Timestamp) -> Continuity {
    match policy {
        Policy::Rolling { .. } => Continuity::Rolling,
        Policy::Fixed { .. } => Continuity::Fixed,
        Policy::Refresh { .. } => {
            let (kid, _) = app.keyring.current_refresh();
            Continuity::Refresh(Chain::new(kid, Salt::from_bytes(app.entropy.bytes()), now))
        }
        Policy::Cookie { .. } => Continuity::Cookie(SecretHash::of(&app.entropy.bytes::<32>())),
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

/// The tokens of a log-in that is committed.
pub(super) async fn tokens(
    app: &App,
    user: &User,
    client: &Client,
    session: &Session,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Issued, Failure> {
    let permit = gate::may_issue(user, client, session, Kind::Login, now)?;
    let wanted = Wanted { account: true, ..wanted.clone() };
    let mut issued = issue::for_session(app, permit, &wanted, now).await?;
    if session.rev == Rev::NEW && matches!(session.continuity, Continuity::Refresh(_)) {
        issued.refresh_token = Some(refresh::head(app, session)?);
    }
    Ok(issued)
}
