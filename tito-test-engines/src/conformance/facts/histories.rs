//! Generated concurrent transactions, whose history is checked for snapshot isolation.

use std::time::Duration;

use crate::conformance::Opener;
use crate::conformance::support::*;
use crate::fault::{Call, FaultEngine, WithFaults};
use crate::history::{Workload, check};
use crate::random::seed;

pub async fn histories_at_random_are_snapshot_isolated(opener: Opener) {
    let seed = seed();
    for round in 0..4 {
        let database = open(opener).await;
        let workload = Workload { seed: seed.wrapping_add(round), ..Workload::default() };
        let history = workload.run(&database.database()).await;
        if let Err(violation) = check(&history) {
            panic!("the history with seed {seed} is not snapshot isolated: {violation}");
        }
    }
}

pub async fn histories_with_faults_are_snapshot_isolated(opener: Opener) {
    let seed = seed();
    let database = open(opener).await;
    let engine = FaultEngine::seeded(database.database(), seed).database();
    let faults = engine.faults();
    faults.at(Call::Commit).with_probability(0.1).storage_error();
    faults.at(Call::Commit).with_probability(0.1).unknown_without_effect();
    faults.at(Call::Commit).with_probability(0.2).delay(Duration::from_millis(2));
    faults.at(Call::Get).with_probability(0.02).conflict();
    faults.at(Call::Scan).with_probability(0.02).storage_error();
    let history = Workload { seed, ..Workload::default() }.run(&engine).await;
    if let Err(violation) = check(&history) {
        panic!("the history with seed {seed} is not snapshot isolated: {violation}");
    }
}
