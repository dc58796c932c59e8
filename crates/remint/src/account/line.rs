//! A line in front of an account, on this node: so many requests about it at once, the others wait their turn. So an
//! honest person with many tabs is neither taken for a guesser nor turned away for conflicts with themselves. Counts
//! nothing and refuses nobody: who waits too long meets the server deadline.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many forgotten lines are kept before they are swept.
const SWEEP_AT: usize = 1024;

/// The lines of all accounts, `abreast` requests wide.
#[derive(Debug)]
pub struct Lines {
    abreast: usize,
    all: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place at the head of a line; given up when dropped.
#[derive(Debug)]
#[must_use = "the place is held as long as this value lives"]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    _line: Arc<Semaphore>,
}

impl Lines {
    /// Lines that let so many through at once.
    pub fn new(abreast: usize) -> Self {
        Self { abreast, all: Mutex::default() }
    }

    /// Waits for a place in front of an account.
    pub async fn enter(&self, account: &str) -> Place {
        let line = self.line(account);
        // A line is never closed: its permit always comes.
        let permit = Arc::clone(&line).acquire_owned().await.ok();
        Place { _permit: permit, _line: line }
    }

    fn line(&self, account: &str) -> Arc<Semaphore> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = all.get(account).and_then(Weak::upgrade) {
            return line;
        }
        if all.len() >= SWEEP_AT {
            all.retain(|_, line| line.strong_count() > 0);
        }
        let line = Arc::new(Semaphore::new(self.abreast));
        all.insert(account.to_owned(), Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn so_many_at_once_and_no_account_waits_for_another() {
        let (lines, inside) = (Arc::new(Lines::new(2)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (lines, inside) = (lines.clone(), inside.clone());
                tokio::spawn(async move {
                    let _place = lines.enter("ada").await;
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    let _other = lines.enter("grace").await;
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    now
                })
            })
            .collect();
        let mut most = 0;
        for task in tasks {
            most = most.max(task.await.unwrap());
        }
        assert_eq!(most, 2);
    }

    #[tokio::test]
    async fn lines_that_nobody_stands_in_are_forgotten() {
        let lines = Lines::new(1);
        for n in 0..5 * SWEEP_AT {
            drop(lines.enter(&n.to_string()).await);
        }
        assert!(lines.all.lock().unwrap().len() <= SWEEP_AT);
    }
}
