//! The threads that hash. Each of the lowest priority has a helper of the ordinary one: so nobody who is logged in feels
//! how many log in, and other programs cannot keep people from logging in. Knows nothing of passwords, and keeps none.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use crate::clock::Stopwatch;

/// Work of a tenth of a second that takes so long gets no processor: other programs have them all.
const PATIENCE: Duration = Duration::from_secs(1);
/// So long the helpers serve, then the others try again.
const STARVED_FOR: Duration = Duration::from_secs(10);

/// A piece of work, which may be begun twice, with its place: that is free again when nobody is at it any more.
pub(super) struct Job {
    pub(super) work: Box<dyn Fn() + Send + Sync>,
    pub(super) _place: OwnedSemaphorePermit,
}

/// The pool. Dropping it ends its threads, when what waits is done.
pub(super) struct Hashers(Arc<Pool>);

struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    began: Stopwatch,
}

impl Hashers {
    /// So many threads serve at a time.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        Self::with_patience(threads, PATIENCE)
    }

    pub(super) fn with_patience(threads: usize, patience: Duration) -> io::Result<Self> {
        let state = Mutex::new(State::new(threads, patience));
        let pool = Arc::new(Pool { state, changed: Condvar::new(), began: Stopwatch::start() });
        let hashers = Self(Arc::clone(&pool)); // so that those that were started end where one cannot be
        for number in 0..threads {
            let (patient, helper) = (Arc::clone(&pool), Arc::clone(&pool));
            thread::Builder::new().name(format!("passwords-{number}")).spawn(move || {
                give_way();
                patient.serve(Server::Patient(number));
            })?;
            let name = format!("passwords-{number}-helper");
            thread::Builder::new().name(name).spawn(move || helper.serve(Server::Helper))?;
        }
        Ok(hashers)
    }

    pub(super) fn queue(&self, job: Job) {
        self.0.state().waiting.push_back(Arc::new(job));
        self.0.changed.notify_all();
    }
}

impl Drop for Hashers {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_all();
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does until the pool is dropped and nothing waits any more.
    fn serve(&self, server: Server) {
        let mut state = self.state();
        loop {
            state = match state.next(server, self.began.elapsed()) {
                Next::Do(job) => {
                    drop(state);
                    self.changed.notify_all(); // the helpers look at the time
                    (job.work)();
                    drop(job);
                    let mut state = self.state();
                    state.done(server);
                    state
                }
                Next::Wait(None) => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Next::Wait(Some(most)) => {
                    self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
                }
                Next::End => return,
            };
        }
    }
}

/// Who asks what to do.
#[derive(Clone, Copy)]
enum Server {
    /// Of the lowest priority, by its number.
    Patient(usize),
    Helper,
}

enum Next {
    Do(Arc<Job>),
    /// Until something changes, or so long at most.
    Wait(Option<Duration>),
    End,
}

/// Who is at what. Times are those since the pool began.
struct State {
    waiting: VecDeque<Arc<Job>>,
    at_work: Vec<Option<AtWork>>,
    starved_until: Duration,
    patience: Duration,
    closed: bool,
}

/// What a patient thread is at.
struct AtWork {
    job: Arc<Job>,
    since: Duration,
    helped: bool,
}

impl State {
    fn new(threads: usize, patience: Duration) -> Self {
        let at_work = (0..threads).map(|_| None).collect();
        Self { waiting: VecDeque::new(), at_work, starved_until: Duration::ZERO, patience, closed: false }
    }

    fn next(&mut self, server: Server, now: Duration) -> Next {
        match server {
            Server::Patient(number) => self.for_patient(number, now),
            Server::Helper => self.for_helper(now),
        }
    }

    fn for_patient(&mut self, number: usize, now: Duration) -> Next {
        if now < self.starved_until && !self.closed {
            return Next::Wait(Some(self.starved_until - now));
        }
        let Some(job) = self.waiting.pop_front() else { return self.wait_or_end(None) };
        self.at_work[number] = Some(AtWork { job: Arc::clone(&job), since: now, helped: false });
        Next::Do(job)
    }

