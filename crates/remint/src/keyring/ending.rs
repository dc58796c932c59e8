//! Ends the sessions whose refresh tokens a withdrawn key derived, slice by slice, each with its event. The withdrawn row
//! keeps its sealed half until a sweep is through that began when no request could be under way any more that had taken
//! the key before: what is cut short goes on at the next tick, and what was committed behind a sweep is found by the last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use remint_core::change::{Changes, Row};
use remint_core::client::Client;
use remint_core::event::{Concerns, Event, Notice};
use remint_core::id::ClientId;
use remint_core::key::{Key, KeyState, Sealed};
use remint_core::notice;
use remint_core::policy::Timing;
use remint_core::refresh::MacKeyId;
use remint_core::session::{EndReason, Session, State};
use remint_core::time::Timestamp;

use super::{Keyring, KeyringError, MAX_CONFLICTS};
use crate::store::{Clients, Commit, Keys, SessionsDerivedWith};

/// How many sessions are ended in one commit.
const SLICE: usize = 128;

impl Keyring {
    /// Ends the sessions of every withdrawn refresh key that still has some; answers how many ended. Where another
    /// caller is at it, it leaves the work to that one.
    pub(super) async fn end_sessions_of_withdrawn(&self, now: Timestamp) -> Result<u64, KeyringError> {
        let Ok(_sweep) = self.0.sweep.try_lock() else { return Ok(0) };
        let mut ended = 0;
        let unfinished = |key: &Key| key.state == KeyState::Withdrawn && !key.sealed.is_empty();
        for key in self.0.store.read(Keys).await?.into_iter().filter(unfinished) {
            if let Some(kid) = key.mac_key_id() {
                ended += self.end_sessions_derived_with(kid, now).await?;
            }
            if now >= key.since.plus(self.in_flight()) {
                self.forget_secret(key).await?;
            }
        }
        Ok(ended)
    }

    /// How long after the withdrawal of a key a session derived with it may still be committed: a request that had taken
    /// the key has one server deadline to order its commit, and the commit as long again to be written. Where there are
    /// other nodes, their clocks may lie apart, and they hear of the withdrawal a moment later.
    fn in_flight(&self) -> Duration {
        2 * (self.0.timing.server_deadline + self.0.timing.clock_skew)
    }

    async fn end_sessions_derived_with(&self, kid: MacKeyId, now: Timestamp) -> Result<u64, KeyringError> {
        let clients = self.0.store.read(Clients).await?;
        let clients: HashMap<_, _> = clients.into_iter().map(|client| (client.id.clone(), client)).collect();
        let (mut ended, mut after, mut conflicts) = (0, None, 0);
        loop {
            let slice = self.0.store.read(SessionsDerivedWith { kid, after, limit: SLICE }).await?;
            let Some(last) = slice.last().map(|session| session.sid) else { return Ok(ended) };
            let (changes, count) = ending(slice, &clients, &self.0.timing, now);
            if count == 0 {
                after = Some(last);
                continue;
            }
            match self.0.store.commit(changes).await? {
                Commit::Done { .. } => (ended, after, conflicts) = (ended + count, Some(last), 0),
                // A session of the slice was renewed or ended in between: read the same slice again.
                Commit::Conflict { .. } if conflicts < MAX_CONFLICTS => conflicts += 1,
                Commit::Conflict { .. } => return Err(KeyringError::Contended),
            }
        }
    }

    /// Every session is ended: the row says so by having nothing sealed any more. Another node may have said it first.
    async fn forget_secret(&self, key: Key) -> Result<(), KeyringError> {
        let done = Key { sealed: Sealed::from_bytes(Vec::new()), ..key };
        self.0.store.commit(Changes::none().write(Row::Key(done))).await?;
        self.read().await.map(drop)
    }
}

fn ending(
    slice: Vec<Session>,
    clients: &HashMap<ClientId, Arc<Client>>,
    timing: &Timing,
    now: Timestamp,
) -> (Changes, u64) {
    let mut changes = Changes::none();
    let mut count = 0;
    for session in slice.into_iter().filter(|session| session.state == State::Live) {
        count += 1;
        changes = changes.notice(notice(&session, clients.get(&session.client), timing, now));
        changes = changes.write(Row::Session(session.ended(EndReason::Revoked, now)));
    }
    (changes, count)
}

fn notice(session: &Session, client: Option<&Arc<Client>>, timing: &Timing, now: Timestamp) -> Notice {
    let reason = EndReason::Revoked;
    match client {
        Some(client) => notice::session_ended(session, client, reason, timing, now),
        None => {
            let event = Event::SessionEnded { sid: session.sid, reason, forget_after: session.absolute_at };
            Notice { event, concerns: Concerns::Everyone, at: now }
        }
    }
}
