//! Starts operations, lists and stops them, and waits for their end.

use std::time::Duration;

use tito_core::database::PageSize;
use tito_core::engine::{Direction, Signal};
use tito_core::event::{check_queue_name, event_id, topic_of};
use tito_core::keys::KeyRange;
use tito_core::model::Catalogue;
use tito_core::row::{self, StoredRow};
use tito_core::{Database, Result, TitoError, Transaction};
use uuid::Uuid;

use super::background::CHANNEL;
use super::info::{OperationInfo, OperationState};
use super::registered::OperationTypes;
use super::row::OperationRow;
use super::step::{Next, Stepper, end};
use super::task::{Operation, OperationTask};
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;

/// How many rows are counted when an operation is begun, of how many bytes, and how many of these are read at a time.
const COUNTED: usize = 900;
const COUNTED_BYTES: usize = 16 << 20;
const COUNTED_PAGE_BYTES: usize = 1 << 20;

/// How often the row of one that is waited for is read.
const LOOK: Duration = Duration::from_millis(200);

/// The operations of a database: long tasks that an operator has started.
///
/// An operation is a row that any running worker of the database carries out, step by step, one worker at a time: if
/// its worker dies, another continues where it was, and it ends when it is stopped. It is kept for a week after its
/// end.
#[derive(Clone, Debug)]
pub struct Operations {
    pub(super) queue: TitoQueue,
}

impl TitoQueue {
    /// The operations of the database.
    pub fn operations(&self) -> Operations {
        Operations { queue: self.clone() }
    }
}

impl OperationTask {
    /// The queues that it reads and writes.
    pub(super) fn queues(&self) -> Vec<&str> {
        match self {
            Self::Redrive { queue, .. } | Self::PurgeDeadLetters { queue, .. } | Self::Purge { queue, .. } => {
                vec![queue]
            }
            Self::Replay { from, into, .. } => vec![from, into],
            Self::Reindex { .. } | Self::Rebuild { .. } | Self::Resume | Self::Named { .. } => Vec::new(),
        }
    }

    /// What it goes over.
    fn range(&self) -> Option<KeyRange> {
        match self {
            Self::Redrive { queue, .. } | Self::PurgeDeadLetters { queue, .. } => Some(keys::dead_events(queue)),
            Self::Purge { queue, .. } => Some(keys::events_of_queue(queue)),
            Self::Replay { from, .. } => Some(keys::done_events(from)),
            Self::Reindex { table, .. } => Some(tito_core::keys::rows(table)),
            Self::Rebuild { .. } | Self::Resume | Self::Named { .. } => None,
        }
    }
}

