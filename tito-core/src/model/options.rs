//! Options of one write of a model.

use super::schema::TitoOperation;

/// What [`build_with_options`](super::TitoTable::build_with_options) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TitoOptions {
    pub(super) operation: TitoOperation,
    pub(super) events: bool,
}

impl TitoOptions {
    /// The operation, with the events that the model publishes.
    pub const fn with_events(operation: TitoOperation) -> Self {
        Self { operation, events: true }
    }

    /// The operation, without events: for imports and repairs.
    pub const fn without_events(operation: TitoOperation) -> Self {
        Self { operation, events: false }
    }
}
