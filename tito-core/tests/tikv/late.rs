//! Commits that are kept waiting until their transaction is too old do not land, whether or not their callers wait.

use std::time::Duration;

use tito_core::clock::Clock;
use tito_core::prelude::*;
use tito_test_engines::TestClock;
use tito_test_engines::mock_tikv::{Fault, FaultRule, Rpc};

use crate::support::*;

const TOO_OLD: Duration = Duration::from_millis(30_001);

/// The answer of the first phase comes when the transaction is too old, and at once: nothing may go on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_first_phase_is_answered_too_late_is_not_made() {
    let clock = TestClock::new();
    let cluster = four_regions_at(&clock).await;
    let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
    for round in 0..20 {
        let held = cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang));
        let before = cluster.faults().injected().total();
        let tx = db.begin().await.unwrap();
        tx.put(b"apple".to_vec(), format!("{round}").into_bytes()).await.unwrap();
        let is_cancelled = round % 2 == 0;
        let committing = if is_cancelled {
            assert!(cancelled_after(1, tx.commit()).await.is_none());
            drop(tx);
            None
        } else {
            Some(tokio::spawn(async move { tx.commit().await }))
        };
        eventually("the first phase is sent", || cluster.faults().injected().total() > before).await;
        clock.advance(TOO_OLD);
        cluster.faults().remove(held);
        if let Some(committing) = committing {
            let outcome = in_time(committing).await.unwrap();
            assert!(matches!(outcome, Err(TitoError::TransactionTooOld { .. })), "{outcome:?}");
        }
        no_locks(&cluster).await;
        assert_eq!(get(&db, "apple").await, None, "round {round}");
    }
}

/// A machine's clock that is set back gives a transaction no more time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_during_a_commit_gives_it_no_more_time() {
    let cluster = four_regions().await;
    let clock = TestClock::new();
    let age = Duration::from_secs(2);
    let db = builder(&cluster).clock(clock.shared()).max_transaction_age(age).connect().await.unwrap();
    let held = cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang));
    let tx = db.begin().await.unwrap();
    tx.put(b"apple".to_vec(), b"1".to_vec()).await.unwrap();
    let committing = tokio::spawn(async move { tx.commit().await });
    eventually("the first phase is sent", || cluster.faults().injected().total() > 0).await;
    clock.set(clock.now_millis() - 3_600_000);
    let outcome = in_time(committing).await.unwrap();
    assert!(matches!(outcome, Err(TitoError::TransactionTooOld { .. })), "{outcome:?}");
    cluster.faults().remove(held);
    no_locks(&cluster).await;
    assert_eq!(get(&db, "apple").await, None);
}
