//! What a member sees of its fleet.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use foldhash::HashSet;
use futures::FutureExt;
use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;
use tito_core::row::StoredRow;
use tito_core::{Now, Result, Transaction};
use uuid::Uuid;

use crate::keys;

use super::Membership;
use super::member::MemberRow;
use super::sightings::is_of_a_dead_process;

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
        let reading = self
            .database
            .transaction(|tx| async move { Ok((tx.now(), all_of(&tx, keys::members(&self.fleet)).await?)) });
        let (now, rows) = self.call("reading the fleet", reading.boxed()).await?;
        let mut fleet = Fleet { live: BTreeMap::new(), long_dead: Vec::new() };
        let mut members = HashSet::default();
        for (key, value) in rows {
            let Some((_, id)) = keys::parse_member(&key) else { continue };
            members.insert(id);
            match MemberRow::decode(&key, &value) {
                Ok(row) if self.sees_live(id, &row, now) => _ = fleet.live.insert(id, row),
                Ok(row) if self.is_needless(id, &row, now) => fleet.long_dead.push(id),
                Ok(_) => {}
                Err(error) => self.database.log_damaged(&error, "a member counts as dead"),
            }
        }
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner).end_look(now, &members);
        Ok(fleet)
    }

    /// Whether a member lives, as far as can be seen.
    pub(super) fn sees_live(&self, id: Uuid, row: &MemberRow, now: Now) -> bool {
        let clock_millis = self.clock().monotonic_millis();
        let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        row.is_live_at_age(sightings.age_millis(id, row, now, clock_millis))
            && !is_of_a_dead_process(&self.database, id)
    }

    /// Whether the row of a dead member is of no use any more.
    fn is_needless(&self, id: Uuid, row: &MemberRow, now: Now) -> bool {
        row.is_long_dead(now.millis()) || is_of_a_dead_process(&self.database, id)
    }

    /// Removes the rows of members that died long ago.
    pub(super) async fn remove_long_dead(&self, fleet: &Fleet) -> Result<()> {
        if fleet.long_dead.is_empty() {
            return Ok(());
        }
        let dead = &fleet.long_dead[..fleet.long_dead.len().min(REMOVED_IN_A_ROUND)];
        let keys: &Vec<_> = &dead.iter().map(|id| keys::member(&self.fleet, *id)).collect();
        let removing = self.database.transaction(|tx| async move {
            for ((id, key), value) in dead.iter().zip(keys).zip(tx.batch_get(keys.clone()).await?) {
                // It may have come back meanwhile.
                let row = value.and_then(|value| MemberRow::decode(key, &value).ok());
                if row.is_some_and(|row| self.is_needless(*id, &row, tx.now())) {
                    tx.system_keys().delete(key.clone()).await?;
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
