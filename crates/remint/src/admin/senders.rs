//! Senders: who carries messages to phones. An administrator declares one; what the configuration sets stands over it.
//! Whoever sets one reads every code that is sent from then on. Never answers an address whole, nor a secret.

use remint_core::audit::{Act, Target};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::id::UserId;
use remint_core::rev::Rev;
use remint_core::sender::{Sender, SenderName, SmsLimits, SomeLimits};
use serde_json::{Map, Value, json};

use crate::admin::checks::Finding;
use crate::admin::{AdminError, By, Seen, differences, document, members};
use crate::app::App;
use crate::config::{Key, checked_secret};
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::message::{opened, sealed};
use crate::settings::{Carrier, WebhookSecret, WebhookTarget};
use crate::store::{Commit, Question, Reader, SenderNamed, StoreError};

/// What is sealed: the configuration sets both or none.
const SEALED: [&str; 2] = ["webhook_url", "secret"];

/// A sender as a request wants it.
struct Wanted {
    url: String,
    /// The one that is there stays, where none is named.
    secret: Option<WebhookSecret>,
    limits: SomeLimits,
}

impl Wanted {
    fn read(by: &By, mut input: Map<String, Value>) -> Result<Self, AdminError> {
        let text = |name: &str, value| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(AdminError::invalid(name, "must be a text")),
        };
        let url = text("webhook_url", input.remove("webhook_url"))?.unwrap_or_default();
        let expected = || format!("must be {}", Key::SmsWebhookUrl.expected());
        let url = WebhookTarget::checked_url(&url).ok_or_else(|| AdminError::invalid("webhook_url", expected()))?;
        if by.acting_client().is_some() && (!url.starts_with("https:") || WebhookTarget::is_inside(&url)) {
            let what = "must be https and no address of this machine or of a private network: those are declared at this \
                        machine only, by `remint sender` or the configuration";
            return Err(AdminError::invalid("webhook_url", what));
        }
        let secret = text("secret", input.remove("secret"))?;
        let secret = secret.map(|text| checked_secret(&text).map_err(|why| AdminError::invalid("secret", why)));
        Ok(Self { url, secret: secret.transpose()?, limits: document(input)? })
    }

    /// The row that holds it, and the names of what is not as it was.
    fn row(&self, app: &App, name: SenderName, before: Option<&Sender>) -> Result<(Sender, Vec<String>), AdminError> {
        let target = before.and_then(|row| opened(&app.keyring, row));
        let kept = target.as_ref().map(|target| &target.secret);
        let secret = self.secret.as_ref().or(kept).ok_or_else(|| {
            AdminError::invalid(
                "secret",
                "is missing: make one with `openssl rand -hex 32`, and tell it to the receiver",
            )
        })?;
        let limits = before.map(|row| members(&row.limits)).unwrap_or_default();
        let mut names = differences(&limits, &members(&self.limits));
        let same = [
            target.as_ref().is_some_and(|target| target.url == self.url),
            kept.is_some_and(|kept| {
                aws_lc_rs::constant_time::verify_slices_are_equal(kept.as_bytes(), secret.as_bytes()).is_ok()
            }),
        ];
        names.extend(SEALED.iter().zip(same).filter(|(_, same)| !same).map(|(name, _)| (*name).to_owned()));
        let rev = before.map_or(Rev::NEW, |row| row.rev);
        let sealed = match (before, same) {
            (Some(row), [true, true]) => row.sealed.clone(),
            _ => sealed(&app.keyring, name, &self.url, secret)
                .ok_or_else(|| AdminError::wrong("the secret could not be sealed: try again"))?,
        };
        Ok((Sender { name, limits: self.limits.clone(), sealed, rev }, names))
    }
}

/// Declares a sender: what is not named takes its default, but for the secret, which stays. Says whether it is new.
pub async fn put(app: &App, by: &By, name: &str, input: Map<String, Value>) -> Result<(Seen, bool), AdminError> {
    let name = named(name)?;
    let wanted = Wanted::read(by, input)?;
    for _ in 0..MAX_CONFLICTS {
        let before = app.store.read(SenderNamed(name)).await?;
        by.expects(before.as_ref().map_or(Rev::NEW, |row| row.rev))?;
        let (row, names) = wanted.row(app, name, before.as_ref())?;
        if names.is_empty() {
            return Ok((Seen { view: view(app, &row), rev: row.rev }, false));
        }
        let entry = by.did(Act::SenderSet, Target::Sender(name), app.clock.now()).names(names);
        match by.commit(app, Changes::none().write(Row::Sender(row.clone())).audit(entry)).await? {
            Commit::Done { .. } => {
                let seen = Seen { view: view(app, &row), rev: row.rev.next() };
                return Ok((seen, before.is_none()));
            }
            Commit::Conflict { .. } => {} // declared by somebody else in between
        }
    }
    Err(Failure::Contended.into())
}

/// What [`put`] would change: names, no values. So a file can be compared with what is there, and nobody without the
/// right to replace a secret can try one.
pub async fn preview(app: &App, by: &By, name: &str, input: Map<String, Value>) -> Result<Value, AdminError> {
    let name = named(name)?;
    let before = app.store.read(SenderNamed(name)).await?;
    let (_, names) = Wanted::read(by, input)?.row(app, name, before.as_ref())?;
    Ok(json!({ "name": name.as_str(), "changes": names, "overridden": overridden(app) }))
}

