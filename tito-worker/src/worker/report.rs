//! What a worker did.

use std::ops::AddAssign;

use serde::Serialize;

use crate::fate::Fate;

/// What became of how many events, since the worker began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Done and deleted.
    pub done: u64,
    /// Failed, to be tried again later.
    pub retried: u64,
    /// Postponed by their handlers.
    pub rescheduled: u64,
    /// Gone on to their next step.
    pub advanced: u64,
    /// Failed for good, and moved to the dead letters.
    pub dead: u64,
    /// Failed for good, and deleted as their subscription says.
    pub discarded: u64,
    /// Stored bytes that were no events, moved to the dead letters.
    pub malformed: u64,
    /// Moved to the partition where they belong since the topic's number of partitions has changed.
    pub moved: u64,
    /// Handled here, but another worker recorded an outcome first.
    pub elsewhere: u64,
    /// Handlers that did not end before the shutdown timeout. Their events are handed out again by the next worker.
    pub unfinished: u64,
    /// Handlers that ended, but what became of their events could not be recorded before the worker ended. Unless the
    /// engine has recorded it all the same, the events are handed out again by the next worker.
    pub unrecorded: u64,
    /// Whether the worker has left because an operator told it to: [`TitoQueue::retire`](crate::TitoQueue::retire).
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
            // Handed out again by this worker, and counted then.
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
