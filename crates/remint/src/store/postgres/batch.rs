//! What a batch comes to, found in memory: each member is applied to what the members before it left, whole or not at all,
//! and what is left at the end is written at once. Never asks the database: it is told what was stored and is locked.

use std::collections::{HashMap, HashSet};

use remint_core::audit::Entry;
use remint_core::change::{Changes, Forgotten, Row, RowKey, Take, Taken};
use remint_core::rev::Rev;

use super::tables::table;
use crate::store::error::StoreError;
use crate::store::record::Param;
use crate::store::rows;
use crate::store::take::{Counted, take};

/// Everything that a batch looks at.
#[derive(Default)]
pub(super) struct Needs<'a> {
    /// Rows that are written or removed.
    pub(super) written: HashSet<RowKey>,
    /// Rows that are only expected.
    pub(super) expected: HashSet<RowKey>,
    /// Audiences that apis are to have.
    pub(super) audiences: HashSet<&'a str>,
    /// Counters.
    pub(super) counters: HashSet<&'a str>,
}

impl<'a> Needs<'a> {
    pub(super) fn of(all: &[&'a Changes]) -> Self {
        let mut needs = Self::default();
        for changes in all {
            needs.written.extend(changes.writes.iter().map(Row::key));
            needs.written.extend(changes.deletes.iter().map(|(key, _)| key.clone()));
            needs.audiences.extend(changes.writes.iter().filter_map(|row| match row {
                Row::Api(api) => Some(api.audience.as_str()),
                _ => None,
            }));
            let within = changes.entries.iter().flat_map(|entry| &entry.within);
            needs.counters.extend(changes.takes.iter().chain(within).map(|take| take.key.as_str()));
            needs.counters.extend(changes.returns.iter().chain(&changes.resets).map(String::as_str));
            needs.counters.extend(changes.forgotten.iter().filter_map(|forgotten| match forgotten {
                Forgotten::Counter { key, .. } => Some(key.as_str()),
                Forgotten::Event(_) => None,
            }));
        }
        let expected = all.iter().flat_map(|changes| &changes.expects).map(|(key, _)| key);
        needs.expected = expected.filter(|key| !needs.written.contains(*key)).cloned().collect();
        needs
    }
}

/// A batch in which each member writes one row anew and nothing beside it, all of one table and no row twice: whether one
/// of them can be written depends on no other, and on nothing but the `rev` of its row.
pub(super) struct Renewed<'a> {
    /// Of which table.
    pub(super) table: usize,
    /// The row of each member.
    pub(super) keys: Vec<RowKey>,
    /// What is to be written of each, its `rev` then, and its `rev` now.
    pub(super) values: Vec<Vec<Param<'a>>>,
}

impl<'a> Renewed<'a> {
    pub(super) fn of(all: &[&'a Changes]) -> Option<Self> {
        let rows: Vec<&Row> = all.iter().filter(|changes| changes.is_one_write()).flat_map(|one| &one.writes).collect();
        let keys: Vec<RowKey> = rows.iter().map(|row| row.key()).collect();
        let of = |key: &RowKey| matches!(key, RowKey::User(_) | RowKey::Session(_)).then(|| table(key));
        let table = of(keys.first()?)?;
        let each_by_itself = rows.len() == all.len()
            && rows.iter().all(|row| row.rev() != Rev::NEW)
            && keys.iter().all(|key| of(key) == Some(table))
            && keys.iter().collect::<HashSet<_>>().len() == keys.len();
        let values = |row: &&'a Row| {
            let mut values = rows::values(row).ok()?; // whose row cannot be written is found, and told, one by one
            values.extend([Param::rev(row.rev().next()), Param::rev(row.rev())]);
            Some(values)
        };
        each_by_itself.then(|| rows.iter().map(values).collect()).flatten().map(|values| Self { table, keys, values })
    }
}

