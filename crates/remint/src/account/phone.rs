//! The phone number of a person's own account: asked for, verified by a code, removed. A verified number is the second
//! factor of the account from then on. Each change is one commit: the record, `cv + 1`, the challenge, the feed's event;
//! the old number is told. Never writes a number that was not proved.

use std::net::IpAddr;

use remint_core::audit::{Act, Doer, Target};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::code::{Asking, CODE_LIFE, Purpose, verification_of};
use remint_core::event::{Cause, Initiator};
use remint_core::factor;
use remint_core::notice;
use remint_core::phone::PhoneNumber;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::user::Changed;

use crate::account::{codes, record};
use crate::app::App;
use crate::bearer::Bearer;
use crate::failure::{BadRequest, Failure};
use crate::grant::MAX_CONFLICTS;
use crate::grant::gate::Kind;
use crate::grant::issue::Issued;
use crate::message::Content;
use crate::store::{ChallengeById, Commit, Held};

/// A code is on its way.
#[derive(Debug)]
pub struct Asked {
    /// The end of the number.
    pub sent_to: String,
    /// How long the code is good, in seconds.
    pub expires_in: u64,
}

/// No way to write a number is longer.
const MAX_TYPED_BYTES: usize = 64;

/// A number as a person writes it, with the calling code of its country, in E.164. One that can be called at the
/// caller's cost only, or that is none by the numbering plan of its country, is refused.
pub fn parsed(typed: &str) -> Result<PhoneNumber, BadRequest> {
    use phonenumber::{Mode, Type};
    let refused = |why| BadRequest::Invalid { name: "phone_number", why };
    let malformed = || refused("is not a phone number in international form, like +12025550123");
    if typed.len() > MAX_TYPED_BYTES {
        return Err(malformed());
    }
    let number = phonenumber::parse(None, typed).map_err(|_| malformed())?;
    if !number.is_valid() || number.extension().is_some() {
        return Err(malformed());
    }
    match number.number_type(&phonenumber::metadata::DATABASE) {
        Type::Mobile | Type::FixedLine | Type::FixedLineOrMobile | Type::Voip | Type::PersonalNumber => {}
        _ => return Err(refused("is not one at which a person can be reached by messages")),
    }
    number.format().mode(Mode::E164).to_string().parse().map_err(|_| malformed())
}

/// Sends a code to a number that is to become the account's. The code is good for this session only; a new one takes
/// the place of the one before.
pub async fn ask(app: &App, bearer: &Bearer, typed: &str, address: IpAddr) -> Result<Asked, Failure> {
    let number = parsed(typed)?;
    app.outbox.ready().await?;
    changeable(app, bearer).await?;
    let allowed = codes::allow(app, codes::For::Verification, &number, address).await?;
    for _ in 0..MAX_CONFLICTS {
        let Held { session, user, .. } = changeable(app, bearer).await?;
        let id = verification_of(session.sid);
        let before = app.store.read(ChallengeById(id)).await?.map_or(Rev::NEW, |before| before.rev);
        let purpose = Purpose::Verification { session: session.sid, replaces: user.phone_number };
        let asking = Asking { id, user: user.id, purpose, target: number.clone() };
        let (challenge, code) = codes::make(app, asking, before, app.clock.now());
        let changes = Changes::none().write(Row::Challenge(challenge)).expect(RowKey::User(user.id), user.rev);
        match app.store.commit(changes).await? {
            Commit::Done { .. } => {
                codes::send(app, allowed, code).await?;
                return Ok(Asked { sent_to: number.hint(), expires_in: CODE_LIFE.as_secs() });
            }
            Commit::Conflict { .. } => {} // the record moved, or another code was asked for
        }
    }
    Err(Failure::Contended)
}

/// The caller's session, if it may change a factor of the account now.
async fn changeable(app: &App, bearer: &Bearer) -> Result<Held, Failure> {
    let held = record::live(app, bearer, Kind::AccountChange).await?;
    factor::may_be_changed(&held.user, bearer.auth_time, &bearer.claims.amr, app.clock.now())?;
    Ok(held)
}

