//! The contract of an engine, for those who write one. A program holds a [`Database`](crate::Database) instead.
//!
//! An engine keeps sorted keys under snapshot isolation and knows nothing of what they mean: it begins transactions,
//! reads at their snapshots, and commits their writes. Everything that engines have in common (the writes of a
//! transaction before its commit, limits, own writes over reads, replays) is done once, by
//! [`Transaction`](crate::Transaction). The conformance suite of `tito-testkit` checks what is written here.

mod contract;
mod filling;
mod identity;
mod limits;
mod mutations;
mod packed;
mod published;
mod read_only;
mod shared;
mod signals;
mod tally;

pub use contract::{Claim, Direction, KeyValue, SnapshotVersion, TitoEngine, TitoSnapshot, TitoTransaction};
pub use filling::Filling;
#[cfg_attr(not(feature = "embedded"), allow(unused_imports, reason = "used by the engine of that feature"))]
pub(crate) use filling::{Purpose, check_whole, is_one_already};
pub use identity::DatabaseIdentity;
pub use limits::Limits;
pub use mutations::{Mutation, Mutations};
pub use packed::PackedRows;
pub use published::{HeardPublished, PublishedEvent, PublishedEvents};
pub(crate) use read_only::ReadOnly;
pub use shared::Shared;
pub use signals::{Listener, Signal, Signals};
pub use tally::{Tallied, Tally, TallyChange, TallyCount};
