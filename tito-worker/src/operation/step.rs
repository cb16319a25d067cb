//! One step of an operation.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde_json::Value;
use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::event::check_queue_name;
use tito_core::keys::KeyRange;
use tito_core::row::{self, StoredRow};
use tito_core::{Now, Result, TitoError, Transaction};
use uuid::Uuid;

use super::cursor;
use super::info::OperationState;
use super::named::{NamedStep, Stepped};
use super::registered::OperationTypes;
use super::replayed::Taken;
use super::row::{OperationRow, Progress, Wait};
use super::task::OperationTask;
use super::{letters, pending, replayed, resumed};
use crate::keys;
use crate::queue::TitoQueue;

/// How often a long step of an application says that it goes on.
const HOLD_EVERY: Duration = Duration::from_secs(3);

/// Between two attempts to note what such a step has done.
const NOTE_PAUSE: Duration = Duration::from_millis(200);

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next step.
    Step,
    /// Nothing before this time, in milliseconds, as its rate says.
    At(u64),
    /// Another steps it, and is to be left alone until this time, in milliseconds.
    Held(u64),
    /// Nothing any more.
    Ended,
    /// It is for a worker that knows it.
    Unknown,
}

impl From<Wait> for Next {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Rate(until) => Self::At(until),
            Wait::Other(until) => Self::Held(until),
        }
    }
}

/// Steps operations, one at a time.
pub(super) struct Stepper {
    pub(super) queue: TitoQueue,
    pub(super) me: Uuid,
    pub(super) registered: OperationTypes,
    /// What is not replayed, once this one has taken a replay up.
    taken: Option<(Uuid, Taken)>,
}

/// What is stored of an operation that may be stepped now.
pub(super) enum Turn {
    Step(Box<OperationRow>, OperationTask),
    Not(Next),
}

impl Stepper {
    pub(super) fn new(queue: TitoQueue, registered: OperationTypes) -> Self {
        Self { queue, me: Uuid::from_u128(fastrand::u128(..)), registered, taken: None }
    }

    /// Another of the same worker, for a task that waits long.
    pub(super) fn beside(&self) -> Self {
        Self { queue: self.queue.clone(), me: self.me, registered: self.registered.clone(), taken: None }
    }

    /// Whether a step may take long, and when it may be made: one for which the application is needed and is there, and that
    /// of a replay, which reads the whole queue first.
    pub(super) fn takes_long(&self, row: &OperationRow, now: Now) -> Option<Next> {
        match serde_json::from_str(row.task.get()).ok()? {
            OperationTask::Named { name, .. } => drop(self.registered.named.get(&name)?),
            OperationTask::Reindex { table, index } => drop(self.registered.model(&table, &index)?),
            OperationTask::Rebuild { store, projection } => drop(self.registered.projection(&store, &projection)?),
            OperationTask::Replay { .. } => {}
            _ => return None,
        }
        Some(row.waits(self.me, now).map_or(Next::Step, Next::from))
    }

    /// Makes a step. What can't be done makes the operation fail.
    ///
    /// # Errors
    /// Those of the engine: the same step is to be tried again.
    pub(super) async fn step(&mut self, id: Uuid) -> Result<Next> {
        let stepped = match self.read(id).await? {
            Turn::Not(next) => Ok(next),
            Turn::Step(_, OperationTask::Named { name, input }) => self.step_named(id, &name, input).await,
            Turn::Step(row, OperationTask::Reindex { table, index }) => {
                self.step_reindex(id, &row, &table, &index).await
            }
            Turn::Step(row, OperationTask::Rebuild { store, projection }) => {
                self.step_rebuild(id, &row, &store, &projection).await
            }
            Turn::Step(_, task) => match self.prepare(id, &task).await {
                Ok(None) => self.step_built_in(id, &task).await,
                Ok(Some(next)) => Ok(next),
                Err(error) => Err(error),
            },
        };
        let stepped = match stepped {
            Err(error) if !error.is_transient() => {
                self.end(id, OperationState::Failed, Some(error.to_string())).await?;
                tracing::warn!(operation = %id, %error, "an operation has failed");
                Ok(Next::Ended)
            }
            stepped => stepped,
        };
        if stepped.as_ref().is_ok_and(|next| *next == Next::Ended) {
            self.taken = None;
        }
        stepped
    }

    async fn read(&self, id: Uuid) -> Result<Turn> {
        let me = self.me;
        self.queue.engine.transaction(|tx| async move { turn(&tx, id, me).await }).await
    }

