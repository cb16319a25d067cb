use super::*;

fn async_request(start: u64, mutations: Vec<Mutation>) -> PrewriteRequest {
    let secondaries = mutations.iter().skip(1).map(|mutation| mutation.key.clone()).collect();
    PrewriteRequest { use_async_commit: true, secondaries, ..prewrite_request(start, mutations) }
}

fn secondaries(storage: &TestStorage, keys: &[&str], start_version: u64) -> CheckSecondaryLocksResponse {
    storage.check_secondary_locks(&CheckSecondaryLocksRequest {
        keys: names(keys),
        start_version,
        ..Default::default()
    })
}

#[test]
fn the_lowest_commit_timestamp_is_above_everything_that_was_read() {
    let storage = TestStorage::default();
    storage.read("a", 50);
    let response = storage.prewrite(&async_request(10, vec![put("a", "1"), put("b", "1")]));
    assert_eq!((response.errors.len(), response.min_commit_ts), (0, 51));
    let locks = storage.locks();
    assert!(locks.iter().all(|lock| lock.use_async_commit && lock.min_commit_ts == 51));
    assert_eq!((&locks[0].secondaries, &locks[1].secondaries), (&names(&["b"]), &Vec::new()));
    assert_eq!(storage.read("a", 50), None);
}

#[test]
fn a_repeated_prewrite_tells_the_same_timestamp() {
    let storage = TestStorage::default();
    let request = async_request(10, vec![put("a", "1")]);
    assert_eq!(storage.prewrite(&request).min_commit_ts, 11);
    let _ = storage.try_read("a", 50);
    assert_eq!(storage.prewrite(&request).min_commit_ts, 11);
    storage.commit_ok(&["a"], 10, 11);
    assert_eq!(storage.prewrite(&request).min_commit_ts, 11);
}

#[test]
fn beyond_the_largest_allowed_timestamp_it_becomes_a_commit_in_two_phases() {
    let storage = TestStorage::default();
    storage.read("a", 50);
    for one_phase in [false, true] {
        let start = 10 + u64::from(one_phase);
        let key = if one_phase { "b" } else { "a" };
        let request = async_request(start, vec![put(key, "1")]);
        let request = PrewriteRequest { try_one_pc: one_phase, max_commit_ts: 40, ..request };
        for _ in 0..2 {
            assert_eq!(storage.prewrite(&request), PrewriteResponse::default());
        }
        storage.commit_ok(&[key], start, 60);
        assert_eq!(storage.read(key, 60).as_deref(), Some("1"));
    }
}

#[test]
fn one_phase_commits_at_once_above_everything_that_was_read() {
    let storage = TestStorage::default();
    storage.read("a", 50);
    let request = prewrite_request(10, vec![put("a", "1"), mutation(Op::Put, "b", &[1; 300])]);
    let request = PrewriteRequest { try_one_pc: true, ..request };
    assert_eq!(storage.prewrite(&request).one_pc_commit_ts, 51);
    assert_eq!(storage.locks(), []);
    assert_eq!(storage.read("a", 50), None);
    assert_eq!(storage.read("a", 51).as_deref(), Some("1"));
    assert_eq!(storage.try_read("b", 51).unwrap(), Some(vec![1; 300]));
    // A repeated request returns the commit timestamp and does nothing.
    assert_eq!(storage.prewrite(&request).one_pc_commit_ts, 51);
    assert_eq!(storage.sizes().writes, 2);
}

#[test]
fn one_phase_with_a_locked_key_commits_nothing() {
    let storage = TestStorage::default();
    storage.prewrite_ok(5, vec![put("b", "0")]);
    let request = prewrite_request(10, vec![put("a", "1"), put("b", "1")]);
    let response = storage.prewrite(&PrewriteRequest { try_one_pc: true, ..request });
    assert!(response.errors[0].locked.is_some());
    assert_eq!((storage.sizes().writes, storage.locks().len()), (0, 1));
}

#[test]
fn an_expired_lock_is_told_and_left_to_its_secondaries_unless_that_is_overruled() {
    let storage = TestStorage::default();
    storage.prewrite(&async_request(at(10), vec![put("a", "1"), put("b", "1")]));
    let request = CheckTxnStatusRequest {
        primary_key: b"a".to_vec(),
        lock_ts: at(10),
        caller_start_ts: at(900),
        current_ts: at(1000),
        ..CheckTxnStatusRequest::default()
    };
    let response = storage.status(request.clone());
    assert_eq!(response.action(), Action::NoAction);
    assert_eq!(response.lock_info.unwrap().secondaries, names(&["b"]));
    let response = storage.status(CheckTxnStatusRequest { force_sync_commit: true, ..request });
    assert_eq!(response.action(), Action::TtlExpireRollback);
}

#[test]
fn secondaries_that_are_all_prewritten_are_told_with_their_locks() {
    let storage = TestStorage::default();
    storage.prewrite(&async_request(10, vec![put("a", "1"), put("b", "1"), put("c", "1")]));
    let response = secondaries(&storage, &["b", "c"], 10);
    assert_eq!((response.locks.len(), response.commit_ts), (2, 0));
}

#[test]
fn a_committed_secondary_tells_the_commit_timestamp() {
    let storage = TestStorage::default();
    storage.prewrite(&async_request(10, vec![put("a", "1"), put("b", "1"), put("c", "1")]));
    storage.commit_ok(&["c"], 10, 20);
    let response = secondaries(&storage, &["b", "c"], 10);
    assert_eq!((response.locks.len(), response.commit_ts), (0, 20));
}

#[test]
fn a_secondary_that_is_missing_is_rolled_back_and_stays_so() {
    let storage = TestStorage::default();
    storage.prewrite(&async_request(10, vec![put("a", "1"), put("b", "1"), put("c", "1")]));
    storage.roll_back(&["c"], 10);
    let response = secondaries(&storage, &["missing", "b"], 10);
    assert_eq!((response.locks.len(), response.commit_ts), (0, 0));
    storage.roll_back(&["missing"], 20);
    storage.roll_back(&["missing"], 30);
    assert!(storage.prewrite_error(10, vec![put("missing", "1")]).conflict.is_some());
}

#[test]
fn a_rollback_under_a_lock_whose_commit_takes_its_place_is_not_forgotten() {
    let storage = TestStorage::default();
    // Its commit timestamp, 11 or more, is not PD's, so it may equal another transaction's start.
    storage.prewrite(&async_request(10, vec![put("a", "1")]));
    let cleanup = CleanupRequest { key: b"a".to_vec(), start_version: 15, ..CleanupRequest::default() };
    assert_eq!(storage.cleanup(&cleanup), CleanupResponse::default());
    storage.commit_ok(&["a"], 10, 15);
    assert_eq!(storage.read("a", 15).as_deref(), Some("1"));
    let conflict = storage.prewrite_error(15, vec![put("a", "2")]).conflict.unwrap();
    assert_eq!(conflict.reason(), write_conflict::Reason::SelfRolledBack);
}
