//! One step of a store that was deleted.

use serde::{Deserialize, Serialize};
use tito_core::database::{PageSize, Walk};
use tito_core::row;
use tito_core::{Database, Result as CoreResult, Timestamp};

use super::{STEP, STEP_BYTES};
use crate::error::Result;
use crate::keys;

/// That a store was deleted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Dropped {
    /// The start of the transaction that deleted it.
    at: Timestamp,
}

impl Dropped {
    pub(crate) fn at(at: Timestamp) -> Self {
        Self { at }
    }

    pub(crate) fn encode(&self) -> CoreResult<Vec<u8>> {
        row::encode("a deleted event store", self)
    }
}

/// Deletes what is left of a store.
pub(super) async fn remove(database: &Database, store: u64) -> Result<()> {
    while step(database, store).await? {}
    Ok(())
}

/// Deletes some, and tells whether there may be more.
async fn step(database: &Database, store: u64) -> Result<bool> {
    let oldest_writer = database.max_transaction_age_millis();
    let deleted = database.transaction(|tx| async move {
        let key = keys::dropped_log(store);
        let Some(value) = tx.get(&key).await? else { return Ok(false) };
        let dropped: Dropped = row::decode(&key, "a deleted event store", &value)?;
        let size = PageSize::entries(STEP).and_bytes(STEP_BYTES);
        let mut walk = Walk::over(keys::log(store)).in_pages(size);
        let page = walk.next_in(&tx).await?.unwrap_or_default();
        let is_more = !walk.is_over();
        if page.is_empty() && tx.start_timestamp().millis_since(dropped.at) > 2 * oldest_writer {
            // The deletion committed within one such age of its start, and what began before that has ended within
            // another, so nothing can be written there any more.
            tx.system_keys().delete(key).await?;
        }
        for (key, _) in page {
            tx.system_keys().delete(key).await?;
        }
        Ok(is_more)
    });
    Ok(deleted.await?)
}
