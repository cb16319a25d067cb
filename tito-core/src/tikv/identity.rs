//! The row that says which database lies under the engine's prefix.

use super::TiKVBackend;
use crate::engine::{DatabaseIdentity, TitoEngine, TitoTransaction};
use crate::error::{Result, TitoError};
use crate::keys;

/// How often a database is asked again whose row another process may have written.
const LOOKS: u32 = 8;

/// What the database says of itself; one that says nothing yet is given an identity.
pub(super) async fn identify(engine: &TiKVBackend) -> Result<DatabaseIdentity> {
    let mut looks = 0;
    loop {
        looks += 1;
        let tx = engine.begin().await?;
        let stored = tx.get(&keys::database_identity()).await?;
        if let Some(bytes) = stored {
            tx.rollback().await;
            return DatabaseIdentity::decode(&bytes);
        }
        let identity = DatabaseIdentity::new();
        tx.insert_past_the_limits(keys::database_identity(), identity.encode()?)?;
        match tx.commit().await {
            Ok(_) => return Ok(identity),
            // Another process was quicker, or this one was and was not told.
            Err(
                TitoError::Conflict { .. }
                | TitoError::AlreadyExists { .. }
                | TitoError::CommitUnknown { .. }
                | TitoError::Unavailable { .. },
            ) if looks < LOOKS => {}
            Err(error) => return Err(error),
        }
    }
}
