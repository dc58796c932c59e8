//! Reloads the configuration when the process is told to by SIGHUP or over the control socket, and says what came of it.
//! Never stops serving.

use serde_json::{Value, json};
use tokio::signal::unix::Signal;

use crate::app::App;
use crate::config::{BadConfig, Key, Reloaded};

/// Reloads at every signal until it is dropped.
pub async fn run(app: App, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        // The log says what came of it.
        drop(tokio::task::block_in_place(|| now(&app)));
    }
}

/// Reloads now; `None` where there is nothing to reload from.
///
/// # Errors
/// Where the configuration cannot be used: the old one stays.
pub fn now(app: &App) -> Result<Option<Value>, BadConfig> {
    let Some(reloader) = app.reloader.get() else { return Ok(None) };
    match reloader.reload(app) {
        Ok(Reloaded { swapped, need_restart }) => {
            let names = |keys: Vec<Key>| keys.into_iter().map(Key::name).collect::<Vec<_>>();
            let (swapped, need_restart) = (names(swapped), names(need_restart));
            tracing::info!(?swapped, ?need_restart, "the configuration was reloaded");
            Ok(Some(json!({ "swapped": swapped, "need_restart": need_restart })))
        }
        Err(bad) => {
            tracing::error!(error = %bad, "the configuration was not reloaded: the old one stays");
            Err(bad)
        }
    }
}
