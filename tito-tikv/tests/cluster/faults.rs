//! Every single fault at every single call of a transaction of three keys over one, two and three regions, alone and in
//! some scenes. What was reported is checked against the store.
use std::time::Duration;

use tito_mock_tikv::{CallCounts, Fault, FaultRule, MockCluster, Rpc};
use tito_tikv::{Builder, Error, Outcome};

use crate::reported::{KEYS, check};
use crate::support::{client, cluster, quiet, settings};

/// Where regions begin besides the first: one, two and three regions for the keys.
pub(crate) const SPLITS: [&[&str]; 3] = [&[], &["b"], &["b", "c"]];

pub(crate) fn faults() -> Vec<Fault> {
    let others = [
        Fault::DropRequest,
        Fault::DropResponse,
        Fault::Delay(Duration::from_millis(100)),
        Fault::Delay(Duration::from_secs(5)),
        Fault::Late,
        Fault::Duplicate,
        Fault::CloseConnection,
        Fault::Hang,
        Fault::NoLeader,
        Fault::PdError,
        Fault::ClockJump(60_000),
    ];
    Fault::REGION_ERRORS.into_iter().chain(others).collect()
}

/// What else happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    /// Nothing.
    Alone,
    /// Another transaction has written `c` since the start.
    Conflict,
    /// No commit of a primary is answered, whether it is done or not.
    Unanswered { done: bool },
    /// Another client meets the locks, past their time to live, after so many calls to stores.
    Stranger { after: u64 },
}

