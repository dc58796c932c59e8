//! Parsed clients and apis, kept in memory: there are few, and every request asks for one. Answers from memory only what was
//! read at the age that is asked for, that of now or of a snapshot, but for who asks how one was when it was read last;
//! what is read is parsed again only where its text has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use moka::sync::Cache;
use remint_core::client::{Api, Client};
use remint_core::rev::Rev;

use super::record::BadColumn;
use super::rows::Document;

/// More clients or apis than this are read anew now and then.
const MOST: usize = 1024;

/// What was parsed of one table.
pub(super) struct Parsed<T>(Cache<Box<str>, Arc<Kept<T>>>);

struct Kept<T> {
    rev: Rev,
    text: Box<str>,
    document: Arc<T>,
}

/// What was parsed, and what needs no reading.
pub struct Documents {
    pub(super) clients: Parsed<Client>,
    pub(super) apis: Parsed<Api>,
    pub(super) clients_by_id: Unchanged<Client>,
    pub(super) apis_by_id: Unchanged<Api>,
    pub(super) apis_by_audience: Unchanged<Api>,
    age: AtomicU64,
}

/// How many commits have touched the tables of clients and apis. A question takes it before its snapshot begins: what it
/// then reads is at least that new, and good for every question of the same age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    era: u64,
    number: u64,
}

impl Age {
    /// As a database keeps it that several nodes write to. In a later era another database may answer, which lacks the last
    /// changes of the one before and counts from there: whatever it says is younger.
    pub(super) const fn stored(number: i64, era: u64) -> Self {
        Self { era, number: number.unsigned_abs() }
    }

    /// The same bytes for the same age.
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.era) << 64) | u128::from(self.number)).to_be_bytes()
    }
}

/// Documents by key, all read at one age: a younger age begins anew.
pub(super) struct Unchanged<T>(ArcSwap<OfAge<T>>);

struct OfAge<T> {
    age: Age,
    by_key: HashMap<Box<str>, Arc<T>>,
}

impl<T> Unchanged<T> {
    fn new() -> Self {
        Self(ArcSwap::from_pointee(OfAge { age: Age::default(), by_key: HashMap::new() }))
    }

    /// With one more. Copies the map, which is small, and grows only after a change.
    fn keep(&self, key: &str, age: Age, document: &Arc<T>) {
        self.0.rcu(|kept| {
            let mut by_key = if kept.age == age { kept.by_key.clone() } else { HashMap::new() };
            if kept.age > age || by_key.len() >= MOST {
                return Arc::clone(kept);
            }
            by_key.insert(key.into(), Arc::clone(document));
            Arc::new(OfAge { age, by_key })
        });
    }

    /// The document of a key, where it was read at this age.
    pub(super) fn known(&self, key: &str, age: Age) -> Option<Arc<T>> {
        let kept = self.0.load();
        if kept.age == age { kept.by_key.get(key).cloned() } else { None }
    }

    /// The document of a key as it was read last, at whatever age.
    pub(super) fn last(&self, key: &str) -> Option<Arc<T>> {
        self.0.load().by_key.get(key).cloned()
    }

    /// The document of a key, from memory where nothing has changed since it was read; else as `read` finds it. Without
    /// an age nothing is remembered: a transaction that is writing sees what nobody else does.
    pub(super) fn or_read<E>(
        &self,
        key: &str,
        age: Option<Age>,
        read: impl FnOnce() -> Result<Option<Arc<T>>, E>,
    ) -> Result<Option<Arc<T>>, E> {
        let Some(age) = age else { return read() };
        if let Some(kept) = self.known(key, age) {
            return Ok(Some(kept));
        }
        let found = read()?;
        if let Some(document) = &found {
            self.keep(key, age, document);
        }
        Ok(found)
    }
}

impl Documents {
    pub(super) fn new() -> Self {
        Self {
            clients: Parsed(Cache::new(MOST as u64)),
            apis: Parsed(Cache::new(MOST as u64)),
            clients_by_id: Unchanged::new(),
            apis_by_id: Unchanged::new(),
            apis_by_audience: Unchanged::new(),
            age: AtomicU64::new(0),
        }
    }

    /// The age now.
    pub(super) fn age(&self) -> Age {
        Age { era: 0, number: self.age.load(Ordering::SeqCst) }
    }

    /// A commit that touched them is over, whatever came of it, and nobody has heard of it yet.
    pub(super) fn touched(&self) {
        self.age.fetch_add(1, Ordering::SeqCst);
    }
}

impl<T: Document> Parsed<T> {
    /// The document of the row that was just read.
    pub(super) fn parsed(&self, id: &str, rev: Rev, text: &str) -> Result<Arc<T>, BadColumn> {
        if let Some(kept) = self.0.get(id)
            && kept.rev == rev
            && *kept.text == *text
        {
            return Ok(Arc::clone(&kept.document));
        }
        let document = Arc::new(T::read(id, rev, text).ok_or(BadColumn("document"))?);
        self.0.insert(id.into(), Arc::new(Kept { rev, text: text.into(), document: Arc::clone(&document) }));
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_later_era_everything_is_younger_however_often_it_was_changed_before() {
        let ages = [
            Age::stored(0, 0),
            Age::stored(i64::MAX, 0),
            Age::stored(0, 1),
            Age::stored(1 << 41, 1),
            Age::stored(3, 2),
        ];
        assert!(ages.is_sorted_by(|earlier, later| earlier < later), "{ages:?}");
        let kept = Unchanged::new();
        kept.keep("a", ages[1], &Arc::new(1));
        kept.keep("a", ages[2], &Arc::new(2));
        assert_eq!((kept.known("a", ages[1]), kept.known("a", ages[2]).as_deref()), (None, Some(&2)));
        kept.keep("a", ages[1], &Arc::new(3));
        assert_eq!(kept.last("a").as_deref(), Some(&2), "what is older takes nobody's place");
    }
}
