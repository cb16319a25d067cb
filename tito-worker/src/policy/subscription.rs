//! How one queue is consumed.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::exhausted::Exhausted;
use super::order::Order;
use super::rate::RateLimit;
use super::retry::RetryPolicy;

/// How one queue is consumed. The defaults suit most: order relaxed, 10 attempts of at most 60 s, 16 handlers at once.
///
/// ```
/// use std::time::Duration;
/// use tito_worker::{Order, RateLimit, Subscription};
/// let subscription = Subscription::default()
///     .order(Order::Strict)
///     .rate_limit(RateLimit::new(100, Duration::from_secs(1)))
///     .timeout(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Subscription {
    pub(crate) retry: RetryPolicy,
    pub(crate) exhausted: Exhausted,
    pub(crate) order: Order,
    pub(crate) timeout: Duration,
    pub(crate) most_deaths: u32,
    pub(crate) concurrency: usize,
    pub(crate) batch: usize,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) delay: Duration,
    pub(crate) new_topic_partitions: Option<u16>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            exhausted: Exhausted::default(),
            order: Order::default(),
            timeout: Duration::from_secs(60),
            most_deaths: 5,
            concurrency: 16,
            batch: 1,
            rate_limit: None,
            delay: Duration::ZERO,
            new_topic_partitions: None,
        }
    }
}

impl Subscription {
    /// How many attempts an event has, and how long apart.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// What happens to an event whose last attempt has failed. Default: the dead letters.
    pub fn exhausted(mut self, exhausted: Exhausted) -> Self {
        self.exhausted = exhausted;
        self
    }

    /// Whether an entity's later events wait for one that has failed. Default: they don't.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How long a handler may take, by the engine's clock; after that it is dropped at its current `await`, and the
    /// attempt has failed. Default 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// After how many process deaths an event that kills its process goes to the dead letters: two to find it among the
    /// events handled at the same time, the others while it runs alone. At least 3, and 5 by default. See the guide for
    /// what counts as a death.
    pub fn most_deaths(mut self, deaths: u32) -> Self {
        self.most_deaths = deaths.max(3);
        self
    }

    /// How many handlers run at once in this worker, at least 1, in all its partitions together. A mail server or a
    /// pool that they use needs as many connections. A batch counts as one. Default 16.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How many events are handled together, from 1 to 1,000: those that are ready, without waiting for more. Default 1.
    ///
    /// A transactional handler is called for each of them in turn, with one transaction for all, which is many times
    /// faster; if one fails, all are rolled back and handled one by one. A batch handler gets all of them in one call.
    /// A plain handler of single events ignores this setting.
    pub fn batch(mut self, events: usize) -> Self {
        self.batch = events.clamp(1, 1_000);
        self
    }

    /// How many events are handed out in a period of time. Default: no limit.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Events are handed out this long after their due time, rounded up to whole seconds. Default: none.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Creates the topic with this many partitions if it does not exist. By default a worker waits for a topic that
    /// nobody has published to or created yet, and warns: its name may be mistyped.
    pub fn new_topic_partitions(mut self, partitions: u16) -> Self {
        self.new_topic_partitions = Some(partitions);
        self
    }
}
