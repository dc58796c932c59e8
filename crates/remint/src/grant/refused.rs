//! What the audit log is told of a client or an api that was turned away. A stranger can cause it as often as they like: so
//! it is told once in a window for each reason, and after that nothing is written, not even a count. Never of a name that
//! nobody has.

use std::time::Duration;

use remint_core::audit::{Act, Doer, Target};
use remint_core::change::{Changes, Take};

use crate::app::App;
use crate::store::Counter;

/// The most that are told of in an hour: of wrong secrets, and beside them of rights that were lacking.
const TOLD: u32 = 1000;
const AN_HOUR: Duration = Duration::from_secs(3600);

/// The name of what was wrong, where it is a secret.
pub const SECRET: &str = "secret";

/// Tells that `target` was refused for `why`: [`SECRET`], or the word of a right that it lacks. These words are few, and a
/// caller cannot make more of them: each is counted for itself.
pub async fn tell(app: &App, doer: &Doer, target: Target, why: &'static str) {
    let (now, window) = (app.clock.now(), app.settings.limits.login_window);
    let kind = if why == SECRET { "secret" } else { "right" };
    let key = format!("audit:client.refused:{why}:{target}");
    match app.store.read(Counter(key.clone())).await {
        Ok(Some(counted)) if now < counted.started_at.plus(window) => return,
        Ok(_) | Err(_) => {} // where the store fails, the commit says so
    }
    let take = |key, limit, window| Take { key, limit, window, at: now };
    let all = take(format!("audit:client.refused:{kind}"), TOLD, AN_HOUR);
    let entry = doer.did(Act::ClientRefused, target, now).names([why]).within(take(key, 1, window)).within(all);
    if let Err(error) = app.store.commit(Changes::none().audit(entry)).await {
        tracing::warn!(%error, "the refusal of a client is not in the audit log");
    }
}
