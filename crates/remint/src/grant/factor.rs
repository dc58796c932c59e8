//! The second factor at log-in: after the right password a code is sent, and what is answered is a challenge, of a type
//! of its own and never a session; `POST /session/factor` finishes the log-in. Tries are counted, on the account and on
//! the challenge, before the code is compared; a lock-out destroys the half-made log-in; whatever changed the
//! credentials in between has ended it. Never opens a session without the gate.

use std::fmt;
use std::net::IpAddr;

use remint_core::audit::Target;
use remint_core::change::{Changes, PasswordRow, Row, RowKey};
use remint_core::client::Client;
use remint_core::code::{Asking, CODE_LIFE, Challenge, ChallengeToken, HalfLogin, Purpose};
use remint_core::factor;
use remint_core::id::ClientId;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::session::Device;
use remint_core::user::User;
use zeroize::Zeroizing;

use crate::account::{codes, throttle};
use crate::app::App;
use crate::bearer::Bearer;
use crate::failure::{Failure, SecondFactor};
use crate::grant::MAX_CONFLICTS;
use crate::grant::gate::{self, Kind};
use crate::grant::issue::{Issued, Wanted};
use crate::grant::login;
use crate::store::{AccountById, ChallengeById, ClientById, Commit};

/// Keeps the half-made log-in, if `expecting` still holds, and sends the code to the user's number. `None` where
/// something moved: nothing was sent, and `allowed` is still good for that number.
pub(super) async fn begin(
    app: &App,
    user: &User,
    half: HalfLogin,
    expecting: Changes,
    address: IpAddr,
    allowed: &mut Option<codes::Allowed>,
) -> Result<Option<SecondFactor>, Failure> {
    let number = factor::demanded(user).ok_or(Refusal::ChallengeOver)?;
    let leave = match allowed.take().filter(|leave| leave.is_for(number)) {
        Some(leave) => leave,
        None => codes::allow(app, codes::For::Login(user.id), number, address).await?,
    };
    let token = ChallengeToken::from_random(app.entropy.bytes());
    let asking = Asking { id: token.id(), user: user.id, purpose: Purpose::Login(half), target: number.clone() };
    let (challenge, code) = codes::make(app, asking, Rev::NEW, app.clock.now());
    match app.store.commit(expecting.write(Row::Challenge(challenge))).await? {
        Commit::Conflict { .. } => {
            *allowed = Some(leave);
            Ok(None)
        }
        Commit::Done { .. } => {
            codes::send(app, leave, code).await?;
            Ok(Some(SecondFactor { challenge: token, sent_to: number.hint(), expires_in: CODE_LIFE.as_secs() }))
        }
    }
}

/// What a person typed as a code. Cannot be printed.
pub struct TypedCode(Zeroizing<String>);

impl TypedCode {
    /// From the request.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, to be compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TypedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedCode(..)")
    }
}

/// What came to `POST /session/factor`.
#[derive(Debug)]
pub struct Answer {
    /// The challenge.
    pub challenge: ChallengeToken,
    /// What the person typed.
    pub code: TypedCode,
    /// Where the request came from.
    pub address: IpAddr,
    /// The device.
    pub device: Device,
    /// The live account token or session cookie that came along.
    pub again: Option<Bearer>,
}

/// Tokens for a person who has shown both factors, or the cookie in their place.
pub async fn finish(app: &App, client: &Client, answer: &Answer) -> Result<Issued, Failure> {
    let id = answer.challenge.id();
    let challenge = app.store.read(ChallengeById(id)).await?.ok_or(Refusal::ChallengeOver)?;
    challenge.over(app.clock.now())?;
    let Purpose::Login(begun) = &challenge.purpose else { return Err(Refusal::ChallengeOver.into()) };
    if begun.client != client.id {
        return Err(Refusal::ChallengeOver.into()); // another client uses up no try of it
    }
    let counted = count(app, &client.id, &challenge, answer.address).await?;
    if let Err(no) = challenge.answered(answer.code.as_str(), &codes::key(app), app.clock.now()) {
        if no == Refusal::WrongCode {
            let (target, counter) = (Target::User(challenge.user), counted.counter());
            login::tell_failed(app, &client.id, answer.address, target, (factor::SMS, &counter)).await;
        }
        return Err(no.into());
    }
    for _ in 0..MAX_CONFLICTS {
        let client = app.store.read(ClientById(client.id.clone())).await?.ok_or(Refusal::BadClient)?;
        let (user, password) = credentials(app, &challenge).await?;
        let half = challenge.half_login(&client.id, &user, &password)?;
        let wanted = Wanted { resource: half.resource.clone(), scope: half.scope.clone(), ..Wanted::default() };
        let now = app.clock.now();
        let amr = factor::amr_of_both();
        let (after, session, changes, cookie) =
            match login::reauthenticated(app, &user, &client, half.session, answer.again.as_ref()).await? {
                Some(session) => login::again(app, app.horizon().await?, &user, &client, session, amr, now),
                None => login::open(app, &user, &client, (&wanted, &answer.device), amr, now),
            };
        gate::may_issue(&after, &client, &session, Kind::Login, now)?;
        login::grantable(app, &client, &session, &wanted)?;
        let changes = login::expecting(changes, &user, &password, &client)
            .delete(RowKey::Challenge(id), challenge.rev)
            .reset(counted.counter())
            .audit(login::entry(answer.address, &session, now));
        match app.store.commit(changes).await? {
            Commit::Done { .. } => {
                app.throttle.succeeded(counted);
                return login::tokens(app, &after, &client, &session, (&wanted, cookie), now).await;
            }
            Commit::Conflict { .. } if app.store.read(ChallengeById(id)).await?.is_none() => {
                return Err(Refusal::ChallengeOver.into()); // used by another request
            }
            Commit::Conflict { .. } => {} // user, password or client moved: does the half-made log-in still stand?
        }
    }
    Err(Failure::Contended)
}

/// Counts the try, durably, before anything is compared: on the account, where all factors count together, and on the
/// challenge. A lock-out destroys the half-made log-in.
async fn count(
    app: &App,
    client: &ClientId,
    challenge: &Challenge,
    address: IpAddr,
) -> Result<throttle::Attempt, Failure> {
    let (account, now) = (throttle::Account::Known(challenge.user), app.clock.now());
    match app.throttle.attempt(&app.store, account, address, now).await {
        Ok(counted) => {
            codes::count_try(app, challenge, now).await?;
            Ok(counted)
        }
        Err(locked @ throttle::Throttled::Account(_)) => {
            codes::end(app, challenge).await?;
            login::tell_locked(app, client, address, Some(challenge.user)).await;
            Err(locked.into())
        }
        Err(throttle::Throttled::Refused(refusal)) => {
            codes::end(app, challenge).await?;
            Err(refusal.into())
        }
        Err(throttled @ throttle::Throttled::Store(_)) => Err(throttled.into()),
    }
}

/// The user and the password as they are now.
async fn credentials(app: &App, challenge: &Challenge) -> Result<(User, PasswordRow), Failure> {
    let account = app.store.read(AccountById(challenge.user)).await?.ok_or(Refusal::ChallengeOver)?;
    let password = account.password.ok_or(Refusal::ChallengeOver)?;
    Ok((account.user, password))
}
