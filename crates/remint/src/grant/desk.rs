//! One presentation per session at a time on this node, and identical ones that wait share one decision and one
//! commit: so conflicts come only from other nodes. Knows nothing of what is decided.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use remint_core::id::SessionId;
use remint_core::secret::SecretHash;
use tokio::sync::oneshot;

const SHARDS: usize = 64;

/// Where presentations of one session take turns. `O` is what a decision answers.
#[derive(Debug)]
pub struct Desk<O> {
    shards: Box<[Mutex<Shard<O>>]>,
}

/// The decisions under way of some sessions.
type Shard<O> = HashMap<SessionId, Slot<O>>;

/// A decision under way.
#[derive(Debug)]
struct Slot<O> {
    /// None where it is shared with nobody.
    presented: Option<SecretHash>,
    sharing: Vec<oneshot::Sender<O>>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// What an arriving presentation finds.
enum Place<'a, O: Clone> {
    Turn(Turn<'a, O>),
    Share(oneshot::Receiver<O>),
    Wait(oneshot::Receiver<()>),
}

impl<O: Clone> Default for Desk<O> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl<O: Clone> Desk<O> {
    /// Runs `decide`, told whether it waited for its turn, when no other presentation of `sid` is being decided; one that is `presented` alike while another
    /// is decided gets that one's answer. Where the decider went away (its client closed the connection), one
    /// of those that wait decides.
    pub async fn in_turn<D, F>(&self, sid: SessionId, presented: SecretHash, decide: D) -> O
    where
        D: FnOnce(bool) -> F,
        F: Future<Output = O>,
    {
        let mut waited = false;
        loop {
            match self.arrive(sid, presented) {
                Place::Turn(turn) => {
                    let outcome = decide(waited).await;
                    turn.share(&outcome);
                    return outcome;
                }
                Place::Share(outcome) => {
                    if let Ok(outcome) = outcome.await {
                        return outcome;
                    }
                }
                Place::Wait(turn) => drop(turn.await),
            }
            waited = true;
        }
    }

    /// The turn of a presentation that shares with nobody, where no other of `sid` is being decided: it lasts until it
    /// is dropped.
    pub fn free(&self, sid: SessionId) -> Option<Turn<'_, O>> {
        match self.shard(sid).entry(sid) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                place.insert(Slot { presented: None, sharing: Vec::new(), waiting: Vec::new() });
                Some(Turn { desk: self, sid })
            }
        }
    }

    fn arrive(&self, sid: SessionId, presented: SecretHash) -> Place<'_, O> {
        let mut shard = self.shard(sid);
        let Some(slot) = shard.get_mut(&sid) else {
            shard.insert(sid, Slot { presented: Some(presented), sharing: Vec::new(), waiting: Vec::new() });
            return Place::Turn(Turn { desk: self, sid });
        };
        if slot.presented.as_ref().is_some_and(|shown| shown.equals(&presented)) {
            let (sender, receiver) = oneshot::channel();
            slot.sharing.push(sender);
            Place::Share(receiver)
        } else {
            let (sender, receiver) = oneshot::channel();
            slot.waiting.push(sender);
            Place::Wait(receiver)
        }
    }

    /// A panic elsewhere leaves the map whole: every change to it is one call.
    fn shard(&self, sid: SessionId) -> MutexGuard<'_, Shard<O>> {
        let at = usize::from(sid.as_bytes()[0]) % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to decide; given up when dropped, whatever happened.
#[derive(Debug)]
pub struct Turn<'a, O: Clone> {
    desk: &'a Desk<O>,
    sid: SessionId,
}

impl<O: Clone> Turn<'_, O> {
    fn share(&self, outcome: &O) {
        let sharing = self.desk.shard(self.sid).get_mut(&self.sid).map(|slot| std::mem::take(&mut slot.sharing));
        for sender in sharing.unwrap_or_default() {
            drop(sender.send(outcome.clone()));
        }
    }
}

impl<O: Clone> Drop for Turn<'_, O> {
    /// Whoever still shares or waits finds its channel closed, and arrives anew.
    fn drop(&mut self) {
        drop(self.desk.shard(self.sid).remove(&self.sid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    const SID: SessionId = SessionId::from_bytes([1; 16]);

    fn shown(text: &str) -> SecretHash {
        SecretHash::of(text.as_bytes())
    }

    #[tokio::test]
    async fn identical_presentations_share_one_decision() {
        let (desk, decided) = (Arc::new(Desk::<u32>::default()), Arc::new(AtomicU32::new(0)));
        let (open, gate) = tokio::sync::watch::channel(false);
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (desk, decided, mut gate) = (desk.clone(), decided.clone(), gate.clone());
                tokio::spawn(async move {
                    let decide = async {
                        gate.wait_for(|open| *open).await.unwrap();
                        decided.fetch_add(1, Ordering::SeqCst) + 1
                    };
                    desk.in_turn(SID, shown("same"), |_| decide).await
                })
            })
            .collect();
        while desk.shard(SID).get(&SID).is_none_or(|slot| slot.sharing.len() < 49) {
            tokio::task::yield_now().await;
        }
        open.send(true).unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 1);
        }
        assert!(desk.shard(SID).is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn different_presentations_are_decided_one_at_a_time() {
        let (desk, inside) = (Arc::new(Desk::<bool>::default()), Arc::new(AtomicU32::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let (desk, inside) = (desk.clone(), inside.clone());
                tokio::spawn(async move {
                    let decide = async {
                        let alone = inside.fetch_add(1, Ordering::SeqCst) == 0;
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, Ordering::SeqCst);
                        alone
                    };
                    desk.in_turn(SID, shown(&n.to_string()), |_| decide).await
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap());
        }
    }

    #[tokio::test]
    async fn who_comes_while_one_shares_with_nobody_waits_for_it_and_shares_with_the_next() {
        let desk = Desk::<u32>::default();
        let turn = desk.free(SID).unwrap();
        assert!(desk.free(SID).is_none(), "one at a time");
        let mut waiting = Box::pin(desk.in_turn(SID, shown("a"), |waited| async move { u32::from(waited) }));
        assert!(futures_util::FutureExt::now_or_never(waiting.as_mut()).is_none());
        drop(turn);
        assert_eq!(waiting.await, 1);
        assert!(desk.free(SID).is_some());
    }

    #[tokio::test]
    async fn when_the_decider_goes_away_another_decides_and_knows_that_it_waited() {
        let desk = Arc::new(Desk::<u32>::default());
        let first = tokio::spawn({
            let desk = desk.clone();
            async move { desk.in_turn(SID, shown("a"), |_| std::future::pending()).await }
        });
        while desk.shard(SID).is_empty() {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn({
            let desk = desk.clone();
            async move { desk.in_turn(SID, shown("a"), |waited| async move { if waited { 2 } else { 1 } }).await }
        });
        while desk.shard(SID).get(&SID).is_none_or(|slot| slot.sharing.is_empty()) {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert_eq!(second.await.unwrap(), 2);
    }
}
