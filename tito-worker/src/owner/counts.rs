//! How much of each kind belongs to an owner.

use std::ops::AddAssign;

use serde::Serialize;

use crate::inspect::PendingState;

/// How much belongs, or belonged, to an owner. An event counts once for each queue that it was in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OwnerCounts {
    /// Events that were due, including those being handled.
    pub due: u64,
    /// Events that waited for their time.
    pub scheduled: u64,
    /// Events that waited for their next attempt after one that failed.
    pub retrying: u64,
    /// Stored bytes under the keys of pending events that were not an event.
    pub malformed: u64,
    /// Dead letters.
    pub dead: u64,
    /// Events that were done and kept as history.
    pub done: u64,
    /// Keys of unique events.
    pub unique: u64,
    /// Periodic schedules.
    pub schedules: u64,
    /// Whether there may be more than were counted.
    pub at_least: bool,
}

impl OwnerCounts {
    /// All kinds together.
    pub fn total(&self) -> u64 {
        let Self { due, scheduled, retrying, malformed, dead, done, unique, schedules, at_least: _ } = *self;
        due + scheduled + retrying + malformed + dead + done + unique + schedules
    }

    pub(super) fn pending(&mut self, state: PendingState) -> &mut u64 {
        match state {
            PendingState::Due => &mut self.due,
            PendingState::Scheduled => &mut self.scheduled,
            PendingState::Retrying => &mut self.retrying,
            PendingState::Malformed => &mut self.malformed,
        }
    }
}

impl AddAssign for OwnerCounts {
    fn add_assign(&mut self, other: Self) {
        self.due += other.due;
        self.scheduled += other.scheduled;
        self.retrying += other.retrying;
        self.malformed += other.malformed;
        self.dead += other.dead;
        self.done += other.done;
        self.unique += other.unique;
        self.schedules += other.schedules;
        self.at_least |= other.at_least;
    }
}
