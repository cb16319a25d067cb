//! Who owns a partition, for those who ask why its events are not handled.

use tito_core::database::{PageSize, Walk};
use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use super::lease::LeaseRow;
use super::list::live_members;
use crate::keys;

/// Who owns a partition.
#[derive(Debug, Default)]
pub(crate) struct PartitionOwner {
    /// Whether live members of a fleet that has leases of the queue serve it.
    pub(crate) is_served: bool,
    /// The owner by the lease.
    pub(crate) owner: Option<Uuid>,
    /// Whether the owner is one of these.
    pub(crate) is_live: bool,
}

/// Reads the lease of a partition, or else the first one of its queue, and the members of its fleet.
pub(crate) async fn partition_owner(tx: &Transaction, queue: &str, partition: u16) -> Result<PartitionOwner> {
    let of_partition = tx.get(&keys::lease(queue, partition)).await?;
    let lease = of_partition.and_then(|value| LeaseRow::decode(b"", &value).ok());
    let owner = lease.as_ref().and_then(|lease| lease.member);
    let fleet = match lease.and_then(|lease| lease.fleet) {
        Some(fleet) => Some(fleet),
        // Given back, or never claimed: others of the queue may be.
        None => first_fleet(tx, queue).await?,
    };
    let Some(fleet) = fleet else { return Ok(PartitionOwner { owner, ..PartitionOwner::default() }) };
    let live = live_members(tx, &fleet).await?;
    let serving: Vec<Uuid> = live.into_iter().filter(|(_, row)| row.queues.contains(queue)).map(|(id, _)| id).collect();
    let is_live = owner.is_some_and(|owner| serving.contains(&owner));
    Ok(PartitionOwner { is_served: !serving.is_empty(), owner, is_live })
}

async fn first_fleet(tx: &Transaction, queue: &str) -> Result<Option<String>> {
    const PAGE: usize = 100;
    let mut walk = Walk::over(keys::leases(queue)).in_pages(PageSize::entries(PAGE));
    while let Some(page) = walk.next_in(tx).await? {
        let fleet = page.iter().find_map(|(key, value)| LeaseRow::decode(key, value).ok()?.fleet);
        if fleet.is_some() {
            return Ok(fleet);
        }
    }
    Ok(None)
}
