//! A member's life: its heartbeat, and what it does when it could not give one.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use futures::FutureExt;
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{Now, Result, check_name};

use crate::keys;

use super::Membership;
use super::member::MemberRow;
use super::sightings::OwnMembers;

/// What a member remembers of its own row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    started_millis: Option<u64>,
    /// What was now to the transaction that wrote the last heartbeat.
    heartbeat: Option<Now>,
    /// Whether the last heartbeat said that the member is leaving.
    is_leaving: bool,
}

impl Membership {
    /// Writes the member's row.
    pub(super) async fn heartbeat(&self) -> Result<()> {
        check_name("fleet", &self.fleet)?;
        let lease_millis = self.options.lease_millis();
        let life = *self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let is_leaving = self.holdings.is_closed();
        // Who is leaving serves no queue: the others take its partitions as they become free.
        let queues: BTreeSet<String> =
            if is_leaving { BTreeSet::new() } else { self.queues.iter().map(|queue| queue.to_string()).collect() };
        let in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let row = MemberRow {
            queues,
            heartbeat: 0,
            lease_millis,
            started: life.started_millis.unwrap_or(0),
            name: self.options.name.clone(),
            in_flight,
            // The row is its own: nobody else writes it.
            unknown: UnknownMembers::default(),
        };
        // The clock of this machine may differ from the database's, but not in how long a lease is. It is read before
        // the transaction begins, so the leases end here no later than for the others.
        OwnMembers::add(&self.database, self.id);
        let before = self.clock().monotonic_millis();
        let heartbeat = self.database.transaction(|tx| async move {
            let now = tx.now();
            let mut row = row;
            row.heartbeat = now.millis();
            if life.started_millis.is_none() {
                row.started = row.heartbeat;
            }
            tx.system_keys().put(keys::member(&self.fleet, self.id), row.encode()?).await?;
            let was_live = life.heartbeat.is_some_and(|last| now.millis_since(last.millis()) < lease_millis);
            if !was_live || life.is_leaving != is_leaving {
                self.ring(&tx);
            }
            Ok(now)
        });
        let now = self.call("heartbeat", heartbeat.boxed()).await?;
        // Time that was set meanwhile does not count; the monotonic clock says whether it was too long.
        let last = life.heartbeat.filter(|last| last.since() == now.since());
        if last.is_some_and(|last| now.millis_since(last.millis()) >= lease_millis) {
            self.lose_all();
        }
        let started_millis = Some(life.started_millis.unwrap_or(now.millis()));
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) =
            Life { started_millis, heartbeat: Some(now), is_leaving };
        self.valid_until.send_replace(before.saturating_add(lease_millis));
        Ok(())
    }

    /// Says that it lives if the last time was a period ago or more: a round over many queues takes longer than a lease.
    pub(super) async fn heartbeat_if_due(&self) -> Result<()> {
        let left_millis = self.valid_until.borrow().saturating_sub(self.clock().monotonic_millis());
        if left_millis.saturating_add(self.options.period_millis()) > self.options.lease_millis() {
            return Ok(());
        }
        self.heartbeat().await
    }

    /// Whether a transaction for which this is now falls into the time that the last heartbeat covers.
    pub(super) fn is_live_at(&self, now: Now) -> bool {
        let life = *self.life.lock().unwrap_or_else(PoisonError::into_inner);
        life.heartbeat.is_some_and(|last| {
            if last.since() == now.since() {
                now.millis_since(last.millis()) < self.options.lease_millis()
            } else {
                self.is_valid()
            }
        })
    }

    /// Whether the last heartbeat is less than a lease ago by this machine's monotonic clock.
    pub(super) fn is_valid(&self) -> bool {
        self.clock().monotonic_millis() < *self.valid_until.borrow()
    }

    /// Without a heartbeat for a lease time others may have claimed everything.
    pub(super) fn lose_if_late(&self) {
        if !self.is_valid() {
            self.lose_all();
        }
    }

    /// Says at the very moment that the leases are lost, also while the engine does not answer. Never ends.
    pub(super) async fn watch_for_lateness(&self) {
        let mut valid_until = self.valid_until.subscribe();
        loop {
            let until = *valid_until.borrow_and_update();
            let changed = tokio::select! {
                changed = valid_until.changed() => changed,
                () = self.clock().wait_until_monotonic(until) => {
                    self.lose_if_late();
                    valid_until.changed().await
                }
            };
            // The sender lives as long as `self`.
            debug_assert!(changed.is_ok());
        }
    }

    fn lose_all(&self) {
        let count = self.holdings.forget_all();
        if count > 0 {
            tracing::warn!(fleet = %self.fleet, member = %self.id, count, "no heartbeat for a lease time: all leases are lost");
        }
    }
}
