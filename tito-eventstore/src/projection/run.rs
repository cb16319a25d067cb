//! Steps until nothing is left to do, and the worker's subscription.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use tito_core::event::TitoEvent;
use tito_core::{Transaction, TxOptions};
use tito_worker::{Order, Outcome, RetryPolicy, Subscription, WorkerBuilder};

use super::fold::{Stopped, is_passing};
use super::projector::Projector;
use super::rebuild::Rebuilding;
use super::state::{Checkpoint, Failure, Generations};
use super::step::{Plan, Step};
use crate::error::{EventStoreError, Result};
use crate::log::topic;
use crate::store::EventStore;

/// A worker's handler ends after about so long, and is called again.
const TURN: Duration = Duration::from_secs(5);

/// The longest pause between two attempts at an event on which the projector fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many wake-ups are acknowledged together.
const WAKE_UPS: usize = 1_000;

/// How often in a row an unknown outcome is looked into. It can be, as the checkpoint tells.
const LOOKS: u32 = 5;

/// Longer texts of failures are cut, in characters,
const LONGEST_ERROR: usize = 500;

/// and longer chains of causes.
const MOST_CAUSES: usize = 10;

/// Rows folded from a store by a [`Projector`]. Their progress is committed with them, so each event is folded into
/// them exactly once, whoever does it and whatever fails. Clones are the same projection.
///
/// ```
/// use tito_core::{BoxError, Database};
/// use tito_core::prelude::*;
/// use tito_eventstore::{Event, EventStore, EventStoreError, Projection, Projector};
/// use tito_worker::prelude::*;
///
/// # struct Accounts;
/// # impl Projector for Accounts {
/// #     fn name(&self) -> &str { "accounts" }
/// #     async fn project(&self, _: &Event, _: &tito_core::Transaction) -> Result<(), BoxError> { Ok(()) }
/// # }
/// # async fn example(db: Database, bank: EventStore) -> Result<(), EventStoreError> {
/// let projection = Projection::new(&bank, Accounts).await?;
/// let worker = projection.subscribe(Worker::builder(TitoQueue::new(db))).build();
/// # Ok(())
/// # }
/// ```
pub struct Projection<P>(Arc<Folding<P>>);

/// What all handles of a projection share.
pub(super) struct Folding<P> {
    pub(super) store: EventStore,
    pub(super) name: String,
    pub(super) projector: P,
}

impl<P: Projector> Projection<P> {
    /// A projection of a store, which is added to it if it is not there
    /// ([`add_projection`](EventStore::add_projection)).
    ///
    /// # Errors
    /// Those of [`add_projection`](EventStore::add_projection), and of the selection's patterns.
    pub async fn new(store: &EventStore, projector: P) -> Result<Self> {
        let name = projector.name().to_string();
        projector.select().patterns()?;
        store.add_projection(&name).await?;
        Ok(Self(Arc::new(Folding { store: store.clone(), name, projector })))
    }

    /// The projection's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The topic whose events wake the projection's worker: the names of the store and the projection with a dot
    /// between them.
    pub fn topic(&self) -> String {
        topic(self.0.store.name(), &self.0.name)
    }

    /// Makes a worker of the same database fold what is appended, and carry out operations that
    /// [rebuild](tito_worker::OperationTask::Rebuild) the projection. Any number of workers can do so; they take turns.
    ///
    /// An event that can't be read, or on which the projector fails, is tried again without end, after a second at
    /// first and then up to a minute apart. An engine failure is retried every second.
    pub fn subscribe(&self, worker: WorkerBuilder) -> WorkerBuilder {
        // In strict order the first wake-up alone is tried again while the others wait, however many there are.
        let subscription = Subscription::default()
            .order(Order::Strict)
            .retry(RetryPolicy::default().attempts(u32::MAX).longest_delay(LONGEST_PAUSE))
            .batch(WAKE_UPS)
            .new_topic_partitions(1);
        let folding = self.0.clone();
        let rebuilding = Arc::new(Rebuilding(self.0.clone()));
        let worker = worker.rebuilds(self.0.store.name(), &self.0.name, rebuilding);
        worker.subscribe_with(self.topic(), subscription, move |wake_ups: Vec<TitoEvent>| {
            let folding = folding.clone();
            async move {
                let again = match folding.run(Some(TURN)).await {
                    Ok(true) => None,
                    Ok(false) => Some(DateTime::UNIX_EPOCH),
                    // The projector is not at fault, so it need not wait longer each time.
                    Err(EventStoreError::Engine(error)) if is_passing(&error) => {
                        let name = &folding.name;
                        let log = || tracing::warn!(projection = name, %error, "the engine failed, trying again");
                        folding.store.logger().with(log);
                        // An engine that can't tell the time can't note this either.
                        let now = folding.store.database().now().await.map_or(0, |now| now.seconds());
                        DateTime::from_timestamp(now.saturating_add(1), 0)
                    }
                    Err(error) => return Err(error),
                };
                // One is enough to go on by.
                let mut outcomes = vec![Outcome::Done; wake_ups.len()];
                if let (Some(last), Some(time)) = (outcomes.last_mut(), again) {
                    *last = Outcome::RescheduleTo(time);
                }
                Ok::<_, EventStoreError>(outcomes)
            }
        })
    }

