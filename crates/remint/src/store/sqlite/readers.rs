//! Connections that read, lent to one question at a time. Each question sees one snapshot: what was committed when it
//! began, and nothing that came later. Never writes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::{DataFile, execute, failed};
use crate::store::ask::{Question, Reader};
use crate::store::documents::Documents;
use crate::store::error::StoreError;

/// At most so many connections, opened when they are first needed.
pub(in crate::store) struct Readers {
    documents: Arc<Documents>,
    most: usize,
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    /// The file, until the store is closed.
    file: Option<Arc<DataFile>>,
    idle: Vec<Connection>,
    /// How many connections there are, idle or lent.
    open: usize,
    /// How many wait for one to be returned: telling nobody would cost a call of the system for every question.
    waiting: usize,
}

impl Readers {
    pub(in crate::store) fn new(file: Arc<DataFile>, documents: Arc<Documents>, most: usize) -> Self {
        let state = Mutex::new(State { file: Some(file), idle: Vec::new(), open: 0, waiting: 0 });
        Self { documents, most: most.max(1), state, returned: Condvar::new() }
    }

    /// Asks on a connection, waiting for one where all are lent. A point question keeps one for microseconds.
    pub(in crate::store) fn ask<Q: Question>(&self, question: &Q) -> Result<Q::Answer, StoreError> {
        let mut lent = self.lend()?;
        let connection = lent.connection.as_ref().ok_or(StoreError::Closed)?;
        let age = Some(self.documents.age()); // before the snapshot: what it reads is at least so new
        execute(connection, "BEGIN", &[]).map_err(failed)?;
        let answer = question.ask(&mut Reader { connection, documents: &self.documents, age });
        match execute(connection, "COMMIT", &[]) {
            Ok(_) => lent.sound = true,
            Err(error) => return answer.and(Err(failed(error))),
        }
        answer
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
            if let Some(connection) = state.idle.pop() {
                return Ok(Lent { readers: self, connection: Some(connection), sound: false });
            }
            if state.open < self.most {
                state.open += 1;
                break file;
            }
            state = self.until_returned(state);
        };
        drop(state);
        let mut lent = Lent { readers: self, connection: None, sound: false };
        lent.connection = Some(file.reader().map_err(failed)?);
        Ok(lent)
    }
}

/// A connection that is lent. One that is not known to be sound is closed, not lent again.
struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
    sound: bool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.state();
        match self.connection.take() {
            Some(connection) if self.sound && state.file.is_some() => state.idle.push(connection),
            _ => state.open -= 1,
        }
        let waited_for = state.waiting > 0;
        drop(state);
        if waited_for {
            self.readers.returned.notify_all();
        }
    }
}
