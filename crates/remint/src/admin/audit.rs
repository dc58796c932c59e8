//! The audit log, read a page at a time. Never changes it: entries are committed with what they tell of.

use remint_core::audit::{Act, Actor, Target};
use remint_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::AdminError;
use crate::admin::page::Page;
use crate::app::App;
use crate::store::{AuditLog, Audited};

/// Which entries are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    actor: Option<String>,
    target: Option<String>,
    act: Option<String>,
    since: Option<i64>,
    until: Option<i64>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Entries that pass the filter, the newest first. `since` counts itself, `until` does not.
pub async fn list(app: &App, filter: &Filter) -> Result<Value, AdminError> {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let secs = |part: Option<i64>| part.map(|secs| secs.to_string()).unwrap_or_default();
    let filters =
        [text(&filter.actor), text(&filter.target), text(&filter.act), secs(filter.since), secs(filter.until)];
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let page = Page::wanted(app, "audit", &filters, filter.limit, filter.cursor.as_deref())?;
    let until = filter.until.map_or(Timestamp::MAX, Timestamp::from_secs);
    let question = AuditLog {
        actor: parsed::<Actor>("actor", filter.actor.as_deref())?,
        target: parsed::<Target>("target", filter.target.as_deref())?,
        act: parsed::<Act>("act", filter.act.as_deref())?,
        since: filter.since.map_or(Timestamp::from_micros(i64::MIN), Timestamp::from_secs),
        until: page.place().map_or(Ok(AuditLog::before(until)), placed)?,
        limit: page.one_more(),
    };
    let mut entries = app.store.read(question).await?;
    let next = page.next(app, &mut entries, place);
    Ok(json!({ "entries": entries.iter().map(view).collect::<Vec<_>>(), "next": next }))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<&str>,
) -> Result<Option<T>, AdminError> {
    text.map(str::parse).transpose().map_err(|bad| AdminError::invalid(name, bad))
}

fn place(entry: &Audited) -> Vec<u8> {
    [entry.entry.at.micros().to_be_bytes(), entry.seq.to_be_bytes()].concat()
}

fn placed(place: &[u8]) -> Result<(Timestamp, u64), AdminError> {
    let part = |range| place.get(range).and_then(|bytes: &[u8]| <[u8; 8]>::try_from(bytes).ok());
    match (part(0..8), part(8..16)) {
        (Some(at), Some(seq)) => Ok((Timestamp::from_micros(i64::from_be_bytes(at)), u64::from_be_bytes(seq))),
        _ => Err(AdminError::invalid("cursor", "is of an earlier version of this server: begin anew")),
    }
}

fn view(audited: &Audited) -> Value {
    let entry = &audited.entry;
    json!({
        "id": audited.seq,
        "at": entry.at.secs(),
        "act": entry.act.as_str(),
        "actor": entry.doer.actor.to_string(),
        "target": entry.target.to_string(),
        "client_id": entry.client,
        "sid": entry.sid,
        "from": entry.doer.from,
        "reason": entry.doer.reason.as_ref().map(|reason| reason.as_str()),
        "names": entry.names,
    })
}
