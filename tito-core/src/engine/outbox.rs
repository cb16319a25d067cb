//! What a transaction remembers of the events that it writes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// That an event was written, for the workers of this process.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The event's type.
    pub event_type: Arc<str>,
    /// Its partition.
    pub partition: u16,
    /// Its key.
    pub key: Vec<u8>,
}

/// The events of one transaction: numbers them, and keeps their announcements until the commit.
///
/// Every engine's transaction holds one and hands its announcements to
/// [`Wakeups::deliver`](super::Wakeups::deliver) once the commit is done.
#[derive(Debug, Default)]
pub struct Outbox {
    events: AtomicU32,
    announcements: Mutex<Vec<Announcement>>,
}

impl Outbox {
    /// The number of the transaction's next event, from 0.
    pub fn next_event_number(&self) -> u32 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes an event for the workers of this process.
    pub fn announce(&self, announcement: Announcement) {
        self.announcements.lock().unwrap_or_else(PoisonError::into_inner).push(announcement);
    }

    /// Takes the announcements out.
    pub fn take_announcements(&self) -> Vec<Announcement> {
        std::mem::take(&mut *self.announcements.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
