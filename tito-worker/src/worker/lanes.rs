//! Runs handlers: one at a time and in order for one entity, many at a time for different ones.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use foldhash::HashMap;
use futures::poll;
use smallvec::SmallVec;
use tito_core::engine::SnapshotVersion;
use tito_core::panics::Contained;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use xxhash_rust::xxh3::xxh3_64;

use super::attempt::{Ran, Verdict};
use super::runner::{Delivery, Runner};
use crate::policy::Order;

/// How long aborted handlers have to be dropped.
const LONGEST_ABORT: Duration = Duration::from_secs(1);

/// How many handlers that don't wait run one after another before another partition gets its turn.
const HANDLERS_A_TURN: usize = 512;

/// A list that usually has one element.
pub(super) type Few<T> = SmallVec<[T; 1]>;

/// The hash of an entity's name. Two entities with the same hash merely wait for each other.
pub(super) type Entity = u64;

pub(super) fn entity_of(name: &str) -> Entity {
    xxh3_64(name.as_bytes())
}

/// An event whose handler has ended.
pub(super) struct Finished {
    pub(super) key: Vec<u8>,
    /// The event as it was handed out.
    pub(super) handed_out: Vec<u8>,
    /// Of the transaction that read it.
    pub(super) version: Option<SnapshotVersion>,
    pub(super) entity: Entity,
    pub(super) ran: Ran,
    /// Whether the entity's later events wait for [`Lanes::resume`] or [`Lanes::release`].
    pub(super) awaits_recording: bool,
}

/// The handlers of one partition.
pub(super) struct Lanes {
    runner: Arc<Runner>,
    shared: Arc<Shared>,
    /// As many as there is work for, up to the subscription's concurrency, which they share with other partitions. Each
    /// runs one handler after another.
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    finished: Notify,
}

#[derive(Default)]
struct Queues {
    /// Entities whose first event can be handled.
    ready: VecDeque<Entity>,
    /// All entities with events here.
    lanes: HashMap<Entity, Lane>,
    finished: Vec<Finished>,
    /// How many events are being handled.
    running: usize,
    /// How many tasks there are.
    tasks: usize,
    /// Whether no more handlers may begin.
    is_closed: bool,
}

struct Lane {
    state: State,
    /// How many events have to be recorded before it continues.
    unrecorded: usize,
    waiting: Waiting,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Ready,
    Running,
    /// The results of its latest events have to be recorded first.
    Recording,
}

/// The events of an entity by key, and thus in the order to handle them. Most entities have one at a time.
#[derive(Default)]
struct Waiting {
    first: Option<Delivery>,
    later: VecDeque<Delivery>,
}

impl Waiting {
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.later.len()
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn insert(&mut self, delivery: Delivery) {
        let Some(first) = &mut self.first else {
            self.first = Some(delivery);
            return;
        };
        let delivery = if delivery.key < first.key { std::mem::replace(first, delivery) } else { delivery };
        let is_last = self.later.back().is_none_or(|last| last.key < delivery.key);
        let place = if is_last { self.later.len() } else { self.later.partition_point(|one| one.key < delivery.key) };
        self.later.insert(place, delivery);
    }

    fn pop(&mut self) -> Option<Delivery> {
        std::mem::replace(&mut self.first, self.later.pop_front())
    }

    /// Takes all out.
    fn drain(&mut self) -> impl Iterator<Item = Delivery> {
        let Self { first, later } = std::mem::take(self);
        first.into_iter().chain(later)
    }
}

impl Queues {
    fn submit(&mut self, delivery: Delivery) {
        let Some(lane) = self.lanes.get_mut(&delivery.entity) else {
            self.ready.push_back(delivery.entity);
            let entity = delivery.entity;
            let waiting = Waiting { first: Some(delivery), later: VecDeque::new() };
            self.lanes.insert(entity, Lane { state: State::Ready, unrecorded: 0, waiting });
            return;
        };
        lane.waiting.insert(delivery);
    }