/// Commits the three keys with one fault, and returns what was reported and how often each call was made.
async fn run(
    scene: Scene,
    split: &[&str],
    batches: bool,
    fault: Option<(Rpc, u64, Fault)>,
) -> (Outcome, CallCounts, bool) {
    let cluster = cluster(MockCluster::builder().stores(3).split_at(split.iter().copied())).await;
    let set = |builder: Builder| builder.batch_commands(batches).call_deadline(Duration::from_secs(8));
    let other = client(&cluster).await;
    let before = cluster.calls();
    let strike = || {
        if let Some((rpc, nth, fault)) = fault.clone() {
            cluster.faults().add(FaultRule::on(rpc, fault).nth(nth));
        }
    };
    if scene != Scene::Conflict {
        strike();
    }
    let connected = set(settings(&cluster)).connect().await.unwrap();
    let mut transaction = connected.begin().await.unwrap();
    for key in KEYS {
        transaction.put(key, "v");
    }
    match scene {
        Scene::Conflict => {
            let mut first = other.begin().await.unwrap();
            first.put("c", "other");
            first.commit().await.committed().unwrap();
            strike();
        }
        Scene::Unanswered { done } => {
            let fault = if done { Fault::DropResponse } else { Fault::DropRequest };
            cluster.faults().add(FaultRule::on(Rpc::KvCommit, fault));
        }
        Scene::Alone | Scene::Stranger { .. } => {}
    }
    let meeting = async {
        if let Scene::Stranger { after } = scene {
            // Its time to live is over for PD then.
            for _ in 0..2_000 {
                if cluster.calls().since(&before).to_stores() >= after && !cluster.locks().is_empty() {
                    cluster.jump_clock(60_000);
                    let snapshot = other.snapshot(other.timestamp().await.unwrap());
                    let _ = snapshot.batch_get(KEYS).await;
                    return;
                }
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        }
    };
    let (outcome, ()) = tokio::join!(transaction.commit(), meeting);
    let struck = fault.as_ref().is_none_or(|(_, _, fault)| cluster.faults().injected().of(fault) > 0);
    // What hangs or comes late is done now.
    cluster.faults().clear();
    quiet().await;
    let calls = cluster.calls().since(&before);

    let about = format!("{scene:?}, {split:?}, batches: {batches}, {fault:?}: {outcome:?}");
    check(&cluster, &outcome, None, &about).await;
    (outcome, calls, struck)
}

/// Goes through all faults at all calls that the scene makes without one.
async fn go_through(scene: Scene, batches: bool, expect: impl Fn(&Rpc, &Fault, &Outcome) -> bool) -> usize {
    let mut runs = 0;
    for split in SPLITS {
        let (_, made, _) = run(scene, split, batches, None).await;
        for (rpc, count) in made.made() {
            if rpc == Rpc::GetMembers || rpc == Rpc::KvBatchGet || rpc == Rpc::KvGet {
                continue;
            }
            for nth in 1..=count.min(4) {
                for fault in faults() {
                    let region_error = Fault::REGION_ERRORS.contains(&fault);
                    let of_stores = region_error || matches!(fault, Fault::Late | Fault::Duplicate);
                    let of_pd = matches!(fault, Fault::NoLeader | Fault::PdError);
                    if (of_stores && (rpc.is_pd() || rpc == Rpc::BatchCommands)) || (of_pd && !rpc.is_pd()) {
                        continue;
                    }
                    let (outcome, _, struck) = run(scene, split, batches, Some((rpc, nth, fault.clone()))).await;
                    runs += usize::from(struck);
                    assert!(
                        expect(&rpc, &fault, &outcome),
                        "{scene:?}, {split:?}, batches: {batches}, {rpc:?} {nth} {fault:?}: {outcome:?}"
                    );
                }
            }
        }
    }
    runs
}

/// Whether asking again is no use.
pub(crate) fn is_lasting(fault: &Fault) -> bool {
    matches!(fault, Fault::RaftEntryTooLarge | Fault::FlashbackInProgress | Fault::FlashbackNotPrepared)
}

async fn one_fault(batches: bool) {
    let runs = go_through(Scene::Alone, batches, |_, fault, outcome| match outcome {
        Outcome::Committed(_) => true,
        Outcome::NotCommitted(_) => is_lasting(fault),
        Outcome::Unknown(_) => false,
    })
    .await;
    println!("{runs} runs");
    assert!(runs > 300, "{runs}");
}

// Those that take long are several tests, so that they run side by side.

#[tokio::test(start_paused = true)]
async fn one_fault_keeps_no_transaction_from_being_committed_unless_it_lasts() {
    one_fault(false).await;
}

#[tokio::test(start_paused = true)]
async fn one_fault_keeps_no_transaction_whose_calls_come_in_batches_from_being_committed_unless_it_lasts() {
    one_fault(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_one_whatever_fails_besides() {
    let runs = go_through(Scene::Conflict, false, |_, fault, outcome| match outcome {
        Outcome::NotCommitted(tito_tikv::Reason::Conflict { .. }) => true,
        Outcome::NotCommitted(_) => is_lasting(fault),
        _ => false,
    })
    .await;
    println!("{runs} runs");
    assert!(runs > 300, "{runs}");
}

async fn unanswered(done: bool) {
    let runs = go_through(Scene::Unanswered { done }, false, |rpc, fault, outcome| match outcome {
        // Another fault of a commit may be one that does it.
        Outcome::Committed(_) => done || *rpc == Rpc::KvCommit,
        Outcome::NotCommitted(_) => !done || is_lasting(fault),
        // The one answer that could tell is a refusal.
        Outcome::Unknown(_) => is_lasting(fault),
    })
    .await;
    println!("{runs} runs");
    assert!(runs > 300, "{runs}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_done_without_an_answer_is_settled_by_its_primary() {
    unanswered(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_not_done_without_an_answer_is_settled_by_its_primary() {
    unanswered(false).await;
}

async fn with_a_stranger(after: u64) {
    let scene = Scene::Stranger { after };
    let runs = go_through(scene, false, |_, _, outcome| !matches!(outcome, Outcome::Unknown(_))).await;
    println!("{runs} runs");
    assert!(runs > 300, "{runs}");
}

#[tokio::test(start_paused = true)]
async fn a_fault_and_a_stranger_who_resolves_the_locks_after_the_first_call_tear_nothing() {
    with_a_stranger(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_and_a_stranger_who_resolves_the_locks_after_three_calls_tear_nothing() {
    with_a_stranger(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_and_a_stranger_who_resolves_the_locks_after_five_calls_tear_nothing() {
    with_a_stranger(5).await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answers_is_unknown_and_whole_in_the_end() {
    for split in SPLITS {
        for done in [false, true] {
            let cluster = cluster(MockCluster::builder().stores(3).split_at(split.iter().copied())).await;
            let [client, reader] = [client(&cluster).await, client(&cluster).await];
            let mut transaction = client.begin().await.unwrap();
            for key in KEYS {
                transaction.put(key, "v");
            }
            let fault = if done { Fault::DropResponse } else { Fault::DropRequest };
            cluster.faults().add(FaultRule::on(Rpc::KvCommit, fault));
            cluster.faults().add(FaultRule::on(Rpc::KvCheckTxnStatus, Fault::DropRequest));
            let begun = tokio::time::Instant::now();
            match transaction.commit().await {
                Outcome::Unknown(Error::Deadline { last: Some(last), .. }) => {
                    assert!(matches!(*last, Error::Unanswered { .. }), "{last:?}");
                }
                other => panic!("expected that nobody knows, found {other:?}"),
            }
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(21), "twice the deadline at most, found {took:?}");
            cluster.faults().clear();
            quiet().await;
            let at = reader.timestamp().await.unwrap();
            let found = reader.snapshot(at).batch_get(KEYS).await.unwrap();
            assert_eq!(found.len(), if done { 3 } else { 0 }, "over {split:?}");
            quiet().await;
            assert!(cluster.locks().is_empty());
        }
    }
}
