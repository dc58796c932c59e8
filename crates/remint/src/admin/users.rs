//! Users: made, changed, disabled and deleted by an administrator. Whatever ends sessions tells the feed in the same
//! commit. Never answers a password or its hash.

use std::time::Duration;

use remint_core::administration::AdminScope;
use remint_core::attribute::{Declarations, Writer};
use remint_core::audit::{Act, Target};
use remint_core::change::{Changes, Identifier, PasswordRow, Row, RowKey};
use remint_core::event::{Cause, Initiator};
use remint_core::id::{AttributeName, UserId};
use remint_core::notice;
use remint_core::refusal::Refusal;
use remint_core::rev::Rev;
use remint_core::secret::Password;
use remint_core::session::EndReason;
use remint_core::time::Timestamp;
use remint_core::user::{Attributes, User, UserStatus};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::account::external::ExternalId;
use crate::account::identifier::CanonicalIdentifier;
use crate::account::phone;
use crate::account::throttle::counter_of;
use crate::admin::page::Page;
use crate::admin::{AdminError, By, Seen};
use crate::app::App;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::message::Content;
use crate::store::{
    Account, AccountById, AccountOf, Commit, DeclaredAttributes, IdentifiersOf, Named, UsersCalled, UsersListed,
};

/// A user to be made.
#[derive(Debug, Default)]
pub struct NewUser {
    /// What the person types to log in: user names and e-mail addresses.
    pub identifiers: Vec<String>,
    /// What a backend that keeps its own users calls the person.
    pub external_id: Option<String>,
    /// The first password; without one nobody can log in by password.
    pub password: Option<String>,
    /// The attributes.
    pub attributes: Map<String, Value>,
}

/// Makes a user.
pub async fn create(app: &App, by: &By, new: NewUser) -> Result<Seen, AdminError> {
    let identifiers = names(&new)?;
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
    let entry = by.did(Act::UserCreated, Target::User(id), now).names(new.attributes.keys());
    let mut changes = Changes::none().write(Row::User(user.clone())).audit(entry);
    for text in &identifiers {
        changes = changes.write(Row::Identifier(Identifier { text: text.clone(), user: id, rev: Rev::NEW }));
    }
    if let Some(hash) = hash {
        changes = changes.write(Row::Password(PasswordRow { user: id, hash, changed_at: now, rev: Rev::NEW }));
    }
    match by.commit(app, changes).await? {
        Commit::Done { .. } => Ok(Seen { view: view(&user, &identifiers), rev: user.rev.next() }),
        Commit::Conflict { key: RowKey::Identifier(text), .. } => Err(taken(&text)),
        Commit::Conflict { .. } => Err(Failure::Contended.into()),
    }
}

fn taken(identifier: &str) -> AdminError {
    match ExternalId::of_identifier(identifier) {
        Some(id) => AdminError::exists("external id", id),
        None => AdminError::exists("identifier", identifier),
    }
}

