//! One subscription at work, and what is handed to its handler.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tito_core::engine::SnapshotVersion;
use tito_core::event::{QueueLimits, TitoEvent, Topic};
use tito_core::{Database, KeyText, TitoError};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::deaths::Hands;
use super::feed::{Feed, MaybeFed, PARTITION};
use super::fence::Fence;
use super::lanes::Entity;
use super::pace::Pace;
use super::source::Source;
use crate::fate::Fate;
use crate::handler::{BoxedHandler, Function};
use crate::observe::{Failure, FailureLog, Observe, Observers};
use crate::policy::{Policy, Share, Subscription};

/// One subscription at work.
pub(super) struct Runner {
    pub(super) database: Database,
    /// The name of the queue.
    pub(super) queue: Arc<str>,
    pub(super) handler: BoxedHandler,
    /// What gets events to handlers from outside the queue.
    pub(super) feed: Option<Arc<dyn Feed>>,
    pub(super) timeout: Duration,
    pub(super) policy: Policy,
    pub(super) pace: Pace,
    pub(super) source: Source,
    pub(super) observe: Observe,
    pub(super) failures: FailureLog,
    /// How many events are being handled.
    pub(super) in_flight: Arc<AtomicU64>,
}

/// An event on its way to a handler.
pub(super) struct Delivery {
    pub(super) key: Vec<u8>,
    /// The event as it was read. It is decoded where it is handled: if thousands of waiting events were decoded, they
    /// would take more memory, and would have left the processor's caches by then.
    pub(super) stored: Vec<u8>,
    /// Of the transaction that read it.
    pub(super) version: Option<SnapshotVersion>,
    pub(super) entity: Entity,
    /// Whether it runs alone in its process, because another process died of it or while it ran.
    pub(super) is_suspect: bool,
    pub(super) origin: Arc<Origin>,
}

impl Delivery {
    pub(super) fn decode(&self) -> Result<Box<TitoEvent>, TitoError> {
        // Whoever records what becomes of it goes by the stored row.
        TitoEvent::decode_known(&self.key, &self.stored).map(Box::new)
    }
}

/// Where events were read, and under which conditions.
pub(super) struct Origin {
    pub(super) partition: u16,
    /// The topic's revision when the read began.
    pub(super) revision: u64,
    pub(super) fence: Fence,
    /// What the worker has in hand; `None` in a drain.
    pub(super) hands: Option<Arc<Hands>>,
}

impl Origin {
    /// The worker that serves the partition: for a member of a fleet, its member id; for others, the id of their
    /// process's row. `None` in a drain.
    pub(super) fn worker(&self) -> Option<Uuid> {
        self.fence.member().or_else(|| self.hands.as_ref().map(|hands| hands.id()))
    }
}

impl Runner {
    pub(super) fn new(
        database: Database,
        queue: String,
        subscription: Subscription,
        (handler, feed): MaybeFed,
        observers: Observers,
        reads: Arc<Semaphore>,
    ) -> Self {
        let takes_batches = handler.in_transaction || matches!(handler.run, Function::Batch(_));
        let timeout = if handler.in_transaction {
            // An older transaction can't commit.
            subscription.timeout.min(Duration::from_millis(database.max_transaction_age_millis()))
        } else {
            subscription.timeout
        };
        Self {
            observe: Observe::new(&database, &queue, observers),
            database,
            queue: queue.into(),
            handler,
            feed,
            timeout,
            pace: Pace::new(&subscription, takes_batches),
            source: Source::new(subscription.new_topic_partitions, reads),
            policy: Policy::of(subscription),
            failures: FailureLog::default(),
            in_flight: Arc::default(),
        }
    }

    /// Applies what an operator has set for the queue, of which this worker serves some partitions.
    pub(super) fn go_by_limits(&self, topic: &Topic, served: impl Iterator<Item = u16>) {
        let (mut own, mut feeds) = (0, false);
        for partition in served {
            own += 1;
            feeds |= self.feed.is_some() && partition == PARTITION;
        }
        // A feed reads everything, in one partition.
        let share = if feeds { Share::WHOLE } else { Share::new(own, u64::from(topic.served_partitions())) };
        self.pace.go_by(topic.limits_of(&self.queue).unwrap_or(&QueueLimits::default()), share);
    }

    /// Logs that an attempt failed, or that its event failed for good.
    pub(super) fn log(&self, fate: Fate, failure: &Failure) {
        let now = self.database.clock().monotonic_millis();
        self.failures.tell(&self.queue, now, self.policy.retry.most_attempts(), fate, failure);
    }

    /// Logs bytes that are not an event, and go to the dead letters.
    pub(super) fn log_no_event(&self, key: &[u8], error: Option<&TitoError>) {
        let now = self.database.clock().monotonic_millis();
        self.failures.tell_no_event(&self.queue, now, &KeyText::from(key), error);
    }

    /// Logs that the engine failed, in a partition or in several.
    pub(super) fn log_engine(&self, partition: Option<u16>, error: &TitoError, message: &'static str) {
        let now = self.database.clock().monotonic_millis();
        self.failures.tell_engine(&self.queue, partition, now, error, message);
    }
}
