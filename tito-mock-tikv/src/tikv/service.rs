//! A store's calls: check the region, let a fault strike, ask the storage, answer.
use std::borrow::Cow;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::request::{RegionRequest, RegionResponse};
use crate::codec;
use crate::listener::Connections;
use crate::range::RegionRange;
use crate::shared::{Settings, Shared, Verdict};
use crate::storage::{Scope, Storage};
use crate::topology::{KeyForm, Region, RegionError, Topology, key_not_in_region, region_not_found, store_not_match};
use crate::{Fault, Rpc};
use tito_tikv_proto::errorpb;
use tito_tikv_proto::kvrpcpb::*;
use tito_tikv_proto::metapb;
use tito_tikv_proto::tikvpb::tikv_server::Tikv;

/// One store.
#[derive(Clone)]
pub(crate) struct StoreService {
    shared: Arc<Shared>,
    store_id: u64,
    connections: Arc<Connections>,
}

impl StoreService {
    pub(crate) fn new(shared: Arc<Shared>, store_id: u64, connections: Arc<Connections>) -> Self {
        StoreService { shared, store_id, connections }
    }

    /// The way of nearly every call.
    async fn serve<Q: RegionRequest>(
        &self,
        rpc: Rpc,
        request: Request<Q>,
        answer: fn(&Storage, &Q, Scope<'_>) -> Q::Response,
    ) -> Result<Response<Q::Response>, Status> {
        let request = request.into_inner();
        let verdict = self.shared.arrive(rpc, &request.keys(), &self.connections).await?;
        // The topology is held until the storage has answered: a split or merge comes before or after the call.
        let topology = self.shared.topology();
        let response = match self.admit(&topology, &request, &verdict) {
            Ok(region) => answer(&self.shared.storage, &request, self.scope(&range_for(&request, region))),
            Err(error) => Q::Response::of_region_error(*error),
        };
        drop(topology);
        verdict.finish(response)
    }

    fn scope<'a>(&self, region: &'a RegionRange) -> Scope<'a> {
        let Settings { version, in_memory_locks } = self.shared.settings;
        Scope { store: self.store_id, region, max_ts_synced: true, version, in_memory_locks }
    }

    /// The region that a request may go to.
    fn admit<'a, Q: RegionRequest>(
        &self,
        topology: &'a Topology,
        request: &Q,
        verdict: &Verdict,
    ) -> Result<&'a Region, RegionError> {
        if let Verdict::Answer(fault) = verdict {
            return Err(self.region_error(fault, topology, request));
        }
        let region = topology.check(self.store_id, request.context())?;
        let (keys, form) = (request.keys(), request.key_form());
        region.check_keys(&keys, request.end(), form)?;
        if !Q::RAW
            && let Some(key) = keys.first()
        {
            self.shared.note_key(form.to_boundary(key));
        }
        Ok(region)
    }

    /// A region error that was asked for, told of the region as it is.
    fn region_error<Q: RegionRequest>(&self, fault: &Fault, topology: &Topology, request: &Q) -> RegionError {
        let region_id = request.context().region_id;
        let Some(region) = topology.region(region_id) else { return region_not_found(region_id) };
        let error = match fault {
            Fault::EpochNotMatch => return topology.epoch_not_match(region, region.version),
            Fault::RegionNotFound => return region_not_found(region_id),
            Fault::StoreNotMatch => return store_not_match(self.store_id, self.store_id),
            Fault::KeyNotInRegion => {
                return key_not_in_region(request.keys().first().copied().unwrap_or_default(), region);
            }
            Fault::NotLeader => errorpb::Error {
                not_leader: Some(errorpb::NotLeader { region_id, leader: None }),
                ..errorpb::Error::default()
            },
            Fault::StaleCommand => {
                errorpb::Error { stale_command: Some(errorpb::StaleCommand::default()), ..errorpb::Error::default() }
            }
            Fault::MaxTimestampNotSynced => errorpb::Error {
                max_timestamp_not_synced: Some(errorpb::MaxTimestampNotSynced::default()),
                ..errorpb::Error::default()
            },
            Fault::RaftEntryTooLarge => errorpb::Error {
                raft_entry_too_large: Some(errorpb::RaftEntryTooLarge { region_id, entry_size: 8 << 20 }),
                ..errorpb::Error::default()
            },
            // The others are no region errors, and are dealt with before.
            _ => errorpb::Error {
                server_is_busy: Some(errorpb::ServerIsBusy {
                    reason: "the mock cluster was told to be busy".to_owned(),
                    ..errorpb::ServerIsBusy::default()
                }),
                ..errorpb::Error::default()
            },
        };
        let message = format!("the mock cluster was told to answer {}", fault.name());
        Box::new(errorpb::Error { message, ..error })
    }

    async fn pessimistic_lock(
        &self,
        request: Request<PessimisticLockRequest>,
    ) -> Result<Response<PessimisticLockResponse>, Status> {
        let request = request.into_inner();
        let verdict = self.shared.arrive(Rpc::KvPessimisticLock, &request.keys(), &self.connections).await?;
        // The topology is not held while the request waits, which must not hold up splits and merges.
        let admit = |act: &mut dyn FnMut(Scope<'_>)| {
            let topology = self.shared.topology();
            match self.admit(&topology, &request, &verdict) {
                Ok(region) => {
                    act(self.scope(&region.range));
                    None
                }
                Err(error) => Some(PessimisticLockResponse::of_region_error(*error)),
            }
        };
        verdict.finish(self.shared.storage.pessimistic_lock(&request, admit).await)
    }

    /// Addressed to the store, so there is no region to check.
    async fn destroy_range(
        &self,
        request: Request<UnsafeDestroyRangeRequest>,
    ) -> Result<Response<UnsafeDestroyRangeResponse>, Status> {
        let verdict = self.shared.arrive(Rpc::UnsafeDestroyRange, &[], &self.connections).await?;
        let topology = self.shared.topology();
        let response = self.shared.storage.unsafe_destroy_range(request.get_ref());
        drop(topology);
        verdict.finish(response)
    }

    async fn split(&self, request: Request<SplitRegionRequest>) -> Result<Response<SplitRegionResponse>, Status> {
        let mut request = request.into_inner();
        if request.split_keys.is_empty() && !request.split_key.is_empty() {
            // The field of older clients.
            request.split_keys.push(std::mem::take(&mut request.split_key));
        }
        let verdict = self.shared.arrive(Rpc::SplitRegion, &request.keys(), &self.connections).await?;
        let mut topology = self.shared.topology_mut();
        let admitted = self.admit(&topology, &request, &verdict).map(|region| region.id);
        let response = match admitted {
            Ok(id) => {
                let keys = request.split_keys.iter().map(|key| codec::encode(key)).collect();
                split_response(topology.split(id, keys).iter().map(Region::meta).collect())
            }
            Err(error) => SplitRegionResponse::of_region_error(*error),
        };
        drop(topology);
        verdict.finish(response)
    }
}

