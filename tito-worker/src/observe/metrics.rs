//! What is counted and measured, through the `metrics` crate: an application that installs a recorder gets these; any
//! other pays next to nothing.
//!
//! What is about a queue has the label `topic`, and nothing the partition, so their number does not grow with the
//! partitions. Reads and acknowledgements are about the engine, so that all queues of a process share their histograms.
//! A series is requested from the recorder when it is first recorded, so that queues in which nothing happens cost a
//! scrape next to nothing; those of [`HANDLED`] that alerts are about when a worker is built. Install the recorder before.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::metrics::{Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram};
use ::metrics::{Unit, gauge, histogram};

use crate::activity::QueueActivity;
use crate::fate::{Fate, Fates};

pub use tito_core::event::PUBLISHED;

/// The label of what is about a queue: the topic.
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
/// Histogram: how many outcomes one acknowledging transaction recorded, of all queues.
pub const BATCH_EVENTS: &str = "tito_acknowledgement_batch_events";
/// Histogram: how long a read of due events took, in seconds, whether it found any or failed, of all queues.
pub const POLL_SECONDS: &str = "tito_poll_seconds";
/// Histogram: how long an acknowledging transaction took, with its replays, in seconds, whether it succeeded or failed,
/// of all queues.
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

/// What is shown as 0 from the beginning, so that an increase shows the first one: what somebody has to look at.
const SHOWN_AT_ONCE: [Fate; 2] = [Fate::Dead, Fate::Malformed];

/// The handles of one subscription, each requested when it is first needed.
#[derive(Debug)]
pub(crate) struct Meters {
    topic: Arc<str>,
    activity: Arc<QueueActivity>,
    handled: [OnceLock<Counter>; Fate::NAMES.len()],
    handler_seconds: OnceLock<Histogram>,
    lag_seconds: OnceLock<Histogram>,
    in_flight: OnceLock<Gauge>,
    batch_events: Histogram,
    poll_seconds: Histogram,
    commit_seconds: Histogram,
}

impl Meters {
    pub(crate) fn new(topic: &str, activity: Arc<QueueActivity>) -> Self {
        describe();
        let meters = Self {
            topic: topic.into(),
            activity,
            handled: Default::default(),
            handler_seconds: OnceLock::new(),
            lag_seconds: OnceLock::new(),
            in_flight: OnceLock::new(),
            batch_events: histogram!(BATCH_EVENTS),
            poll_seconds: histogram!(POLL_SECONDS),
            commit_seconds: histogram!(COMMIT_SECONDS),
        };
        SHOWN_AT_ONCE.into_iter().for_each(|fate| _ = meters.counter(fate));
        meters
    }

    fn counter(&self, fate: Fate) -> &Counter {
        let new = || counter!(HANDLED, TOPIC => self.topic.to_string(), OUTCOME => fate.as_str());
        self.handled[fate as usize].get_or_init(new)
    }

    fn histogram<'a>(&self, name: &'static str, handle: &'a OnceLock<Histogram>) -> &'a Histogram {
        handle.get_or_init(|| histogram!(name, TOPIC => self.topic.to_string()))
    }

    /// What became of events was recorded.
    pub(crate) fn handled(&self, fates: Fates) {
        fates.each(|fate, events| self.handled_many(fate, events));
    }

    /// That events had a fate was recorded.
    pub(crate) fn handled_many(&self, fate: Fate, events: u64) {
        self.counter(fate).increment(events);
        self.activity.handled(fate, events);
    }

    /// An event was handed out this long after it fell due.
    pub(super) fn handed_out(&self, lag_millis: u64) {
        self.histogram(LAG_SECONDS, &self.lag_seconds).record(lag_millis as f64 / 1_000.0);
    }

    /// A handler runs, until what this returns is dropped.
    pub(super) fn handler_runs(&self) -> InFlight {
        let in_flight = self.in_flight.get_or_init(|| gauge!(IN_FLIGHT, TOPIC => self.topic.to_string()));
        in_flight.increment(1.0);
        InFlight {
            began: Instant::now(),
            ran: None,
            in_flight: in_flight.clone(),
            seconds: self.histogram(HANDLER_SECONDS, &self.handler_seconds).clone(),
            activity: self.activity.clone(),
        }
    }

    /// Due events are read, until what this returns is dropped.
    pub(crate) fn time_poll(&self) -> Timer {
        Timer::new(&self.poll_seconds)
    }

    /// A number of outcomes is recorded in one transaction, until what this returns is dropped.
    pub(crate) fn time_acknowledgement(&self, events: usize) -> Timer {
        self.batch_events.record(events as f64);
        Timer::new(&self.commit_seconds)
    }
}

/// Records how long it lived.
#[must_use]
pub(crate) struct Timer {
    began: Instant,
    seconds: Histogram,
}

impl Timer {
    fn new(seconds: &Histogram) -> Self {
        Self { began: Instant::now(), seconds: seconds.clone() }
    }
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
    /// How long it ran, once it has ended.
    ran: Option<Duration>,
    in_flight: Gauge,
    seconds: Histogram,
    activity: Arc<QueueActivity>,
}

impl InFlight {
    /// It has ended; returns how long it ran.
    pub(super) fn end(&mut self) -> Duration {
        *self.ran.insert(self.began.elapsed())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.in_flight.decrement(1.0);
        let elapsed = self.ran.unwrap_or_else(|| self.began.elapsed());
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
