//! What a worker did.

use std::ops::AddAssign;

use serde::Serialize;

use crate::fate::Fate;

/// How many events had which outcome since the worker started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Done and deleted.
    pub done: u64,
    /// Failed, to be tried again later.
    pub retried: u64,
    /// Postponed by their handlers.
    pub rescheduled: u64,
    /// Moved to their next step.
    pub advanced: u64,
    /// Failed for good, and moved to the dead letters.
    pub dead: u64,
    /// Failed for good and deleted, because their subscription says so.
    pub discarded: u64,
    /// Stored bytes that were not an event, moved to the dead letters.
    pub malformed: u64,
    /// Moved to their new partition after the topic's number of partitions was changed.
    pub moved: u64,
    /// Handled here, but another worker recorded an outcome first.
    pub elsewhere: u64,
    /// Handlers that did not end before the shutdown timeout. The next worker hands their events out again.
    pub unfinished: u64,
    /// Handlers that ended, but whose outcome could not be recorded before the worker ended. Unless the engine recorded
    /// it after all, the next worker hands their events out again.
    pub unrecorded: u64,
    /// Whether the worker left because an operator told it to: [`TitoQueue::retire`](crate::TitoQueue::retire).
    pub retired: bool,
}

impl WorkerReport {
    pub(super) fn log(&self) {
        let Self {
            done,
            retried,
            rescheduled,
            advanced,
            dead,
            discarded,
            malformed,
            moved,
            elsewhere,
            unfinished,
            unrecorded,
            retired,
        } = self;
        tracing::info!(
            done,
            retried,
            rescheduled,
            advanced,
            dead,
            discarded,
            malformed,
            moved,
            elsewhere,
            unfinished,
            unrecorded,
            retired,
            "the worker has ended"
        );
    }

    /// Counts what was recorded of one event.
    pub(super) fn count(&mut self, fate: Fate) {
        let counter = match fate {
            Fate::Done => &mut self.done,
            Fate::Retried => &mut self.retried,
            Fate::Rescheduled => &mut self.rescheduled,
            Fate::Advanced => &mut self.advanced,
            Fate::Dead => &mut self.dead,
            Fate::Discarded => &mut self.discarded,
            Fate::Malformed => &mut self.malformed,
            Fate::Moved => &mut self.moved,
            Fate::Elsewhere => &mut self.elsewhere,
            Fate::Unrecorded => &mut self.unrecorded,
            // This worker hands it out again, and counts it then.
            Fate::Released => return,
        };
        *counter += 1;
    }
}

impl AddAssign for WorkerReport {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.retried += other.retried;
        self.rescheduled += other.rescheduled;
        self.advanced += other.advanced;
        self.dead += other.dead;
        self.discarded += other.discarded;
        self.malformed += other.malformed;
        self.moved += other.moved;
        self.elsewhere += other.elsewhere;
        self.unfinished += other.unfinished;
        self.unrecorded += other.unrecorded;
        self.retired |= other.retired;
    }
}
