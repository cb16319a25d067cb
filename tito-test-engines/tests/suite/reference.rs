//! The conformance suite is neutral: a second engine passes it. And it is worth its time: each of its facts fails on
//! an engine with a flaw that the fact is about.

mod engine;
mod flaw;

use std::panic::catch_unwind;

use engine::{Data, ReferenceEngine};
use flaw::Flaw;
use tito_core::{Database, Result};
use tito_test_engines::EngineSettings;
use tito_test_engines::conformance::{self, EngineUnderTest, Opener};

/// Tells which flaw the engine under test has.
trait Variant: Send + Sync + 'static {
    const FLAW: Flaw;
}

struct Reference<V>(ReferenceEngine, std::marker::PhantomData<V>);

impl<V: Variant> EngineUnderTest for Reference<V> {
    async fn open(settings: EngineSettings) -> Result<Self> {
        let engine = ReferenceEngine::open(V::FLAW, Data::default(), settings);
        Ok(Self(engine, std::marker::PhantomData))
    }

    fn database(&self) -> Database {
        Database::from_engine(self.0.clone())
    }

    async fn reopen(self, settings: EngineSettings) -> Result<Option<Self>> {
        Ok(Some(Self(self.0.reopen(settings), std::marker::PhantomData)))
    }
}

struct Flawless;

impl Variant for Flawless {
    const FLAW: Flaw = Flaw::None;
}

tito_test_engines::conformance!(flawless, Reference<Flawless>);

/// Which facts find which flaw: a test for each flaw, and the list of all facts that are covered.
macro_rules! flaws {
    ($($test:ident: $flaw:ident { $($idea:ident::$fact:ident)* })*) => {
        $(#[test]
        fn $test() {
            struct Flawed;
            impl Variant for Flawed {
                const FLAW: Flaw = Flaw::$flaw;
            }
            $({
                let name = concat!(stringify!($idea), "::", stringify!($fact));
                let outcome = catch_unwind(|| conformance::check(Opener::of::<Reference<Flawed>>(), name));
                assert!(outcome.is_err(), "{} does not find {:?}", stringify!($fact), Flaw::$flaw);
            })*
        })*

        const COVERED: &[&str] = &[$($(concat!(stringify!($idea), "::", stringify!($fact)),)*)*];
    };
}

include!("reference/flaws.rs");

/// Facts about what all engines have in common (own writes, limits, endings, replays and their turns), which none can get
/// wrong.
const ABOUT_NO_ENGINE: &[&str] = &[
    "crowds::a_thousand_tasks_of_one_thread_that_increment_one_key_all_do",
    "crowds::a_thousand_tasks_that_increment_one_key_all_do",
    "crowds::a_transaction_within_one_that_has_lost_the_same_key_is_not_kept_waiting",
    "crowds::those_of_other_keys_go_on_beside_a_crowd",
    "crowds::those_that_are_cancelled_keep_nobody_waiting",
    "crowds::those_that_increment_several_keys_in_any_order_all_do",
    "endings::a_dropped_transaction_leaves_nothing_and_blocks_nobody",
    "endings::a_transaction_rolled_back_leaves_nothing_and_blocks_nobody",
    "endings::every_call_after_a_commit_says_that_the_transaction_ended",
    "endings::every_call_after_a_refused_commit_says_that_the_transaction_ended",
    "endings::every_call_after_a_rollback_says_that_the_transaction_ended",
    "endings::handles_share_one_transaction",
    "endings::of_two_commits_of_one_transaction_one_is_made",
    "inserts::a_key_that_the_transaction_deleted_is_inserted",
    "inserts::a_key_that_the_transaction_inserted_is_refused",
    "inserts::a_key_that_the_transaction_put_is_refused",
    "inserts::an_inserted_key_can_be_overwritten_and_deleted_again",
    "limits::a_key_over_the_limit_is_refused",
    "limits::a_transaction_of_too_many_bytes_is_refused",
    "limits::a_transaction_of_too_many_keys_is_refused",
    "limits::a_value_over_the_limit_is_refused",
    "locks::locks_end_with_their_transaction",
    "outcomes::a_failed_commit_is_not_replayed_and_writes_nothing",
    "outcomes::a_key_resolves_an_unknown_commit_without_effect",
    "outcomes::a_repeated_call_gets_what_the_first_one_has_kept",
    "outcomes::an_unknown_commit_without_effect_is_not_replayed",
    "outcomes::markers_are_dropped_past_their_age_and_not_before",
    "own_writes::a_buffered_delete_does_not_shorten_a_page",
    "own_writes::batch_get_sees_own_writes",
    "own_writes::empty_ranges_and_a_limit_of_zero_give_nothing",
    "own_writes::get_sees_own_writes",
    "own_writes::scans_merge_own_writes_in_both_directions",
    "own_writes::the_limit_is_applied_after_the_merge",
    "replay::a_conflict_of_any_call_is_replayed_whatever_the_closure_makes_of_it",
    "replay::a_panic_of_the_closure_rolls_back",
    "replay::an_error_type_of_the_callers_own_comes_back",
    "replay::the_closures_own_error_is_returned_and_nothing_is_written",
    "reserved::a_refused_write_is_the_error_of_its_transaction",
    "reserved::keys_that_only_look_like_them_are_the_applications_own",
    "reserved::raw_writes_of_them_are_refused_and_leave_the_transaction_as_it_was",
    "reserved::they_are_read_and_locked_like_others_and_written_by_a_door_of_their_own",
];

#[test]
fn every_fact_can_fail() {
    let uncovered: Vec<_> =
        conformance::names().filter(|fact| !COVERED.contains(fact) && !ABOUT_NO_ENGINE.contains(fact)).collect();
    assert!(uncovered.is_empty(), "no flaw is found by {uncovered:#?}");
}
