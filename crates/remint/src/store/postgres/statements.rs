//! What a batch asks of the database: to lock what it needs, to write what it came to, and to grow the feed. Many rows in
//! each statement, in the order of their keys, so that two nodes wait for each other as seldom as can be.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::rc::Rc;

use remint_core::change::RowKey;
use remint_core::event::{Cursor, Notice};
use remint_core::id::{SessionId, UserId};
use remint_core::rev::Rev;
use remint_core::time::Timestamp;

use super::batch::{Batch, Needs, Tally};
use super::column::Column;
use super::column::Kind::{self, Blob, Int, Text};
use super::session::{Call, Session};
use super::tables::{APIS, AUDIENCES, TABLES, table};
use super::trouble::Trouble;
use crate::store::append::{self, event_columns};
use crate::store::ask::{cursor, decoded, no_feed_head};
use crate::store::audit;
use crate::store::documents::Age;
use crate::store::error::StoreError;
use crate::store::record::{Answer, BadColumn, Param, Record};
use crate::store::rows;
use crate::store::take::Counted;

/// Rows of a statement: the values of each.
type Values<'a> = Vec<Vec<Param<'a>>>;

const COUNTERS: &str = "SELECT t.key, t.count, t.started_at, t.expires_at FROM UNNEST($1::TEXT[]) AS k (key) \
                        JOIN counters AS t ON t.key = k.key ORDER BY t.key FOR UPDATE OF t";

/// Fetches sessions and their users together, for questions that are asked next in the same snapshot.
pub(super) fn fetch(session: &Session, sids: Vec<SessionId>) -> Result<(), Trouble> {
    let sids: HashSet<RowKey> = sids.into_iter().map(RowKey::Session).collect();
    let mut users = HashSet::new();
    for row in fetch_all(session, &sids)? {
        let mut record = Record::of(Answer::Postgres(&row));
        // What cannot be read is found, and named, by the question.
        let of = record.bytes::<16>("sid").and_then(|_| record.rev()).and_then(|_| record.bytes("user_id"));
        users.extend(of.ok().map(|id| RowKey::User(UserId::from_bytes(id))));
    }
    fetch_all(session, &users).map(drop)
}

/// Rows of one table by their keys, kept in the session, those that are not there too.
fn fetch_all(session: &Session, keys: &HashSet<RowKey>) -> Result<Vec<Rc<tokio_postgres::Row>>, Trouble> {
    let Some(bulk) = keys.iter().next().map(|key| &TABLES[table(key)]) else { return Ok(Vec::new()) };
    let params: Values<'_> = keys.iter().map(rows::key).collect();
    let first = bulk.kinds[bulk.kinds.len() - bulk.keys];
    let found = session.many(&Call { sql: &bulk.fetch, columns: Column::all(&[first], &params) })?;
    keys.iter().for_each(|key| session.keep(key.clone(), None));
    let mut kept = Vec::with_capacity(found.len());
    for row in found.into_iter().map(Rc::new) {
        if let Ok(key) = bulk.key(&mut Record::of(Answer::Postgres(&row))) {
            session.keep(key, Some(Rc::clone(&row)));
        }
        kept.push(row);
    }
    Ok(kept)
}

/// What an answer to a locking statement is about.
enum Locked {
    Rows(usize),
    Audiences,
    Counters,
}

/// Locks what a batch needs, and tells the batch what is there.
pub(super) fn locked<'a>(session: &Session, needs: &Needs<'a>) -> Result<Batch<'a>, Trouble> {
    let (written, expected) = (by_table(&needs.written), by_table(&needs.expected));
    // In one statement, and so in one order: in two, two nodes could each hold what the other one waits for.
    let both: Vec<_> = written.iter().zip(&expected).map(|(written, expected)| together(written, expected)).collect();
    let texts = |set: &HashSet<&'a str>| -> Values<'a> {
        let mut all: Vec<_> = set.iter().map(|text| vec![Param::text(text)]).collect();
        all.sort_unstable_by(|a, b| ordered(&a[0], &b[0]));
        all
    };
    let (audiences, counters) = (texts(&needs.audiences), texts(&needs.counters));
    let (mut about, mut calls) = (Vec::new(), Vec::new());
    let mut ask = |what, sql, kind: Kind, keys| {
        about.push(what);
        calls.push(Call { sql, columns: Column::all(&[kind], keys) });
    };
    for (i, bulk) in TABLES.iter().enumerate() {
        let first = bulk.kinds[bulk.kinds.len() - bulk.keys];
        let (sql, keys) = if written[i].is_empty() { (&bulk.share, &expected[i]) } else { (&bulk.lock, &both[i]) };
        if !keys.is_empty() {
            ask(Locked::Rows(i), sql.as_str(), first, keys);
        }
        if i == APIS && !audiences.is_empty() {
            ask(Locked::Audiences, AUDIENCES, Text, &audiences);
        }
    }
    if !counters.is_empty() {
        ask(Locked::Counters, COUNTERS, Text, &counters);
    }
    let mut batch = Batch::default();
    for (what, found) in about.iter().zip(session.begin_writing(&calls)?) {
        for row in &found {
            let record = Record::of(Answer::Postgres(row));
            match what {
                Locked::Rows(i) => stored(&mut batch, *i, record, false),
                Locked::Audiences => stored(&mut batch, APIS, record, true),
                Locked::Counters => counted(&mut batch, needs, record),
            }
            .map_err(Trouble::Failed)?;
        }
    }
    Ok(batch)
}

