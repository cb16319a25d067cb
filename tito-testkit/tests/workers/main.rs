//! What workers promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod batches;
mod cancelling;
mod changes_at_random;
mod closing;
mod dead_letters;
mod draining;
mod effects;
mod failing;
mod fleets;
mod floats;
mod groups;
mod handlers;
mod history;
mod inspection;
mod jobs;
mod keeping_order;
#[path = "../support/later.rs"]
mod later;
mod later_versions;
mod living;
mod observing;
mod ordering;
mod ownership;
mod panicking;
mod policies;
mod progress;
mod recorder;
mod resizing;
mod schedules;
mod scheduling;
mod settling;
mod strict;
mod support;
mod topics;
mod unique;

/// Runs every fact on one engine, opened anew for each with a clock that the fact turns.
macro_rules! on_engine {
    ($engine:ident, $under_test:ty) => {
        on_engine! { $engine, $under_test;
            draining: a_large_backlog_is_drained_in_one_call;
            effects: a_failed_handler_leaves_no_effect, a_handler_gets_its_event_as_it_is_stored_by_then, a_handler_that_meets_a_conflict_is_run_again, an_effect_happens_once_whatever_became_of_an_unknown_commit, a_failure_of_the_engine_is_no_attempt, every_event_is_handled_and_every_effect_happens_once_while_every_call_may_fail;
            batches: a_batch_of_events_is_handled_in_one_transaction, what_is_no_event_leaves_the_rest_of_its_batch_alone, an_event_of_a_batch_fails_alone, a_batch_that_meets_a_conflict_is_run_again, batch_handlers_get_events_together_and_choose_an_outcome_for_each, a_wrong_number_of_outcomes_is_a_failure_that_says_so, a_batch_keeps_the_order_of_its_entities_whatever_puts_an_event_off, two_workers_of_one_topic_commit_the_effects_of_batches_once, effects_of_batches_happen_once_while_every_call_may_fail;
            policies: no_more_events_are_handed_out_than_the_rate_limit_allows, a_subscribers_delay_is_counted_once_from_the_due_time, a_failure_of_the_engine_is_not_delayed_by_the_subscribers_delay, an_event_is_discarded_after_its_last_attempt_if_the_subscription_says_so, no_more_batches_of_a_partition_run_at_once_than_its_concurrency, a_running_worker_notices_that_its_queue_is_paused_and_resumed, partitions_that_are_added_while_workers_run_are_served, a_rate_limit_goes_on_when_the_clock_jumps_back, a_failure_of_the_engine_is_tried_again_in_the_engines_time;
            keeping_order: a_redriven_event_comes_before_what_waits_behind_a_later_one, a_running_worker_hands_out_a_redriven_event_before_what_falls_due_meanwhile, strict_order_holds_while_partitions_change_under_running_workers, what_waits_behind_a_failing_event_waits_on_where_both_are_moved, a_worker_that_has_not_heard_of_a_change_of_partitions_keeps_the_order;
            fleets: a_shutdown_hands_partitions_over_while_the_clock_stands_still, a_member_that_joins_takes_its_own_partitions_and_no_others_move, a_member_that_is_not_active_keeps_its_partitions_and_handles_nothing, a_worker_that_has_lost_its_leases_commits_no_effect, a_plain_worker_that_has_lost_its_leases_stops, workers_that_claim_the_same_share_commit_effects_once_and_in_order, a_worker_with_a_name_that_can_not_be_ends_at_once;
            living: a_paused_worker_handles_nothing_and_loses_nothing, running_handlers_finish_and_unstarted_events_stay, handlers_past_the_deadline_are_counted_and_their_events_handed_out_again, one_call_runs_a_worker_until_a_message_comes, one_worker_handles_several_topics, two_workers_of_one_share_lose_nothing_and_commit_effects_once, a_worker_ends_while_its_topic_is_being_read;
            jobs: a_job_is_published_and_handled_by_its_type, a_payload_of_an_earlier_version_is_brought_to_the_present_one, an_event_of_a_later_version_waits_for_a_worker_that_knows_it, a_payload_that_cannot_be_brought_up_goes_to_the_dead_letters, a_group_of_a_job_has_its_events, a_job_says_how_it_is_consumed;
            handlers: a_handler_takes_any_arguments_in_any_order, a_batch_handler_takes_state_and_the_transaction, a_handler_reads_the_progress_of_the_attempt_before, handlers_are_chosen_as_the_program_runs, a_payload_that_is_not_the_handlers_goes_to_the_dead_letters_at_once, a_model_handler_gets_the_row_as_it_is_and_none_once_it_is_deleted, an_event_about_something_else_than_the_model_goes_to_the_dead_letters_at_once, the_id_of_a_row_is_all_that_follows_the_table, transactional_handlers_get_payloads_rows_and_state_too, shared_state_is_one_for_all_runs, a_timeout_layer_fails_a_handler_that_takes_too_long, a_concurrency_layer_bounds_handlers_of_all_partitions, a_service_is_called_when_it_is_ready_and_its_errors_are_failures, a_service_runs_in_a_harness, layers_of_a_transactional_handler_fail_it_and_its_effects;
            observing: a_trace_goes_from_the_publisher_through_the_handler_to_what_it_publishes, without_a_trace_events_stay_as_small_as_they_were, a_publishers_own_trace_headers_are_kept_and_malformed_ones_ignored, another_tracer_travels_with_events_instead, metrics_are_recorded_as_documented, lag_is_counted_from_the_moment_that_an_event_falls_due, observers_see_each_outcome_and_their_panics_change_nothing, observers_see_transactional_handlers_too, observers_are_told_what_was_recorded, every_event_that_is_handed_out_is_told_of_once_more, observers_are_told_of_an_event_that_was_cancelled_while_it_was_handled, observers_are_told_that_a_failing_engine_has_recorded_nothing, a_worker_says_what_it_could_not_record_before_it_ended;
            ordering: an_event_committed_late_is_handled_before_later_ones_of_its_entity, events_of_one_entity_are_handled_one_at_a_time_and_in_order, different_entities_are_handled_at_once_up_to_the_bound, handlers_of_all_partitions_share_the_bound, a_hundred_events_are_acknowledged_in_a_few_commits, topics_with_one_and_with_all_partitions_work, invalid_topics_and_times_are_refused_by_name, events_published_by_handlers_are_handled_too, shares_are_disjoint_and_together_complete, a_share_outside_of_the_whole_handles_nothing;
            ownership: members_of_a_fleet_handle_everything_once_while_they_come_and_go, the_partitions_of_a_killed_member_are_served_within_two_lease_times, an_effect_that_begins_after_its_lease_was_lost_waits_for_a_new_lease;
            failing: failures_are_recorded_and_tried_again_by_the_policy, a_handler_chooses_when_it_is_tried_again, an_event_put_off_is_handled_then_and_has_all_its_attempts, retries_without_a_delay_are_made_at_once, an_event_goes_to_the_dead_letters_for_a_reason, dead_letters_are_listed_redriven_and_purged_in_any_number, panics_are_failures, an_error_that_panics_when_it_is_written_out_is_a_failure, a_handler_that_takes_too_long_is_dropped_and_tried_again, hostile_errors_are_cut_and_kept, huge_events_that_fail_together_are_all_tried_again, what_is_no_event_is_set_aside_and_the_others_go_on;
            strict: later_events_of_an_entity_wait_for_a_failed_one_and_others_go_on, a_running_worker_hands_out_what_waited_once_the_failed_one_is_done, a_failed_event_holds_up_its_entity_for_the_next_worker_too, an_entity_goes_on_when_its_event_is_given_up, putting_off_keeps_the_order_too, strict_order_holds_while_handlers_fail_and_workers_share_partitions, a_late_commit_is_not_overtaken_by_later_events_of_its_entity, what_was_committed_late_comes_before_the_next_attempt_of_a_later_event, a_failure_recorded_while_the_partition_is_begun_anew_holds_up_its_entity;
            schedules: a_firing_is_an_event_that_names_its_schedule_and_its_time, each_firing_is_published_once_by_workers_that_drain_at_once, each_firing_is_published_once_by_workers_that_run_at_once, each_firing_is_published_once_while_every_call_may_fail, over_a_random_walk_of_the_clock_every_firing_is_published_once, missed_firings_are_passed_over_or_made_up_for_by_the_policy, many_missed_firings_are_published_in_bounded_transactions, a_paused_schedule_publishes_nothing_and_goes_on_when_it_is_resumed, a_removed_schedule_publishes_nothing_more, a_schedule_put_again_keeps_its_next_firing_unless_it_recurs_otherwise, putting_an_unchanged_schedule_writes_nothing, a_schedule_begins_at_its_start, a_schedule_can_have_a_last_firing, local_times_that_clocks_skip_or_repeat_are_fired_once_a_day, what_can_not_be_a_schedule_is_refused_by_name, a_stored_value_that_is_no_schedule_is_named_and_holds_up_no_other, a_running_worker_finds_new_schedules_and_sleeps_exactly_until_they_fire, a_worker_that_is_paused_or_told_not_to_fires_no_schedule, a_schedule_can_be_put_again_after_its_last_firing;
            groups: every_group_gets_every_event_and_has_its_own_retries_and_dead_letters, a_group_from_now_gets_only_what_comes_after, a_group_from_history_gets_everything_that_is_kept_once, a_transaction_that_does_not_know_of_a_group_is_waited_for, events_that_move_while_they_are_copied_are_copied_once, an_event_rescheduled_behind_the_copier_is_copied, adding_a_group_can_be_interrupted_anywhere, removing_a_group_can_be_interrupted_anywhere, a_removed_group_leaves_nothing_and_can_be_added_again, names_of_groups_are_checked, a_topic_that_can_not_be_read_keeps_no_other_from_being_finished;
            resizing: every_event_goes_to_its_new_partition_as_it_is, a_change_of_partitions_can_be_interrupted_anywhere, one_change_of_partitions_at_a_time, publishers_and_workers_go_on_while_partitions_change, several_may_finish_one_change, what_is_no_event_survives_a_change_of_partitions, groups_change_their_partitions_with_their_topic, a_change_of_partitions_waits_by_the_engines_time;
            topics: topics_are_listed_in_pages, pauses_and_history_are_kept_in_the_topic;
            dead_letters: a_redriven_event_comes_before_the_later_ones_of_its_entity, a_redrive_makes_workers_look_again, dead_letters_are_chosen_by_what_went_wrong, dead_letters_are_listed_by_partition, redriven_events_go_to_the_partitions_of_the_present, a_redrive_of_an_unknown_group_is_refused, redriven_events_of_an_entity_keep_their_order_whatever_the_order_in_which_they_died, dead_letters_are_purged_by_choice, one_dead_letter_is_redriven_or_purged_by_its_key_whatever_there_is_beside_it, dead_letters_are_shown_as_json;
            scheduling: an_event_is_handled_at_its_second_and_not_a_millisecond_before, a_running_worker_sleeps_exactly_until_the_next_event, a_publisher_in_the_same_process_wakes_the_worker_while_the_clock_stands_still, events_of_other_processes_are_found_by_polling, a_poll_of_an_idle_partition_costs_one_scan, a_slow_read_does_not_delay_what_is_published_after_it, a_clock_that_jumps_back_delays_nothing_that_is_due_at_once, a_worker_that_polls_goes_on_when_the_clock_jumps_back, a_clock_that_jumps_forward_makes_everything_due_that_it_passes, late_commits_are_found_by_reading_the_past_again, a_checkpoint_is_written_and_lags_behind_what_is_done, a_wrong_checkpoint_loses_nothing, an_event_put_off_to_the_present_is_handled_again_at_once;
            changes_at_random: changes_at_random_come_to_what_a_model_of_them_says;
            cancelling: a_cancelled_event_is_in_no_queue_and_is_not_handled, a_cancellation_that_is_rolled_back_cancels_nothing, an_event_is_handled_at_its_new_time, a_running_worker_is_woken_by_an_event_that_is_put_to_the_present, a_failed_event_is_found_by_its_reference_and_keeps_its_attempts, an_event_that_was_put_off_in_its_place_is_handed_out_at_its_new_time, events_are_found_while_the_number_of_partitions_changes, times_out_of_range_and_bytes_that_are_no_event_are_refused, a_unique_event_is_cancelled_and_rescheduled_by_its_key, the_outcome_of_an_event_that_is_cancelled_while_it_is_handled_is_not_recorded, an_event_is_either_cancelled_or_has_its_effect, what_waits_behind_a_failed_event_goes_on_when_it_is_taken_away, what_takes_the_place_of_a_failed_event_does_not_wait_for_it, a_failed_event_that_kept_its_place_is_handed_out_at_its_new_time;
            history: history_is_read_in_pages_by_partition_and_second, what_is_replayed_is_handled_again_in_the_old_order_of_its_entity, a_replay_passes_over_what_is_to_be_done_anyway, a_replay_into_a_queue_that_is_none_of_the_topic_is_refused, a_replay_goes_on_after_an_error_and_repeats_nothing, what_was_kept_long_enough_is_swept_in_any_number, a_sweep_gives_way_to_other_transactions;
            inspection: events_are_counted_by_what_they_wait_for, what_a_fleet_has_in_hand_is_counted, counting_ends_at_its_bound_and_says_so, pending_events_are_shown_in_pages, an_event_put_off_in_its_place_counts_as_waiting, an_event_is_found_wherever_it_is, pending_events_are_purged_by_choice_and_in_any_number;
            floats: floats_survive_publishing_retries_redrives_and_schedules;
            panicking: a_panic_that_panics_when_it_is_dropped_is_one_failed_attempt, so_it_is_in_what_stands_round_a_handler, a_handler_that_panics_when_it_is_dropped_at_its_timeout_is_a_failure, a_worker_stops_though_its_handlers_panic_when_they_are_dropped, observers_and_tracers_that_do_so_change_nothing, a_recorder_of_metrics_that_panics_stops_no_partition;
            closing: a_worker_with_nothing_to_do_ends_with_its_engine, handlers_that_run_get_their_time_when_the_engine_is_closed, handlers_that_do_not_end_are_dropped_at_the_deadline_then, a_worker_that_records_outcomes_ends_with_its_engine, a_worker_whose_recordings_fail_ends_with_its_engine, transactional_handlers_end_with_their_engine, a_member_of_a_fleet_ends_with_its_engine_though_the_clock_stands_still, a_worker_that_is_not_active_ends_with_its_engine, a_worker_that_can_not_reach_its_engine_ends_when_that_is_closed, a_drain_ends_at_once_with_the_error_that_closed_the_engine, a_drain_that_waits_for_its_rate_ends_with_its_engine, who_waits_for_a_topic_to_settle_is_told;
            settling: a_commit_under_way_is_waited_for_whatever_the_clock_says, so_it_is_where_others_write_as_well, a_transaction_that_is_left_open_holds_up_nobody_for_ever;
            later_versions: an_event_keeps_it_through_its_attempts, an_event_keeps_it_in_its_place_of_a_strict_order, an_event_keeps_it_wherever_it_is_put, an_event_keeps_it_when_it_is_done_replayed_and_copied, a_topic_keeps_it_through_every_change, a_schedule_keeps_it_while_it_fires_and_is_changed, a_unique_event_keeps_it_when_it_is_rescheduled, a_checkpoint_keeps_it_when_it_goes_on, a_lease_keeps_it_when_it_is_claimed_and_given_back;
            progress: the_next_attempt_reads_the_progress_of_the_last, a_handler_learns_that_its_event_is_gone, a_handler_whose_attempt_is_over_records_nothing, progress_that_has_no_room_is_refused;
            unique: a_key_is_published_once_within_its_window, of_a_row_of_changes_the_last_one_is_handled_in_every_queue, a_replacement_follows_what_is_done_and_takes_the_place_of_what_failed, a_replacement_disturbs_workers_only_where_it_would_wait_for_long, one_transaction_can_replace_what_it_has_published, two_tasks_that_debounce_one_key_leave_one_event, keys_of_any_text_are_keys_of_their_own, a_window_out_of_its_bounds_is_refused, what_is_no_unique_event_is_an_error_that_names_its_key;
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

/// Needs a thread beside the one that is blocked, so it is not one of the facts above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_does_not_keep_a_worker_from_ending() {
    use tito_worker::prelude::*;

    let db = tito_testkit::in_memory().await.unwrap();
    support::publish(&db, [support::job("a")]).await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let worker = Worker::builder(TitoQueue::new(db))
        .subscribe("job", move |_: tito_core::event::TitoEvent| {
            let (begin, released) = (begin.clone(), released.clone());
            async move {
                begin.send(()).unwrap();
                let _ = released.lock().unwrap().recv();
                support::Done::Ok(())
            }
        })
        .shutdown_timeout(std::time::Duration::from_millis(1))
        .build();
    let report = worker.run(async move { begun.recv().await.unwrap() }).await;
    assert_eq!((report.done, report.unfinished), (0, 1));
    drop(release);
}
