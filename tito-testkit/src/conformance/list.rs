//! All facts, and the macro that makes them tests.

/// Makes the whole conformance suite tests of one engine: `conformance!(name_of_the_module, TypeOfTheEngine)`, where
/// the type is an [`EngineUnderTest`](crate::conformance::EngineUnderTest).
#[macro_export]
macro_rules! conformance {
    ($module:ident, $engine:ty) => {
        $crate::__every_fact!($crate::__fact_tests, $module, $engine);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __fact_tests {
    ($module:ident, $engine:ty; $($idea:ident { $($fact:ident)* })*) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $(mod $idea {
                #[allow(unused_imports)]
                use super::*;
                $(#[test]
                fn $fact() {
                    $crate::conformance::run($crate::conformance::facts::$idea::$fact::<$engine>());
                })*
            })*
        }
    };
}

/// The list of facts, handed to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __every_fact {
    ($with:path, $module:ident, $engine:ty) => {
        $with! {
            $module, $engine;
            snapshots {
                get_is_unaffected_by_later_commits
                batch_get_is_unaffected_by_later_commits
                scan_is_unaffected_by_later_commits
                scan_reverse_is_unaffected_by_later_commits
                a_new_transaction_sees_every_commit_before_it
                writes_are_invisible_to_others_until_the_commit
                batch_get_answers_in_the_order_of_its_keys
                scans_hold_to_their_range_and_limit
            }
            own_writes {
                get_sees_own_writes
                batch_get_sees_own_writes
                scans_merge_own_writes_in_both_directions
                a_buffered_delete_does_not_shorten_a_page
                the_limit_is_applied_after_the_merge
                empty_ranges_and_a_limit_of_zero_give_nothing
                pages_of_a_scan_cover_a_range_without_gap_or_repetition
                reads_equal_a_sorted_map_under_own_writes
            }
            conflicts {
                the_second_of_two_puts_fails
                a_delete_after_a_put_fails
                a_put_after_a_delete_fails
                the_second_of_two_deletes_fails
                the_second_of_two_inserts_fails
                a_put_after_an_insert_fails
                the_second_of_two_locks_fails
                a_lock_after_a_write_fails
                a_write_after_a_lock_fails
                reads_do_not_save_a_loser
                disjoint_keys_do_not_conflict
                reading_what_another_writes_is_no_conflict
                a_transaction_begun_after_a_commit_does_not_conflict_with_it
                a_read_only_transaction_never_conflicts
                of_many_commits_at_once_one_wins
            }
            inserts {
                a_new_key_is_inserted
                an_existing_key_is_refused_and_nothing_is_written
                an_existing_empty_value_counts
                a_key_that_the_transaction_put_is_refused
                a_key_that_the_transaction_inserted_is_refused
                a_key_that_the_transaction_deleted_is_inserted
                a_key_deleted_by_an_earlier_commit_is_inserted
                an_inserted_key_can_be_overwritten_and_deleted_again
                of_two_racing_inserts_one_says_that_the_key_exists
            }
            locks {
                locks_shut_out_write_skew
                locking_only_what_the_other_writes_is_enough
                locks_write_nothing
                a_locked_key_can_be_written_before_and_after
                a_lock_of_an_absent_key_holds_off_its_insertion
                locks_end_with_their_transaction
            }
            replay {
                the_value_of_the_closure_is_returned
                a_conflict_is_replayed_in_a_new_transaction
                attempts_are_bounded_and_the_last_conflict_is_told
                the_closures_own_error_is_returned_and_nothing_is_written
                an_error_type_of_the_callers_own_comes_back
                a_panic_of_the_closure_rolls_back
                an_insert_of_what_exists_is_not_replayed
                a_conflict_of_any_call_is_replayed_whatever_the_closure_makes_of_it
            }
            outcomes {
                an_unknown_commit_that_took_effect_is_not_replayed
                an_unknown_commit_without_effect_is_not_replayed
                a_failed_commit_is_not_replayed_and_writes_nothing
                a_key_resolves_an_unknown_commit_that_took_effect
                a_key_resolves_an_unknown_commit_without_effect
                an_unknown_commit_stays_unknown_while_its_marker_cannot_be_read
                a_conflict_on_the_marker_of_a_key_is_replayed
                a_repeated_call_does_nothing_and_says_so
                concurrent_calls_with_one_key_take_effect_once
                a_key_holds_whatever_the_closure_writes
                pruned_keys_can_take_effect_again_and_others_cannot
            }
            endings {
                a_dropped_transaction_leaves_nothing_and_blocks_nobody
                a_transaction_rolled_back_leaves_nothing_and_blocks_nobody
                a_refused_transaction_blocks_nobody
                every_call_after_a_commit_says_that_the_transaction_ended
                every_call_after_a_rollback_says_that_the_transaction_ended
                every_call_after_a_refused_commit_says_that_the_transaction_ended
                handles_share_one_transaction
                of_two_commits_of_one_transaction_one_is_made
                an_empty_transaction_commits
            }
            cancellation {
                a_transaction_cancelled_anywhere_is_made_as_a_whole_or_not_at_all
                a_replayed_transaction_can_be_cancelled_anywhere
                a_cancelled_call_with_a_key_takes_effect_once_when_repeated
                a_cancelled_read_does_not_harm_its_transaction
            }
            limits {
                the_engine_tells_its_limits
                a_key_over_the_limit_is_refused
                a_value_over_the_limit_is_refused
                a_transaction_of_too_many_keys_is_refused
                a_transaction_of_too_many_bytes_is_refused
                a_transaction_over_the_age_limit_is_refused
                a_transaction_below_the_age_limit_commits
            }
            timestamps {
                a_commit_lies_between_its_start_and_every_later_start
                timestamps_are_unique_and_increasing_among_concurrent_tasks
                the_physical_part_follows_the_clock
                timestamps_do_not_go_back_with_the_clock
                timestamps_do_not_go_back_when_reopened
                timestamps_do_not_go_back_when_reopened_with_the_clock_set_back
            }
            storage {
                committed_writes_are_there_after_reopening
                databases_are_apart
                clones_of_an_engine_share_one_database
                keys_of_any_bytes_are_kept_in_the_order_of_their_bytes
                a_range_without_an_end_reaches_the_last_key
                values_of_any_bytes_are_kept
                an_empty_value_replaces_a_value_and_back
            }
            concurrency {
                increments_of_one_counter_sum_up
                transfers_keep_the_sum_in_every_snapshot
                writers_of_different_keys_all_get_through_at_the_first_attempt
            }
            histories {
                histories_at_random_are_snapshot_isolated
                histories_with_faults_are_snapshot_isolated
            }
        }
    };
}

