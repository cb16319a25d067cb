//! What an engine on TiKV keeps to where the cluster itself would not say no.

use std::time::Duration;

use crate::support::{impatient, tikv};
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::tikv::{Concurrency, TiKVBackend};
use tito_test_engines::mock_tikv::{Fault, FaultRule, Rpc};
use tito_test_engines::{EngineSettings, MockCluster, TestClock, on_mock_cluster, on_mock_cluster_with};

async fn put(db: &Database, key: &str, value: &str) {
    let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    db.transaction(|tx| async move { tx.put(key, value).await }).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_whose_versions_were_collected_is_refused_and_not_read_with_holes() {
    let clock = TestClock::new();
    let database = on_mock_cluster_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
    let db = database.database();
    put(db, "a", "old").await;
    put(db, "zebra", "old").await;
    let tx = db.begin().await.unwrap();
    assert_eq!(tx.get(b"a").await.unwrap().as_deref(), Some(b"old".as_slice()));
    put(db, "a", "new").await;
    clock.advance(Duration::from_secs(60));
    assert!(tikv(db).gc(Duration::from_secs(50)).await.unwrap());
    let read = tx.get(b"a").await;
    assert!(matches!(read, Err(TitoError::TransactionTooOld { .. })), "{read:?}");
    let scanned = tx.scan(KeyRange::new("a", "b"), 10).await;
    assert!(matches!(scanned, Err(TitoError::TransactionTooOld { .. })), "{scanned:?}");
    let batch = tx.batch_get(vec![b"a".to_vec()]).await;
    assert!(matches!(batch, Err(TitoError::TransactionTooOld { .. })), "{batch:?}");
}

#[tokio::test]
async fn an_engine_of_one_keyspace_does_not_move_the_safe_point_of_the_cluster() {
    let cluster = MockCluster::builder().keyspaces(["one", "other"]).start().await.unwrap();
    let one = TiKVBackend::builder(cluster.pd_endpoints()).keyspace("one").connect().await.unwrap();
    let before = cluster.calls();
    let outcome = tikv(&one).gc(Duration::from_secs(60)).await;
    assert!(matches!(outcome, Err(TitoError::Storage { operation: "gc", .. })), "{outcome:?}");
    assert_eq!(cluster.calls().since(&before).to_pd(), 0);
}

#[tokio::test]
async fn a_conflict_with_a_living_transaction_names_a_key_of_the_one_that_failed() {
    let database = on_mock_cluster().await.unwrap();
    let db = impatient(database.cluster()).connect().await.unwrap();
    // Its commit hangs, so both keys stay locked.
    let hanging = database.cluster().faults().add(FaultRule::on(Rpc::KvCommit, Fault::Hang));
    let tx = db.begin().await.unwrap();
    tx.put(b"a".to_vec(), b"1".to_vec()).await.unwrap();
    tx.put(b"zebra".to_vec(), b"1".to_vec()).await.unwrap();
    let committing = tokio::spawn(async move { tx.commit().await });
    while database.cluster().calls().of(Rpc::KvCommit) == 0 {
        tokio::task::yield_now().await;
    }
    let other = db.begin().await.unwrap();
    other.put(b"zebra".to_vec(), b"2".to_vec()).await.unwrap();
    match other.commit().await {
        Err(TitoError::Conflict { key }) => assert_eq!(key.as_bytes(), b"zebra"),
        outcome => panic!("expected a conflict, found {outcome:?}"),
    }
    database.cluster().faults().remove(hanging);
    let _ = committing.await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_has_ended_gets_no_more_guards() {
    let database = on_mock_cluster().await.unwrap();
    let connect =
        || TiKVBackend::builder(database.cluster().pd_endpoints()).concurrency(Concurrency::Pessimistic).connect();
    let (db, other) = (connect().await.unwrap(), connect().await.unwrap());
    let holding = other.begin().await.unwrap();
    holding.put(b"key-1".to_vec(), b"1".to_vec()).await.unwrap();
    let tx = db.begin().await.unwrap();
    // The first waits for a guard that is held, and the others queue up behind it.
    let waiting: Vec<_> = (1..10u8)
        .map(|number| {
            let tx = tx.clone();
            tokio::spawn(async move { tx.put(format!("key-{number}").into_bytes(), b"2".to_vec()).await })
        })
        .collect();
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    let before = database.cluster().calls();
    tx.rollback().await;
    db.close().await;
    let calls = database.cluster().calls().since(&before).of(Rpc::KvPessimisticLock);
    assert!(calls <= 2, "{calls} more guards were asked for");
    holding.rollback().await;
}

#[tokio::test]
async fn destroying_a_range_may_take_longer_than_an_ordinary_request() {
    let database = on_mock_cluster().await.unwrap();
    let builder = TiKVBackend::builder(database.cluster().pd_endpoints()).rpc_timeout(Duration::from_millis(200));
    let db = builder.connect().await.unwrap();
    put(&db, "zebra", "old").await;
    let slow = Fault::Delay(Duration::from_millis(600));
    database.cluster().faults().add(FaultRule::on(Rpc::UnsafeDestroyRange, slow));
    let before = database.cluster().calls();
    tikv(&db).delete_range(KeyRange::new("z", "zz")).await.unwrap();
    let asked = database.cluster().calls().since(&before).of(Rpc::UnsafeDestroyRange);
    assert_eq!(asked, database.cluster().stores().len() as u64, "each store once");
    assert_eq!(db.begin().await.unwrap().get(b"zebra").await.unwrap(), None);
}

#[tokio::test]
async fn the_longest_timeout_of_a_request_is_no_panic() {
    let database = on_mock_cluster().await.unwrap();
    let builder = TiKVBackend::builder(database.cluster().pd_endpoints()).rpc_timeout(Duration::MAX);
    let db = builder.maintenance_deadline(Duration::MAX).connect().await.unwrap();
    put(&db, "zebra", "here").await;
    tikv(&db).delete_range(KeyRange::new("z", "zz")).await.unwrap();
}
