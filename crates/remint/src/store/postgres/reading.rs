//! Threads that answer questions, each on a connection of its own. A question is a snapshot; one whose connection turns out
//! to be lost is asked once more on another. Never writes.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use remint_core::client::Client;
use remint_core::id::ClientId;
use tokio::sync::oneshot;

use super::ages::{self, Ages};
use super::link::Link;
use super::place::Place;
use crate::clock::Stopwatch;
use crate::store::ask::{Question, Reader, Source};
use crate::store::documents::{Age, Documents};
use crate::store::error::StoreError;
use crate::store::order::{Answered, Asked, Asking};

/// Questions that may wait for a thread; one more is [`StoreError::Busy`].
const QUEUE: usize = 4096;

/// Everybody who reads.
pub(in crate::store) struct Reading {
    /// For questions by key.
    pub(super) readers: Pool,
    /// For those that scan.
    pub(super) scanners: Pool,
    /// For how old clients and apis are.
    pub(super) looker: Pool,
    pub(super) documents: Arc<Documents>,
    pub(super) ages: Arc<Ages>,
}

impl Reading {
    pub(in crate::store) async fn ask<Q: Question>(&self, question: Q) -> Result<Q::Answer, StoreError> {
        if Q::REMEMBERED
            && let Some(age) = ages::now(&self.ages, &self.looker).await
            && let Some(answer) = question.remembered(&self.documents, age)
        {
            return Ok(answer);
        }
        let (answer, answered) = oneshot::channel();
        let pool = if Q::SCAN { &self.scanners } else { &self.readers };
        let question = Box::new(Asking { question, answer });
        pool.ask(question, Q::ONE_STATEMENT)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// From memory, where it has the answer as of that age; else as [`Self::ask`].
    pub(in crate::store) async fn ask_as_of<Q: Question>(
        &self,
        question: Q,
        seen: Age,
    ) -> Result<Q::Answer, StoreError> {
        match question.remembered(&self.documents, seen) {
            Some(answer) => Ok(answer),
            None => self.ask(question).await,
        }
    }

    /// A client as it was read last.
    pub(in crate::store) fn recalled(&self, client: &ClientId) -> Option<Arc<Client>> {
        self.documents.clients_by_id.last(client.as_str())
    }

    /// Answers what waits, then nothing any more.
    pub(in crate::store) fn close(&self) {
        self.readers.close();
        self.scanners.close();
        self.looker.close();
    }
}

/// A question in the queue.
struct Waiting {
    question: Box<dyn Asked>,
    one_statement: bool,
    waited: Stopwatch,
}

/// Threads that share a queue of questions. Their connections are made when they are first needed.
pub(super) struct Pool {
    queue: Mutex<Option<SyncSender<Waiting>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// Starts at most so many threads; what cannot be started is missed by nobody while there is another.
    pub(super) fn start(name: &str, most: usize, place: &Place, documents: &Arc<Documents>) -> Self {
        let (sender, queue) = sync_channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..most.max(1)).filter_map(|_| {
            let (queue, place, documents) = (Arc::clone(&queue), place.clone(), Arc::clone(documents));
            let thread = std::thread::Builder::new().name(name.to_owned());
            let started = thread.spawn(move || {
                let patience = place.patience;
                let mut answering = Answering { link: Link::following(place), documents };
                while let Some(next) = next(&queue) {
                    if next.waited.elapsed() < patience {
                        answering.answer(next);
                    } else {
                        next.question.refuse(StoreError::Busy);
                    }
                }
            });
            started.inspect_err(|error| tracing::error!(%error, "a thread that reads could not be started")).ok()
        });
        Self { threads: Mutex::new(threads.collect()), queue: Mutex::new(Some(sender)) }
    }

    /// Lets a thread ask a question.
    pub(super) fn ask(&self, question: Box<dyn Asked>, one_statement: bool) -> Result<(), StoreError> {
        let waiting = Waiting { question, one_statement, waited: Stopwatch::start() };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().ok_or(StoreError::Closed)?.try_send(waiting).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that reads panicked");
            }
        }
    }
}

/// The next question; none when the queue is closed and empty. One thread waits for it, the others for that one.
fn next(queue: &Mutex<Receiver<Waiting>>) -> Option<Waiting> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// What a thread has.
struct Answering {
    link: Link,
    documents: Arc<Documents>,
}

impl Answering {
    fn answer(&mut self, waiting: Waiting) {
        let Waiting { question, one_statement, .. } = waiting;
        let Some((question, error)) = self.ask(question, one_statement) else { return };
        if !self.link.is_broken() {
            return question.refuse(error);
        }
        // A connection that has been idle may be gone, and nobody noticed.
        if let Some((question, error)) = self.ask(question, one_statement) {
            question.refuse(error);
        }
    }

    /// Asks it once; gives it back where that failed.
    fn ask(&mut self, question: Box<dyn Asked>, one_statement: bool) -> Option<(Box<dyn Asked>, StoreError)> {
        let session = match self.link.session() {
            Ok(lent) => lent.session,
            Err(error) => return Some((question, error.into())),
        };
        if one_statement {
            session.begin_one()
        } else {
            session.begin_snapshot()
        }
        let mut reader = Reader { source: Source::Postgres(session), documents: &self.documents };
        let failed = match question.ask(&mut reader) {
            Answered::Over => None,
            // Decisions are taken where commits are written, never here.
            Answered::Commit(wanted) => {
                (wanted.answer)(Err(StoreError::Closed));
                None
            }
            Answered::Failed(question, error) => Some((question, error)),
        };
        session.leave();
        failed
    }
}
