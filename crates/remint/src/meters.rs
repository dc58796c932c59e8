//! What is counted beside requests: log-ins, refreshes, followers of the feed, the store, the ages of keys. Names by the
//! conventions of Prometheus: base units, `_total` for what only rises. Never a label that a caller can invent: who
//! logged in, or from where, is the log's and the audit's.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use remint_core::key::KeyState;
use remint_core::refusal::Refusal;
use remint_core::session::EndReason;

use crate::account::password::PasswordError;
use crate::app::App;
use crate::failure::Failure;

const LOGINS: &str = "remint_logins_total";
const REFRESHES: &str = "remint_refreshes_total";
const THEFTS: &str = "remint_refresh_theft_total";
const CAUGHT_UP: &str = "remint_refresh_caught_up_total";
const MESSAGES: &str = "remint_messages_total";
const PURGED: &str = "remint_purged_rows_total";
const FOLLOWERS: &str = "remint_feed_followers";
const QUEUE: &str = "remint_store_queue_depth";
const BATCH: &str = "remint_store_batch_commits";
const COMMIT: &str = "remint_store_commit_duration_seconds";
const KEY_AGE: &str = "remint_key_age_seconds";
const KEY_PERIOD: &str = "remint_key_rotation_period_seconds";
const IN_DOUBT: &str = "remint_in_doubt";
const CLOCK: &str = "remint_clock_ahead_seconds";
const DOES: &str = "remint_job_here";
const BUILD: &str = "remint_build_info";
const MEMORY: &str = "process_resident_memory_bytes";
const FILES: &str = "process_open_fds";

/// Everything that an attempt can come to. Each is told from the start, at zero: a rate over what was never told is none.
const OUTCOMES: [&str; 10] = [
    "success",
    "credentials",
    "second_factor",
    "throttled",
    "ended",
    "expired",
    "theft",
    "in_doubt",
    "refused",
    "failed",
];
/// What the purge removes.
const KINDS: [&str; 4] = ["session", "event", "counter", "challenge"];
/// What a message to a phone can come to.
const DELIVERIES: [&str; 4] = ["sent", "unreachable", "no_answer", "refused"];

/// How many commits share one transaction.
const BATCHES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The histograms that do not count in seconds.
///
/// # Errors
/// Where a histogram has no buckets: never, as they stand.
pub fn buckets(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    builder.set_buckets_for_metric(Matcher::Full(BATCH.to_owned()), &BATCHES)
}

/// Says what each metric is, and begins every counter at zero.
pub fn describe() {
    describe_counter!(LOGINS, "Attempts to log in, by outcome.");
    describe_counter!(REFRESHES, "Presented refresh tokens and renewals, by outcome.");
    describe_counter!(THEFTS, "Sessions ended because a refresh token was used by two holders.");
    describe_counter!(CAUGHT_UP, "Refresh tokens newer than their row: the store has lost commits.");
    describe_counter!(MESSAGES, "Messages to phones, by outcome.");
    describe_counter!(PURGED, "Rows removed because nobody can need them any more, by kind.");
    describe_gauge!(FOLLOWERS, "Streams of the feed that are open.");
    describe_gauge!(QUEUE, "Commits that wait for the writer.");
    describe_histogram!(BATCH, "Commits that shared one transaction.");
    describe_histogram!(COMMIT, Unit::Seconds, "From the begin of a transaction to the disk having it.");
    describe_gauge!(KEY_AGE, Unit::Seconds, "How long a key has been in its state, by purpose and state.");
    describe_gauge!(KEY_PERIOD, Unit::Seconds, "How long a key is to sign.");
    describe_gauge!(IN_DOUBT, "1 while commits may be missing: after a start, a stall or a lost store.");
    describe_gauge!(CLOCK, Unit::Seconds, "How far the clock is ahead of the database's, below zero behind, at least.");
    describe_gauge!(DOES, "1 while this node does a job that one node does for all, by name.");
    describe_gauge!(BUILD, "1, with the version that runs.");
    describe_gauge!(MEMORY, Unit::Bytes, "Resident memory.");
    describe_gauge!(FILES, "Open file descriptors.");
    for outcome in OUTCOMES {
        counter!(LOGINS, "outcome" => outcome).increment(0);
        counter!(REFRESHES, "outcome" => outcome).increment(0);
    }
    for kind in KINDS {
        purged(kind, 0);
    }
    for outcome in DELIVERIES {
        counter!(MESSAGES, "outcome" => outcome).increment(0);
    }
    for name in [THEFTS, CAUGHT_UP] {
        counter!(name).increment(0);
    }
    gauge!(FOLLOWERS).increment(0);
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
}

