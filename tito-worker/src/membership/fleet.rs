//! What a member sees of its fleet.

use std::collections::BTreeMap;

use futures::FutureExt;
use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::keys::{self, KeyRange};
use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use super::Membership;
use super::member::MemberRow;

/// How many rows are read at once.
const PAGE: usize = 1_000;

/// How many rows of dead members one round removes.
const REMOVED_IN_A_ROUND: usize = 100;

/// The members of a fleet that live.
pub(super) struct Fleet {
    live: BTreeMap<Uuid, MemberRow>,
    long_dead: Vec<Uuid>,
}

impl Fleet {
    pub(super) fn is_live(&self, member: Uuid) -> bool {
        self.live.contains_key(&member)
    }

    /// The live members that serve a queue.
    pub(super) fn serving(&self, queue: &str) -> Vec<Uuid> {
        self.live.iter().filter(|(_, row)| row.queues.contains(queue)).map(|(id, _)| *id).collect()
    }
}

impl Membership {
    pub(super) async fn read_fleet(&self) -> Result<Fleet> {
        let reading = self.engine.transaction(|tx| async move {
            Ok((tx.start_timestamp().physical_millis(), all_of(&tx, keys::members(&self.fleet)).await?))
        });
        let (now, rows) = self.call("reading the fleet", reading.boxed()).await?;
        let mut fleet = Fleet { live: BTreeMap::new(), long_dead: Vec::new() };
        for (key, value) in rows {
            let Some((_, id)) = keys::parse_member(&key) else { continue };
            match MemberRow::decode(&key, &value) {
                Ok(row) if row.is_live(now) => _ = fleet.live.insert(id, row),
                Ok(row) if row.is_long_dead(now) => fleet.long_dead.push(id),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a member counts as dead"),
            }
        }
        Ok(fleet)
    }

    /// Removes the rows of members that died long ago.
    pub(super) async fn remove_long_dead(&self, fleet: &Fleet) -> Result<()> {
        if fleet.long_dead.is_empty() {
            return Ok(());
        }
        let dead = fleet.long_dead.iter().take(REMOVED_IN_A_ROUND);
        let keys: Vec<_> = dead.map(|id| keys::member(&self.fleet, *id)).collect();
        let removing = self.engine.transaction(|tx| async move {
            let now = tx.start_timestamp().physical_millis();
            for (key, value) in keys.iter().zip(tx.batch_get(keys.clone()).await?) {
                // It may have come back meanwhile.
                let row = value.and_then(|value| MemberRow::decode(key, &value).ok());
                if row.is_some_and(|row| row.is_long_dead(now)) {
                    tx.delete(key.clone()).await?;
                }
            }
            Ok(())
        });
        self.call("removing dead members", removing.boxed()).await
    }
}

/// Everything in a range, read in pages.
pub(super) async fn all_of(tx: &Transaction, range: KeyRange) -> Result<Vec<KeyValue>> {
    Walk::over(range).in_pages(PageSize::entries(PAGE)).rest_in(tx).await
}
