//! What a subscription can set: when an event is tried again, in which order, how fast, and when it is given up.

mod exhausted;
mod order;
mod rate;
mod retry;
mod subscription;

pub use self::exhausted::Exhausted;
pub use self::order::Order;
pub use self::rate::RateLimit;
pub(crate) use self::rate::RateLimiter;
pub use self::retry::RetryPolicy;
pub use self::subscription::Subscription;