/// Counts an attempt to log in, and passes its result on.
///
/// # Errors
/// Those of the attempt.
pub fn login<T>(result: Result<T, Failure>) -> Result<T, Failure> {
    counter!(LOGINS, "outcome" => outcome(&result)).increment(1);
    result
}

/// Counts a renewal, and passes its result on.
///
/// # Errors
/// Those of the renewal.
pub fn refresh<T>(result: Result<T, Failure>) -> Result<T, Failure> {
    counter!(REFRESHES, "outcome" => outcome(&result)).increment(1);
    result
}

fn outcome<T>(result: &Result<T, Failure>) -> &'static str {
    let Err(failure) = result else { return "success" };
    match failure {
        Failure::Refused(Refusal::BadCredentials | Refusal::WrongMac | Refusal::BadClient | Refusal::WrongCode) => {
            "credentials"
        }
        Failure::SecondFactor(_) => "second_factor",
        Failure::Refused(Refusal::TooManyAttempts { .. })
        | Failure::Password(PasswordError::Overloaded { .. })
        | Failure::Contended => "throttled",
        Failure::Refused(Refusal::SessionEnded(EndReason::Theft)) => "theft",
        Failure::Refused(Refusal::SessionEnded(_)) => "ended",
        Failure::Refused(Refusal::SessionExpired) => "expired",
        Failure::Refused(Refusal::InDoubt { .. }) => "in_doubt",
        Failure::Refused(_) | Failure::Request(_) | Failure::Token(_) | Failure::NoToken => "refused",
        Failure::Store(_)
        | Failure::Keys(_)
        | Failure::Password(_)
        | Failure::Mint(_)
        | Failure::NoRefreshKey
        | Failure::NoSender
        | Failure::NotSent => "failed",
    }
}

/// Counts rows that the purge removed.
pub fn purged(kind: &'static str, rows: u64) {
    counter!(PURGED, "kind" => kind).increment(rows);
}

/// Counts a message to a phone.
pub fn message(outcome: &'static str) {
    counter!(MESSAGES, "outcome" => outcome).increment(1);
}

/// This node begins to do a job for all nodes, or ends.
pub fn does(job: &'static str, does: bool) {
    gauge!(DOES, "name" => job).set(u8::from(does));
}

/// A batch of commits is on the disk, or failed.
pub fn committed(batch: usize, took: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "a batch has some hundred members at most")]
    histogram!(BATCH).record(batch as f64);
    histogram!(COMMIT).record(took);
}

/// Somebody follows the feed, until this is dropped.
#[derive(Debug)]
pub struct Following(());

impl Following {
    /// Counts one more.
    pub fn begin() -> Self {
        gauge!(FOLLOWERS).increment(1);
        Self(())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        gauge!(FOLLOWERS).decrement(1);
    }
}

/// Looks at what is not counted as it happens: before each scrape.
pub fn sample(app: &App) {
    let now = app.clock.now();
    let seconds = |time: Duration| time.as_secs_f64();
    gauge!(QUEUE).set(u32::try_from(app.store.waiting()).unwrap_or(u32::MAX));
    gauge!(KEY_PERIOD).set(seconds(app.settings.keys.rotate_every));
    for key in app.keyring.list().into_iter().filter(|key| key.state == KeyState::Current) {
        let age = seconds(now.since(key.since));
        gauge!(KEY_AGE, "purpose" => key.purpose.as_str(), "state" => key.state.as_str()).set(age);
    }
    let windows = remint_core::policy::Policy::refresh().windows(&app.settings.timing);
    gauge!(CLOCK).set(app.store.database_time().map_or(0.0, |time| time.off(now).seconds()));
    gauge!(IN_DOUBT).set(u8::from(app.doubt.now(now, windows.parent)));
    process();
}

/// What the kernel says about this process; nothing where it says it in another way.
fn process() {
    const PAGE_BYTES: u32 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    if let Some(pages) = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u32>().ok()) {
        gauge!(MEMORY).set(f64::from(pages) * f64::from(PAGE_BYTES));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge!(FILES).set(u32::try_from(files.count()).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_one_of_those_that_are_told_from_the_start() {
        let results: [Result<(), Failure>; 6] = [
            Ok(()),
            Err(Refusal::BadCredentials.into()),
            Err(Refusal::SessionEnded(EndReason::Theft).into()),
            Err(Refusal::SessionExpired.into()),
            Err(Failure::NoToken),
            Err(Failure::NoRefreshKey),
        ];
        let outcomes: Vec<_> = results.iter().map(outcome).collect();
        assert_eq!(outcomes, ["success", "credentials", "theft", "expired", "refused", "failed"]);
        assert!(outcomes.iter().all(|outcome| OUTCOMES.contains(outcome)));
    }
}
