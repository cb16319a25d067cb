//! TiKV's multi-version store: what its stores do with a request once the region has been checked.
//!
//! A key has up to three sorts of records. A *lock* says that a transaction is going to change it. A *write* record
//! says that a transaction did, at its commit timestamp, or that one no longer may, at its start timestamp. A *value*
//! too long for these has a record of its own. A transaction puts locks and values on all its keys (prewrite). Then it
//! turns the lock of its primary key into a write record (commit), which decides for all its keys. The others follow,
//! or whoever meets their locks asks the primary and makes them follow.
//!
//! One set of records serves all stores of a cluster. Regions decide which store a request may go to; they don't matter
//! here except as the limits of scans. Only what a store has seen is its own (see [`State`]).
//!
//! The rules are those of TiKV's sources; each file names its source file. This crate's `RULES.md` lists them.

mod acquire;
mod boundary;
mod changes;
mod commit;
mod constraint;
mod crc64;
mod deadlock;
mod failure;
mod flush;
mod gc;
mod history;
mod merge;
mod mvcc;
mod pessimistic;
mod prewrite;
mod prewrite_key;
mod raw;
mod read;
mod records;
mod resolve;
mod rollback;
mod scope;
mod secondaries;
mod snapshot;
mod state;
mod status;
mod waiting;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use tito_tikv_proto::kvrpcpb::*;

use crate::range::RegionRange;

pub(crate) use scope::Scope;
use state::State;

/// The records of a cluster; each request is atomic for all others.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    state: Mutex<State>,
}

/// How many transactional records a cluster holds. It shows what a garbage collection has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sizes {
    /// Locks.
    pub locks: usize,
    /// Write records: one for each version of a key, rollbacks included.
    pub writes: usize,
    /// Values too long for their write record, over 255 bytes.
    pub values: usize,
}

impl Storage {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn get(&self, scope: Scope<'_>, request: &GetRequest) -> GetResponse {
        self.with(|state| read::get(state, scope, request))
    }

    pub(crate) fn batch_get(&self, scope: Scope<'_>, request: &BatchGetRequest) -> BatchGetResponse {
        self.with(|state| read::batch_get(state, scope, request))
    }

    pub(crate) fn scan(&self, scope: Scope<'_>, request: &ScanRequest) -> ScanResponse {
        self.with(|state| read::scan(state, scope, request))
    }

    pub(crate) fn prewrite(&self, scope: Scope<'_>, request: &PrewriteRequest) -> PrewriteResponse {
        self.with(|state| prewrite::prewrite(state, scope, request))
    }

    pub(crate) fn commit(&self, scope: Scope<'_>, request: &CommitRequest) -> CommitResponse {
        self.with(|state| commit::commit(state, scope, request))
    }

    pub(crate) fn batch_rollback(&self, scope: Scope<'_>, request: &BatchRollbackRequest) -> BatchRollbackResponse {
        self.with(|state| rollback::batch_rollback(state, scope, request))
    }

    pub(crate) fn cleanup(&self, scope: Scope<'_>, request: &CleanupRequest) -> CleanupResponse {
        self.with(|state| rollback::cleanup(state, scope, request))
    }

    pub(crate) fn check_txn_status(&self, scope: Scope<'_>, request: &CheckTxnStatusRequest) -> CheckTxnStatusResponse {
        self.with(|state| status::check_txn_status(state, scope, request))
    }

    pub(crate) fn check_secondary_locks(
        &self,
        scope: Scope<'_>,
        request: &CheckSecondaryLocksRequest,
    ) -> CheckSecondaryLocksResponse {
        self.with(|state| secondaries::check_secondary_locks(state, scope, request))
    }

    pub(crate) fn resolve_lock(&self, scope: Scope<'_>, request: &ResolveLockRequest) -> ResolveLockResponse {
        self.with(|state| resolve::resolve_lock(state, scope, request))
    }

    pub(crate) fn scan_lock(&self, scope: Scope<'_>, request: &ScanLockRequest) -> ScanLockResponse {
        self.with(|state| resolve::scan_lock(state, scope, request))
    }

    pub(crate) fn pessimistic_rollback(
        &self,
        scope: Scope<'_>,
        request: &PessimisticRollbackRequest,
    ) -> PessimisticRollbackResponse {
        self.with(|state| rollback::pessimistic_rollback(state, scope, request))
    }

    pub(crate) fn flush(&self, scope: Scope<'_>, request: &FlushRequest) -> FlushResponse {
        self.with(|state| flush::flush(state, scope, request))
    }

    pub(crate) fn buffer_batch_get(&self, scope: Scope<'_>, request: &BufferBatchGetRequest) -> BufferBatchGetResponse {
        self.with(|state| flush::buffer_batch_get(state, scope, request))
    }

    pub(crate) fn txn_heart_beat(&self, request: &TxnHeartBeatRequest) -> TxnHeartBeatResponse {
        self.with(|state| status::txn_heart_beat(state, request))
    }

