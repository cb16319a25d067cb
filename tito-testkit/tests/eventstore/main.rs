//! What event stores promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod appending;
mod asking;
mod closing;
mod deciding;
mod expecting;
mod floats;
mod folding;
mod keeping;
#[path = "../support/later.rs"]
mod later;
mod later_versions;
mod managing;
mod naming;
mod reading;
mod runtimes;
mod snapshots;
mod support;
mod unreadable;
mod versions;
mod watching;
mod writers;

/// Runs every fact on one engine, opened anew for each with a clock that the fact turns.
macro_rules! on_engine {
    ($engine:ident, $under_test:ty) => {
        on_engine! { $engine, $under_test;
            appending: sequences_are_consecutive_over_all_appends, an_append_is_all_or_nothing, an_id_is_appended_once, ids_and_times_are_made_up_where_none_is_given, an_event_is_read_as_it_was_written, rows_and_events_and_other_stores_commit_together, a_transaction_that_is_rolled_back_appends_nothing, a_transaction_appends_to_a_store_several_times, events_are_republished_in_the_same_transaction, a_deleted_store_takes_nothing, large_appends_are_taken_up_to_the_limits, an_unknown_outcome_is_found_out, an_outcome_that_stays_unknown_is_told_as_such, appends_share_transactions_with_those_that_wait, an_append_whose_future_is_dropped_holds_up_nobody;
            expecting: the_last_sequence_of_an_entity_is_compared, patterns_are_compared_too, expectations_are_about_what_was_there_before_the_append, an_event_that_is_there_already_expects_nothing;
            naming: bad_entities_are_refused_by_name, bad_event_types_and_ids_are_refused_by_name, bad_patterns_are_refused_by_name, an_append_of_nothing_is_refused;
            reading: filters_select_by_each_token, several_filters_are_read_in_the_order_of_sequences, a_range_of_sequences_is_read, an_entity_is_read_without_the_others, many_entities_are_merged_in_order, a_tail_goes_on_with_what_is_appended, a_tail_finds_what_other_processes_append, large_events_are_read_in_small_pages, a_slow_reader_of_a_tail_is_read_one_page_ahead_of, what_is_no_event_is_named, a_store_that_is_deleted_while_it_is_read_does_not_look_shorter, a_tail_ends_with_its_store;
            floats: floats_of_events_and_snapshots_are_read_back_as_they_were_written;
            unreadable: a_stream_yields_what_is_before_an_event_that_can_not_be_read,
                a_tail_yields_what_is_before_an_event_that_can_not_be_read,
                a_model_is_folded_up_to_an_event_that_can_not_be_read,
                one_event_that_can_not_be_read_is_told_by_itself,
                an_event_that_is_not_selected_need_not_be_upcast,
                the_entity_of_an_event_that_is_damaged_behind_it_is_told,
                what_is_before_a_damaged_event_is_dropped, what_is_before_a_key_that_is_none_of_an_event_is_yielded;
            folding: a_model_is_folded_from_what_is_selected, an_evolver_that_fails_keeps_what_it_has_folded, evolving_ends_while_writers_go_on;
            deciding: a_decision_by_an_outdated_model_is_refused, a_model_evolves_by_what_it_decides, a_refused_or_invalid_command_appends_nothing, tasks_that_share_a_model_lose_no_decision, a_model_skips_what_it_has_applied, each_event_of_a_decision_expects_what_the_model_has_seen, a_decision_with_an_expectation_of_its_own_loses_no_event, an_error_after_a_decision_was_appended_does_not_ask_for_it_again;
            snapshots: evolving_goes_on_from_a_snapshot, snapshots_of_another_version_are_passed_over, a_snapshot_is_taken_on_request, a_shared_model_has_snapshots_too, a_shared_model_is_not_set_back_by_a_snapshot, a_snapshot_holds_what_was_selected_alone, snapshots_from_before_what_was_dropped_are_passed_over;
            watching: a_watcher_catches_up_before_it_returns, a_watcher_follows, an_error_in_catching_up_is_returned, an_error_while_following_ends_the_watcher, an_error_handler_lets_the_watcher_go_on, stopping_drains, a_watcher_that_does_not_wait_returns_at_once, a_watcher_outlives_errors_of_the_engine, a_watcher_ends_with_its_store, a_watcher_stops_while_the_engine_fails, a_panic_of_a_model_ends_the_watcher, a_panic_that_panics_when_it_is_dropped_ends_the_watcher_too;
            versions: programs_of_two_versions_evolve_in_turns_and_lose_nothing, the_newest_two_versions_are_kept,
                three_versions_in_turns_lose_nothing_without_saying_so,
                a_snapshot_under_the_old_key_is_read_and_left_to_the_programs_that_know_no_other,
                a_snapshot_under_the_old_key_goes_once_no_program_needs_it, a_snapshot_of_an_older_version_is_upgraded,
                an_upgrade_is_stored_however_few_events_follow, a_shared_model_upgrades_with_what_it_has_seen,
                a_snapshot_that_can_not_be_restored_is_folded_anew_unless_events_were_dropped,
                a_model_is_told_that_events_were_dropped_and_begins_with_what_is_kept_on_purpose,
                a_model_without_snapshots_begins_with_what_is_kept, what_was_dropped_of_others_does_not_matter,
                what_programs_of_before_have_dropped_may_be_of_anything,
                a_shared_model_that_lacks_what_was_dropped_is_told, a_watcher_begins_with_a_snapshot_too,
                a_snapshot_that_is_too_large_leaves_the_others_as_they_are, an_event_that_stops_a_fold_leaves_no_snapshot,
                versions_at_once_beside_writers_and_sweeps_lose_nothing,
                what_is_dropped_while_a_model_is_folded_is_told_too;
            asking: a_watcher_passes_over_what_it_is_told_to,
                a_watcher_without_a_handler_stops_before_an_event_that_can_not_be_read, a_handler_can_end_a_watcher,
                a_watcher_tries_again_at_growing_intervals, a_watcher_that_tries_again_finds_an_event_repaired,
                attempts_are_counted_for_each_event_and_then_given_up,
                a_watcher_that_is_stopped_makes_one_more_attempt, a_watcher_that_is_dropped_while_it_rests_is_gone,
                a_handler_is_told_of_the_engine_and_can_end_its_watcher;
            managing: stores_are_created_got_changed_and_deleted, a_store_created_again_begins_empty, what_an_engine_can_not_honour_is_refused, stores_are_listed;
            later_versions: a_stores_rows_keep_it_while_events_are_appended_and_dropped, a_stores_definition_keeps_it_through_changes;
            keeping: the_oldest_events_over_a_limit_are_dropped, events_of_an_age_are_dropped, sequences_are_not_used_again, sweeps_at_once_beside_writers_and_watchers_count_right, what_a_deleted_store_leaves_is_removed, a_damaged_store_does_not_keep_others_from_being_swept;
            runtimes: an_append_outlives_the_runtime_that_was_to_serve_it, an_append_that_waited_for_a_runtime_that_ended_is_served_anew, an_append_that_a_runtime_was_committing_when_it_ended_is_unknown;
            writers: writers_of_one_store_leave_no_hole, writers_of_a_hundred_stores_leave_no_hole, nothing_is_lost_or_doubled_while_every_call_may_fail, a_busy_store_can_be_changed_appended_to_in_transactions_and_deleted;
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
