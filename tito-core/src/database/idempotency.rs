//! Markers of transactions that must happen at most once.

use serde::{Deserialize, Serialize};

use super::handle::Database;
use super::transaction::Transaction;
use super::walk::walk_in_steps;
use crate::error::{Result, TitoError};
use crate::keys;
use crate::row;
use crate::timestamp::Timestamp;

/// What is stored under `txn:{key}`.
#[derive(Serialize, Deserialize)]
struct MarkerValue {
    /// The start timestamp of the transaction that wrote the marker; unique, so it names the transaction.
    started: Timestamp,
}

/// The marker that one attempt of a transaction wrote.
pub(super) struct Marker {
    key: Vec<u8>,
    started: Timestamp,
}

impl Marker {
    pub(super) async fn write(tx: &Transaction, idempotency_key: &str) -> Result<Self> {
        let key = keys::idempotency_marker(idempotency_key);
        if tx.get(&key).await?.is_some() {
            tx.rollback().await;
            return Err(TitoError::AlreadyApplied { key: idempotency_key.to_string() });
        }
        let started = tx.start_timestamp();
        tx.put(key.clone(), encode(&MarkerValue { started })).await?;
        Ok(Self { key, started })
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

/// Removes the idempotency markers of transactions that began before `before`, at most 200 in a transaction, and returns
/// how many it removed. After that, calls with these keys would take effect again.
///
/// # Errors
/// Those of the engine; what was removed by then stays removed.
pub async fn prune_idempotency_markers(database: &Database, before: Timestamp) -> Result<u64> {
    walk_in_steps(database, keys::idempotency_markers(), move |tx: Transaction, page| async move {
        let mut removed = 0;
        for (key, value) in page {
            if decode(&key, &value)?.started < before {
                tx.delete(key).await?;
                removed += 1;
            }
        }
        Ok(removed)
    })
    .await
}

fn encode(value: &MarkerValue) -> Vec<u8> {
    format!("{{\"started\":{}}}", value.started.raw()).into_bytes()
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<MarkerValue> {
    row::decode(key, "the marker of an idempotency key", bytes)
}
