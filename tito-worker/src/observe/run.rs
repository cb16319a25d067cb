//! One run of a handler, with its span, its trace, its metrics and its observers.

use std::future::Future;

use tito_core::Database;
use tito_core::event::TitoEvent;
use tito_core::trace::TraceContext;
use tracing::{Instrument, Span};

use super::metrics::{InFlight, Meters};
use super::observer::{Handled, HandledAs, Observers};
use super::span::handle_span;

/// How one subscription is observed.
pub(crate) struct Observe {
    topic: String,
    pub(crate) meters: Meters,
    observers: Observers,
}

impl Observe {
    /// Asks the recorder for the subscription's metrics.
    pub(crate) fn new(topic: &str, observers: Observers) -> Self {
        Self { topic: topic.to_string(), meters: Meters::new(topic), observers }
    }

    /// An event is handed out.
    pub(crate) fn hand_out(&self, engine: &Database, partition: u16, event: &TitoEvent) -> Run<'_> {
        self.meters.handed_out(engine.clock().now_millis().saturating_sub(due_millis(event)));
        self.observers.tell(|observer| observer.handed_out(event));
        // The work of the handler is a new caller within the trace.
        let trace = event.trace_context().map(|trace| trace.child());
        let span = handle_span(&self.topic, partition, event, trace.as_ref(), engine.propagator().as_deref());
        Run {
            observe: self,
            event: (!self.observers.are_none()).then(|| Box::new(event.clone())),
            attempt: event.attempt.saturating_add(1),
            span,
            trace,
            in_flight: self.meters.handler_runs(),
        }
    }
}

/// A run of a handler, counted as in flight until it is dropped.
#[must_use]
pub(crate) struct Run<'a> {
    observe: &'a Observe,
    /// For the observers, if there are any.
    event: Option<Box<TitoEvent>>,
    attempt: u32,
    span: Span,
    trace: Option<TraceContext>,
    in_flight: InFlight,
}

impl Run<'_> {
    /// Which attempt it is, counted from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Runs the handler within the span and the trace.
    pub(crate) fn scope<F: Future>(&self, handler: F) -> impl Future<Output = F::Output> + use<F> {
        let trace = self.trace.clone();
        async move {
            match trace {
                Some(trace) => trace.scope(handler).await,
                None => handler.await,
            }
        }
        .instrument(self.span.clone())
    }

    /// The handler has ended.
    pub(crate) fn end(self, kind: HandledAs, error: Option<&str>) {
        self.span.record("outcome", kind.as_str());
        let Some(event) = &self.event else { return };
        let duration = self.in_flight.began.elapsed();
        let handled = Handled { event, kind, attempt: self.attempt, duration, error };
        self.observe.observers.tell(|observer| observer.handled(&handled));
    }
}

/// When an event fell due, as exactly as is known: events that are due at once carry the millisecond of their transaction
/// in their id, others have whole seconds only.
fn due_millis(event: &TitoEvent) -> u64 {
    let due = u64::try_from(event.timestamp).unwrap_or(0).saturating_mul(1_000);
    let id_millis = (event.id.as_u128() >> 80) as u64;
    if id_millis / 1_000 == due / 1_000 { id_millis } else { due }
}
