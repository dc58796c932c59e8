//! The lines of the log on their way out: gathered by whoever writes one, written by a thread of its own, as many at
//! once as there are. So a request waits neither for a disk nor for whoever reads the log. Never looks into a line, and
//! never keeps more than 8 MiB: where the reader is that far behind, what comes is dropped and counted.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// So much may wait to be written.
const MOST_BYTES: usize = 8 << 20;
/// How long lines are gathered: a crash that leaves no time to write loses no more than these.
const GATHERED: Duration = Duration::from_millis(10);
/// How long the end waits for somebody to read the rest.
const LAST: Duration = Duration::from_secs(2);

/// Where lines are handed in. Clones share it.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Desk>);

/// Writes what was handed in until it is dropped; then writes the rest, for two seconds at most.
#[derive(Debug)]
#[must_use = "the log ends when this is dropped"]
pub struct Writing {
    desk: Arc<Desk>,
    ended: Receiver<()>,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    dropped: u64,
    over: bool,
}

impl Desk {
    /// A panic elsewhere leaves it whole: every change to it is one call.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that waits, as soon as there is something; nothing when it is over.
    fn next(&self, mut room: Vec<u8>) -> Option<(Vec<u8>, u64)> {
        room.clear();
        let mut waiting = self.waiting();
        while waiting.text.is_empty() && !waiting.over {
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if !waiting.over {
            drop(waiting);
            std::thread::sleep(GATHERED); // so that a busy server wakes this thread seldom
            waiting = self.waiting();
        }
        let dropped = std::mem::take(&mut waiting.dropped);
        let text = std::mem::replace(&mut waiting.text, room);
        (!text.is_empty()).then_some((text, dropped))
    }
}

impl Lines {
    /// Begins to write to `out`.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn to(mut out: impl Write + Send + 'static) -> io::Result<(Self, Writing)> {
        let desk = Arc::new(Desk::default());
        let (alive, ended) = channel::<()>();
        let write = {
            let desk = Arc::clone(&desk);
            move || {
                let _alive = alive; // until the thread ends
                let mut room = Vec::new();
                while let Some((text, dropped)) = desk.next(std::mem::take(&mut room)) {
                    // A log that cannot be written has nowhere to say so.
                    let _ = out.write_all(&text);
                    if dropped > 0 {
                        let _ = writeln!(out, "({dropped} lines were dropped: the log is read too slowly)");
                    }
                    let _ = out.flush();
                    room = text;
                }
            }
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok((Self(Arc::clone(&desk)), Writing { desk, ended }))
    }
}

/// One line, whole: the formatter hands it in at once.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.waiting();
        if waiting.text.len() + line.len() > MOST_BYTES {
            waiting.dropped += 1;
        } else {
            waiting.text.extend_from_slice(line);
        }
        let first = waiting.text.len() == line.len();
        drop(waiting);
        if first {
            self.0.came.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.desk.waiting().over = true;
        self.desk.came.notify_one();
        // An error says that the thread has ended, or that nobody reads.
        let _ = self.ended.recv_timeout(LAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, for a test to look at.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_whole_and_the_last_ones_when_it_is_over() {
        let paper = Paper::default();
        let (lines, writing) = Lines::to(paper.clone()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let mut lines = lines.clone();
                scope.spawn(move || (0..1000).for_each(|n| writeln!(lines, "{thread} {n} is one line").unwrap()));
            }
        });
        drop(writing);
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 4000);
        assert!(text.lines().all(|line| line.ends_with(" is one line")), "no line within another");
    }

    #[test]
    fn the_end_comes_also_where_nobody_reads() {
        /// Takes nothing as long as the other end is held.
        struct Never(Receiver<()>);
        impl Write for Never {
            fn write(&mut self, text: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(text.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (held, never) = channel();
        let (mut lines, writing) = Lines::to(Never(never)).unwrap();
        lines.write_all(b"a line\n").unwrap();
        drop(writing);
        drop(held);
    }

    #[test]
    fn where_nobody_reads_lines_are_dropped_and_counted_and_nobody_waits() {
        /// A reader that has stopped reading, until the gate opens.
        struct Stuck(std::sync::mpsc::Receiver<()>, Paper);
        impl Write for Stuck {
            fn write(&mut self, text: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                self.1.write(text)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (gate, stuck) = std::sync::mpsc::channel();
        let paper = Paper::default();
        let (mut lines, writing) = Lines::to(Stuck(stuck, paper.clone())).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            assert_eq!(lines.write(&line).unwrap(), line.len());
        }
        drop(gate);
        drop(writing);
        let text = paper.0.lock().unwrap().clone();
        assert!(text.len() <= 2 * MOST_BYTES + 200, "{}", text.len());
        assert!(String::from_utf8_lossy(&text).contains("lines were dropped"));
    }
}
