//! How old clients and apis are, for all at once who ask meanwhile: what memory has of them needs no snapshot for each.
//! Never tells an age that was looked at before somebody asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use remint_core::id::SessionId;
use tokio::sync::oneshot;

use super::reading::Pool;
use crate::clock::Stopwatch;
use crate::store::ask::{Reader, Source};
use crate::store::documents::Age;
use crate::store::error::StoreError;
use crate::store::order::{Answered, Asked};

/// Whoever has waited so long asks by itself: one connection that has gone silent, or cannot be made, holds nobody up for
/// longer.
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// So long after a look that failed everybody asks by itself.
const REST: Duration = Duration::from_secs(5);

/// Who waits for an age, and whether somebody is to look.
#[derive(Default)]
pub(super) struct Ages(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<oneshot::Sender<Age>>,
    /// A look is in the queue, and has not begun.
    looked_for: bool,
    /// Since the last look failed.
    failed: Option<Stopwatch>,
}

/// The age, looked at after this call; none where it cannot be told.
pub(super) async fn now(ages: &Arc<Ages>, looker: &Pool) -> Option<Age> {
    let (told, age) = oneshot::channel();
    let looked_for = {
        let mut state = ages.state();
        if state.failed.as_ref().is_some_and(|failed| failed.elapsed() < REST) {
            return None;
        }
        state.waiting.push(told);
        std::mem::replace(&mut state.looked_for, true)
    };
    if !looked_for {
        // Where that is refused, the look is over as soon as it is dropped.
        let _ = looker.ask(Box::new(Look { ages: Arc::clone(ages), begun: false, waiting: Vec::new() }), true);
    }
    let age = tokio::time::timeout(LONGEST_LOOK, age).await.ok().and_then(Result::ok);
    ages.state().failed = if age.is_none() { Some(Stopwatch::start()) } else { None };
    age
}

impl Ages {
    /// A panic elsewhere leaves it whole: every change to it is one call.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All who wait for a look that begins now; who comes later waits for another.
    fn begun(&self) -> Vec<oneshot::Sender<Age>> {
        let mut state = self.state();
        state.looked_for = false;
        std::mem::take(&mut state.waiting)
    }
}

/// One look.
struct Look {
    ages: Arc<Ages>,
    begun: bool,
    waiting: Vec<oneshot::Sender<Age>>,
}

impl Asked for Look {
    fn session(&self) -> Option<SessionId> {
        None
    }

    fn ask(mut self: Box<Self>, reader: &mut Reader<'_>) -> Answered {
        self.begun = true;
        self.waiting.append(&mut self.ages.begun());
        let Source::Postgres(session) = reader.source else { return Answered::Over };
        match session.age_now() {
            Ok(age) => {
                for told in std::mem::take(&mut self.waiting) {
                    let _ = told.send(age); // who went away needs none
                }
                Answered::Over
            }
            // Whoever is told nothing in the end asks by itself, and hears what is wrong.
            Err(trouble) => Answered::Failed(self, trouble.into()),
        }
    }

    fn refuse(self: Box<Self>, _: StoreError) {}
}

impl Drop for Look {
    /// Where it never began: who waits is told nothing.
    fn drop(&mut self) {
        if !self.begun {
            self.ages.begun();
        }
    }
}
