//! The one thread of a node that writes. All that waits travels in one transaction: what it needs is locked and looked at
//! in one go, decided in memory, written in another, and answered after the commit; renewals are one statement. Other nodes
//! write beside it: where one of them was first, the whole batch is run anew, of renewals those that it touches are in
//! conflict. Never says "done" of something that may not be there.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use remint_core::change::{Changes, Row, RowKey};
use remint_core::event::Cursor;

use super::batch::{Needs, Renewed, Verdict};
use super::link::Link;
use super::session::Session;
use super::statements::{self, Seen, append, write};
use super::trouble::Trouble;
use crate::clock::Stopwatch;
use crate::meters;
use crate::store::ask::{Reader, Source};
use crate::store::database_time::DatabaseTime;
use crate::store::documents::Documents;
use crate::store::error::StoreError;
use crate::store::order::{Answered, Asked, Order, Queue, Wanted, touches_documents};
use crate::store::{Commit, StoreOptions};

/// How often the database is looked at for what other nodes did.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a batch is run at most.
const TRIES: u32 = 8;

/// What the writer thread owns.
pub(super) struct Writer {
    link: Link,
    documents: Arc<Documents>,
    options: StoreOptions,
    queue: Queue,
    looked: Stopwatch,
    /// Another server answers than when that was decided which is still to be committed.
    moved: bool,
}

/// An answer for each member of a batch, and the head of the feed if it grew.
type Outcome = (Vec<Result<Commit, StoreError>>, Option<u64>);

impl Writer {
    pub(super) fn new(link: Link, documents: Arc<Documents>, options: StoreOptions, queue: Queue) -> Self {
        Self { link, documents, options, queue, looked: Stopwatch::start(), moved: false }
    }

