//! All that belongs to an owner: found, erased, and searched for afterwards.
//!
//! Whoever stores something that has an owner notes it under `!owned:{owner}:{key}` in the same transaction: an event
//! where it was published, a dead letter and a kept event where it lies, a unique key, a schedule. Events that are only
//! moved are found by their [notes](crate::moved). A row whose key has gone is left behind, as whoever deletes would have
//! to know of it; the janitor deletes it.
//!
//! | file | idea |
//! |---|---|
//! | `counts` | how much of each kind |
//! | `belongings` | what there is of what the rows name |
//! | `count` | how much there is of it |
//! | `erase` | deletes it, step by step |
//! | `search` | reads everything there is, and says whether something is the owner's |
//! | `sweep` | deletes rows of what is gone |

mod belongings;
mod count;
mod counts;
mod erase;
mod search;
mod sweep;

pub use counts::OwnerCounts;
pub use erase::Erasure;
pub use search::{OwnerSearch, Remaining};
pub(crate) use sweep::sweep_owned;
