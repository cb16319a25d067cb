//! One step of an operation.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;
use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::event::check_queue_name;
use tito_core::keys::KeyRange;
use tito_core::row::StoredRow;
use tito_core::{Now, Result, TitoError, Transaction};
use uuid::Uuid;

use super::info::OperationState;
use super::letters::cursor_of;
use super::named::{NamedStep, NamedSteps, Stepped};
use super::row::{OperationRow, Progress};
use super::task::OperationTask;
use super::{letters, pending, replayed};
use crate::history::pending_ids;
use crate::keys;
use crate::queue::TitoQueue;

/// How often a long step of an application says that it goes on.
const HOLD_EVERY: Duration = Duration::from_secs(3);

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next step.
    Step,
    /// Nothing before this time, in milliseconds.
    At(u64),
    /// Nothing any more.
    Ended,
    /// It is for a worker that knows it.
    Unknown,
}

/// Steps operations, one at a time.
pub(super) struct Stepper {
    queue: TitoQueue,
    me: Uuid,
    named: NamedSteps,
    /// What the queues of replays had when this one took them up.
    taken: HashMap<Uuid, HashSet<Uuid>>,
}

/// What is stored of an operation that may be stepped now.
enum Turn {
    Step(Box<OperationRow>, OperationTask),
    Not(Next),
}

impl Stepper {
    pub(super) fn new(queue: TitoQueue, named: NamedSteps) -> Self {
        Self { queue, me: Uuid::from_u128(fastrand::u128(..)), named, taken: HashMap::new() }
    }

    /// Another of the same worker, for a task that waits long.
    pub(super) fn beside(&self) -> Self {
        Self { queue: self.queue.clone(), me: self.me, named: self.named.clone(), taken: HashMap::new() }
    }

    /// Whether this is a step of the application's, and when it may be made, in milliseconds.
    pub(super) fn is_named_here(&self, row: &OperationRow, now: Now) -> Option<Next> {
        let Ok(OperationTask::Named { name, .. }) = serde_json::from_str(row.task.get()) else { return None };
        self.named.get(&name)?;
        Some(row.waits_until(self.me, now).map_or(Next::Step, Next::At))
    }

    /// Makes a step. What can't be done makes the operation fail.
    ///
    /// # Errors
    /// Those of the engine: the same step is to be tried again.
    pub(super) async fn step(&mut self, id: Uuid) -> Result<Next> {
        let stepped = match self.read(id).await? {
            Turn::Not(next) => Ok(next),
            Turn::Step(_, OperationTask::Named { name, input }) => self.step_named(id, &name, input).await,
            Turn::Step(_, task) => {
                self.prepare(id, &task).await?;
                self.step_built_in(id, &task).await
            }
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
            self.taken.remove(&id);
        }
        stepped
    }

    async fn read(&self, id: Uuid) -> Result<Turn> {
        let me = self.me;
        self.queue.engine.transaction(|tx| async move { turn(&tx, id, me).await }).await
    }

    async fn prepare(&mut self, id: Uuid, task: &OperationTask) -> Result<()> {
        if let OperationTask::Replay { into, .. } = task
            && !self.taken.contains_key(&id)
        {
            self.taken.insert(id, pending_ids(&self.queue.engine, into).await?);
        }
        Ok(())
    }

    async fn step_built_in(&self, id: Uuid, task: &OperationTask) -> Result<Next> {
        let (me, none) = (self.me, HashSet::new());
        let taken = self.taken.get(&id).unwrap_or(&none);
        let step = self.queue.engine.transaction(|tx| async move {
            let mut row = match turn(&tx, id, me).await? {
                Turn::Not(next) => return Ok(next),
                Turn::Step(row, _) => row,
            };
            row.hold(me, tx.now());
            let progress = work(&tx, &row, task, taken).await?;
            row.note(progress, tx.now());
            let next = after(&row, tx.now().millis());
            tx.system_keys().put(keys::operation(id), row.encode()?).await?;
            Ok(next)
        });
        // On the heap, as it holds what each of the tasks needs.
        Box::pin(step).await
    }

