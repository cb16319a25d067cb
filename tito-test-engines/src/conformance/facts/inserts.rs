//! `insert` writes what does not exist yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tito_core::{Result, Timestamp, Transaction};

use crate::conformance::Opener;
use crate::conformance::support::*;

/// An engine may refuse an insert at the call or at the commit.
async fn insert_and_commit(tx: &Transaction, key: &str, value: &str) -> Result<Timestamp> {
    tx.insert(bytes(key), bytes(value)).await?;
    tx.commit().await
}

pub async fn a_new_key_is_inserted(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    insert_and_commit(&engine.begin().await.unwrap(), "a", "1").await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("1"));
}

pub async fn an_existing_key_is_refused_and_nothing_is_written(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("b", "1")]).await;
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "2").await;
    assert_exists(insert_and_commit(&tx, "b", "2").await, "b");
    drop(tx);
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["b=1"]);
}

pub async fn an_existing_empty_value_counts(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "")]).await;
    assert_exists(insert_and_commit(&engine.begin().await.unwrap(), "a", "2").await, "a");
}

pub async fn a_key_that_the_transaction_put_is_refused(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "1").await;
    assert_exists(insert_and_commit(&tx, "a", "2").await, "a");
}

pub async fn a_key_that_the_transaction_inserted_is_refused(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    tx.insert(bytes("a"), bytes("1")).await.unwrap();
    assert_exists(insert_and_commit(&tx, "a", "2").await, "a");
}

pub async fn a_key_that_the_transaction_deleted_is_inserted(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1")]).await;
    let tx = engine.begin().await.unwrap();
    delete(&tx, "a").await;
    insert_and_commit(&tx, "a", "2").await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("2"));
}

pub async fn a_key_deleted_by_an_earlier_commit_is_inserted(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1")]).await;
    remove(&engine, "a").await;
    insert_and_commit(&engine.begin().await.unwrap(), "a", "2").await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("2"));
}

pub async fn an_inserted_key_can_be_overwritten_and_deleted_again(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    tx.insert(bytes("a"), bytes("1")).await.unwrap();
    tx.insert(bytes("b"), bytes("1")).await.unwrap();
    put(&tx, "a", "2").await;
    delete(&tx, "b").await;
    tx.commit().await.unwrap();
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=2"]);
}

/// The loser of the race is replayed, and then finds the winner's key. The rival runs once: its failed second insert may
/// count as a newer write of the key, as a rollback on TiKV does, and make every run of the loser lose again.
pub async fn of_two_racing_inserts_one_says_that_the_key_exists(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let runs = Arc::new(AtomicU32::new(0));
    let outcome: Result<()> = engine
        .transaction(|tx| {
            let (rival, run) = (engine.clone(), runs.fetch_add(1, Ordering::SeqCst));
            async move {
                tx.insert(bytes("a"), bytes("late")).await?;
                if run > 0 {
                    return Ok(());
                }
                rival.transaction(|tx| async move { tx.insert(bytes("a"), bytes("early")).await }).await
            }
        })
        .await;
    assert_exists(outcome, "a");
    assert_eq!(read(&engine, "a").await.as_deref(), Some("early"));
}
