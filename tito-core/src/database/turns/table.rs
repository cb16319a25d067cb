//! Who holds the turn on a key, and who waits for it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::sites::Sites;

/// How long a turn lasts while others wait for it. A transaction that runs for longer goes on without it; so does one
/// that waits for something that the transactions behind it have to do.
pub(super) const LONGEST_TURN: Duration = Duration::from_secs(2);

/// The turns of a process on the keys of one database. Keys are here only while somebody holds a turn on them.
#[derive(Default)]
pub(in crate::database) struct Turns {
    /// How many keys there are, so that transactions don't take the lock while there are none.
    keys: AtomicUsize,
    queues: Mutex<HashMap<Vec<u8>, Queue>>,
    tickets: AtomicU64,
    pub(super) sites: Sites,
}

/// A transaction, with all its runs. An older one has a smaller ticket, and its turn comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

struct Queue {
    holder: Ticket,
    since: Instant,
    waiting: BTreeMap<Ticket, oneshot::Sender<()>>,
}

/// The answer to a request for a turn.
#[derive(Debug)]
pub(super) enum Entered {
    Granted,
    /// Completes when it is granted.
    Waiting(oneshot::Receiver<()>),
}

impl Turns {
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether nobody holds a turn on any key.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.load(Ordering::Acquire) == 0
    }

    /// Asks for the turn on a key. [`leave`](Turns::leave) gives it back, or the place in the queue.
    pub(super) fn enter(&self, key: &[u8], ticket: Ticket) -> Entered {
        let mut queues = self.lock();
        let entered = match queues.entry(key.to_vec()) {
            Entry::Vacant(entry) => {
                entry.insert(Queue::new(ticket));
                Entered::Granted
            }
            Entry::Occupied(entry) if entry.get().holder == ticket => Entered::Granted,
            Entry::Occupied(mut entry) => {
                let (grant, granted) = oneshot::channel();
                let before = entry.get_mut().waiting.insert(ticket, grant);
                assert!(before.is_none(), "a transaction waits in one place at a time");
                Entered::Waiting(granted)
            }
        };
        self.keys.store(queues.len(), Ordering::Release);
        entered
    }

    /// Gives a turn back, or a place in the queue. Nothing happens if there is neither.
    pub(super) fn leave(&self, key: &[u8], ticket: Ticket) {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(key) else { return };
        if queue.holder != ticket {
            queue.waiting.remove(&ticket);
        } else if !queue.pass_on() {
            queues.remove(key);
            self.keys.store(queues.len(), Ordering::Release);
        }
    }

    /// When the turn that is held now may be passed on.
    pub(super) fn ends_at(&self, key: &[u8]) -> Option<Instant> {
        self.lock().get(key).map(|queue| queue.since + LONGEST_TURN)
    }

    /// Passes a turn on that was held for too long.
    pub(super) fn pass_on_overdue(&self, key: &[u8]) {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(key) else { return };
        if queue.since.elapsed() >= LONGEST_TURN {
            tracing::debug!("a turn on a key was held for too long, and passes on");
            queue.pass_on();
        }
    }

    /// The keys on which another ticket holds the turn.
    pub(super) fn held_by_others(&self, keys: &[&[u8]], ticket: Option<Ticket>) -> Vec<Vec<u8>> {
        held_by_others(&self.lock(), keys, ticket)
    }

    /// Takes the turns on all of these keys, or says which of them somebody else holds.
    pub(super) fn take_free(&self, keys: &[&[u8]], ticket: Ticket) -> Vec<Vec<u8>> {
        let mut queues = self.lock();
        let held = held_by_others(&queues, keys, Some(ticket));
        if held.is_empty() {
            for key in keys {
                queues.entry(key.to_vec()).or_insert_with(|| Queue::new(ticket));
            }
            self.keys.store(queues.len(), Ordering::Release);
        }
        held
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Queue>> {
        // Nothing that holds the lock calls code that could panic half-way through a change.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn held_by_others(queues: &HashMap<Vec<u8>, Queue>, keys: &[&[u8]], ticket: Option<Ticket>) -> Vec<Vec<u8>> {
    let is_held = |key: &&&[u8]| queues.get(**key).is_some_and(|queue| Some(queue.holder) != ticket);
    keys.iter().filter(is_held).map(|key| key.to_vec()).collect()
}

impl Queue {
    fn new(holder: Ticket) -> Self {
        Self { holder, since: Instant::now(), waiting: BTreeMap::new() }
    }

    /// Gives the turn to the oldest one waiting, if any.
    fn pass_on(&mut self) -> bool {
        while let Some((ticket, grant)) = self.waiting.pop_first() {
            // One that was cancelled has gone, or is about to.
            if grant.send(()).is_ok() {
                (self.holder, self.since) = (ticket, Instant::now());
                return true;
            }
        }
        false
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("keys", &self.keys).finish_non_exhaustive()
    }
}
