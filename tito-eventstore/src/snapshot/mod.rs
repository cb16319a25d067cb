//! Snapshots: states of models, so that evolving need not begin with the first event.
//!
//! Snapshots of a model's newest two versions are kept, so that programs of two versions can run side by side. No
//! program writes a snapshot of another version than its own.
//!
//! | file | idea |
//! |---|---|
//! | `stored` | the value under which a snapshot is stored |
//! | `lost` | whether something of a selection was dropped |
//! | `start` | where a model begins |
//! | `save` | a snapshot stored, and those of old versions deleted |

mod lost;
mod save;
mod start;
mod stored;

pub(crate) use self::lost::{lost_at, lost_of};
pub(crate) use self::start::{Start, filters};
pub(crate) use self::stored::Stored;
