//! A transaction over several regions, cancelled at every await point.

use std::time::Duration;

use tito_core::prelude::*;
use tito_core::tikv::Concurrency;
use tito_testkit::mock_tikv::{Fault, FaultRule, MockCluster, Rpc};
use tito_worker::prelude::*;

use crate::support::*;

/// More polls than it needs.
const MOST_POLLS: usize = 10_000;

/// Reads, writes, an insert, a lock and an event, in all regions of the cluster, with an await after each.
async fn transfer(db: &Database, number: usize) -> Result<(), TitoError> {
    let queue = TitoQueue::new(db.clone());
    let tx = db.begin().await?;
    let step = tokio::task::yield_now;
    tx.get(b"apple").await?;
    tx.put(b"apple".to_vec(), number.to_string().into_bytes()).await?;
    step().await;
    tx.insert(format!("grape {number}").into_bytes(), b"new".to_vec()).await?;
    step().await;
    tx.lock_keys(vec![b"melon".to_vec()]).await?;
    step().await;
    queue.publish(Publish::new("job", number.to_string()), &tx).await?;
    tx.put(b"tomato".to_vec(), number.to_string().into_bytes()).await?;
    step().await;
    tx.commit().await.map(drop)
}

/// All of the transaction's traces as one snapshot has them.
async fn traces(db: &Database, number: usize) -> [bool; 4] {
    let rows = everything(db).await;
    let value = number.to_string().into_bytes();
    let has = |key: &str| rows.iter().any(|(stored, found)| stored == key.as_bytes() && *found == value);
    let entity = format!("\"{number}\"");
    let event =
        rows.iter().any(|(key, found)| key.starts_with(b"event:") && String::from_utf8_lossy(found).contains(&entity));
    let inserted = format!("grape {number}");
    [has("apple"), has("tomato"), rows.iter().any(|(key, _)| key == inserted.as_bytes()), event]
}

async fn cancel_everywhere(concurrency: Concurrency) {
    let cluster = MockCluster::builder()
        .split_default_keyspace(false)
        .stores(3)
        .split_at(["c", "event:", "g", "m", "t"])
        .start()
        .await
        .unwrap();
    let process = Process::start(builder(&cluster).concurrency(concurrency)).await;
    let observer = connect(&cluster).await;
    TitoQueue::new(process.db.clone()).create_topic("job", 2).await.unwrap();
    // Opens all connections, and fills the caches.
    let db = process.db.clone();
    process.spawn(async move { transfer(&db, MOST_POLLS).await }).await.unwrap().unwrap();
    no_locks(&cluster).await;
    let idle = tasks_when_idle(&process).await;

    let mut committed = 0;
    for polls in 0.. {
        assert!(polls < MOST_POLLS, "not done after {polls} polls");
        let db = process.db.clone();
        let done = process.spawn(async move { cancelled_after(polls, transfer(&db, polls)).await }).await.unwrap();
        // What goes on without its caller ends by itself.
        no_locks(&cluster).await;
        eventually("no task is left", || process.alive_tasks() <= idle).await;
        no_locks(&cluster).await;
        let traces = traces(&observer, polls).await;
        assert!(traces == [true; 4] || traces == [false; 4], "after {polls} polls: {traces:?}");
        committed += usize::from(traces[0]);
        if let Some(outcome) = done {
            outcome.unwrap();
            assert_eq!(traces, [true; 4]);
            break;
        }
    }
    assert!(committed > 1, "no commit was cancelled after its decision");
    let db = process.db.clone();
    in_time(process.spawn(async move { db.close().await })).await.unwrap();
    let closed = observer.begin().await.is_ok() && process.db.begin().await.is_err();
    assert!(closed, "only the closed engine is closed");
}

/// How many tasks the connections have: the fewest that are seen for a while.
async fn tasks_when_idle(process: &Process) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..300 {
        fewest = fewest.min(process.alive_tasks());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fewest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_optimistic_transaction_leaves_no_lock_and_no_task() {
    cancel_everywhere(Concurrency::Optimistic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pessimistic_transaction_leaves_no_lock_and_no_task() {
    cancel_everywhere(Concurrency::Pessimistic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_for_a_commit_whose_caller_is_gone() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    let observer = connect(&cluster).await;
    cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::Delay(Duration::from_millis(200))).nth(1));
    let tx = db.begin().await.unwrap();
    for key in APART {
        tx.put(key.as_bytes().to_vec(), b"new".to_vec()).await.unwrap();
    }
    assert!(cancelled_after(1, tx.commit()).await.is_none());
    drop(tx);
    in_time(db.close()).await;
    assert_eq!(get_all(&observer, &APART).await, vec![Some("new".to_string()); 4]);
}