    /// Whoever takes it up first says so, and says so again while its step runs, so that no other begins.
    async fn step_named(&self, id: Uuid, name: &str, input: Value) -> Result<Next> {
        let Some(step) = self.named.get(name) else { return Ok(Next::Unknown) };
        let cursor = match self.hold(id).await? {
            Turn::Not(next) => return Ok(next),
            Turn::Step(row, _) => row.cursor.clone(),
        };
        let mut running = step(NamedStep { database: self.queue.engine.clone(), input, cursor });
        let stepped = loop {
            tokio::select! {
                stepped = &mut running => break stepped,
                () = tokio::time::sleep(HOLD_EVERY) => {
                    // Stopped meanwhile, or taken over by another that took this for dead: it is dropped where it waits.
                    match self.hold(id).await {
                        Ok(Turn::Not(next)) => return Ok(next),
                        Ok(Turn::Step(..)) => {}
                        Err(error) => tracing::warn!(operation = %id, %error, "it can't be said that a step goes on"),
                    }
                }
            }
        };
        let Stepped { cursor, done } = stepped.map_err(|error| match error.downcast::<TitoError>() {
            Ok(error) => *error,
            Err(error) => TitoError::Application(error.into()),
        })?;
        let progress = || Progress { done, searched: done, skipped: 0, cursor: cursor.clone() };
        let me = self.me;
        let note = self.queue.engine.transaction(|tx| {
            let progress = progress();
            async move {
                let mut row = match turn(&tx, id, me).await? {
                    Turn::Not(next) => return Ok(next),
                    Turn::Step(row, _) => row,
                };
                row.note(progress, tx.now());
                let next = after(&row, tx.now().millis());
                tx.system_keys().put(keys::operation(id), row.encode()?).await?;
                Ok(next)
            }
        });
        note.await
    }

    async fn hold(&self, id: Uuid) -> Result<Turn> {
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

    async fn end(&self, id: Uuid, state: OperationState, failure: Option<String>) -> Result<bool> {
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

async fn turn(tx: &Transaction, id: Uuid, me: Uuid) -> Result<Turn> {
    let key = keys::operation(id);
    let Some(bytes) = tx.get(&key).await? else { return Ok(Turn::Not(Next::Ended)) };
    let row = OperationRow::decode(&key, &bytes)?;
    if row.state.has_ended() {
        return Ok(Turn::Not(Next::Ended));
    }
    if let Some(until) = row.waits_until(me, tx.now()) {
        return Ok(Turn::Not(Next::At(until)));
    }
    Ok(match serde_json::from_str(row.task.get()) {
        Ok(task) => Turn::Step(Box::new(row), task),
        Err(_) => Turn::Not(Next::Unknown),
    })
}

fn after(row: &OperationRow, now_millis: u64) -> Next {
    match row.next_millis {
        _ if row.state.has_ended() => Next::Ended,
        next if next > now_millis => Next::At(next),
        _ => Next::Step,
    }
}

async fn work(tx: &Transaction, row: &OperationRow, task: &OperationTask, taken: &HashSet<Uuid>) -> Result<Progress> {
    // Rows can be written by hand.
    for queue in task.queues() {
        check_queue_name(queue)?;
    }
    match task {
        OperationTask::Redrive { queue, letters, in_order } => {
            letters::redrive(tx, row, queue, letters, *in_order).await
        }
        OperationTask::PurgeDeadLetters { queue, letters } => letters::purge(tx, row, queue, letters).await,
        OperationTask::Purge { queue, events } => pending::purge(tx, row, queue, events).await,
        OperationTask::Replay { from, into, since, until, in_order } => {
            replayed::replay(tx, row, (from, into), *since..*until, *in_order, taken).await
        }
        OperationTask::Named { .. } => Ok(Progress::default()),
    }
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
        let after = row.cursor.as_ref().and_then(Value::as_str);
        let rest = after.map_or(range.clone(), |after| range.after(after.as_bytes()));
        let mut walk = Walk::over(rest).in_pages(PageSize::within(tx.database().limits()));
        let entries = walk.next_in(tx).await?.unwrap_or_default().into_iter();
        Ok(Self { entries, last: after.map(|after| after.as_bytes().to_vec()), is_last: walk.is_over() })
    }

    pub(super) fn next(&mut self) -> Option<KeyValue> {
        let entry = self.entries.next()?;
        self.last = Some(entry.0.clone());
        Some(entry)
    }

    /// Where to go on behind what was taken; `None` at the end.
    pub(super) fn cursor(&self) -> Option<Value> {
        let is_over = self.is_last && self.entries.len() == 0;
        self.last.as_deref().filter(|_| !is_over).map(cursor_of)
    }
}