fn split_response(regions: Vec<metapb::Region>) -> SplitRegionResponse {
    let (left, right) = match regions.as_slice() {
        [left, right] => (Some(left.clone()), Some(right.clone())),
        _ => (None, None),
    };
    SplitRegionResponse { left, right, regions, ..SplitRegionResponse::default() }
}

/// The region's part of the key space in the form of the request's own keys for raw calls, in PD's form for the others.
fn range_for<'a, Q: RegionRequest>(request: &Q, region: &'a Region) -> Cow<'a, RegionRange> {
    if !Q::RAW || request.key_form() == KeyForm::Plain {
        return Cow::Borrowed(&region.range);
    }
    let decode = |boundary: &[u8]| codec::decode(boundary).unwrap_or_else(|| boundary.to_vec());
    Cow::Owned(RegionRange { start: decode(&region.range.start), end: decode(&region.range.end) })
}

macro_rules! tikv_calls {
    ($($method:ident $rpc:ident $request:ident $response:ident |$($argument:pat_param),*| $answer:expr;)*) => {
        #[tonic::async_trait]
        impl Tikv for StoreService {
            $(
                async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                    self.serve(Rpc::$rpc, request, |$($argument),*| $answer).await
                }
            )*

            async fn kv_pessimistic_lock(
                &self,
                request: Request<PessimisticLockRequest>,
            ) -> Result<Response<PessimisticLockResponse>, Status> {
                self.pessimistic_lock(request).await
            }

            /// Collects by PD's safe point only, as TiKV does since 5.0 (`src/server/service/kv.rs`).
            async fn kv_gc(&self, _: Request<GcRequest>) -> Result<Response<GcResponse>, Status> {
                self.shared.arrive(Rpc::KvGc, &[], &self.connections).await?;
                Err(Status::unimplemented("versions are collected when PD's safe point moves"))
            }

            async fn unsafe_destroy_range(
                &self,
                request: Request<UnsafeDestroyRangeRequest>,
            ) -> Result<Response<UnsafeDestroyRangeResponse>, Status> {
                self.destroy_range(request).await
            }

            async fn split_region(
                &self,
                request: Request<SplitRegionRequest>,
            ) -> Result<Response<SplitRegionResponse>, Status> {
                self.split(request).await
            }
        }
    };
}

