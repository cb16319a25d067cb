//! Automatic ownership: the workers of a fleet share out the partitions of the queues that they serve.
//!
//! Every member writes a heartbeat into its own row. Each computes from the same rows, with the same hash, who should
//! own what, claims free partitions that it should own, and releases those that another should own. A claim raises the
//! lease's epoch, so that acknowledgements under an older one are refused. Neither order nor exactly-once effects
//! depend on this.

mod claims;
mod fleet;
mod heartbeat;
mod holdings;
mod lease;
mod list;
mod member;
mod options;
mod owner;
mod plan;
mod rendezvous;
mod round;
mod sightings;
mod task;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tito_core::clock::Clock;
use tito_core::engine::Signal;
use tito_core::{Database, Result, TitoError, Transaction};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

pub(crate) use holdings::Owned;
pub(crate) use lease::Lease;
pub use list::{LeaseInfo, MemberInfo};
pub(crate) use list::{in_flight, member_of_a_fleet, members_of_all_fleets};
pub(crate) use options::MembershipOptions;
pub(crate) use owner::lease_owner;

use heartbeat::Life;
use holdings::Holdings;
use sightings::Sightings;

use crate::keys;

/// One worker's membership of a fleet.
pub(crate) struct Membership {
    database: Database,
    fleet: String,
    /// What members of this process wake each other by.
    bell: Arc<str>,
    id: Uuid,
    options: MembershipOptions,
    queues: Vec<Arc<str>>,
    holdings: Holdings,
    in_flight: Mutex<BTreeMap<String, u64>>,
    life: Mutex<Life>,
    sightings: Mutex<Sightings>,
    /// Until when, by the monotonic clock, the leases can't be another member's.
    valid_until: watch::Sender<u64>,
    /// Whether the member has left, or is at it.
    left: watch::Sender<bool>,
    /// Held by whoever writes the member's row.
    turn: tokio::sync::Mutex<()>,
    nudge: Notify,
}

impl Membership {
    /// A worker that is to become a member of `fleet` and to share in the partitions of `queues`.
    pub(crate) fn new(database: Database, fleet: String, options: MembershipOptions, queues: Vec<Arc<str>>) -> Self {
        Self {
            database,
            bell: format!("member:{fleet}").into(),
            fleet,
            id: options.id,
            options,
            queues,
            holdings: Holdings::new(),
            in_flight: Mutex::default(),
            life: Mutex::default(),
            sightings: Mutex::default(),
            valid_until: watch::Sender::new(0),
            left: watch::Sender::new(false),
            turn: tokio::sync::Mutex::default(),
            nudge: Notify::new(),
        }
    }

    /// What this member is to serve now: owned and not to be released. Changes are published here. A partition whose
    /// lease is another than before was lost in between.
    pub(crate) fn owned(&self) -> watch::Receiver<Arc<Owned>> {
        self.holdings.owned()
    }

    /// Whether a partition is owned and not to be released now.
    pub(crate) fn owns(&self, queue: &str, partition: u16) -> bool {
        let owned = self.holdings.owned();
        let owned = owned.borrow();
        owned.get(queue).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// To be called before a partition is served. False if it is no longer to be served under this lease. If true, the
    /// lease is kept until [`release`](Membership::release), unless it is lost.
    pub(crate) fn begin(&self, queue: &str, partition: u16, lease: &Lease) -> bool {
        self.holdings.begin(queue, partition, lease)
    }

    /// The partition has stopped: nothing of it runs or waits here any more. The lease is given back so that its next
    /// owner can claim it; if the engine can't be reached, in a later round. Does nothing for a lease that was lost.
    pub(crate) async fn release(&self, queue: &str, partition: u16) {
        self.holdings.stopped(queue, partition);
        if let Err(error) = self.give_back_free().await {
            tracing::warn!(queue, partition, %error, "a lease could not be released, trying again");
        }
        self.nudge();
    }

    /// Notes for inspection how many events of a queue are being handled.
    pub(crate) fn set_in_flight(&self, queue: &str, count: u64) {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 {
            in_flight.remove(queue);
        } else {
            in_flight.insert(queue.to_string(), count);
        }
    }

    /// Makes the next round begin at once.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Wakes the fleet's members in this process when the transaction is committed.
    fn ring(&self, tx: &Transaction) {
        let key = keys::member(&self.fleet, self.id);
        tx.signal(Signal { channel: self.bell.clone(), number: 0, payload: key });
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.database.clock()
    }

    /// The result of a call, or an error if it takes longer than a lease: by then everything is lost anyway, and
    /// hanging storage must not keep the member from trying again.
    async fn call<T>(&self, operation: &'static str, call: BoxFuture<'_, Result<T>>) -> Result<T> {
        let clock = self.clock();
        let deadline = clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(self.options.lease_millis()));
        tokio::select! {
            biased;
            result = call => result,
            () = deadline => Err(TitoError::Unavailable { operation, source: "no answer within the lease time".into() }),
        }
    }
}
