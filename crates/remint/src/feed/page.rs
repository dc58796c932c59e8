//! What one page must hear of its own session: that it ended, or that its record changed. The feed only says when to
//! look; what is told is what the rows say. Never tells of another session, and never a value of the record.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use remint_core::event::Event;
use remint_core::feed::STILL_HERE;
use remint_core::id::{ClientId, SessionId, UserId};
use remint_core::refusal::Refusal;
use remint_core::session::EndReason;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::Batch;
use crate::app::App;
use crate::bearer::Bearer;
use crate::clock::Stopwatch;
use crate::failure::Failure;
use crate::grant::gate;

/// One stream serves all tabs of a browser; a few more are those that were left and not yet missed.
const OF_ONE_SESSION: usize = 8;
/// Try again when a stream may have been missed.
const LATER: Duration = Duration::from_secs(30);

/// Who has a stream, at most so many.
#[derive(Clone, Debug)]
pub struct Places {
    most: usize,
    taken: Arc<Mutex<HashMap<SessionId, usize>>>,
}

impl Places {
    /// So many in all.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    fn take(&self, sid: SessionId) -> Result<Place, Refusal> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (taken.values().sum::<usize>(), taken.get(&sid).copied().unwrap_or(0));
        if all >= self.most || own >= OF_ONE_SESSION {
            return Err(Refusal::TooManyStreams { retry_after: LATER });
        }
        taken.insert(sid, own + 1);
        Ok(Place { places: self.clone(), sid })
    }
}

/// The right to one stream; given up when dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    sid: SessionId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.sid) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.sid);
            }
        }
    }
}

/// One stream of a page.
pub struct Watcher {
    app: App,
    bearer: Bearer,
    of: (SessionId, UserId, ClientId),
    batches: broadcast::Receiver<Arc<Batch>>,
    history: watch::Receiver<u64>,
    /// The version of the record that the page was told.
    cv: u64,
    /// Frames that are due.
    due: VecDeque<String>,
    over: bool,
    /// Since a frame left.
    quiet: Stopwatch,
    _place: Place,
}

impl Watcher {
    /// Begins to watch the session of `bearer`; one that is over is refused.
    pub async fn open(app: &App, bearer: Bearer) -> Result<Self, Failure> {
        let place = app.page_streams.take(bearer.sid)?;
        // Before the read: nothing falls in between.
        let (mut history, batches) = (app.hub.history.clone(), app.hub.batches.subscribe());
        history.mark_unchanged();
        let held = bearer.holding(app).await?;
        gate::stands(&held.user, &held.client, &held.session, app.clock.now())?;
        Ok(Self {
            app: app.clone(),
            of: (bearer.sid, held.user.id, held.client.id.clone()),
            bearer,
            batches,
            history,
            cv: held.user.cv,
            due: VecDeque::from([claims_changed(held.user.cv)]),
            over: false,
            quiet: Stopwatch::start(),
            _place: place,
        })
    }

    /// The next frame, or a sign of life where none left for so long; `None` when the session is over and the page was
    /// told, when the server closes, and when what opened the stream is no proof any more.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.due.pop_front() {
                self.quiet = Stopwatch::start();
                return Some(frame);
            }
            if self.over {
                return None;
            }
            let left = self.app.settings.page_heartbeat.saturating_sub(self.quiet.elapsed());
            if left.is_zero() {
                self.look().await; // limits pass without an event
                if self.due.is_empty() && !self.over {
                    self.due.push_back(STILL_HERE.to_owned());
                }
                continue;
            }
            let batch = tokio::select! {
                () = tokio::time::sleep(left) => continue, // the sign of life is due
                changed = self.history.changed() => changed.map(|()| None).map_err(|_| RecvError::Closed),
                batch = self.batches.recv() => batch.map(Some),
            };
            match batch {
                Ok(Some(batch)) if !batch.events.iter().any(|told| self.is_concerned(&told.event)) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => self.look().await,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn is_concerned(&self, event: &Event) -> bool {
        let (own_sid, own_sub, own_client) = &self.of;
        match event {
            Event::ClaimsChanged { sub, .. } | Event::UserEnded { sub, .. } => sub == own_sub,
            Event::SessionEnded { sid, .. } => sid == own_sid,
            Event::ClientChanged { client_id, .. } => client_id == own_client,
            Event::TokenEnded { .. } | Event::KeyWithdrawn { .. } => false,
        }
    }

    /// Reads how the session stands. Where that cannot be read the stream goes on, and the question is asked again.
    async fn look(&mut self) {
        let standing = match self.bearer.holding(&self.app).await {
            Ok(held) => {
                let now = self.app.clock.now();
                gate::stands(&held.user, &held.client, &held.session, now).map(|()| held.user.cv)
            }
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(failure) => return tracing::warn!(cause = %failure, "a page's session cannot be read"),
        };
        match standing {
            Ok(cv) if cv > self.cv => {
                self.cv = cv;
                self.due.push_back(claims_changed(cv));
            }
            Ok(_) => {}
            Err(refusal) => {
                self.due.extend(reason(&refusal).map(ended));
                self.over = true;
            }
        }
    }
}

/// The word for why a session is over; `None` where it is not, and only its cookie has another secret.
fn reason(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::SessionEnded(reason) => Some(reason.as_str()),
        Refusal::SessionExpired => Some("expired"),
        Refusal::UserDisabled | Refusal::NoSuchUser | Refusal::ClientDisabled => Some(EndReason::Disabled.as_str()),
        _ => None,
    }
}

fn claims_changed(cv: u64) -> String {
    frame("claims-changed", &json!({ "cv": cv }))
}

fn ended(reason: &str) -> String {
    frame("ended", &json!({ "reason": reason }))
}

fn frame(name: &str, data: &serde_json::Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_one_session_and_for_all_and_are_given_back() {
        let places = Places::new(OF_ONE_SESSION + 1);
        let (one, other) = (SessionId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
        let mut held: Vec<_> = (0..OF_ONE_SESSION).map(|_| places.take(one).unwrap()).collect();
        assert!(places.take(one).is_err(), "one session");
        let last = places.take(other).unwrap();
        assert!(places.take(other).is_err(), "all");
        drop(last);
        held.pop();
        assert!(places.take(one).is_ok() && places.take(other).is_ok());
        drop(held);
        assert!(places.taken.lock().unwrap().is_empty(), "nothing is kept");
    }
}
