//! What the store promises, whatever database is behind it. Another backend is one more [`Fixture`] and one more line
//! at the end. What only one database can promise (its file, its failures) has a file of its own.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "scenes of tests: a failure is to panic, the copy to speak"
)]

#[path = "../cluster/mod.rs"]
mod cluster;
mod model;
mod postgres;
mod promises;
mod proxy;
mod samples;
mod settling;
mod sqlite;
mod transfer;
mod upgrade;

use std::path::PathBuf;

use cluster::Cluster;
use remint::store::{Store, StoreOptions};

/// Where a test's data is: of its own, empty at first, gone with the test.
pub(crate) trait Fixture {
    /// A new, empty place.
    fn new() -> Self;
    /// Opens what is there.
    fn open(&self) -> Store;
}

/// A data file in a directory of its own.
pub(crate) struct SqliteFile {
    directory: tempfile::TempDir,
}

impl SqliteFile {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("remint.db")
    }

    pub(crate) fn open_with(&self, options: StoreOptions) -> Store {
        Store::open(&self.path(), options, samples::SEED).unwrap()
    }
}

impl Fixture for SqliteFile {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Store {
        self.open_with(StoreOptions::default())
    }
}

/// A database of its own.
pub(crate) struct PostgresDatabase {
    name: String,
}

impl PostgresDatabase {
    pub(crate) fn url(&self) -> String {
        Cluster::shared().url(&self.name)
    }

    pub(crate) fn open_with(&self, options: StoreOptions) -> Store {
        Store::connect(&self.url(), options, samples::SEED).unwrap()
    }

    /// The first value of each row that a statement answers.
    pub(crate) fn ask(&self, statement: &str) -> Vec<String> {
        Cluster::shared().ask(&self.name, statement)
    }
}

impl Fixture for PostgresDatabase {
    fn new() -> Self {
        Self { name: Cluster::shared().new_database() }
    }

    fn open(&self) -> Store {
        self.open_with(StoreOptions::default())
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            Cluster::shared().ask("postgres", &format!("DROP DATABASE {} (FORCE)", self.name));
        }
    }
}

macro_rules! conformance {
    ($backend:ident, $fixture:ty: $($promise:ident)*) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $promise() {
                    crate::promises::$promise(<$fixture as crate::Fixture>::new()).await;
                }
            )*

            #[test]
            fn whatever_is_committed_it_behaves_like_a_map() {
                crate::model::whatever_is_committed_it_behaves_like_a_map::<$fixture>();
            }
        }
    };
}

macro_rules! on_each_backend {
    ($($backend:ident: $fixture:ty),*) => {
        $(conformance! { $backend, $fixture:
            every_kind_of_row_reads_back_as_it_was_written_extremes_included
            a_number_that_no_column_holds_is_refused_and_nothing_is_written
            changes_are_written_whole_or_not_at_all
            fifty_callers_on_one_row_each_rev_has_one_winner_and_all_win_in_the_end
            a_session_opened_against_a_user_disabled_in_between_is_a_conflict
            whatever_was_committed_between_a_read_and_its_write_is_noticed
            one_member_that_fails_leaves_the_others_committed
            a_conflict_carries_the_row_as_it_is_now
            absence_can_be_expected
            two_apis_never_share_an_audience
            a_client_made_anew_is_never_answered_from_memory
            a_changed_client_or_api_is_seen_by_every_question_after_the_answer
            two_hundred_parallel_takes_grant_exactly_their_limit
            a_window_begins_anew_and_a_clock_that_went_back_grants_nothing
            a_take_is_not_counted_where_its_commit_conflicts
            the_feed_is_gapless_and_in_commit_order_and_its_chain_can_be_recomputed
            the_feed_forgets_nothing_that_still_matters
            what_is_over_is_found_in_slices_and_only_that_is_forgotten
            the_audit_log_keeps_what_was_committed_and_only_as_much_as_its_counters_allow
            a_question_is_one_snapshot
            a_question_of_either_kind_shows_what_was_answered_before_it
            two_ids_that_begin_alike_are_two_and_the_second_is_refused
            questions_answer_in_their_order_and_page
            decisions_of_one_row_that_are_settled_at_once_follow_each_other
            where_nothing_is_decided_nothing_is_written
            a_decision_on_an_old_row_is_a_conflict_and_writes_nothing
            a_decision_that_panics_harms_its_caller_alone
            nothing_is_decided_for_a_caller_that_is_gone
            what_was_answered_is_there_after_dropping_and_opening_again
            closing_answers_everybody_and_then_refuses_all_clones
        })*
    };
}

on_each_backend!(sqlite_file: crate::SqliteFile, postgres_database: crate::PostgresDatabase);
