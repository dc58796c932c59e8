//! The threads that hash. Those that compute have the lowest priority, so that nobody who is logged in feels how many
//! log in; each belongs to one of ordinary priority, which computes itself where other programs leave the first no
//! processor, so that these cannot keep people from logging in. Knows nothing of passwords, and keeps none.
//!
//! A thread that may stand still for seconds must hold nothing that others wait for. One that computes takes no lock
//! that another waits for, asks the operating system for nothing (its memory is made ready for it: who is interrupted
//! while a page is mapped holds up the whole process), and wakes nobody but its own.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use argon2::Block;
use tokio::sync::OwnedSemaphorePermit;

use crate::clock::Stopwatch;

/// So long a thread computes itself after it found that the other is starved; then that one has its next try.
const STARVED_FOR: Duration = Duration::from_secs(10);
/// After so long without work the memory is given back.
const IDLE: Duration = Duration::from_secs(1);

/// What is computed in, reused from one hash to the next.
pub(super) type Memory = Vec<Block>;

/// What is computed. It may be begun twice, and comes to the same.
pub(super) trait Work: Send + Sync {
    /// Whether anybody still wants it: then it is begun.
    fn begin(&self) -> bool;
    /// How many blocks of memory it computes in.
    fn blocks(&self) -> usize;
    /// Computes it, in at least as many blocks. Takes no lock that another waits for.
    fn compute(&self, memory: &mut Memory);
    /// Whether it is computed.
    fn is_done(&self) -> bool;
    /// Tells whoever asked.
    fn answer(&self);
}

/// Work, with its place: that is free again when it is answered, not when whoever asked goes away.
pub(super) struct Job {
    pub(super) work: Arc<dyn Work>,
    pub(super) place: OwnedSemaphorePermit,
}

