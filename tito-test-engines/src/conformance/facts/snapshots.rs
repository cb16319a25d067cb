//! A transaction reads the state at its start.

use crate::conformance::support::*;
use crate::conformance::{Opened, Opener};
use crate::random::seed;
use tito_core::Transaction;

/// A transaction begun on `a=1 b=1 c=1`, after which b was overwritten, c deleted and d written.
async fn begun_before_other_commits(database: &Opened) -> Transaction {
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1"), ("c", "1")]).await;
    let tx = engine.begin().await.unwrap();
    store(&engine, &[("b", "2"), ("d", "2")]).await;
    remove(&engine, "c").await;
    tx
}

pub async fn get_is_unaffected_by_later_commits(opener: Opener) {
    let database = open(opener).await;
    let tx = begun_before_other_commits(&database).await;
    assert_eq!(get(&tx, "a").await.as_deref(), Some("1"));
    assert_eq!(get(&tx, "b").await.as_deref(), Some("1"), "overwritten after the start");
    assert_eq!(get(&tx, "c").await.as_deref(), Some("1"), "deleted after the start");
    assert_eq!(get(&tx, "d").await, None, "written after the start");
}

pub async fn batch_get_is_unaffected_by_later_commits(opener: Opener) {
    let database = open(opener).await;
    let tx = begun_before_other_commits(&database).await;
    let one = || Some("1".to_string());
    assert_eq!(batch_get(&tx, &["a", "b", "c", "d"]).await, [one(), one(), one(), None]);
}

pub async fn scan_is_unaffected_by_later_commits(opener: Opener) {
    let database = open(opener).await;
    let tx = begun_before_other_commits(&database).await;
    assert_eq!(scan(&tx, "a", "z", 10).await, ["a=1", "b=1", "c=1"]);
}

pub async fn scan_reverse_is_unaffected_by_later_commits(opener: Opener) {
    let database = open(opener).await;
    let tx = begun_before_other_commits(&database).await;
    assert_eq!(scan_reverse(&tx, "a", "z", 10).await, ["c=1", "b=1", "a=1"]);
}

pub async fn a_new_transaction_sees_every_commit_before_it(opener: Opener) {
    let database = open(opener).await;
    begun_before_other_commits(&database).await;
    let tx = database.database().begin().await.unwrap();
    assert_eq!(get(&tx, "b").await.as_deref(), Some("2"));
    assert_eq!(get(&tx, "c").await, None);
    assert_eq!(scan(&tx, "a", "z", 10).await, ["a=1", "b=2", "d=2"]);
    assert_eq!(scan_reverse(&tx, "a", "z", 10).await, ["d=2", "b=2", "a=1"]);
}

pub async fn writes_are_invisible_to_others_until_the_commit(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1")]).await;
    let writer = engine.begin().await.unwrap();
    put(&writer, "a", "2").await;
    delete(&writer, "b").await;
    put(&writer, "c", "2").await;
    let reader = engine.begin().await.unwrap();
    assert_eq!(scan(&reader, "a", "z", 10).await, ["a=1", "b=1"]);
    writer.commit().await.unwrap();
    assert_eq!(scan(&reader, "a", "z", 10).await, ["a=1", "b=1"]);
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["a=2", "c=2"]);
}

pub async fn batch_get_answers_in_the_order_of_its_keys(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("c", "3")]).await;
    let tx = engine.begin().await.unwrap();
    let value = |text: &str| Some(text.to_string());
    assert_eq!(batch_get(&tx, &["c", "b", "a", "c"]).await, [value("3"), None, value("1"), value("3")]);
    assert_eq!(batch_get(&tx, &[]).await, []);
}

pub async fn scans_hold_to_their_range_and_limit(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await;
    let tx = engine.begin().await.unwrap();
    assert_eq!(scan(&tx, "b", "d", 10).await, ["b=2", "c=3"], "the start belongs to the range, the end does not");
    assert_eq!(scan_reverse(&tx, "b", "d", 10).await, ["c=3", "b=2"]);
    assert_eq!(scan(&tx, "a", "z", 2).await, ["a=1", "b=2"]);
    assert_eq!(scan_reverse(&tx, "a", "z", 2).await, ["d=4", "c=3"]);
}

pub async fn what_is_said_to_be_unchanged_is_as_it_was(opener: Opener) {
    const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let mut random = fastrand::Rng::with_seed(seed());
    let database = open(opener).await;
    let engine = database.database();
    let mut earlier = Vec::new();
    for round in 0..40 {
        let tx = engine.begin().await.unwrap();
        let values = batch_get(&tx, &KEYS).await;
        let Some(version) = tx.version() else { return };
        earlier.push((version, values.clone()));
        for (version, values_then) in &earlier {
            for ((key, now), then) in KEYS.iter().zip(&values).zip(values_then) {
                let is_unchanged = tx.is_unchanged(key.as_bytes(), *version);
                assert!(!is_unchanged || now == then, "{key} was {then:?} and is {now:?}");
            }
        }
        let key = KEYS[random.usize(..KEYS.len())];
        if random.bool() {
            put(&tx, key, &round.to_string()).await;
        } else {
            delete(&tx, key).await;
        }
        assert!(!tx.is_unchanged(key.as_bytes(), version), "the transaction itself has written {key}");
        tx.commit().await.unwrap();
    }
}
