//! `lock_keys` makes a read count as a write.

use crate::conformance::Opener;
use crate::conformance::support::*;

/// Two doctors on call each leave, seeing that the other one stays: both locked what they read, so one has to look
/// again.
pub async fn locks_shut_out_write_skew(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("doctor:ada", "on call"), ("doctor:bob", "on call")]).await;
    let ada = engine.begin().await.unwrap();
    let bob = engine.begin().await.unwrap();
    for (tx, own) in [(&ada, "doctor:ada"), (&bob, "doctor:bob")] {
        let on_call = scan(tx, "doctor:", "doctor;", 10).await;
        assert_eq!(on_call, ["doctor:ada=on call", "doctor:bob=on call"]);
        tx.lock_keys(vec![bytes("doctor:ada"), bytes("doctor:bob")]).await.unwrap();
        delete(tx, own).await;
    }
    ada.commit().await.unwrap();
    let refused = bob.commit().await;
    assert!(refused.is_err(), "nobody is on call");
    assert_eq!(scan(&engine.begin().await.unwrap(), "doctor:", "doctor;", 10).await, ["doctor:bob=on call"]);
}

pub async fn locking_only_what_the_other_writes_is_enough(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1")]).await;
    let first = engine.begin().await.unwrap();
    let second = engine.begin().await.unwrap();
    first.lock_keys(vec![bytes("b")]).await.unwrap();
    put(&first, "a", "2").await;
    second.lock_keys(vec![bytes("a")]).await.unwrap();
    put(&second, "b", "2").await;
    first.commit().await.unwrap();
    assert!(second.commit().await.is_err(), "both wrote after reading what the other overwrote");
}

pub async fn locks_write_nothing(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1")]).await;
    let tx = engine.begin().await.unwrap();
    tx.lock_keys(vec![bytes("a"), bytes("b")]).await.unwrap();
    assert_eq!(scan(&tx, "a", "z", 10).await, ["a=1"], "within the transaction");
    assert_eq!(get(&tx, "b").await, None);
    tx.commit().await.unwrap();
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=1"], "after it");
}

pub async fn a_locked_key_can_be_written_before_and_after(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "1").await;
    tx.lock_keys(vec![bytes("a"), bytes("b"), bytes("c")]).await.unwrap();
    put(&tx, "b", "1").await;
    tx.insert(bytes("c"), bytes("1")).await.unwrap();
    assert_eq!(scan(&tx, "a", "z", 10).await, ["a=1", "b=1", "c=1"]);
    tx.commit().await.unwrap();
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=1", "b=1", "c=1"]);
}

pub async fn a_lock_of_an_absent_key_holds_off_its_insertion(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let guard = engine.begin().await.unwrap();
    let inserter = engine.begin().await.unwrap();
    inserter.insert(bytes("absent"), bytes("1")).await.unwrap();
    assert_eq!(get(&guard, "absent").await, None);
    guard.lock_keys(vec![bytes("absent")]).await.unwrap();
    inserter.commit().await.unwrap();
    assert_conflict(guard.commit().await, "absent");
}

pub async fn locks_end_with_their_transaction(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let holder = engine.begin().await.unwrap();
    holder.lock_keys(vec![bytes("a")]).await.unwrap();
    holder.commit().await.unwrap();
    let dropped = engine.begin().await.unwrap();
    dropped.lock_keys(vec![bytes("a")]).await.unwrap();
    let writer = engine.begin().await.unwrap();
    put(&writer, "a", "1").await;
    drop(dropped);
    writer.commit().await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("1"));
}
