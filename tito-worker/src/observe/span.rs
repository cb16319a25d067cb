//! The span round each run of a handler.

use tito_core::Database;
use tito_core::event::TitoEvent;
use tito_core::panics;
use tito_core::trace::TraceContext;
use tracing::Span;

/// Whether somebody may want the span.
pub(super) fn is_span_wanted() -> bool {
    tracing::enabled!(target: module_path!(), tracing::Level::INFO)
}

/// The span `tito.handle`. Its fields `outcome`, `error` and `otel.status_code` are filled in when the handler has ended.
pub(super) fn handle_span(
    topic: &str,
    partition: u16,
    event: &TitoEvent,
    trace: Option<&TraceContext>,
    database: &Database,
) -> Span {
    let span = tracing::info_span!(
        "tito.handle",
        topic,
        partition,
        event = %event.id,
        entity = event.entity,
        attempt = event.attempt(),
        trace_id = trace.map(TraceContext::trace_id_text),
        outcome = tracing::field::Empty,
        error = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    );
    // A look at the headers costs less than one for the propagator.
    if !event.headers.is_empty()
        && let Some(propagator) = database.propagator()
        && let Err(error) = panics::caught(|| propagator.adopt(&event.headers, &span))
    {
        tracing::error!(error, "a trace propagator panicked; the handler runs without its trace");
    }
    span
}
