//! Rules where an in-process store is easily more lenient than TiKV, so that tests would pass here and fail there.

use super::*;
use tito_tikv_proto::kvrpcpb::prewrite_request::{ForUpdateTsConstraint, PessimisticAction};
use tito_tikv_proto::kvrpcpb::write_conflict::Reason;

fn lock_request(key: &str, start_version: u64, for_update_ts: u64) -> PessimisticLockRequest {
    PessimisticLockRequest {
        mutations: vec![mutation(Op::PessimisticLock, key, b"")],
        primary_lock: key.into(),
        start_version,
        for_update_ts,
        lock_ttl: 100,
        wait_timeout: -1,
        ..PessimisticLockRequest::default()
    }
}

fn forced(request: PessimisticLockRequest) -> PessimisticLockRequest {
    PessimisticLockRequest { wake_up_mode: PessimisticLockWakeUpMode::WakeUpModeForceLock.into(), ..request }
}

fn must_not_exist(mut request: PessimisticLockRequest) -> PessimisticLockRequest {
    request.mutations[0].assertion = Assertion::NotExist.into();
    request
}

fn pessimistic(start: u64, for_update_ts: u64, action: PessimisticAction, mutation: Mutation) -> PrewriteRequest {
    let request = prewrite_request(start, vec![mutation]);
    PrewriteRequest { for_update_ts, pessimistic_actions: vec![action.into()], ..request }
}

fn check(storage: &TestStorage, lock_ts: u64, current_ts: u64) -> CheckTxnStatusResponse {
    let request = CheckTxnStatusRequest {
        primary_key: b"k".to_vec(),
        lock_ts,
        current_ts,
        rollback_if_not_exist: true,
        ..CheckTxnStatusRequest::default()
    };
    storage.status(request)
}

fn is_self_rolled_back(error: &KeyError) -> bool {
    error.conflict.as_ref().is_some_and(|conflict| conflict.reason() == Reason::SelfRolledBack)
}

impl TestStorage {
    async fn lock(&self, request: PessimisticLockRequest) -> PessimisticLockResponse {
        let response = self.pessimistic_lock(&request).await;
        assert_eq!(response.errors, []);
        response
    }

    async fn lock_error(&self, request: PessimisticLockRequest) -> KeyError {
        self.pessimistic_lock(&request).await.errors.pop().unwrap()
    }

    fn raised_max_ts(&self) -> u64 {
        self.inner.with(|state| state.max_ts(1))
    }
}

/// After the rollback and two more rolled back transactions, which would drop its record if it weren't protected.
fn late_prewrite(storage: &TestStorage) -> PrewriteResponse {
    for start in [20, 30] {
        storage.prewrite_ok(start, vec![put("other", "1"), put("k", "2")]);
        storage.roll_back(&["k", "other"], start);
    }
    storage.prewrite(&prewrite_request(10, vec![put("k", "late")]))
}

#[test]
fn the_rollback_of_a_primary_outlives_others_and_keeps_a_late_prewrite_out_since_8_0() {
    let rolled_back = |version| {
        let storage = TestStorage::of_version(version);
        storage.prewrite_ok(10, vec![put("k", "1")]);
        storage.roll_back(&["k"], 10);
        storage
    };
    for version in [TikvVersion::V8_5, TikvVersion::V9_0] {
        let storage = rolled_back(version);
        let records = storage.mvcc_get_by_key(&MvccGetByKeyRequest {
            context: None,
            key: b"k".to_vec(),
            ..MvccGetByKeyRequest::default()
        });
        assert_eq!(records.info.unwrap().writes[0].short_value, b"p", "{version:?}");
        let error = late_prewrite(&storage).errors.pop().unwrap();
        assert!(error.conflict.is_some(), "{version:?}: {error:?}");
    }
    let storage = rolled_back(TikvVersion::V7_5);
    let records = storage.mvcc_get_by_key(&MvccGetByKeyRequest {
        context: None,
        key: b"k".to_vec(),
        ..MvccGetByKeyRequest::default()
    });
    assert_eq!(records.info.unwrap().writes[0].short_value, b"");
}

#[test]
fn a_transaction_that_was_reported_as_rolled_back_is_not_prewritten_any_more() {
    for version in TikvVersion::ALL {
        for by_status in [true, false] {
            let storage = TestStorage::of_version(version);
            if by_status {
                assert_eq!(check(&storage, 10, at(1)).action(), Action::LockNotExistRollback);
            } else {
                let request = CleanupRequest { key: b"k".to_vec(), start_version: 10, ..CleanupRequest::default() };
                assert_eq!(storage.cleanup(&request), CleanupResponse::default());
            }
            let error = storage.prewrite_error(10, vec![put("k", "late")]);
            assert!(is_self_rolled_back(&error), "{version:?}: {error:?}");
            assert!(!late_prewrite(&storage).errors.is_empty(), "{version:?}");
            assert!(storage.try_commit(&["k"], 10, 40).is_some(), "{version:?}");
        }
    }
}

