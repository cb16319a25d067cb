//! What projections promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod failing;
mod faults;
mod folding;
#[path = "../support/later.rs"]
mod later;
mod later_versions;
mod lifecycle;
mod rebuilding;
mod support;
mod views;

/// Runs every fact on one engine, opened anew for each with a clock that the fact turns.
macro_rules! on_engine {
    ($engine:ident, $under_test:ty) => {
        on_engine! { $engine, $under_test;
            folding: rows_are_what_a_fold_by_hand_comes_to, only_selected_events_are_folded,
                a_wake_up_with_nothing_to_fold_costs_two_reads, a_projector_that_writes_much_is_given_several_transactions,
                two_workers_of_one_projection_fold_each_event_once, an_event_of_the_outbox_is_published_once;
            views: a_view_is_closed_with_its_engine, a_view_is_read_beside_the_rows_of_the_database, rows_are_written_by_the_projector_alone,
                two_projections_of_one_store_share_no_row;
            failing: a_projector_that_fails_stops_before_the_event_and_goes_on_without_a_skip,
                a_panic_and_a_taken_unique_value_are_told, a_panic_that_panics_when_it_is_dropped_is_a_failure_like_others, catching_up_gets_a_repaired_projector_going_at_once,
                an_event_that_can_not_be_upcast_stops_a_projection_before_it_and_is_named,
                a_damaged_event_stops_a_projection_before_it_until_it_is_repaired,
                a_rebuild_stops_before_an_event_that_can_not_be_read_while_the_old_rows_serve;
            rebuilding: the_old_rows_serve_until_a_rebuild_has_caught_up_while_appends_go_on,
                a_rebuild_publishes_nothing,
                what_a_projection_publishes_is_published_once_if_it_is_rebuilt_while_it_is_behind,
                a_transaction_under_way_is_run_again_once_its_generation_is_out_of_service,
                a_rebuild_asked_for_again_begins_anew, a_rebuild_under_way_leaves_nothing_once_another_was_asked_for,
                a_rebuild_mends_a_projection_that_can_not_go_on, a_rebuild_that_fails_leaves_the_old_rows_in_service;
            lifecycle: a_projection_added_to_a_store_with_events_folds_them_all,
                an_append_that_does_not_know_of_a_projection_is_run_again, a_removed_projection_leaves_nothing_and_can_be_added_again,
                wake_ups_of_a_deleted_store_are_acknowledged, a_store_created_again_is_not_folded_by_its_predecessors_projection,
                names_of_projections_are_checked;
            later_versions: a_projections_rows_keep_it_while_it_folds_fails_and_is_rebuilt;
            faults: each_event_is_folded_once_while_every_call_may_fail;
        }
    };
    ($engine:ident, $under_test:ty; $($module:ident: $($fact:ident),+;)+) => {
        mod $engine {
            $(mod $module {
                use tito_testkit::conformance::{self, EngineUnderTest};
                use tito_testkit::{EngineSettings, TestClock};

                $(#[test]
                fn $fact() {
                    conformance::run_on_one_thread(async {
                        let clock = TestClock::new();
                        let settings = EngineSettings::default().test_clock(&clock);
                        let database = <$under_test>::open(settings).await.unwrap();
                        crate::$module::$fact(database.database(), clock).await;
                    });
                })+
            })+
        }
    };
}

on_engine!(embedded_in_memory, tito_testkit::conformance::EmbeddedInMemory);
on_engine!(embedded_on_disk, tito_testkit::conformance::EmbeddedOnDisk);
#[cfg(feature = "tikv")]
on_engine!(tikv, tito_testkit::conformance::OnTiKV);
