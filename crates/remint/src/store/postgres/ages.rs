//! How old clients and apis are, for all at once who ask meanwhile: what memory has of them needs no snapshot for each.
//! Never tells an age that was looked at before somebody asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use remint_core::id::SessionId;
use tokio::sync::oneshot;

use super::reading::Pool;
use crate::store::ask::{Reader, Source};
use crate::store::documents::Age;
use crate::store::error::StoreError;
use crate::store::order::{Answered, Asked};

/// Who waits for an age, and whether somebody looks.
#[derive(Default)]
pub(super) struct Ages(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<oneshot::Sender<Age>>,
    looked_for: bool,
}

/// The age, looked at after this call; none where it cannot be told.
pub(super) async fn now(ages: &Arc<Ages>, looker: &Pool) -> Option<Age> {
    let (told, age) = oneshot::channel();
    let looked_for = {
        let mut state = ages.state();
        state.waiting.push(told);
        std::mem::replace(&mut state.looked_for, true)
    };
    if !looked_for {
        // Where that is refused, the look is over as soon as it is dropped.
        let _ = looker.ask(Box::new(Look { ages: Arc::clone(ages), over: false }), true);
    }
    age.await.ok()
}

impl Ages {
    /// A panic elsewhere leaves it whole: every change to it is one call.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All who wait, for a look that begins now. Nobody: then it is over.
    fn next(&self) -> Vec<oneshot::Sender<Age>> {
        let mut state = self.state();
        state.looked_for = !state.waiting.is_empty();
        std::mem::take(&mut state.waiting)
    }
}

/// Looks, again and again, as long as somebody waits: on a thread that does nothing else.
struct Look {
    ages: Arc<Ages>,
    /// Nobody waited any more.
    over: bool,
}

impl Asked for Look {
    fn session(&self) -> Option<SessionId> {
        None
    }

    fn ask(mut self: Box<Self>, reader: &mut Reader<'_>) -> Answered {
        let Source::Postgres(session) = reader.source else { return Answered::Over };
        loop {
            let waiting = self.ages.next();
            if waiting.is_empty() {
                self.over = true;
                return Answered::Over;
            }
            // Whoever is told nothing asks by itself, and hears what is wrong.
            let Ok(age) = session.age_now() else { return Answered::Over };
            for told in waiting {
                let _ = told.send(age); // who went away needs none
            }
        }
    }

    fn refuse(self: Box<Self>, _: StoreError) {}
}

impl Drop for Look {
    /// Where it failed, or never began: who waits is told nothing, and the next to ask looks again.
    fn drop(&mut self) {
        if !self.over {
            let mut state = self.ages.state();
            state.looked_for = false;
            state.waiting.clear();
        }
    }
}
