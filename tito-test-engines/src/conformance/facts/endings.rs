//! What is left of a transaction that was dropped, rolled back, refused or committed.

use tito_core::Transaction;
use tito_core::keys::KeyRange;

use crate::conformance::Opener;
use crate::conformance::support::*;

pub async fn a_dropped_transaction_leaves_nothing_and_blocks_nobody(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let other = engine.begin().await.unwrap();
    let dropped = engine.begin().await.unwrap();
    put(&dropped, "a", "1").await;
    dropped.lock_keys(vec![bytes("b")]).await.unwrap();
    drop(dropped);
    assert_eq!(read(&engine, "a").await, None);
    put(&other, "a", "2").await;
    put(&other, "b", "2").await;
    other.commit().await.unwrap();
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=2", "b=2"]);
}

pub async fn a_transaction_rolled_back_leaves_nothing_and_blocks_nobody(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let other = engine.begin().await.unwrap();
    let ended = engine.begin().await.unwrap();
    put(&ended, "a", "1").await;
    ended.rollback().await;
    assert_eq!(read(&engine, "a").await, None);
    put(&other, "a", "2").await;
    other.commit().await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("2"));
}

pub async fn a_refused_transaction_blocks_nobody(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let refused = engine.begin().await.unwrap();
    let other = engine.begin().await.unwrap();
    put(&refused, "a", "1").await;
    put(&refused, "b", "1").await;
    store(&engine, &[("a", "2")]).await;
    assert_conflict(refused.commit().await, "a");
    put(&other, "b", "2").await;
    other.commit().await.unwrap();
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=2", "b=2"]);
}

pub async fn every_call_after_a_commit_says_that_the_transaction_ended(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "1").await;
    tx.commit().await.unwrap();
    assert_every_call_ended(&tx).await;
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=1"]);
}

pub async fn every_call_after_a_rollback_says_that_the_transaction_ended(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "1").await;
    tx.rollback().await;
    assert_every_call_ended(&tx).await;
    assert_eq!(read(&engine, "a").await, None);
}

pub async fn every_call_after_a_refused_commit_says_that_the_transaction_ended(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "1").await;
    store(&engine, &[("a", "2")]).await;
    assert_conflict(tx.commit().await, "a");
    assert_every_call_ended(&tx).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("2"));
}

async fn assert_every_call_ended(tx: &Transaction) {
    let range = || KeyRange::new("a", "z");
    assert_ended(tx.get(b"a").await);
    assert_ended(tx.batch_get(vec![bytes("a")]).await);
    assert_ended(tx.scan(range(), 10).await);
    assert_ended(tx.scan_reverse(range(), 10).await);
    assert_ended(tx.put(bytes("b"), bytes("1")).await);
    assert_ended(tx.insert(bytes("c"), bytes("1")).await);
    assert_ended(tx.delete(bytes("a")).await);
    assert_ended(tx.lock_keys(vec![bytes("a")]).await);
    assert_ended(tx.commit().await);
    tx.rollback().await;
}

pub async fn handles_share_one_transaction(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    let handle = tx.clone();
    assert_eq!(handle.start_timestamp(), tx.start_timestamp());
    put(&tx, "a", "1").await;
    assert_eq!(get(&handle, "a").await.as_deref(), Some("1"));
    drop(tx);
    put(&handle, "b", "1").await;
    let last = handle.clone();
    handle.commit().await.unwrap();
    assert_ended(last.get(b"a").await);
    drop((handle, last));
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=1", "b=1"]);
}

pub async fn of_two_commits_of_one_transaction_one_is_made(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    for round in 0..10 {
        let tx = engine.begin().await.unwrap();
        put(&tx, "a", &round.to_string()).await;
        let handle = tx.clone();
        let (one, other) = futures::join!(tx.commit(), handle.commit());
        let (made, refused) = if one.is_ok() { (one, other) } else { (other, one) };
        made.unwrap();
        assert_ended(refused);
        assert_eq!(read(&engine, "a").await, Some(round.to_string()));
    }
}

pub async fn an_empty_transaction_commits(opener: Opener) {
    let database = open(opener).await;
    let tx = database.database().begin().await.unwrap();
    assert_eq!(tx.commit().await.unwrap(), tx.start_timestamp());
    assert_every_call_ended(&tx).await;
}