fn stored(batch: &mut Batch<'_>, table: usize, record: Record<'_>, named: bool) -> Result<(), StoreError> {
    let bulk = &TABLES[table];
    decoded(bulk.name, record, |record| {
        let (key, rev) = (bulk.key(record)?, record.rev()?);
        if named {
            batch.called(key.clone(), record.text("audience")?.to_owned());
        }
        batch.stored(key, rev);
        Ok(())
    })
}

fn counted<'a>(batch: &mut Batch<'a>, needs: &Needs<'a>, record: Record<'_>) -> Result<(), StoreError> {
    decoded("counters", record, |record| {
        let key = needs.counters.get(record.text("key")?).ok_or(BadColumn("key"))?;
        let (count, started_at) = (record.int("count")?, record.time("started_at")?);
        batch.counted(key, Counted { count, started_at, expires_at: record.time("expires_at")? });
        Ok(())
    })
}

/// The keys of each table, in order.
fn by_table(keys: &HashSet<RowKey>) -> Vec<Values<'_>> {
    let mut all: Vec<Values<'_>> = TABLES.iter().map(|_| Vec::new()).collect();
    for key in keys {
        all[table(key)].push(rows::key(key));
    }
    all.iter_mut().for_each(|keys| keys.sort_unstable_by(|a, b| ordered(&a[0], &b[0])));
    all
}

/// The keys of one table, in order.
fn together<'a>(some: &Values<'a>, others: &Values<'a>) -> Values<'a> {
    let mut all = [some.as_slice(), others.as_slice()].concat();
    all.sort_unstable_by(|a, b| ordered(&a[0], &b[0]));
    all
}

