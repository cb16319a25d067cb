//! What a transaction remembers of the events that it writes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Counter;

use super::context::EngineContext;

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

/// What one transaction announces. Engines pass it on to [`Wakeups::deliver`](super::Wakeups::deliver) as it is.
#[derive(Debug, Default)]
pub struct Announcements {
    events: Vec<Announcement>,
    /// How many events are new, by runs of one topic.
    published: Vec<(Arc<str>, Counter, u64)>,
}

impl Announcements {
    /// Counts the new events as published, and returns all.
    pub(super) fn count(self) -> Vec<Announcement> {
        for (_, counter, events) in self.published {
            counter.increment(events);
        }
        self.events
    }
}

/// The events of one transaction: numbers them, and keeps their announcements until the commit.
///
/// Every engine's transaction holds one and hands its announcements to
/// [`Wakeups::deliver`](super::Wakeups::deliver) once the commit is done.
#[derive(Debug, Default)]
pub struct Outbox {
    events: AtomicU32,
    announcements: Mutex<Announcements>,
}

impl Outbox {
    /// The number of the transaction's next event, from 0.
    pub fn next_event_number(&self) -> u32 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes an event that is put again, such as a retry, for the workers of this process.
    pub fn announce(&self, announcement: Announcement) {
        self.lock().events.push(announcement);
    }

    /// Notes an event that is new: it is counted as published as well, once the transaction is committed.
    pub fn announce_new(&self, context: &EngineContext, announcement: Announcement) {
        let mut announcements = self.lock();
        match announcements.published.last_mut() {
            Some((topic, _, events)) if *topic == announcement.event_type => *events += 1,
            _ => {
                let topic = announcement.event_type.clone();
                let counter = context.published.of(&topic);
                announcements.published.push((topic, counter, 1));
            }
        }
        announcements.events.push(announcement);
    }

    /// Takes the announcements out.
    pub fn take_announcements(&self) -> Announcements {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Announcements> {
        self.announcements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
