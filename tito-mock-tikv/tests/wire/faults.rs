//! Requests that are done although nobody waits any more, twice, or without anybody knowing; and region errors at every
//! call.
use std::time::Duration;

use tito_mock_tikv::{Fault, FaultRule, Rpc};
use tito_tikv_proto::errorpb;
use tonic::Code;

use super::*;

#[tokio::test]
async fn a_late_request_fails_at_once_and_is_done_when_its_rule_goes() {
    let cluster = in_process(1).await;
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    let start = cluster.timestamp();
    let rule = cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Late).nth(1));
    let request = prewrite(&context, start, vec![put("k", "1")]);
    let status = store.kv_prewrite(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    // The client believes that nothing was done, and rolls back; the prewrite comes after that and must not lock.
    let rollback = BatchRollbackRequest {
        context: Some(context.clone()),
        start_version: start,
        keys: vec![b"k".to_vec()],
        ..BatchRollbackRequest::default()
    };
    store.kv_batch_rollback(rollback).await.unwrap();
    cluster.faults().remove(rule);
    until(|| cluster.calls().of(Rpc::KvPrewrite) == 1 && cluster.locks().is_empty()).await;
    assert_eq!(cluster.locks(), []);

    // Without the rollback the lock is there, though the client has heard of a failure.
    let rule = cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Late).nth(1));
    let other = prewrite(&context, cluster.timestamp(), vec![put("other", "1")]);
    store.kv_prewrite(other).await.unwrap_err();
    assert_eq!(cluster.locks(), []);
    cluster.faults().remove(rule);
    until(|| cluster.locks().len() == 1).await;
}

#[tokio::test]
async fn a_duplicated_request_is_done_again_when_its_rule_goes() {
    let cluster = in_process(1).await;
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    let start = cluster.timestamp();
    let rule = cluster.faults().add(FaultRule::on(Rpc::KvPessimisticLock, Fault::Duplicate).nth(1));
    let response = store.kv_pessimistic_lock(lock(&context, "k", start)).await.unwrap().into_inner();
    assert_eq!(response.errors, []);
    let unlock = PessimisticRollbackRequest {
        context: Some(context.clone()),
        start_version: start,
        for_update_ts: start,
        keys: vec![b"k".to_vec()],
        ..PessimisticRollbackRequest::default()
    };
    store.kv_pessimistic_rollback(unlock).await.unwrap();
    assert_eq!(cluster.locks(), []);
    cluster.faults().remove(rule);
    // The lock is back, and its transaction does not know.
    until(|| cluster.locks().len() == 1).await;
}

#[tokio::test]
async fn a_delayed_request_is_done_though_the_client_gives_up() {
    let cluster = in_process(1).await;
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    for fault in [Fault::Hang, Fault::Delay(Duration::from_millis(5))] {
        let key = fault.name();
        let rule = cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, fault.clone()).nth(1));
        let request = prewrite(&context, cluster.timestamp(), vec![put(key, "1")]);
        {
            let call = store.kv_prewrite(request);
            tokio::pin!(call);
            while cluster.faults().injected().of(&fault) == 0 {
                assert!(futures::poll!(&mut call).is_pending());
                tokio::task::yield_now().await;
            }
        }
        cluster.faults().remove(rule);
        until(|| cluster.locks().iter().any(|lock| lock.key == key.as_bytes())).await;
    }
}

#[tokio::test]
async fn a_result_that_is_not_known_is_there_or_not() {
    for applied in [true, false] {
        let cluster = in_process(1).await;
        let (mut store, context) = Caller::of(&cluster).await.leader().await;
        let start = cluster.timestamp();
        store.kv_prewrite(prewrite(&context, start, vec![put("k", "1")])).await.unwrap();
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::UndeterminedResult { applied }).nth(1));
        let commit_ts = cluster.timestamp();
        let response = store.kv_commit(commit(&context, "k", start, commit_ts)).await.unwrap().into_inner();
        assert!(response.region_error.unwrap().undetermined_result.is_some());
        assert_eq!(cluster.locks().is_empty(), applied);
    }
}

