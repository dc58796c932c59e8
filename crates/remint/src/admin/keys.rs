//! Keys: seen, rotated and withdrawn by an administrator. What is private about a key never leaves the keyring.

use remint_core::key::Purpose;
use serde_json::{Value, json};

use crate::admin::{AdminError, By};
use crate::app::App;
use crate::failure::Failure;
use crate::keyring::{KeyInfo, KeyringError, Rotated};

/// All keys, by purpose and age.
pub fn list(app: &App) -> Value {
    let view = |key: &KeyInfo| {
        json!({
            "kid": key.kid,
            "purpose": key.purpose.as_str(),
            "state": key.state.as_str(),
            "since": key.since.secs(),
            "created_at": key.created_at.secs(),
            "signs_at": key.signs_at.map(|at| at.secs()),
        })
    };
    json!({ "keys": app.keyring.list().iter().map(view).collect::<Vec<_>>() })
}

/// Rotates the keys of a purpose (`ES256`, ..., `refresh`). With `at_once` the new key signs before every verifier can
/// know it.
pub async fn rotate(app: &App, by: &By, purpose: &str, at_once: bool) -> Result<Value, AdminError> {
    let purpose: Purpose = purpose.parse().map_err(|bad| AdminError::invalid("purpose", bad))?;
    Ok(match app.keyring.rotate(purpose, at_once, by.doer()).await.map_err(refused)? {
        Rotated::Now { kid, early } => json!({ "kid": kid, "signs": true, "early": early }),
        Rotated::Later { kid, signs_at } => json!({ "kid": kid, "signs": false, "signs_at": signs_at.secs() }),
    })
}

/// Withdraws a key that must not be believed any more.
pub async fn withdraw(app: &App, by: &By, kid: &str) -> Result<Value, AdminError> {
    let withdrawn = app.keyring.withdraw(kid, by.doer()).await.map_err(refused)?;
    Ok(json!({ "kid": kid, "current": withdrawn.current, "sessions_ended": withdrawn.sessions_ended }))
}

/// What the keyring says, to an administrator.
pub(super) fn refused(error: KeyringError) -> AdminError {
    match error {
        KeyringError::NoSuchKey(missing) => AdminError::NotFound { what: "key", name: missing.kid },
        KeyringError::Store(error) => error.into(),
        KeyringError::Contended => Failure::Contended.into(),
        KeyringError::WrongMasterKey
        | KeyringError::Damaged { .. }
        | KeyringError::NoRefreshKey
        | KeyringError::TooMany
        | KeyringError::NoNumberLeft
        | KeyringError::NotMade { .. } => AdminError::wrong(error),
    }
}
