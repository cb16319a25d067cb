//! The requests that stores answer.
use tito_tikv_proto::errorpb;
use tito_tikv_proto::kvrpcpb::*;
use tito_tikv_proto::tikvpb::batch_commands_request::request::Cmd as Command;
use tito_tikv_proto::tikvpb::batch_commands_response::response::Cmd as Answered;
use tito_tikv_proto::tikvpb::tikv_client::TikvClient;
use tonic::Status;

use crate::region::errors::Class;
use crate::transport::{BoxFuture, Connection};

/// A request that a store answers.
pub(crate) trait StoreRequest: Send + Sync + Sized + 'static {
    type Response: Send + 'static;

    /// TiKV's name of the call.
    const NAME: &'static str;
    const CLASS: Class;

    fn context_mut(&mut self) -> &mut Context;

    fn take_region_error(response: &mut Self::Response) -> Option<errorpb::Error>;

    /// Whether the request goes over the stream of commands. Large answers go better alone.
    const IS_COMMAND: bool;

    /// The request as one of a stream of commands; itself again if it is none.
    fn into_command(self) -> Result<Command, Self>;

    /// The answer from that stream; `None` if it is one to another request.
    fn answer(answered: Answered) -> Option<Self::Response>;

    /// Sends the request alone.
    fn call(self, client: TikvClient<Connection>) -> BoxFuture<Result<Self::Response, Status>>;
}

macro_rules! requests {
    ($($class:ident $name:literal $method:ident $request:ident -> $response:ident $(by $command:ident)?;)*) => {$(
        impl StoreRequest for $request {
            type Response = $response;

            const NAME: &'static str = $name;
            const CLASS: Class = Class::$class;

            fn context_mut(&mut self) -> &mut Context {
                self.context.get_or_insert_default()
            }

            fn take_region_error(response: &mut $response) -> Option<errorpb::Error> {
                response.region_error.take()
            }

            const IS_COMMAND: bool = false $(|| !stringify!($command).is_empty())?;

            fn into_command(self) -> Result<Command, Self> {
                $(return Ok(Command::$command(self));)?
                #[allow(unreachable_code)]
                Err(self)
            }

            fn answer(answered: Answered) -> Option<$response> {
                match answered {
                    $(Answered::$command(response) => Some(response),)?
                    _ => None,
                }
            }

            fn call(self, mut client: TikvClient<Connection>) -> BoxFuture<Result<$response, Status>> {
                Box::pin(async move { client.$method(self).await.map(tonic::Response::into_inner) })
            }
        }
    )*};
}

requests! {
    Read "KvGet" kv_get GetRequest -> GetResponse by Get;
    Read "KvBatchGet" kv_batch_get BatchGetRequest -> BatchGetResponse;
    Read "KvScan" kv_scan ScanRequest -> ScanResponse;
    Read "KvScanLock" kv_scan_lock ScanLockRequest -> ScanLockResponse;
    Write "KvPrewrite" kv_prewrite PrewriteRequest -> PrewriteResponse by Prewrite;
    Write "KvCommit" kv_commit CommitRequest -> CommitResponse by Commit;
    Write "KvCleanup" kv_cleanup CleanupRequest -> CleanupResponse by Cleanup;
    Write "KvBatchRollback" kv_batch_rollback BatchRollbackRequest -> BatchRollbackResponse by BatchRollback;
    Write "KvCheckTxnStatus" kv_check_txn_status CheckTxnStatusRequest -> CheckTxnStatusResponse by CheckTxnStatus;
    Write "KvCheckSecondaryLocks" kv_check_secondary_locks CheckSecondaryLocksRequest -> CheckSecondaryLocksResponse
        by CheckSecondaryLocks;
    Write "KvResolveLock" kv_resolve_lock ResolveLockRequest -> ResolveLockResponse by ResolveLock;
    Write "KvTxnHeartBeat" kv_txn_heart_beat TxnHeartBeatRequest -> TxnHeartBeatResponse by TxnHeartBeat;
    Write "KvPessimisticLock" kv_pessimistic_lock PessimisticLockRequest -> PessimisticLockResponse;
    Write "KVPessimisticRollback" kv_pessimistic_rollback PessimisticRollbackRequest -> PessimisticRollbackResponse
        by PessimisticRollback;
    Write "UnsafeDestroyRange" unsafe_destroy_range UnsafeDestroyRangeRequest -> UnsafeDestroyRangeResponse;
}
