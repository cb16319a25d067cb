//! A cluster that stops answering: every call ends with its deadline, and works again once the cluster does.

use std::time::Duration;

use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_test_engines::mock_tikv::{Fault, FaultRule, MockCluster, Rpc};

use crate::support::*;

const DEADLINE: Duration = Duration::from_millis(300);

async fn hasty(cluster: &MockCluster) -> Database {
    builder(cluster)
        .connect_deadline(DEADLINE)
        .call_deadline(DEADLINE)
        .rpc_timeout(Duration::from_millis(100))
        .connect()
        .await
        .unwrap()
}

/// Tries for as long as a cluster may take to be found again.
async fn works_again(db: &Database) {
    let working = async {
        while put_all(db, &APART, "again").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time(working).await;
    assert_eq!(get_all(db, &APART).await, vec![Some("again".to_string()); 4]);
}

/// The value, read again for as long as a lock is in its way.
async fn eventual_get(db: &Database, key: &str) -> Option<String> {
    loop {
        if let Ok(tx) = db.begin().await
            && let Ok(value) = tx.get(key.as_bytes()).await
        {
            return value.map(|value| String::from_utf8(value).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_stores_that_hang_end_with_the_deadline_and_name_call_and_key() {
    let cluster = four_regions().await;
    let db = hasty(&cluster).await;
    put_all(&db, &APART, "old").await.unwrap();
    no_locks(&cluster).await;
    let tx = db.begin().await.unwrap();
    for rpc in [Rpc::KvGet, Rpc::KvBatchGet, Rpc::KvScan, Rpc::KvPrewrite, Rpc::KvBatchRollback] {
        cluster.faults().add(FaultRule::on(rpc, Fault::Hang));
    }
    assert_unavailable(in_time(tx.get(b"grape")).await, &["get", "key grape", "300 ms"]);
    let keys = APART.map(|key| key.as_bytes().to_vec()).to_vec();
    assert_unavailable(in_time(tx.batch_get(keys)).await, &["batch_get", "key apple", "300 ms"]);
    let range = KeyRange::new("b", "z");
    assert_unavailable(in_time(tx.scan(range.clone(), 10)).await, &["scan of key b", "300 ms"]);
    assert_unavailable(in_time(tx.scan_reverse(range, 10)).await, &["scan_reverse of key b", "300 ms"]);
    tx.put(b"grape".to_vec(), b"lost".to_vec()).await.unwrap();
    // No commit was sent, so whatever becomes of the first phase nothing is committed.
    assert_unavailable(in_time(tx.commit()).await, &["commit", "key grape", "300 ms"]);
    cluster.faults().clear();
    works_again(&db).await;
    no_locks(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_hangs_and_is_rolled_back_says_so() {
    let cluster = four_regions().await;
    let db = hasty(&cluster).await;
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang).keys("grape"));
    let tx = db.begin().await.unwrap();
    for key in APART {
        tx.put(key.as_bytes().to_vec(), b"lost".to_vec()).await.unwrap();
    }
    assert_unavailable(in_time(tx.commit()).await, &["commit", "key apple"]);
    no_locks(&cluster).await;
    assert_eq!(get_all(&db, &APART).await, vec![None; 4]);
    cluster.faults().clear();
    works_again(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timestamps_that_stop_coming_end_calls_with_the_deadline() {
    let cluster = four_regions().await;
    let db = hasty(&cluster).await;
    put_all(&db, &APART, "old").await.unwrap();
    let running = db.begin().await.unwrap();
    cluster.freeze_timestamps(true);
    assert_unavailable(in_time(db.begin()).await.map(drop), &["begin", "300 ms"]);
    assert_unavailable(in_time(db.timestamp()).await, &["timestamp", "300 ms"]);
    // Reads of a snapshot that is there need none.
    assert_eq!(running.get(b"apple").await.unwrap(), Some(b"old".to_vec()));
    running.put(b"apple".to_vec(), b"lost".to_vec()).await.unwrap();
    // Without a timestamp no commit is sent.
    assert_unavailable(in_time(running.commit()).await, &["commit", "key apple"]);
    cluster.freeze_timestamps(false);
    assert_eq!(in_time(eventual_get(&db, "apple")).await.as_deref(), Some("old"));
    works_again(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pd_that_dies_after_connecting_is_found_again() {
    let cluster = four_regions().await;
    let db = hasty(&cluster).await;
    put_all(&db, &APART, "old").await.unwrap();
    cluster.stop_pd().await;
    assert_unavailable(in_time(db.begin()).await.map(drop), &["begin"]);
    assert_unavailable(in_time(db.timestamp()).await, &["timestamp"]);
    cluster.start_pd().await.unwrap();
    works_again(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pd_that_hangs_after_connecting_ends_calls_with_the_deadline() {
    let cluster = four_regions().await;
    let db = hasty(&cluster).await;
    put_all(&db, &APART, "old").await.unwrap();
    for rpc in Rpc::ALL.iter().filter(|rpc| rpc.is_pd()) {
        cluster.faults().add(FaultRule::on(*rpc, Fault::Hang));
    }
    assert_unavailable(in_time(db.begin()).await.map(drop), &["begin"]);
    assert_unavailable(in_time(db.timestamp()).await, &["timestamp"]);
    cluster.faults().clear();
    works_again(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pd_without_a_leader_ends_calls_with_the_deadline() {
    let cluster = four_regions().await;
    let db = hasty(&cluster).await;
    put_all(&db, &APART, "old").await.unwrap();
    cluster.remove_pd_leader();
    assert_unavailable(in_time(db.begin()).await.map(drop), &["begin"]);
    cluster.restore_pd_leader();
    works_again(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_ends_calls_for_its_regions_only() {
    let cluster = four_regions().await;
    let db = hasty(&cluster).await;
    put_all(&db, &APART, "old").await.unwrap();
    no_locks(&cluster).await;
    let down = cluster.regions()[1].leader;
    cluster.stop_store_with_its_regions(down).await.unwrap();
    let tx = db.begin().await.unwrap();
    assert_unavailable(in_time(tx.get(b"grape")).await, &["get", "key grape"]);
    assert_eq!(in_time(tx.get(b"melon")).await.unwrap(), Some(b"old".to_vec()));
    cluster.start_store(down).await.unwrap();
    works_again(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_that_hangs_ends_with_its_own_deadline() {
    let cluster = four_regions().await;
    let db = builder(&cluster).maintenance_deadline(DEADLINE).connect().await.unwrap();
    cluster.faults().add(FaultRule::on(Rpc::UnsafeDestroyRange, Fault::Hang));
    cluster.faults().add(FaultRule::on(Rpc::KvScanLock, Fault::Hang));
    assert_unavailable(in_time(tikv(&db).delete_range(KeyRange::new("a", "b"))).await, &["delete_range", "300 ms"]);
    assert_unavailable(in_time(tikv(&db).gc(Duration::from_secs(3600))).await, &["gc", "300 ms"]);
}
