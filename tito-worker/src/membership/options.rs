//! What a member is told.

use std::time::Duration;

use uuid::Uuid;

use super::member::{LONGEST_LEASE, SHORTEST_LEASE};

/// How a worker takes part in a fleet.
#[derive(Clone, Debug)]
pub(crate) struct MembershipOptions {
    /// What the member is known by; a new one for each start of a worker.
    pub(crate) id: Uuid,
    /// What its operator calls it, such as a host's name.
    pub(crate) name: Option<String>,
    lease_time: Duration,
}

impl Default for MembershipOptions {
    fn default() -> Self {
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
        Self { id, name: None, lease_time: Duration::from_secs(15) }
    }
}

impl MembershipOptions {
    /// How long the member counts as live after its last heartbeat, from a second to a day. Default 15 s.
    pub(crate) fn lease_time(mut self, time: Duration) -> Self {
        self.lease_time = time.clamp(SHORTEST_LEASE, LONGEST_LEASE);
        self
    }

    /// The same for a start of the worker that is known by another id.
    pub(crate) fn with_id(self, id: Uuid) -> Self {
        Self { id, ..self }
    }

    /// At most a day, so it fits.
    pub(super) fn lease_millis(&self) -> u64 {
        self.lease_time.as_millis() as u64
    }

    /// The time from one round to the next: three heartbeats a lease, so that one may fail.
    pub(super) fn period_millis(&self) -> u64 {
        self.lease_millis() / 3
    }
}