    /// Does a worker's job here until nothing is left: folds what was appended, finishes a rebuild, and deletes what an
    /// earlier one has left behind. Safe while workers run.
    ///
    /// # Errors
    /// [`EventStoreError::Projector`] if the projector fails on an event, and that of an event that can't be read, because
    /// it is damaged or an upcaster fails: then everything before it is folded. [`EventStoreError::StoreNotFound`] if the
    /// store was deleted and created again; those of the engine. Nothing is to be done for a store that was deleted, or a projection that was removed.
    pub async fn catch_up(&self) -> Result<()> {
        self.0.run(None).await?;
        Ok(())
    }
}

impl<P: Projector> Folding<P> {
    /// Makes steps until nothing is left to do, and returns true; false if the time was over before.
    pub(super) async fn run(self: &Arc<Self>, turn: Option<Duration>) -> Result<bool> {
        let clock = self.store.database().clock().clone();
        let end = turn.map(|turn| clock.monotonic_millis() + turn.as_millis() as u64);
        let (mut plan, mut errors, mut looks) = (Plan::default(), BTreeMap::new(), 0);
        loop {
            match self.commit_step(&plan).await {
                Ok(Step::Idle { in_service }) => {
                    // Those of a generation that was replaced meanwhile matter no more.
                    errors.retain(|generation, _| in_service.contains(generation));
                    return errors.pop_first().map_or(Ok(true), |(_, error)| Err(error));
                }
                Ok(Step::Folded { generation }) => {
                    plan.bounds.remove(&generation);
                    plan.rebuilds_first = !plan.rebuilds_first;
                    looks = 0;
                }
                Ok(Step::Dropped) => looks = 0,
                // Everything before it is committed first, and then it is tried again, alone.
                Err(Stopped::ByEvent { generation, after, sequence, .. }) if sequence > after + 1 => {
                    plan.bounds.insert(generation, sequence - 1);
                }
                Err(Stopped::ByEvent { generation, sequence, error, .. }) => {
                    let reason = causes_of(&error);
                    let store = self.store.name();
                    let log = || tracing::warn!(store, %error, reason, "a projection can't go on");
                    self.store.logger().with(log);
                    self.note(generation, Failure::new(sequence, reason)).await?;
                    plan.stopped.insert(generation);
                    errors.insert(generation, *error);
                }
                Err(Stopped::ByStore(error)) if !error.is_not_committed() && looks < LOOKS => looks += 1,
                Err(Stopped::ByStore(error)) => return Err(error),
            }
            if end.is_some_and(|end| clock.monotonic_millis() >= end) {
                return Ok(false);
            }
        }
    }

    async fn commit_step(self: &Arc<Self>, plan: &Plan) -> Result<Step, Stopped> {
        let run = (self.clone(), plan.clone());
        // On the heap, as it is large on some engines.
        let step = move |tx: Transaction| Box::pin(async move { run.0.step(&tx, &run.1).await });
        self.store.database().transaction_with(TxOptions::default(), step).await
    }

    /// Stores why a generation can't go on.
    async fn note(&self, generation: u64, failure: Failure) -> Result<()> {
        let (store, name) = (self.store.id(), self.name.clone());
        let note = |tx: Transaction| async move {
            let generations = Generations::read(&tx, store, &name).await?.unwrap_or_default();
            if ![generations.live, generations.rebuilding].contains(&Some(generation)) {
                return Ok(());
            }
            let [checkpoint, _] = Checkpoint::read(&tx, (store, &name), [Some(generation), None]).await?;
            let checkpoint = checkpoint.unwrap_or_default();
            if checkpoint.sequence >= failure.sequence
                || checkpoint.failure.as_ref().is_some_and(|known| known.is(&failure))
            {
                return Ok(());
            }
            checkpoint.stopped(failure).write(&tx, (store, &name), generation).await
        };
        Ok(self.store.database().transaction(note).await?)
    }
}

/// What has caused an error.
fn causes_of(error: &EventStoreError) -> String {
    // What a projector says is about the event that is told beside it.
    let mut texts: Vec<String> = match error {
        EventStoreError::Decode { .. } => vec![error.to_string()],
        _ => Vec::new(),
    };
    let mut source = error.source();
    while let Some(cause) = source.filter(|_| texts.len() < MOST_CAUSES) {
        let text = cause.to_string();
        // Some errors show their source themselves.
        if !texts.last().is_some_and(|last| last.ends_with(&text)) {
            texts.push(text);
        }
        source = cause.source();
    }
    texts.join(": ").chars().take(LONGEST_ERROR).collect()
}

impl<P> Clone for Projection<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P> fmt::Debug for Projection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection").field("store", &self.0.store).field("name", &self.0.name).finish_non_exhaustive()
    }
}
