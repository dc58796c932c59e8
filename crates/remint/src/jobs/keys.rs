//! Rotates keys when they are due, and goes on ending the sessions of those that were withdrawn. Decides nothing: what is due
//! says [`remint_core::key`].

use std::time::Duration;

use crate::app::App;

/// How often the keyring is asked what is due.
const EVERY: Duration = Duration::from_secs(30);

/// Tends the keyring until it is dropped.
pub async fn run(app: App) {
    loop {
        if let Err(error) = app.keyring.tick(app.clock.now()).await {
            tracing::error!(%error, "the keyring could not be tended: the keys in use stay");
        }
        tokio::time::sleep(EVERY).await;
    }
}
