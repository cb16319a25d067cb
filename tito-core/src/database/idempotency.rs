//! Markers of transactions that must happen at most once.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::handle::Database;
use super::transaction::Transaction;
use super::walk::{Walk, walk_in_steps};
use crate::error::{Result, TitoError};
use crate::keys;
use crate::row;
use crate::timestamp::Timestamp;

/// What is stored under `txn:{key}`.
#[derive(Serialize, Deserialize)]
struct MarkerValue {
    /// The start timestamp of the transaction that wrote the marker; unique, so it names the transaction.
    started: Timestamp,
    /// Until when it is kept, in Unix milliseconds; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    /// What the transaction kept of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
}

/// The marker that one attempt of a transaction wrote.
#[derive(Clone)]
pub(super) struct Marker {
    key: Vec<u8>,
    started: Timestamp,
    until: Option<u64>,
}

impl Marker {
    pub(super) async fn write(tx: &Transaction, idempotency_key: &str, age: Option<Duration>) -> Result<Self> {
        let key = keys::idempotency_marker(idempotency_key);
        if let Some(stored) = tx.get(&key).await? {
            tx.rollback().await;
            let result = decode(&key, &stored)?.result.map(|result| Box::<str>::from(result).into_string());
            return Err(TitoError::AlreadyApplied { key: idempotency_key.to_string(), result });
        }
        let started = tx.start_timestamp();
        let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let until = age.map(|age| tx.now().millis().saturating_add(millis(age)));
        let marker = Self { key, started, until };
        marker.put(tx, None).await?;
        Ok(marker)
    }

    /// Rewrites the marker with the part of the transaction's result that is kept.
    pub(super) async fn put(&self, tx: &Transaction, result: Option<Box<RawValue>>) -> Result<()> {
        let Self { key, started, until } = self.clone();
        let value = MarkerValue { started, until, result };
        tx.system_keys().put(key, row::encode("the marker of an idempotency key", &value)?).await
    }

    /// Whether the transaction that wrote this marker was committed. Reading the key settles it on every engine: a
    /// commit that is still under way is either waited for or shut out.
    pub(super) async fn was_committed(&self, database: &Database) -> Result<bool> {
        let tx = database.begin().await?;
        let stored = tx.get(&self.key).await?;
        tx.rollback().await;
        stored.map_or(Ok(false), |bytes| Ok(decode(&self.key, &bytes)?.started == self.started))
    }
}

/// Removes the idempotency markers of transactions that began before `before`, at most 200 per transaction, and returns
/// how many it removed. After that, calls with these keys take effect again. A marker that can't be read is logged and
/// stays.
///
/// # Errors
/// Those of the engine; what has been removed by then stays removed.
pub async fn prune_idempotency_markers(database: &Database, before: Timestamp) -> Result<u64> {
    walk_in_steps(database, keys::idempotency_markers(), move |tx: Transaction, page| async move {
        let mut removed = 0;
        for (key, value) in page {
            match decode(&key, &value) {
                Ok(marker) if marker.started < before => {
                    tx.system_keys().delete(key).await?;
                    removed += 1;
                }
                Ok(_) => {}
                Err(error) => tx.database().log_damaged(&error, LEFT),
            }
        }
        Ok(removed)
    })
    .await
}

/// Looks at the next markers of `walk`, removes those past their [age](crate::TxOptions::idempotency_age), at most 200
/// per transaction, and returns how many it removed. Begin with `Walk::over(keys::idempotency_markers())` and call it
/// until the walk ends. A running worker does this by itself, slowly.
///
/// # Errors
/// Those of the engine; the walk then stays where it was.
pub async fn drop_expired_markers(database: &Database, walk: &mut Walk) -> Result<u64> {
    let from = walk.clone();
    let step = |tx: Transaction| async move {
        let (mut walk, mut removed) = (from, 0);
        let now = tx.now().millis();
        for (key, value) in walk.next_in(&tx).await?.unwrap_or_default() {
            match decode(&key, &value) {
                Ok(MarkerValue { until: Some(until), .. }) if until <= now => {
                    tx.system_keys().delete(key).await?;
                    removed += 1;
                }
                Ok(_) => {}
                Err(error) => tx.database().log_damaged(&error, LEFT),
            }
        }
        Ok((walk, removed))
    };
    let (rest, removed) = database.transaction(step).await?;
    *walk = rest;
    Ok(removed)
}

/// What becomes of a marker that can't be read.
const LEFT: &str = "left as it is";

fn decode(key: &[u8], bytes: &[u8]) -> Result<MarkerValue> {
    row::decode(key, "the marker of an idempotency key", bytes)
}
