//! Reactors: handlers that follow a store, each of its events with effects that happen once.
//!
//! A reactor is a topic, `{store}.{reactor}`, and a position in the store. What owns the topic's first partition reads the
//! store from there and has handlers run. Whatever does not get done at once is put into the topic's queue, as a reference
//! to the event, in the transaction that moves the position past it. From there on it is an event like others. Later
//! events of its entity go the same way until the queue has nothing of the entity any more.
//!
//! | file | idea |
//! |---|---|
//! | `from` | where a reactor begins |
//! | `reaction` | what applications implement |
//! | `reactor` | what they hold, and a worker's subscription |
//! | `lifecycle` | look at, replay, remove |
//! | `position` | what is stored of a reactor |
//! | `reference` | what is put into the queue of an event, and its delivery |
//! | `waiting` | entities of which the queue has something |
//! | `feed` | who works when |
//! | `begin` | what is known when the work begins |
//! | `erased` | what was erased of what is in memory |
//! | `beside` | plain handlers, several at a time |
//! | `intake`, `recording` | what they get next, and what they came to |
//! | `record` | how far a reactor is, in one transaction |
//! | `together`, `attempt` | transactional handlers, many events to a transaction |

mod attempt;
mod begin;
mod beside;
mod erased;
mod feed;
mod from;
mod intake;
mod lifecycle;
mod position;
mod reaction;
mod reactor;
mod record;
mod recording;
mod reference;
mod together;
mod waiting;

pub(crate) use position::Position;

pub use from::ReactFrom;
pub use lifecycle::ReactorInfo;
pub use reaction::Reaction;
pub use reactor::Reactor;
