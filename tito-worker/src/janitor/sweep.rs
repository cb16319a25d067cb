//! One sweep of a queue, step by step.

use std::ops::AddAssign;

use serde::Serialize;
use tito_core::database::{PageSize, Walk};
use tito_core::event::{Topic, topic_of};
use tito_core::row::StoredRow;
use tito_core::{Database, Result, TitoError, Transaction, TxOptions};

use crate::error::QueueError;
use crate::history::DoneWalk;
use crate::keys;
use crate::moved::Moved;
use crate::queue::TitoQueue;
use crate::unique::UniqueRow;

/// What a sweep deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Swept {
    /// Events that were done longer ago than their topic keeps them.
    pub done: u64,
    /// Keys of unique events whose window has ended.
    pub unique: u64,
    /// Notes of where events were moved that are not there any more.
    pub moved: u64,
}

impl Swept {
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.unique += other.unique;
        self.moved += other.moved;
    }
}

impl TitoQueue {
    /// Deletes, by the engine's time, what a queue has kept long enough: events that were done longer ago than the
    /// topic's history goes back, the keys of unique events of its topic whose window has ended, and notes of where events
    /// were moved that are gone. In transactions of
    /// at most 200 keys; where one meets another transaction it leaves the rest to the next sweep.
    ///
    /// A running [`Worker`](crate::Worker) does this by itself, about every 30 s for each of its queues. It is for
    /// programs without one.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`], [`QueueError::UnknownTopic`], [`QueueError::UnknownGroup`], and those of the engine; what was deleted by then stays deleted.
    pub async fn sweep_once(&self, queue: &str) -> Result<Swept, QueueError> {
        self.existing(queue).await?;
        let mut sweep = Sweep::new(queue);
        let mut total = Swept::default();
        while let Some(swept) = sweep.step(&self.engine).await? {
            total += swept;
        }
        Ok(total)
    }
}

/// A sweep under way.
pub(super) struct Sweep {
    queue: String,
    done: Option<DoneWalk>,
    unique: Option<Walk>,
    moved: Option<Walk>,
}

impl Sweep {
    pub(super) fn new(queue: &str) -> Self {
        let unique = Walk::over(keys::unique_events(topic_of(queue).0));
        let moved = Walk::over(keys::moved_events(queue));
        let done = DoneWalk::new(queue, None);
        Self { queue: queue.to_string(), done: Some(done), unique: Some(unique), moved: Some(moved) }
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// Begins anew with what was done, which takes two scans a partition where there is nothing to delete, and with the
    /// unique events and the notes once all of them were looked at, however long that takes.
    pub(super) fn look_again(&mut self) {
        let anew = Self::new(&self.queue);
        self.done = anew.done;
        self.unique = self.unique.take().or(anew.unique);
        self.moved = self.moved.take().or(anew.moved);
    }

    /// One transaction, and what it deleted; `None` at the end.
    pub(super) async fn step(&mut self, database: &Database) -> Result<Option<Swept>> {
        if let Some(walk) = self.done.take() {
            let (step, rest) = given_way(sweep_done(database, &self.queue, walk).await)?;
            self.done = rest;
            return Ok(Some(Swept { done: step, ..Swept::default() }));
        }
        if let Some(walk) = self.unique.take() {
            let (step, rest) = given_way(sweep_unique(database, walk).await)?;
            self.unique = rest;
            return Ok(Some(Swept { unique: step, ..Swept::default() }));
        }
        if let Some(walk) = self.moved.take() {
            let (step, rest) = given_way(sweep_moved(database, &self.queue, walk).await)?;
            self.moved = rest;
            return Ok(Some(Swept { moved: step, ..Swept::default() }));
        }
        Ok(None)
    }
}

/// Where another transaction was in the way, the rest is left to the next sweep.
fn given_way<T>(step: Result<(u64, Option<T>)>) -> Result<(u64, Option<T>)> {
    match step {
        Err(TitoError::RetriesExhausted { .. }) => Ok((0, None)),
        step => step,
    }
}

fn once() -> TxOptions {
    TxOptions::default().max_attempts(1)
}

async fn sweep_done(database: &Database, queue: &str, walk: DoneWalk) -> Result<(u64, Option<DoneWalk>)> {
    database
        .transaction_with(once(), |tx: Transaction| async move {
            let kept = Topic::read(&tx, topic_of(queue).0).await?.history_seconds;
            let first_kept = tx.now().seconds().saturating_sub_unsigned(kept).max(0);
            let mut walk = walk;
            let page = walk.page(&tx, 0..first_kept, PageSize::within(database.limits())).await?;
            let deleted = page.len() as u64;
            for (key, _) in page {
                tx.system_keys().delete(key).await?;
            }
            Ok((deleted, (deleted > 0).then_some(walk)))
        })
        .await
}

async fn sweep_unique(database: &Database, walk: Walk) -> Result<(u64, Option<Walk>)> {
    database
        .transaction_with(once(), |tx: Transaction| async move {
            let mut walk = walk;
            let now = tx.now().seconds();
            let mut deleted = 0;
            for (key, value) in walk.next_in(&tx).await?.unwrap_or_default() {
                match UniqueRow::decode(&key, &value) {
                    Ok(row) if row.is_in_force(now) => {}
                    Ok(_) => {
                        tx.system_keys().delete(key).await?;
                        deleted += 1;
                    }
                    Err(error) => database.log_damaged(&error, "left as it is"),
                }
            }
            Ok((deleted, (!walk.is_over()).then_some(walk)))
        })
        .await
}

/// Deletes the notes of events that are not where these say: whoever moves one again meets a conflict.
async fn sweep_moved(database: &Database, queue: &str, walk: Walk) -> Result<(u64, Option<Walk>)> {
    database
        .transaction_with(once(), |tx: Transaction| async move {
            let mut walk = walk;
            let (mut notes, mut places) = (Vec::new(), Vec::new());
            for (key, value) in walk.next_in(&tx).await?.unwrap_or_default() {
                let Some(id) = keys::parse_moved_event_id(&key) else { continue };
                match Moved::decode(&key, &value) {
                    Ok(moved) => {
                        notes.push(key);
                        places.push(moved.place(queue, id));
                    }
                    Err(error) => database.log_damaged(&error, "left as it is"),
                }
            }
            let mut deleted = 0;
            for (note, event) in notes.into_iter().zip(tx.batch_get(places).await?) {
                if event.is_none() {
                    tx.system_keys().delete(note).await?;
                    deleted += 1;
                }
            }
            Ok((deleted, (!walk.is_over()).then_some(walk)))
        })
        .await
}
