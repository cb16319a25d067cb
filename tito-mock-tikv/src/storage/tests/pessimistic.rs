use std::future::Future;
use std::pin::Pin;

use futures::poll;

use super::*;
use tito_tikv_proto::kvrpcpb::prewrite_request::PessimisticAction;
use tito_tikv_proto::kvrpcpb::write_conflict::Reason;

fn request(key: &str, start_version: u64, for_update_ts: u64) -> PessimisticLockRequest {
    PessimisticLockRequest {
        mutations: vec![mutation(Op::PessimisticLock, key, b"")],
        primary_lock: key.into(),
        start_version,
        for_update_ts,
        lock_ttl: 100,
        ..PessimisticLockRequest::default()
    }
}

/// A request that does not wait.
fn at_once(key: &str, start_version: u64, for_update_ts: u64) -> PessimisticLockRequest {
    PessimisticLockRequest { wait_timeout: -1, ..request(key, start_version, for_update_ts) }
}

async fn lock(storage: &TestStorage, key: &str, start_version: u64) {
    let response = storage.pessimistic_lock(&at_once(key, start_version, start_version)).await;
    assert_eq!(response.errors, []);
}

async fn lock_error(storage: &TestStorage, request: PessimisticLockRequest) -> KeyError {
    let mut response = storage.pessimistic_lock(&request).await;
    assert_eq!(response.errors.len(), 1);
    response.errors.pop().unwrap()
}

type Waiting<'a> = Pin<Box<dyn Future<Output = PessimisticLockResponse> + 'a>>;

/// A request that has started to wait.
async fn waiting<'a>(storage: &'a TestStorage, request: &'a PessimisticLockRequest) -> Waiting<'a> {
    let mut waiting: Waiting<'a> = Box::pin(storage.pessimistic_lock(request));
    assert!(poll!(&mut waiting).is_pending());
    waiting
}

fn waiters(storage: &TestStorage) -> usize {
    storage.with(|state| state.waiting.count())
}

fn unlock(storage: &TestStorage, keys: &[&str], start_version: u64) {
    let request = PessimisticRollbackRequest {
        start_version,
        for_update_ts: u64::MAX,
        keys: names(keys),
        ..PessimisticRollbackRequest::default()
    };
    assert_eq!(storage.pessimistic_rollback(&request).errors, []);
}

fn prewrite(key: &str, start: u64, for_update_ts: u64, action: PessimisticAction) -> PrewriteRequest {
    let request = prewrite_request(start, vec![put(key, "1")]);
    PrewriteRequest { for_update_ts, pessimistic_actions: vec![action.into()], ..request }
}

#[tokio::test]
async fn a_pessimistic_lock_keeps_writers_out_and_lets_readers_pass() {
    let storage = TestStorage::default();
    lock(&storage, "a", 10).await;
    assert_eq!(storage.read("a", 20), None);
    assert!(storage.prewrite_error(20, vec![put("a", "1")]).locked.is_some());
    let locked = lock_error(&storage, at_once("a", 20, 20)).await.locked.unwrap();
    assert_eq!((locked.lock_version, locked.lock_type()), (10, Op::PessimisticLock));
}

#[tokio::test]
async fn a_locked_key_is_prewritten_and_committed_although_it_was_written_after_the_start() {
    let storage = TestStorage::default();
    storage.put_at("a", "0", 15, 20);
    let conflict = lock_error(&storage, at_once("a", 10, 19)).await.conflict.unwrap();
    assert_eq!((conflict.reason(), conflict.conflict_commit_ts), (Reason::PessimisticRetry, 20));
    assert_eq!(storage.pessimistic_lock(&at_once("a", 10, 20)).await.errors, []);
    let request = prewrite("a", 10, 20, PessimisticAction::DoPessimisticCheck);
    assert_eq!(storage.prewrite(&request), PrewriteResponse::default());
    assert_eq!(storage.prewrite(&request), PrewriteResponse::default());
    storage.commit_ok(&["a"], 10, 30);
    assert_eq!(storage.read("a", 30).as_deref(), Some("1"));
    assert_eq!(storage.prewrite(&request), PrewriteResponse::default());
    assert_eq!(storage.locks(), []);
}

