//! Models that follow a store.
//!
//! | file | idea |
//! |---|---|
//! | `options` | what is watched, and how |
//! | `follow` | the task that does so |

mod follow;
mod options;

use std::fmt;

use tito_core::{TitoError, panics};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::follow::{Attempts, Follower};
pub use self::options::{OnError, Watch, WatchError};
use crate::domain::Evolver;
use crate::error::Result;
use crate::read::{Cursor, Wait, fold_all};
use crate::store::EventStore;

/// A model that follows a store until it is stopped. Dropping it ends it at once.
#[must_use]
pub struct Watcher<M> {
    stop: watch::Sender<bool>,
    position: watch::Receiver<u64>,
    /// None once it was taken by `stop`.
    task: Option<JoinHandle<Result<M>>>,
}

impl EventStore {
    /// Makes a model follow the store. It evolves by the selected events that exist, before this returns unless
    /// [`no_wait`](Watch::no_wait) says otherwise, and then by new ones as they come. A page of events is read when the
    /// model has evolved by the previous ones, so a slow model blocks nobody and costs no memory.
    ///
    /// A [`Model`](crate::Model) can be looked at meanwhile, through a clone.
    ///
    /// ```
    /// # use tito_core::{BoxError, prelude::*};
    /// use tito_eventstore::{Event, EventStore, EventStoreError, Evolver, Model, Watch};
    ///
    /// #[derive(Default)]
    /// struct Count(u64);
    ///
    /// impl Evolver for Count {
    ///     fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
    ///         self.0 += 1;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # async fn example(bank: EventStore) -> Result<(), EventStoreError> {
    /// let count = Model::new(Count::default());
    /// let watcher = bank.watch(count.clone(), Watch::filter("account").on_error(|error| eprintln!("{error}"))).await?;
    /// println!("{} events so far", count.with(|count| count.0));
    /// watcher.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A model with snapshots begins with the latest one, as with [`evolve`](EventStore::evolve), so it should not have
    /// evolved by anything yet. A watcher takes no snapshots.
    ///
    /// # Errors
    /// Those of catching up, as of [`evolve`](EventStore::evolve), unless the watch's [handler](Watch::on_error) says
    /// to go on; with [`no_wait`](Watch::no_wait) only those of beginning with a snapshot. [`Watcher::stop`] returns
    /// later ones.
    pub async fn watch<M>(&self, mut model: M, watch: impl Into<Watch> + Send) -> Result<Watcher<M>>
    where
        M: Evolver + Send + 'static,
    {
        let watch = watch.into();
        // Before anything is read, so that no append is missed.
        let wait = Wait::new(self);
        let mut cursor = Cursor::new(self, &watch.select)?;
        let start = self.start(&mut model, &watch.select).await?;
        cursor.begin(&start);
        if watch.catches_up && watch.on_error.is_none() {
            fold_all(&mut cursor, &mut model).await?;
            cursor.extend();
        }
        let (stop, stopped) = watch::channel(false);
        let (reached, position) = watch::channel(cursor.position());
        let attempts = Attempts::default();
        let mut follower = Follower { cursor, wait, model, watch, stopped, reached, attempts };
        if follower.watch.catches_up && follower.watch.on_error.is_some() {
            follower.catch_up().await?;
        }
        Ok(Watcher { stop, position, task: Some(tokio::spawn(follower.run())) })
    }
}

impl<M> Watcher<M> {
    /// The sequence up to which the model has evolved by everything that is selected.
    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Waits until the model has evolved by everything up to a sequence, such as that of an append, and returns true;
    /// false if the watcher ended first.
    pub async fn reached(&self, sequence: u64) -> bool {
        self.position.clone().wait_for(|position| *position >= sequence).await.is_ok()
    }

    /// Lets the model evolve by everything that was appended before this call, and returns it.
    ///
    /// # Errors
    /// Why the watcher ended earlier: an event that can't be read or folded, without an error handler or because that
    /// said so; or an error that a retry can't fix, such as a closed engine. Also that of an engine that is unavailable
    /// for some seconds.
    pub async fn stop(mut self) -> Result<M> {
        // An error means that it has ended.
        let _ = self.stop.send(true);
        let ended = |reason: String| TitoError::EngineClosed { reason };
        let Some(task) = self.task.as_mut() else { return Err(ended("the watcher was stopped".to_string()).into()) };
        let outcome = task.await;
        self.task = None;
        outcome.map_err(|error| ended(format!("the task of the watcher has ended: {}", panics::reason_of(error))))?
    }
}

impl<M> Drop for Watcher<M> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl<M> fmt::Debug for Watcher<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("position", &self.position()).finish_non_exhaustive()
    }
}