/// A row: what is stored, and what is to be.
#[derive(Clone, Debug)]
pub(super) struct Held<'a> {
    /// The `rev` that is stored; [`Rev::NEW`] where there is no row.
    pub(super) was: Rev,
    /// The `rev` that is to be.
    pub(super) rev: Rev,
    /// What is to be written.
    pub(super) values: Option<Vec<Param<'a>>>,
}

/// A counter: what is stored, and what is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) was: Option<Counted>,
    pub(super) now: Option<Counted>,
}

/// What became of a member.
#[derive(Debug)]
pub(super) enum Verdict {
    Done(Vec<Taken>),
    Conflict(RowKey),
    Failed(StoreError),
}

/// Why a member cannot be applied.
enum Stop {
    Conflict(RowKey),
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// What the members so far come to.
#[derive(Default)]
pub(super) struct Batch<'a> {
    pub(super) rows: HashMap<RowKey, Held<'a>>,
    pub(super) counters: HashMap<&'a str, Tally>,
    /// Entries of the audit log, in order.
    pub(super) entries: Vec<&'a Entry>,
    /// Events to forget.
    pub(super) events: Vec<u64>,
    /// What apis that are stored are called.
    audiences: HashMap<RowKey, String>,
    /// Who has the slot of a user or a session.
    places: HashMap<(usize, i64), RowKey>,
    undo: Vec<Undo<'a>>,
}

