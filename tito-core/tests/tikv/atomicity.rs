//! A commit on TiKV whose answer is lost is wholly there or wholly absent, in every region that it wrote to.

use std::time::Duration;

use futures::future::join_all;
use tito_core::prelude::*;
use tito_core::tikv::TiKVBackend;
use tito_test_engines::mock_tikv::{Fault, FaultRule, Rpc};
use tito_test_engines::{MockCluster, TemporaryCluster, on_mock_cluster};

use crate::support::impatient;

/// Keys in regions of their own; the first is the primary one.
const KEYS: [&str; 4] = ["a", "data:user:z", "index:x", "zebra"];

async fn write(db: &Database) -> Result<(), TitoError> {
    let tx = db.begin().await?;
    for key in KEYS {
        tx.system_keys().put(key.into(), b"written".to_vec()).await?;
    }
    tx.commit().await.map(|_| ())
}

async fn what_is_there(db: &Database) -> Vec<bool> {
    let tx = db.begin().await.unwrap();
    let values = tx.batch_get(KEYS.iter().map(|key| key.as_bytes().to_vec()).collect()).await.unwrap();
    values.iter().map(Option::is_some).collect()
}

async fn check_after(fault: impl FnOnce(&MockCluster)) -> (Result<(), TitoError>, bool) {
    let database: TemporaryCluster = on_mock_cluster().await.unwrap();
    let db = impatient(database.cluster()).connect().await.unwrap();
    fault(database.cluster());
    let outcome = write(&db).await;
    database.cluster().faults().clear();
    let there = what_is_there(&db).await;
    assert!(there.iter().all(|is_there| *is_there == there[0]), "only a part of the transaction is there: {there:?}");
    match &outcome {
        Ok(()) => assert!(there[0], "it was reported as done"),
        Err(TitoError::CommitUnknown { .. }) => {}
        Err(error) => assert!(!there[0], "it was reported as not done: {error}"),
    }
    (outcome, there[0])
}

#[tokio::test]
async fn a_commit_whose_every_answer_is_lost_took_effect_as_a_whole() {
    let (outcome, is_there) = check_after(|cluster| {
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropResponse));
    })
    .await;
    assert!(is_there);
    outcome.expect("the rollback is told that the transaction was committed");
}

#[tokio::test]
async fn a_commit_that_never_arrives_took_no_effect() {
    let (outcome, is_there) = check_after(|cluster| {
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropRequest));
    })
    .await;
    assert!(!is_there);
    assert!(matches!(outcome, Err(TitoError::Unavailable { .. })), "{outcome:?}");
}

/// The busy answer is to the second attempt, whose first took effect without an answer.
#[tokio::test]
async fn a_server_that_is_busy_after_a_lost_answer_proves_nothing() {
    let (_, is_there) = check_after(|cluster| {
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropResponse).first(1));
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::ServerIsBusy));
    })
    .await;
    assert!(is_there);
}

#[tokio::test]
async fn a_prewrite_that_fails_in_one_region_leaves_nothing_in_the_others() {
    let outcomes = [Fault::DropRequest, Fault::DropResponse, Fault::ServerIsBusy].map(|fault| {
        check_after(|cluster| {
            cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, fault).keys("zebra"));
        })
    });
    for (outcome, is_there) in join_all(outcomes).await {
        assert!(!is_there);
        assert!(matches!(outcome, Err(TitoError::Unavailable { .. })), "{outcome:?}");
    }
}

/// The caller's deadline passes while the commit waits for an answer.
#[tokio::test]
async fn a_commit_that_takes_effect_after_the_deadline_is_whole() {
    let database = on_mock_cluster().await.unwrap();
    let db = TiKVBackend::builder(database.cluster().pd_endpoints())
        .call_deadline(Duration::from_millis(300))
        .connect()
        .await
        .unwrap();
    for delay in [250, 300, 350] {
        let slow = FaultRule::on(Rpc::KvCommit, Fault::Delay(Duration::from_millis(delay))).first(1);
        database.cluster().faults().add(slow);
        let _ = write(&db).await;
        database.cluster().faults().clear();
        let there = what_is_there(database.database()).await;
        assert!(there.iter().all(|is_there| *is_there == there[0]), "after {delay} ms only a part is there: {there:?}");
    }
    db.close().await;
}

/// Lets PD tell the four regions once, and never again.
fn lose_lookups(cluster: &MockCluster) {
    cluster.faults().add(FaultRule::on(Rpc::GetRegion, Fault::Delay(Duration::ZERO)).first(KEYS.len() as u64));
    cluster.faults().add(FaultRule::on(Rpc::GetRegion, Fault::DropRequest));
}

/// The client of version 0.4 drops the error of a lookup while it cuts a prewrite or a commit into regions: it sends
/// nothing for these keys, and takes that for success. So it is not let try again during a commit.
#[tokio::test]
async fn a_commit_whose_region_cannot_be_looked_up_again_is_not_taken_for_done() {
    let _either = check_after(|cluster| {
        lose_lookups(cluster);
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::RegionNotFound).keys(KEYS[0]).nth(1));
    })
    .await;
}

/// As above, for one region of the prewrite: without its lock the transaction must not be committed.
#[tokio::test]
async fn a_prewrite_whose_region_cannot_be_looked_up_again_is_not_taken_for_done() {
    let _either = check_after(|cluster| {
        lose_lookups(cluster);
        cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::RegionNotFound).keys(KEYS[2]).nth(1));
    })
    .await;
}