impl Operations {
    /// Starts an operation and returns its id. Workers of this process begin at once, others within five seconds. Costs
    /// a count of up to 900 of the rows that it goes over, of at most 16 MiB or one row more.
    ///
    /// ```
    /// # use tito_core::event::Rate;
    /// # use tito_worker::prelude::*;
    /// # use tito_worker::{EventFilter, Operation, OperationTask, Operator, QueueError};
    /// # async fn example(queue: TitoQueue) -> Result<(), QueueError> {
    /// let letters = EventFilter { error: Some("connection refused".to_string()), ..EventFilter::default() };
    /// let redrive = OperationTask::Redrive { queue: "mail".to_string(), letters, in_order: false };
    /// let operator = Operator::new("ada").why("the relay is back");
    /// let id = queue.operations().start(Operation::new(redrive, &operator).rate(Rate::per_second(5))).await?;
    /// let info = queue.operations().wait(id).await?;
    /// println!("{} of {} searched, {} redriven", info.searched, info.at_least, info.done);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::InvalidName`], [`QueueError::UnknownTopic`], [`QueueError::UnknownGroup`] for its queues,
    /// [`TitoError::InvalidIndex`] for a table that no program has written yet, [`TitoError::Unserializable`] for an
    /// input that could be written and not read again, such as one that is nested about 127 deep, and those of the engine.
    pub async fn start(&self, operation: Operation) -> Result<Uuid, QueueError> {
        let Operation { task, who, why, rate } = operation;
        self.check(&task).await?;
        if let OperationTask::Reindex { table, index } = &task {
            check_catalogued(&self.queue.engine, table, index).await?;
        }
        let counted = match task.range() {
            None => 0,
            Some(range) => count(&self.queue.engine, range).await?,
        };
        let what = "the task of an operation";
        let written = row::raw_checked(what, &task)?;
        // It is read again now: a worker that can't would leave it to others, and it would wait for ever.
        row::check_readable::<OperationTask>(what, written.get().as_bytes())?;
        let (shown_who, shown_why) = (who.clone(), why.clone());
        let start = self.queue.engine.transaction(|tx| async move {
            let id = event_id(tx.start_timestamp(), tx.next_event_number(), fastrand::u64(..));
            let now = tx.now();
            let row = OperationRow {
                who,
                why,
                task: written,
                rate,
                state: OperationState::Waiting,
                failure: None,
                cursor: None,
                done: 0,
                searched: 0,
                at_least: counted,
                skipped: 0,
                steps: 0,
                started_at: now.seconds(),
                latest: (tx.start_timestamp().physical_millis() / 1_000) as i64,
                changed_at: now.seconds(),
                ended_at: None,
                next_millis: 0,
                stepper: None,
                held_until_millis: 0,
                unknown: Default::default(),
            };
            tx.system_keys().insert(keys::operation(id), row.encode()?).await?;
            tx.signal(Signal { channel: CHANNEL.into(), number: 0, payload: Vec::new() });
            Ok(id)
        });
        let id = Box::pin(start).await?;
        tracing::info!(operation = %id, who = shown_who, why = shown_why, ?task, ?rate, "an operation was begun");
        Ok(id)
    }

    /// Refuses queues that there are not.
    pub(super) async fn check(&self, task: &OperationTask) -> Result<(), QueueError> {
        for queue in task.queues() {
            check_queue_name(queue)?;
            self.queue.existing(queue).await?;
        }
        if let OperationTask::Replay { from, into, .. } = task
            && topic_of(from).0 != topic_of(into).0
        {
            let (name, reason) = (into.clone(), "it belongs to another topic");
            return Err(TitoError::InvalidName { what: "queue to replay into", name, reason }.into());
        }
        Ok(())
    }

