//! What a writer is asked to do, whatever database it writes to: commit changes, or answer a question and commit what is
//! decided upon it. Never knows a database.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use remint_core::change::{Changes, Row, RowKey};
use remint_core::id::SessionId;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::Commit;
use super::ask::{Question, Reader};
use super::database_time::DatabaseTime;
use super::documents::Age;
use super::error::StoreError;
use crate::clock::Stopwatch;

/// What the writer is asked to do.
#[expect(clippy::large_enum_variant, reason = "nearly every order is a commit: a box would cost each of them")]
pub(super) enum Order {
    /// Commit changes.
    Commit(Wanted),
    /// Answer a question, and commit what is decided upon it: the pages that both need are read once.
    Ask(Box<dyn Asked>),
}

/// Tells whoever waits for a commit what became of it.
pub(super) type Telling = Box<dyn FnOnce(Result<Commit, StoreError>) + Send>;

/// Changes to commit, and who is told.
pub(super) struct Wanted {
    pub(super) changes: Changes,
    pub(super) answer: Telling,
    pub(super) waited: Stopwatch,
}

impl Wanted {
    /// The order, unless it has waited too long: whoever decided it was told so, and nothing of it may be written.
    pub(super) fn in_time(self, longest_wait: Duration) -> Option<Self> {
        if self.waited.elapsed() < longest_wait {
            return Some(self);
        }
        (self.answer)(Err(StoreError::Busy));
        None
    }
}

/// What became of a question that was asked.
pub(super) enum Answered {
    /// Its caller has the answer.
    Over,
    /// This is to be committed before its caller is answered.
    Commit(Wanted),
    /// The database failed, and nobody was told: it can be asked again, or refused.
    Failed(Box<dyn Asked>, StoreError),
}

/// A question, and who waits for the answer.
pub(super) trait Asked: Send {
    /// As [`Question::session`].
    fn session(&self) -> Option<SessionId>;
    /// Asks in the snapshot of `reader`.
    fn ask(self: Box<Self>, reader: &mut Reader<'_>) -> Answered;
    /// Answers that it cannot be.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// A question alone.
pub(super) struct Asking<Q: Question> {
    pub(super) question: Q,
    pub(super) answer: oneshot::Sender<Result<Q::Answer, StoreError>>,
}

impl<Q: Question> Asked for Asking<Q> {
    fn session(&self) -> Option<SessionId> {
        self.question.session()
    }

    fn ask(self: Box<Self>, reader: &mut Reader<'_>) -> Answered {
        if self.answer.is_closed() {
            return Answered::Over; // a caller that went away needs no answer
        }
        match self.question.ask(reader) {
            Ok(found) => {
                let _ = self.answer.send(Ok(found)); // as above
                Answered::Over
            }
            Err(error) => Answered::Failed(self, error),
        }
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error)); // as above
    }
}

/// A question, and the decision that its answer leads to.
pub(super) struct Settling<Q: Question, D, T> {
    pub(super) question: Q,
    pub(super) decide: D,
    pub(super) answer: oneshot::Sender<Result<(T, Commit), StoreError>>,
    pub(super) waited: Stopwatch,
}

impl<Q, D, T> Asked for Settling<Q, D, T>
where
    Q: Question,
    D: FnOnce(Q::Answer) -> (Changes, T) + Send + 'static,
    T: Send + 'static,
{
    fn session(&self) -> Option<SessionId> {
        self.question.session()
    }

    fn ask(self: Box<Self>, reader: &mut Reader<'_>) -> Answered {
        if self.answer.is_closed() {
            return Answered::Over; // the deadline is past, or the caller is gone: nothing is decided any more
        }
        let found = match self.question.ask(reader) {
            Ok(found) => found,
            Err(error) => return Answered::Failed(self, error),
        };
        let Self { decide, answer, waited, .. } = *self;
        // A decision that panics is its caller's loss alone: the channel closes, and the writer goes on.
        let Ok((changes, decided)) = catch_unwind(AssertUnwindSafe(|| decide(found))) else { return Answered::Over };
        if changes.is_empty() {
            let _ = answer.send(Ok((decided, Commit::nothing()))); // as above
            return Answered::Over;
        }
        let answer = move |outcome: Result<Commit, StoreError>| {
            let _ = answer.send(outcome.map(|commit| (decided, commit))); // as above
        };
        Answered::Commit(Wanted { changes, answer: Box::new(answer), waited })
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.answer.send(Err(error)); // as above
    }
}

