//! How often each call was made.
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Rpc;

/// The cluster's running counters.
pub(crate) struct Counters([AtomicU64; Rpc::COUNT]);

impl Default for Counters {
    fn default() -> Self {
        Counters(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Counters {
    pub(crate) fn count(&self, rpc: Rpc) {
        self.0[rpc as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> CallCounts {
        CallCounts(std::array::from_fn(|index| self.0[index].load(Ordering::Relaxed)))
    }
}

/// How many times each call had arrived when [`calls`](crate::MockCluster::calls) was read.
///
/// A call counts when it arrives, whatever becomes of it: refused and failed ones count too. In a timestamp stream
/// ([`Rpc::Tso`]), each request counts once, even if it asks for several timestamps.
#[derive(Clone, PartialEq, Eq)]
pub struct CallCounts([u64; Rpc::COUNT]);

impl CallCounts {
    /// How many times this call was made.
    pub fn of(&self, rpc: Rpc) -> u64 {
        self.0[rpc as usize]
    }

    /// The number of calls to PD, of all kinds.
    pub fn to_pd(&self) -> u64 {
        self.made().filter(|(rpc, _)| rpc.is_pd()).map(|(_, count)| count).sum()
    }

    /// The number of calls to the stores, of all kinds.
    pub fn to_stores(&self) -> u64 {
        self.made().filter(|(rpc, _)| !rpc.is_pd()).map(|(_, count)| count).sum()
    }

    /// The calls made since `earlier` was read.
    pub fn since(&self, earlier: &CallCounts) -> CallCounts {
        CallCounts(std::array::from_fn(|index| self.0[index].saturating_sub(earlier.0[index])))
    }

    /// The calls made at least once, with their counts.
    pub fn made(&self) -> impl Iterator<Item = (Rpc, u64)> + '_ {
        Rpc::ALL.iter().map(|rpc| (*rpc, self.of(*rpc))).filter(|(_, count)| *count > 0)
    }
}

impl fmt::Debug for CallCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.made()).finish()
    }
}
