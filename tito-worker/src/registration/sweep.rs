//! Rows of workers that have died are deleted after a while.

use tito_core::database::Walk;
use tito_core::row::StoredRow;
use tito_core::{Database, Result, TitoError, Transaction, TxOptions};

use super::row::WorkerRow;
use crate::activity::MINUTES_KEPT;
use crate::keys;

/// How many rows one sweep deletes: the next one goes on.
const DELETED_AT_ONCE: usize = 100;

/// Deletes rows of workers that have died five minutes ago or more, and what these were told. Reads the rows of all
/// workers, and returns how many are gone, up to 100. Where it meets another sweep it leaves the rest to that.
pub(crate) async fn sweep_registrations(database: &Database) -> Result<usize> {
    let reading = |tx: Transaction| async move {
        let workers = Walk::over(keys::registered_workers()).rest_in(&tx).await?;
        let minute = (tx.now().millis() / 60_000).saturating_sub(MINUTES_KEPT);
        let outdated = tx.scan(keys::activity_between(0, minute), DELETED_AT_ONCE).await?;
        Ok((tx.now().millis(), workers, Walk::over(keys::retirements()).rest_in(&tx).await?, outdated))
    };
    let (now, workers, retirements, outdated) = database.transaction(reading).await?;
    let is_dead = |key: &[u8], value: &[u8], now: u64| match WorkerRow::decode(key, value) {
        Ok(row) => row.is_long_dead(now),
        Err(error) => {
            database.log_damaged(&error, "left as it is");
            false
        }
    };
    let mut gone: Vec<_> =
        workers.iter().filter(|(key, value)| is_dead(key, value, now)).map(|(key, _)| key.clone()).collect();
    // What was told to one that has ended since.
    let told = retirements.into_iter().filter_map(|(key, _)| {
        let worker = keys::registered_worker(keys::parse_retirement(&key)?);
        (!workers.iter().any(|(key, _)| *key == worker)).then_some(key)
    });
    gone.extend(told);
    gone.extend(outdated.into_iter().map(|(key, _)| key));
    gone.truncate(DELETED_AT_ONCE);
    if gone.is_empty() {
        return Ok(0);
    }
    let gone = &gone;
    let deleting = |tx: Transaction| async move {
        let mut deleted = 0;
        for (key, value) in gone.iter().zip(tx.batch_get(gone.clone()).await?) {
            let Some(value) = value else { continue };
            let is_worker = keys::parse_registered_worker(key).is_some();
            if !is_worker || is_dead(key, &value, tx.now().millis()) {
                tx.system_keys().delete(key.clone()).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    };
    match database.transaction_with(TxOptions::default().max_attempts(1), deleting).await {
        Err(TitoError::RetriesExhausted { .. }) => Ok(0),
        swept => swept,
    }
}
