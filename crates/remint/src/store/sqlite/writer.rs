//! The one thread that writes. It drains its queue into one transaction, with a savepoint for each [`Changes`], and
//! answers after the commit: many callers share one wait for the disk, and none waits for a batch to fill.
//! Never answers before the disk has it, and never says "done" of something that may not be there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use remint_core::audit::Entry;
use remint_core::change::{Changes, Forgotten, Row, RowKey, Take, Taken};
use remint_core::event::{ChainHash, Cursor, Notice};
use remint_core::rev::Rev;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{oneshot, watch};

use super::file::PAGE_BYTES;
use super::readers::{Commits, Readers};
use super::{execute, failed, wal_frames};
use crate::clock::Stopwatch;
use crate::meters;
use crate::store::ask::{Question, Reader};
use crate::store::documents::Documents;
use crate::store::error::StoreError;
use crate::store::record::Param;
use crate::store::take::{Counted, take};
use crate::store::{Commit, StoreOptions, audit, rows};

/// What the writer is asked to do.
#[expect(clippy::large_enum_variant, reason = "nearly every order is a commit: a box would cost each of them")]
pub(in crate::store) enum Order {
    /// Commit changes.
    Commit(Wanted),
    /// Answer a question, and commit what is decided upon it: the pages that both need are read once.
    Ask(Box<dyn Asked>),
}

/// Changes to commit, and who is told.
pub(in crate::store) struct Wanted {
    pub(in crate::store) changes: Changes,
    pub(in crate::store) answer: Box<dyn FnOnce(Result<Commit, StoreError>) + Send>,
    pub(in crate::store) waited: Stopwatch,
}

impl Wanted {
    /// The order, unless it has waited too long: whoever decided it was told so, and nothing of it may be written.
    fn in_time(self, longest_wait: Duration) -> Option<Self> {
        if self.waited.elapsed() < longest_wait {
            return Some(self);
        }
        (self.answer)(Err(StoreError::Busy));
        None
    }
}

/// A question, and who waits for the answer.
pub(in crate::store) trait Asked: Send {
    /// Answers it in the snapshot of `reader`; or says what is to be committed before anybody is answered.
    fn answer(self: Box<Self>, reader: &mut Reader<'_>) -> Option<Wanted>;
    /// Answers that it cannot be.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// A question alone.
pub(in crate::store) struct Asking<Q: Question> {
    pub(in crate::store) question: Q,
    pub(in crate::store) answer: oneshot::Sender<Result<Q::Answer, StoreError>>,
}

impl<Q: Question> Asked for Asking<Q> {
    fn answer(self: Box<Self>, reader: &mut Reader<'_>) -> Option<Wanted> {
        let _ = self.answer.send(self.question.ask(reader)); // a caller that went away needs no answer
        None
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error)); // as above
    }
}

/// A question, and the decision that its answer leads to.
pub(in crate::store) struct Settling<Q: Question, D, T> {
    pub(in crate::store) question: Q,
    pub(in crate::store) decide: D,
    pub(in crate::store) answer: oneshot::Sender<Result<(T, Commit), StoreError>>,
    pub(in crate::store) waited: Stopwatch,
}

impl<Q, D, T> Asked for Settling<Q, D, T>
where
    Q: Question,
    D: FnOnce(Q::Answer) -> (Changes, T) + Send,
    T: Send + 'static,
{
    fn answer(self: Box<Self>, reader: &mut Reader<'_>) -> Option<Wanted> {
        let Self { question, decide, answer, waited } = *self;
        let found = match question.ask(reader) {
            Ok(found) => found,
            Err(error) => {
                let _ = answer.send(Err(error)); // as above
                return None;
            }
        };
        // A decision that panics is its caller's loss alone: the channel closes, and the writer goes on.
        let (changes, decided) = catch_unwind(AssertUnwindSafe(|| decide(found))).ok()?;
        if changes.is_empty() {
            let _ = answer.send(Ok((decided, Commit::nothing()))); // as above
            return None;
        }
        let answer = move |outcome: Result<Commit, StoreError>| {
            let _ = answer.send(outcome.map(|commit| (decided, commit))); // as above
        };
        Some(Wanted { changes, answer: Box::new(answer), waited })
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error)); // as above
    }
}

