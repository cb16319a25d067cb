//! All interleavings of two clients that take pessimistic locks on the same keys, in the same or opposite order, and of
//! one that writes them: with waits on the server, deadlocks, lost heartbeats, expired locks, crashes, releases, and
//! whatever else can happen to a request.
mod check;
mod happen;
mod steps;
mod world;

use super::{budget, chooser::Chooser};
use crate::protocol::acquire::mutant::AcquireMutant;
use world::World;

/// The starting conditions of a world.
#[derive(Clone, Copy, Debug)]
struct Setting {
    keys: usize,
    /// Whether each key is in a region of its own.
    apart: bool,
    /// Whether the keys are locked one by one, by the second holder in reverse order.
    circle: bool,
    /// Whether somebody writes the keys.
    writer: bool,
    /// Whether time passes, so that locks without heartbeats expire.
    passes: bool,
    planted: Option<Planted>,
}

/// A fault that a test plants.
#[derive(Clone, Copy, Debug)]
enum Planted {
    InAcquire(AcquireMutant),
    /// Locks of others are removed before they expire.
    TakesLocksBeforeTheirTime,
}

const PLAIN: Setting = Setting { keys: 2, apart: true, circle: false, writer: false, passes: false, planted: None };

/// What the exploration covered.
#[derive(Debug)]
struct Explored {
    runs: usize,
    states: usize,
    /// In how many runs somebody was told that waiting is no use.
    deadlocks: usize,
}

/// Goes through all runs of a setting, or reports what was wrong with one.
async fn explore(setting: Setting, budget: usize) -> Result<Explored, String> {
    let mut chooser = Chooser::new(budget);
    let mut deadlocks = 0;
    loop {
        let world = World::new(setting, &mut chooser).await;
        match world.run().await {
            Ok(told) => deadlocks += usize::from(told > 0),
            Err(wrong) => return Err(format!("{wrong}; {setting:?}, deviations {:?}", chooser.deviations())),
        }
        if !chooser.next_run() {
            return Ok(Explored { runs: chooser.runs, states: chooser.states, deadlocks });
        }
    }
}

async fn hold(setting: Setting, usual: usize) {
    match explore(setting, budget(usual)).await {
        Ok(explored) => {
            let Explored { runs, states, deadlocks } = explored;
            println!("{setting:?}: {runs} runs, {states} states, {deadlocks} runs with a deadlock");
            assert_eq!(deadlocks > 0, setting.circle, "who locks in one order never waits in a circle");
        }
        Err(wrong) => panic!("{wrong}"),
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_lock_the_same_keys() {
    hold(Setting { keys: 1, ..PLAIN }, 1).await;
    hold(PLAIN, 1).await;
    hold(Setting { apart: false, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn two_who_lock_against_each_other() {
    hold(Setting { circle: true, ..PLAIN }, 1).await;
    hold(Setting { circle: true, apart: false, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn heartbeats_that_come_and_that_are_lost() {
    hold(Setting { keys: 1, passes: true, ..PLAIN }, 1).await;
    hold(Setting { circle: true, passes: true, ..PLAIN }, 1).await;
}

#[tokio::test(start_paused = true)]
async fn two_who_lock_what_another_writes() {
    hold(Setting { keys: 1, writer: true, passes: true, ..PLAIN }, 1).await;
    hold(Setting { writer: true, apart: false, ..PLAIN }, 1).await;
    // Over 1,400 runs.
    if budget(0) > 0 {
        hold(Setting { writer: true, ..PLAIN }, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn planted_faults_are_found() {
    let one = Setting { keys: 1, ..PLAIN };
    for (planted, setting, budget) in [
        (Planted::InAcquire(AcquireMutant::TakesSilenceForHeld), one, 2),
        (Planted::InAcquire(AcquireMutant::TakesLockOfRetryForOwn), one, 2),
        (Planted::InAcquire(AcquireMutant::DropsShards), one, 2),
        (Planted::TakesLocksBeforeTheirTime, one, 1),
    ] {
        let found = explore(Setting { planted: Some(planted), ..setting }, budget).await;
        println!("{planted:?}: {found:?}");
        assert!(found.as_ref().is_err_and(|wrong| wrong.contains("at once")), "{planted:?} is not found in {found:?}");
    }
}