    /// Reads what a replay passes over. Returns what comes next where there is no step to be made after that.
    async fn prepare(&mut self, id: Uuid, task: &OperationTask) -> Result<Option<Next>> {
        let OperationTask::Replay { from, into, since, until, .. } = task else { return Ok(None) };
        if self.taken.as_ref().is_some_and(|(of, _)| *of == id) {
            return Ok(None);
        }
        for queue in task.queues() {
            check_queue_name(queue)?;
        }
        // Before it reads all that, so that no other does too.
        let row = match self.hold(id).await? {
            Turn::Not(next) => return Ok(Some(next)),
            Turn::Step(row, _) => row,
        };
        let read = Box::pin(Taken::read(&self.queue.engine, &row, (from, into), *since..*until));
        let taken = match self.while_held(id, read).await {
            Ok(taken) => taken?,
            Err(next) => return Ok(Some(next)),
        };
        self.taken = Some((id, taken));
        Ok(None)
    }

    /// Waits for what takes long, and says meanwhile that it goes on, so that no other begins. It is dropped where it
    /// waits, with what comes next, when the operation was stopped, or taken over by another that took this for dead.
    pub(super) async fn while_held<T>(&self, id: Uuid, running: impl Future<Output = T>) -> Result<T, Next> {
        let mut running = pin!(running);
        loop {
            tokio::select! {
                ended = &mut running => return Ok(ended),
                () = tokio::time::sleep(HOLD_EVERY) => match self.hold(id).await {
                    Ok(Turn::Not(next)) => return Err(next),
                    Ok(Turn::Step(..)) => {}
                    Err(error) => tracing::warn!(operation = %id, %error, "it could not be recorded that a step is still running"),
                },
            }
        }
    }

    async fn step_built_in(&mut self, id: Uuid, task: &OperationTask) -> Result<Next> {
        let (me, none) = (self.me, Taken::default());
        let taken = self.taken.as_ref().filter(|(of, _)| *of == id).map_or(&none, |(_, taken)| taken);
        let step = self.queue.engine.transaction(|tx| async move {
            let mut row = match turn(&tx, id, me).await? {
                Turn::Not(next) => return Ok((next, Vec::new())),
                Turn::Step(row, _) => row,
            };
            row.hold(me, tx.now());
            let (progress, replayed) = work(&tx, &row, task, taken).await?;
            let count = progress.done;
            row.note_at_rate(progress, count, tx.now());
            let next = after(&row, tx.now().millis());
            tx.system_keys().put(keys::operation(id), row.encode()?).await?;
            Ok((next, replayed))
        });
        // On the heap, as it holds what each of the tasks needs.
        let (next, replayed) = Box::pin(step).await?;
        if let Some((_, taken)) = &mut self.taken {
            taken.extend(replayed);
        }
        Ok(next)
    }

    /// Whoever takes it up first says so, and says so again while its step runs, so that no other begins.
    async fn step_named(&self, id: Uuid, name: &str, input: Value) -> Result<Next> {
        let Some(step) = self.registered.named.get(name) else { return Ok(Next::Unknown) };
        let (cursor, key, rate) = match self.hold(id).await? {
            Turn::Not(next) => return Ok(next),
            Turn::Step(row, _) => (row.cursor.clone(), format!("operation {id} step {}", row.steps), row.rate),
        };
        let running = step(NamedStep { database: self.queue.engine.clone(), input, cursor, key, rate });
        let stepped = match self.while_held(id, running).await {
            Ok(stepped) => stepped,
            Err(next) => return Ok(next),
        };
        let Stepped { cursor, done } = stepped.map_err(|error| match error.downcast::<TitoError>() {
            Ok(error) => *error,
            Err(error) => TitoError::Application(error.into()),
        })?;
        let progress = Progress { done, searched: done, skipped: 0, cursor };
        loop {
            match self.note_named(id, &progress).await {
                // What was done is not done again because it could not be noted at once.
                Err(error) if error.is_transient() && error.is_not_committed() && !error.is_closed() => {
                    tracing::warn!(operation = %id, %error, "the progress of an operation could not be recorded, trying again");
                    tokio::time::sleep(NOTE_PAUSE).await;
                }
                noted => return noted,
            }
        }
    }

    async fn note_named(&self, id: Uuid, progress: &Progress) -> Result<Next> {
        let me = self.me;
        let note = self.queue.engine.transaction(|tx| async move {
            let mut row = match turn(&tx, id, me).await? {
                Turn::Not(next) => return Ok(next),
                Turn::Step(row, _) => row,
            };
            row.hold(me, tx.now());
            row.steps += 1;
            row.note(progress.clone(), tx.now());
            let next = after(&row, tx.now().millis());
            let written = row.encode()?;
            // A cursor of the application's that can't be read again would make the row one that nobody can step or stop.
            row::check_readable::<OperationRow>("the cursor of an operation", &written)?;
            tx.system_keys().put(keys::operation(id), written).await?;
            Ok(next)
        });
        note.await
    }

