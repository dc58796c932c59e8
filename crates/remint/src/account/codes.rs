//! Codes by message: whether one may be sent, how it is made, how a try is counted. Limits are counted, and committed,
//! before anything is made or sent; a try before it is compared. Never says whose a number is.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remint_core::change::{Changes, RowKey, Take, Taken};
use remint_core::code::{Asking, Challenge, Code};
use remint_core::id::UserId;
use remint_core::phone::PhoneNumber;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::secret::{MacKey, Salt};
use remint_core::sender::SmsLimits;
use remint_core::time::Timestamp;

use crate::account::throttle::network;
use crate::app::App;
use crate::failure::{BadRequest, Failure};
use crate::message::{Content, SendError};
use crate::store::{Commit, StoreError};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a code is to be sent for. Each has counters of its own: whoever has codes sent to somebody else's number, to
/// verify it, keeps nobody from logging in.
#[derive(Clone, Copy, Debug)]
pub enum For {
    /// A number is to be verified, by whomever.
    Verification,
    /// This user logs in, and has shown the password.
    Login(UserId),
}

/// Leave to send one code, which was counted.
#[derive(Debug)]
#[must_use = "it was counted"]
pub struct Allowed {
    to: PhoneNumber,
    counters: Vec<String>,
}

impl Allowed {
    /// Whether it is leave to send to this number.
    pub fn is_for(&self, number: &PhoneNumber) -> bool {
        self.to == *number
    }
}

/// Whether a code may be sent to this number for a request from this address: counted for the address, the number, its
/// neighbours and the day, the narrow first, so that whoever is refused by one uses up nothing of the wider ones.
///
/// # Errors
/// Where nobody carries messages, the country is not served, or there were too many.
pub async fn allow(app: &App, what_for: For, to: &PhoneNumber, address: IpAddr) -> Result<Allowed, Failure> {
    app.outbox.ready().await?;
    let limits = app.outbox.limits().await?;
    let served = &limits.countries;
    if !served.is_empty() && !served.iter().any(|code| to.is_of(code)) {
        let why = "is of a country that this server sends no codes to";
        return Err(BadRequest::Invalid { name: "phone_number", why }.into());
    }
    let mut counters = Vec::new();
    for take in counted(app, &limits, (what_for, to, address), app.clock.now()) {
        let counter = take.key.clone();
        taken(app, take).await?.map_err(|retry_after| Refusal::TooManyAttempts { retry_after })?;
        counters.push(counter);
    }
    Ok(Allowed { to: to.clone(), counters })
}

/// The counters of a code. A number stands in none of them in clear.
fn counted(
    app: &App,
    sms: &SmsLimits,
    (what_for, to, address): (For, &PhoneNumber, IpAddr),
    at: Timestamp,
) -> [Take; 4] {
    let key = app.keyring.derived("remint message limits");
    let (word, whose) = match what_for {
        For::Verification => ("verification", String::new()),
        For::Login(user) => ("login", user.to_string()),
    };
    let named = |what: &str, text: &str| {
        let tag = hmac::sign(&key, format!("{what}:{text}").as_bytes());
        format!("sms:{word}:{what}:{}", URL_SAFE_NO_PAD.encode(&tag.as_ref()[..16]))
    };
    let take = |key, limit: NonZeroU32, window| Take { key, limit: limit.get(), window, at };
    [
        take(named("address", &network(address).to_string()), sms.per_address, HOUR),
        take(named("number", &format!("{whose}{}", to.as_str())), sms.per_number, HOUR),
        take(named("block", to.block()), sms.per_block, HOUR),
        take(format!("sms:{word}:day"), sms.per_day, DAY),
    ]
}

/// Counts, durably; `Err` says when to come back.
async fn taken(app: &App, take: Take) -> Result<Result<(), Duration>, Failure> {
    match app.store.commit(Changes::none().take(take)).await? {
        Commit::Done { taken, .. } => match taken.first() {
            Some(Taken::Allowed { .. }) => Ok(Ok(())),
            Some(Taken::Exhausted { retry_after }) => Ok(Err(*retry_after)),
            None => Err(StoreError::Unknown.into()),
        },
        Commit::Conflict { .. } => Err(StoreError::Unknown.into()), // a Take names no rev that could conflict
    }
}

/// The key that codes are kept under: in the keyring, never in the database.
pub fn key(app: &App) -> MacKey {
    MacKey::from_key(app.keyring.derived("remint codes"))
}

/// A new code and the row that is kept of it, in the place of the one at `rev`.
pub fn make(app: &App, asking: Asking, rev: Rev, now: Timestamp) -> (Challenge, Code) {
    let code = Code::from_random(app.entropy.bytes());
    let salt = Salt::from_bytes(app.entropy.bytes());
    (Challenge::new(asking, rev, &code, salt, &key(app), now), code)
}

/// Sends the code. Where nobody was reached nothing was sent, and it was not counted.
///
/// # Errors
/// [`Failure::NotSent`].
pub async fn send(app: &App, allowed: Allowed, code: Code) -> Result<(), Failure> {
    let outcome = app.outbox.deliver(&allowed.to, Content::Code(code)).await;
    if outcome == Err(SendError::Unreachable) {
        let returned = allowed.counters.into_iter().fold(Changes::none(), Changes::give_back);
        if let Err(error) = app.store.commit(returned).await {
            tracing::warn!(%error, "a message that was not sent stays counted");
        }
    }
    outcome.map_err(|_| Failure::NotSent)
}

/// Counts a try of a challenge, durably, before the code is compared. One try too many ends the challenge.
///
/// # Errors
/// [`Refusal::ChallengeOver`].
pub async fn count_try(app: &App, challenge: &Challenge, now: Timestamp) -> Result<(), Failure> {
    if taken(app, challenge.try_at(now)).await?.is_ok() {
        return Ok(());
    }
    end(app, challenge).await?;
    Err(Refusal::ChallengeOver.into())
}

/// The challenge is over. Where somebody was first it is over already, or has a new code.
pub async fn end(app: &App, challenge: &Challenge) -> Result<(), Failure> {
    let gone = Changes::none().delete(RowKey::Challenge(challenge.id), challenge.rev);
    app.store.commit(gone).await?;
    Ok(())
}
