//! Who works.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A worker that is or was a member of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What leases know it by.
    pub id: Uuid,
    /// What its operator calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// The queues that it serves; none once it is leaving.
    #[serde(default)]
    pub queues: BTreeSet<String>,
    /// When it joined, in Unix milliseconds.
    pub started_millis: i64,
    /// How long ago it last said that it lives.
    pub heartbeat_age_millis: u64,
    /// How long after a heartbeat it counts as live.
    pub lease_millis: u64,
    /// Whether it counts as live.
    pub is_live: bool,
    /// How many events its handlers were working on at its last heartbeat, by queue.
    #[serde(default)]
    pub in_flight: BTreeMap<String, u64>,
}

/// A partition of a queue that has been claimed at least once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The partition.
    pub partition: u16,
    /// Its owner, who may be dead; none if it was given back.
    #[serde(default)]
    pub member: Option<Uuid>,
    /// The owner's fleet.
    #[serde(default)]
    pub fleet: Option<String>,
    /// How often it was claimed, more or less.
    pub epoch: u64,
}