    /// Commits what comes in until nobody can send any more and all of it is answered; looks at the database meanwhile.
    pub(super) fn run(mut self) {
        loop {
            let until = LOOK_EVERY.saturating_sub(self.looked.elapsed());
            match self.queue.orders.recv_timeout(until) {
                Ok(first) => self.work(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let known = self.queue.lost;
            if self.looked.elapsed() >= LOOK_EVERY
                && let Err(error) = self.look()
                && !known
            {
                tracing::warn!(error, "the database cannot be reached; it is tried again until it can be");
            }
        }
    }

    /// Tells where the feed stands and how old what nodes keep in memory is, whoever changed them, and what time it is by
    /// the database. So a connection that was lost is noticed and made anew while nobody writes, too.
    pub(super) fn look(&mut self) -> Result<(), String> {
        self.looked = Stopwatch::start();
        let looked = session(&mut self.link, &mut self.queue, &mut self.moved).and_then(|session| {
            session.begin_one();
            let asked = Stopwatch::start();
            let seen = statements::seen(session).map(|seen| (seen, asked.elapsed()));
            session.leave();
            seen
        });
        self.moved &= self.queue.waiting.load(Ordering::Relaxed) > 0; // of what comes in later, all is decided here
        match looked {
            Ok((Seen { seq, age, now }, took)) => {
                self.queue.time.send_replace(Some(DatabaseTime::told(now, took)));
                let grew = *self.queue.feed_grew.borrow() != seq;
                self.queue.succeeded(grew.then_some(seq));
                self.queue.age.send_if_modified(|known| std::mem::replace(known, age) != age);
                Ok(())
            }
            Err(trouble) => {
                self.queue.lost = true;
                self.looked = Stopwatch::start(); // it may have taken long
                Err(trouble.to_string())
            }
        }
    }

    /// One batch: questions answered; then what was decided upon them committed, with all else that waits.
    fn work(&mut self, first: Order) {
        let (questions, mut batch) = self.queue.batch(first, self.options.batch);
        if !questions.is_empty() {
            let decided = self.answer(questions);
            if std::mem::take(&mut self.moved) {
                batch = of_any_server(batch);
            }
            batch.extend(decided);
        }
        self.commit(batch);
        self.link.leave(); // where nothing was left to commit
    }

    /// All of them in one snapshot. What is to be committed upon them. Where the connection is lost on the way, those that
    /// are left are asked once more on another.
    fn answer(&mut self, questions: Vec<Box<dyn Asked>>) -> Vec<Wanted> {
        let (mut wanted, mut questions) = (Vec::new(), questions);
        for last in [false, true] {
            let failed = self.ask(std::mem::take(&mut questions), &mut wanted);
            let again = !last && self.link.is_broken();
            for (question, error) in failed {
                if again { questions.push(question) } else { question.refuse(error) }
            }
        }
        wanted
    }

    /// Asks them; gives back those where that failed.
    fn ask(&mut self, questions: Vec<Box<dyn Asked>>, wanted: &mut Vec<Wanted>) -> Vec<(Box<dyn Asked>, StoreError)> {
        if questions.is_empty() {
            return Vec::new();
        }
        let session = match session(&mut self.link, &mut self.queue, &mut self.moved) {
            Ok(session) => session,
            Err(trouble) => {
                let error = StoreError::from(trouble);
                return questions.into_iter().map(|question| (question, error.clone())).collect();
            }
        };
        if self.moved {
            *wanted = of_any_server(std::mem::take(wanted));
        }
        session.begin_snapshot();
        // Where this fails each question is asked by itself, and fails or not.
        if let Err(trouble) = statements::fetch(session, questions.iter().filter_map(|one| one.session()).collect()) {
            tracing::debug!(%trouble, "rows could not be fetched together");
        }
        let mut reader = Reader { source: Source::Postgres(session), documents: &self.documents };
        let mut failed = Vec::new();
        for question in questions {
            if session.is_broken() {
                failed.push((question, Trouble::silent().into())); // each would wait as long as the first
                continue;
            }
            match question.ask(&mut reader) {
                Answered::Over => {}
                Answered::Commit(changes) => wanted.push(changes),
                Answered::Failed(question, error) => failed.push((question, error)),
            }
        }
        session.asked_all();
        failed
    }

    /// One batch: applied, committed, answered. Members that have waited too long by then are not written.
    fn commit(&mut self, mut batch: Vec<Wanted>) {
        for tries in 1.. {
            batch = batch.into_iter().filter_map(|wanted| wanted.in_time(self.options.longest_wait)).collect();
            if session(&mut self.link, &mut self.queue, &mut self.moved).is_ok() && std::mem::take(&mut self.moved) {
                batch = of_any_server(batch);
            }
            if batch.is_empty() {
                return;
            }
            let took = Stopwatch::start();
            let outcome = self.transaction(&batch.iter().map(|wanted| &wanted.changes).collect::<Vec<_>>());
            meters::committed(batch.len(), took.elapsed());
            match outcome {
                Ok((answers, head)) => {
                    self.queue.succeeded(head);
                    return self.queue.tell(batch.into_iter().map(|wanted| wanted.answer).zip(answers));
                }
                Err(Trouble::Again(_) | Trouble::Lost(_)) if tries < TRIES => {}
                // Nothing of it is written, and one member may be at fault: each by itself.
                Err(Trouble::Refused(_)) if batch.len() > 1 => {
                    return batch.into_iter().for_each(|wanted| self.commit(vec![wanted]));
                }
                Err(trouble) => {
                    let refused = matches!(trouble, Trouble::Refused(_));
                    let error = StoreError::from(trouble);
                    if !refused {
                        self.queue.failed(&error); // a value that the database refuses is no loss of it
                    }
                    tracing::error!(%error, members = batch.len(), "a batch of commits failed");
                    return self.queue.tell(batch.into_iter().map(|wanted| (wanted.answer, Err(error.clone()))));
                }
            }
        }
    }

    /// Everything of a batch in one transaction. An error is the whole batch's, and says that nothing is written, or that
    /// nobody knows.
    fn transaction(&mut self, all: &[&Changes]) -> Result<Outcome, Trouble> {
        let session = session(&mut self.link, &mut self.queue, &mut self.moved)?;
        if self.moved {
            return Err(Trouble::Again("another server answers".to_owned()));
        }
        let outcome = attempt(session, &self.documents, all);
        if outcome.is_err() {
            session.leave();
        }
        self.queue.lost |= self.link.is_broken();
        outcome
    }
}

/// The session. Where it is another one than before, everybody hears that the store was lost and found before anything is
/// asked on it: what is decided upon its answers is decided in doubt.
fn session<'a>(link: &'a mut Link, queue: &mut Queue, moved: &mut bool) -> Result<&'a Session, Trouble> {
    let lent = link.session()?;
    *moved |= lent.elsewhere;
    if lent.anew {
        queue.found_again();
    }
    Ok(lent.session)
}