    /// Up to `limit` operations, latest first, before the one named `before`. An operation whose row can't be read is
    /// left out, and logged with its key.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn list(&self, limit: usize, before: Option<Uuid>) -> Result<Vec<OperationInfo>, QueueError> {
        let all = keys::operations();
        let mut rest = match before {
            None => all,
            Some(before) => all.intersection(KeyRange::new(Vec::new(), keys::operation(before))),
        };
        let mut found = Vec::new();
        // Fewer than were asked for are all that there are, so what is left out is made up for.
        while found.len() < limit {
            let (range, missing) = (rest.clone(), limit - found.len());
            let read = |tx: Transaction| async move { tx.scan_reverse(range, missing).await };
            let rows = self.queue.engine.transaction(read).await?;
            let Some((last, _)) = rows.last() else { break };
            rest = rest.before(last);
            for (key, bytes) in rows {
                let Some(id) = keys::parse_operation(&key) else { continue };
                match OperationRow::decode(&key, &bytes) {
                    Ok(row) => found.push(OperationInfo::of(id, row)),
                    Err(error) => self.queue.engine.log_damaged(&error, "an operation can't be read and is left out"),
                }
            }
        }
        Ok(found)
    }

    /// An operation as it is stored.
    ///
    /// # Errors
    /// [`QueueError::UnknownOperation`], [`TitoError::Malformed`], and those of the engine.
    pub async fn get(&self, id: Uuid) -> Result<OperationInfo, QueueError> {
        let key = &keys::operation(id);
        let stored = self.queue.engine.transaction(|tx| async move { tx.get(key).await }).await?;
        let stored = stored.ok_or(QueueError::UnknownOperation { id })?;
        Ok(OperationInfo::of(id, OperationRow::decode(key, &stored)?))
    }

    /// Stops an operation. What it has done by then stays done; dead letters that it has already made due within the
    /// next ten seconds stay due. Returns whether it had not ended yet.
    ///
    /// # Errors
    /// Those of [`get`](Operations::get).
    pub async fn stop(&self, id: Uuid) -> Result<bool, QueueError> {
        self.get(id).await?;
        let is_stopped = end(&self.queue, id, OperationState::Stopped, None).await?;
        if is_stopped {
            tracing::info!(operation = %id, "an operation was stopped");
        }
        Ok(is_stopped)
    }

    /// Waits until an operation has ended, or the engine is closed. Without a worker to carry it out, that is never:
    /// see [`run`](Operations::run). To limit the time, drop it.
    ///
    /// # Errors
    /// Those of [`get`](Operations::get).
    pub async fn wait(&self, id: Uuid) -> Result<OperationInfo, QueueError> {
        loop {
            let info = self.get(id).await?;
            if info.state.has_ended() {
                return Ok(info);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                closed = self.queue.engine.closed() => return Err(closed.into()),
            }
        }
    }

    /// Carries out an operation here, for programs without a worker, until it has ended. Dropping the future leaves the
    /// operation where it is: to be run again, continued by a worker, or stopped. If a worker already has it, this
    /// waits for its turn.
    ///
    /// # Errors
    /// [`QueueError::UnknownStep`] for an operation that only an application can carry out, by
    /// [`Worker::run_operation`](crate::Worker::run_operation); otherwise those of [`get`](Operations::get).
    pub async fn run(&self, id: Uuid) -> Result<OperationInfo, QueueError> {
        self.run_with(id, OperationTypes::default()).await
    }

    /// As [`run`](Operations::run), with what an application has registered.
    pub(crate) async fn run_with(&self, id: Uuid, registered: OperationTypes) -> Result<OperationInfo, QueueError> {
        self.get(id).await?;
        let mut stepper = Stepper::new(self.queue.clone(), registered);
        let clock = self.queue.engine.clock();
        loop {
            match stepper.step(id).await? {
                Next::Step => {}
                Next::Ended => return self.get(id).await,
                Next::Unknown => return Err(QueueError::UnknownStep { id }),
                Next::At(until) | Next::Held(until) => {
                    let left = until.saturating_sub(self.queue.engine.now().await?.millis()).clamp(1, 1_000);
                    tokio::select! {
                        () = clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(left)) => {}
                        closed = self.queue.engine.closed() => return Err(closed.into()),
                    }
                }
            }
        }
    }
}

/// Nobody would ever take up what a slip of the pen has begun.
async fn check_catalogued(database: &Database, table: &str, index: &str) -> Result<()> {
    tito_core::check_name("table", table)?;
    let found = database.transaction(|tx| async move { Catalogue::read(&tx, table).await }).await?;
    let reason = "no program has written the table yet";
    let unknown = || TitoError::InvalidIndex { table: table.to_string(), index: index.to_string(), reason };
    found.map(drop).ok_or_else(unknown)
}

/// How many rows there are at least. Rows are large, so they are read in pages, each at its own snapshot.
async fn count(database: &Database, mut rest: KeyRange) -> Result<u64> {
    let (mut rows, mut bytes) = (0, 0);
    while rows < COUNTED && bytes < COUNTED_BYTES {
        let size = PageSize::entries(COUNTED - rows).and_bytes(COUNTED_PAGE_BYTES);
        let page = database.snapshot().await?.next_page(rest.clone(), Direction::Ascending, size).await?;
        let Some((last, _)) = page.last() else { break };
        rest = rest.after(last);
        rows += page.len();
        bytes += page.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    }
    Ok(rows as u64)
}
