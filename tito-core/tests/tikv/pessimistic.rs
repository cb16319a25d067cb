//! Pessimistic transactions: writers of one key wait for each other, and nothing is lost.

use std::time::Duration;

use tito_core::Transaction;
use tito_core::prelude::*;
use tito_core::tikv::Concurrency;
use tito_test_engines::mock_tikv::{LockKind, MockCluster};
use tokio::sync::Barrier;

use crate::support::*;

async fn pessimistic(cluster: &MockCluster) -> Database {
    builder(cluster).concurrency(Concurrency::Pessimistic).connect().await.unwrap()
}

async fn add(tx: &Transaction, key: &str, amount: i64) -> Result<(), TitoError> {
    let value = tx.get(key.as_bytes()).await?.map_or(0, |value| number(&value));
    tx.put(key.as_bytes().to_vec(), (value + amount).to_string().into_bytes()).await
}

fn number(value: &[u8]) -> i64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_of_many_tasks_sum_up() {
    let cluster = four_regions().await;
    let db = pessimistic(&cluster).await;
    let (tasks, each) = (8, 4);
    let adding = (0..tasks).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            for _ in 0..each {
                db.transaction(|tx| async move { add(&tx, "grape", 1).await }).await.unwrap();
            }
        })
    });
    in_time(futures::future::try_join_all(adding)).await.unwrap();
    assert_eq!(get(&db, "grape").await, Some((tasks * each).to_string()));
    no_locks(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn optimistic_and_pessimistic_increments_of_one_key_sum_up() {
    let cluster = four_regions().await;
    let engines = [pessimistic(&cluster).await, connect(&cluster).await];
    let (tasks, each) = (6, 4);
    let adding = (0..tasks).map(|task| {
        let db = engines[task % 2].clone();
        tokio::spawn(async move {
            for _ in 0..each {
                db.transaction(|tx| async move { add(&tx, "grape", 1).await }).await.unwrap();
            }
        })
    });
    in_time(futures::future::try_join_all(adding)).await.unwrap();
    assert_eq!(get(&engines[1], "grape").await, Some((tasks * each).to_string()));
    no_locks(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_waits_for_the_one_before_it() {
    let cluster = four_regions().await;
    let db = pessimistic(&cluster).await;
    let first = db.begin().await.unwrap();
    add(&first, "grape", 1).await.unwrap();
    assert!(cluster.locks().iter().all(|lock| lock.kind == LockKind::Pessimistic));
    assert_eq!(cluster.locks().len(), 1);
    let second = {
        let db = db.clone();
        tokio::spawn(async move { db.transaction(|tx| async move { add(&tx, "grape", 10).await }).await })
    };
    // It can't have written anything while the first holds the key.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());
    first.commit().await.unwrap();
    in_time(second).await.unwrap().unwrap();
    assert_eq!(get(&db, "grape").await.as_deref(), Some("11"));
    no_locks(&cluster).await;
}

/// Each holds what the other wants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_wait_for_each_other_are_both_done_in_the_end() {
    let cluster = four_regions().await;
    let db = pessimistic(&cluster).await;
    let both_hold_one = std::sync::Arc::new(Barrier::new(2));
    let moving = [("apple", "tomato"), ("tomato", "apple")].map(|(from, to)| {
        let (db, both_hold_one) = (db.clone(), both_hold_one.clone());
        let met = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        tokio::spawn(async move {
            db.transaction(|tx| async move {
                add(&tx, from, -1).await?;
                // In the first attempt only.
                if !met.swap(true, std::sync::atomic::Ordering::Relaxed) {
                    both_hold_one.wait().await;
                }
                add(&tx, to, 1).await
            })
            .await
        })
    });
    for moved in moving {
        in_time(moved).await.unwrap().unwrap();
    }
    assert_eq!(get_all(&db, &["apple", "tomato"]).await, vec![Some("0".to_string()); 2]);
    no_locks(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_transaction_releases_its_locks() {
    let cluster = four_regions().await;
    let db = pessimistic(&cluster).await;
    for end in ["rollback", "drop", "refused", "insert"] {
        let tx = db.begin().await.unwrap();
        for key in APART {
            tx.put(key.as_bytes().to_vec(), b"1".to_vec()).await.unwrap();
        }
        assert_eq!(cluster.locks().len(), 4, "{end}");
        match end {
            "rollback" => tx.rollback().await,
            "drop" => drop(tx),
            "refused" => {
                put_all(&connect(&cluster).await, &["melon"], "other").await.unwrap();
                assert!(matches!(tx.commit().await, Err(TitoError::Conflict { .. })));
                // Until then it could be replayed, and keeps them for that.
                drop(tx);
            }
            _ => {
                tx.rollback().await;
                let tx = db.begin().await.unwrap();
                tx.insert(b"melon".to_vec(), b"1".to_vec()).await.unwrap();
                assert!(matches!(tx.commit().await, Err(TitoError::AlreadyExists { .. })));
            }
        }
        no_locks(&cluster).await;
    }
}

/// What it guarded is not blocked: who waits for it goes on without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_client_s_guards_hold_nobody_up_for_long() {
    let cluster = four_regions().await;
    let process = Process::start(builder(&cluster).concurrency(Concurrency::Pessimistic)).await;
    let dying = process.db.clone();
    let held = process.spawn(async move {
        let tx = dying.begin().await.unwrap();
        for key in APART {
            tx.put(key.as_bytes().to_vec(), b"dead".to_vec()).await.unwrap();
        }
        std::mem::forget(tx);
    });
    held.await.unwrap();
    assert_eq!(cluster.locks().len(), 4);
    process.kill();
    let db = pessimistic(&cluster).await;
    in_time(db.transaction(|tx| async move { add(&tx, "grape", 1).await })).await.unwrap();
    assert_eq!(get(&db, "grape").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_older_than_what_was_waited_for_is_a_conflict_and_loses_no_update() {
    let cluster = four_regions().await;
    let db = pessimistic(&cluster).await;
    put_all(&db, &["grape"], "1").await.unwrap();
    let late = db.begin().await.unwrap();
    assert_eq!(late.get(b"grape").await.unwrap(), Some(b"1".to_vec()));
    put_all(&db, &["grape"], "2").await.unwrap();
    let outcome = match late.put(b"grape".to_vec(), b"1+1".to_vec()).await {
        Ok(()) => late.commit().await.map(drop),
        early => early,
    };
    assert!(matches!(outcome, Err(TitoError::Conflict { .. })), "{outcome:?}");
    assert_eq!(get(&db, "grape").await.as_deref(), Some("2"));
}
