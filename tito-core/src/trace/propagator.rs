//! Other tracers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::context::{TRACEPARENT, TraceContext};
use crate::database::Database;

/// Puts another tracer's context into events, and restores it for their handlers.
///
/// An application installs one with [`Database::install_propagator`] when it has opened its database. For
/// OpenTelemetry, use its own propagator and its bridge to `tracing` (the crates `opentelemetry` and
/// `tracing-opentelemetry`):
///
/// ```ignore
/// struct OpenTelemetry;
///
/// impl TracePropagator for OpenTelemetry {
///     fn inject(&self, headers: &mut BTreeMap<String, String>) {
///         let context = tracing::Span::current().context();
///         let mut carrier = HashMap::new();
///         opentelemetry::global::get_text_map_propagator(|propagator| {
///             propagator.inject_context(&context, &mut carrier);
///         });
///         headers.extend(carrier);
///     }
///
///     fn adopt(&self, headers: &BTreeMap<String, String>, span: &tracing::Span) {
///         let carrier: HashMap<_, _> = headers.clone().into_iter().collect();
///         span.set_parent(opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&carrier)));
///     }
/// }
/// ```
pub trait TracePropagator: Send + Sync + 'static {
    /// Adds the headers of the tracer's current context to those of an event that is written, in the writer's task. Not
    /// called if the publisher has set a `traceparent` itself. If it adds none, the current [`TraceContext`] is added
    /// as without a propagator.
    fn inject(&self, headers: &mut BTreeMap<String, String>);

    /// Makes the context in an event's headers the parent of the span in which its handler is going to run.
    fn adopt(&self, headers: &BTreeMap<String, String>, span: &tracing::Span) {
        let _ = (headers, span);
    }
}

/// The propagator of an engine, if one is installed.
#[derive(Default)]
struct Propagation(OnceLock<Arc<dyn TracePropagator>>);

impl fmt::Debug for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Propagation").field("is_installed", &self.0.get().is_some()).finish()
    }
}

impl Database {
    /// Lets another tracer's contexts travel with the events of this database. Returns whether it was the first: an
    /// installed propagator stays.
    pub fn install_propagator(&self, propagator: impl TracePropagator) -> bool {
        self.shared().value::<Propagation>().0.set(Arc::new(propagator)).is_ok()
    }

    /// The propagator that is installed.
    pub fn propagator(&self) -> Option<Arc<dyn TracePropagator>> {
        self.shared().value::<Propagation>().0.get().cloned()
    }
}

/// The headers of an event that is being written, with the trace of its writer.
pub(crate) fn add_trace(database: &Database, mut headers: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if headers.contains_key(TRACEPARENT) {
        return headers;
    }
    if let Some(propagator) = database.propagator() {
        propagator.inject(&mut headers);
    }
    if !headers.contains_key(TRACEPARENT)
        && let Some(current) = TraceContext::current()
    {
        current.child().write_to(&mut headers);
    }
    headers
}