    /// How many events can be handled together, up to `most`.
    fn available(&self, most: usize) -> usize {
        if self.is_closed {
            return 0;
        }
        // Each of them has at least one.
        if self.ready.len() >= most {
            return most;
        }
        let mut available = 0;
        for entity in &self.ready {
            available += self.lanes.get(entity).map_or(0, |lane| lane.waiting.len());
            if available >= most {
                return most;
            }
        }
        available
    }

    /// Up to `most` events that can be handled together, with those of each entity in order.
    fn take(&mut self, most: usize) -> Few<Delivery> {
        let mut taken = Few::with_capacity(most.min(self.ready.len()));
        while taken.len() < most {
            let Some(entity) = self.ready.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&entity) else { continue };
            lane.state = State::Running;
            let count = lane.waiting.len().min(most - taken.len());
            taken.extend((0..count).filter_map(|_| lane.waiting.pop()));
        }
        self.running += taken.len();
        taken
    }

    /// One of the events that an entity waits for was recorded. Events that were handled together can be recorded
    /// separately.
    fn end_suspension(&mut self, entity: Entity) {
        let Some(lane) = self.lanes.get_mut(&entity).filter(|lane| lane.state == State::Recording) else { return };
        lane.unrecorded = lane.unrecorded.checked_sub(1).expect("a lane that records has events that are not recorded");
        if lane.unrecorded == 0 {
            self.go_on(entity);
        }
    }

    /// Lets the next event of an entity be handled, if there is one.
    fn go_on(&mut self, entity: Entity) {
        let Some(lane) = self.lanes.get_mut(&entity) else { return };
        if lane.waiting.is_empty() {
            self.lanes.remove(&entity);
        } else if lane.state != State::Ready {
            lane.state = State::Ready;
            self.ready.push_back(entity);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    pub(super) fn new(runner: Arc<Runner>) -> Self {
        Self { runner, shared: Arc::default(), tasks: JoinSet::new() }
    }

    /// Accepts events, with those of each entity in the order to handle them.
    pub(super) fn submit(&mut self, deliveries: Vec<Delivery>) {
        let mut queues = self.shared.lock();
        for delivery in deliveries {
            queues.submit(delivery);
        }
        drop(queues);
        self.start_tasks();
    }

    fn start_tasks(&mut self) {
        // Tasks that ended for lack of work.
        while self.tasks.try_join_next().is_some() {}
        let mut queues = self.shared.lock();
        let more = queues.ready.len().min(self.runner.pace.concurrency().saturating_sub(queues.tasks));
        queues.tasks += more;
        drop(queues);
        for _ in 0..more {
            // A handler may panic when it is dropped at the deadline.
            self.tasks.spawn(Contained::new(work(self.runner.clone(), self.shared.clone())));
        }
    }

    /// Completes when a handler has ended since the last call.
    pub(super) async fn finished(&self) {
        self.shared.finished.notified().await;
    }

    /// The events whose handlers have ended since the last call.
    pub(super) fn take_finished(&self) -> Vec<Finished> {
        let finished = &mut self.shared.lock().finished;
        // About as many will end before the next call.
        let next = Vec::with_capacity(finished.len());
        std::mem::replace(finished, next)
    }

    /// Continues with an entity whose events had to be recorded first; called once for each of them.
    pub(super) fn resume(&mut self, entity: Entity) {
        self.shared.lock().end_suspension(entity);
        self.start_tasks();
    }

    /// Like [`resume`](Lanes::resume), but takes back the waiting events first.
    pub(super) fn release(&self, entity: Entity) -> Vec<Vec<u8>> {
        let mut queues = self.shared.lock();
        let Some(lane) = queues.lanes.get_mut(&entity) else { return Vec::new() };
        let waiting = lane.waiting.drain().map(|delivery| delivery.key).collect();
        queues.end_suspension(entity);
        waiting
    }

    /// Takes back the events whose handlers have not begun.
    pub(super) fn take_unstarted(&self) -> Vec<Vec<u8>> {
        let mut queues = self.shared.lock();
        queues.ready.clear();
        let mut unstarted = Vec::new();
        queues.lanes.retain(|_, lane| {
            unstarted.extend(lane.waiting.drain().map(|delivery| delivery.key));
            lane.state != State::Ready
        });
        unstarted
    }

    /// Lets no more handlers begin; running ones continue.
    pub(super) fn close(&self) {
        self.shared.lock().is_closed = true;
    }

    /// Whether a handler runs.
    pub(super) fn are_running(&self) -> bool {
        self.shared.lock().running > 0
    }

    /// Drops running handlers at their current await, and returns how many there were. A handler that blocks its thread
    /// can't be dropped and is left to itself.
    pub(super) async fn abort(&mut self) -> u64 {
        self.tasks.abort_all();
        let joined = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LONGEST_ABORT, joined).await;
        // This excludes a handler that ended at the last moment.
        self.shared.lock().running as u64
    }
}

