//! Who works: members and leases, for inspection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use serde::Serialize;
use tito_core::engine::KeyValue;
use tito_core::event::{check_queue_name, topic_of};
use tito_core::row::StoredRow;
use tito_core::{Database, Now, Result, Transaction, check_name};
use uuid::Uuid;

use super::fleet::all_of;
use super::lease::LeaseRow;
use super::member::MemberRow;
use super::sightings::is_of_a_dead_process;
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;
use crate::time::{as_millis, time_of_millis};
use crate::topics::existing_topic;

/// A worker that is or was a member of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemberInfo {
    /// What leases know it by; another one for each start of a worker.
    pub id: Uuid,
    /// What its operator calls it.
    pub name: Option<String>,
    /// The queues that it serves; none once it is leaving.
    pub queues: BTreeSet<String>,
    /// When it joined.
    #[serde(rename = "started_millis", with = "chrono::serde::ts_milliseconds")]
    pub started_at: DateTime<Utc>,
    /// How long ago it last said that it lives.
    #[serde(rename = "heartbeat_age_millis", serialize_with = "as_millis")]
    pub heartbeat_age: Duration,
    /// How long after a heartbeat it counts as live.
    #[serde(rename = "lease_millis", serialize_with = "as_millis")]
    pub lease: Duration,
    /// Whether it counts as live.
    pub live: bool,
    /// How many events its handlers were working on at its last heartbeat, by queue.
    pub in_flight: BTreeMap<String, u64>,
}

/// A partition of a queue that has been claimed at least once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeaseInfo {
    /// The partition.
    pub partition: u16,
    /// Its owner, who may be dead; `None` if it was released.
    pub member: Option<Uuid>,
    /// The owner's fleet.
    pub fleet: Option<String>,
    /// Roughly how often it was claimed: it only grows.
    pub epoch: u64,
}

impl TitoQueue {
    /// The members of a fleet, including dead ones that have not been removed yet. A member whose row can't be read is
    /// left out, and logged with its key.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine.
    pub async fn members(&self, fleet: &str) -> Result<Vec<MemberInfo>, QueueError> {
        self.page_of_members(fleet, usize::MAX, None).await
    }

    /// Up to `limit` [members](TitoQueue::members) of a fleet, by their ids, after the one with the id `after`; fewer if
    /// there are no more. Reads no others.
    ///
    /// # Errors
    /// Those of [`members`](TitoQueue::members).
    pub async fn page_of_members(
        &self,
        fleet: &str,
        limit: usize,
        after: Option<Uuid>,
    ) -> Result<Vec<MemberInfo>, QueueError> {
        check_name("fleet", fleet)?;
        let all = keys::members(fleet);
        let range = after.map_or(all.clone(), |id| all.after(&keys::member(fleet, id)));
        let read = |(key, value): &KeyValue, now: Now| {
            let (_, id) = keys::parse_member(key)?;
            member_of(&self.engine, id, key, value, now.millis())
        };
        Ok(self.first_of(range, limit, read).boxed().await?)
    }

    /// The leases on the partitions of a queue, which is `{type}` or `{type}@{group}`, by partition. One that can't be
    /// read is left out, and logged with its key.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic), and those of the engine.
    pub async fn leases(&self, queue: &str) -> Result<Vec<LeaseInfo>, QueueError> {
        self.page_of_leases(queue, usize::MAX, None).await
    }

    /// Up to `limit` [leases](TitoQueue::leases) of a queue, on the partitions after `after`; fewer if there are no more.
    /// Reads no others.
    ///
    /// # Errors
    /// Those of [`leases`](TitoQueue::leases).
    pub async fn page_of_leases(
        &self,
        queue: &str,
        limit: usize,
        after: Option<u16>,
    ) -> Result<Vec<LeaseInfo>, QueueError> {
        check_queue_name(queue)?;
        // A group that is not there can have leases, of workers that wait for it.
        existing_topic(&self.engine, topic_of(queue).0).await?;
        let all = keys::leases(queue);
        let range = after.map_or(all.clone(), |partition| all.after(&keys::lease(queue, partition)));
        let read = |(key, value): &KeyValue, _| {
            let (_, partition) = keys::parse_lease(key)?;
            match LeaseRow::decode(key, value) {
                Ok(LeaseRow { member, fleet, epoch, .. }) => Some(LeaseInfo { partition, member, fleet, epoch }),
                Err(error) => {
                    self.engine.log_damaged(&error, "a lease can't be read, counts as free, and is left out");
                    None
                }
            }
        };
        Ok(self.first_of(range, limit, read).boxed().await?)
    }
}

/// What a row says of a member; none, and logged, if it can't be read.
fn member_of(database: &Database, id: Uuid, key: &[u8], value: &[u8], now_millis: u64) -> Option<MemberInfo> {
    let row = match MemberRow::decode(key, value) {
        Ok(row) => row,
        Err(error) => {
            database.log_damaged(&error, "a member can't be read, counts as dead, and is left out");
            return None;
        }
    };
    Some(MemberInfo {
        id,
        live: row.is_live(now_millis) && !is_of_a_dead_process(database, id),
        heartbeat_age: Duration::from_millis(now_millis.saturating_sub(row.heartbeat)),
        name: row.name,
        queues: row.queues,
        started_at: time_of_millis(row.started),
        lease: Duration::from_millis(row.lease_millis),
        in_flight: row.in_flight,
    })
}

/// The members of all fleets, with the fleet's name.
pub(crate) async fn members_of_all_fleets(tx: &Transaction) -> Result<Vec<(String, MemberInfo)>> {
    let now = tx.now();
    let rows = all_of(tx, keys::all_members()).await?;
    Ok(rows.iter().filter_map(|row| member_of_a_fleet(tx.database(), row, now)).collect())
}

/// What a row says of a member, with its fleet's name; none, and logged, if it can't be read.
pub(crate) fn member_of_a_fleet(database: &Database, row: &KeyValue, now: Now) -> Option<(String, MemberInfo)> {
    let (key, value) = row;
    let (fleet, id) = keys::parse_member(key)?;
    Some((fleet, member_of(database, id, key, value, now.millis())?))
}

/// How many events of a queue the live members of its fleets were working on at their last heartbeats. A row that can't
/// be read says nothing.
pub(crate) async fn in_flight(tx: &Transaction, queue: &str) -> Result<u64> {
    let leases = all_of(tx, keys::leases(queue)).await?;
    let leases = leases.iter().filter_map(|(key, value)| LeaseRow::decode(key, value).ok());
    let fleets: BTreeSet<String> = leases.filter_map(|lease| lease.fleet).collect();
    let now = tx.now().millis();
    let mut in_flight: u64 = 0;
    for fleet in fleets {
        let members = all_of(tx, keys::members(&fleet)).await?;
        let members = members.iter().filter_map(|(key, value)| {
            let (_, id) = keys::parse_member(key)?;
            MemberRow::decode(key, value).ok().filter(|_| !is_of_a_dead_process(tx.database(), id))
        });
        for member in members.filter(|member| member.is_live(now)) {
            in_flight = in_flight.saturating_add(member.in_flight.get(queue).copied().unwrap_or(0));
        }
    }
    Ok(in_flight)
}
