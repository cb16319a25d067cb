//! Requests that wait for a lock to be removed.

use std::collections::HashMap;

use tito_tikv_proto::deadlock::WaitForEntry;
use tito_tikv_proto::kvrpcpb::{Deadlock, PessimisticLockRequest};
use tokio::sync::oneshot;

use super::deadlock::{WaitForGraph, key_hash};
use super::failure::Failure;
use super::records::Lock;

/// The removed lock: its transaction, and its commit timestamp or zero if it was not committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Released {
    pub(super) start_ts: u64,
    pub(super) commit_ts: u64,
}

/// The waiting requests by key.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    last: u64,
    waiters: HashMap<Vec<u8>, Vec<Waiter>>,
    graph: WaitForGraph,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    start_ts: u64,
    wake: oneshot::Sender<Released>,
}

/// A place in the queue; whoever has it returns it with [`Waiting::leave`].
#[derive(Debug)]
pub(super) struct Ticket {
    id: u64,
    start_ts: u64,
    key: Vec<u8>,
}

impl Waiting {
    /// Waits for a key on behalf of a transaction. The error is the deadlock that this would cause.
    pub(super) fn enter(
        &mut self,
        key: &[u8],
        lock: &Lock,
        request: &PessimisticLockRequest,
    ) -> Result<(Ticket, oneshot::Receiver<Released>), Failure> {
        self.last += 1;
        let id = self.last;
        let start_ts = request.start_version;
        let tag = request.context.as_ref().map(|context| context.resource_group_tag.clone()).unwrap_or_default();
        let entry = WaitForEntry {
            txn: start_ts,
            wait_for_txn: lock.start_ts,
            key_hash: key_hash(key),
            key: key.to_vec(),
            resource_group_tag: tag,
            ..WaitForEntry::default()
        };
        if let Err(mut wait_chain) = self.graph.add(id, entry.clone()) {
            let held = wait_chain.last().cloned().unwrap_or_default();
            wait_chain.push(entry);
            return Err(Failure::Deadlock(Box::new(Deadlock {
                lock_ts: lock.start_ts,
                lock_key: key.to_vec(),
                deadlock_key_hash: held.key_hash,
                wait_chain,
                ..Deadlock::default()
            })));
        }
        let (wake, woken) = oneshot::channel();
        self.waiters.entry(key.to_vec()).or_default().push(Waiter { id, start_ts, wake });
        Ok((Ticket { id, start_ts, key: key.to_vec() }, woken))
    }

    pub(super) fn leave(&mut self, ticket: &Ticket) {
        self.graph.remove(ticket.id, ticket.start_ts);
        if let Some(waiters) = self.waiters.get_mut(&ticket.key) {
            waiters.retain(|waiter| waiter.id != ticket.id);
            if waiters.is_empty() {
                self.waiters.remove(&ticket.key);
            }
        }
    }

    /// Wakes all who wait for a key.
    ///
    /// TiKV wakes the oldest transaction first and the others a little later; which of them gets the lock next is left
    /// to chance there too.
    pub(super) fn wake(&mut self, key: &[u8], released: Released) {
        for waiter in self.waiters.remove(key).unwrap_or_default() {
            self.graph.remove(waiter.id, waiter.start_ts);
            // A request that has just given up needs no news.
            let _ = waiter.wake.send(released);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.waiters.values().map(Vec::len).sum()
    }
}