#[tokio::test]
async fn a_lost_pessimistic_lock_is_made_good_if_nothing_was_written_since() {
    let storage = TestStorage::default();
    storage.put_at("a", "0", 5, 6);
    let request = prewrite("a", 10, 10, PessimisticAction::DoPessimisticCheck);
    assert_eq!(storage.prewrite(&request).errors, []);
    storage.roll_back(&["a"], 10);

    storage.put_at("b", "0", 15, 20);
    let mut response = storage.prewrite(&prewrite("b", 12, 12, PessimisticAction::DoPessimisticCheck));
    assert!(response.errors.pop().unwrap().abort.contains("PessimisticLockNotFound"));
    lock(&storage, "c", 30).await;
    let mut response = storage.prewrite(&prewrite("c", 12, 12, PessimisticAction::DoPessimisticCheck));
    assert!(response.errors.pop().unwrap().abort.contains("PessimisticLockNotFound"));
}

#[tokio::test]
async fn a_key_without_pessimistic_lock_is_prewritten_unchecked_or_checked_as_the_client_wants() {
    let storage = TestStorage::default();
    storage.put_at("a", "0", 15, 20);
    assert_eq!(storage.prewrite(&prewrite("a", 10, 30, PessimisticAction::SkipPessimisticCheck)).errors, []);
    storage.roll_back(&["a"], 10);
    let mut response = storage.prewrite(&prewrite("a", 12, 30, PessimisticAction::DoConstraintCheck));
    assert_eq!(response.errors.pop().unwrap().conflict.unwrap().reason(), Reason::LazyUniquenessCheck);
}

#[tokio::test]
async fn a_request_returns_values_or_existence_and_may_lock_only_what_exists() {
    let storage = TestStorage::default();
    storage.put_at("a", "0", 5, 6);
    let mut request = at_once("a", 10, 10);
    request.mutations.push(mutation(Op::PessimisticLock, "missing", b""));
    let existence = PessimisticLockRequest { check_existence: true, ..request.clone() };
    assert_eq!(storage.pessimistic_lock(&existence).await.not_founds, [false, true]);
    unlock(&storage, &["a", "missing"], 10);
    let values = PessimisticLockRequest { return_values: true, lock_only_if_exists: true, ..request };
    let response = storage.pessimistic_lock(&values).await;
    assert_eq!((response.values, response.not_founds), (vec![b"0".to_vec(), Vec::new()], vec![false, true]));
    assert_eq!(storage.locks().len(), 1);
}

#[tokio::test]
async fn a_key_that_must_not_exist_is_not_locked_if_it_does() {
    let storage = TestStorage::default();
    storage.put_at("a", "0", 5, 6);
    let mut request = at_once("a", 10, 10);
    request.mutations[0].assertion = Assertion::NotExist.into();
    assert!(lock_error(&storage, request).await.already_exist.is_some());
    assert_eq!(storage.locks(), []);
}

#[tokio::test]
async fn a_transaction_that_was_rolled_back_gets_no_lock() {
    let storage = TestStorage::default();
    storage.roll_back(&["a"], 10);
    assert!(lock_error(&storage, at_once("a", 10, 20)).await.abort.contains("PessimisticLockRolledBack"));
}

#[tokio::test]
async fn a_rollback_of_pessimistic_locks_spares_those_taken_later_and_leaves_no_record() {
    let storage = TestStorage::default();
    storage.pessimistic_lock(&at_once("a", 10, 20)).await;
    let request = PessimisticRollbackRequest { start_version: 10, keys: names(&["a"]), ..Default::default() };
    storage.pessimistic_rollback(&PessimisticRollbackRequest { for_update_ts: 19, ..request.clone() });
    assert_eq!(storage.locks().len(), 1);
    storage.pessimistic_rollback(&PessimisticRollbackRequest { for_update_ts: 20, ..request });
    assert_eq!((storage.locks().len(), storage.sizes().writes), (0, 0));
}

