//! Helpers for the facts. Keys and values here are text, and entries are `key=value`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests: a panic is how they fail")]

use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;
use tito_core::{Database, Result, Timestamp, TitoError, Transaction};

use super::{Opened, Opener};
use crate::settings::EngineSettings;

pub(super) async fn open(opener: Opener) -> Opened {
    opener.open(EngineSettings::default()).await.unwrap()
}

/// Commits entries, and returns the commit's timestamp.
pub(super) async fn store(engine: &Database, entries: &[(&str, &str)]) -> Timestamp {
    let tx = engine.begin().await.unwrap();
    for (key, value) in entries {
        put(&tx, key, value).await;
    }
    tx.commit().await.unwrap()
}

/// Commits a deletion.
pub(super) async fn remove(engine: &Database, key: &str) -> Timestamp {
    let tx = engine.begin().await.unwrap();
    delete(&tx, key).await;
    tx.commit().await.unwrap()
}

/// What a new transaction reads.
pub(super) async fn read(engine: &Database, key: &str) -> Option<String> {
    get(&engine.begin().await.unwrap(), key).await
}

pub(super) async fn get(tx: &Transaction, key: &str) -> Option<String> {
    tx.get(key.as_bytes()).await.unwrap().map(text)
}

pub(super) async fn batch_get(tx: &Transaction, keys: &[&str]) -> Vec<Option<String>> {
    let values = tx.batch_get(keys.iter().map(|key| bytes(key)).collect()).await.unwrap();
    values.into_iter().map(|value| value.map(text)).collect()
}

pub(super) async fn put(tx: &Transaction, key: &str, value: &str) {
    tx.put(bytes(key), bytes(value)).await.unwrap();
}

pub(super) async fn delete(tx: &Transaction, key: &str) {
    tx.delete(bytes(key)).await.unwrap();
}

/// The entries from `start` to `end`, ascending.
pub(super) async fn scan(tx: &Transaction, start: &str, end: &str, limit: usize) -> Vec<String> {
    entries(tx.scan(KeyRange::new(start, end), limit).await.unwrap())
}

/// The entries from `start` to `end`, descending.
pub(super) async fn scan_reverse(tx: &Transaction, start: &str, end: &str, limit: usize) -> Vec<String> {
    entries(tx.scan_reverse(KeyRange::new(start, end), limit).await.unwrap())
}

fn entries(entries: Vec<KeyValue>) -> Vec<String> {
    entries.into_iter().map(|(key, value)| format!("{}={}", text(key), text(value))).collect()
}

/// A number stored as text; 0 if there is none.
pub(super) async fn number(tx: &Transaction, key: &str) -> Result<i64> {
    let stored = tx.get(key.as_bytes()).await?;
    Ok(stored.map_or(0, |value| text(value).parse().unwrap()))
}

pub(super) async fn put_number(tx: &Transaction, key: &str, number: i64) -> Result<()> {
    tx.put(bytes(key), number.to_string().into_bytes()).await
}

/// Adds 1 to a number stored as text.
pub(super) async fn increment(tx: &Transaction, key: &str) -> Result<()> {
    let number = number(tx, key).await?;
    put_number(tx, key, number + 1).await
}

pub(super) fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
pub(super) fn assert_conflict<T: std::fmt::Debug>(result: Result<T>, expected: &str) {
    match result {
        Err(TitoError::Conflict { key }) => assert_eq!(key.as_bytes(), expected.as_bytes(), "the conflict's key"),
        other => panic!("expected a conflict on {expected:?}, found {other:?}"),
    }
}

#[track_caller]
pub(super) fn assert_exists<T: std::fmt::Debug>(result: Result<T>, expected: &str) {
    match result {
        Err(TitoError::AlreadyExists { key }) => assert_eq!(key.as_bytes(), expected.as_bytes(), "the existing key"),
        other => panic!("expected AlreadyExists of {expected:?}, found {other:?}"),
    }
}

#[track_caller]
pub(super) fn assert_ended<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(TitoError::TransactionEnded)), "expected TransactionEnded, found {result:?}");
}