/// What the user is called, each in the form in which it is stored.
fn names(new: &NewUser) -> Result<Vec<String>, AdminError> {
    let external = new.external_id.as_deref().map(str::parse::<ExternalId>).transpose();
    let mut all = Vec::new();
    all.extend(external.map_err(|bad| AdminError::invalid("external_id", bad))?.map(|id| id.identifier()));
    for text in &new.identifiers {
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

fn view(user: &User, names: &[String]) -> Value {
    let identifiers: Vec<_> = names.iter().filter(|name| ExternalId::of_identifier(name).is_none()).collect();
    json!({
        "id": user.id,
        "identifiers": identifiers,
        "external_id": names.iter().find_map(|name| ExternalId::of_identifier(name)),
        "status": user.status,
        "attributes": user.attributes,
        "phone_number": user.phone_number,
        "cv": user.cv,
        "created_at": user.created_at.secs(),
    })
}

fn texts(identifiers: &[Identifier]) -> Vec<String> {
    identifiers.iter().map(|identifier| identifier.text.clone()).collect()
}

/// One user, by id, by identifier, or as `external:` and the external id.
pub async fn show(app: &App, who: &str) -> Result<Seen, AdminError> {
    let account = account(app, who).await?;
    let identifiers = app.store.read(IdentifiersOf(account.user.id)).await?;
    Ok(Seen { view: view(&account.user, &texts(&identifiers)), rev: account.user.rev })
}

/// The user of that id, of that identifier or of that external id. One that was deleted is not found.
pub(super) async fn account(app: &App, who: &str) -> Result<Account, AdminError> {
    if let Some(external) = ExternalId::of_path(who) {
        let id = external.map_err(|_| AdminError::not_found("user", who))?;
        let found = app.store.read(AccountOf(id.identifier())).await?;
        let exists = found.filter(|account| account.user.status != UserStatus::Deleted);
        return exists.ok_or_else(|| AdminError::not_found("user", who));
    }
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

/// Which users are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    identifier: Option<String>,
    status: Option<UserStatus>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Users in the order of their ids, or, where `identifier` says how one of theirs begins, in the order of these; a page
/// at a time. None that is deleted.
pub async fn list(app: &App, filter: &Filter) -> Result<Value, AdminError> {
    if filter.status == Some(UserStatus::Deleted) {
        return Err(AdminError::invalid("status", "must be `active` or `disabled`: who is deleted is not shown"));
    }
    let prefix = filter.identifier.as_deref().map(beginning);
    if prefix.as_deref().is_some_and(|prefix| prefix.contains(char::is_control)) {
        return Err(AdminError::invalid("identifier", "holds a control character, as no identifier does"));
    }
    let status = filter.status.map(|status| json!(status).to_string()).unwrap_or_default();
    let (kind, limit, cursor) =
        (if prefix.is_some() { "called" } else { "all" }, filter.limit, filter.cursor.as_deref());
    let page = Page::wanted(app, "users", &[kind, prefix.as_deref().unwrap_or_default(), &status], limit, cursor)?;
    let (users, next) = match prefix {
        Some(prefix) => called(app, &page, prefix, filter.status).await?,
        None => listed(app, &page, filter.status).await?,
    };
    let view = |(user, identifiers): &Named| view(user, &texts(identifiers));
    Ok(json!({ "users": users.iter().map(view).collect::<Vec<_>>(), "next": next }))
}

/// How the canonical form of what begins so begins.
fn beginning(typed: &str) -> String {
    let whole: Option<CanonicalIdentifier> = typed.parse().ok();
    whole.map_or_else(|| typed.trim().to_lowercase(), |canonical| canonical.as_str().to_owned())
}

async fn listed(
    app: &App,
    page: &Page,
    status: Option<UserStatus>,
) -> Result<(Vec<Named>, Option<String>), AdminError> {
    let after = page.place().and_then(|place| place.try_into().ok()).map(UserId::from_bytes);
    let mut users = app.store.read(UsersListed { status, after, limit: page.one_more() }).await?;
    let next = page.next(app, &mut users, |(user, _)| user.id.as_bytes().to_vec());
    Ok((users, next))
}

async fn called(
    app: &App,
    page: &Page,
    prefix: String,
    status: Option<UserStatus>,
) -> Result<(Vec<Named>, Option<String>), AdminError> {
    let after = page.text_place();
    let mut users = app.store.read(UsersCalled { prefix, status, after, limit: page.one_more() }).await?;
    let next = page.next(app, &mut users, |(identifier, _)| identifier.as_bytes().to_vec());
    Ok((users.into_iter().map(|(_, named)| named).collect(), next))
}

/// What a decision about a user needs beside the record.
struct Moment {
    now: Timestamp,
    horizon: Duration,
    declared: Declarations,
    identifiers: Vec<Identifier>,
}

/// What a decision about a user comes to: the record, what is committed with it, and which attributes changed.
struct Wanted {
    user: User,
    with: Changes,
    names: Vec<AttributeName>,
}

impl Wanted {
    fn record(user: User) -> Self {
        Self { user, with: Changes::none(), names: Vec::new() }
    }

    fn with(self, with: Changes) -> Self {
        Self { with, ..self }
    }
}

impl Moment {
    /// Every session of the user ends.
    fn ending(&self, user: User) -> Wanted {
        let told = notice::user_ended(&user, self.horizon, self.now);
        Wanted::record(user).with(Changes::none().notice(told))
    }
}

/// Decides on the record as it stands, commits, and decides again where it moved. Nothing wanted: it was so already.
async fn change(
    app: &App,
    by: &By,
    act: Act,
    who: &str,
    decide: impl Fn(&Account, &Moment) -> Result<Option<Wanted>, AdminError>,
) -> Result<(Seen, Value), AdminError> {
    for _ in 0..MAX_CONFLICTS {
        let account = account(app, who).await?;
        by.expects(account.user.rev)?;
        let moment = Moment {
            declared: app.store.read(DeclaredAttributes).await?,
            identifiers: app.store.read(IdentifiersOf(account.user.id)).await?,
            horizon: app.horizon().await?,
            now: app.clock.now(),
        };
        let answer = |user: &User, rev: Rev| {
            let short = json!({ "id": user.id, "cv": user.cv });
            (Seen { view: view(user, &texts(&moment.identifiers)), rev }, short)
        };
        let Some(wanted) = decide(&account, &moment)? else { return Ok(answer(&account.user, account.user.rev)) };
        let Wanted { user, with, names } = wanted;
        let entry = by.did(act, Target::User(user.id), moment.now).names(names);
        match by.commit(app, with.write(Row::User(user.clone())).audit(entry)).await? {
            Commit::Done { .. } => return Ok(answer(&user, user.rev.next())),
            Commit::Conflict { .. } => {} // the record moved
        }
    }
    Err(Failure::Contended.into())
}

/// The new version alone.
fn briefly((seen, short): (Seen, Value)) -> Seen {
    Seen { view: short, ..seen }
}

/// Writes attributes, also those that only an administrator may write; `null` removes one. Answers the record with its
/// new `cv`; to a caller who may not see users, the `cv` alone.
pub async fn patch(app: &App, by: &By, who: &str, patch: &Map<String, Value>) -> Result<Seen, AdminError> {
    let patched = change(app, by, Act::UserChanged, who, |account, moment| {
        let patched = account.user.patched(patch, &moment.declared, Writer::Admin).map_err(Refusal::from)?;
        let Some(changed) = patched else { return Ok(None) };
        let (cause, who) = (Cause::Attributes, Initiator::Admin);
        let names = changed.names.clone();
        let told = notice::claims_changed(&changed.user, changed.names, cause, who, moment.horizon, moment.now);
        Ok(Some(Wanted { user: changed.user, with: Changes::none().notice(told), names }))
    });
    let patched = patched.await?;
    Ok(if by.may(AdminScope::UsersRead) { patched.0 } else { briefly(patched) })
}

/// The user has no phone number and no second factor any more: for whoever has lost the phone. The number is told.
pub async fn remove_phone(app: &App, by: &By, who: &str) -> Result<Seen, AdminError> {
    let before = account(app, who).await?.user.phone_number;
    let removed = change(app, by, Act::UserChanged, who, |account, moment| {
        let Some(changed) = account.user.with_phone_number(None) else { return Ok(None) };
        let (cause, who) = (Cause::Attributes, Initiator::Admin);
        let names = changed.names.clone();
        let told = notice::claims_changed(&changed.user, changed.names, cause, who, moment.horizon, moment.now);
        Ok(Some(Wanted { user: changed.user, with: Changes::none().notice(told), names }))
    });
    let removed = briefly(removed.await?);
    phone::tell(app, before, Content::NumberRemoved).await;
    Ok(removed)
}

/// The user may log in no more, and every session ends.
pub async fn disable(app: &App, by: &By, who: &str) -> Result<Seen, AdminError> {
    let disabled = change(app, by, Act::UserDisabled, who, |account, moment| match account.user.status {
        UserStatus::Active => Ok(Some(moment.ending(account.user.disabled()))),
        UserStatus::Disabled | UserStatus::Deleted => Ok(None),
    });
    Ok(briefly(disabled.await?))
}

/// The user may log in again; what ended stays ended.
pub async fn enable(app: &App, by: &By, who: &str) -> Result<Seen, AdminError> {
    let enabled = change(app, by, Act::UserEnabled, who, |account, _| match account.user.status {
        UserStatus::Disabled => Ok(Some(Wanted::record(account.user.enabled()))),
        UserStatus::Active | UserStatus::Deleted => Ok(None),
    });
    Ok(briefly(enabled.await?))
}

/// The record is emptied, identifiers and password are gone, every session ends; the id is never used again.
pub async fn delete(app: &App, by: &By, who: &str) -> Result<Seen, AdminError> {
    let deleted = change(app, by, Act::UserDeleted, who, |account, moment| {
        let mut wanted = moment.ending(account.user.deleted());
        for identifier in &moment.identifiers {
            wanted.with = wanted.with.delete(RowKey::Identifier(identifier.text.clone()), identifier.rev);
        }
        if let Some(password) = &account.password {
            wanted.with = wanted.with.delete(RowKey::Password(account.user.id), password.rev);
        }
        Ok(Some(wanted))
    });
    Ok(briefly(deleted.await?))
}

/// Sets the password, and ends every session: whoever knew the old one is out.
pub async fn set_password(app: &App, by: &By, who: &str, password: String) -> Result<Seen, AdminError> {
    let hash = app.passwords.hash(new_password(password)?).await?;
    let set = change(app, by, Act::PasswordChanged, who, |account, moment| {
        let rev = account.password.as_ref().map_or(Rev::NEW, |row| row.rev);
        let row = PasswordRow { user: account.user.id, hash: hash.clone(), changed_at: moment.now, rev };
        let mut wanted = moment.ending(account.user.with_new_epoch(EndReason::PasswordChanged));
        wanted.with = wanted.with.write(Row::Password(row)).reset(counter_of(account.user.id)); // who was guessed at is let in again
        Ok(Some(wanted))
    });
    Ok(briefly(set.await?))
}

/// Forgets the failed log-ins of the user: the next attempt is the first of its window.
pub async fn unlock(app: &App, by: &By, who: &str) -> Result<Seen, AdminError> {
    let Account { user, .. } = account(app, who).await?;
    by.expects(user.rev)?;
    let entry = by.did(Act::UserUnlocked, Target::User(user.id), app.clock.now());
    by.commit(app, Changes::none().reset(counter_of(user.id)).audit(entry)).await?; // the record stays: no conflict
    Ok(Seen { view: json!({ "id": user.id, "cv": user.cv }), rev: user.rev })
}

/// Ends every session of the user.
pub async fn end_sessions(app: &App, by: &By, who: &str) -> Result<Seen, AdminError> {
    let ended = change(app, by, Act::SessionsEnded, who, |account, moment| {
        Ok(Some(moment.ending(account.user.with_new_epoch(EndReason::Revoked))))
    });
    Ok(briefly(ended.await?))
}