/// The pool. Dropping it ends its threads, when what waits is done.
pub(super) struct Hashers(Arc<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Hashers {
    /// So many are computed at a time. What a thread of the lowest priority has not done within `patience` is computed
    /// once more by one of the ordinary.
    pub(super) fn start(threads: usize, patience: Duration) -> io::Result<Self> {
        let hashers = Self(Arc::default()); // so that those that were started end where one cannot be
        for number in 0..threads {
            let (computer, queue) = (Computer::start(number)?, Arc::clone(&hashers.0));
            let serving = move || Serving { computer, patience, starved: None }.serve(&queue);
            thread::Builder::new().name(format!("passwords-{number}")).spawn(serving)?;
        }
        Ok(hashers)
    }

    pub(super) fn queue(&self, job: Job) {
        self.0.waiting().jobs.push_back(job);
        self.0.came.notify_one();
    }
}

impl Drop for Hashers {
    fn drop(&mut self) {
        self.0.waiting().closed = true;
        self.0.came.notify_all();
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next; none where it is over. `idle` is called once when nothing came for a while.
    fn next(&self, idle: impl FnOnce()) -> Option<Job> {
        let nothing = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.closed;
        let waited = self.came.wait_timeout_while(self.waiting(), IDLE, nothing);
        let (mut waiting, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            drop(waiting);
            idle();
            waiting = self.came.wait_while(self.waiting(), nothing).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.jobs.pop_front()
    }
}

/// A thread of the lowest priority, and its memory. Dropping it ends it, when it is done with what it is at.
struct Computer {
    shared: Arc<Shared>,
    thread: Thread,
    memory: Arc<Mutex<Memory>>,
}

/// What passes between a thread that computes and its own: without locks.
#[derive(Default)]
struct Shared {
    next: ArcSwapOption<Handed>,
    over: AtomicBool,
}

struct Handed {
    work: Arc<dyn Work>,
    /// Its own thread only ever tries the lock.
    memory: Arc<Mutex<Memory>>,
    by: Thread,
}

impl Computer {
    fn start(number: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let computing = move || {
            give_way();
            its.compute();
        };
        let thread = thread::Builder::new().name(format!("computes-{number}")).spawn(computing)?.thread().clone();
        Ok(Self { shared, thread, memory: Arc::default() })
    }

    /// Whether it has computed it within `patience`.
    fn computes(&self, work: &Arc<dyn Work>, patience: Duration) -> bool {
        match self.memory.try_lock() {
            Ok(mut memory) => ready(&mut memory, work.blocks()),
            Err(_) => return false, // it is still at an earlier one
        }
        let (asked, memory) = (Stopwatch::start(), Arc::clone(&self.memory));
        self.shared.next.store(Some(Arc::new(Handed { work: Arc::clone(work), memory, by: thread::current() })));
        self.thread.unpark();
        while !work.is_done() {
            let left = patience.saturating_sub(asked.elapsed());
            if left.is_zero() {
                self.shared.next.store(None); // where it has not begun, it need not, and keeps no password
                return false;
            }
            thread::park_timeout(left);
        }
        true
    }

    fn give_memory_back(&self) {
        if let Ok(mut memory) = self.memory.try_lock() {
            *memory = Memory::new();
        }
    }
}

/// Makes it as long as it must be: each page of it is there.
pub(super) fn ready(memory: &mut Memory, blocks: usize) {
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Shared {
    fn compute(&self) {
        while !self.over.load(Ordering::Acquire) {
            let Some(next) = self.next.swap(None) else {
                thread::park();
                continue;
            };
            let Handed { work, memory, by } = &*next;
            if !work.is_done() {
                work.compute(&mut memory.lock().unwrap_or_else(PoisonError::into_inner));
            }
            by.unpark();
        }
    }
}

/// What a thread of ordinary priority goes by.
struct Serving {
    computer: Computer,
    patience: Duration,
    /// Since when the other has been starved, as far as is known.
    starved: Option<Stopwatch>,
}

impl Serving {
    /// Until nobody can send work any more, and what waits is done.
    fn serve(mut self, queue: &Queue) {
        while let Some(Job { work, place }) = queue.next(|| self.computer.give_memory_back()) {
            if work.begin() {
                self.compute(&work);
                work.answer();
            }
            drop(place);
        }
    }

    fn compute(&mut self, work: &Arc<dyn Work>) {
        let starved = self.starved.is_some_and(|since| since.elapsed() < STARVED_FOR);
        if starved || !self.computer.computes(work, self.patience) {
            if !starved {
                self.starved = Some(Stopwatch::start());
            }
            let mut memory = Memory::new();
            ready(&mut memory, work.blocks());
            work.compute(&mut memory);
        }
    }
}

/// Where there are fewer processors than threads with work, all others go first.
#[cfg(target_os = "linux")]
fn give_way() {
    const LAST: i32 = 19;
    // Linux knows a thread by this as well. An error leaves it as it is: slower for the others, and nothing worse.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LAST);
}

/// Elsewhere there is no such thing for a single thread.
#[cfg(not(target_os = "linux"))]
const fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc;
    use tokio::sync::Semaphore;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_computes_comes_after_all_others() {
        let nice = thread::spawn(|| {
            give_way();
            rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
        });
        assert_eq!(nice.join().unwrap(), 19);
    }

    /// Work that the thread of lowest priority comes to no end of until it is released.
    struct Starved {
        by_the_other: Mutex<mpsc::Receiver<()>>,
        done: AtomicBool,
        times: Arc<AtomicU32>,
        answer: Mutex<Option<mpsc::Sender<bool>>>,
    }

    impl Work for Starved {
        fn begin(&self) -> bool {
            true
        }

        fn blocks(&self) -> usize {
            8
        }

        fn compute(&self, memory: &mut Memory) {
            assert_eq!(memory.len(), 8);
            self.times.fetch_add(1, Ordering::SeqCst);
            if thread::current().name() == Some("computes-0") {
                let _released = self.by_the_other.lock().unwrap().recv();
            } else {
                self.done.store(true, Ordering::SeqCst);
            }
        }

        fn is_done(&self) -> bool {
            self.done.load(Ordering::SeqCst)
        }

        fn answer(&self) {
            self.answer.lock().unwrap().take().unwrap().send(self.is_done()).unwrap();
        }
    }

    #[test]
    fn what_a_starved_thread_does_not_finish_is_computed_by_its_own_and_so_is_what_follows() {
        let hashers = Hashers::start(1, Duration::from_millis(1)).unwrap();
        let places = Arc::new(Semaphore::new(2));
        let times = Arc::new(AtomicU32::new(0));
        let mut releases = Vec::new();
        for at_most in [2, 3] {
            let (release, by_the_other) = mpsc::channel();
            releases.push(release);
            let (answer, answered) = mpsc::channel();
            let (by_the_other, answer) = (Mutex::new(by_the_other), Mutex::new(Some(answer)));
            let work = Starved { by_the_other, done: AtomicBool::new(false), times: Arc::clone(&times), answer };
            let place = Arc::clone(&places).try_acquire_owned().unwrap();
            hashers.queue(Job { work: Arc::new(work), place });
            assert_eq!(answered.recv(), Ok(true));
            assert!((1..=at_most).contains(&times.load(Ordering::SeqCst)), "the second time it is not asked");
        }
    }
}
