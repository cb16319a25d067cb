//! Tasks that go on while nobody waits for them: of each it is known that it is there, and all can be waited for.
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// The tasks of a client, on the runtime that it was made on: what is dropped outside of one is cleaned up there too.
#[derive(Debug)]
pub(crate) struct Tasks {
    runtime: Handle,
    running: Mutex<Option<JoinSet<()>>>,
}

impl Tasks {
    /// Tasks on the runtime of the caller.
    pub(crate) fn here() -> Self {
        Tasks { runtime: Handle::current(), running: Mutex::new(Some(JoinSet::new())) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no task is started any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_none()
    }

    /// Starts a task; after the end it is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = self.lock().as_mut() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(task, &self.runtime);
        }
    }

    /// Starts none any more, waits for all so long, and ends the others.
    pub(crate) async fn close(&self, patience: Duration) {
        let tasks = self.lock().take();
        if let Some(mut tasks) = tasks {
            let _ = tokio::time::timeout(patience, async { while tasks.join_next().await.is_some() {} }).await;
            tasks.shutdown().await;
        }
    }
}
