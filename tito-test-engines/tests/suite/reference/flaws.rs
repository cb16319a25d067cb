flaws! {
    reads_of_the_latest_state_are_found: ReadsTheLatest {
        snapshots::get_is_unaffected_by_later_commits
        snapshots::batch_get_is_unaffected_by_later_commits
        snapshots::scan_is_unaffected_by_later_commits
        snapshots::scan_reverse_is_unaffected_by_later_commits
        snapshots::writes_are_invisible_to_others_until_the_commit
        histories::histories_at_random_are_snapshot_isolated
        histories::histories_with_faults_are_snapshot_isolated
    }
    a_snapshot_without_the_last_commit_is_found: MissesTheLastCommit {
        snapshots::a_new_transaction_sees_every_commit_before_it
        timestamps::a_commit_lies_between_its_start_and_every_later_start
        histories::histories_at_random_are_snapshot_isolated
    }
    batches_in_another_order_are_found: SortsBatches { snapshots::batch_get_answers_in_the_order_of_its_keys }
    ranges_with_their_end_are_found: IncludesTheEnd { snapshots::scans_hold_to_their_range_and_limit }
    pages_cut_short_are_found: ShortPages {
        own_writes::reads_equal_a_sorted_map_under_own_writes
        own_writes::pages_of_a_scan_cover_a_range_without_gap_or_repetition
    }
    ranges_without_an_end_that_are_empty_are_found: NeedsAnEnd { storage::a_range_without_an_end_reaches_the_last_key }
    conflicts_that_go_unnoticed_are_found: ChecksNoConflicts {
        conflicts::the_second_of_two_puts_fails
        conflicts::a_delete_after_a_put_fails
        conflicts::a_put_after_a_delete_fails
        conflicts::the_second_of_two_deletes_fails
        conflicts::the_second_of_two_inserts_fails
        conflicts::a_put_after_an_insert_fails
        conflicts::the_second_of_two_locks_fails
        conflicts::a_lock_after_a_write_fails
        conflicts::a_write_after_a_lock_fails
        conflicts::reads_do_not_save_a_loser
        conflicts::of_many_commits_at_once_one_wins
        inserts::of_two_racing_inserts_one_says_that_the_key_exists
        replay::a_conflict_is_replayed_in_a_new_transaction
        replay::attempts_are_bounded_and_the_last_conflict_is_told
        concurrency::increments_of_one_counter_sum_up
        concurrency::transfers_keep_the_sum_in_every_snapshot
        histories::histories_at_random_are_snapshot_isolated
    }
    conflicts_with_other_keys_are_found: ConflictsWithAnyCommit {
        conflicts::disjoint_keys_do_not_conflict
        conflicts::reading_what_another_writes_is_no_conflict
        concurrency::writers_of_different_keys_all_get_through_at_the_first_attempt
    }
    conflicts_with_the_past_are_found: ConflictsWithThePast {
        conflicts::a_transaction_begun_after_a_commit_does_not_conflict_with_it
    }
    reads_that_conflict_are_found: ReadsConflict {
        conflicts::reading_what_another_writes_is_no_conflict
        conflicts::a_read_only_transaction_never_conflicts
    }
    half_of_a_loser_is_found: LeavesHalfOfALoser {
        conflicts::the_second_of_two_puts_fails
        endings::a_refused_transaction_blocks_nobody
        replay::a_conflict_is_replayed_in_a_new_transaction
        histories::histories_at_random_are_snapshot_isolated
    }
    inserts_that_overwrite_are_found: InsertIsPut {
        inserts::an_existing_key_is_refused_and_nothing_is_written
        inserts::of_two_racing_inserts_one_says_that_the_key_exists
        replay::an_insert_of_what_exists_is_not_replayed
    }
    lost_inserts_are_found: InsertIsLost { inserts::a_new_key_is_inserted }
    inserts_after_a_delete_that_fail_are_found: InsertOfDeletedFails {
        inserts::a_key_deleted_by_an_earlier_commit_is_inserted
    }
    empty_values_taken_for_absent_ones_are_found: EmptyIsAbsent {
        inserts::an_existing_empty_value_counts
        storage::an_empty_value_replaces_a_value_and_back
        storage::values_of_any_bytes_are_kept
    }
    locks_without_effect_are_found: IgnoresLocks {
        locks::locks_shut_out_write_skew
        locks::locking_only_what_the_other_writes_is_enough
        locks::a_lock_of_an_absent_key_holds_off_its_insertion
        conflicts::the_second_of_two_locks_fails
        conflicts::a_lock_after_a_write_fails
        conflicts::a_write_after_a_lock_fails
        histories::histories_at_random_are_snapshot_isolated
    }
    locks_that_write_are_found: LocksWrite {
        locks::locks_write_nothing
        locks::a_locked_key_can_be_written_before_and_after
    }
    lost_commits_are_found: CommitIsLost {
        replay::the_value_of_the_closure_is_returned
        outcomes::an_unknown_commit_that_took_effect_is_not_replayed
        outcomes::a_key_resolves_an_unknown_commit_that_took_effect
        outcomes::an_unknown_commit_stays_unknown_while_its_marker_cannot_be_read
        outcomes::a_conflict_on_the_marker_of_a_key_is_replayed
        outcomes::a_repeated_call_does_nothing_and_says_so
        outcomes::concurrent_calls_with_one_key_take_effect_once
        outcomes::a_key_holds_whatever_the_closure_writes
        outcomes::pruned_keys_can_take_effect_again_and_others_cannot
    }
    signals_that_are_lost_are_found: LosesSignals {
        signals::a_commit_tells_those_who_listen_before_it_answers
        signals::a_commit_without_writes_tells_too
    }
    signals_of_what_was_not_committed_are_found: SignalsWithoutCommit {
        signals::a_transaction_that_is_not_committed_tells_nothing
    }
    another_time_than_the_start_is_found: AnswersAnotherTime { endings::an_empty_transaction_commits }
    commits_that_stop_half_way_when_cancelled_are_found: CommitsInSteps {
        cancellation::a_transaction_cancelled_anywhere_is_made_as_a_whole_or_not_at_all
        cancellation::a_replayed_transaction_can_be_cancelled_anywhere
        cancellation::a_cancelled_call_with_a_key_takes_effect_once_when_repeated
    }
    reads_that_end_the_transaction_when_cancelled_are_found: CancelledReadEnds {
        cancellation::a_cancelled_read_does_not_harm_its_transaction
    }
    limits_told_wrong_are_found: TellsOtherLimits { limits::the_engine_tells_its_limits }
    an_age_limit_passed_over_is_found: IgnoresAge { limits::a_transaction_over_the_age_limit_is_refused }
    an_age_limit_that_is_too_low_is_found: AgeLimitIsHalf { limits::a_transaction_below_the_age_limit_commits }
    timestamps_handed_out_twice_are_found: SharesTimestamps {
        timestamps::a_commit_lies_between_its_start_and_every_later_start
        timestamps::timestamps_are_unique_and_increasing_among_concurrent_tasks
    }
    timestamps_that_only_count_are_found: IgnoresTheClock {
        timestamps::the_physical_part_follows_the_clock
        timestamps::now_passes_as_time_does_and_is_not_ahead_of_timestamps
    }
    timestamps_that_go_back_are_found: FollowsTheClockBack { timestamps::timestamps_do_not_go_back_with_the_clock }
    timestamps_forgotten_when_closed_are_found: ForgetsTimestamps {
        timestamps::timestamps_do_not_go_back_when_reopened
        timestamps::timestamps_do_not_go_back_when_reopened_with_the_clock_set_back
    }
    data_forgotten_when_closed_is_found: ForgetsData { storage::committed_writes_are_there_after_reopening }
    databases_that_share_their_data_are_found: SharesOneDatabase { storage::databases_are_apart }
    clones_with_data_of_their_own_are_found: ClonesAreApart { storage::clones_of_an_engine_share_one_database }
    changes_that_are_not_told_are_found: NothingChanges { snapshots::what_is_said_to_be_unchanged_is_as_it_was }
    keys_taken_for_text_are_found: KeysAreText { storage::keys_of_any_bytes_are_kept_in_the_order_of_their_bytes }
    values_taken_for_text_are_found: ValuesAreText { storage::values_of_any_bytes_are_kept }
    snapshots_that_follow_later_commits_are_found: SnapshotsFollow {
        kept::a_snapshot_reads_as_a_transaction_of_its_time_would
        kept::a_snapshot_is_streamed_in_both_directions
        kept::snapshots_are_apart_and_outlive_one_another
        kept::a_snapshot_under_writers_is_one_state
        kept::a_snapshot_lies_between_the_commits_before_it_and_those_after_it
    }
    snapshots_that_end_with_the_age_of_transactions_are_found: SnapshotsAge {
        kept::a_snapshot_is_kept_however_old_it_becomes
    }
    snapshots_that_block_what_waits_for_transactions_are_found: SnapshotsAreLive {
        kept::a_snapshot_is_no_live_transaction
    }
    pages_past_their_bytes_are_found: PagesOfAnySize { kept::pages_keep_to_their_bytes_and_cover_the_range }
}
