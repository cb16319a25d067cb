//! Why a worker has ended that nobody has stopped.

use crate::error::QueueError;

use super::report::WorkerReport;

/// A worker has ended, or has not begun, though nobody asked it to.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the worker has ended though it was not stopped")]
#[non_exhaustive]
pub struct WorkerError {
    /// What it did until then. What was not recorded is handed out again once the database is open.
    pub report: WorkerReport,
    /// Why: [`TitoError::EngineClosed`](tito_core::TitoError::EngineClosed) as a [`QueueError::Engine`], or what [`Worker::check`](super::Worker::check) has found.
    #[source]
    pub source: QueueError,
}
