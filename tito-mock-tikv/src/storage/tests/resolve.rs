use super::*;
use crate::codec;

fn halves() -> [RegionRange; 2] {
    let middle = codec::encode(b"m");
    [RegionRange { end: middle.clone(), ..everything() }, RegionRange { start: middle, ..everything() }]
}

fn locked_keys(storage: &TestStorage) -> Vec<Vec<u8>> {
    storage.locks().into_iter().map(|lock| lock.key).collect()
}

#[test]
fn the_locks_of_a_transaction_in_a_region_are_committed_or_rolled_back_together() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1"), put("b", "1"), put("z", "1")]);
    storage.prewrite_ok(11, vec![put("c", "1")]);
    let request = ResolveLockRequest { start_version: 10, commit_version: 20, ..ResolveLockRequest::default() };
    assert_eq!(storage.resolve_lock(&request, &halves()[0]).error, None);
    assert_eq!(locked_keys(&storage), names(&["c", "z"]));
    assert_eq!(storage.read("b", 20).as_deref(), Some("1"));
    let request = ResolveLockRequest { start_version: 11, ..ResolveLockRequest::default() };
    assert_eq!(storage.resolve_lock(&request, &everything()).error, None);
    assert_eq!(locked_keys(&storage), names(&["z"]));
    assert_eq!(storage.read("c", 20), None);
}

#[test]
fn several_transactions_are_resolved_at_once() {
    let storage = TestStorage::default();
    for (start, key) in [(10, "a"), (11, "b"), (12, "c")] {
        storage.prewrite_ok(start, vec![put(key, "1")]);
    }
    let info = |txn, status| TxnInfo { txn, status, ..TxnInfo::default() };
    let txn_infos = vec![info(10, 20), info(11, 0)];
    let request = ResolveLockRequest { txn_infos, ..ResolveLockRequest::default() };
    assert_eq!(storage.resolve_lock(&request, &everything()).error, None);
    assert_eq!(locked_keys(&storage), names(&["c"]));
    assert_eq!((storage.read("a", 30).as_deref(), storage.read("b", 30)), (Some("1"), None));
}

#[test]
fn named_keys_are_resolved_and_no_others() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1"), put("b", "1")]);
    let request =
        ResolveLockRequest { start_version: 10, commit_version: 20, keys: names(&["b"]), ..Default::default() };
    assert_eq!(storage.resolve_lock(&request, &everything()).error, None);
    assert_eq!(storage.resolve_lock(&request, &everything()).error, None);
    assert_eq!(locked_keys(&storage), names(&["a"]));
    let request =
        ResolveLockRequest { start_version: 10, commit_version: 20, keys: names(&["x"]), ..Default::default() };
    assert!(storage.resolve_lock(&request, &everything()).error.unwrap().retryable.contains("TxnLockNotFound"));
}

#[test]
fn the_locks_of_a_region_are_listed_up_to_a_timestamp_and_a_limit() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1"), put("b", "1"), put("z", "1")]);
    storage.prewrite_ok(20, vec![put("c", "1")]);
    let scan = |request: ScanLockRequest| -> Vec<Vec<u8>> {
        storage.scan_lock(&request, &halves()[0]).locks.into_iter().map(|lock| lock.key).collect()
    };
    let all = ScanLockRequest { max_version: 20, ..ScanLockRequest::default() };
    assert_eq!(scan(all.clone()), names(&["a", "b", "c"]));
    assert_eq!(scan(ScanLockRequest { max_version: 19, ..all.clone() }), names(&["a", "b"]));
    assert_eq!(scan(ScanLockRequest { limit: 1, start_key: b"b".to_vec(), ..all.clone() }), names(&["b"]));
    assert_eq!(scan(ScanLockRequest { end_key: b"b".to_vec(), ..all }), names(&["a"]));
}
