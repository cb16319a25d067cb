//! Who owns a partition, for those who ask why its events are not handled.

use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use super::lease::LeaseRow;
use crate::keys;

/// The member that owns a partition by its lease, be it dead; none if it was given back or never claimed, or can't be
/// read.
pub(crate) async fn lease_owner(tx: &Transaction, queue: &str, partition: u16) -> Result<Option<Uuid>> {
    let lease = tx.get(&keys::lease(queue, partition)).await?;
    Ok(lease.and_then(|value| LeaseRow::decode(b"", &value).ok()?.member))
}
