//! How a node learns of keys that another node made or withdrew: it reads them again when the store says that something
//! changed, and once more before it calls a key unknown. Never believes longer in a key that was withdrawn elsewhere than
//! it takes to hear of that.

use std::sync::{Arc, Weak};
use std::time::Duration;

use remint_core::jwk::Algorithm;
use remint_core::key::Key;
use remint_core::refresh::MacKeyId;
use tokio::sync::watch;

use super::{Inner, Keyring, KeyringError};
use crate::clock::Stopwatch;
use crate::store::{Age, BeforeCommit, Keys};

/// Keys are read so often at most for the sake of one that is unknown: whoever invents ids makes no more work than that.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Until keys that could not be read are tried again.
const RETRY: Duration = Duration::from_millis(100);

impl Keyring {
    /// Reads the rows and puts them into use: one reading at a time, so that none takes the place of a later one. Of the
    /// writer: a node that cannot read its keys commits nothing either.
    pub(super) async fn read(&self) -> Result<Vec<Key>, KeyringError> {
        let mut last = self.0.reading.lock().await;
        self.read_now(&mut last).await
    }

    async fn read_now(&self, last: &mut Option<Stopwatch>) -> Result<Vec<Key>, KeyringError> {
        let begun = Stopwatch::start();
        let rows = self.0.store.read(BeforeCommit(Keys)).await?;
        self.adopt(&rows)?;
        *last = Some(begun);
        Ok(rows)
    }

    /// Sees to it that the keys in use are those that were there when this was called. Answers whether they may be others
    /// than before: never, where no other node can change them. Whoever calls meanwhile shares one reading.
    ///
    /// # Errors
    /// [`KeyringError`]; the keys in use stay as they were.
    pub async fn look(&self) -> Result<bool, KeyringError> {
        self.look_unless(|_| false).await
    }

    /// The same, where the refresh key of this number is not known: another node may just have made it.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn look_for(&self, id: MacKeyId) -> Result<(), KeyringError> {
        self.look_unless(|keyring| keyring.refresh_key(id).is_some()).await.map(drop)
    }

    /// The same, where no key that signs with `algorithm` is known: another node may just have made it, for its api.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn look_for_signer(&self, algorithm: Algorithm) -> Result<(), KeyringError> {
        self.look_unless(|keyring| keyring.signer(algorithm).is_some()).await.map(drop)
    }

    async fn look_unless(&self, known: impl Fn(&Self) -> bool) -> Result<bool, KeyringError> {
        if !self.0.store.is_shared() || known(self) {
            return Ok(false);
        }
        let came = Stopwatch::start();
        let mut last = self.0.reading.lock().await;
        let waited = came.elapsed();
        if known(self) || last.is_some_and(|last| last.elapsed() <= waited) {
            return Ok(true); // a reading that began after this call
        }
        if let Some(last) = *last {
            tokio::time::sleep(LOOK_EVERY.saturating_sub(last.elapsed())).await;
        }
        self.read_now(&mut last).await.map(|_| true)
    }
}

/// Reads the keys whenever something was changed, until the store or the keyring is gone.
pub(super) async fn run(inner: Weak<Inner>, mut changed: watch::Receiver<Age>) {
    while changed.changed().await.is_ok() {
        while let Err(error) = match inner.upgrade().map(Keyring) {
            Some(keyring) => keyring.read().await.map(drop),
            None => return,
        } {
            tracing::error!(%error, "keys that another node may have changed cannot be used: those that are known stay");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Begins to watch.
pub(super) fn begin(inner: &Arc<Inner>, changed: watch::Receiver<Age>) {
    if inner.store.is_shared() {
        tokio::spawn(run(Arc::downgrade(inner), changed));
    }
}
