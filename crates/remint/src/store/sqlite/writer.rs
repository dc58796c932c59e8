//! The one thread that writes. It drains its queue into one transaction, with a savepoint for each [`Changes`], and
//! answers after the commit: many callers share one wait for the disk, and none waits for a batch to fill.
//! Never answers before the disk has it, and never says "done" of something that may not be there.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;

use remint_core::audit::Entry;
use remint_core::change::{Changes, Forgotten, Row, RowKey, Take, Taken};
use remint_core::event::{Cursor, Notice};
use remint_core::rev::Rev;
use rusqlite::{Connection, ErrorCode};

use super::file::PAGE_BYTES;
use super::readers::{Commits, Readers};
use super::{execute, failed, wal_frames};
use crate::clock::Stopwatch;
use crate::meters;
use crate::store::append::{event_columns, number};
use crate::store::ask::{Reader, Source};
use crate::store::documents::Documents;
use crate::store::error::StoreError;
use crate::store::order::{Answered, Asked, Order, Queue, Wanted, touches_documents};
use crate::store::record::Param;
use crate::store::take::{Counted, take};
use crate::store::{Commit, StoreOptions, append, audit, rows};

/// What the writer thread owns.
pub(in crate::store) struct Writer {
    pub(in crate::store) connection: Connection,
    pub(in crate::store) documents: Arc<Documents>,
    pub(in crate::store) commits: Arc<Commits>,
    pub(in crate::store) readers: [Arc<Readers>; 2],
    pub(in crate::store) options: StoreOptions,
    pub(in crate::store) queue: Queue,
    /// Commits since the size of the log was last looked at.
    pub(in crate::store) since_look: u32,
}

/// What became of one member of a batch, before the commit.
enum Outcome {
    Done { taken: Vec<Taken>, notices: Vec<Notice> },
    Conflict { key: RowKey, current: Option<Box<Row>> },
    Failed(StoreError),
}

/// Why the changes of one member cannot be applied.
enum Stop {
    Conflict(RowKey),
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(failed(error))
    }
}

