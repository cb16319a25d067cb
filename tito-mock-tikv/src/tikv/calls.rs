//! A store's calls, and what the storage does for each.
use tito_tikv_proto::kvrpcpb::*;
use tito_tikv_proto::tikvpb::BatchCommandsRequest;
use tito_tikv_proto::tikvpb::tikv_server::Tikv;
use tonic::{Request, Response, Status, Streaming};

use super::StoreService;
use super::batch::BatchStream;
use crate::Rpc;
use crate::storage::{Scope, Storage};

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
                StoreService::pessimistic_lock(self, request).await
            }

            async fn kv_gc(&self, request: Request<GcRequest>) -> Result<Response<GcResponse>, Status> {
                self.gc(request).await
            }

            async fn kv_flush(&self, request: Request<FlushRequest>) -> Result<Response<FlushResponse>, Status> {
                self.serve_flush(Rpc::KvFlush, request, |storage, it, scope| storage.flush(scope, it)).await
            }

            async fn kv_buffer_batch_get(
                &self,
                request: Request<BufferBatchGetRequest>,
            ) -> Result<Response<BufferBatchGetResponse>, Status> {
                let answer = |storage: &Storage, it: &_, scope: Scope<'_>| storage.buffer_batch_get(scope, it);
                self.serve_flush(Rpc::KvBufferBatchGet, request, answer).await
            }

            type BatchCommandsStream = BatchStream;

            async fn batch_commands(
                &self,
                requests: Request<Streaming<BatchCommandsRequest>>,
            ) -> Result<Response<BatchStream>, Status> {
                Ok(Response::new(self.answer_batches(requests.into_inner())))
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
    raw_get RawGet RawGetRequest RawGetResponse |storage, it, scope| storage.raw_get(scope, it);
    raw_batch_get RawBatchGet RawBatchGetRequest RawBatchGetResponse |storage, it, scope| storage.raw_batch_get(scope, it);
    raw_put RawPut RawPutRequest RawPutResponse |storage, it, scope| storage.raw_put(scope, it);
    raw_batch_put RawBatchPut RawBatchPutRequest RawBatchPutResponse |storage, it, scope| storage.raw_batch_put(scope, it);
    raw_delete RawDelete RawDeleteRequest RawDeleteResponse |storage, it, scope| storage.raw_delete(scope, it);
    raw_batch_delete RawBatchDelete RawBatchDeleteRequest RawBatchDeleteResponse
        |storage, it, scope| storage.raw_batch_delete(scope, it);
    raw_scan RawScan RawScanRequest RawScanResponse |storage, it, scope| storage.raw_scan(scope, it);
    raw_batch_scan RawBatchScan RawBatchScanRequest RawBatchScanResponse
        |storage, it, scope| storage.raw_batch_scan(scope, it);
    raw_delete_range RawDeleteRange RawDeleteRangeRequest RawDeleteRangeResponse
        |storage, it, scope| storage.raw_delete_range(scope, it);
    raw_get_key_ttl RawGetKeyTtl RawGetKeyTtlRequest RawGetKeyTtlResponse
        |storage, it, scope| storage.raw_get_key_ttl(scope, it);
    raw_compare_and_swap RawCompareAndSwap RawCasRequest RawCasResponse
        |storage, it, scope| storage.raw_compare_and_swap(scope, it);
    raw_checksum RawChecksum RawChecksumRequest RawChecksumResponse
        |storage, it, scope| storage.raw_checksum(scope, it);
}
