//! What models promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod crud;
mod cursors;
mod events;
mod floats;
mod hand_written;
mod names;
mod queries;
mod reindex;
mod sequences;
mod stored;
mod support;
mod unique;

/// Runs every fact on one engine, opened anew for each.
macro_rules! on_engine {
    ($engine:ident, $under_test:ty) => {
        on_engine! { $engine, $under_test;
            crud: insert_update_and_delete_are_read_back, insert_of_an_existing_row_fails_and_changes_nothing,
                update_of_a_missing_row_says_which, upsert_inserts_then_updates, delete_says_whether_there_was_a_row,
                batch_get_keeps_the_order_of_ids, options_choose_the_operation_and_whether_events_are_written,
                ids_of_any_displayable_type_are_taken, rows_are_read_in_order_of_ids;
            cursors: pages_cover_all_rows_once_while_rows_come_and_go_before_them, a_cursor_survives_as_text,
                a_cursor_of_another_query_is_refused, the_last_page_has_no_cursor, pages_go_backwards_too;
            events: a_write_carries_the_events_that_it_calls_for, an_event_before_the_start_is_due_at_the_start,
                an_event_out_of_the_format_is_refused_with_its_time, a_rolled_back_write_leaves_no_event;
            floats: floats_are_read_back_and_found_by_their_own_values,
                floats_of_models_written_by_hand_are_found_too;
            hand_written: nested_fields_and_lists_are_indexed, values_of_the_wrong_type_are_refused,
                a_condition_decides_row_by_row, a_unique_index_named_by_the_model_is_enforced,
                every_type_of_field_sorts_by_value;
            names: strange_ids_stay_apart, an_empty_id_is_refused, an_id_too_long_is_refused_before_the_commit,
                invalid_names_of_tables_indexes_and_events_are_refused;
            queries: equality_finds_exactly_the_rows_with_the_value, each_value_of_a_list_finds_its_row, a_prefix_of_a_composite_index_finds_its_rows,
                ranges_respect_every_kind_of_bound, ranges_of_leading_fields_ignore_the_others,
                ranges_of_tuples_compare_field_by_field, narrowing_calls_add_up, texts_are_found_by_their_beginning,
                both_directions_and_limits_agree, ids_count_and_stream_agree_with_all,
                a_value_without_a_place_in_the_order_is_refused, an_index_that_the_model_lacks_is_refused,
                a_query_sees_the_writes_of_its_transaction, a_stream_reads_more_rows_than_one_request_holds;
            reindex: an_added_index_is_filled, a_changed_condition_adds_and_removes_entries,
                dangling_and_unreadable_entries_are_removed, two_rows_with_one_unique_value_are_named,
                a_stale_holder_of_a_unique_value_gives_way, a_run_that_was_cut_off_is_resumed,
                rows_written_meanwhile_have_exactly_their_entries, a_position_of_another_index_is_refused;
            sequences: any_sequence_of_writes_leaves_exactly_what_the_rows_call_for;
            stored: a_row_that_does_not_parse_is_an_error_naming_its_key, an_entry_without_its_row_is_passed_over,
                an_entry_of_a_former_value_is_passed_over, an_entry_that_names_no_row_is_an_error_naming_its_key;
            unique: a_taken_value_is_refused_and_the_index_named, an_updated_value_is_free_in_the_same_transaction,
                two_rows_swap_values_by_way_of_a_third, a_deleted_row_frees_its_values,
                of_two_concurrent_rows_with_one_value_one_is_refused,
                a_row_leaves_an_entry_alone_that_is_another_row_s;
        }
    };
    ($engine:ident, $under_test:ty; $($module:ident: $($fact:ident),+;)+) => {
        mod $engine {
            $(mod $module {
                use tito_testkit::EngineSettings;
                use tito_testkit::conformance::{self, EngineUnderTest};

                $(#[test]
                fn $fact() {
                    conformance::run(async {
                        let database = <$under_test>::open(EngineSettings::default()).await.unwrap();
                        crate::$module::$fact(database.database()).await;
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