/// The writer's end of the store: what it is asked to do, and what it tells to everybody.
pub(super) struct Queue {
    pub(super) orders: Receiver<Order>,
    /// How many orders wait: each that is taken is counted down.
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) feed_grew: watch::Sender<u64>,
    pub(super) found: watch::Sender<u64>,
    /// How old clients, apis and keys are, where other nodes may change them.
    pub(super) age: watch::Sender<Age>,
    /// What time it is by the database, where it has a clock of its own.
    pub(super) time: watch::Sender<Option<DatabaseTime>>,
    /// The database failed, and no commit has succeeded since.
    pub(super) lost: bool,
    /// Where those who wait do so, if the store was opened in a runtime.
    pub(super) runtime: Option<Handle>,
    /// Whoever closes the store waits until this and all of its clones are gone: one for each task that still tells.
    pub(super) telling: watch::Receiver<()>,
}

impl Queue {
    /// The order that was taken and what waits behind it, `most` at a time: questions, and what is to be committed.
    pub(super) fn batch(&self, first: Order, most: usize) -> (Vec<Box<dyn Asked>>, Vec<Wanted>) {
        let (mut questions, mut batch) = (Vec::new(), Vec::new());
        for order in std::iter::once(first).chain(self.orders.try_iter()).take(most.max(1)) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match order {
                Order::Ask(question) => questions.push(question),
                Order::Commit(wanted) => batch.push(wanted),
            }
        }
        (questions, batch)
    }

    /// A batch is committed, and the feed stands there if it grew: whoever listens is told, before anybody is answered.
    pub(super) fn succeeded(&mut self, head: Option<u64>) {
        if self.lost {
            self.found_again();
        }
        if let Some(seq) = head {
            self.feed_grew.send_replace(seq);
        }
    }

    /// Tells each of those who wait what became of theirs. More than one are told in one task of the runtime that they wait
    /// in, which so is woken from outside once, and not for each. Where it has ended, their channels close.
    pub(super) fn tell(&self, answers: impl Iterator<Item = (Telling, Result<Commit, StoreError>)>) {
        let answers: Vec<_> = answers.collect();
        let several = answers.len() > 1;
        let tell = || answers.into_iter().for_each(|(telling, answer)| telling(answer));
        match &self.runtime {
            Some(runtime) if several => {
                let telling = self.telling.clone();
                drop(runtime.spawn(async move {
                    tell();
                    drop(telling);
                }));
            }
            _ => tell(),
        }
    }

    /// The database was lost, and is found again.
    pub(super) fn found_again(&mut self) {
        self.lost = false;
        self.found.send_modify(|times| *times += 1);
    }

    /// A batch failed in this way.
    pub(super) fn failed(&mut self, error: &StoreError) {
        self.lost |= matches!(error, StoreError::Unknown | StoreError::Io { .. } | StoreError::Corrupt { .. });
    }
}

/// Whether clients, apis or keys are among what is written: what nodes keep in memory.
pub(super) fn touches_documents(changes: &Changes) -> bool {
    let document = |key: &RowKey| matches!(key, RowKey::Client(_) | RowKey::Api(_) | RowKey::Key(_));
    let writes = changes.writes.iter().any(|row| matches!(row, Row::Client(_) | Row::Api(_) | Row::Key(_)));
    writes || changes.deletes.iter().any(|(key, _)| document(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::mpsc::sync_channel;

    use futures_util::FutureExt as _;

    #[test]
    fn whoever_closes_waits_until_each_of_a_batch_is_told_and_one_alone_is_told_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (told, telling) = watch::channel(());
        let queue = Queue {
            orders: sync_channel(1).1,
            waiting: Arc::default(),
            feed_grew: watch::channel(0).0,
            found: watch::channel(0).0,
            age: watch::channel(Age::default()).0,
            time: watch::channel(None).0,
            lost: false,
            runtime: Some(runtime.handle().clone()),
            telling,
        };
        let tell = |all: usize| {
            let (answers, heard): (Vec<_>, Vec<_>) = (0..all).map(|_| oneshot::channel()).unzip();
            let telling = |answer: oneshot::Sender<_>| Box::new(move |outcome| drop(answer.send(outcome))) as Telling;
            queue.tell(answers.into_iter().map(|answer| (telling(answer), Ok(Commit::nothing()))));
            heard
        };
        let (mut alone, several) = (tell(1), tell(3));
        assert_eq!(alone[0].try_recv(), Ok(Ok(Commit::nothing())));
        drop(queue);
        assert_eq!(told.closed().now_or_never(), None, "three are not told yet");
        runtime.block_on(told.closed());
        assert!(several.into_iter().all(|mut heard| heard.try_recv() == Ok(Ok(Commit::nothing()))));
    }
}