tikv_calls! {
    kv_get KvGet GetRequest GetResponse |storage, it, scope| storage.get(scope, it);
    kv_scan KvScan ScanRequest ScanResponse |storage, it, scope| storage.scan(scope, it);
    kv_prewrite KvPrewrite PrewriteRequest PrewriteResponse |storage, it, scope| storage.prewrite(scope, it);
    kv_pessimistic_rollback KvPessimisticRollback PessimisticRollbackRequest PessimisticRollbackResponse
        |storage, it, scope| storage.pessimistic_rollback(scope, it);
    kv_txn_heart_beat KvTxnHeartBeat TxnHeartBeatRequest TxnHeartBeatResponse
        |storage, it, _| storage.txn_heart_beat(it);
    kv_check_txn_status KvCheckTxnStatus CheckTxnStatusRequest CheckTxnStatusResponse
        |storage, it, scope| storage.check_txn_status(scope, it);
    kv_check_secondary_locks KvCheckSecondaryLocks CheckSecondaryLocksRequest CheckSecondaryLocksResponse
        |storage, it, scope| storage.check_secondary_locks(scope, it);
    kv_commit KvCommit CommitRequest CommitResponse |storage, it, scope| storage.commit(scope, it);
    kv_cleanup KvCleanup CleanupRequest CleanupResponse |storage, it, scope| storage.cleanup(scope, it);
    kv_batch_get KvBatchGet BatchGetRequest BatchGetResponse |storage, it, scope| storage.batch_get(scope, it);
    kv_batch_rollback KvBatchRollback BatchRollbackRequest BatchRollbackResponse
        |storage, it, scope| storage.batch_rollback(scope, it);
    kv_scan_lock KvScanLock ScanLockRequest ScanLockResponse |storage, it, scope| storage.scan_lock(scope, it);
    kv_resolve_lock KvResolveLock ResolveLockRequest ResolveLockResponse
        |storage, it, scope| storage.resolve_lock(scope, it);
    mvcc_get_by_key MvccGetByKey MvccGetByKeyRequest MvccGetByKeyResponse |storage, it, _| storage.mvcc_get_by_key(it);
    mvcc_get_by_start_ts MvccGetByStartTs MvccGetByStartTsRequest MvccGetByStartTsResponse
        |storage, it, scope| storage.mvcc_get_by_start_ts(scope, it);
    kv_delete_range KvDeleteRange DeleteRangeRequest DeleteRangeResponse |storage, it, _| storage.delete_range(it);
    raw_get RawGet RawGetRequest RawGetResponse |storage, it, _| storage.raw_get(it);
    raw_batch_get RawBatchGet RawBatchGetRequest RawBatchGetResponse |storage, it, _| storage.raw_batch_get(it);
    raw_put RawPut RawPutRequest RawPutResponse |storage, it, _| storage.raw_put(it);
    raw_batch_put RawBatchPut RawBatchPutRequest RawBatchPutResponse |storage, it, _| storage.raw_batch_put(it);
    raw_delete RawDelete RawDeleteRequest RawDeleteResponse |storage, it, _| storage.raw_delete(it);
    raw_batch_delete RawBatchDelete RawBatchDeleteRequest RawBatchDeleteResponse
        |storage, it, _| storage.raw_batch_delete(it);
    raw_scan RawScan RawScanRequest RawScanResponse |storage, it, scope| storage.raw_scan(it, scope.region);
    raw_batch_scan RawBatchScan RawBatchScanRequest RawBatchScanResponse
        |storage, it, scope| storage.raw_batch_scan(it, scope.region);
    raw_delete_range RawDeleteRange RawDeleteRangeRequest RawDeleteRangeResponse
        |storage, it, _| storage.raw_delete_range(it);
    raw_get_key_ttl RawGetKeyTtl RawGetKeyTtlRequest RawGetKeyTtlResponse
        |storage, it, _| storage.raw_get_key_ttl(it);
    raw_compare_and_swap RawCompareAndSwap RawCasRequest RawCasResponse
        |storage, it, _| storage.raw_compare_and_swap(it);
}