/// What the writer thread owns.
pub(in crate::store) struct Writer {
    pub(in crate::store) connection: Connection,
    pub(in crate::store) documents: Arc<Documents>,
    pub(in crate::store) commits: Arc<Commits>,
    pub(in crate::store) readers: [Arc<Readers>; 2],
    pub(in crate::store) options: StoreOptions,
    pub(in crate::store) feed_grew: watch::Sender<u64>,
    pub(in crate::store) found: watch::Sender<u64>,
    /// How many orders wait: each that is taken from the queue is counted down.
    pub(in crate::store) taken: Arc<AtomicUsize>,
    /// The file failed, and no commit has succeeded since.
    pub(in crate::store) lost: bool,
    /// Commits since the size of the log was last looked at.
    pub(in crate::store) since_look: u32,
}

/// Whether clients or apis are among what is written.
fn touches_documents(changes: &Changes) -> bool {
    let document = |key: &RowKey| matches!(key, RowKey::Client(_) | RowKey::Api(_));
    let writes = changes.writes.iter().any(|row| matches!(row, Row::Client(_) | Row::Api(_)));
    writes || changes.deletes.iter().any(|(key, _)| document(key))
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
    pub(in crate::store) fn run(mut self, orders: &Receiver<Order>) {
        let mut idle = true;
        loop {
            let first = if idle {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                orders.recv_timeout(self.options.idle_after)
            };
            match first {
                Ok(first) => {
                    let nothing = self.work(first, orders);
                    idle = idle && nothing; // what was committed before is still to be moved
                    std::thread::yield_now(); // who was answered may have the next order ready: one sync for more
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
    fn work(&mut self, first: Order, orders: &Receiver<Order>) -> bool {
        let (mut questions, mut batch) = (Vec::new(), Vec::new());
        for order in std::iter::once(first).chain(orders.try_iter()).take(self.options.batch.max(1)) {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            match order {
                Order::Ask(question) => questions.push(question),
                Order::Commit(wanted) => batch.push(wanted),
            }
        }
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
        let age = Some(self.documents.age());
        let mut reader = Reader { connection: &self.connection, documents: &self.documents, age };
        let wanted = questions.into_iter().filter_map(|question| question.answer(&mut reader)).collect();
        if let Err(error) = execute(&self.connection, "COMMIT", &[]) {
            tracing::warn!(%error, "a snapshot of the writer could not be left");
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
            self.lost = true;
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
                self.succeeded(head);
                for ((waiting, _), answer) in waiting.into_iter().zip(answers) {
                    waiting(answer);
                }
                self.look_at_the_log();
            }
            Err(error) => {
                self.lost |= matches!(error, StoreError::Unknown | StoreError::Io { .. } | StoreError::Corrupt { .. });
                tracing::error!(%error, members = waiting.len(), "a batch of commits failed");
                for (waiting, _) in waiting {
                    waiting(Err(error.clone()));
                }
            }
        }
    }

    fn succeeded(&mut self, head: Option<u64>) {
        if std::mem::take(&mut self.lost) {
            self.found.send_modify(|times| *times += 1);
        }
        if let Some(seq) = head {
            self.feed_grew.send_replace(seq);
        }
    }

    /// Moves the log into the file when it has grown enough. After the answers: nobody waits for it.
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
        Reader { connection: &self.connection, documents: &self.documents, age: None }
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
            let event = serde_json::to_string(&notice.event).map_err(unwritable)?;
            let concerns = serde_json::to_string(&notice.concerns).map_err(unwritable)?;
            let chain: ChainHash = head.chain.then(&event);
            *head = Cursor { seq: head.seq + 1, chain };
            let sql = "INSERT INTO feed (seq, chain, event, concerns, at, forget_after) \
                       VALUES ($1, $2, $3, $4, $5, $6)";
            let params = [
                number(head.seq)?,
                Param::blob(chain.as_bytes()),
                Param::owned(event),
                Param::owned(concerns),
                Param::time(notice.at),
                Param::time(notice.event.forget_after()),
            ];
            execute(&self.connection, sql, &params).map_err(failed)?;
        }
        Ok(*head)
    }
}

/// Looking at the size of the log costs a microsecond: not after every commit.
const LOOK_EVERY: u32 = 16;

fn number(seq: u64) -> Result<Param<'static>, StoreError> {
    i64::try_from(seq).map(Param::Int).map_err(|_| StoreError::Unstorable { table: "feed", column: "seq" })
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Io { what: error.to_string() }
}
