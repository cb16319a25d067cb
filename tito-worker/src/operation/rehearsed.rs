//! How much an operation would affect, found out without beginning it.

use serde::Serialize;
use tito_core::Result;
use tito_core::database::{PageSize, Walk};

use super::handle::Operations;
use super::task::{EventFilter, OperationTask};
use super::{letters, pending};
use crate::error::QueueError;
use crate::keys;

/// How many rows are read, and how many bytes about, where all of them are meant: how many there are at least is enough.
const MOST_OF_ALL: usize = 900;
const MOST_BYTES_OF_ALL: usize = 16 << 20;

/// How many rows, and how many bytes, where each has to be looked at.
const MOST_SEARCHED: usize = 100_000;
const MOST_BYTES_SEARCHED: usize = 256 << 20;

/// How many are read at a time, and how many bytes about.
const PAGE: usize = 300;
const PAGE_BYTES: usize = 1 << 20;

/// How much an operation would affect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rehearsed {
    /// How many events or dead letters.
    pub events: u64,
    /// Whether there may be more than were counted.
    pub at_least: bool,
}

impl Operations {
    /// How many events or dead letters an operation would affect if it were started now. `None` for tasks of which that
    /// can't be told: all but redrives and purges.
    ///
    /// Reads up to 900 rows of a queue if all of them are meant, otherwise up to 100,000, in pages that are each as one
    /// snapshot shows them.
    ///
    /// # Errors
    /// Those that [`start`](Operations::start) has for queues, and those of the engine.
    pub async fn rehearse(&self, task: &OperationTask) -> Result<Option<Rehearsed>, QueueError> {
        self.check(task).await?;
        let (range, filter, chooses): (_, _, fn(&[u8], &[u8], i64, &EventFilter) -> bool) = match task {
            OperationTask::Redrive { queue, letters, .. } => {
                (keys::dead_events(queue), letters, |key, value, latest, filter| {
                    letters::redriven(key, value, latest, filter).is_some_and(|event| event.is_some())
                })
            }
            OperationTask::PurgeDeadLetters { queue, letters } => {
                (keys::dead_events(queue), letters, letters::is_purged)
            }
            OperationTask::Purge { queue, events } => (keys::events_of_queue(queue), events, pending::is_purged),
            OperationTask::Replay { .. }
            | OperationTask::Reindex { .. }
            | OperationTask::Rebuild { .. }
            | OperationTask::Resume
            | OperationTask::Named { .. } => return Ok(None),
        };
        let (most, most_bytes) =
            if filter.is_all() { (MOST_OF_ALL, MOST_BYTES_OF_ALL) } else { (MOST_SEARCHED, MOST_BYTES_SEARCHED) };
        let engine = &self.queue.engine;
        let (mut counted, mut read, mut bytes) = (Rehearsed::default(), 0, 0);
        let mut walk = Walk::over(range).in_pages(PageSize::entries(PAGE).and_bytes(PAGE_BYTES)).looking_ahead();
        while let Some((page, now)) = walk.next(engine).await? {
            for (key, value) in &page {
                counted.events += u64::from(chooses(key, value, now.seconds(), filter));
                bytes += key.len() + value.len();
            }
            read += page.len();
            counted.at_least = !walk.is_over();
            if read >= most || bytes >= most_bytes {
                break;
            }
        }
        Ok(Some(counted))
    }
}
