//! One subscription at work, and what is handed to its handler.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tito_core::clock::Clock;
use tito_core::engine::Limits;
use tito_core::event::TitoEvent;
use tito_core::{TitoEngine, TitoError};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::fence::Fence;
use super::lanes::Entity;
use crate::handler::{Handler, PlainHandler};
use crate::observe::{Observe, Observers};
use crate::policy::{Policy, RateLimiter, Subscription};

/// How many partitions and topics a worker reads at once: one of thousands of them would swamp an engine that is a
/// cluster, so that no answer came in time.
pub(super) const READS_AT_ONCE: usize = 128;

/// One subscription at work.
pub(super) struct Runner<E: TitoEngine> {
    pub(super) engine: E,
    /// The name of the queue.
    pub(super) queue: Arc<str>,
    pub(super) handler: Handler<E>,
    pub(super) policy: Policy,
    pub(super) timeout: Duration,
    pub(super) concurrency: usize,
    /// How many events a handler gets together.
    pub(super) batch: usize,
    rate: Option<RateLimiter>,
    pub(super) new_topic_partitions: u16,
    pub(super) observe: Observe,
    /// Shared by all subscriptions of a worker.
    reads: Arc<Semaphore>,
    /// Told when a transaction has found that the topic is not what this worker takes it for.
    pub(super) outdated: Notify,
    /// How many events are being handled.
    pub(super) in_flight: AtomicU64,
}

/// An event on its way to a handler.
pub(super) struct Delivery {
    pub(super) key: Vec<u8>,
    /// The event as it was read. It is decoded where it is handled: thousands that wait would take more memory decoded,
    /// and be out of the processor's caches by then.
    pub(super) stored: Vec<u8>,
    pub(super) entity: Entity,
    pub(super) origin: Arc<Origin>,
}

impl Delivery {
    pub(super) fn decode(&self) -> Result<TitoEvent, TitoError> {
        // Whoever records what becomes of it reads it again.
        TitoEvent::decode_known(&self.key, &self.stored)
    }
}

/// Where events were read, and under which conditions.
pub(super) struct Origin {
    pub(super) partition: u16,
    /// The topic's revision when the reading began.
    pub(super) revision: u64,
    pub(super) fence: Fence,
}

impl<E: TitoEngine> Runner<E> {
    pub(super) fn new(
        engine: E,
        queue: String,
        subscription: Subscription,
        handler: Handler<E>,
        observers: Observers,
        reads: Arc<Semaphore>,
    ) -> Self {
        let Subscription { mut timeout, mut batch, .. } = subscription;
        match &handler {
            // A transaction that is older can't commit.
            Handler::Transactional(_) => {
                timeout = timeout.min(Duration::from_millis(engine.max_transaction_age_millis()))
            }
            Handler::Plain(PlainHandler::One(_)) => batch = 1,
            Handler::Plain(PlainHandler::Batch(_)) => {}
        }
        let delay = subscription.delay;
        Self {
            engine,
            observe: Observe::new(&queue, observers),
            queue: queue.into(),
            handler,
            policy: Policy {
                retry: subscription.retry,
                exhausted: subscription.exhausted,
                order: subscription.order,
                delay_seconds: i64::try_from(delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0)))
                    .unwrap_or(i64::MAX),
            },
            timeout,
            concurrency: subscription.concurrency,
            batch,
            rate: subscription.rate_limit.map(RateLimiter::new),
            new_topic_partitions: subscription.new_topic_partitions,
            reads,
            outdated: Notify::new(),
            in_flight: AtomicU64::new(0),
        }
    }

    /// Waits for a turn to read a partition or the topic.
    pub(super) async fn turn_to_read(&self) -> Option<SemaphorePermit<'_>> {
        // Fails only when the semaphore is closed, which nobody does.
        self.reads.acquire().await.ok()
    }

    pub(super) fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        self.engine.clock()
    }

    /// How many of `wanted` events may be handed out now, or when the next one may, in milliseconds.
    pub(super) fn may_start(&self, wanted: usize) -> Result<usize, u64> {
        self.rate.as_ref().map_or(Ok(wanted), |rate| rate.start(wanted, self.clock().now_millis()))
    }
}