#[cfg(test)]
mod tests {
    /// A fact that was written and not listed would never be checked.
    #[test]
    fn every_fact_is_listed() {
        let list = include_str!("list.rs");
        let files = [
            ("snapshots.rs", include_str!("facts/snapshots.rs")),
            ("own_writes.rs", include_str!("facts/own_writes.rs")),
            ("conflicts.rs", include_str!("facts/conflicts.rs")),
            ("inserts.rs", include_str!("facts/inserts.rs")),
            ("locks.rs", include_str!("facts/locks.rs")),
            ("replay.rs", include_str!("facts/replay.rs")),
            ("outcomes.rs", include_str!("facts/outcomes.rs")),
            ("endings.rs", include_str!("facts/endings.rs")),
            ("cancellation.rs", include_str!("facts/cancellation.rs")),
            ("limits.rs", include_str!("facts/limits.rs")),
            ("timestamps.rs", include_str!("facts/timestamps.rs")),
            ("storage.rs", include_str!("facts/storage.rs")),
            ("concurrency.rs", include_str!("facts/concurrency.rs")),
            ("histories.rs", include_str!("facts/histories.rs")),
        ];
        for (file, source) in files {
            for line in source.lines() {
                let Some(rest) = line.strip_prefix("pub async fn ") else { continue };
                let fact = rest.split('<').next().unwrap_or(rest);
                let listed = list.lines().any(|line| line.trim() == fact);
                assert!(listed, "{fact} of {file} is not in the list");
            }
        }
    }
}
