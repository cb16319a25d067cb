//! How much a store keeps.

use std::time::Duration;

/// How much a store keeps. What is too much is dropped in the background, the oldest events first; sequences are never
/// used again. Between two steps there may be more.
///
/// Nobody is told of what was dropped: who reads, folds or follows a store finds what is left, with the next event after
/// the gap, and sees the gap in the sequences alone. So a watcher or a projection that is further behind than what a
/// store keeps misses events. The last sequences of entities are kept, so expectations hold as before; ids are not, so
/// an event that was dropped can be appended again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Retention {
    pub(crate) events: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) age: Option<Duration>,
}

impl Retention {
    /// At most so many events.
    pub fn events(mut self, events: u64) -> Self {
        self.events = Some(events);
        self
    }

    /// At most so many bytes of events, each counted once: with the copy for its entity and the rest they take a bit
    /// more than twice the space.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Events at most so old, in whole seconds, rounded up, counted from the transaction that appended them.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(Duration::from_secs(age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0))));
        self
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
