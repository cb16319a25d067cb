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

#[tokio::test(start_paused = true)]
async fn two_writers_and_a_stranger_with_two_keys_in_two_regions() {
    hold(PLAIN, 1).await;
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
    hold(Setting { keys: 3, expired: true, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn one_writer_and_a_stranger() {
    hold(Setting { writers: 1, ..PLAIN }, 1).await;
    hold(Setting { writers: 1, expired: true, ..PLAIN }, 1).await;
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

#[tokio::test(start_paused = true)]
async fn planted_faults_are_found() {
    let one = Setting { writers: 1, ..PLAIN };
    assert_found(Mutant::DropsShards, one, 2).await;
    assert_found(Mutant::CommitsOthersEarly, one, 2).await;
    assert_found(Mutant::TakesSilenceForFailure, one, 1).await;
    assert_found(Mutant::RollsBackSideBySide, one, 2).await;
    assert_found(Mutant::RollsBackPrimaryFirst, one, 2).await;
    assert_found(Mutant::TakesLockForProof, one, 2).await;
    assert_found(Mutant::TakesLockOfRetryForOwn, PLAIN, 1).await;
    let overlapped = Setting { keys: 1, overlapped: true, ..one };
    assert_found(Mutant::TakesCleanupForProof, overlapped, 2).await;
    assert_found(Mutant::TakesBatchRollbackForProof, overlapped, 2).await;
}
