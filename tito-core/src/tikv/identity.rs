//! The row that says which database lies under the engine's prefix.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Core;
use super::transaction::TiKVTransaction;
use crate::engine::{DatabaseIdentity, Mutation, Mutations, Signals, TitoTransaction};
use crate::error::{Result, TitoError};
use crate::keys;

/// How often a database is asked again whose row another process may have written.
const LOOKS: u32 = 8;

/// What the database says of itself; one that says nothing yet is given an identity.
pub(super) async fn identify(core: &Arc<Core>) -> Result<DatabaseIdentity> {
    let mut looks = 0;
    loop {
        looks += 1;
        let tx = TiKVTransaction::begin(core, None).await?;
        if let Some(bytes) = tx.get(&keys::database_identity()).await? {
            return DatabaseIdentity::decode(&bytes);
        }
        let identity = DatabaseIdentity::new();
        // Past the limits that the application has set: this is the engine's own.
        let mutation = Mutation { value: Some(identity.encode()?), must_be_new: true };
        let writes = BTreeMap::from([(keys::database_identity(), mutation)]);
        match tx.commit(Mutations { writes, ..Mutations::default() }, Signals::default()).await {
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