/// What was before a step of the member that is being applied.
enum Undo<'a> {
    Row(RowKey, Option<Held<'a>>),
    Counter(&'a str, Tally),
}

impl<'a> Batch<'a> {
    /// A row is stored at this `rev`.
    pub(super) fn stored(&mut self, key: RowKey, rev: Rev) {
        if let Some(place) = place(&key) {
            self.places.insert(place, key.clone());
        }
        self.rows.insert(key, Held { was: rev, rev, values: None });
    }

    /// An api that is stored has this audience.
    pub(super) fn called(&mut self, api: RowKey, audience: String) {
        self.audiences.insert(api, audience);
    }

    /// A counter is stored.
    pub(super) fn counted(&mut self, key: &'a str, counted: Counted) {
        self.counters.insert(key, Tally { was: Some(counted), now: Some(counted) });
    }

    /// Applies a member: all of it, or nothing.
    pub(super) fn member(&mut self, changes: &'a Changes) -> Verdict {
        let (entries, events) = (self.entries.len(), self.events.len());
        self.undo.clear();
        let stop = match self.apply(changes) {
            Ok(taken) => return Verdict::Done(taken),
            Err(stop) => stop,
        };
        self.entries.truncate(entries);
        self.events.truncate(events);
        while let Some(step) = self.undo.pop() {
            match step {
                Undo::Row(key, Some(held)) => drop(self.rows.insert(key, held)),
                Undo::Row(key, None) => drop(self.rows.remove(&key)),
                Undo::Counter(key, tally) => drop(self.counters.insert(key, tally)),
            }
        }
        match stop {
            Stop::Conflict(key) => Verdict::Conflict(key),
            Stop::Failed(error) => Verdict::Failed(error),
        }
    }

    /// What is expected is looked at before anything is written; then removals, rows, counters, the audit log.
    fn apply(&mut self, changes: &'a Changes) -> Result<Vec<Taken>, Stop> {
        for (key, rev) in &changes.expects {
            self.expect(key, *rev)?;
        }
        for (key, rev) in &changes.deletes {
            self.expect(key, *rev)?;
            self.set(key.clone(), Rev::NEW, None);
        }
        for row in &changes.writes {
            self.write(row)?;
        }
        let taken = changes.takes.iter().map(|take| self.take(take)).collect();
        for counter in &changes.returns {
            let lower = |row: Counted| Counted { count: row.count.saturating_sub(1), ..row };
            self.count(counter, |now| now.map(lower));
        }
        for counter in &changes.resets {
            self.count(counter, |_| None);
        }
        for forgotten in &changes.forgotten {
            match forgotten {
                Forgotten::Counter { key, by } => self.count(key, |now| now.filter(|row| row.expires_at > *by)),
                Forgotten::Event(seq) => self.events.push(*seq),
            }
        }
        for entry in &changes.entries {
            self.record(entry);
        }
        Ok(taken)
    }

    /// The `rev` at which a row is.
    fn rev(&self, key: &RowKey) -> Rev {
        self.rows.get(key).map_or(Rev::NEW, |held| held.rev)
    }

    fn expect(&self, key: &RowKey, rev: Rev) -> Result<(), Stop> {
        if self.rev(key) == rev { Ok(()) } else { Err(Stop::Conflict(key.clone())) }
    }

    fn write(&mut self, row: &'a Row) -> Result<(), Stop> {
        let (key, values) = (row.key(), rows::values(row)?);
        if let Some(holder) = self.in_the_way(row, &key) {
            return Err(Stop::Conflict(holder));
        }
        self.set(key, row.rev().next(), Some(values));
        Ok(())
    }

    /// Which row keeps another from being written: the one of its key, or the api that has its audience already. Where
    /// another id has its slot, it is the row itself, which is not there: whoever made the id takes another.
    fn in_the_way(&self, row: &Row, key: &RowKey) -> Option<RowKey> {
        let moved = self.rev(key) != row.rev();
        if let Row::Api(api) = row {
            let holder = self.holder(api.audience.as_str());
            return holder.filter(|holder| moved || *holder != key).cloned().or_else(|| moved.then(|| key.clone()));
        }
        let taken = row.rev() == Rev::NEW
            && place(key)
                .and_then(|place| self.places.get(&place))
                .is_some_and(|other| other != key && self.rev(other) != Rev::NEW);
        (moved || taken).then(|| key.clone())
    }

    /// The api that has an audience.
    fn holder(&self, audience: &str) -> Option<&RowKey> {
        let has = |key: &RowKey, held: &Held<'_>| match (&held.values, key) {
            (_, RowKey::Api(_)) if held.rev == Rev::NEW => false,
            (Some(values), RowKey::Api(_)) => matches!(values.first(), Some(Param::Text(text)) if **text == *audience),
            (None, RowKey::Api(_)) => self.audiences.get(key).is_some_and(|stored| stored == audience),
            _ => false,
        };
        self.rows.iter().find(|(key, held)| has(key, held)).map(|(key, _)| key)
    }

    fn set(&mut self, key: RowKey, rev: Rev, values: Option<Vec<Param<'a>>>) {
        let before = self.rows.get(&key).cloned();
        let was = before.as_ref().map_or(Rev::NEW, |held| held.was);
        self.undo.push(Undo::Row(key.clone(), before));
        if let (Some(place), true) = (place(&key), rev != Rev::NEW) {
            self.places.insert(place, key.clone());
        }
        self.rows.insert(key, Held { was, rev, values });
    }

    fn take(&mut self, wanted: &'a Take) -> Taken {
        let now = self.counters.get(wanted.key.as_str()).and_then(|tally| tally.now);
        let (taken, after) = take(wanted, now);
        if after.is_some() {
            self.count(&wanted.key, |_| after);
        }
        taken
    }

    fn count(&mut self, key: &'a str, change: impl FnOnce(Option<Counted>) -> Option<Counted>) {
        let tally = self.counters.entry(key).or_default();
        self.undo.push(Undo::Counter(key, *tally));
        tally.now = change(tally.now);
    }

    /// An entry of the audit log, where its counters allow it.
    fn record(&mut self, entry: &'a Entry) {
        for within in &entry.within {
            if let Taken::Exhausted { .. } = self.take(within) {
                metrics::counter!("remint_audit_left_out_total").increment(1);
                return;
            }
        }
        self.entries.push(entry);
    }
}

/// The slot of a key, where its table has slots.
fn place(key: &RowKey) -> Option<(usize, i64)> {
    match key {
        RowKey::User(id) => Some((0, rows::slot(id.as_bytes()))),
        RowKey::Session(sid) => Some((1, rows::slot(sid.as_bytes()))),
        _ => None,
    }
}
