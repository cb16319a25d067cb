//! The stream in which clients batch commands (`handle_cmd!` in `src/server/service/kv.rs`).
use std::pin::Pin;

use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use tito_tikv_proto::tikvpb::batch_commands_request::request::Cmd as Command;
use tito_tikv_proto::tikvpb::batch_commands_response::{Response as Answer, response::Cmd as Answered};
use tito_tikv_proto::tikvpb::tikv_server::Tikv;
use tito_tikv_proto::tikvpb::{BatchCommandsEmptyResponse, BatchCommandsRequest, BatchCommandsResponse};
use tonic::{Request, Status, Streaming};

use super::StoreService;
use crate::Rpc;
use crate::shared::Verdict;

pub(super) type BatchStream = Pin<Box<dyn Stream<Item = Result<BatchCommandsResponse, Status>> + Send>>;

/// How many commands of a stream run at a time; more have to wait.
const AT_ONCE: usize = 1024;

/// The largest number of answers in one message.
const TOGETHER: usize = 128;

impl StoreService {
    /// Answers each command of a stream when it is done, in any order. A command that fails with a gRPC status ends the
    /// stream, since there is no other way to report it.
    pub(super) fn answer_batches(&self, batches: Streaming<BatchCommandsRequest>) -> BatchStream {
        let service = self.clone();
        let commands = batches
            .and_then(move |batch| {
                let service = service.clone();
                async move {
                    let verdict = service.shared.arrive(Rpc::BatchCommands, &[], &service.connections).await?;
                    if matches!(verdict, Verdict::DropResponse) {
                        return Err(Status::unavailable("the mock cluster dropped the response"));
                    }
                    let numbered = batch.request_ids.into_iter().zip(batch.requests);
                    Ok(stream::iter(numbered.map(Ok::<_, Status>)))
                }
            })
            .try_flatten();
        let service = self.clone();
        let answers = commands
            .map_ok(move |(id, request)| {
                let service = service.clone();
                async move { Ok((id, service.answer_command(request.cmd).await?)) }
            })
            .try_buffer_unordered(AT_ONCE);
        Box::pin(answers.ready_chunks(TOGETHER).flat_map(|chunk| stream::iter(together(chunk))))
    }

    async fn answer_command(&self, command: Option<Command>) -> Result<Answer, Status> {
        macro_rules! commands {
            ($($command:ident $method:ident)*) => {
                match command {
                    $(Some(Command::$command(request)) => {
                        Answered::$command(Tikv::$method(self, Request::new(request)).await?.into_inner())
                    })*
                    Some(Command::Empty(request)) => {
                        Answered::Empty(BatchCommandsEmptyResponse { test_id: request.test_id, ..BatchCommandsEmptyResponse::default() })
                    }
                    Some(_) | None => return Err(Status::unimplemented("the mock cluster has no such command")),
                }
            };
        }
        let answered = commands! {
            Get kv_get
            Scan kv_scan
            Prewrite kv_prewrite
            Commit kv_commit
            Cleanup kv_cleanup
            BatchGet kv_batch_get
            BatchRollback kv_batch_rollback
            ScanLock kv_scan_lock
            ResolveLock kv_resolve_lock
            DeleteRange kv_delete_range
            RawGet raw_get
            RawBatchGet raw_batch_get
            RawPut raw_put
            RawBatchPut raw_batch_put
            RawDelete raw_delete
            RawBatchDelete raw_batch_delete
            RawScan raw_scan
            RawDeleteRange raw_delete_range
            RawBatchScan raw_batch_scan
            PessimisticLock kv_pessimistic_lock
            PessimisticRollback kv_pessimistic_rollback
            CheckTxnStatus kv_check_txn_status
            TxnHeartBeat kv_txn_heart_beat
            CheckSecondaryLocks kv_check_secondary_locks
            Flush kv_flush
            BufferBatchGet kv_buffer_batch_get
        };
        Ok(Answer { cmd: Some(answered), ..Answer::default() })
    }
}

/// One message with the answers that are ready, then the failure if there is one.
fn together(answers: Vec<Result<(u64, Answer), Status>>) -> Vec<Result<BatchCommandsResponse, Status>> {
    let mut response = BatchCommandsResponse::default();
    let mut failed = None;
    for answer in answers {
        match answer {
            Ok((id, answer)) => {
                response.request_ids.push(id);
                response.responses.push(answer);
            }
            Err(status) => failed = failed.or(Some(Err(status))),
        }
    }
    let answered = (!response.request_ids.is_empty()).then_some(Ok(response));
    answered.into_iter().chain(failed).collect()
}
