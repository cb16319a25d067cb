//! Why a worker ended although nobody stopped it.

use crate::error::QueueError;

use super::report::WorkerReport;

/// A worker ended, or did not begin, although nobody asked it to.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the worker has ended though it was not stopped")]
#[non_exhaustive]
pub struct WorkerError {
    /// What it did until then. Anything not recorded is handed out again once the database is open.
    pub report: WorkerReport,
    /// Why: [`TitoError::EngineClosed`](tito_core::TitoError::EngineClosed) as a [`QueueError::Engine`], or what
    /// [`Worker::check`](super::Worker::check) found.
    #[source]
    pub source: QueueError,
}