impl Writer {
    /// Commits what comes in until nobody can send any more and all of it is answered. Then the log is moved into the
    /// file.
    pub(in crate::store) fn run(mut self) {
        let mut idle = true;
        loop {
            let first = if idle {
                self.queue.orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.queue.orders.recv_timeout(self.options.idle_after)
            };
            match first {
                Ok(first) => {
                    let nothing = self.work(first);
                    idle = idle && nothing; // what was committed before is still to be moved
                    std::thread::yield_now(); // who is answered may have the next order ready: one sync for more
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
                    idle = true;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// One batch: questions answered; then what was decided upon them committed, with all else that waits. Whether
    /// nothing was there to commit.
    fn work(&mut self, first: Order) -> bool {
        let (questions, mut batch) = self.queue.batch(first, self.options.batch);
        if !questions.is_empty() {
            batch.extend(self.answer(questions));
        }
        let batch: Vec<_> = batch.into_iter().filter_map(|wanted| wanted.in_time(self.options.longest_wait)).collect();
        if !batch.is_empty() {
            self.commit(batch);
            return false;
        }
        true
    }

    /// All of them in one snapshot. What is to be committed upon them.
    fn answer(&self, questions: Vec<Box<dyn Asked>>) -> Vec<Wanted> {
        if let Err(error) = execute(&self.connection, "BEGIN", &[]).map_err(failed) {
            questions.into_iter().for_each(|question| question.refuse(error.clone()));
            return Vec::new();
        }
        let source = Source::Sqlite { connection: &self.connection, age: Some(self.documents.age()) };
        let mut reader = Reader { source, documents: &self.documents };
        let mut wanted = Vec::new();
        for question in questions {
            match question.ask(&mut reader) {
                Answered::Over => {}
                Answered::Commit(changes) => wanted.push(changes),
                Answered::Failed(question, error) => question.refuse(error),
            }
        }
        if let Err(error) = execute(&self.connection, "COMMIT", &[]) {
            tracing::warn!(%error, "a snapshot of the writer could not be left");
            let _ = self.connection.execute_batch("ROLLBACK"); // where that fails too, the next BEGIN says so
        }
        wanted
    }

    /// One batch: applied, committed, answered.
    fn commit(&mut self, batch: Vec<Wanted>) {
        let (all, waiting): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|order| (order.changes, (order.answer, order.waited))).unzip();
        let took = Stopwatch::start();
        let outcome = self.transaction(&all);
        meters::committed(all.len(), took.elapsed());
        if !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_err() {
            self.queue.lost = true;
        }
        if all.iter().any(touches_documents) {
            self.documents.touched();
        }
        self.commits.over();
        match outcome {
            // Nothing of it is written, and most of it may need no more space: each member by itself.
            Err(StoreError::Full) if all.len() > 1 => {
                for (changes, (answer, waited)) in all.into_iter().zip(waiting) {
                    self.commit(vec![Wanted { changes, answer, waited }]);
                }
            }
            Ok((answers, head)) => {
                self.queue.succeeded(head);
                self.queue.tell(waiting.into_iter().map(|(telling, _)| telling).zip(answers));
                self.look_at_the_log();
            }
            Err(error) => {
                self.queue.failed(&error);
                tracing::error!(%error, members = waiting.len(), "a batch of commits failed");
                self.queue.tell(waiting.into_iter().map(|(telling, _)| (telling, Err(error.clone()))));
            }
        }
    }

    /// Moves the log into the file when it has grown enough. After the answers are on their way: nobody waits for it.
    fn look_at_the_log(&mut self) {
        self.since_look += 1;
        if self.since_look >= LOOK_EVERY {
            self.since_look = 0;
            let most = self.options.checkpoint_bytes / PAGE_BYTES;
            let log = wal_frames(&self.connection, "PRAGMA wal_checkpoint(NOOP)");
            if log.is_ok_and(|(frames, moved)| frames.saturating_sub(moved) >= most) {
                self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
            }
        }
    }

    /// Moves the log into the file. Where that fails the log stays, and nothing is lost: it is tried again later.
    fn checkpoint(&self, sql: &'static str) {
        self.leave_snapshots(); // so that all of it can be moved
        if let Err(error) = wal_frames(&self.connection, sql) {
            tracing::warn!(%error, "the write-ahead log could not be moved into the data file");
        }
        self.leave_snapshots(); // and the next commit can write it from its beginning
    }

    fn leave_snapshots(&self) {
        self.readers.iter().for_each(|readers| readers.leave_snapshots());
    }

    /// Everything of a batch in one transaction. An error is the whole batch's.
    #[expect(clippy::type_complexity, reason = "one answer for each member, and the head of the feed if it grew")]
    fn transaction(&self, all: &[Changes]) -> Result<(Vec<Result<Commit, StoreError>>, Option<u64>), StoreError> {
        execute(&self.connection, "BEGIN IMMEDIATE", &[]).map_err(failed)?;
        let mut outcomes = Vec::with_capacity(all.len());
        for changes in all {
            outcomes.push(self.member(changes)?);
        }
        let (answers, head) = self.numbered(outcomes)?;
        execute(&self.connection, "COMMIT", &[]).map_err(|_| StoreError::Unknown)?;
        Ok((answers, head))
    }

    /// One member in its savepoint; one row alone needs none, because a statement that fails has changed nothing, but
    /// for one that finds the file damaged. An error means that the whole transaction is given up.
    fn member(&self, changes: &Changes) -> Result<Outcome, StoreError> {
        let savepoint = |sql| match changes.is_one_write() {
            true => Ok(0),
            false => execute(&self.connection, sql, &[]).map_err(failed),
        };
        savepoint("SAVEPOINT member")?;
        let stop = match self.apply(changes) {
            Ok(taken) => {
                savepoint("RELEASE member")?;
                return Ok(Outcome::Done { taken, notices: changes.notices.clone() });
            }
            Err(stop) => stop,
        };
        let half_done = matches!(stop, Stop::Failed(StoreError::Corrupt { .. })) && changes.is_one_write();
        if self.connection.is_autocommit() || half_done {
            return Err(match stop {
                Stop::Failed(error) => error,
                Stop::Conflict(_) => StoreError::Io { what: "the transaction was given up".to_owned() },
            });
        }
        savepoint("ROLLBACK TO member")?;
        savepoint("RELEASE member")?;
        Ok(match stop {
            Stop::Failed(error) => Outcome::Failed(error),
            Stop::Conflict(key) => match self.reader().row(&key) {
                Ok(current) => Outcome::Conflict { key, current: current.map(Box::new) },
                Err(error) if self.connection.is_autocommit() => return Err(error),
                Err(error) => Outcome::Failed(error),
            },
        })
    }

    fn reader(&self) -> Reader<'_> {
        Reader { source: Source::Sqlite { connection: &self.connection, age: None }, documents: &self.documents }
    }

    /// What is expected is looked at before anything is written; then removals, rows, counters, the audit log.
    fn apply(&self, changes: &Changes) -> Result<Vec<Taken>, Stop> {
        for (key, rev) in &changes.expects {
            self.expect(key, *rev)?;
        }
        for (key, rev) in &changes.deletes {
            self.delete(key, *rev)?;
        }
        for row in &changes.writes {
            self.write(row)?;
        }
        let taken = changes.takes.iter().map(|take| self.take(take)).collect::<Result<_, _>>()?;
        for counter in &changes.returns {
            let lower = "UPDATE counters SET count = count - 1 WHERE key = $1 AND count > 0";
            execute(&self.connection, lower, &[Param::text(counter)])?;
        }
        for counter in &changes.resets {
            execute(&self.connection, "DELETE FROM counters WHERE key = $1", &[Param::text(counter)])?;
        }
        for forgotten in &changes.forgotten {
            self.forget(forgotten)?;
        }
        for entry in &changes.entries {
            self.record(entry)?;
        }
        Ok(taken)
    }

    /// One that is gone already, or means something again, is passed over.
    fn forget(&self, forgotten: &Forgotten) -> Result<(), Stop> {
        match forgotten {
            Forgotten::Counter { key, by } => {
                let sql = "DELETE FROM counters WHERE key = $1 AND expires_at <= $2";
                execute(&self.connection, sql, &[Param::text(key), Param::time(*by)])?;
            }
            Forgotten::Event(seq) => {
                let sql = "DELETE FROM feed WHERE seq = $1 AND seq < (SELECT seq FROM feed_head WHERE one = 1)";
                execute(&self.connection, sql, &[number(*seq)?])?;
            }
        }
        Ok(())
    }

    /// An entry of the audit log, where its counters allow it.
    fn record(&self, entry: &Entry) -> Result<(), Stop> {
        for within in &entry.within {
            if let Taken::Exhausted { .. } = self.take(within)? {
                metrics::counter!("remint_audit_left_out_total").increment(1);
                return Ok(());
            }
        }
        execute(&self.connection, audit::INSERT, &audit::values(entry)?)?;
        Ok(())
    }

    fn expect(&self, key: &RowKey, rev: Rev) -> Result<(), Stop> {
        let table = rows::table(key);
        let stored = self.reader().one(table.name, table.rev, &rows::key(key), |record| record.rev())?;
        if stored.unwrap_or(Rev::NEW) == rev { Ok(()) } else { Err(Stop::Conflict(key.clone())) }
    }

    fn delete(&self, key: &RowKey, rev: Rev) -> Result<(), Stop> {
        if rev == Rev::NEW {
            return self.expect(key, rev);
        }
        let mut params = rows::key(key);
        params.push(Param::rev(rev));
        match execute(&self.connection, rows::table(key).delete, &params)? {
            0 => Err(Stop::Conflict(key.clone())),
            _ => Ok(()),
        }
    }

    fn write(&self, row: &Row) -> Result<(), Stop> {
        let key = row.key();
        let table = rows::table(&key);
        let mut values = rows::values(row)?;
        let sql = if row.rev() == Rev::NEW {
            table.insert
        } else {
            values.push(Param::rev(row.rev()));
            table.update
        };
        match execute(&self.connection, sql, &values) {
            Ok(1..) => Ok(()),
            Ok(0) => Err(Stop::Conflict(self.in_the_way(row, key)?)),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Err(Stop::Conflict(self.in_the_way(row, key)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Which row keeps another from being written: the one of its key, or the api that has its audience already.
    fn in_the_way(&self, row: &Row, key: RowKey) -> Result<RowKey, StoreError> {
        let Row::Api(api) = row else { return Ok(key) };
        let sql = "SELECT id FROM apis WHERE audience = $1";
        let audience = Param::text(api.audience.as_str());
        let holder = self.reader().one("apis", sql, &[audience], |record| record.parsed("id"))?;
        Ok(holder.map_or(key, RowKey::Api))
    }

    fn take(&self, wanted: &Take) -> Result<Taken, Stop> {
        let stored = self.reader().counter(&wanted.key)?;
        let (taken, after) = take(wanted, stored);
        if let Some(Counted { count, started_at, expires_at }) = after {
            let sql = "INSERT INTO counters (key, count, started_at, expires_at) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (key) DO UPDATE SET count = excluded.count, started_at = excluded.started_at, \
                       expires_at = excluded.expires_at";
            let (key, count) = (Param::text(&wanted.key), Param::Int(count.into()));
            execute(&self.connection, sql, &[key, count, Param::time(started_at), Param::time(expires_at)])?;
        }
        Ok(taken)
    }

    /// The events of the batch, numbered last, in the order of its members, by one update of the counter.
    #[expect(clippy::type_complexity, reason = "one answer for each member, and the head of the feed if it grew")]
    fn numbered(&self, outcomes: Vec<Outcome>) -> Result<(Vec<Result<Commit, StoreError>>, Option<u64>), StoreError> {
        let says = |outcome: &Outcome| matches!(outcome, Outcome::Done { notices, .. } if !notices.is_empty());
        let mut head = if outcomes.iter().any(says) { Some(self.reader().feed_head()?) } else { None };
        let mut answers = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            answers.push(match outcome {
                Outcome::Done { taken, notices } => {
                    let cursor = match &mut head {
                        Some(head) if !notices.is_empty() => Some(self.append(head, &notices)?),
                        _ => None,
                    };
                    Ok(Commit::Done { taken, cursor })
                }
                Outcome::Conflict { key, current } => Ok(Commit::Conflict { key, current }),
                Outcome::Failed(error) => Err(error),
            });
        }
        if let Some(Cursor { seq, chain }) = head {
            let sql = "UPDATE feed_head SET seq = $1, chain = $2 WHERE one = 1";
            execute(&self.connection, sql, &[number(seq)?, Param::blob(chain.as_bytes())]).map_err(failed)?;
        }
        Ok((answers, head.map(|head| head.seq)))
    }

    fn append(&self, head: &mut Cursor, notices: &[Notice]) -> Result<Cursor, StoreError> {
        for notice in notices {
            let sql = concat!("INSERT INTO feed (", event_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6)");
            execute(&self.connection, sql, &append::next(head, notice)?).map_err(failed)?;
        }
        Ok(*head)
    }
}

/// Looking at the size of the log costs a microsecond: not after every commit.
const LOOK_EVERY: u32 = 16;
