//! The context of a trace.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::parse::{self, InvalidTraceParent};

/// The header that names the trace and the caller.
pub const TRACEPARENT: &str = "traceparent";

/// The header in which tracing systems keep what else they need.
pub const TRACESTATE: &str = "tracestate";

/// The one flag that version 00 defines.
const SAMPLED: u8 = 1;

/// Which trace a piece of work belongs to, and which part of the trace called for it.
///
/// ```
/// use tito_core::trace::TraceContext;
///
/// let context: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert_eq!(context.trace_id_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!(context.is_sampled());
///
/// let child = context.child();
/// assert_eq!(child.trace_id(), context.trace_id());
/// assert_ne!(child.parent_id(), context.parent_id());
/// # Ok::<_, tito_core::trace::InvalidTraceParent>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Not 0.
    trace_id: u128,
    /// Not 0.
    parent_id: u64,
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// A new, sampled trace with ids at random.
    pub fn new_root() -> Self {
        Self { trace_id: fastrand::u128(1..), parent_id: fastrand::u64(1..), flags: SAMPLED, state: None }
    }

    /// The context that this work passes on: the same trace, with a new caller.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { parent_id: fastrand::u64(1..), ..self.clone() }
    }

    /// Of the parts of a valid `traceparent`. Of the flags only the one is kept that version 00 defines, as the others
    /// are not to be passed on.
    pub(super) fn from_parts(trace_id: u128, parent_id: u64, flags: u8) -> Self {
        Self { trace_id, parent_id, flags: flags & SAMPLED, state: None }
    }

    /// With another sampling decision.
    #[must_use]
    pub fn sampled(mut self, sampled: bool) -> Self {
        self.flags = if sampled { SAMPLED } else { 0 };
        self
    }

    /// With the text of a `tracestate` header. One that is not well-formed, or longer than 512 bytes, is left out, as
    /// the specification asks.
    #[must_use]
    pub fn with_state(mut self, state: &str) -> Self {
        self.state = parse::is_trace_state(state).then(|| state.into());
        self
    }

    /// The context in an event's headers, or any headers with lower-case names: `None` if there is none, or none that
    /// is well-formed.
    pub fn from_headers(headers: &BTreeMap<String, String>) -> Option<Self> {
        let context: Self = headers.get(TRACEPARENT)?.parse().ok()?;
        Some(match headers.get(TRACESTATE) {
            Some(state) => context.with_state(state),
            None => context,
        })
    }

    /// Writes the context into headers.
    pub fn write_to(&self, headers: &mut BTreeMap<String, String>) {
        headers.insert(TRACEPARENT.to_string(), self.to_string());
        match &self.state {
            Some(state) => headers.insert(TRACESTATE.to_string(), state.to_string()),
            // One of another context must not stay.
            None => headers.remove(TRACESTATE),
        };
    }

    /// The trace's id. Never 0.
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The trace's id as logs and tracing systems show it: 32 hexadecimal digits.
    pub fn trace_id_text(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The id of the caller, which tracing systems call its span. Never 0.
    pub fn parent_id(&self) -> u64 {
        self.parent_id
    }

    /// The flags of `traceparent`.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether the caller may have recorded its part of the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The `tracestate` header.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// The `traceparent` header, in version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

/// Reads a `traceparent` header.
impl FromStr for TraceContext {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        parse::trace_parent(text.as_bytes())
    }
}