async fn work(runner: Arc<Runner>, shared: Arc<Shared>) {
    loop {
        // It is given back after each handler that waited, so that no partition keeps what all of them share.
        let _permit = runner.pace.may_run().await;
        for _ in 0..HANDLERS_A_TURN {
            match work_once(&runner, &shared).await {
                Worked::HadNone => return,
                Worked::HasWaited => break,
                Worked::AtOnce => {}
            }
        }
    }
}

enum Worked {
    /// There was nothing to do, and the task ends.
    HadNone,
    AtOnce,
    HasWaited,
}

async fn work_once(runner: &Runner, shared: &Shared) -> Worked {
    let turn = {
        let mut queues = shared.lock();
        let wanted = queues.available(runner.pace.batch);
        if wanted == 0 {
            queues.tasks -= 1;
            return Worked::HadNone;
        }
        runner.pace.may_start(wanted, || runner.database.clock().monotonic_millis()).map(|most| queues.take(most))
    };
    let deliveries = match turn {
        Ok(deliveries) => deliveries,
        Err(at_millis) => {
            runner.database.clock().wait_until_monotonic(at_millis).await;
            return Worked::HasWaited;
        }
    };
    let (ran, worked) = {
        let mut running = pin!(runner.run(&deliveries));
        match poll!(running.as_mut()) {
            Poll::Ready(ran) => (ran, Worked::AtOnce),
            Poll::Pending => (running.await, Worked::HasWaited),
        }
    };
    finish(&mut shared.lock(), deliveries, ran, runner.policy.order);
    shared.finished.notify_one();
    // Handlers that never wait would keep the others of this thread from running.
    tokio::task::consume_budget().await;
    worked
}

/// Sorts out what became of events that were handled together.
fn finish(queues: &mut Queues, deliveries: Few<Delivery>, ran: Few<Ran>, order: Order) {
    queues.running -= deliveries.len();
    let mut entities = Few::with_capacity(deliveries.len());
    queues.finished.reserve(deliveries.len());
    for (delivery, ran) in deliveries.into_iter().zip(ran) {
        let entity = delivery.entity;
        if let Verdict::NotBegun = ran.verdict {
            // Behind anything that came in before it meanwhile, such as a redriven event.
            if let Some(lane) = queues.lanes.get_mut(&entity) {
                lane.waiting.insert(delivery);
            }
            entities.push((entity, false));
            continue;
        }
        let awaits_recording = ran.verdict.blocks(order);
        entities.push((entity, awaits_recording));
        let Delivery { key, stored: handed_out, version, .. } = delivery;
        queues.finished.push(Finished { key, handed_out, version, entity, ran, awaits_recording });
    }
    for (entity, awaits_recording) in &entities {
        if let Some(lane) = queues.lanes.get_mut(entity).filter(|_| *awaits_recording) {
            lane.state = State::Recording;
            lane.unrecorded += 1;
        }
    }
    for (entity, _) in entities {
        if queues.lanes.get(&entity).is_some_and(|lane| lane.state == State::Running) {
            queues.go_on(entity);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