    pub(super) async fn hold(&self, id: Uuid) -> Result<Turn> {
        let me = self.me;
        let hold = self.queue.engine.transaction(|tx| async move {
            let turn = turn(&tx, id, me).await?;
            let Turn::Step(mut row, task) = turn else { return Ok(turn) };
            row.hold(me, tx.now());
            tx.system_keys().put(keys::operation(id), row.encode()?).await?;
            Ok(Turn::Step(row, task))
        });
        hold.await
    }

    pub(super) async fn end(&self, id: Uuid, state: OperationState, failure: Option<String>) -> Result<bool> {
        end(&self.queue, id, state, failure).await
    }
}

/// Ends an operation that has not ended. Returns whether it has by this.
pub(super) async fn end(queue: &TitoQueue, id: Uuid, state: OperationState, failure: Option<String>) -> Result<bool> {
    let failure = &failure;
    let end = queue.engine.transaction(|tx| async move {
        let key = keys::operation(id);
        let Some(bytes) = tx.get(&key).await? else { return Ok(false) };
        let mut row = OperationRow::decode(&key, &bytes)?;
        if row.state.has_ended() {
            return Ok(false);
        }
        row.end(state, failure.clone(), tx.now());
        tx.system_keys().put(key, row.encode()?).await?;
        Ok(true)
    });
    end.await
}

pub(super) async fn turn(tx: &Transaction, id: Uuid, me: Uuid) -> Result<Turn> {
    let key = keys::operation(id);
    let Some(bytes) = tx.get(&key).await? else { return Ok(Turn::Not(Next::Ended)) };
    let row = OperationRow::decode(&key, &bytes)?;
    if row.state.has_ended() {
        return Ok(Turn::Not(Next::Ended));
    }
    if let Some(wait) = row.waits(me, tx.now()) {
        return Ok(Turn::Not(wait.into()));
    }
    Ok(match serde_json::from_str(row.task.get()) {
        Ok(task) => Turn::Step(Box::new(row), task),
        Err(_) => Turn::Not(Next::Unknown),
    })
}

pub(super) fn after(row: &OperationRow, now_millis: u64) -> Next {
    match row.next_millis {
        _ if row.state.has_ended() => Next::Ended,
        next if next > now_millis => Next::At(next),
        _ => Next::Step,
    }
}

/// Returns the ids of what was replayed as well.
async fn work(
    tx: &Transaction,
    row: &OperationRow,
    task: &OperationTask,
    taken: &Taken,
) -> Result<(Progress, Vec<Uuid>)> {
    // Rows can be written by hand.
    for queue in task.queues() {
        check_queue_name(queue)?;
    }
    let progress = match task {
        OperationTask::Redrive { queue, letters, in_order } => {
            letters::redrive(tx, row, queue, letters, *in_order).await
        }
        OperationTask::PurgeDeadLetters { queue, letters } => letters::purge(tx, row, queue, letters).await,
        OperationTask::Purge { queue, events } => pending::purge(tx, row, queue, events).await,
        OperationTask::Replay { from, into, since, until, in_order } => {
            return replayed::replay(tx, row, (from, into), *since..*until, *in_order, taken).await;
        }
        OperationTask::Resume => resumed::resume(tx, row).await,
        OperationTask::Reindex { .. } | OperationTask::Rebuild { .. } | OperationTask::Named { .. } => {
            Ok(Progress::default())
        }
    };
    Ok((progress?, Vec::new()))
}

/// What comes after the cursor, and how far one has come.
pub(super) struct Page {
    entries: std::vec::IntoIter<KeyValue>,
    last: Option<Vec<u8>>,
    /// Whether nothing comes behind.
    is_last: bool,
}

impl Page {
    pub(super) async fn read(tx: &Transaction, row: &OperationRow, range: KeyRange) -> Result<Self> {
        let after = row.cursor.as_ref().and_then(cursor::key_of);
        let rest = after.as_ref().map_or(range.clone(), |after| range.after(after));
        let mut walk = Walk::over(rest).in_pages(PageSize::within(tx.database().limits()));
        let entries = walk.next_in(tx).await?.unwrap_or_default().into_iter();
        Ok(Self { entries, last: after, is_last: walk.is_over() })
    }

    pub(super) fn next(&mut self) -> Option<KeyValue> {
        let entry = self.entries.next()?;
        self.last = Some(entry.0.clone());
        Some(entry)
    }

    /// Where to go on behind what was taken; `None` at the end.
    pub(super) fn cursor(&self) -> Option<Value> {
        let is_over = self.is_last && self.entries.len() == 0;
        self.last.as_deref().filter(|_| !is_over).map(cursor::of_key)
    }
}
