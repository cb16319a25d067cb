use super::*;

#[test]
fn a_commit_makes_the_values_visible_at_its_timestamp() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1"), put("b", "2")]);
    storage.commit_ok(&["a", "b"], 10, 20);
    assert_eq!(storage.read("a", 19), None);
    assert_eq!(storage.read("b", 20).as_deref(), Some("2"));
    assert_eq!(storage.locks(), []);
}

#[test]
fn a_repeated_commit_succeeds_and_keeps_the_first_timestamp() {
    let storage = TestStorage::default();
    storage.put_at("a", "1", 10, 20);
    storage.commit_ok(&["a"], 10, 20);
    storage.commit_ok(&["a"], 10, 30);
    assert_eq!(storage.sizes().writes, 1);
    assert_eq!(storage.read("a", 20).as_deref(), Some("1"));
}

#[test]
fn a_commit_of_what_was_rolled_back_or_never_prewritten_does_not_find_the_lock() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1")]);
    storage.roll_back(&["a"], 10);
    for key in ["a", "never"] {
        let error = storage.try_commit(&[key], 10, 20).unwrap();
        assert!(error.retryable.contains("TxnLockNotFound"), "{error:?}");
    }
}

#[test]
fn a_commit_of_several_keys_commits_all_or_none() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1")]);
    assert!(storage.try_commit(&["a", "never"], 10, 20).is_some());
    assert_eq!((storage.locks().len(), storage.sizes().writes), (1, 0));
}

#[test]
fn a_commit_below_the_lowest_allowed_timestamp_has_expired() {
    let storage = TestStorage::default();
    storage.prewrite(&PrewriteRequest { min_commit_ts: 30, ..prewrite_request(10, vec![put("a", "1")]) });
    let expired = storage.try_commit(&["a"], 10, 29).unwrap().commit_ts_expired.unwrap();
    assert_eq!((expired.min_commit_ts, expired.attempted_commit_ts), (30, 29));
    storage.commit_ok(&["a"], 10, 30);
}

#[test]
fn a_commit_at_or_before_the_start_is_refused() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1")]);
    assert!(storage.try_commit(&["a"], 10, 10).unwrap().abort.contains("InvalidTxnTso"));
    assert_eq!(storage.locks().len(), 1);
}

#[test]
fn a_rollback_removes_the_lock_and_the_long_value() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![mutation(Op::Put, "a", &[1; 300])]);
    storage.roll_back(&["a"], 10);
    let sizes = storage.sizes();
    assert_eq!((sizes.locks, sizes.writes, sizes.values), (0, 1, 0));
    assert_eq!(storage.read("a", 20), None);
    storage.roll_back(&["a"], 10);
}

#[test]
fn a_rollback_of_what_was_committed_says_so_and_changes_nothing() {
    let storage = TestStorage::default();
    storage.put_at("a", "1", 10, 20);
    storage.prewrite_ok(10, vec![put("b", "1")]);
    let error = storage.try_roll_back(&["b", "a"], 10).unwrap();
    assert!(error.abort.contains("Committed { start_ts: 10, commit_ts: 20"), "{error:?}");
    assert_eq!(storage.locks().len(), 1);
}

#[test]
fn a_rollback_before_the_prewrite_keeps_the_prewrite_out_and_leaves_others_alone() {
    let storage = TestStorage::default();
    storage.prewrite_ok(20, vec![put("a", "2")]);
    storage.roll_back(&["a"], 10);
    storage.commit_ok(&["a"], 20, 30);
    assert_eq!(storage.read("a", 30).as_deref(), Some("2"));
    assert!(storage.prewrite_error(10, vec![put("a", "1")]).conflict.is_some());
}

#[test]
fn a_rollback_drops_the_record_of_the_one_before_unless_that_is_protected() {
    let storage = TestStorage::default();
    for start in [10, 20, 30] {
        storage.prewrite_ok(start, vec![put("primary", "1"), put("a", "1")]);
        storage.roll_back(&["a"], start);
        storage.roll_back(&["primary"], start);
    }
    // The primary keeps its three; the other key has only the last one.
    assert_eq!(storage.sizes().writes, 4);
    let cleanup = CleanupRequest { key: b"a".to_vec(), start_version: 40, ..CleanupRequest::default() };
    assert_eq!(storage.cleanup(&cleanup), CleanupResponse::default());
    storage.roll_back(&["a"], 50);
    storage.roll_back(&["a"], 60);
    assert!(storage.prewrite_error(40, vec![put("a", "1")]).conflict.is_some());
    assert_eq!(storage.sizes().writes, 6);
}

#[test]
fn a_protected_rollback_where_another_transaction_was_committed_is_marked_in_its_record() {
    let storage = TestStorage::default();
    storage.put_at("a", "1", 10, 20);
    let cleanup = CleanupRequest { key: b"a".to_vec(), start_version: 20, ..CleanupRequest::default() };
    assert_eq!(storage.cleanup(&cleanup), CleanupResponse::default());
    assert_eq!(storage.sizes().writes, 1);
    assert_eq!(storage.read("a", 20).as_deref(), Some("1"));
    let conflict = storage.prewrite_error(20, vec![put("a", "2")]).conflict.unwrap();
    assert_eq!(conflict.reason(), write_conflict::Reason::SelfRolledBack);
}

#[test]
fn an_unprotected_rollback_leaves_the_commit_record_in_its_place_as_it_is() {
    let storage = TestStorage::default();
    storage.put_at("a", "1", 10, 20);
    storage.roll_back(&["a"], 20);
    assert_eq!(storage.read("a", 20).as_deref(), Some("1"));
    storage.prewrite_ok(20, vec![put("a", "2")]);
}

#[test]
fn a_cleanup_waits_for_the_end_of_the_time_to_live() {
    let storage = TestStorage::default();
    storage.prewrite_ok(at(10), vec![put("a", "1")]);
    let request =
        |current_ts| CleanupRequest { key: b"a".to_vec(), start_version: at(10), current_ts, ..Default::default() };
    assert!(storage.cleanup(&request(at(110))).error.unwrap().locked.is_some());
    assert_eq!(storage.cleanup(&request(at(111))), CleanupResponse::default());
    assert_eq!(storage.locks(), []);
}

#[test]
fn a_cleanup_of_what_was_committed_tells_the_commit_timestamp() {
    let storage = TestStorage::default();
    storage.put_at("a", "1", 10, 20);
    let request = CleanupRequest { key: b"a".to_vec(), start_version: 10, ..CleanupRequest::default() };
    let response = storage.cleanup(&request);
    assert_eq!((response.error, response.commit_version), (None, 20));
}
