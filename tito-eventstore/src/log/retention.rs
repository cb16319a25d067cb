//! How much a store keeps.

use std::time::Duration;

/// How much a store keeps. The excess is dropped in the background, oldest events first; sequences are never reused.
/// Between two steps there may be more.
///
/// Nobody is notified of what was dropped: readers, models and followers find what is left, continue with the next
/// event after the gap, and see the gap only in the sequences. So a watcher or a projection that is further behind than
/// what a store keeps misses events. The last sequences of entities are kept, so expectations work as before; ids are
/// not, so an event that was dropped can be appended again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Retention {
    pub(crate) events: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) age: Option<Duration>,
}

impl Retention {
    /// At most this many events.
    pub fn events(mut self, events: u64) -> Self {
        self.events = Some(events);
        self
    }

    /// At most this many bytes of events, each counted once: with the copy for its entity and the rest, they take
    /// slightly more than twice the space.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Events at most this old, in whole seconds, rounded up, counted from the transaction that appended them.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(Duration::from_secs(age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0))));
        self
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