#[test]
fn a_batch_rollback_of_a_key_without_a_lock_leaves_a_record_that_can_be_dropped() {
    let storage = TestStorage::default();
    storage.roll_back(&["k"], 10);
    assert!(is_self_rolled_back(&storage.prewrite_error(10, vec![put("k", "late")])));
    storage.roll_back(&["k"], 20);
    assert_eq!(storage.sizes().writes, 1);
}

#[tokio::test]
async fn a_lock_taken_again_for_a_key_that_must_not_exist_looks_whether_it_does() {
    let storage = TestStorage::default();
    storage.put_at("k", "1", 5, 8);
    storage.lock(lock_request("k", 10, 10)).await;
    let error = storage.lock_error(must_not_exist(lock_request("k", 10, 10))).await;
    assert_eq!(error.already_exist.unwrap().key, b"k");
}

#[tokio::test]
async fn a_forced_lock_on_a_key_that_must_not_exist_and_was_written_since_is_a_conflict() {
    let storage = TestStorage::default();
    storage.put_at("k", "1", 15, 20);
    let error = storage.lock_error(must_not_exist(forced(lock_request("k", 10, 10)))).await;
    assert_eq!(error.conflict.unwrap().reason(), Reason::PessimisticRetry);
    assert_eq!(storage.locks(), []);
}

#[tokio::test]
async fn a_forced_lock_only_if_the_key_exists_is_a_conflict_if_it_was_deleted_since() {
    let storage = TestStorage::default();
    storage.write(mutation(Op::Del, "k", b""), 15, 20);
    let request = forced(lock_request("k", 10, 10));
    let request = PessimisticLockRequest { lock_only_if_exists: true, return_values: true, ..request };
    let error = storage.lock_error(request).await;
    assert_eq!(error.conflict.unwrap().conflict_commit_ts, 20);
    assert_eq!(storage.locks(), []);
}

#[tokio::test]
async fn a_forced_lock_of_a_committed_transaction_does_not_hide_the_commit() {
    let storage = TestStorage::default();
    storage.put_at("k", "1", 10, 20);
    // A late request of the transaction finds the transaction's own commit as the newer version.
    storage.lock(forced(lock_request("k", 10, 10))).await;
    assert_eq!(storage.locks().len(), 1);
    let response = check(&storage, 10, at(10_000));
    assert_eq!((response.commit_version, response.action()), (20, Action::NoAction));
    assert_eq!(storage.locks(), []);
}

#[tokio::test]
async fn a_commit_takes_a_pessimistic_lock_away_and_writes_nothing() {
    let storage = TestStorage::default();
    storage.lock(lock_request("k", 10, 10)).await;
    storage.commit_ok(&["k"], 10, 20);
    assert_eq!((storage.locks().len(), storage.sizes().writes), (0, 0));
}

#[test]
fn a_retried_prewrite_of_a_key_without_a_lock_looks_for_newer_versions() {
    let action = PessimisticAction::SkipPessimisticCheck;
    let storage = TestStorage::default();
    storage.put_at("k", "2", 15, 20);
    let request = pessimistic(10, 12, action, put("k", "1"));
    let retried =
        PrewriteRequest { context: Some(Context { is_retry_request: true, ..Context::default() }), ..request.clone() };
    let error = storage.prewrite(&retried).errors.pop().unwrap();
    assert!(error.abort.contains("PessimisticLockNotFound"), "{error:?}");
    assert_eq!(storage.prewrite(&request).errors, []);
}

#[test]
fn a_prewrite_that_comes_after_the_commit_is_taken_for_a_retried_one() {
    let action = PessimisticAction::SkipPessimisticCheck;
    let storage = TestStorage::default();
    assert_eq!(storage.prewrite(&pessimistic(10, 12, action, put("k", "1"))).errors, []);
    storage.commit_ok(&["k"], 10, 20);
    // A key of the same transaction that others have written since.
    storage.put_at("other", "2", 25, 30);
    let error = storage.prewrite(&pessimistic(10, 12, action, put("other", "1"))).errors.pop().unwrap();
    assert!(error.abort.contains("PessimisticLockNotFound"), "{error:?}");
}

