//! What all stores of a manager share.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tito_core::clock::Clock;
use tito_core::event::event_id;
use tito_core::{Database, Timestamp, panics};
use tokio::task::JoinHandle;

use crate::logger::Logger;
use crate::types::Registry;

/// Makes ids of events.
pub(crate) type Ids = Arc<dyn Fn() -> String + Send + Sync>;

/// What all stores of a manager share. Every handle of one of them holds it.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Option<Ids>,
    pub(crate) types: Option<Registry>,
    pub(crate) logger: Logger,
    /// How many ids were made.
    pub(crate) made: AtomicU32,
    pub(crate) background: Background,
}

impl Shared {
    /// An id, and whether it is certain to be new.
    pub(super) fn next_id(&self, now_millis: u64) -> (String, bool) {
        match &self.ids {
            Some(ids) => (ids(), false),
            None => {
                let number = self.made.fetch_add(1, Ordering::Relaxed);
                (event_id(Timestamp::from_millis(now_millis), number, fastrand::u64(..)).to_string(), true)
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Owns a task. It ends with it.
#[derive(Debug, Default)]
pub(crate) struct Background(Mutex<Option<JoinHandle<()>>>);

impl Background {
    /// Begins the task unless it runs already.
    pub(crate) fn begin<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce() -> F) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One ends with the runtime that it was begun on.
        if running.as_ref().is_none_or(JoinHandle::is_finished) {
            *running = Some(tokio::spawn(task()));
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

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(task) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}