    /// First what a patient thread does not come to the end of; then, as long as they are starved, what waits.
    fn for_helper(&mut self, now: Duration) -> Next {
        let patience = self.patience;
        let alone = self.at_work.iter_mut().flatten().filter(|at_work| !at_work.helped);
        let Some(longest) = alone.min_by_key(|at_work| at_work.since) else { return self.help(now, None) };
        let left = (longest.since + patience).saturating_sub(now);
        if !left.is_zero() {
            return self.help(now, Some(left));
        }
        longest.helped = true;
        let job = Arc::clone(&longest.job);
        self.starved_until = now + STARVED_FOR;
        Next::Do(job)
    }

    fn help(&mut self, now: Duration, otherwise: Option<Duration>) -> Next {
        match self.waiting.front() {
            Some(_) if now < self.starved_until => self.waiting.pop_front().map_or(Next::End, Next::Do),
            _ => self.wait_or_end(otherwise),
        }
    }

    fn wait_or_end(&self, most: Option<Duration>) -> Next {
        if self.closed && self.waiting.is_empty() { Next::End } else { Next::Wait(most) }
    }

    fn done(&mut self, server: Server) {
        if let Server::Patient(number) = server {
            self.at_work[number] = None;
        }
    }
}

/// Where there are fewer processors than threads with work, all others go first, and at once.
#[cfg(target_os = "linux")]
fn give_way() {
    use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let this = thread_priority::thread_native_id();
    // An error leaves it as it is: slower for the others, and nothing worse.
    let _ = thread_priority::set_thread_priority_and_policy(this, ThreadPriority::Min, idle);
}

/// Elsewhere there is no such thing for a single thread.
#[cfg(not(target_os = "linux"))]
const fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    const SECOND: Duration = Duration::from_secs(1);

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_gives_way_is_scheduled_behind_all_others() {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy};
        let policy = thread::spawn(|| {
            give_way();
            thread_priority::thread_schedule_policy().unwrap()
        });
        assert_eq!(policy.join().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
    }

    fn queued(state: &mut State, jobs: usize) {
        for _ in 0..jobs {
            let _place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            state.waiting.push_back(Arc::new(Job { work: Box::new(|| {}), _place }));
        }
    }

    fn does(next: &Next) -> bool {
        matches!(next, Next::Do(_))
    }

    #[test]
    fn a_helper_leaves_the_work_to_those_who_get_on_with_it() {
        let mut state = State::new(1, PATIENCE);
        queued(&mut state, 2);
        assert!(matches!(state.next(Server::Helper, SECOND), Next::Wait(None)), "nobody is at work");
        assert!(does(&state.next(Server::Patient(0), SECOND)));
        let most = SECOND + PATIENCE / 4;
        assert!(matches!(state.next(Server::Helper, most), Next::Wait(Some(left)) if left == PATIENCE * 3 / 4));
        state.done(Server::Patient(0));
        assert!(matches!(state.next(Server::Helper, SECOND * 9), Next::Wait(None)));
    }

    #[test]
    fn a_helper_does_what_is_not_done_in_time_once_and_then_what_waits_for_a_while() {
        let mut state = State::new(2, PATIENCE);
        queued(&mut state, 4);
        let Next::Do(stuck) = state.next(Server::Patient(0), SECOND) else { panic!("it is at work") };
        let late = SECOND + PATIENCE;
        assert!(matches!(state.next(Server::Helper, late), Next::Do(job) if Arc::ptr_eq(&job, &stuck)));
        assert!(matches!(state.next(Server::Helper, late), Next::Do(job) if !Arc::ptr_eq(&job, &stuck)));
        assert!(matches!(state.next(Server::Patient(1), late), Next::Wait(Some(STARVED_FOR))), "helpers serve");
        assert!(does(&state.next(Server::Helper, late + STARVED_FOR - Duration::from_nanos(1))));
        assert!(!does(&state.next(Server::Helper, late + STARVED_FOR)));
        assert!(does(&state.next(Server::Patient(1), late + STARVED_FOR)), "and it tries again");
    }

    #[test]
    fn what_waits_is_done_before_the_threads_end() {
        let mut state = State::new(1, PATIENCE);
        queued(&mut state, 1);
        state.closed = true;
        assert!(matches!(state.next(Server::Helper, SECOND), Next::Wait(None)));
        assert!(does(&state.next(Server::Patient(0), SECOND)));
        assert!(matches!(state.next(Server::Helper, SECOND), Next::End));
        state.done(Server::Patient(0));
        assert!(matches!(state.next(Server::Patient(0), SECOND), Next::End));
    }
}