#[tokio::test]
async fn a_pessimistic_lock_that_was_never_prewritten_is_committed_without_a_change() {
    let storage = TestStorage::default();
    storage.put_at("a", "0", 5, 6);
    lock(&storage, "a", 10).await;
    storage.commit_ok(&["a"], 10, 20);
    assert_eq!(storage.read("a", 20).as_deref(), Some("0"));
    assert_eq!(storage.locks(), []);
}

#[tokio::test]
async fn an_expired_pessimistic_primary_is_only_unlocked_for_the_sake_of_a_pessimistic_lock() {
    let storage = TestStorage::default();
    lock(&storage, "a", at(10)).await;
    let response = storage.status(CheckTxnStatusRequest {
        primary_key: b"a".to_vec(),
        lock_ts: at(10),
        current_ts: at(1000),
        resolving_pessimistic_lock: true,
        ..CheckTxnStatusRequest::default()
    });
    assert_eq!(response.action(), Action::TtlExpirePessimisticRollback);
    assert_eq!((storage.locks().len(), storage.sizes().writes), (0, 0));
}

#[tokio::test]
async fn a_waiting_request_is_told_to_try_again_when_the_lock_goes() {
    for committed in [false, true] {
        let storage = TestStorage::default();
        storage.prewrite_ok(10, vec![put("a", "1")]);
        let request = request("a", 20, 20);
        let waiting = waiting(&storage, &request).await;
        if committed {
            storage.commit_ok(&["a"], 10, 30)
        } else {
            storage.roll_back(&["a"], 10)
        }
        let conflict = waiting.await.errors.pop().unwrap().conflict.unwrap();
        assert_eq!((conflict.reason(), conflict.conflict_ts), (Reason::PessimisticRetry, 10));
        assert_eq!(conflict.conflict_commit_ts, if committed { 30 } else { 0 });
        assert_eq!(waiters(&storage), 0);
    }
}

#[tokio::test]
async fn a_waiting_request_is_told_of_the_lock_when_its_time_is_over() {
    let storage = TestStorage::default();
    lock(&storage, "a", 10).await;
    let impatient = PessimisticLockRequest { wait_timeout: 1, ..request("a", 20, 20) };
    assert_eq!(lock_error(&storage, impatient).await.locked.unwrap().lock_version, 10);
    assert_eq!(waiters(&storage), 0);
}

#[tokio::test]
async fn a_forcing_request_takes_the_lock_when_its_turn_comes_and_tells_the_conflict() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1")]);
    let mode = PessimisticLockWakeUpMode::WakeUpModeForceLock.into();
    let request = PessimisticLockRequest { wake_up_mode: mode, ..request("a", 20, 20) };
    let waiting = waiting(&storage, &request).await;
    storage.commit_ok(&["a"], 10, 30);
    let response = waiting.await;
    assert_eq!(response.errors, []);
    let result = &response.results[0];
    assert_eq!(result.r#type(), PessimisticLockKeyResultType::LockResultLockedWithConflict);
    assert_eq!((result.locked_with_conflict_ts, result.value.as_slice()), (30, &b"1"[..]));
    assert_eq!(storage.locks()[0].lock_for_update_ts, 30);
}

#[tokio::test]
async fn a_request_that_is_dropped_does_not_wait_any_more() {
    let storage = TestStorage::default();
    lock(&storage, "a", 10).await;
    lock(&storage, "b", 20).await;
    let request_a = request("a", 20, 20);
    drop(waiting(&storage, &request_a).await);
    assert_eq!(waiters(&storage), 0);
    // It doesn't count for deadlocks either.
    let request_b = request("b", 10, 10);
    drop(waiting(&storage, &request_b).await);
}

