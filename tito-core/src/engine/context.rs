//! What the parts of one process share about an engine: known topics, and waiting workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;

use super::identity::DatabaseIdentity;
use super::outbox::Announcements;
use super::published::PublishedCounters;
use crate::event::TopicCache;
use crate::trace::Propagation;

/// State that all clones of an engine in this process share. An engine makes one when it is opened.
#[derive(Debug, Default)]
pub struct EngineContext {
    /// The topics that were read lately.
    pub topics: TopicCache,
    /// The workers that wait for events.
    pub wakeups: Wakeups,
    /// The counters of published events.
    pub(crate) published: PublishedCounters,
    /// Another tracer, if one is installed.
    pub(crate) propagation: Propagation,
    identity: OnceLock<DatabaseIdentity>,
}

impl EngineContext {
    /// What the database says of itself. `None` for an engine that keeps no identity.
    pub fn identity(&self) -> Option<&DatabaseIdentity> {
        self.identity.get()
    }

    /// Keeps what the database said when the engine was opened. Later calls change nothing.
    pub fn set_identity(&self, identity: DatabaseIdentity) {
        let _ = self.identity.set(identity);
    }
}

/// Wakes the workers of this process when a transaction with events was committed.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// Spares publishers the lock while nobody waits.
    waiting: AtomicUsize,
    partitions: Mutex<HashMap<Place, Vec<Weak<Mailbox>>>>,
}

/// An event type and a partition of it.
type Place = (String, u16);

#[derive(Debug, Default)]
struct Mailbox {
    earliest: Mutex<Option<Vec<u8>>>,
    notify: Notify,
}

/// One waiting worker's end of [`Wakeups`]. Once it is dropped, nothing is kept for it any more.
#[derive(Debug)]
pub struct Wakeup(Arc<Mailbox>);

impl Wakeup {
    /// Waits until an event of the partition was committed, and returns the smallest key committed since the last
    /// call. Safe to cancel: nothing is taken before it returns.
    pub async fn woken(&self) -> Vec<u8> {
        loop {
            if let Some(key) = self.take() {
                return key;
            }
            self.0.notify.notified().await;
        }
    }

    /// Whether [`woken`](Wakeup::woken) would return at once.
    pub fn is_woken(&self) -> bool {
        self.0.earliest.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The smallest key committed since the last call, if any, without waiting.
    pub fn take(&self) -> Option<Vec<u8>> {
        self.0.earliest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Wakeups {
    /// Registers a worker of a partition.
    pub fn register(&self, event_type: &str, partition: u16) -> Wakeup {
        let mailbox = Arc::new(Mailbox::default());
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = partitions.entry((event_type.to_string(), partition)).or_default();
        waiting.retain(|mailbox| mailbox.strong_count() > 0);
        waiting.push(Arc::downgrade(&mailbox));
        self.waiting.store(partitions.len(), Ordering::Release);
        Wakeup(mailbox)
    }

    /// Counts the events that were published, and tells the workers of this process which ones were committed.
    pub fn deliver(&self, announcements: Announcements) {
        let announcements = announcements.count();
        if announcements.is_empty() || self.waiting.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        for announcement in announcements {
            let place = (announcement.event_type.to_string(), announcement.partition);
            let Some(waiting) = partitions.get_mut(&place) else { continue };
            waiting.retain(|mailbox| {
                let Some(mailbox) = mailbox.upgrade() else { return false };
                let mut earliest = mailbox.earliest.lock().unwrap_or_else(PoisonError::into_inner);
                if earliest.as_ref().is_none_or(|known| announcement.key < *known) {
                    *earliest = Some(announcement.key.clone());
                }
                drop(earliest);
                mailbox.notify.notify_one();
                true
            });
            if waiting.is_empty() {
                partitions.remove(&place);
            }
        }
        self.waiting.store(partitions.len(), Ordering::Release);
    }
}
