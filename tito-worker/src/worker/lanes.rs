//! Runs handlers: one at a time and in order for one entity, many at a time for different ones.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tito_core::TitoEngine;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use xxhash_rust::xxh3::xxh3_64;

use super::runner::{Delivery, Runner, Verdict};

/// How long aborted handlers get to be dropped.
const LONGEST_ABORT: Duration = Duration::from_secs(1);

/// An event whose handler has ended.
pub(super) struct Finished {
    pub(super) key: Vec<u8>,
    pub(super) verdict: Verdict,
}

/// The handlers of one partition.
pub(super) struct Lanes<E: TitoEngine> {
    runner: Arc<Runner<E>>,
    shared: Arc<Shared>,
    /// As many as there is work for, at most the subscription's concurrency. Each runs one handler after the other.
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    finished: Notify,
}

#[derive(Default)]
struct Queues {
    /// Events whose entities are free.
    ready: VecDeque<(Entity, Delivery)>,
    /// The entities of ready and running events, each with the events that wait behind these.
    busy: HashMap<Entity, VecDeque<Delivery>>,
    finished: Vec<Finished>,
    /// How many tasks there are.
    lanes: usize,
}

/// The hash of an entity's name. Two entities with one hash merely wait for one another.
type Entity = u64;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: TitoEngine> Lanes<E> {
    pub(super) fn new(runner: Arc<Runner<E>>) -> Self {
        Self { runner, shared: Arc::default(), tasks: JoinSet::new() }
    }

    /// Takes events, in the order in which those of one entity are to be handled.
    pub(super) fn submit(&mut self, deliveries: Vec<Delivery>) {
        // Lanes that have ended for want of work.
        while self.tasks.try_join_next().is_some() {}
        let mut queues = self.shared.lock();
        for delivery in deliveries {
            let entity = xxh3_64(delivery.event.entity.as_bytes());
            match queues.busy.get_mut(&entity) {
                Some(waiting) => waiting.push_back(delivery),
                None => {
                    queues.busy.insert(entity, VecDeque::new());
                    queues.ready.push_back((entity, delivery));
                }
            }
        }
        let more = queues.ready.len().min(self.runner.concurrency - queues.lanes);
        queues.lanes += more;
        drop(queues);
        for _ in 0..more {
            self.tasks.spawn(lane(self.runner.clone(), self.shared.clone()));
        }
    }

    /// Completes when a handler has ended since the last call.
    pub(super) async fn finished(&self) {
        self.shared.finished.notified().await;
    }

    /// The events whose handlers have ended since the last call.
    pub(super) fn take_finished(&self) -> Vec<Finished> {
        std::mem::take(&mut self.shared.lock().finished)
    }

    /// Takes back the events whose handlers have not begun.
    pub(super) fn take_unstarted(&self) -> Vec<Vec<u8>> {
        let mut queues = self.shared.lock();
        let ready = std::mem::take(&mut queues.ready);
        let mut unstarted = Vec::new();
        for (entity, delivery) in ready {
            unstarted.push(delivery.key);
            let waiting = queues.busy.remove(&entity);
            unstarted.extend(waiting.into_iter().flatten().map(|delivery| delivery.key));
        }
        for waiting in queues.busy.values_mut() {
            unstarted.extend(waiting.drain(..).map(|delivery| delivery.key));
        }
        unstarted
    }

    /// Whether a handler runs.
    pub(super) fn are_running(&self) -> bool {
        !self.shared.lock().busy.is_empty()
    }

    /// Drops running handlers where they wait, and returns how many there were. One that blocks its thread can't be
    /// dropped; it is left to itself.
    pub(super) async fn abort(&mut self) -> u64 {
        self.tasks.abort_all();
        let joined = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LONGEST_ABORT, joined).await;
        // A handler that ended at the last moment is not among them.
        self.shared.lock().busy.len() as u64
    }
}

async fn lane<E: TitoEngine>(runner: Arc<Runner<E>>, shared: Arc<Shared>) {
    loop {
        let (entity, delivery) = {
            let mut queues = shared.lock();
            match queues.ready.pop_front() {
                Some(ready) => ready,
                None => {
                    queues.lanes -= 1;
                    return;
                }
            }
        };
        let key = delivery.key.clone();
        let verdict = runner.run(delivery).await;
        {
            let mut queues = shared.lock();
            queues.finished.push(Finished { key, verdict });
            match queues.busy.get_mut(&entity).and_then(VecDeque::pop_front) {
                Some(next) => queues.ready.push_back((entity, next)),
                None => {
                    queues.busy.remove(&entity);
                }
            }
        }
        shared.finished.notify_one();
        // Handlers that never wait would keep the others of this thread from running.
        tokio::task::consume_budget().await;
    }
}
