//! One run of a handler, with its span, its trace, its metrics and its observers.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tito_core::event::{Cause, TitoEvent};
use tito_core::panics;
use tito_core::trace::TraceContext;
use tito_core::{Database, Now};
use tracing::{Instrument, Span};

use super::metrics::{InFlight, Meters};
use super::observer::{EndedRun, Observers};
use super::span::{handle_span, is_span_wanted};
use crate::activity::Activities;
use crate::fate::Fate;

/// How one subscription is observed.
pub(crate) struct Observe {
    topic: String,
    pub(crate) meters: Meters,
    /// By how many milliseconds the engine's time is ahead of the monotonic clock, as far as it is known.
    ahead: AtomicI64,
    observers: Observers,
}

impl Observe {
    /// Asks the recorder for the subscription's metrics.
    pub(crate) fn new(database: &Database, topic: &str, observers: Observers) -> Self {
        let activity = Activities::of(database).queue(topic, database.clock());
        Self { topic: topic.to_string(), meters: Meters::new(topic, activity), ahead: AtomicI64::new(0), observers }
    }

    /// Notes what time it was when the monotonic clock showed this.
    pub(crate) fn note_time(&self, now: Now, clock_millis: u64) {
        self.ahead.store(now.millis() as i64 - clock_millis as i64, Ordering::Relaxed);
    }

    /// Whether anybody wants to know of single events.
    pub(crate) fn is_watched(&self) -> bool {
        !self.observers.are_none() || is_span_wanted()
    }

    /// An event is handed out at this moment of the monotonic clock.
    pub(crate) fn hand_out(
        &self,
        database: &Database,
        partition: u16,
        event: &TitoEvent,
        monotonic_millis: u64,
    ) -> Run {
        let now_millis = monotonic_millis as i64 + self.ahead.load(Ordering::Relaxed);
        self.meters.handed_out(u64::try_from(now_millis).unwrap_or(0).saturating_sub(due_millis(event)));
        self.observers.tell(|observer| observer.handed_out(event));
        // The work of the handler is a new caller within the trace.
        let trace = event.trace_context().map(|trace| trace.child());
        let span = handle_span(&self.topic, partition, event, trace.as_ref(), database);
        let cause = Cause::event(event.id);
        let event = (!self.observers.are_none()).then(|| event.clone());
        let is_watched = event.is_some() || !span.is_disabled();
        let watch =
            || Watch { span, event, duration: Duration::ZERO, observers: self.observers.clone(), is_over: false };
        let watched = Watched { watch: is_watched.then(|| Box::new(watch())), duration: None };
        Run { watched, trace, cause, in_flight: self.meters.handler_runs() }
    }
}

/// A run of a handler, counted as in flight until it is dropped.
#[must_use]
pub(crate) struct Run {
    watched: Watched,
    trace: Option<TraceContext>,
    cause: Cause,
    in_flight: InFlight,
}

impl Run {
    /// How long the handler has run so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.in_flight.began.elapsed()
    }

    /// Runs the handler within the span and the trace, as what was caused by the event.
    pub(crate) async fn scope<F: Future>(&self, handler: F) -> F::Output {
        let span = || self.watched.watch.as_ref().map_or_else(Span::none, |watch| watch.span.clone());
        let handler = self.cause.clone().scope(handler);
        match &self.trace {
            Some(trace) => trace.clone().scope(handler).instrument(span()).await,
            None if self.watched.watch.is_some() => handler.instrument(span()).await,
            None => handler.await,
        }
    }

    /// The handler has ended. What becomes of the event is told when it is known.
    pub(crate) fn end(mut self) -> Watched {
        let duration = self.in_flight.end();
        self.watched.duration = Some(duration);
        if let Some(watch) = &mut self.watched.watch {
            watch.duration = duration;
        }
        self.watched
    }
}

/// Those who are to be told what becomes of an event that was handed out: its span, and the observers. Nobody, mostly.
///
/// If it is dropped before, they are told that nothing was recorded.
#[derive(Default)]
#[must_use]
pub(crate) struct Watched {
    watch: Option<Box<Watch>>,
    /// How long the handler ran, if one did.
    duration: Option<Duration>,
}

struct Watch {
    span: Span,
    /// For the observers, if there are any.
    event: Option<TitoEvent>,
    /// How long the handler ran.
    duration: Duration,
    observers: Observers,
    is_over: bool,
}

impl Watched {
    /// Tells what has become of the event, and why it failed, for good or not.
    pub(crate) fn tell(self, fate: Fate, error: Option<&str>) {
        if let Some(mut watch) = self.watch {
            watch.tell(fate, error);
        }
    }

    /// How long the handler ran, if one did.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.duration
    }
}

impl Watch {
    fn tell(&mut self, fate: Fate, error: Option<&str>) {
        self.is_over = true;
        // What a subscriber's panic would end here is a partition, or a worker that is going down already.
        let end_span = || {
            self.span.record("outcome", fate.as_str());
            if let Some(error) = error {
                self.span.record("error", error);
                self.span.record("otel.status_code", "ERROR");
            }
        };
        if let Err(error) = panics::caught(end_span) {
            tracing::error!(error, "a subscriber of spans panicked; the worker goes on");
        }
        let Some(event) = &self.event else { return };
        let attempt = event.attempt();
        let handled = EndedRun { event, fate, attempt, duration: self.duration, error };
        self.observers.tell(|observer| observer.handled(&handled));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell(Fate::Unrecorded, None);
        }
    }
}

/// When an event fell due, as exactly as is known: events that are due at once carry the millisecond of their transaction
/// in their id, others have whole seconds only.
fn due_millis(event: &TitoEvent) -> u64 {
    let due = u64::try_from(event.timestamp).unwrap_or(0).saturating_mul(1_000);
    let id_millis = (event.id.as_u128() >> 80) as u64;
    if id_millis / 1_000 == due / 1_000 { id_millis } else { due }
}
