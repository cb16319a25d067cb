//! Where a request is carried out, and by which rules.

use crate::range::RegionRange;
use crate::version::TikvVersion;

/// What a store knows when it carries out a request, besides the records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// The store, each of which has a `max_ts` of its own.
    pub(crate) store: u64,
    /// The region that the request was checked for.
    pub(crate) region: &'a RegionRange,
    /// Whether the store has asked PD for the time since it leads the region. While it has not, somebody may have read
    /// from the leader before at a timestamp that this store has not seen.
    pub(crate) max_ts_synced: bool,
    /// The version whose rules hold.
    pub(crate) version: TikvVersion,
    /// The time in seconds since the epoch, for raw calls; zero for others.
    pub(crate) now: u64,
    /// Whether pessimistic locks are kept by the leader only (`pessimistic-txn.in-memory`).
    pub(crate) in_memory_locks: bool,
}
