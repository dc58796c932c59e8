//! Users: made, changed, disabled and deleted by an administrator. Whatever ends sessions tells the feed in the same
//! commit. Never answers a password or its hash.

use std::time::Duration;

use remint_core::attribute::{Declarations, Writer};
use remint_core::change::{Changes, Identifier, PasswordRow, Row, RowKey};
use remint_core::event::{Cause, Initiator};
use remint_core::id::UserId;
use remint_core::notice;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::secret::Password;
use remint_core::session::EndReason;
use remint_core::time::Timestamp;
use remint_core::user::{Attributes, User, UserStatus};
use serde_json::{Map, Value, json};

use crate::account::identifier::CanonicalIdentifier;
use crate::account::phone;
use crate::account::throttle::counter_of;
use crate::admin::AdminError;
use crate::app::App;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::message::Content;
use crate::store::{Account, AccountById, AccountOf, Commit, DeclaredAttributes, IdentifiersOf, Users};

/// A user to be made.
#[derive(Debug, Default)]
pub struct NewUser {
    /// What the person types to log in: user names and e-mail addresses.
    pub identifiers: Vec<String>,
    /// The first password; without one nobody can log in by password.
    pub password: Option<String>,
    /// The attributes.
    pub attributes: Map<String, Value>,
}

/// Makes a user.
pub async fn create(app: &App, new: NewUser) -> Result<Value, AdminError> {
    let identifiers = canonical(&new.identifiers)?;
    let declared = app.store.read(DeclaredAttributes).await?;
    let attributes = declared
        .apply(&Attributes::new(), &new.attributes, Writer::Admin)
        .map_err(|bad| AdminError::invalid("attributes", bad))?;
    let hash = match new.password {
        Some(password) => Some(app.passwords.hash(new_password(password)?).await?),
        None => None,
    };
    let (now, id) = (app.clock.now(), UserId::from_bytes(app.entropy.bytes()));
    let user = User::new(id, attributes, now);
    let mut changes = Changes::none().write(Row::User(user.clone()));
    for text in &identifiers {
        changes = changes.write(Row::Identifier(Identifier { text: text.clone(), user: id, rev: Rev::NEW }));
    }
    if let Some(hash) = hash {
        changes = changes.write(Row::Password(PasswordRow { user: id, hash, changed_at: now, rev: Rev::NEW }));
    }
    match app.store.commit(changes).await? {
        Commit::Done { .. } => Ok(view(&user, &identifiers)),
        Commit::Conflict { key: RowKey::Identifier(text), .. } => Err(AdminError::exists("identifier", text)),
        Commit::Conflict { .. } => Err(Failure::Contended.into()),
    }
}

fn canonical(identifiers: &[String]) -> Result<Vec<String>, AdminError> {
    let mut all = Vec::new();
    for text in identifiers {
        let canonical: CanonicalIdentifier = text.parse().map_err(|bad| AdminError::invalid("identifiers", bad))?;
        all.push(canonical.as_str().to_owned());
    }
    all.sort();
    all.dedup();
    if all.is_empty() {
        return Err(AdminError::invalid("identifiers", "needs at least one user name or e-mail address"));
    }
    Ok(all)
}

/// A password as it may be set, by whoever sets it (NIST SP 800-63B section 3.1.1.2: a least length, and no rules of
/// composition).
///
/// # Errors
/// Where it is too short or too long.
pub fn new_password(password: String) -> Result<Password, AdminError> {
    let long = format!("must have at most {} bytes", Password::MAX_BYTES);
    let password = Password::new(password).ok_or_else(|| AdminError::invalid("password", long))?;
    if password.is_long_enough() {
        return Ok(password);
    }
    Err(AdminError::invalid("password", format!("must have at least {} characters", Password::MIN_CHARS)))
}

fn view(user: &User, identifiers: &[String]) -> Value {
    json!({
        "id": user.id,
        "identifiers": identifiers,
        "status": user.status,
        "attributes": user.attributes,
        "phone_number": user.phone_number,
        "cv": user.cv,
        "created_at": user.created_at.secs(),
    })
}

/// One user, by id or by identifier.
pub async fn show(app: &App, who: &str) -> Result<Value, AdminError> {
    let account = account(app, who).await?;
    let identifiers = app.store.read(IdentifiersOf(account.user.id)).await?;
    let texts: Vec<String> = identifiers.into_iter().map(|identifier| identifier.text).collect();
    Ok(view(&account.user, &texts))
}

/// The user of that id, or of that identifier. One that was deleted is not found.
pub(super) async fn account(app: &App, who: &str) -> Result<Account, AdminError> {
    let by_id = match who.parse() {
        Ok(id) => app.store.read(AccountById(id)).await?,
        Err(_) => None,
    };
    let found = match (by_id, who.parse::<CanonicalIdentifier>()) {
        (Some(account), _) => Some(account),
        (None, Ok(identifier)) => app.store.read(AccountOf(identifier.as_str().to_owned())).await?,
        (None, Err(_)) => None,
    };
    let exists = found.filter(|account| account.user.status != UserStatus::Deleted);
    exists.ok_or_else(|| AdminError::not_found("user", who))
}

/// Users in the order of their ids, a page at a time.
pub async fn list(app: &App, after: Option<&str>, limit: usize) -> Result<Value, AdminError> {
    let after = after.map(str::parse).transpose().map_err(|bad| AdminError::invalid("after", bad))?;
    let users = app.store.read(Users { after, limit }).await?;
    let next = users.last().filter(|_| users.len() == limit).map(|user| user.id);
    let mut views = Vec::new();
    for user in users.iter().filter(|user| user.status != UserStatus::Deleted) {
        let identifiers = app.store.read(IdentifiersOf(user.id)).await?;
        let texts: Vec<String> = identifiers.into_iter().map(|identifier| identifier.text).collect();
        views.push(view(user, &texts));
    }
    Ok(json!({ "users": views, "next": next }))
}

