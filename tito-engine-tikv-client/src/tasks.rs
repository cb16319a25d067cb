//! The tasks that the engine owns: commits and clean-ups that go on when their caller is gone.

use std::future::{Future, poll_fn};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::deadline::{Deadline, Passed};

/// The running tasks. Each holds the engine's core, so they are never aborted by dropping the engine; only the end of
/// the runtime ends them early.
#[derive(Debug)]
pub(super) struct Tasks {
    runtime: Handle,
    running: Mutex<JoinSet<()>>,
    /// Held by who waits for all of them: the set wakes one waiter only.
    joining: tokio::sync::Mutex<()>,
}

impl Tasks {
    /// Tasks on the runtime of the caller. A transaction may be dropped outside of it, and still be cleaned up.
    pub(super) fn here() -> Self {
        Self { runtime: Handle::current(), running: Mutex::default(), joining: tokio::sync::Mutex::default() }
    }

    /// Starts a task, and gives its answer to whoever still waits for it.
    pub(super) fn start<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended is dropped here, so that the set does not grow with the number of commits.
        while running.try_join_next().is_some() {}
        running.spawn_on(
            async move {
                // Whoever asked may have gone.
                let _ = reply.send(task.await);
            },
            &self.runtime,
        );
        answer
    }

    /// Waits for all tasks, also those that start meanwhile. Past the deadline they go on by themselves.
    pub(super) async fn join(&self, deadline: Deadline) -> Result<(), Passed> {
        let ended = async {
            let _joining = self.joining.lock().await;
            poll_fn(|context| {
                let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    match running.poll_join_next(context) {
                        Poll::Ready(Some(_)) => {}
                        Poll::Ready(None) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await;
        };
        deadline.bound(ended).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_task_ends_though_nobody_waits_for_its_answer() {
        let tasks = Tasks::here();
        let (begin, ended) = (Arc::new(Notify::new()), Arc::new(Mutex::new(false)));
        let (beginning, ending) = (begin.clone(), ended.clone());
        drop(tasks.start(async move {
            beginning.notified().await;
            *ending.lock().unwrap() = true;
        }));
        assert_eq!(tasks.join(Deadline::after(Duration::ZERO)).await, Err(Passed));
        begin.notify_one();
        tasks.join(Deadline::after(Duration::from_secs(60))).await.unwrap();
        assert!(*ended.lock().unwrap());
    }

    #[tokio::test]
    async fn all_who_wait_for_the_tasks_are_told_of_their_end() {
        let tasks = Tasks::here();
        let begin = Arc::new(Notify::new());
        let beginning = begin.clone();
        drop(tasks.start(async move { beginning.notified().await }));
        let joined = || tasks.join(Deadline::after(Duration::from_secs(5)));
        let (one, other, ()) = tokio::join!(joined(), joined(), async {
            tokio::task::yield_now().await;
            begin.notify_one();
        });
        assert_eq!((one, other), (Ok(()), Ok(())));
    }

    #[tokio::test]
    async fn ended_tasks_are_dropped() {
        let tasks = Tasks::here();
        for _ in 0..100 {
            tasks.start(async {}).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(tasks.running.lock().unwrap().len() < 10);
    }
}
