//! What is logged of attempts that fail, of what is not an event, and of an engine that fails.

use std::sync::{Mutex, PoisonError};

use tito_core::{KeyText, TitoError};
use uuid::Uuid;

use crate::fate::Fate;
use crate::time::time_of;

/// How many lines of one level a queue has in a span of time: a storm of failures must not fill the disk of its logs.
const LINES: u64 = 20;
const SPAN_MILLIS: u64 = 10_000;

/// An attempt that has failed, or with which its event failed for good.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) id: Uuid,
    pub(crate) entity: String,
    /// Which attempt it was, counted from 1.
    pub(crate) attempt: u32,
    /// When there is another, in Unix seconds.
    pub(crate) next: Option<i64>,
    /// With its causes.
    pub(crate) error: String,
}

/// The log of one queue's failures.
#[derive(Default)]
pub(crate) struct FailureLog {
    attempts: Quota,
    dead_lettered: Quota,
    no_events: Quota,
    engine: Quota,
}

impl FailureLog {
    /// Logs what was recorded of an attempt, of at most so many.
    pub(crate) fn tell(&self, queue: &str, monotonic_millis: u64, most_attempts: u32, fate: Fate, failure: &Failure) {
        let Failure { id, entity, attempt, next, error } = failure;
        if let Some(second) = next {
            if self.attempts.has_room(monotonic_millis) {
                let next_attempt = time_of(*second).to_rfc3339();
                tracing::warn!(queue, event = %id, entity, attempt, most_attempts, next_attempt, error, "an attempt failed");
            }
        } else if self.dead_lettered.has_room(monotonic_millis) {
            let message = match fate {
                Fate::Discarded => "an event failed for good and was deleted",
                _ => "an event failed for good, it is in the dead letters",
            };
            tracing::error!(queue, event = %id, entity, attempt, most_attempts, error, "{message}");
        }
    }

    /// Logs bytes that are no event, and go to the dead letters.
    pub(crate) fn tell_no_event(&self, queue: &str, monotonic_millis: u64, key: &KeyText, error: Option<&TitoError>) {
        if self.no_events.has_room(monotonic_millis) {
            tracing::error!(queue, %key, error = error.map(tracing::field::display), "not an event, moved to the dead letters");
        }
    }

    /// Logs that the engine failed, and that what it was to do is tried again.
    pub(crate) fn tell_engine(
        &self,
        queue: &str,
        partition: Option<u16>,
        monotonic_millis: u64,
        error: &TitoError,
        message: &'static str,
    ) {
        if self.engine.has_room(monotonic_millis) {
            tracing::warn!(queue, partition, %error, "{message}, trying again");
        }
    }

    /// Says how many failures were left out, once their span of time is over.
    pub(crate) fn summarize(&self, queue: &str, monotonic_millis: u64) {
        self.say_left_out(queue, |quota| quota.left_out_by(monotonic_millis));
    }

    /// Like [`summarize`](Self::summarize), at the end: nothing comes after it.
    pub(crate) fn close(&self, queue: &str) {
        self.say_left_out(queue, Quota::left_out);
    }

    fn say_left_out(&self, queue: &str, left_out: impl Fn(&Quota) -> u64) {
        match left_out(&self.attempts) {
            0 => {}
            failures => tracing::warn!(queue, failures, "more attempts failed than are logged one by one"),
        }
        match left_out(&self.dead_lettered) {
            0 => {}
            failures => tracing::error!(queue, failures, "more events failed for good than are logged one by one"),
        }
        match left_out(&self.no_events) {
            0 => {}
            failures => tracing::error!(queue, failures, "more bytes were not an event than are logged one by one"),
        }
        match left_out(&self.engine) {
            0 => {}
            failures => tracing::warn!(queue, failures, "the engine failed more often than is logged one by one"),
        }
    }
}

/// A number of lines in a span of time.
#[derive(Default)]
struct Quota(Mutex<Span>);

#[derive(Default)]
struct Span {
    began_millis: u64,
    lines: u64,
    left_out: u64,
}

impl Span {
    /// Whether it does not hold any more.
    fn is_over(&self, monotonic_millis: u64) -> bool {
        monotonic_millis.saturating_sub(self.began_millis) >= SPAN_MILLIS
    }
}

impl Quota {
    /// Whether there may be another line; counted if not. What an earlier span has left out is still to be said.
    fn has_room(&self, monotonic_millis: u64) -> bool {
        let mut span = self.span();
        if span.is_over(monotonic_millis) {
            *span = Span { began_millis: monotonic_millis, lines: 0, left_out: span.left_out };
        }
        let has_room = span.lines < LINES;
        *(if has_room { &mut span.lines } else { &mut span.left_out }) += 1;
        has_room
    }

    /// How many lines were left out, if the span is over.
    fn left_out_by(&self, monotonic_millis: u64) -> u64 {
        let mut span = self.span();
        if span.is_over(monotonic_millis) { std::mem::take(&mut span.left_out) } else { 0 }
    }

    fn left_out(&self) -> u64 {
        std::mem::take(&mut self.span().left_out)
    }

    fn span(&self) -> std::sync::MutexGuard<'_, Span> {
        // Nothing in here can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_counted_instead() {
        let quota = Quota::default();
        let lines = |now, events: u64| (0..events).filter(|_| quota.has_room(now)).count() as u64;
        assert_eq!(lines(1_000_000, 100), LINES);
        assert_eq!(quota.left_out_by(1_000_000 + SPAN_MILLIS - 1), 0, "there may be more");
        assert_eq!(quota.left_out_by(1_000_000 + SPAN_MILLIS), 100 - LINES);
        assert_eq!(quota.left_out(), 0, "it is said once");
        assert_eq!(lines(1_000_000 + SPAN_MILLIS, 21), LINES);
        assert_eq!(lines(1_000_000 + 2 * SPAN_MILLIS, 30), LINES);
        assert_eq!(quota.left_out(), 11, "of both");
    }
}