/// Waits for what other tasks do; they are ready, so that it is soon.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn kind(error: &errorpb::Error) -> &'static str {
    let kinds = [
        (error.not_leader.is_some(), "NotLeader"),
        (error.epoch_not_match.is_some(), "EpochNotMatch"),
        (error.region_not_found.is_some(), "RegionNotFound"),
        (error.key_not_in_region.is_some(), "KeyNotInRegion"),
        (error.server_is_busy.is_some(), "ServerIsBusy"),
        (error.stale_command.is_some(), "StaleCommand"),
        (error.store_not_match.is_some(), "StoreNotMatch"),
        (error.max_timestamp_not_synced.is_some(), "MaxTimestampNotSynced"),
        (error.raft_entry_too_large.is_some(), "RaftEntryTooLarge"),
        (error.read_index_not_ready.is_some(), "ReadIndexNotReady"),
        (error.proposal_in_merging_mode.is_some(), "ProposalInMergingMode"),
        (error.data_is_not_ready.is_some(), "DataIsNotReady"),
        (error.region_not_initialized.is_some(), "RegionNotInitialized"),
        (error.disk_full.is_some(), "DiskFull"),
        (error.recovery_in_progress.is_some(), "RecoveryInProgress"),
        (error.flashback_in_progress.is_some(), "FlashbackInProgress"),
        (error.flashback_not_prepared.is_some(), "FlashbackNotPrepared"),
        (error.is_witness.is_some(), "IsWitness"),
        (error.mismatch_peer_id.is_some(), "MismatchPeerId"),
        (error.bucket_version_not_match.is_some(), "BucketVersionNotMatch"),
        (error.undetermined_result.is_some(), "UndeterminedResult"),
    ];
    let found: Vec<&str> = kinds.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    assert_eq!(found.len(), 1, "{error:?}");
    found[0]
}

macro_rules! every_call {
    ($store:ident, $context:ident, $check:ident, $($rpc:ident $method:ident $request:ident)*) => {
        $({
            let request = $request { context: $context.clone(), ..$request::default() };
            let call = Box::pin($store.$method(request));
            $check(Rpc::$rpc, call.await.unwrap().into_inner().region_error);
        })*
    };
}

#[tokio::test]
async fn every_region_error_strikes_every_call_of_a_store() {
    let cluster = in_process(1).await;
    let (mut store, known) = Caller::of(&cluster).await.leader().await;
    // With a region that is known, and for none.
    for context in [Some(known), None] {
        for fault in Fault::REGION_ERRORS {
            if context.is_none() && fault == (Fault::UndeterminedResult { applied: true }) {
                // What is not for this store is not done.
                continue;
            }
            let rule = cluster.faults().add(FaultRule::on_any(fault.clone()));
            let check = |rpc: Rpc, error: Option<errorpb::Error>| {
                let error = error.unwrap_or_else(|| panic!("{rpc:?} does not answer {fault:?}"));
                assert_eq!(kind(&error), fault.name(), "{rpc:?}");
            };
            every_call! {
                store, context, check,
                KvGet kv_get GetRequest
                KvBatchGet kv_batch_get BatchGetRequest
                KvScan kv_scan ScanRequest
                KvPrewrite kv_prewrite PrewriteRequest
                KvPessimisticLock kv_pessimistic_lock PessimisticLockRequest
                KvPessimisticRollback kv_pessimistic_rollback PessimisticRollbackRequest
                KvTxnHeartBeat kv_txn_heart_beat TxnHeartBeatRequest
                KvCheckTxnStatus kv_check_txn_status CheckTxnStatusRequest
                KvCheckSecondaryLocks kv_check_secondary_locks CheckSecondaryLocksRequest
                KvCommit kv_commit CommitRequest
                KvCleanup kv_cleanup CleanupRequest
                KvBatchRollback kv_batch_rollback BatchRollbackRequest
                KvScanLock kv_scan_lock ScanLockRequest
                KvResolveLock kv_resolve_lock ResolveLockRequest
                KvGc kv_gc GcRequest
                KvDeleteRange kv_delete_range DeleteRangeRequest
                MvccGetByKey mvcc_get_by_key MvccGetByKeyRequest
                MvccGetByStartTs mvcc_get_by_start_ts MvccGetByStartTsRequest
                RawGet raw_get RawGetRequest
                RawBatchGet raw_batch_get RawBatchGetRequest
                RawPut raw_put RawPutRequest
                RawBatchPut raw_batch_put RawBatchPutRequest
                RawDelete raw_delete RawDeleteRequest
                RawBatchDelete raw_batch_delete RawBatchDeleteRequest
                RawScan raw_scan RawScanRequest
                RawBatchScan raw_batch_scan RawBatchScanRequest
                RawDeleteRange raw_delete_range RawDeleteRangeRequest
                RawGetKeyTtl raw_get_key_ttl RawGetKeyTtlRequest
                RawCompareAndSwap raw_compare_and_swap RawCasRequest
                UnsafeDestroyRange unsafe_destroy_range UnsafeDestroyRangeRequest
                SplitRegion split_region SplitRegionRequest
            }
            cluster.faults().remove(rule);
        }
    }
}
