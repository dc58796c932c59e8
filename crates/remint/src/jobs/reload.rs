//! Reloads the configuration when the process is told to by SIGHUP or over the control socket, and says what came of it.
//! Never stops serving.

use remint_core::audit::{Act, Doer, Target};
use remint_core::change::Changes;
use serde_json::{Value, json};
use tokio::signal::unix::Signal;

use crate::app::App;
use crate::config::{BadConfig, Key, Reloaded};

/// Reloads at every signal until it is dropped.
pub async fn run(app: App, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        // Where it failed, the log says so.
        if let Ok(Some(reloaded)) = tokio::task::block_in_place(|| now(&app)) {
            tell(&app, &Doer::operator(), &reloaded).await;
        }
    }
}

/// Tells the audit log of a reload, with the names of what was swapped. It is done by then: where that cannot be written,
/// the log says so.
pub async fn tell(app: &App, doer: &Doer, reloaded: &Value) {
    let swapped = reloaded["swapped"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let entry = doer.did(Act::ConfigReloaded, Target::Config, app.clock.now()).names(swapped);
    if let Err(error) = app.store.commit(Changes::none().audit(entry)).await {
        tracing::warn!(%error, "the reload is not in the audit log");
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