/// The order of keys, which are of one kind.
fn ordered(a: &Param<'_>, b: &Param<'_>) -> Ordering {
    match (a, b) {
        (Param::Int(a), Param::Int(b)) => a.cmp(b),
        (Param::Text(a), Param::Text(b)) => a.cmp(b),
        (Param::Blob(a), Param::Blob(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

/// What a batch came to, of one table.
#[derive(Default)]
struct Net<'a> {
    inserts: Values<'a>,
    updates: Values<'a>,
    deletes: Vec<(RowKey, Rev)>,
}

/// Writes what a batch came to. Where another node was first after all, nothing of it counts.
pub(super) fn write(session: &Session, mut batch: Batch<'_>, documents: bool) -> Result<(), Trouble> {
    let mut net: Vec<Net<'_>> = TABLES.iter().map(|_| Net::default()).collect();
    for (key, held) in batch.rows.drain() {
        let net = &mut net[table(&key)];
        match held.values {
            Some(mut values) if held.was == Rev::NEW => {
                values.push(Param::rev(held.rev));
                net.inserts.push(values);
            }
            Some(mut values) => {
                values.extend([Param::rev(held.rev), Param::rev(held.was)]);
                net.updates.push(values);
            }
            None if held.was != held.rev => net.deletes.push((key, held.was)),
            None => {}
        }
    }
    for (bulk, net) in TABLES.iter().zip(&mut net) {
        let key = bulk.kinds.len() - bulk.keys;
        net.inserts.sort_unstable_by(|a, b| ordered(&a[key], &b[key]));
        net.updates.sort_unstable_by(|a, b| ordered(&a[key], &b[key]));
    }
    let deletes: Vec<Values<'_>> = net.iter().map(|net| deleted(&net.deletes)).collect();
    let mut writing = Writing::default();
    for ((bulk, net), deletes) in TABLES.iter().zip(&net).zip(&deletes) {
        let keys = bulk.kinds.len() - bulk.keys;
        writing.each(&bulk.delete, &[&bulk.kinds[keys..], &[Int]].concat(), deletes);
        writing.each(&bulk.update, &[&bulk.kinds[..], &[Int, Int]].concat(), &net.updates);
        writing.each(&bulk.insert, &[&bulk.kinds[..], &[Int]].concat(), &net.inserts);
    }
    let counters = Counters::of(&batch.counters.drain().collect::<Vec<_>>());
    writing.each(Counters::FORGET, &[Text], &counters.gone);
    writing.each(Counters::GO_ON, &[Text, Int, Int, Int], &counters.moved);
    writing.each(Counters::BEGIN, &[Text, Int, Int, Int], &counters.begun);
    let entries: Values<'_> =
        batch.entries.iter().map(|entry| audit::values(entry)).collect::<Result<_, _>>().map_err(Trouble::Failed)?;
    writing.each(ENTRIES, ENTRY, &entries);
    let events: Values<'_> = batch
        .events
        .iter()
        .map(|seq| append::number(*seq).map(|seq| vec![seq]))
        .collect::<Result<_, _>>()
        .map_err(Trouble::Failed)?;
    writing.whatever(FORGET_EVENTS, &[Int], &events);
    if documents {
        writing.whatever(AGE, &[], &[]);
    }
    writing.run(session)
}

/// Writes rows anew, each where it is at its `rev`, and commits them. The keys of those that were.
pub(super) fn renew(session: &Session, table: usize, mut values: Values<'_>) -> Result<HashSet<RowKey>, Trouble> {
    let bulk = &TABLES[table];
    let key = bulk.kinds.len() - bulk.keys;
    values.sort_unstable_by(|a, b| ordered(&a[key], &b[key]));
    let columns = Column::all(&[&bulk.kinds[..], &[Int, Int]].concat(), &values);
    let found = session.at_once(&Call { sql: &bulk.renew, columns })?;
    let written =
        |row: &tokio_postgres::Row| decoded(bulk.name, Record::of(Answer::Postgres(row)), |record| bulk.key(record));
    found.iter().map(written).collect::<Result<_, _>>().map_err(|_| Trouble::Failed(StoreError::Unknown))
}

fn deleted(rows: &[(RowKey, Rev)]) -> Values<'_> {
    let mut all: Values<'_> = rows
        .iter()
        .map(|(key, was)| {
            let mut values = rows::key(key);
            values.push(Param::rev(*was));
            values
        })
        .collect();
    all.sort_unstable_by(|a, b| ordered(&a[0], &b[0]));
    all
}

/// As [`audit::INSERT`], many at once.
const ENTRIES: &str = "INSERT INTO audit (at, act, actor, target, client_id, sid, address, reason, names) \
                       SELECT * FROM UNNEST($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BYTEA[], \
                       $7::TEXT[], $8::TEXT[], $9::TEXT[])";
const ENTRY: &[Kind] = &[Int, Text, Text, Text, Text, Blob, Text, Text, Text];

/// Never the last event: whoever has heard all of the feed has that place.
const FORGET_EVENTS: &str =
    "DELETE FROM feed WHERE seq = ANY($1::BIGINT[]) AND seq < (SELECT seq FROM feed_head WHERE one = 1)";

pub(in crate::store) const AGE: &str =
    "UPDATE document_age SET age = age + 1 + FLOOR(RANDOM() * 1000000000)::BIGINT WHERE one = 1";

/// Statements that write, and how many rows each must change.
#[derive(Default)]
struct Writing<'a> {
    calls: Vec<Call<'a>>,
    counts: Vec<Option<u64>>,
}

impl<'a> Writing<'a> {
    /// A statement that must change every row that it is given.
    fn each(&mut self, sql: &'static str, kinds: &[Kind], rows: &'a [Vec<Param<'a>>]) {
        if !rows.is_empty() {
            self.calls.push(Call { sql, columns: Column::all(kinds, rows) });
            self.counts.push(Some(rows.len() as u64));
        }
    }

    /// A statement that may find less than it is given.
    fn whatever(&mut self, sql: &'static str, kinds: &[Kind], rows: &'a [Vec<Param<'a>>]) {
        if kinds.is_empty() || !rows.is_empty() {
            self.calls.push(Call { sql, columns: Column::all(kinds, rows) });
            self.counts.push(None);
        }
    }

    fn run(self, session: &Session) -> Result<(), Trouble> {
        let changed = session.execute(&self.calls)?;
        let short =
            self.counts.iter().zip(changed).position(|(count, changed)| count.is_some_and(|count| count != changed));
        short.map_or(Ok(()), |i| Err(Trouble::Again(format!("another node was first: {}", self.calls[i].sql))))
    }
}

/// What a batch did to counters.
#[derive(Default)]
struct Counters<'a> {
    begun: Values<'a>,
    moved: Values<'a>,
    gone: Values<'a>,
}

impl<'a> Counters<'a> {
    const BEGIN: &'static str = "INSERT INTO counters (key, count, started_at, expires_at) SELECT * FROM \
                                 UNNEST($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) ON CONFLICT DO NOTHING";
    const GO_ON: &'static str = "UPDATE counters AS t SET count = k.count, started_at = k.started_at, \
                                 expires_at = k.expires_at \
                                 FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) \
                                 AS k (key, count, started_at, expires_at) WHERE t.key = k.key";
    const FORGET: &'static str = "DELETE FROM counters WHERE key = ANY($1::TEXT[])";

    fn of(tallies: &[(&'a str, Tally)]) -> Self {
        let mut all = Self::default();
        for (key, Tally { was, now }) in tallies {
            let values = |row: &Counted| {
                let (count, started_at) = (Param::Int(row.count.into()), Param::time(row.started_at));
                vec![Param::text(key), count, started_at, Param::time(row.expires_at)]
            };
            match (was, now) {
                (None, Some(row)) => all.begun.push(values(row)),
                (Some(was), Some(row)) if was != row => all.moved.push(values(row)),
                (Some(_), None) => all.gone.push(vec![Param::text(key)]),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        for rows in [&mut all.begun, &mut all.moved, &mut all.gone] {
            rows.sort_unstable_by(|a, b| ordered(&a[0], &b[0]));
        }
        all
    }
}

/// What a node looks at again and again.
pub(super) struct Seen {
    /// Where the feed stands.
    pub(super) seq: u64,
    /// How old clients, apis and keys are.
    pub(super) age: Age,
    /// What time it is.
    pub(super) now: Timestamp,
}

/// Looks.
pub(super) fn seen(session: &Session) -> Result<Seen, Trouble> {
    const LOOK: &str = "SELECT h.seq, d.age, (EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000000)::BIGINT AS now \
                        FROM feed_head AS h JOIN document_age AS d ON d.one = h.one WHERE h.one = 1";
    let found = session.rows(LOOK, &[])?;
    let row = found.first().ok_or_else(|| Trouble::Failed(no_feed_head()))?;
    let seen = |record: &mut Record<'_>| {
        let (seq, age, now) = (record.int("seq")?, record.int("age")?, record.time("now")?);
        Ok(Seen { seq, age: Age::stored(age, session.era()), now })
    };
    decoded("feed_head", Record::of(Answer::Postgres(row)), seen).map_err(Trouble::Failed)
}

/// Where the feed stands, locked last of all: every node that appends waits here for the one before.
pub(super) fn feed_head(session: &Session) -> Result<Cursor, Trouble> {
    let found = session.rows("SELECT seq, chain FROM feed_head WHERE one = 1 FOR UPDATE", &[])?;
    let row = found.first().ok_or_else(|| Trouble::Failed(no_feed_head()))?;
    decoded("feed_head", Record::of(Answer::Postgres(row)), cursor).map_err(Trouble::Failed)
}

/// The events of a member behind the head, which moves on.
pub(super) fn append(head: &mut Cursor, notices: &[Notice], events: &mut Values<'_>) -> Result<Cursor, Trouble> {
    for notice in notices {
        events.push(append::next(head, notice).map_err(Trouble::Failed)?.into());
    }
    Ok(*head)
}

/// Appends events, and moves the head of the feed.
pub(super) fn grow(session: &Session, events: &Values<'_>, head: Option<Cursor>) -> Result<(), Trouble> {
    const EVENTS: &str = concat!(
        "INSERT INTO feed (",
        event_columns!(),
        ") SELECT * FROM UNNEST($1::BIGINT[], $2::BYTEA[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[])"
    );
    const HEAD: &str = "UPDATE feed_head SET seq = k.seq, chain = k.chain \
                        FROM UNNEST($1::BIGINT[], $2::BYTEA[]) AS k (seq, chain) WHERE one = 1";
    let Some(head) = head else { return Ok(()) };
    let at = [vec![append::number(head.seq).map_err(Trouble::Failed)?, Param::blob(head.chain.as_bytes())]];
    let mut writing = Writing::default();
    writing.each(EVENTS, &[Int, Blob, Text, Text, Int, Int], events);
    writing.each(HEAD, &[Int, Blob], &at);
    writing.run(session)
}
