//! Connections that read, lent to one question at a time. Each question sees one snapshot: what was committed when it
//! began, and nothing that came later. A connection keeps its snapshot, and with it the pages it has read, for as long
//! as nothing was committed: SQLite empties a connection's page cache with every new one. Never writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{DataFile, execute, failed};
use crate::store::ask::{Question, Reader, Source};
use crate::store::documents::{Age, Documents};
use crate::store::error::StoreError;

/// How many commits are over. The writer counts before it answers, so whoever asks after an answer sees another number
/// than before it.
#[derive(Default)]
pub(in crate::store) struct Commits(AtomicU64);

impl Commits {
    /// A commit is over, whatever came of it, and nobody has heard of it yet.
    pub(in crate::store) fn over(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Everybody who reads.
pub(in crate::store) struct Reading {
    /// For questions by key, asked where they stand.
    pub(super) readers: Arc<Readers>,
    /// For those that scan.
    pub(super) scanners: Arc<Readers>,
    scans: Arc<Semaphore>,
}

impl Reading {
    pub(super) fn new(readers: Arc<Readers>, scanners: Arc<Readers>) -> Self {
        let scans = Arc::new(Semaphore::new(scanners.most));
        Self { readers, scanners, scans }
    }

    /// Asks a question; one that scans waits until few others do, on a thread that may block.
    pub(in crate::store) async fn ask<Q: Question>(&self, question: Q) -> Result<Q::Answer, StoreError> {
        if !Q::SCAN {
            return self.readers.ask(&question);
        }
        let permit = Arc::clone(&self.scans).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let scanners = Arc::clone(&self.scanners);
        let asked = tokio::task::spawn_blocking(move || {
            let answer = scanners.ask(&question);
            drop(permit);
            answer
        });
        asked.await.unwrap_or(Err(StoreError::Closed))
    }

    /// The file, until the store is closed.
    pub(in crate::store) fn file(&self) -> Result<Arc<DataFile>, StoreError> {
        self.scanners.file()
    }

    /// Closes what is not lent now, and waits for the rest to come back.
    pub(in crate::store) fn close(&self) {
        self.readers.close();
        self.scanners.close();
    }
}

/// At most so many connections, opened when they are first needed.
pub(in crate::store) struct Readers {
    documents: Arc<Documents>,
    commits: Arc<Commits>,
    most: usize,
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    /// The file, until the store is closed.
    file: Option<Arc<DataFile>>,
    idle: Vec<Lendable>,
    /// How many connections there are, idle or lent.
    open: usize,
    /// How many wait for one to be returned: telling nobody would cost a call of the system for every question.
    waiting: usize,
}

/// A connection, and the snapshot that it is in, if any.
struct Lendable {
    connection: Connection,
    snapshot: Option<Snapshot>,
}

/// What was counted before a snapshot began: it shows all of that.
#[derive(Clone, Copy)]
struct Snapshot {
    commits: u64,
    age: Age,
}

impl Lendable {
    /// Leaves the snapshot.
    fn leave(&mut self) -> rusqlite::Result<()> {
        if self.snapshot.take().is_some() {
            execute(&self.connection, "COMMIT", &[])?;
        }
        Ok(())
    }

    /// A snapshot that shows every commit that is over: the one it is in, where none has come since.
    fn renewed(&mut self, commits: &Commits, documents: &Documents) -> rusqlite::Result<Age> {
        let now = Snapshot { commits: commits.count(), age: documents.age() };
        if let Some(kept) = self.snapshot.filter(|kept| kept.commits == now.commits) {
            return Ok(kept.age);
        }
        self.leave()?;
        execute(&self.connection, "BEGIN", &[])?;
        self.snapshot = Some(now);
        Ok(now.age)
    }
}

impl Readers {
    pub(in crate::store) fn new(
        file: Arc<DataFile>,
        documents: Arc<Documents>,
        commits: Arc<Commits>,
        most: usize,
    ) -> Self {
        let state = Mutex::new(State { file: Some(file), idle: Vec::new(), open: 0, waiting: 0 });
        Self { documents, commits, most: most.max(1), state, returned: Condvar::new() }
    }

    /// Asks on a connection, waiting for one where all are lent. A point question keeps one for microseconds. A
    /// connection on which anything failed is not lent again.
    pub(in crate::store) fn ask<Q: Question>(&self, question: &Q) -> Result<Q::Answer, StoreError> {
        if let Some(answer) = question.remembered(&self.documents, self.documents.age()) {
            return self.state().file.as_ref().map(|_| answer).ok_or(StoreError::Closed);
        }
        let mut lent = self.lend()?;
        let reading = lent.reading.as_mut().ok_or(StoreError::Closed)?;
        let age = Some(reading.renewed(&self.commits, &self.documents).map_err(failed)?);
        let source = Source::Sqlite { connection: &reading.connection, age };
        let answer = question.ask(&mut Reader { source, documents: &self.documents });
        lent.sound = answer.is_ok();
        answer
    }

    /// Leaves the snapshots of connections that nobody uses: the write-ahead log cannot begin anew while one of them
    /// may read in it.
    pub(in crate::store) fn leave_snapshots(&self) {
        let mut state = self.state();
        let before = state.idle.len();
        state.idle.retain_mut(|reading| reading.leave().is_ok());
        state.open -= before - state.idle.len();
    }

    /// The file, until the store is closed.
    pub(in crate::store) fn file(&self) -> Result<Arc<DataFile>, StoreError> {
        self.state().file.clone().ok_or(StoreError::Closed)
    }

    /// Closes what is not lent now, and waits for the rest to come back. Nothing is lent any more.
    pub(in crate::store) fn close(&self) {
        let mut state = self.state();
        let file = state.file.take();
        state.open -= state.idle.len();
        state.idle.clear();
        self.returned.notify_all();
        while state.open > 0 {
            state = self.until_returned(state);
        }
        drop(state);
        drop(file); // its lock, where this was the last
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until_returned<'s>(&self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        state.waiting += 1;
        let mut state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }

    fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let mut state = self.state();
        let file = loop {
            let file = state.file.clone().ok_or(StoreError::Closed)?;
            if let Some(reading) = state.idle.pop() {
                return Ok(Lent { readers: self, reading: Some(reading), sound: false });
            }
            if state.open < self.most {
                state.open += 1;
                break file;
            }
            state = self.until_returned(state);
        };
        drop(state);
        let mut lent = Lent { readers: self, reading: None, sound: false };
        lent.reading = Some(Lendable { connection: file.reader().map_err(failed)?, snapshot: None });
        Ok(lent)
    }
}

/// A connection that is lent. One that is not known to be sound is closed, not lent again.
struct Lent<'a> {
    readers: &'a Readers,
    reading: Option<Lendable>,
    sound: bool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.state();
        match self.reading.take() {
            Some(reading) if self.sound && state.file.is_some() => state.idle.push(reading),
            _ => state.open -= 1,
        }
        let waited_for = state.waiting > 0;
        drop(state);
        if waited_for {
            self.readers.returned.notify_all();
        }
    }
}
