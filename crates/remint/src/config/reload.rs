//! The settings looked at again while the server runs. All of them are checked before one is swapped; where anything is
//! wrong the old ones stay. What cannot be swapped is named. Never touches the master key.

use std::sync::{Mutex, PoisonError};

use super::source::Sources;
use super::{BadConfig, Config, Environment, Flags, Key};
use crate::app::App;
use crate::telemetry;

/// Where the settings of the running server came from.
#[derive(Debug)]
pub struct Reloader {
    flags: Flags,
    environment: Environment,
    /// As they were when the server started.
    started: Sources,
    /// As they were when they were last swapped.
    applied: Mutex<Sources>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// These are in use now.
    pub swapped: Vec<Key>,
    /// These differ from what the server was started with, and wait for its next start.
    pub need_restart: Vec<Key>,
}

impl Reloader {
    /// Remembers the sources.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn new(flags: &Flags, environment: &Environment) -> Result<Self, BadConfig> {
        let read = || Sources::gather(flags, environment);
        let (flags, environment) = (flags.clone(), environment.clone());
        let (started, applied) = (read(), read());
        Ok(Self { started: started?, applied: Mutex::new(applied?), flags, environment })
    }

    /// Looks at the sources again, and swaps what can be swapped.
    ///
    /// # Errors
    /// [`BadConfig`] with everything that is wrong; then nothing is swapped.
    pub fn reload(&self, app: &App) -> Result<Reloaded, BadConfig> {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let config = Config::load(&self.flags, &self.environment)?;
        let found = Sources::gather(&self.flags, &self.environment)?;
        let differ = |before: &Sources, live: bool| -> Vec<Key> {
            let differs = |key: &Key| before.texts(*key) != found.texts(*key);
            Key::ALL.into_iter().filter(|key| key.is_live() == live).filter(differs).collect()
        };
        let reloaded = Reloaded { swapped: differ(&applied, true), need_restart: differ(&self.started, false) };
        if !telemetry::set_filter(&config.log.filter) {
            tracing::warn!("the filter of the log could not be swapped");
        }
        app.proxies.swap(&config.settings.trusted_proxies);
        app.throttle.set_limits(&config.settings.limits);
        *applied = found;
        Ok(reloaded)
    }
}