#[tokio::test]
async fn two_transactions_that_wait_for_each_other_are_a_deadlock_for_the_second() {
    let storage = TestStorage::default();
    lock(&storage, "a", 10).await;
    lock(&storage, "b", 20).await;
    let first = request("b", 10, 10);
    let first = waiting(&storage, &first).await;
    let deadlock = lock_error(&storage, request("a", 20, 20)).await.deadlock.unwrap();
    assert_eq!((deadlock.lock_ts, deadlock.lock_key), (10, b"a".to_vec()));
    assert_eq!(waiters(&storage), 1);
    unlock(&storage, &["b"], 20);
    assert!(first.await.errors[0].conflict.is_some());
}

#[tokio::test]
async fn three_transactions_that_wait_in_a_circle_are_a_deadlock_for_the_last() {
    let storage = TestStorage::default();
    for (key, start) in [("a", 10), ("b", 20), ("c", 30)] {
        lock(&storage, key, start).await;
    }
    let (first, second) = (request("b", 10, 10), request("c", 20, 20));
    let first = waiting(&storage, &first).await;
    let second = waiting(&storage, &second).await;
    assert_eq!(lock_error(&storage, request("a", 30, 30)).await.deadlock.unwrap().lock_ts, 10);
    // The last one gives up, and the others go on one after the other.
    unlock(&storage, &["c"], 30);
    assert!(second.await.errors[0].conflict.is_some());
    unlock(&storage, &["b"], 20);
    assert!(first.await.errors[0].conflict.is_some());
    assert_eq!(waiters(&storage), 0);
}

#[tokio::test]
async fn a_lock_that_is_destroyed_wakes_those_who_wait_for_it() {
    let storage = TestStorage::default();
    lock(&storage, "a", 10).await;
    let request = request("a", 20, 20);
    let waiting = waiting(&storage, &request).await;
    storage.unsafe_destroy_range(&UnsafeDestroyRangeRequest::default());
    assert!(waiting.await.errors[0].conflict.is_some());
}

#[tokio::test]
async fn a_prewrite_keeps_the_time_to_live_and_the_lowest_timestamp_that_others_have_raised() {
    let storage = TestStorage::default();
    storage.pessimistic_lock(&PessimisticLockRequest { min_commit_ts: 11, ..at_once("a", 10, 10) }).await;
    let (primary_lock, start_version) = (b"a".to_vec(), 10);
    storage.txn_heart_beat(&TxnHeartBeatRequest {
        primary_lock,
        start_version,
        advise_lock_ttl: 900,
        context: None,
        ..Default::default()
    });
    let (primary_key, lock_ts, caller_start_ts) = (b"a".to_vec(), 10, 50);
    storage.status(CheckTxnStatusRequest { primary_key, lock_ts, caller_start_ts, ..Default::default() });
    storage.prewrite(&prewrite("a", 10, 10, PessimisticAction::DoPessimisticCheck));
    let lock = storage.locks().pop().unwrap();
    assert_eq!((lock.lock_type(), lock.lock_ttl, lock.min_commit_ts), (Op::Put, 900, 51));
}

#[tokio::test]
async fn the_rollback_of_a_pessimistic_primary_is_never_dropped() {
    let storage = TestStorage::default();
    lock(&storage, "a", 10).await;
    for start in [10, 20, 30] {
        storage.roll_back(&["a"], start);
    }
    assert!(lock_error(&storage, at_once("a", 10, 40)).await.abort.contains("PessimisticLockRolledBack"));
}

#[tokio::test]
async fn an_old_pessimistic_lock_of_a_transaction_that_chose_another_primary_is_taken_away() {
    let storage = TestStorage::default();
    let primary_lock = b"other".to_vec();
    storage.pessimistic_lock(&PessimisticLockRequest { primary_lock, ..at_once("a", 10, 10) }).await;
    let response = storage.status(CheckTxnStatusRequest {
        primary_key: b"a".to_vec(),
        lock_ts: 10,
        rollback_if_not_exist: true,
        verify_is_primary: true,
        ..CheckTxnStatusRequest::default()
    });
    assert_eq!((response.action(), storage.locks().len()), (Action::LockNotExistRollback, 0));
}
