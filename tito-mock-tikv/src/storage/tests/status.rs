use super::*;

fn request(lock_ts: u64) -> CheckTxnStatusRequest {
    CheckTxnStatusRequest { primary_key: b"a".to_vec(), lock_ts, ..CheckTxnStatusRequest::default() }
}

/// A lock of 100 milliseconds whose client knows of pushed timestamps.
fn locked() -> TestStorage {
    let storage = TestStorage::default();
    let request = PrewriteRequest { min_commit_ts: at(10) + 1, ..prewrite_request(at(10), vec![put("a", "1")]) };
    storage.prewrite(&request);
    storage
}

#[test]
fn a_committed_transaction_is_told_by_its_commit_timestamp() {
    let storage = TestStorage::default();
    storage.put_at("a", "1", 10, 20);
    assert_eq!(storage.status(request(10)).commit_version, 20);
}

#[test]
fn a_rolled_back_transaction_has_neither_lock_nor_commit_timestamp() {
    let storage = TestStorage::default();
    storage.roll_back(&["a"], 10);
    assert_eq!(storage.status(request(10)), CheckTxnStatusResponse::default());
}

#[test]
fn a_lock_is_left_alone_to_the_last_millisecond_of_its_time_and_then_rolled_back() {
    let storage = locked();
    let response = storage.status(CheckTxnStatusRequest { current_ts: at(110), ..request(at(10)) });
    assert_eq!((response.lock_ttl, response.action()), (100, Action::NoAction));
    assert_eq!(response.lock_info.unwrap().key, b"a");
    let response = storage.status(CheckTxnStatusRequest { current_ts: at(111), ..request(at(10)) });
    assert_eq!((response.lock_ttl, response.action()), (0, Action::TtlExpireRollback));
    assert_eq!(storage.locks(), []);
    assert!(storage.try_commit(&["a"], at(10), at(200)).unwrap().retryable.contains("TxnLockNotFound"));
}

#[test]
fn a_reader_pushes_the_lowest_commit_timestamp_beyond_its_snapshot() {
    let storage = locked();
    let caller = at(20);
    let response =
        storage.status(CheckTxnStatusRequest { caller_start_ts: caller, current_ts: at(15), ..request(at(10)) });
    assert_eq!(response.action(), Action::MinCommitTsPushed);
    assert_eq!(response.lock_info.unwrap().min_commit_ts, caller + 1);
    assert_eq!(storage.read("a", caller), None);
    assert!(storage.try_commit(&["a"], at(10), caller).unwrap().commit_ts_expired.is_some());
    storage.commit_ok(&["a"], at(10), caller + 1);
}

#[test]
fn a_push_reaches_the_current_time_if_that_is_later() {
    let storage = locked();
    let response =
        storage.status(CheckTxnStatusRequest { caller_start_ts: at(20), current_ts: at(25), ..request(at(10)) });
    assert_eq!(response.lock_info.unwrap().min_commit_ts, at(25));
}

#[test]
fn a_reader_of_the_latest_passes_and_pushes_nothing() {
    let storage = locked();
    let response = storage.status(CheckTxnStatusRequest { caller_start_ts: u64::MAX, ..request(at(10)) });
    assert_eq!(response.action(), Action::MinCommitTsPushed);
    assert_eq!(response.lock_info.unwrap().min_commit_ts, at(10) + 1);
}

#[test]
fn a_lock_of_a_client_that_knows_no_pushed_timestamps_is_not_pushed() {
    let storage = TestStorage::default();
    storage.prewrite_ok(at(10), vec![put("a", "1")]);
    let response = storage.status(CheckTxnStatusRequest { caller_start_ts: at(20), ..request(at(10)) });
    assert_eq!((response.action(), response.lock_info.unwrap().min_commit_ts), (Action::NoAction, 0));
}

#[test]
fn an_unknown_transaction_is_not_found_or_on_demand_rolled_back_for_good() {
    let storage = TestStorage::default();
    let found = storage.check_txn_status(&request(10)).error.unwrap().txn_not_found.unwrap();
    assert_eq!((found.start_ts, found.primary_key), (10, b"a".to_vec()));
    assert_eq!(storage.sizes().writes, 0);
    let response = storage.status(CheckTxnStatusRequest { rollback_if_not_exist: true, ..request(10) });
    assert_eq!(response.action(), Action::LockNotExistRollback);
    storage.roll_back(&["a"], 20);
    storage.roll_back(&["a"], 30);
    assert!(storage.prewrite_error(10, vec![put("a", "1")]).conflict.is_some());
}

#[test]
fn an_unknown_transaction_is_not_rolled_back_for_the_sake_of_a_pessimistic_lock() {
    let storage = TestStorage::default();
    let response = storage.status(CheckTxnStatusRequest {
        rollback_if_not_exist: true,
        resolving_pessimistic_lock: true,
        ..request(10)
    });
    assert_eq!(response.action(), Action::LockNotExistDoNothing);
    assert_eq!(storage.sizes().writes, 0);
}

#[test]
fn a_lock_that_names_another_primary_is_a_mismatch_if_that_is_asked() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("primary", "1"), put("a", "1")]);
    let response = storage.check_txn_status(&CheckTxnStatusRequest { verify_is_primary: true, ..request(10) });
    let lock = response.error.unwrap().primary_mismatch.unwrap().lock_info.unwrap();
    assert_eq!((lock.key, lock.primary_lock), (b"a".to_vec(), b"primary".to_vec()));
    assert_eq!(storage.locks().len(), 2);
}

#[test]
fn a_heartbeat_makes_a_lock_live_longer_and_never_shorter() {
    let storage = locked();
    let beat = |advise_lock_ttl| {
        let primary_lock = b"a".to_vec();
        let request =
            TxnHeartBeatRequest { primary_lock, start_version: at(10), advise_lock_ttl, ..Default::default() };
        storage.txn_heart_beat(&request).lock_ttl
    };
    assert_eq!((beat(500), beat(200)), (500, 500));
    let response = storage.status(CheckTxnStatusRequest { current_ts: at(400), ..request(at(10)) });
    assert_eq!(response.lock_ttl, 500);
}

#[test]
fn a_heartbeat_without_the_lock_does_not_find_the_transaction() {
    let storage = locked();
    let request = TxnHeartBeatRequest { primary_lock: b"a".to_vec(), start_version: 9, ..Default::default() };
    assert!(storage.txn_heart_beat(&request).error.unwrap().txn_not_found.is_some());
}