/// What a decision about a user needs beside the record.
struct Moment {
    now: Timestamp,
    horizon: Duration,
    declared: Declarations,
    identifiers: Vec<Identifier>,
}

impl Moment {
    /// Every session of the user ends.
    fn ending(&self, user: User) -> Changes {
        let told = notice::user_ended(&user, self.horizon, self.now);
        Changes::none().write(Row::User(user)).notice(told)
    }
}

/// Decides on the record as it stands, commits, and decides again where it moved. No changes: it was so already.
async fn change(
    app: &App,
    who: &str,
    decide: impl Fn(&Account, &Moment) -> Result<Changes, AdminError>,
) -> Result<Value, AdminError> {
    for _ in 0..MAX_CONFLICTS {
        let account = account(app, who).await?;
        let moment = Moment {
            declared: app.store.read(DeclaredAttributes).await?,
            identifiers: app.store.read(IdentifiersOf(account.user.id)).await?,
            horizon: app.horizon().await?,
            now: app.clock.now(),
        };
        let changes = decide(&account, &moment)?;
        let after = changes.writes.iter().find_map(|row| if let Row::User(user) = row { Some(user.cv) } else { None });
        let answer = json!({ "id": account.user.id, "cv": after.unwrap_or(account.user.cv) });
        match app.store.commit(changes).await? {
            Commit::Done { .. } => return Ok(answer),
            Commit::Conflict { .. } => {} // the record moved
        }
    }
    Err(Failure::Contended.into())
}

/// Writes attributes, also those that only an administrator may write; `null` removes one. Answers the new `cv`.
pub async fn patch(app: &App, who: &str, patch: &Map<String, Value>) -> Result<Value, AdminError> {
    change(app, who, |account, moment| {
        let patched = account.user.patched(patch, &moment.declared, Writer::Admin).map_err(Refusal::from)?;
        let Some(changed) = patched else { return Ok(Changes::none()) };
        let (cause, who) = (Cause::Attributes, Initiator::Admin);
        let told = notice::claims_changed(&changed.user, changed.names, cause, who, moment.horizon, moment.now);
        Ok(Changes::none().write(Row::User(changed.user)).notice(told))
    })
    .await
}

/// The user has no phone number and no second factor any more: for whoever has lost the phone. The number is told.
pub async fn remove_phone(app: &App, who: &str) -> Result<Value, AdminError> {
    let before = account(app, who).await?.user.phone_number;
    let answer = change(app, who, |account, moment| {
        let Some(changed) = account.user.with_phone_number(None) else { return Ok(Changes::none()) };
        let (cause, who) = (Cause::Attributes, Initiator::Admin);
        let told = notice::claims_changed(&changed.user, changed.names, cause, who, moment.horizon, moment.now);
        Ok(Changes::none().write(Row::User(changed.user)).notice(told))
    })
    .await?;
    phone::tell(app, before, Content::NumberRemoved);
    Ok(answer)
}

/// The user may log in no more, and every session ends.
pub async fn disable(app: &App, who: &str) -> Result<Value, AdminError> {
    change(app, who, |account, moment| match account.user.status {
        UserStatus::Active => Ok(moment.ending(account.user.disabled())),
        UserStatus::Disabled | UserStatus::Deleted => Ok(Changes::none()),
    })
    .await
}

/// The user may log in again; what ended stays ended.
pub async fn enable(app: &App, who: &str) -> Result<Value, AdminError> {
    change(app, who, |account, _| match account.user.status {
        UserStatus::Disabled => Ok(Changes::none().write(Row::User(account.user.enabled()))),
        UserStatus::Active | UserStatus::Deleted => Ok(Changes::none()),
    })
    .await
}

/// The record is emptied, identifiers and password are gone, every session ends; the id is never used again.
pub async fn delete(app: &App, who: &str) -> Result<Value, AdminError> {
    change(app, who, |account, moment| {
        let mut changes = moment.ending(account.user.deleted());
        for identifier in &moment.identifiers {
            changes = changes.delete(RowKey::Identifier(identifier.text.clone()), identifier.rev);
        }
        if let Some(password) = &account.password {
            changes = changes.delete(RowKey::Password(account.user.id), password.rev);
        }
        Ok(changes)
    })
    .await
}

/// Sets the password, and ends every session: whoever knew the old one is out.
pub async fn set_password(app: &App, who: &str, password: String) -> Result<Value, AdminError> {
    let hash = app.passwords.hash(new_password(password)?).await?;
    change(app, who, |account, moment| {
        let rev = account.password.as_ref().map_or(Rev::NEW, |row| row.rev);
        let row = PasswordRow { user: account.user.id, hash: hash.clone(), changed_at: moment.now, rev };
        let ended = moment.ending(account.user.with_new_epoch(EndReason::PasswordChanged));
        Ok(ended.write(Row::Password(row)).reset(counter_of(account.user.id))) // who was guessed at is let in again
    })
    .await
}

/// Forgets the failed log-ins of the user: the next attempt is the first of its window.
pub async fn unlock(app: &App, who: &str) -> Result<Value, AdminError> {
    change(app, who, |account, _| Ok(Changes::none().reset(counter_of(account.user.id)))).await
}

/// Ends every session of the user.
pub async fn end_sessions(app: &App, who: &str) -> Result<Value, AdminError> {
    change(app, who, |account, moment| Ok(moment.ending(account.user.with_new_epoch(EndReason::Revoked)))).await
}