#[tokio::test]
async fn a_failed_assertion_of_a_key_that_was_written_since_is_a_lost_lock() {
    let storage = TestStorage::default();
    storage.lock(lock_request("k", 10, 10)).await;
    // The lock gets lost, and another transaction writes.
    storage.inner.with(|state| state.destroy(&crate::storage::boundary::KeyRange::new(b"k", b"l")));
    storage.put_at("k", "2", 15, 20);
    storage.lock(forced(lock_request("k", 10, 12))).await;
    let not_exist = Mutation { assertion: Assertion::NotExist.into(), ..put("k", "1") };
    let request = pessimistic(10, 12, PessimisticAction::DoPessimisticCheck, not_exist);
    let request = PrewriteRequest { assertion_level: AssertionLevel::Strict.into(), ..request };
    let error = storage.prewrite(&request).errors.pop().unwrap();
    assert!(error.abort.contains("PessimisticLockNotFound") && error.assertion_failed.is_none(), "{error:?}");
}

#[test]
fn an_insert_and_a_check_that_a_key_does_not_exist_are_reads_also_when_they_fail() {
    for op in [Op::Insert, Op::CheckNotExists] {
        let storage = TestStorage::default();
        assert_eq!(storage.prewrite(&prewrite_request(10, vec![mutation(op, "k", b"1")])).errors, []);
        assert_eq!(storage.raised_max_ts(), 10, "{op:?}");
        let storage = TestStorage::default();
        storage.put_at("k", "1", 5, 8);
        let error = storage.prewrite_error(10, vec![mutation(op, "k", b"1")]);
        assert!(error.already_exist.is_some());
        assert_eq!(storage.raised_max_ts(), 10, "{op:?} that fails");
    }
}

#[tokio::test]
async fn a_prewritten_lock_keeps_the_higher_for_update_timestamp() {
    let action = PessimisticAction::DoPessimisticCheck;
    for (of_lock, of_prewrite) in [(20, 10), (10, 20)] {
        let storage = TestStorage::default();
        storage.lock(lock_request("k", 10, of_lock)).await;
        assert_eq!(storage.prewrite(&pessimistic(10, of_prewrite, action, put("k", "1"))).errors, []);
        assert_eq!(storage.locks()[0].lock_for_update_ts, 20);
    }
}

#[tokio::test]
async fn a_rolled_back_transaction_that_locks_a_key_hears_that_first() {
    let storage = TestStorage::default();
    storage.put_at("k", "1", 5, 8);
    storage.roll_back(&["k"], 10);
    let error = storage.lock_error(must_not_exist(lock_request("k", 10, 10))).await;
    assert!(error.abort.contains("PessimisticLockRolledBack"), "{error:?}");
}

#[tokio::test]
async fn a_prewrite_can_demand_the_timestamp_that_its_lock_was_taken_for() {
    let action = PessimisticAction::DoPessimisticCheck;
    let with = |index, expected_for_update_ts| PrewriteRequest {
        for_update_ts_constraints: vec![ForUpdateTsConstraint {
            index,
            expected_for_update_ts,
            ..ForUpdateTsConstraint::default()
        }],
        ..pessimistic(10, 20, action, put("k", "1"))
    };
    let storage = TestStorage::default();
    storage.put_at("k", "0", 15, 20);
    storage.lock(forced(lock_request("k", 10, 10))).await;
    let error = storage.prewrite(&with(0, 10)).errors.pop().unwrap();
    assert!(error.abort.contains("LockForUpdateTsMismatch"), "{error:?}");
    assert!(storage.prewrite(&with(1, 20)).errors[0].abort.contains("for_update_ts constraint"));
    assert_eq!(storage.prewrite(&with(0, 20)).errors, []);
}

#[test]
fn the_lock_of_an_asynchronous_commit_blocks_readers_and_is_not_pushed() {
    let storage = TestStorage::default();
    let request = PrewriteRequest { use_async_commit: true, ..prewrite_request(at(10), vec![put("k", "1")]) };
    storage.prewrite(&request);
    // Even a read of the latest version, and of the primary.
    assert!(storage.try_read("k", u64::MAX).unwrap_err().locked.unwrap().use_async_commit);
    let before = storage.locks()[0].min_commit_ts;
    let response = storage.status(CheckTxnStatusRequest {
        primary_key: b"k".to_vec(),
        lock_ts: at(10),
        caller_start_ts: at(50),
        current_ts: at(10_000),
        rollback_if_not_exist: true,
        ..CheckTxnStatusRequest::default()
    });
    assert_eq!(response.action(), Action::NoAction);
    assert_eq!(response.lock_info.unwrap().min_commit_ts, before);
    assert!(storage.try_read("k", at(50)).is_err());
}
