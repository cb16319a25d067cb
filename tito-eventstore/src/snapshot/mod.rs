//! Snapshots: states of models, so that evolving need not begin with the first event.
//!
//! A model's snapshots are kept by version, the newest two, so that programs of two versions can be at work beside one
//! another. No program writes the snapshot of another version than its own.
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
