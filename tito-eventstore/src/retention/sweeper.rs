//! The task that keeps stores within their limits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tito_core::{Database, panics};
use tokio::task::JoinHandle;

use super::sweep;
use crate::logger::Logger;

/// How long the task rests between two looks at all stores, about: several processes should not look at once.
const PAUSE: Duration = Duration::from_secs(10);

/// Owns the task. It ends with it.
#[derive(Debug, Default)]
pub(crate) struct Sweeper(Mutex<Option<JoinHandle<()>>>);

impl Sweeper {
    /// Begins the task unless it runs already.
    pub(crate) fn begin(&self, database: &Database, logger: &Logger) {
        let mut task = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One ends with the runtime that it was begun on.
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(run(database.clone(), logger.clone())));
        }
    }

    /// Ends the task. A transaction that it is in is rolled back.
    pub(crate) async fn end(&self) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            // An error says that it was aborted, or has panicked before.
            let _ = task.await.map_err(panics::reason_of);
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(task) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

async fn run(database: Database, logger: Logger) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64())) => {}
            _ = database.closed() => return,
        }
        if let Err(error) = sweep(&database).await {
            if error.is_closed() {
                return;
            }
            logger.with(|| tracing::warn!(%error, "what event stores have too much of can't be dropped, trying later"));
        }
    }
}
