//! Workers, a page at a time.

use std::collections::BTreeMap;

use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;
use tito_core::row::StoredRow;
use tito_core::{Now, Result, Transaction};
use uuid::Uuid;

use super::Living;
use super::list::WorkerInfo;
use super::row::WorkerRow;
use crate::keys;
use crate::membership::member_of_a_fleet;
use crate::queue::TitoQueue;

/// A worker's place where workers are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerPlace {
    /// By its id.
    Registered(Uuid),
    /// Behind all of those, by the fleet and the id: a member of a release that does not register.
    Member {
        /// The name of its fleet.
        fleet: String,
        /// Its id.
        id: Uuid,
    },
}

/// Some of the [workers](TitoQueue::workers).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerPage {
    /// They, each with its place.
    pub workers: Vec<(WorkerPlace, WorkerInfo)>,
    /// After which place to go on; `None` at the end. There can be more behind a page that has few workers, or none.
    pub next: Option<WorkerPlace>,
}

impl TitoQueue {
    /// Up to `limit` of the [workers](TitoQueue::workers), 1 at least, by their ids, and then fleet members whose release
    /// does not register, after a place.
    ///
    /// Reads at most as many rows of workers and as many of members, and looks up which of these are registered.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn page_of_workers(&self, limit: usize, after: Option<&WorkerPlace>) -> Result<WorkerPage> {
        let limit = limit.max(1);
        let registered = match after {
            None => self.page_of_registered(limit, None).await?,
            Some(WorkerPlace::Registered(id)) => self.page_of_registered(limit, Some(*id)).await?,
            Some(WorkerPlace::Member { .. }) => Vec::new(),
        };
        let left = limit - registered.len();
        let mut workers: Vec<_> = registered.into_iter().map(|one| (WorkerPlace::Registered(one.id), one)).collect();
        if left == 0 {
            return Ok(WorkerPage { next: workers.last().map(|(place, _)| place.clone()), workers });
        }
        let all = keys::all_members();
        let range = match after {
            Some(WorkerPlace::Member { fleet, id }) => all.after(&keys::member(fleet, *id)),
            _ => all,
        };
        let (others, next) = self.page_of_others(range, left).await?;
        workers.extend(others);
        Ok(WorkerPage { workers, next })
    }

    /// Those that are registered, by their ids.
    async fn page_of_registered(&self, limit: usize, after: Option<Uuid>) -> Result<Vec<WorkerInfo>> {
        let all = keys::registered_workers();
        let range = after.map_or(all.clone(), |id| all.after(&keys::registered_worker(id)));
        let read = |(key, value): &KeyValue, now: Now| {
            let id = keys::parse_registered_worker(key)?;
            match WorkerRow::decode(key, value) {
                Ok(row) => Some(WorkerInfo::of_row(id, row, now.millis())),
                Err(error) => {
                    self.engine.log_damaged(&error, "a worker can't be read, and is left out");
                    None
                }
            }
        };
        let rows = self.first_of(range, limit, read).await?;
        let now = self.engine.now().await?.millis();
        let mut workers: BTreeMap<_, _> = rows.into_iter().map(|worker| (worker.id, worker)).collect();
        // More is known of those of this process, which may have no rows.
        let living = Living::of(&self.engine);
        let living = living.locked();
        let living = living.iter().filter(|(id, _)| after.is_none_or(|after| **id > after)).take(limit);
        workers.extend(living.map(|(id, worker)| (*id, WorkerInfo::of_row(*id, worker.row(now), now))));
        Ok(workers.into_values().take(limit).collect())
    }

    /// Of so many members those that are not registered, and where to go on.
    async fn page_of_others(
        &self,
        range: KeyRange,
        limit: usize,
    ) -> Result<(Vec<(WorkerPlace, WorkerInfo)>, Option<WorkerPlace>)> {
        let range = &range;
        let reading = |tx: Transaction| async move {
            let rows = tx.scan(range.clone(), limit).await?;
            let ids: Vec<_> = rows.iter().map(|(key, _)| keys::parse_member(key).map(|(_, id)| id)).collect();
            let registered = ids.iter().flatten().map(|id| keys::registered_worker(*id)).collect();
            let registered = tx.batch_get(registered).await?;
            Ok((tx.now(), rows, ids, registered))
        };
        let (now, rows, ids, registered) = self.engine.transaction(reading).await?;
        let next = rows.last().filter(|_| rows.len() == limit).and_then(|(key, _)| keys::parse_member(key));
        let next = next.map(|(fleet, id)| WorkerPlace::Member { fleet, id });
        let living = Living::of(&self.engine);
        let living = living.locked();
        // One that a registered worker is has been listed as such.
        let registered =
            ids.iter().flatten().zip(registered).filter(|(id, row)| row.is_some() || living.contains_key(id));
        let registered: Vec<Uuid> = registered.map(|(id, _)| *id).collect();
        let others = rows.iter().filter_map(|row| member_of_a_fleet(&self.engine, row, now));
        let others = others.filter(|(_, member)| !registered.contains(&member.id));
        let placed = |(fleet, member)| {
            let worker = WorkerInfo::of_member(fleet, member);
            let place = WorkerPlace::Member { fleet: worker.fleet.clone().unwrap_or_default(), id: worker.id };
            (place, worker)
        };
        Ok((others.map(placed).collect(), next))
    }
}
