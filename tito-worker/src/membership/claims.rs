//! Taking partitions and giving them back, in transactions of a bounded size.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};

use crate::keys;

use super::Membership;
use super::holdings::HeldPartition;
use super::lease::{Lease, LeaseRow};
use super::member::MemberRow;

/// How many leases one transaction writes.
const STEP: usize = 100;

impl Membership {
    /// Claims those of the partitions of a queue that are free. Returns whether all were.
    pub(super) async fn claim(&self, queue: &Arc<str>, partitions: &[u16]) -> Result<bool> {
        let mut all_claimed = true;
        for step in partitions.chunks(STEP) {
            self.heartbeat_if_due().await?;
            let claiming = self.database.transaction(|tx| async move { self.claim_in(&tx, queue, step).await });
            let claimed = self.call("claiming partitions", claiming.boxed()).await?;
            all_claimed &= claimed.len() == step.len();
            // After a pause in between others may have claimed them already. The next round finds what is stored.
            if self.is_valid() {
                self.holdings.take(claimed);
            }
        }
        Ok(all_claimed)
    }

    async fn claim_in(&self, tx: &Transaction, queue: &Arc<str>, partitions: &[u16]) -> Result<Vec<HeldPartition>> {
        if !self.is_live_at(tx.now()) {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = partitions.iter().map(|partition| Lease::key(queue, *partition)).collect();
        let stored = tx.batch_get(keys.clone()).await?;
        let mut rows = Vec::with_capacity(keys.len());
        for (key, value) in keys.iter().zip(stored) {
            rows.push(match value.map(|value| LeaseRow::decode(key, &value)) {
                None => LeaseRow::free(0),
                Some(Ok(row)) => row,
                // Since its epoch is not known, the new one is larger than any count of claims.
                Some(Err(error)) => {
                    self.database.log_damaged(&error, "a lease that can't be read counts as free");
                    LeaseRow::free(tx.start_timestamp().raw())
                }
            });
        }
        let owners = self.others_among(tx, &rows).await?;
        let mut claimed = Vec::new();
        for ((partition, key), row) in partitions.iter().zip(keys).zip(rows) {
            let owner = row.owner_key();
            if owner.as_ref().and_then(|owner| owners.get(owner)) == Some(&true) {
                continue;
            }
            let epoch = row.epoch.checked_add(1).unwrap_or(tx.start_timestamp().raw());
            let row = LeaseRow { member: Some(self.id), fleet: Some(self.fleet.clone()), epoch, ..row };
            tx.system_keys().put(key, row.encode()?).await?;
            let lease = Lease { member: self.id, epoch };
            claimed.push(HeldPartition { queue: queue.clone(), partition: *partition, lease });
        }
        // A heartbeat that comes back at this moment is a conflict: of it and the claim one happens first.
        let dead = owners.into_iter().filter(|(_, is_live)| !is_live).map(|(key, _)| key).collect::<Vec<_>>();
        if !dead.is_empty() {
            tx.lock_keys(dead).await?;
        }
        Ok(claimed)
    }

    /// The rows of the other members that own these leases, by key, and whether they live.
    async fn others_among(&self, tx: &Transaction, rows: &[LeaseRow]) -> Result<BTreeMap<Vec<u8>, bool>> {
        let others = rows.iter().filter(|row| row.member != Some(self.id)).filter_map(LeaseRow::owner_key);
        let mut owners: BTreeMap<_, _> = others.map(|key| (key, false)).collect();
        let stored = tx.batch_get(owners.keys().cloned().collect()).await?;
        for ((key, is_live), value) in owners.iter_mut().zip(stored) {
            *is_live = value.is_some_and(|value| match MemberRow::decode(key, &value) {
                Ok(row) => keys::parse_member(key).is_some_and(|(_, id)| self.sees_live(id, &row, tx.now())),
                Err(error) => {
                    self.database.log_damaged(&error, "a member counts as dead");
                    false
                }
            });
        }
        Ok(owners)
    }

    /// Gives back the leases of all partitions that have stopped here.
    pub(super) async fn give_back_free(&self) -> Result<()> {
        self.give_back(&self.holdings.free()).await
    }

    /// Gives back these leases, as far as they are still this member's.
    pub(super) async fn give_back(&self, leases: &[HeldPartition]) -> Result<()> {
        for step in leases.chunks(STEP) {
            let giving = self.database.transaction(|tx| async move { self.give_back_in(&tx, step).await });
            self.call("giving back partitions", giving.boxed()).await?;
            self.holdings.forget(step);
        }
        Ok(())
    }

    async fn give_back_in(&self, tx: &Transaction, leases: &[HeldPartition]) -> Result<()> {
        let keys: Vec<_> = leases.iter().map(|held| Lease::key(&held.queue, held.partition)).collect();
        let stored = tx.batch_get(keys.clone()).await?;
        for ((held, key), value) in leases.iter().zip(keys).zip(stored) {
            let row = value.and_then(|value| LeaseRow::decode(&key, &value).ok());
            if let Some(row) = row.filter(|row| row.is(&held.lease)) {
                tx.system_keys().put(key, row.given_back().encode()?).await?;
                self.ring(tx);
            }
        }
        Ok(())
    }
}
