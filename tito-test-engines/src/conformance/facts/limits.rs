//! How large keys, values and transactions may be, and how old a transaction may get.

use std::time::Duration;

use tito_core::engine::Limits;
use tito_core::{Result, TitoError};

use crate::clock::TestClock;
use crate::conformance::support::*;
use crate::conformance::{Opened, Opener};
use crate::settings::EngineSettings;

const LIMITS: Limits = Limits { key_bytes: 8, value_bytes: 16, transaction_keys: 3, transaction_bytes: 40 };

async fn open_with_limits(opener: Opener) -> Opened {
    opener.open(EngineSettings::default().limits(LIMITS)).await.unwrap()
}

#[track_caller]
fn assert_exceeded(result: Result<()>, expected_size: usize, expected_limit: usize, expected_key: &[u8]) {
    match result {
        Err(TitoError::LimitExceeded { size, limit, key, .. }) => {
            assert_eq!((size, limit, key.as_bytes()), (expected_size, expected_limit, expected_key));
        }
        other => panic!("expected LimitExceeded, found {other:?}"),
    }
}

pub async fn the_engine_tells_its_limits(opener: Opener) {
    let settings = EngineSettings::default().limits(LIMITS).max_transaction_age(Duration::from_millis(1234));
    let database = opener.open(settings).await.unwrap();
    assert_eq!(database.database().limits(), &LIMITS);
    assert_eq!(database.database().max_transaction_age_millis(), 1234);
}

pub async fn a_key_over_the_limit_is_refused(opener: Opener) {
    let database = open_with_limits(opener).await;
    let engine = database.database();
    let long = b"123456789".to_vec();
    let tx = engine.begin().await.unwrap();
    assert_exceeded(tx.put(long.clone(), vec![]).await, 9, 8, &long);
    assert_exceeded(tx.insert(long.clone(), vec![]).await, 9, 8, &long);
    assert_exceeded(tx.delete(long.clone()).await, 9, 8, &long);
    assert_exceeded(tx.lock_keys(vec![long.clone()]).await, 9, 8, &long);
    drop(tx);
    store(&engine, &[("12345678", "at the limit")]).await;
    assert_eq!(read(&engine, "12345678").await.as_deref(), Some("at the limit"));
}

pub async fn a_value_over_the_limit_is_refused(opener: Opener) {
    let database = open_with_limits(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    assert_exceeded(tx.put(bytes("a"), vec![b'x'; 17]).await, 17, 16, b"a");
    assert_exceeded(tx.insert(bytes("b"), vec![b'x'; 17]).await, 17, 16, b"b");
    drop(tx);
    store(&engine, &[("a", "sixteen letters.")]).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("sixteen letters."));
}

pub async fn a_transaction_of_too_many_keys_is_refused(opener: Opener) {
    let database = open_with_limits(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "1").await;
    delete(&tx, "b").await;
    tx.lock_keys(vec![bytes("c")]).await.unwrap();
    put(&tx, "a", "2").await;
    assert_exceeded(tx.put(bytes("d"), bytes("1")).await, 4, 3, b"d");
    drop(tx);
    let tx = engine.begin().await.unwrap();
    let four = ["a", "b", "c", "d"].map(bytes).to_vec();
    assert_exceeded(tx.lock_keys(four).await, 4, 3, b"d");
    drop(tx);
    store(&engine, &[("a", "1"), ("b", "1"), ("c", "1")]).await;
    assert_eq!(read(&engine, "c").await.as_deref(), Some("1"));
}

pub async fn a_transaction_of_too_many_bytes_is_refused(opener: Opener) {
    let database = open_with_limits(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    // Two times 1 + 16 bytes is 34.
    put(&tx, "a", "sixteen letters.").await;
    put(&tx, "b", "sixteen letters.").await;
    assert_exceeded(tx.put(bytes("c"), vec![b'x'; 6]).await, 41, 40, b"c");
    drop(tx);
    store(&engine, &[("a", "sixteen letters."), ("b", "sixteen letters."), ("c", "five.")]).await;
    assert_eq!(read(&engine, "c").await.as_deref(), Some("five."));
}

const MAX_AGE: Duration = Duration::from_secs(5);

/// A transaction that commits a write at this age.
async fn commit_at_age(opener: Opener, age: Duration) -> (Opened, Result<()>) {
    let clock = TestClock::new();
    let settings = EngineSettings::default().test_clock(&clock).max_transaction_age(MAX_AGE);
    let database = opener.open(settings).await.unwrap();
    let tx = database.database().begin().await.unwrap();
    put(&tx, "a", "1").await;
    clock.advance(age);
    let outcome = tx.commit().await.map(|_| ());
    (database, outcome)
}

pub async fn a_transaction_over_the_age_limit_is_refused(opener: Opener) {
    let (database, outcome) = commit_at_age(opener, MAX_AGE + Duration::from_millis(1)).await;
    match outcome {
        Err(TitoError::TransactionTooOld { age_millis, limit_millis }) => {
            assert_eq!((age_millis, limit_millis), (5001, 5000));
        }
        other => panic!("expected TransactionTooOld, found {other:?}"),
    }
    let engine = database.database();
    assert_eq!(read(&engine, "a").await, None);
    store(&engine, &[("a", "2")]).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("2"));
}

pub async fn a_transaction_below_the_age_limit_commits(opener: Opener) {
    let (database, outcome) = commit_at_age(opener, MAX_AGE - Duration::from_millis(1)).await;
    outcome.unwrap();
    assert_eq!(read(&database.database(), "a").await.as_deref(), Some("1"));
}