    /// Dropping the future abandons the wait. `admit` carries out the request, or returns the answer to give instead.
    pub(crate) async fn pessimistic_lock(
        &self,
        request: &PessimisticLockRequest,
        admit: impl Fn(&mut dyn FnMut(Scope<'_>)) -> Option<PessimisticLockResponse>,
    ) -> PessimisticLockResponse {
        pessimistic::pessimistic_lock(self, request, admit).await
    }

    pub(crate) fn mvcc_get_by_key(&self, request: &MvccGetByKeyRequest) -> MvccGetByKeyResponse {
        self.with(|state| mvcc::get_by_key(state, request))
    }

    pub(crate) fn mvcc_get_by_start_ts(
        &self,
        scope: Scope<'_>,
        request: &MvccGetByStartTsRequest,
    ) -> MvccGetByStartTsResponse {
        self.with(|state| mvcc::get_by_start_ts(state, scope, request))
    }

    /// Records that a store knows a timestamp, above which it has to commit.
    pub(crate) fn note_timestamp(&self, store: u64, timestamp: u64) {
        self.with(|state| state.note_read(store, timestamp));
    }

    /// Forgets what was read from a store.
    pub(crate) fn forget_reads(&self, store: u64) {
        self.with(|state| state.forget_reads(store));
    }

    /// Saves the pessimistic locks of a region that only its leader has, for the next leader.
    pub(crate) fn replicate_locks(&self, region: &RegionRange) {
        self.with(|state| state.replicate_locks(&boundary::KeyRange::of_region(region)));
    }

    /// Drops the pessimistic locks of a region that only its leader had.
    pub(crate) fn lose_locks_in_memory(&self, region: &RegionRange) {
        self.with(|state| state.lose_locks_in_memory(&boundary::KeyRange::of_region(region)));
    }

    /// Collects garbage in all regions, as TiKV does by itself when PD's safe point moves.
    pub(crate) fn collect_garbage(&self, safe_point: u64) {
        self.with(|state| gc::collect_garbage(state, safe_point));
    }

    pub(crate) fn unsafe_destroy_range(&self, request: &UnsafeDestroyRangeRequest) -> UnsafeDestroyRangeResponse {
        self.with(|state| gc::unsafe_destroy_range(state, request))
    }

    pub(crate) fn delete_range(&self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        self.with(|state| gc::delete_range(state, request))
    }

    pub(crate) fn raw_get(&self, scope: Scope<'_>, request: &RawGetRequest) -> RawGetResponse {
        self.with(|state| state.raw.at(scope.now).get(request))
    }

    pub(crate) fn raw_batch_get(&self, scope: Scope<'_>, request: &RawBatchGetRequest) -> RawBatchGetResponse {
        self.with(|state| state.raw.at(scope.now).batch_get(request))
    }

    pub(crate) fn raw_get_key_ttl(&self, scope: Scope<'_>, request: &RawGetKeyTtlRequest) -> RawGetKeyTtlResponse {
        self.with(|state| state.raw.at(scope.now).get_key_ttl(request))
    }

    pub(crate) fn raw_put(&self, scope: Scope<'_>, request: &RawPutRequest) -> RawPutResponse {
        self.with(|state| state.raw.at(scope.now).put(request))
    }

    pub(crate) fn raw_batch_put(&self, scope: Scope<'_>, request: &RawBatchPutRequest) -> RawBatchPutResponse {
        self.with(|state| state.raw.at(scope.now).batch_put(request))
    }

    pub(crate) fn raw_delete(&self, scope: Scope<'_>, request: &RawDeleteRequest) -> RawDeleteResponse {
        self.with(|state| state.raw.at(scope.now).delete(request))
    }

    pub(crate) fn raw_batch_delete(&self, scope: Scope<'_>, request: &RawBatchDeleteRequest) -> RawBatchDeleteResponse {
        self.with(|state| state.raw.at(scope.now).batch_delete(request))
    }

    pub(crate) fn raw_scan(&self, scope: Scope<'_>, request: &RawScanRequest) -> RawScanResponse {
        self.with(|state| state.raw.at(scope.now).scan(request, scope.region))
    }

    pub(crate) fn raw_batch_scan(&self, scope: Scope<'_>, request: &RawBatchScanRequest) -> RawBatchScanResponse {
        self.with(|state| state.raw.at(scope.now).batch_scan(request, scope.region))
    }

    pub(crate) fn raw_delete_range(&self, scope: Scope<'_>, request: &RawDeleteRangeRequest) -> RawDeleteRangeResponse {
        self.with(|state| state.raw.at(scope.now).delete_range(request))
    }

    pub(crate) fn raw_compare_and_swap(&self, scope: Scope<'_>, request: &RawCasRequest) -> RawCasResponse {
        self.with(|state| state.raw.at(scope.now).compare_and_swap(request))
    }

    pub(crate) fn raw_checksum(&self, scope: Scope<'_>, request: &RawChecksumRequest) -> RawChecksumResponse {
        self.with(|state| state.raw.at(scope.now).checksum(request, scope.region))
    }

    /// All current locks, by key.
    pub(crate) fn locks(&self) -> Vec<LockInfo> {
        self.with(|state| state.all_locks())
    }

    /// How many transactional records exist now.
    pub(crate) fn sizes(&self) -> Sizes {
        self.with(|state| state.sizes())
    }
}