/// The number becomes the account's, if the code is right. Answers new tokens that show it; never a refresh token.
pub async fn verify(app: &App, bearer: &Bearer, typed: &str, doer: &Doer) -> Result<Issued, Failure> {
    let _place = app.changing.enter(&bearer.claims.sub).await;
    let held = record::live(app, bearer, Kind::AccountChange).await?;
    let id = verification_of(held.session.sid);
    let challenge = app.store.read(ChallengeById(id)).await?.ok_or(Refusal::ChallengeOver)?;
    challenge.over(app.clock.now())?;
    codes::count_try(app, &challenge, app.clock.now()).await?;
    if let Err(no) = challenge.answered(typed, &codes::key(app), app.clock.now()) {
        tell_of_wrong_code(app, &held, &no, doer).await;
        return Err(no.into());
    }
    for _ in 0..MAX_CONFLICTS {
        let held = record::live(app, bearer, Kind::AccountChange).await?;
        let number = challenge.verified(held.session.sid, &held.user)?.clone();
        let before = held.user.phone_number.clone();
        let used = Changes::none().delete(RowKey::Challenge(id), challenge.rev);
        let changed = held.user.with_phone_number(Some(number));
        if let Some(issued) = written(app, bearer, held, changed, (used, doer)).await? {
            tell(app, before, Content::NumberReplaced).await;
            return Ok(issued);
        }
        if app.store.read(ChallengeById(id)).await?.as_ref() != Some(&challenge) {
            return Err(Refusal::ChallengeOver.into()); // used by another request, or replaced by a new code
        }
    }
    Err(Failure::Contended)
}

/// Tells the audit log of a wrong code, not of the code.
async fn tell_of_wrong_code(app: &App, held: &Held, no: &Refusal, doer: &Doer) {
    if *no != Refusal::WrongCode {
        return;
    }
    let (session, target) = (&held.session, Target::User(held.user.id));
    let entry = doer.did(Act::CodeRefused, target, app.clock.now()).session(&session.client, session.sid);
    if let Err(error) = app.store.commit(Changes::none().audit(record::told_of(entry))).await {
        tracing::warn!(%error, "a wrong code is not in the audit log");
    }
}

/// The account has no number any more, and no second factor. Answers new tokens that do not show one.
pub async fn remove(app: &App, bearer: &Bearer, doer: &Doer) -> Result<Issued, Failure> {
    let _place = app.changing.enter(&bearer.claims.sub).await;
    for _ in 0..MAX_CONFLICTS {
        let held = changeable(app, bearer).await?;
        let before = held.user.phone_number.clone();
        let changed = held.user.with_phone_number(None);
        if let Some(issued) = written(app, bearer, held, changed, (Changes::none(), doer)).await? {
            tell(app, before, Content::NumberRemoved).await;
            return Ok(issued);
        }
    }
    Err(Failure::Contended)
}

/// Commits the changed record with what goes with it. `None` where something moved.
async fn written(
    app: &App,
    bearer: &Bearer,
    held: Held,
    changed: Option<Changed>,
    (with, doer): (Changes, &Doer),
) -> Result<Option<Issued>, Failure> {
    let now = app.clock.now();
    let (user, changes) = match changed {
        None => (held.user.clone(), with),
        Some(Changed { user, names }) => {
            let horizon = app.horizon().await?;
            let entry = doer.did(Act::UserChanged, Target::User(user.id), now).names(&names);
            let told = notice::claims_changed(&user, names, Cause::Attributes, Initiator::User, horizon, now);
            (user.clone(), with.write(Row::User(user)).notice(told).audit(entry))
        }
    };
    record::answered(app, bearer, held, &user, changes, now).await
}

/// The old number hears of it. Nobody waits for that.
pub async fn tell(app: &App, before: Option<PhoneNumber>, content: Content) {
    if let Some(number) = before {
        app.outbox.tell(&number, content).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Option<String> {
        parsed(typed).ok().map(|number| number.as_str().to_owned())
    }

    #[test]
    fn all_ways_to_write_a_number_come_to_one() {
        for typed in ["+12025550123", "+1 (202) 555-0123", "+1 202 555 0123", " +1.202.555.0123", "tel:+1-202-555-0123"]
        {
            assert_eq!(read(typed).as_deref(), Some("+12025550123"), "{typed}");
        }
        assert_eq!(read("+49 30 23125000").as_deref(), Some("+493023125000"));
    }

    #[test]
    fn what_is_no_number_of_a_person_is_refused() {
        for wrong in [
            "",
            "+",
            "12025550123",
            "202-555-0123",
            "+1202555012",
            "+1 202 555 0123 ext. 7",
            "+999123456789",
            "+1 900 555 0123",
            "+1 800 555 0123",
            "+12025550123\r\nBcc: x",
            "+12025550123,+12025550124",
            &"+1 202 555 0123".repeat(9),
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