/// Those that were decided upon no row. Of the others nothing is written, and they are to be decided again: a standby that
/// took over may lack what they saw, and have another row at that very `rev`.
fn of_any_server(batch: Vec<Wanted>) -> Vec<Wanted> {
    let (seen, unseen): (Vec<_>, _) = batch.into_iter().partition(|wanted| {
        let Changes { writes, deletes, expects, .. } = &wanted.changes;
        !(writes.is_empty() && deletes.is_empty() && expects.is_empty())
    });
    seen.into_iter().for_each(|wanted| (wanted.answer)(Err(StoreError::Busy)));
    unseen
}

fn attempt(session: &Session, documents: &Documents, all: &[&Changes]) -> Result<Outcome, Trouble> {
    if let Some(batch) = Renewed::of(all) {
        return renewed(session, documents, batch);
    }
    let needs = Needs::of(all);
    let mut batch = statements::locked(session, &needs)?;
    let verdicts: Vec<_> = all.iter().map(|changes| batch.member(changes)).collect();
    let done = || all.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Done(_)));
    write(session, batch, done().any(|(changes, _)| touches_documents(changes)))?;
    let mut reader = Reader { source: Source::Postgres(session), documents };
    let mut head = match done().any(|(changes, _)| !changes.notices.is_empty()) {
        true => Some(statements::feed_head(session)?),
        false => None,
    };
    let (mut events, mut now) = (Vec::new(), Conflicting::default());
    let mut answers = Vec::with_capacity(all.len());
    for (changes, verdict) in all.iter().zip(verdicts) {
        answers.push(match verdict {
            Verdict::Done(taken) => {
                let cursor = match &mut head {
                    Some(head) if !changes.notices.is_empty() => Some(append(head, &changes.notices, &mut events)?),
                    _ => None,
                };
                Ok(Commit::Done { taken, cursor })
            }
            Verdict::Conflict(key) => now.row(&mut reader, key)?,
            Verdict::Failed(error) => Err(error),
        });
    }
    statements::grow(session, &events, head)?;
    session.commit()?;
    Ok((answers, head.map(|head: Cursor| head.seq)))
}

/// A batch of renewals, in one statement. Those whose row was not as they had seen it are in conflict, the others committed.
fn renewed(session: &Session, documents: &Documents, batch: Renewed<'_>) -> Result<Outcome, Trouble> {
    let Renewed { table, keys, values } = batch;
    let found = statements::renew(session, table, values)?;
    let reader = Reader { source: Source::Postgres(session), documents };
    let answer = |key: &RowKey| match found.contains(key) {
        true => Ok(Commit::Done { taken: Vec::new(), cursor: None }),
        false if session.is_broken() => Err(Trouble::silent().into()), // each would wait as long as the first
        false => {
            let current = reader.row(key)?;
            Ok(Commit::Conflict { key: key.clone(), current: current.map(Box::new) })
        }
    };
    Ok((keys.iter().map(answer).collect(), None))
}

/// The rows that were in somebody's way, as they are at the end of the batch: each is read once.
#[derive(Default)]
struct Conflicting(HashMap<RowKey, Result<Option<Row>, StoreError>>);

impl Conflicting {
    /// The conflict with a row. One that cannot be read is its caller's failure; any other failure is the batch's.
    fn row(&mut self, reader: &mut Reader<'_>, key: RowKey) -> Result<Result<Commit, StoreError>, Trouble> {
        let found = match self.0.get(&key) {
            Some(found) => found.clone(),
            None => match reader.row(&key) {
                found @ (Ok(_) | Err(StoreError::Corrupt { .. })) => self.0.entry(key.clone()).or_insert(found).clone(),
                Err(error) => return Err(Trouble::Failed(error)),
            },
        };
        Ok(found.map(|current| Commit::Conflict { key, current: current.map(Box::new) }))
    }
}
