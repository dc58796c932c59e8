//! Folds what histograms have collected into their buckets. Without it every sample would be kept until somebody scrapes,
//! and where nobody does, the memory of the process would grow with every request.

use std::time::Duration;

use crate::telemetry;

/// A busy second collects some ten thousand samples of eight bytes.
const EVERY: Duration = Duration::from_secs(5);

/// Folds until it is dropped.
pub async fn run() {
    loop {
        tokio::time::sleep(EVERY).await;
        telemetry::metrics().run_upkeep();
    }
}
