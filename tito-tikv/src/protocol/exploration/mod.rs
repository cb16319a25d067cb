//! All interleavings of two writers of the same keys and a stranger that meets their locks, over the storage of the
//! in-process cluster: with lost, late and duplicate requests and answers, a crash, a split, a moved leader, failed
//! look-ups, expired locks and deadlines.
//!
//! The usual course costs nothing, and each deviation costs one. All runs within a budget are explored. Tests use a
//! small one; set `TITO_DEVIATIONS` for a larger one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
mod check;
mod chooser;
mod deliver;
mod guards;
mod in_process;
mod records;
mod steps;
mod world;

use chooser::Chooser;
use world::{Setting, World};

use crate::protocol::commit::mutant::Mutant;

const PLAIN: Setting = Setting { keys: 2, apart: true, expired: false, writers: 2, mutant: None, overlapped: false };

/// Goes through all runs of a setting. Returns the number of runs and of states, or what was wrong with one.
async fn explore(setting: Setting, budget: usize) -> Result<(usize, usize), String> {
    let mut chooser = Chooser::new(budget);
    loop {
        let world = World::new(setting, &mut chooser).await;
        if let Err(wrong) = world.run().await {
            return Err(format!("{wrong}; {setting:?}, deviations {:?}", chooser.deviations()));
        }
        if !chooser.next_run() {
            return Ok((chooser.runs, chooser.states));
        }
    }
}

fn budget(usual: usize) -> usize {
    std::env::var("TITO_DEVIATIONS").ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

async fn hold(setting: Setting, usual: usize) {
    match explore(setting, budget(usual)).await {
        Ok((runs, states)) => println!("{setting:?}: {runs} runs, {states} states"),
        Err(wrong) => panic!("{wrong}"),
    }
}

// What takes long is a test of its own, so that several run at once.

#[tokio::test(start_paused = true)]
async fn two_writers_and_a_stranger_with_two_keys_in_two_regions() {
    hold(PLAIN, 1).await;
}

#[tokio::test(start_paused = true)]
async fn two_writers_and_a_stranger_with_two_keys_in_two_regions_whose_locks_have_expired() {
    hold(Setting { expired: true, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn two_writers_and_a_stranger_with_two_keys_in_one_region() {
    hold(Setting { apart: false, ..PLAIN }, 1).await;
    hold(Setting { apart: false, expired: true, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn two_writers_and_a_stranger_with_three_keys() {
    hold(Setting { keys: 3, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn two_writers_and_a_stranger_with_three_keys_whose_locks_have_expired() {
    hold(Setting { keys: 3, expired: true, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn one_writer_and_a_stranger() {
    hold(Setting { writers: 1, ..PLAIN }, 1).await;
    hold(Setting { writers: 1, expired: true, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn one_writer_and_a_stranger_with_two_keys_in_one_region() {
    hold(Setting { writers: 1, apart: false, ..PLAIN }, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_others_at_the_very_start() {
    hold(Setting { writers: 1, keys: 1, overlapped: true, ..PLAIN }, 2).await;
    hold(Setting { writers: 1, overlapped: true, ..PLAIN }, 1).await;
}

async fn assert_found(mutant: Mutant, setting: Setting, budget: usize) {
    let found = explore(Setting { mutant: Some(mutant), ..setting }, budget).await;
    println!("{mutant:?}: {found:?}");
    // A hang would prove nothing about this fault.
    let is_wrong = |wrong: &String| wrong.contains("is torn") || wrong.contains("reported");
    assert!(found.as_ref().is_err_and(is_wrong), "{mutant:?} is not found in {found:?}");
}

/// That planted faults are found: each in a test of its own, with the setting and the budget that it takes.
macro_rules! planted {
    ($($name:ident: $mutant:ident in $setting:expr, $budget:literal;)*) => {
        mod planted_faults_are_found {
            use super::{Mutant, ONE, OVERLAPPED, PLAIN, assert_found};

            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    assert_found(Mutant::$mutant, $setting, $budget).await;
                }
            )*
        }
    };
}

const ONE: Setting = Setting { writers: 1, ..PLAIN };
const OVERLAPPED: Setting = Setting { keys: 1, overlapped: true, ..ONE };

planted! {
    drops_shards: DropsShards in ONE, 2;
    commits_others_early: CommitsOthersEarly in ONE, 2;
    takes_silence_for_failure: TakesSilenceForFailure in ONE, 1;
    rolls_back_side_by_side: RollsBackSideBySide in ONE, 2;
    rolls_back_primary_first: RollsBackPrimaryFirst in ONE, 2;
    takes_lock_for_proof: TakesLockForProof in ONE, 2;
    takes_lock_of_retry_for_own: TakesLockOfRetryForOwn in PLAIN, 1;
    takes_cleanup_for_proof: TakesCleanupForProof in OVERLAPPED, 2;
    takes_batch_rollback_for_proof: TakesBatchRollbackForProof in OVERLAPPED, 2;
}
