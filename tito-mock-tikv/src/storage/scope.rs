//! Where a request is carried out, and under which rules.

use crate::range::RegionRange;
use crate::version::TikvVersion;

/// What a store knows, besides the records, when it carries out a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The store; each has a `max_ts` of its own.
    pub(crate) store: u64,
    /// The region that the request was checked for.
    pub(crate) region: &'a RegionRange,
    /// Whether the store has asked PD for the time since it became the region's leader. Until then, somebody may have
    /// read from the previous leader at a timestamp that this store has not seen.
    pub(crate) max_ts_synced: bool,
    /// The version whose rules apply.
    pub(crate) version: TikvVersion,
    /// The time in seconds since the epoch, for raw calls; zero for others.
    pub(crate) now: u64,
    /// Whether only the leader keeps pessimistic locks (`pessimistic-txn.in-memory`).
    pub(crate) in_memory_locks: bool,
}
