//! Round trips, counted on a cluster of one region: what an operation costs on a real one too.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tito_core::clock::Clock;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::mock_tikv::{CallCounts, MockCluster, Rpc};
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;

use crate::support::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TitoModel)]
#[tito(event = "user")]
struct User {
    id: String,
    #[tito(index)]
    email: String,
}

fn user(id: &str, email: &str) -> User {
    User { id: id.to_string(), email: email.to_string() }
}

/// One region, and an engine that has learned where everything is.
async fn warm(clock: &TestClock) -> (MockCluster, Database) {
    let now = clock.clone();
    let cluster = MockCluster::builder()
        .split_default_keyspace(false)
        .clock(Arc::new(move || now.now_millis()))
        .start()
        .await
        .unwrap();
    let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
    for topic in ["user", "job"] {
        TitoQueue::new(db.clone()).create_topic(topic, 1).await.unwrap();
    }
    let users = db.model::<User>();
    db.transaction(|tx| async move { users.insert(&user("warm", "w"), &tx).await }).await.unwrap();
    publish(&db, 1).await;
    no_locks(&cluster).await;
    (cluster, db)
}

async fn publish(db: &Database, events: usize) {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| async move {
        for number in 0..events {
            queue.publish(Publish::new("job", number.to_string()), &tx).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// The calls that something makes, with the commit of secondary keys after it.
async fn calls_of<F: Future>(cluster: &MockCluster, operation: F) -> CallCounts {
    let before = cluster.calls();
    operation.await;
    no_locks(cluster).await;
    cluster.calls().since(&before)
}

/// As texts, so that a failure shows everything.
#[track_caller]
fn assert_calls(calls: &CallCounts, expected: &[(Rpc, u64)]) {
    let mut expected = expected.to_vec();
    expected.sort();
    // Without the messages that carry several of them at once.
    let made = calls.made().filter(|(rpc, _)| *rpc != Rpc::BatchCommands);
    assert_eq!(made.collect::<Vec<_>>(), expected);
}

/// Two timestamps, one prewrite, and one commit: the keys that lie beside the primary one are committed with it.
const ONE_COMMIT: [(Rpc, u64); 3] = [(Rpc::Tso, 2), (Rpc::KvPrewrite, 1), (Rpc::KvCommit, 1)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_of_a_row_with_an_index_and_an_event_reads_nothing() {
    let (cluster, db) = warm(&TestClock::new()).await;
    let users = db.model::<User>();
    let insert = db.transaction(|tx| async move { users.insert(&user("ada", "a@example.com"), &tx).await });
    let calls = calls_of(&cluster, async { insert.await.unwrap() }).await;
    assert_calls(&calls, &ONE_COMMIT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_key_is_committed_by_one_commit() {
    let (cluster, db) = warm(&TestClock::new()).await;
    let calls = calls_of(&cluster, async { put_all(&db, &["a"], "1").await.unwrap() }).await;
    assert_calls(&calls, &[(Rpc::Tso, 2), (Rpc::KvPrewrite, 1), (Rpc::KvCommit, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_costs_one_read_of_the_old_row_more() {
    let (cluster, db) = warm(&TestClock::new()).await;
    let users = db.model::<User>();
    let update = db.transaction(|tx| async move { users.update(&user("warm", "new@example.com"), &tx).await });
    let calls = calls_of(&cluster, async { update.await.unwrap() }).await;
    assert_calls(&calls, &[&ONE_COMMIT[..], &[(Rpc::KvGet, 1)]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_transaction_costs_its_timestamp_and_its_reads() {
    let (cluster, db) = warm(&TestClock::new()).await;
    let calls = calls_of(&cluster, async {
        let tx = db.begin().await.unwrap();
        tx.get(b"a").await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_calls(&calls, &[(Rpc::Tso, 1), (Rpc::KvGet, 1)]);
    let calls = calls_of(&cluster, async {
        let tx = db.begin().await.unwrap();
        tx.batch_get((0..50u8).map(|key| vec![key]).collect()).await.unwrap();
        tx.rollback().await;
    })
    .await;
    assert_calls(&calls, &[(Rpc::Tso, 1), (Rpc::KvBatchGet, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_writes_are_read_without_a_call_and_a_rollback_makes_none() {
    let (cluster, db) = warm(&TestClock::new()).await;
    let calls = calls_of(&cluster, async {
        let tx = db.begin().await.unwrap();
        tx.put(b"a".to_vec(), b"1".to_vec()).await.unwrap();
        tx.delete(b"b".to_vec()).await.unwrap();
        tx.lock_keys(vec![b"c".to_vec()]).await.unwrap();
        assert_eq!(tx.batch_get(vec![b"a".to_vec(), b"b".to_vec()]).await.unwrap(), [Some(b"1".to_vec()), None]);
        assert_eq!(tx.get(b"a").await.unwrap(), Some(b"1".to_vec()));
        tx.rollback().await;
    })
    .await;
    assert_calls(&calls, &[(Rpc::Tso, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_acknowledgements_is_one_transaction() {
    let clock = TestClock::new();
    let (cluster, db) = warm(&clock).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    harness.drain().await.unwrap();
    publish(&db, 100).await;
    no_locks(&cluster).await;
    let calls = calls_of(&cluster, async { assert_eq!(harness.drain().await.unwrap().len(), 100) }).await;
    // What is ready when a transaction begins is acknowledged in it: the first few events, then all others. Each costs
    // one read, one prewrite and two commits, as a hundred keys are less than 16 KiB.
    let transactions = calls.of(Rpc::KvBatchGet);
    assert!((1..=3).contains(&transactions), "{calls:?}");
    assert_eq!(calls.of(Rpc::KvPrewrite), transactions, "{calls:?}");
    assert!(calls.of(Rpc::KvCommit) <= 2 * transactions, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_a_hundred_events_is_one_transaction() {
    let (cluster, db) = warm(&TestClock::new()).await;
    let calls = calls_of(&cluster, publish(&db, 100)).await;
    let batches = calls.of(Rpc::KvPrewrite);
    assert!((2..=4).contains(&batches), "events of some 300 bytes in batches of 16 KiB: {calls:?}");
    assert_eq!(counts(&calls, [Rpc::Tso, Rpc::KvGet, Rpc::KvScan]), [2, 0, 0]);
}

/// On one thread, so that the worker has gone to sleep when the clock is turned.
#[tokio::test]
async fn a_poll_of_an_idle_partition_is_one_timestamp_and_one_scan() {
    let clock = TestClock::new();
    let (cluster, db) = warm(&clock).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    harness.drain().await.unwrap();
    let worker = Worker::builder(TitoQueue::new(db.clone()))
        .subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
        .build();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
    clock.waited_for().await;
    let polls = 50;
    let calls = calls_of(&cluster, async {
        for _ in 0..polls {
            clock.advance_to(clock.waited_for().await);
        }
        clock.waited_for().await;
    })
    .await;
    assert_calls(&calls, &[(Rpc::Tso, polls), (Rpc::KvScan, polls)]);
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
