//! Trace context: which trace a piece of work belongs to, carried from publishers through events to handlers.
//!
//! [`TraceContext`] is that of the W3C's [Trace Context](https://www.w3.org/TR/trace-context/). Inside of
//! [`TraceContext::scope`] every event that is written gets the headers `traceparent` and `tracestate`; workers run each
//! handler in the scope of its event's context. A [`TracePropagator`] lets another tracer do both in its own way.
//!
//! | file | idea |
//! |---|---|
//! | `context` | the context and its headers |
//! | `parse` | `traceparent` and `tracestate`, read strictly |
//! | `current` | the context of the running task |
//! | `propagator` | other tracers |

mod context;
mod current;
mod parse;
mod propagator;

pub use context::{TRACEPARENT, TRACESTATE, TraceContext};
pub use parse::InvalidTraceParent;
pub use propagator::TracePropagator;
pub(crate) use propagator::add_trace;
