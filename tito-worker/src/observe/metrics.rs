//! What is counted and measured, through the `metrics` crate: an application that installs a recorder gets these; any
//! other pays next to nothing.
//!
//! Every metric has the label `topic`, and none the partition, so their number does not grow with the partitions.
//! Handles are requested from the recorder when a worker is built: install it before.

use std::sync::Arc;
use std::time::Instant;

use ::metrics::{Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram};
use ::metrics::{Unit, gauge, histogram};

use crate::activity::QueueActivity;
use crate::fate::Fate;

pub use tito_core::event::PUBLISHED;

/// The label of every metric: the topic.
pub const TOPIC: &str = "topic";
/// The label of [`HANDLED`]: what happened to the event, by [`Fate::as_str`].
pub const OUTCOME: &str = "outcome";
/// Counter: events whose outcomes were recorded, by outcome.
pub const HANDLED: &str = "tito_events_handled_total";
/// Histogram: how long a handler ran, in seconds by the machine's monotonic clock.
pub const HANDLER_SECONDS: &str = "tito_handler_seconds";
/// Histogram: how long after its due time an event was handed out, in seconds by the engine's clock.
pub const LAG_SECONDS: &str = "tito_event_lag_seconds";
/// Gauge: handlers that are running.
pub const IN_FLIGHT: &str = "tito_events_in_flight";
/// Histogram: how many outcomes one acknowledging transaction recorded.
pub const BATCH_EVENTS: &str = "tito_acknowledgement_batch_events";
/// Histogram: how long a read of due events took, in seconds, whether it found any or failed.
pub const POLL_SECONDS: &str = "tito_poll_seconds";
/// Histogram: how long an acknowledging transaction took, with its replays, in seconds, whether it succeeded or failed.
pub const COMMIT_SECONDS: &str = "tito_commit_seconds";

/// Gauge: events that are due and not done, at least. Set if [`WorkerBuilder::gauges`](crate::WorkerBuilder::gauges)
/// says so, like the following ones.
pub const BACKLOG_EVENTS: &str = "tito_queue_backlog_events";
/// Gauge: how long the oldest due event has been due, in seconds.
pub const OLDEST_DUE_SECONDS: &str = "tito_queue_oldest_due_seconds";
/// Gauge: whether the queue is paused, 1 or 0.
pub const PAUSED: &str = "tito_queue_paused";
/// Gauge: live workers that serve the queue.
pub const WORKERS: &str = "tito_queue_workers";
/// Gauge: how long the longest-running handler has run, in seconds by the engine's clock.
pub const LONGEST_RUN_SECONDS: &str = "tito_queue_longest_run_seconds";

/// Every metric of this crate's, and [`PUBLISHED`].
pub const ALL: [&str; 13] = [
    PUBLISHED,
    HANDLED,
    HANDLER_SECONDS,
    LAG_SECONDS,
    IN_FLIGHT,
    BATCH_EVENTS,
    POLL_SECONDS,
    COMMIT_SECONDS,
    BACKLOG_EVENTS,
    OLDEST_DUE_SECONDS,
    PAUSED,
    WORKERS,
    LONGEST_RUN_SECONDS,
];

/// The handles of one subscription.
#[derive(Debug)]
pub(crate) struct Meters {
    activity: Arc<QueueActivity>,
    handled: [Counter; Fate::NAMES.len()],
    handler_seconds: Histogram,
    lag_seconds: Histogram,
    in_flight: Gauge,
    batch_events: Histogram,
    poll_seconds: Histogram,
    commit_seconds: Histogram,
}

impl Meters {
    pub(crate) fn new(topic: &str, activity: Arc<QueueActivity>) -> Self {
        describe();
        let topic = || topic.to_string();
        Self {
            activity,
            handled: Fate::NAMES.map(|(_, name)| counter!(HANDLED, TOPIC => topic(), OUTCOME => name)),
            handler_seconds: histogram!(HANDLER_SECONDS, TOPIC => topic()),
            lag_seconds: histogram!(LAG_SECONDS, TOPIC => topic()),
            in_flight: gauge!(IN_FLIGHT, TOPIC => topic()),
            batch_events: histogram!(BATCH_EVENTS, TOPIC => topic()),
            poll_seconds: histogram!(POLL_SECONDS, TOPIC => topic()),
            commit_seconds: histogram!(COMMIT_SECONDS, TOPIC => topic()),
        }
    }

    /// What became of an event was recorded.
    pub(crate) fn handled(&self, fate: Fate) {
        self.handled_many(fate, 1);
    }

    /// The same of many.
    pub(crate) fn handled_many(&self, fate: Fate, events: u64) {
        self.handled[fate as usize].increment(events);
        self.activity.handled(fate, events);
    }

    /// An event was handed out this long after it fell due.
    pub(super) fn handed_out(&self, lag_millis: u64) {
        self.lag_seconds.record(lag_millis as f64 / 1_000.0);
    }

    /// A handler runs, until what this returns is dropped.
    pub(super) fn handler_runs(&self) -> InFlight {
        self.in_flight.increment(1.0);
        InFlight {
            began: Instant::now(),
            in_flight: self.in_flight.clone(),
            seconds: self.handler_seconds.clone(),
            activity: self.activity.clone(),
        }
    }

    /// Due events are read, until what this returns is dropped.
    pub(crate) fn time_poll(&self) -> Timer {
        Timer { began: Instant::now(), seconds: self.poll_seconds.clone() }
    }

    /// A number of outcomes is recorded in one transaction, until what this returns is dropped.
    pub(crate) fn time_acknowledgement(&self, events: usize) -> Timer {
        self.batch_events.record(events as f64);
        Timer { began: Instant::now(), seconds: self.commit_seconds.clone() }
    }
}

/// Records how long it lived.
#[must_use]
pub(crate) struct Timer {
    began: Instant,
    seconds: Histogram,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.seconds.record(self.began.elapsed());
    }
}

/// A handler that runs.
#[must_use]
pub(super) struct InFlight {
    pub(super) began: Instant,
    in_flight: Gauge,
    seconds: Histogram,
    activity: Arc<QueueActivity>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.in_flight.decrement(1.0);
        let elapsed = self.began.elapsed();
        self.seconds.record(elapsed);
        self.activity.ran(elapsed);
    }
}

fn describe() {
    describe_counter!(HANDLED, "Events whose outcomes were recorded.");
    describe_gauge!(IN_FLIGHT, "Handlers that run.");
    describe_histogram!(HANDLER_SECONDS, Unit::Seconds, "How long a handler ran.");
    describe_histogram!(LAG_SECONDS, Unit::Seconds, "How long after its due time an event was handed out.");
    describe_histogram!(BATCH_EVENTS, "How many outcomes one acknowledging transaction recorded.");
    describe_histogram!(POLL_SECONDS, Unit::Seconds, "How long a read of due events took.");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "How long an acknowledging transaction took.");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn dashboard_and_alerts_name_metrics_that_there_are() {
        let pages = [
            include_str!("../../../docs/operations/grafana.json"),
            include_str!("../../../docs/operations/alerts.yaml"),
        ];
        let mut named = BTreeSet::new();
        for page in pages {
            let words = page.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
            for word in words.filter(|word| word.starts_with("tito_")) {
                let name = ["_sum", "_count", "_bucket"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
                assert!(ALL.contains(&name), "{word}");
                named.insert(name);
            }
        }
        assert!(named.len() >= 8, "{named:?}");
    }
}
