//! What is to be done about one queue's partitions, from what was read of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::fleet::Fleet;
use super::holdings::HeldPartition;
use super::lease::{Lease, LeaseRow};
use super::rendezvous;

/// A queue as it was read.
pub(super) struct QueueState {
    pub(super) queue: Arc<str>,
    /// How many partitions are served.
    pub(super) partitions: u16,
    /// The leases that are stored; none in place of what can't be read.
    pub(super) leases: BTreeMap<u16, Option<LeaseRow>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// This member's own, and free as far as can be seen.
    pub(super) claim: Vec<u16>,
    /// Held, but another's by right.
    pub(super) release: Vec<u16>,
    /// Held until somebody else claimed them.
    pub(super) lost: Vec<HeldPartition>,
    /// Stored as this member's, which knows nothing of it and has no right to it.
    pub(super) stray: Vec<HeldPartition>,
    /// Whether others hold what is this member's by right.
    pub(super) is_waiting: bool,
}

/// Makes the plan of member `me` of the fleet with this name, who holds `held` of the queue.
pub(super) fn plan(me: Uuid, fleet_name: &str, fleet: &Fleet, state: &QueueState, held: &BTreeMap<u16, Lease>) -> Plan {
    let serving = fleet.serving(&state.queue);
    let mut plan = Plan::default();
    let here = |partition, lease: &Lease| HeldPartition { queue: state.queue.clone(), partition, lease: lease.clone() };
    // After a change of their number there may be leases on partitions that are no longer served.
    let partitions: BTreeSet<u16> =
        (0..state.partitions).chain(state.leases.keys().copied()).chain(held.keys().copied()).collect();
    for partition in partitions {
        let is_mine = partition < state.partitions && rendezvous::owner(&serving, &state.queue, partition) == Some(me);
        let row = state.leases.get(&partition).and_then(Option::as_ref);
        if let Some(lease) = held.get(&partition) {
            if row.is_some_and(|row| row.is(lease)) {
                if !is_mine {
                    plan.release.push(partition);
                }
                continue;
            }
            plan.lost.push(here(partition, lease));
        }
        let owner = row.and_then(|row| row.member);
        let names_me = owner == Some(me);
        // Whether a member of another fleet lives is found out when the partition is claimed.
        let is_taken = !names_me
            && row.is_some_and(|row| row.fleet.as_deref() == Some(fleet_name))
            && owner.is_some_and(|owner| fleet.is_live(owner));
        match (is_mine, is_taken) {
            (true, false) => plan.claim.push(partition),
            (true, true) => plan.is_waiting = true,
            (false, _) => {
                let stray = row.filter(|_| names_me);
                plan.stray.extend(stray.map(|row| here(partition, &Lease { member: me, epoch: row.epoch })));
            }
        }
    }
    plan
}
