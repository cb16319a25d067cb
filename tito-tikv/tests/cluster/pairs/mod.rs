//! Every pair of two things that happen to a transaction of three keys, one of which is foreign: a fault at each of its
//! calls and something that others do at each of its moments, and two of the latter. What was reported is checked against
//! the store.
//!
//! They are many, so the suite runs every so many of them; `TITO_PAIRS=all` runs each.
mod foreign;
mod tap;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tito_mock_tikv::{Fault, MockCluster, Rpc};
use tito_tikv::{Outcome, Timestamp};

use crate::faults::{SPLITS, faults, is_lasting};
use crate::reported::{KEYS, check};
use crate::support::{InProcess, cluster, quiet, settings};
use foreign::{Foreign, Stranger};
use tap::{Step, Tap, Tapped};

/// What a run came to.
struct Ran {
    outcome: Outcome,
    /// The transaction's calls, in their order.
    calls: Vec<Rpc>,
    happened: usize,
    about: String,
}

async fn run(split: &[&str], steps: &[Step]) -> Ran {
    let builder = MockCluster::builder().stores(3).pd_members(2).split_at(split.iter().copied());
    let cluster = cluster(builder).await;
    let stranger = Arc::new(Stranger::new(&cluster).await);
    let tap = Tap::new(&cluster, stranger.clone(), steps);
    let way = Tapped { to: InProcess(cluster.clone()), tap: tap.clone() };
    let builder = settings(&cluster).transport(way).batch_commands(false).call_deadline(Duration::from_secs(8));
    let client = builder.connect().await.unwrap();
    let mut transaction = client.begin().await.unwrap();
    *stranger.start.lock().unwrap() = transaction.start();
    for key in KEYS {
        transaction.put(key, "v");
    }
    let start = transaction.start();
    tap.open();
    let outcome = transaction.commit().await;
    // What goes on after the answer counts too.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (calls, happened) = tap.close();
    while stranger.busy.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What hangs or comes late is done now.
    cluster.faults().clear();
    quiet().await;
    let written = std::mem::take(&mut *stranger.written.lock().unwrap());
    let about = format!("{split:?}, {steps:?}: {outcome:?} by {calls:?}, of others {written:?}");
    let mut overwritten = None;
    for (other_start, other) in &written {
        if let (Outcome::Committed(other), Outcome::Committed(own)) = (other, &outcome) {
            assert!(other < &start || own < other_start, "both wrote the same keys at once: {about}");
            overwritten = overwritten.max(Some(*other).filter(|other| other > own));
        }
    }
    // Of an outcome that is not known, or of two writers, the keys are looked at before each of them.
    for (_, other) in &written {
        if let Outcome::Committed(other) = other {
            overwritten = Some(overwritten.map_or(*other, |at: Timestamp| at.min(*other)));
        }
    }
    check(&cluster, &outcome, overwritten, &about).await;
    Ran { outcome, calls, happened, about }
}

/// Which of many pairs are run.
struct Which {
    step: usize,
    number: usize,
    /// How many have happened; after one of the two, the transaction may end before the other.
    pairs: usize,
}

impl Which {
    /// One in so many, unless all are wanted.
    fn one_in(step: usize) -> Which {
        let all = std::env::var("TITO_PAIRS").is_ok_and(|value| value == "all");
        Which { step: if all { 1 } else { step }, number: 0, pairs: 0 }
    }

    fn is_next(&mut self) -> bool {
        self.number += 1;
        self.number.is_multiple_of(self.step)
    }
}

/// Whether the fault can be one of this call.
fn can_strike(fault: &Fault, rpc: Rpc) -> bool {
    let of_stores = Fault::REGION_ERRORS.contains(fault) || matches!(fault, Fault::Late | Fault::Duplicate);
    let of_pd = matches!(fault, Fault::NoLeader | Fault::PdError);
    !(of_stores && rpc.is_pd() || of_pd && !rpc.is_pd())
}

/// Whether locks are over before the first heartbeat: for PD's clock, or as the call that is struck takes so long.
fn lets_locks_expire(fault: &Fault) -> bool {
    matches!(fault, Fault::Hang | Fault::Delay(_) | Fault::ClockJump(_))
}

fn assert_told(ran: &Ran, fault: Option<&Fault>, is_in_the_way: bool) {
    let is_right = match &ran.outcome {
        Outcome::Committed(_) => true,
        Outcome::NotCommitted(_) => {
            is_in_the_way || fault.is_some_and(|fault| is_lasting(fault) || lets_locks_expire(fault))
        }
        // The primary alone could tell, and the one answer that it gives is a refusal.
        Outcome::Unknown(_) => is_in_the_way && fault.is_some_and(is_lasting),
    };
    assert!(is_right, "{}", ran.about);
}

async fn a_fault_and_a_foreign_step(split: &[&str], which: &mut Which) {
    let usual = run(split, &[]).await;
    for (call, rpc) in usual.calls.iter().enumerate() {
        for fault in faults().into_iter().filter(|fault| can_strike(fault, *rpc)) {
            let one = Step::Fault(call, fault.clone());
            // Who asks again has more moments.
            let moments = 2 * run(split, std::slice::from_ref(&one)).await.calls.len();
            for moment in 0..moments {
                for foreign in Foreign::EVERY {
                    if which.is_next() {
                        let ran = run(split, &[one.clone(), Step::Foreign(moment, foreign)]).await;
                        assert_told(&ran, Some(&fault), foreign.is_in_the_way());
                        which.pairs += usize::from(ran.happened == 2);
                    }
                }
            }
        }
    }
}

async fn two_foreign_steps(split: &[&str], which: &mut Which) {
    let usual = run(split, &[]).await;
    for first_moment in 0..2 * usual.calls.len() {
        for first in Foreign::EVERY {
            let one = Step::Foreign(first_moment, first);
            let alone = run(split, std::slice::from_ref(&one)).await;
            assert_told(&alone, None, first.is_in_the_way());
            for moment in first_moment..2 * alone.calls.len() {
                for second in Foreign::EVERY {
                    if which.is_next() {
                        let ran = run(split, &[one.clone(), Step::Foreign(moment, second)]).await;
                        assert_told(&ran, None, first.is_in_the_way() || second.is_in_the_way());
                        which.pairs += usize::from(ran.happened == 2);
                    }
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_and_a_foreign_step_at_any_moment_contradict_no_outcome() {
    let mut which = Which::one_in(151);
    for split in SPLITS {
        a_fault_and_a_foreign_step(split, &mut which).await;
        println!("over {split:?}: {} of {} pairs so far", which.pairs, which.number);
    }
    assert!(which.pairs > 500, "{}", which.pairs);
}

#[tokio::test(start_paused = true)]
async fn two_foreign_steps_at_any_moments_contradict_no_outcome() {
    let mut which = Which::one_in(151);
    for split in SPLITS {
        two_foreign_steps(split, &mut which).await;
        println!("over {split:?}: {} of {} pairs so far", which.pairs, which.number);
    }
    assert!(which.pairs > 100, "{}", which.pairs);
}
