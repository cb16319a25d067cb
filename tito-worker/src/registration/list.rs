//! Workers and fleets, as others see them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::database::Walk;
use tito_core::event::check_queue_name;
use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use super::row::WorkerRow;
use super::running::RunningHandler;
use super::{Living, Registration};
use crate::keys;
use crate::membership::{MemberInfo, members_of_all_fleets};
use crate::partitions::PartitionConfig;
use crate::policy::LimitedBy;
use crate::queue::TitoQueue;
use crate::time::{as_millis, time_of_millis};

/// A worker that is running, or has recently died without notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its id, a new one for each start. A fleet member's is its id as a member.
    pub id: Uuid,
    /// What its operator calls it: [`WorkerBuilder::member_name`](crate::WorkerBuilder::member_name).
    pub name: Option<String>,
    /// The version of its application: [`WorkerBuilder::application_version`](crate::WorkerBuilder::application_version).
    pub version: Option<String>,
    /// The machine that it runs on: [`WorkerBuilder::host_name`](crate::WorkerBuilder::host_name).
    pub host: Option<String>,
    /// The id of its process there.
    pub process_id: Option<u32>,
    /// When it began.
    #[serde(rename = "started_millis", with = "chrono::serde::ts_milliseconds")]
    pub started_at: DateTime<Utc>,
    /// How long ago its last heartbeat was. 0 for a worker of this process.
    #[serde(rename = "heartbeat_age_millis", serialize_with = "as_millis")]
    pub heartbeat_age: Duration,
    /// How long after that it counts as live.
    #[serde(rename = "lease_millis", serialize_with = "as_millis")]
    pub lease: Duration,
    /// Whether it counts as live.
    pub live: bool,
    /// Whether it knows that it was told to leave ([`TitoQueue::retire`]).
    pub retiring: bool,
    /// The fleet that it is a member of.
    pub fleet: Option<String>,
    /// The share of partitions that it was told, where it is not a member of a fleet.
    pub share: Option<PartitionConfig>,
    /// The latest version of payloads that it knows, of each queue that it serves as a [typed topic](crate::TitoJob). An
    /// event of a later one waits for another worker.
    pub known_versions: BTreeMap<String, u32>,
    /// The queues that it serves.
    pub queues: BTreeSet<String>,
    /// How many events its handlers are working on, by queue.
    pub in_flight: BTreeMap<String, u64>,
    /// The queues for which a limit currently keeps it from handing out more events, and which limit: its rate, or how
    /// many handlers run at once.
    pub limited: BTreeMap<String, LimitedBy>,
    /// Its 20 longest-running handlers, longest first.
    pub running: Vec<RunningHandler>,
}

/// A fleet: workers that share out the partitions of their queues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FleetInfo {
    /// Its name.
    pub name: String,
    /// How many of its members are live.
    pub live: usize,
    /// How many have died without notice, and not been removed yet.
    pub dead: usize,
    /// What its live members serve.
    pub queues: BTreeSet<String>,
}

/// An event that a handler has in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InHand {
    /// The worker.
    pub worker: Uuid,
    /// Whether the worker counts as live. A dead one no longer has anything in hand.
    pub is_live: bool,
    /// What is known of the handler.
    pub handler: RunningHandler,
}

/// The latest version of a queue's payloads that one of these workers knows, if all of them say which they know.
pub(crate) fn known_version<'a>(workers: impl IntoIterator<Item = &'a WorkerInfo>, queue: &str) -> Option<u32> {
    let known = workers.into_iter().map(|worker| worker.known_versions.get(queue).copied());
    known.collect::<Option<Vec<_>>>()?.into_iter().max()
}

impl WorkerInfo {
    pub(super) fn of_row(id: Uuid, row: WorkerRow, now_millis: u64) -> Self {
        let live = row.is_live(now_millis);
        Self {
            id,
            live,
            name: row.name,
            version: row.version,
            host: row.host,
            process_id: row.process_id,
            started_at: time_of_millis(row.started),
            heartbeat_age: Duration::from_millis(now_millis.saturating_sub(row.heartbeat)),
            lease: Duration::from_millis(row.lease_millis),
            retiring: row.retiring,
            fleet: row.fleet,
            share: row.share,
            known_versions: row.known_versions,
            queues: row.queues,
            in_flight: row.in_flight,
            limited: row.limited,
            running: row.running,
        }
    }

