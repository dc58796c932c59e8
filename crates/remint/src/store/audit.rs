//! The audit log as SQL: entries are added with the changes that they tell of, and read a page at a time, newest first.
//! There is no statement here that changes or removes one.

use remint_core::audit::{Act, Actor, Doer, Entry, Target};
use remint_core::id::SessionId;
use remint_core::time::Timestamp;

use super::ask::{Question, Reader};
use super::error::StoreError;
use super::record::{BadColumn, Param, Record};

/// Adds an entry; the database numbers it.
pub(super) const INSERT: &str = "INSERT INTO audit (at, act, actor, target, client_id, sid, address, reason, names) \
                                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// The values of [`INSERT`].
pub(super) fn values(entry: &Entry) -> Result<Vec<Param<'_>>, StoreError> {
    let unstorable = StoreError::Unstorable { table: "audit", column: "names" };
    Ok(vec![
        Param::time(entry.at),
        Param::text(entry.act.as_str()),
        Param::owned(entry.doer.actor.to_string()),
        Param::owned(entry.target.to_string()),
        Param::maybe(entry.client.as_ref(), |client| Param::text(client.as_str())),
        Param::maybe(entry.sid.as_ref(), |sid| Param::blob(sid.as_bytes())),
        Param::text(&entry.doer.from),
        Param::maybe(entry.doer.reason.as_ref(), |reason| Param::text(reason.as_str())),
        Param::owned(serde_json::to_string(&entry.names).map_err(|_| unstorable)?),
    ])
}

/// Entries of the audit log, the newest first.
#[derive(Clone, Debug)]
pub struct AuditLog {
    /// Only those by this actor.
    pub actor: Option<Actor>,
    /// Only those about this target.
    pub target: Option<Target>,
    /// Only those of this act.
    pub act: Option<Act>,
    /// None before this time.
    pub since: Timestamp,
    /// Only those before this place: of the last entry of the page before, or [`AuditLog::before`].
    pub until: (Timestamp, u64),
    /// At most so many.
    pub limit: usize,
}

impl AuditLog {
    /// The place before everything at `at` and later.
    pub const fn before(at: Timestamp) -> (Timestamp, u64) {
        (at, 0)
    }
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its place.
    pub seq: u64,
    /// What it says.
    pub entry: Entry,
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT seq, at, act, actor, target, client_id, sid, address, reason, names FROM audit WHERE ",
            $filter,
            " ORDER BY at DESC, seq DESC LIMIT $7"
        )
    };
}

/// One statement for each index that can answer; the other filters are looked at on the way.
const BY_TARGET: &str =
    select!("target = $1 AND (at, seq) < ($2, $3) AND at >= $4 AND ($5 = '' OR actor = $5) AND ($6 = '' OR act = $6)");
const BY_ACTOR: &str =
    select!("actor = $1 AND (at, seq) < ($2, $3) AND at >= $4 AND ($5 = '' OR target = $5) AND ($6 = '' OR act = $6)");
const BY_TIME: &str = select!(
    "($1 = '' OR target = $1) AND (at, seq) < ($2, $3) AND at >= $4 AND ($5 = '' OR actor = $5) \
     AND ($6 = '' OR act = $6)"
);

impl Question for AuditLog {
    type Answer = Vec<Audited>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let text = |filter: Option<String>| Param::owned(filter.unwrap_or_default());
        let (target, actor) = (self.target.as_ref().map(Target::to_string), self.actor.as_ref().map(Actor::to_string));
        let (sql, first, other) = match (target, actor) {
            (Some(target), actor) => (BY_TARGET, text(Some(target)), text(actor)),
            (None, Some(actor)) => (BY_ACTOR, text(Some(actor)), text(None)),
            (None, None) => (BY_TIME, text(None), text(None)),
        };
        let (at, seq) = self.until;
        let params = [
            first,
            Param::time(at),
            Param::Int(i64::try_from(seq).unwrap_or(i64::MAX)),
            Param::time(self.since),
            other,
            Param::text(self.act.map_or("", Act::as_str)),
            Param::limit(self.limit),
        ];
        reader.all("audit", sql, &params, audited)
    }
}

fn audited(record: &mut Record<'_>) -> Result<Audited, BadColumn> {
    let seq = record.int("seq")?;
    let (at, act) = (record.time("at")?, record.parsed("act")?);
    let (actor, target) = (record.parsed("actor")?, record.parsed("target")?);
    let client = record.maybe_text("client_id")?.map(str::parse).transpose().map_err(|_| BadColumn("client_id"))?;
    let sid = record.maybe_bytes("sid")?.map(SessionId::from_bytes);
    let from = record.text("address")?.to_owned();
    let reason = record.maybe_text("reason")?.map(str::parse).transpose().map_err(|_| BadColumn("reason"))?;
    let names = record.json("names")?;
    let doer = Doer { actor, from, reason };
    Ok(Audited { seq, entry: Entry { at, doer, act, target, client, sid, names, within: Vec::new() } })
}
