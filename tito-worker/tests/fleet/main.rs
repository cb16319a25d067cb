//! A fleet of workers that are killed, paused past their leases and restarted at random, while events are published and
//! the number of partitions changes.
//!
//! Five workers join one fleet on one in-process cluster and share out three topics:
//! - `strict`: transactional handlers in strict order, some of whose attempts fail;
//! - `batch`: transactional handlers in batches;
//! - `plain`: plain handlers, whose effects are transactions of their own.
//!
//! What is checked at the end, once the last fault is over and the backlog has drained: the effects of the first two have
//! happened exactly once and those of the third at least once, for every event that was published; the strict topic's
//! log, which its handlers write in their transactions, has each entity's events in the order of their publication; and
//! nothing is left under `event:` or `dead:`.
//!
//! `by_hand` has each worker in a thread with a runtime of its own, which stops where it is when the thread is held, on
//! a clock that the test turns; `in_real_time` has processes that get SIGKILL, SIGSTOP and SIGCONT. The seed is printed;
//! `TITO_SEED` sets it. Which faults follow one another depends on the seed alone, what they meet on the scheduler too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, unreachable_pub)]

mod by_hand;
mod in_real_time;
mod ledger;
mod work;

/// How many workers there are.
const WORKERS: usize = 5;
/// How many entities each topic's events are about.
const ENTITIES: usize = 9;
/// Of each topic, before and after the change. Both are odd to one another, so that most entities move.
const PARTITIONS: u16 = 6;
const MORE_PARTITIONS: u16 = 11;

const TOPICS: [&str; 3] = ["strict", "batch", "plain"];
