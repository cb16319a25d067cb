//! Limits that an operator sets for a queue, in place of those of its subscriptions.

use serde::{Deserialize, Serialize};

use crate::keeps_unknown_members;
use crate::row::UnknownMembers;

/// A rate: at most this many events in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many, at least 1; 0 is taken for 1.
    pub events: u32,
    /// In how many seconds, at least 1; 0 is taken for 1.
    pub seconds: u32,
}

impl Rate {
    /// At most `events` in each second.
    pub fn per_second(events: u32) -> Self {
        Self { events, seconds: 1 }
    }

    /// At most `events` in each minute.
    pub fn per_minute(events: u32) -> Self {
        Self { events, seconds: 60 }
    }

    /// How many, at least 1.
    pub fn at_least_one(self) -> u32 {
        self.events.max(1)
    }

    /// In how many milliseconds, at least 1,000.
    pub fn millis(self) -> u64 {
        u64::from(self.seconds.max(1)) * 1_000
    }
}

/// What an operator has set for a queue, in place of what its subscriptions say. `None` leaves it to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLimits {
    /// How many events all workers of the queue together hand out in a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many handlers run at once in each worker, at least 1; 0 is taken for 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

keeps_unknown_members!(QueueLimits);

impl QueueLimits {
    /// With this rate, for all workers together.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// With this many handlers at once, in each worker.
    #[must_use]
    pub fn concurrency(mut self, handlers: u32) -> Self {
        self.concurrency = Some(handlers);
        self
    }
}
