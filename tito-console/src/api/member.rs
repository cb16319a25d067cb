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

/// A worker that is running, or has recently died without notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// What it is known by.
    pub id: Uuid,
    /// What its operator calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// The version of its application.
    #[serde(default)]
    pub version: Option<String>,
    /// The machine that it runs on.
    #[serde(default)]
    pub host: Option<String>,
    /// The id of its process there.
    #[serde(default)]
    pub process_id: Option<u32>,
    /// When it began, in Unix milliseconds.
    pub started_millis: i64,
    /// How long ago it last said that it lives.
    pub heartbeat_age_millis: u64,
    /// How long after that it counts as live.
    pub lease_millis: u64,
    /// Whether it counts as live.
    pub is_live: bool,
    /// Whether it was told to leave, and knows.
    #[serde(default)]
    pub is_retiring: bool,
    /// The fleet that it is a member of.
    #[serde(default)]
    pub fleet: Option<String>,
    /// The queues that it serves.
    #[serde(default)]
    pub queues: BTreeSet<String>,
    /// How many events its handlers are working on, by queue.
    #[serde(default)]
    pub in_flight: BTreeMap<String, u64>,
    /// Its 20 longest-running handlers, longest first.
    #[serde(default)]
    pub running: Vec<Running>,
}

/// A handler that is running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The queue of its event.
    pub queue: String,
    /// The partition that the event was read from.
    pub partition: u16,
    /// The event.
    pub event: Uuid,
    /// What the event is about.
    pub entity: String,
    /// Which attempt it is, counted from 1.
    pub attempt: u32,
    /// Since when it runs, in Unix milliseconds.
    pub since_millis: i64,
}

/// A fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Its name.
    pub name: String,
    /// How many of its members are live.
    pub live: u64,
    /// How many have died without notice, and not been removed yet.
    pub dead: u64,
    /// What its live members serve.
    #[serde(default)]
    pub queues: BTreeSet<String>,
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
    /// Roughly how often it was claimed.
    pub epoch: u64,
}
