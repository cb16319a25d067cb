//! What a member holds, as it knows itself, and what becomes of each partition of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::lease::Lease;

/// What a member owns: for each queue the partitions with their leases.
pub(crate) type Owned = BTreeMap<Arc<str>, BTreeMap<u16, Lease>>;

/// A partition and the lease on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldPartition {
    pub(super) queue: Arc<str>,
    pub(super) partition: u16,
    pub(super) lease: Lease,
}

/// How far a partition has come on its way through this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is to be served, but nobody has begun to.
    Offered,
    /// It is being served.
    Serving,
    /// It is to be served by another member, and what still runs here is to end.
    Stopping,
    /// Nothing of it runs here; its lease is to be given back.
    Free,
}

#[derive(Debug)]
struct Holding {
    lease: Lease,
    stage: Stage,
}

/// The partitions that a member holds. Every change is published.
#[derive(Debug)]
pub(super) struct Holdings {
    state: Mutex<State>,
    owned: watch::Sender<Arc<Owned>>,
}

#[derive(Debug, Default)]
struct State {
    held: BTreeMap<(Arc<str>, u16), Holding>,
    /// Once true, nothing is taken any more.
    is_closed: bool,
}

impl Holdings {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), owned: watch::Sender::new(Arc::default()) }
    }

    pub(super) fn owned(&self) -> watch::Receiver<Arc<Owned>> {
        self.owned.subscribe()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().held.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// The leases of one queue's partitions, in whatever stage.
    pub(super) fn of_queue(&self, queue: &str) -> BTreeMap<u16, Lease> {
        let queue: Arc<str> = queue.into();
        let state = self.lock();
        let held = state.held.range((queue.clone(), 0)..=(queue, u16::MAX));
        held.map(|((_, partition), held)| (*partition, held.lease.clone())).collect()
    }

    /// The partitions whose leases are to be given back.
    pub(super) fn free(&self) -> Vec<HeldPartition> {
        let state = self.lock();
        let free = state.held.iter().filter(|(_, held)| held.stage == Stage::Free);
        free.map(|((queue, partition), held)| HeldPartition {
            queue: queue.clone(),
            partition: *partition,
            lease: held.lease.clone(),
        })
        .collect()
    }

    /// Partitions were claimed. If nothing is taken any more, they are to be given back at once.
    pub(super) fn take(&self, claimed: Vec<HeldPartition>) {
        self.change(|state| {
            let stage = if state.is_closed { Stage::Free } else { Stage::Offered };
            for HeldPartition { queue, partition, lease } in claimed {
                state.held.insert((queue, partition), Holding { lease, stage });
            }
        });
    }

    /// Whoever serves partitions begins with this one. False if it is no longer to be served under this lease.
    pub(super) fn begin(&self, queue: &str, partition: u16, lease: &Lease) -> bool {
        let mut state = self.lock();
        match state.held.get_mut(&(Arc::from(queue), partition)) {
            Some(held) if held.lease == *lease && matches!(held.stage, Stage::Offered | Stage::Serving) => {
                held.stage = Stage::Serving;
                true
            }
            _ => false,
        }
    }

    /// These partitions of a queue belong elsewhere: whoever serves them is to stop.
    pub(super) fn release(&self, queue: &Arc<str>, partitions: &[u16]) {
        self.change(|state| {
            for partition in partitions {
                if let Some(held) = state.held.get_mut(&(queue.clone(), *partition)) {
                    held.release();
                }
            }
        });
    }

    /// Like [`release`](Holdings::release) for all partitions, and nothing is taken any more.
    pub(super) fn close(&self) {
        self.change(|state| {
            state.is_closed = true;
            state.held.values_mut().for_each(Holding::release);
        });
    }

    /// Nothing of the partition runs here any more. One that nobody began with is left as it is.
    pub(super) fn stopped(&self, queue: &str, partition: u16) {
        self.change(|state| {
            if let Some(held) = state.held.get_mut(&(Arc::from(queue), partition))
                && held.stage != Stage::Offered
            {
                held.stage = Stage::Free;
            }
        });
    }

    /// Like [`stopped`](Holdings::stopped) for all partitions, and nothing is taken any more.
    pub(super) fn all_stopped(&self) {
        self.change(|state| {
            state.is_closed = true;
            state.held.values_mut().for_each(|held| held.stage = Stage::Free);
        });
    }

    /// These leases were given back or are other members'.
    pub(super) fn forget(&self, gone: &[HeldPartition]) {
        self.change(|state| {
            for HeldPartition { queue, partition, lease } in gone {
                let place = (queue.clone(), *partition);
                if state.held.get(&place).is_some_and(|held| held.lease == *lease) {
                    state.held.remove(&place);
                }
            }
        });
    }

    /// All leases may be other members' by now. Returns how many there were.
    pub(super) fn forget_all(&self) -> usize {
        let mut count = 0;
        self.change(|state| {
            count = state.held.len();
            state.held.clear();
        });
        count
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        // Published under the lock, so that an older state can't overtake a newer one.
        let owned = state.owned();
        self.owned.send_if_modified(|published| {
            let is_new = **published != owned;
            if is_new {
                *published = Arc::new(owned);
            }
            is_new
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn owned(&self) -> Owned {
        let mut owned = Owned::new();
        for ((queue, partition), held) in &self.held {
            if matches!(held.stage, Stage::Offered | Stage::Serving) {
                owned.entry(queue.clone()).or_default().insert(*partition, held.lease.clone());
            }
        }
        owned
    }
}

impl Holding {
    fn release(&mut self) {
        self.stage = match self.stage {
            // Nobody saw it, so nobody has anything to stop.
            Stage::Offered | Stage::Free => Stage::Free,
            Stage::Serving | Stage::Stopping => Stage::Stopping,
        };
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn held(partition: u16, epoch: u64) -> HeldPartition {
        HeldPartition { queue: "user".into(), partition, lease: Lease { member: Uuid::nil(), epoch } }
    }

    #[test]
    fn a_partition_that_is_being_served_is_given_back_only_when_it_has_stopped() {
        let holdings = Holdings::new();
        holdings.take(vec![held(3, 1)]);
        assert!(holdings.begin("user", 3, &held(3, 1).lease));
        holdings.release(&"user".into(), &[3]);
        assert!(holdings.owned().borrow().is_empty());
        assert_eq!(holdings.free(), []);
        holdings.stopped("user", 3);
        assert_eq!(holdings.free(), [held(3, 1)]);
        holdings.forget(&[held(3, 1)]);
        assert!(holdings.is_empty());
    }

    #[test]
    fn a_partition_that_nobody_began_with_is_given_back_at_once() {
        let holdings = Holdings::new();
        holdings.take(vec![held(3, 1)]);
        holdings.release(&"user".into(), &[3]);
        assert_eq!(holdings.free(), [held(3, 1)]);
        assert!(!holdings.begin("user", 3, &held(3, 1).lease), "it is no longer to be served");
    }

    #[test]
    fn the_end_of_a_lost_lease_does_not_touch_the_next_one() {
        let holdings = Holdings::new();
        holdings.take(vec![held(3, 1)]);
        assert!(holdings.begin("user", 3, &held(3, 1).lease));
        assert_eq!(holdings.forget_all(), 1);
        holdings.take(vec![held(3, 2)]);
        holdings.stopped("user", 3);
        holdings.forget(&[held(3, 1)]);
        assert_eq!(holdings.free(), []);
        assert!(!holdings.begin("user", 3, &held(3, 1).lease));
        assert!(holdings.begin("user", 3, &held(3, 2).lease));
    }

    #[test]
    fn what_is_claimed_while_the_member_leaves_is_given_back_and_never_offered() {
        let holdings = Holdings::new();
        let owned = holdings.owned();
        holdings.close();
        holdings.take(vec![held(3, 1)]);
        assert!(!owned.has_changed().is_ok_and(|changed| changed));
        assert_eq!(holdings.free(), [held(3, 1)]);
    }
}