    /// A member of a release that did not register.
    pub(super) fn of_member(fleet: String, member: MemberInfo) -> Self {
        Self {
            id: member.id,
            name: member.name,
            version: None,
            host: None,
            process_id: None,
            started_at: member.started_at,
            heartbeat_age: member.heartbeat_age,
            lease: member.lease,
            live: member.live,
            retiring: false,
            fleet: Some(fleet),
            share: None,
            known_versions: BTreeMap::new(),
            queues: member.queues,
            in_flight: member.in_flight,
            limited: BTreeMap::new(),
            running: Vec::new(),
        }
    }
}

impl TitoQueue {
    /// The workers of this database, of all processes, including those that recently died without notice, ordered by
    /// start time.
    ///
    /// Information about workers of this process is current, about others up to 10 s old. A worker is listed while
    /// [`run`](crate::Worker::run) is running; [`drain`](crate::Worker::drain) is not listed. For a fleet member whose
    /// release does not register, there is no more than [`members`](TitoQueue::members) has. A row that can't be read
    /// is left out, and logged with its key.
    ///
    /// Reads the rows of all workers and members, but no events.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let reading = |tx: Transaction| async move {
            let rows = Walk::over(keys::registered_workers()).rest_in(&tx).await?;
            Ok((tx.now().millis(), rows, members_of_all_fleets(&tx).await?))
        };
        let (now, rows, members) = self.engine.transaction(reading).await?;
        let mut workers = BTreeMap::new();
        for (id, registration) in Living::of(&self.engine).locked().iter() {
            workers.insert(*id, WorkerInfo::of_row(*id, registration.row(now), now));
        }
        for (key, value) in rows {
            let Some(id) = keys::parse_registered_worker(&key).filter(|id| !workers.contains_key(id)) else { continue };
            match WorkerRow::decode(&key, &value) {
                Ok(row) => _ = workers.insert(id, WorkerInfo::of_row(id, row, now)),
                Err(error) => self.engine.log_damaged(&error, "a worker can't be read, and is left out"),
            }
        }
        for (fleet, member) in members {
            workers.entry(member.id).or_insert_with(|| WorkerInfo::of_member(fleet, member));
        }
        let mut workers: Vec<_> = workers.into_values().collect();
        workers.sort_by_key(|worker| (worker.started_at, worker.id));
        Ok(workers)
    }

    /// The live [workers](TitoQueue::workers) that serve a queue, `{type}` or `{type}@{group}`.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine.
    pub async fn serving(&self, queue: &str) -> Result<Vec<WorkerInfo>> {
        check_queue_name(queue)?;
        let mut workers = self.workers().await?;
        workers.retain(|worker| worker.live && worker.queues.contains(queue));
        Ok(workers)
    }

    /// Who has an event of a queue in hand, and since when, as far as is known: always for workers of this process; for
    /// others only their 20 longest-running handlers, up to 10 s old. An event that an event store's reactor hands out
    /// directly is not known.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine.
    pub async fn in_hand(&self, queue: &str, event: Uuid) -> Result<Option<InHand>> {
        check_queue_name(queue)?;
        let now = self.engine.now().await?.millis();
        let here = Living::of(&self.engine).locked().values().find_map(|one| one.in_hand(queue, event, now));
        if here.is_some() {
            return Ok(here);
        }
        let found = self.workers().await?.into_iter().filter_map(|worker| {
            let handler = worker.running.into_iter().find(|run| run.event == event && run.queue == queue)?;
            Some(InHand { worker: worker.id, is_live: worker.live, handler })
        });
        Ok(found.max_by_key(|one| (one.is_live, one.handler.since)))
    }

    /// The fleets that have members, by name.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn fleets(&self) -> Result<Vec<FleetInfo>> {
        let members = self.engine.transaction(|tx| async move { members_of_all_fleets(&tx).await }).await?;
        let mut fleets: BTreeMap<String, FleetInfo> = BTreeMap::new();
        for (name, member) in members {
            let fleet = fleets.entry(name.clone()).or_insert_with(|| FleetInfo {
                name,
                live: 0,
                dead: 0,
                queues: BTreeSet::new(),
            });
            if member.live {
                fleet.live += 1;
                fleet.queues.extend(member.queues);
            } else {
                fleet.dead += 1;
            }
        }
        Ok(fleets.into_values().collect())
    }
}

impl Registration {
    fn in_hand(&self, queue: &str, event: Uuid, now_millis: u64) -> Option<InHand> {
        let clock_millis = self.database.clock().monotonic_millis();
        let at = |monotonic: u64| now_millis.saturating_sub(clock_millis.saturating_sub(monotonic));
        let handler = self.running.of(queue, event, at)?;
        Some(InHand { worker: self.id, is_live: true, handler })
    }
}
