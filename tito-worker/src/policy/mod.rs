//! What a subscription can set: when an event is tried again, in which order, how fast, and when it fails for good.

mod exhausted;
mod limited;
mod order;
mod rate;
mod retry;
mod subscription;

pub use self::exhausted::Exhausted;
pub use self::limited::LimitedBy;
pub use self::order::Order;
pub use self::rate::RateLimit;
pub(crate) use self::rate::{RateLimiter, Share};
pub use self::retry::RetryPolicy;
pub use self::subscription::Subscription;

/// What decides what becomes of an event.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) retry: RetryPolicy,
    pub(crate) exhausted: Exhausted,
    pub(crate) order: Order,
    /// After how many deaths of a process an event fails for good.
    pub(crate) most_deaths: u32,
    /// Whole seconds by which the subscription is behind the due times of its events.
    pub(crate) delay_seconds: i64,
}

impl Policy {
    pub(crate) fn of(subscription: Subscription) -> Self {
        let Subscription { retry, exhausted, order, most_deaths, delay, .. } = subscription;
        let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
        Self { retry, exhausted, order, most_deaths, delay_seconds: i64::try_from(seconds).unwrap_or(i64::MAX) }
    }

    /// How many deaths are charged to an event before it fails for good: without the first one, after which nobody knows what
    /// was in hand, and the one after which it is a suspect among others.
    pub(crate) fn charged_deaths(&self) -> u32 {
        self.most_deaths.saturating_sub(2).max(1)
    }
}
