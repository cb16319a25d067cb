//! Deletes the rows of what belonged to somebody and is gone.

use tito_core::database::{PageSize, Walk};
use tito_core::{Database, Result, TitoError, TxOptions};

use super::belongings::{Found, belongings};
use crate::keys;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Deletes the ownership rows of things that are gone (done, cancelled or purged) and returns how many there were.
    /// Works in transactions of at most 200 keys; if one conflicts with another transaction, the rest is left to the
    /// next sweep.
    ///
    /// A running [`Worker`](crate::Worker) does this by itself, in rounds of about 30 s. It is for programs without one.
    ///
    /// # Errors
    /// Those of the engine; what was deleted by then stays deleted.
    pub async fn sweep_owned(&self) -> Result<u64> {
        let mut walk = Walk::over(keys::all_owned());
        let mut total = 0;
        while !walk.is_over() {
            total += sweep_owned(&self.engine, &mut walk).await?;
        }
        Ok(total)
    }
}

/// One transaction, and how many rows it deleted. The walk is at its end where another transaction was in the way.
pub(crate) async fn sweep_owned(database: &Database, walk: &mut Walk) -> Result<u64> {
    let from = walk.clone().in_pages(PageSize::within(database.limits()));
    let step = database.transaction_with(TxOptions::default().max_attempts(1), |tx| async move {
        let mut walk = from;
        let rows = walk.next_in(&tx).await?.unwrap_or_default().into_iter().map(|(row, _)| row).collect();
        let mut deleted = 0;
        for belonging in belongings(&tx, rows, usize::MAX).await? {
            match belonging.found {
                Ok(Found::Gone) => {
                    tx.system_keys().delete(belonging.row).await?;
                    deleted += 1;
                }
                Ok(_) => {}
                Err(error) => database.log_damaged(&error, "left as it is"),
            }
        }
        Ok((deleted, walk))
    });
    match Box::pin(step).await {
        Ok((deleted, rest)) => {
            *walk = rest;
            Ok(deleted)
        }
        Err(TitoError::RetriesExhausted { .. }) => {
            walk.skip_to(keys::all_owned().end.unwrap_or_default());
            Ok(0)
        }
        Err(error) => Err(error),
    }
}
