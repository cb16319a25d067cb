//! Why folding has stopped, and where.

use tito_core::TitoError;

use crate::error::EventStoreError;

/// A model could not be folded to the end of the selection. It is as the last event left it, and folding can continue
/// from there: `Select::…after(error.last_sequence)`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the model has evolved only up to event {last_sequence}")]
#[non_exhaustive]
pub struct EvolveError {
    /// The sequence of the last event that was folded, or the one after which folding began if there was none.
    pub last_sequence: u64,
    /// What came after it.
    pub source: EventStoreError,
}

impl EvolveError {
    pub(crate) fn at(last_sequence: u64, source: EventStoreError) -> Self {
        Self { last_sequence, source }
    }

    /// Whether the same call can succeed later: as [`EventStoreError::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        self.source.is_retryable()
    }
}

impl From<EvolveError> for EventStoreError {
    /// Why, without where.
    fn from(error: EvolveError) -> Self {
        error.source
    }
}

impl From<EvolveError> for TitoError {
    fn from(error: EvolveError) -> Self {
        error.source.into()
    }
}