/// Removes a sender; what the configuration sets stays.
pub async fn remove(app: &App, by: &By, name: &str) -> Result<Value, AdminError> {
    for _ in 0..MAX_CONFLICTS {
        let row = found(app, name).await?;
        by.expects(row.rev)?;
        let entry = by.did(Act::SenderRemoved, Target::Sender(row.name), app.clock.now());
        let gone = Changes::none().delete(RowKey::Sender(row.name), row.rev).audit(entry);
        if let Commit::Done { .. } = by.commit(app, gone).await? {
            return Ok(json!({ "name": row.name.as_str(), "removed": true }));
        }
    }
    Err(Failure::Contended.into())
}

/// One that is declared.
pub async fn show(app: &App, name: &str) -> Result<Seen, AdminError> {
    let row = found(app, name).await?;
    Ok(Seen { view: view(app, &row), rev: row.rev })
}

/// All that there are: the one that the configuration sets, and the declared ones.
pub async fn list(app: &App) -> Result<Value, AdminError> {
    let mut all = Vec::new();
    all.extend(set(app).await?);
    for name in SenderName::ALL {
        all.extend(app.store.read(SenderNamed(name)).await?.map(|row| view(app, &row)));
    }
    Ok(json!({ "senders": all }))
}

fn named(name: &str) -> Result<SenderName, AdminError> {
    name.parse().map_err(|_| AdminError::not_found("sender", name))
}

async fn found(app: &App, name: &str) -> Result<Sender, AdminError> {
    let row = app.store.read(SenderNamed(named(name)?)).await?;
    row.ok_or_else(|| AdminError::not_found("sender", name))
}

fn view(app: &App, row: &Sender) -> Value {
    let target = opened(&app.keyring, row);
    let mut view = members(&row.limits.over(SmsLimits::default()));
    view.insert("name".into(), json!(row.name.as_str()));
    view.insert("source".into(), json!("declared"));
    view.insert("in_use".into(), json!(matches!(app.settings.sms.carrier, Carrier::Nobody) && target.is_some()));
    view.insert("webhook".into(), json!(target.map(|target| origin(&target.url))));
    view.insert("overridden".into(), json!(overridden(app)));
    Value::Object(view)
}

/// The sender that the configuration sets, with the limits in force.
async fn set(app: &App) -> Result<Option<Value>, AdminError> {
    let (source, webhook) = match &app.settings.sms.carrier {
        Carrier::Nobody => return Ok(None),
        Carrier::Inbox => ("inbox", None),
        Carrier::Webhook(target) => ("configuration", Some(origin(&target.url))),
    };
    let mut view = members(&app.outbox.limits().await?);
    view.insert("name".into(), json!(SenderName::Sms.as_str()));
    view.insert("source".into(), json!(source));
    view.insert("in_use".into(), json!(true));
    view.insert("webhook".into(), json!(webhook));
    view.insert("overridden".into(), json!([]));
    Ok(Some(Value::Object(view)))
}

/// The members of the declared sender that the configuration sets, and so wins.
fn overridden(app: &App) -> Vec<String> {
    let sms = &app.settings.sms;
    let carried = !matches!(sms.carrier, Carrier::Nobody);
    let sealed = SEALED.into_iter().filter(|_| carried).map(str::to_owned);
    sealed.chain(members(&sms.limits).into_iter().map(|(name, _)| name)).collect()
}

/// What may be shown of an address: the rest is often a password.
pub(crate) fn origin(url: &str) -> String {
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let end = url[host_at..].find(['/', '?']).map_or(url.len(), |at| host_at + at);
    url[..end].to_owned()
}

/// Whether anybody has a verified number.
struct AnyNumber;

impl Question for AnyNumber {
    type Answer = bool;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT id FROM users WHERE phone_number IS NOT NULL LIMIT 1";
        Ok(reader.one("users", sql, &[], |record| record.bytes("id").map(UserId::from_bytes))?.is_some())
    }
}

/// What `remint doctor` says of senders.
pub async fn check(app: &App) -> Result<Finding, AdminError> {
    const CHECK: &str = "sender";
    let declared = app.store.read(SenderNamed(SenderName::Sms)).await?;
    let opens = declared.as_ref().map(|row| opened(&app.keyring, row).is_some());
    Ok(match (&app.settings.sms.carrier, opens) {
        (Carrier::Webhook(_), Some(_)) => {
            let found = "`sms_webhook_url` of the configuration wins over the declared sender `sms`, which is not used: take \
                         one of the two away (`remint sender remove sms --yes`)";
            Finding::warning(CHECK, found)
        }
        (Carrier::Webhook(_), None) => Finding::ok(CHECK, "the webhook of the configuration"),
        (Carrier::Inbox, _) => Finding::ok(CHECK, "the inbox of `remint dev`"),
        (Carrier::Nobody, Some(true)) => Finding::ok(CHECK, "the declared sender `sms`"),
        (Carrier::Nobody, Some(false)) => {
            let found = "the declared sender `sms` does not open, so no code is sent: its row was changed from outside. \
                         Declare it again with `remint sender set sms`";
            Finding::error(CHECK, found)
        }
        (Carrier::Nobody, None) if app.store.read(AnyNumber).await? => {
            let found = "there is none, and users have verified numbers: they cannot log in, because no code reaches them. \
                         Declare one with `remint sender set sms`, or take a number off with `remint user remove-phone`";
            Finding::error(CHECK, found)
        }
        (Carrier::Nobody, None) => Finding::ok(CHECK, "none: nobody can verify a phone number here"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_its_host_is_shown() {
        for (url, shown) in [
            ("https://sms.example.com/send?key=1", "https://sms.example.com"),
            ("https://sms.example.com:8443?key=1", "https://sms.example.com:8443"),
            ("http://[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(origin(url), shown);
        }
    }
}
