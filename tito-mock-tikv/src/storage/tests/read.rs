use super::*;
use crate::codec;

fn context() -> Context {
    Context::default()
}

fn get_in(storage: &TestStorage, context: Context, key: &str, version: u64) -> GetResponse {
    storage.get(&GetRequest { context: Some(context), key: key.into(), version, ..Default::default() })
}

fn scan(storage: &TestStorage, request: ScanRequest) -> Vec<(String, String)> {
    let response = storage.scan(&ScanRequest { version: u64::MAX - 1, ..request }, &everything());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    response.pairs.into_iter().map(|pair| (text(pair.key), text(pair.value))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn filled() -> TestStorage {
    let storage = TestStorage::default();
    for key in ["a", "b", "c", "d"] {
        storage.put_at(key, &format!("value of {key}"), 1, 2);
    }
    storage
}

#[test]
fn a_read_sees_the_newest_version_at_or_before_its_timestamp() {
    let storage = TestStorage::default();
    storage.put_at("k", "one", 10, 20);
    storage.put_at("k", "two", 30, 40);
    storage.write(mutation(Op::Del, "k", b""), 50, 60);
    storage.write(mutation(Op::Lock, "k", b""), 70, 80);
    for (version, value) in [(19, None), (20, Some("one")), (39, Some("one")), (40, Some("two")), (59, Some("two"))] {
        assert_eq!(storage.read("k", version).as_deref(), value, "at {version}");
    }
    assert_eq!(storage.read("k", 100), None);
    assert_eq!(storage.read("unknown", 100), None);
}

#[test]
fn records_of_locks_and_rollbacks_do_not_hide_the_value_before_them() {
    let storage = TestStorage::default();
    storage.put_at("k", "one", 10, 20);
    storage.write(mutation(Op::Lock, "k", b""), 30, 40);
    storage.roll_back(&["k"], 50);
    assert_eq!(storage.read("k", 100).as_deref(), Some("one"));
}

#[test]
fn a_long_value_and_an_empty_one_come_back_as_they_were() {
    let storage = TestStorage::default();
    for length in [0, 255, 256, 100_000] {
        let value = vec![7; length];
        let (start, commit) = (2 * length as u64 + 1, 2 * length as u64 + 2);
        storage.write(mutation(Op::Put, "k", &value), start, commit);
        assert_eq!(storage.try_read("k", commit).unwrap(), Some(value));
    }
    assert_eq!(storage.sizes().values, 2);
}

#[test]
fn a_lock_blocks_reads_at_its_start_and_later_and_not_before() {
    let storage = TestStorage::default();
    storage.put_at("k", "one", 10, 20);
    storage.prewrite_ok(30, vec![put("k", "two")]);
    assert_eq!(storage.read("k", 29).as_deref(), Some("one"));
    let lock = storage.try_read("k", 30).unwrap_err().locked.unwrap();
    assert_eq!((lock.key, lock.lock_version, lock.primary_lock), (b"k".to_vec(), 30, b"k".to_vec()));
}

#[test]
fn locks_that_change_nothing_do_not_block_reads() {
    let storage = TestStorage::default();
    storage.prewrite_ok(30, vec![mutation(Op::Lock, "k", b"")]);
    assert_eq!(storage.read("k", 40), None);
}

#[test]
fn a_lock_that_will_be_committed_later_does_not_block_a_read() {
    let storage = TestStorage::default();
    let request = prewrite_request(30, vec![put("k", "two")]);
    storage.prewrite(&PrewriteRequest { min_commit_ts: 50, ..request });
    assert_eq!(storage.read("k", 49), None);
    assert!(storage.try_read("k", 50).is_err());
}

#[test]
fn a_read_passes_locks_that_it_knows_to_be_resolved_and_reads_those_it_knows_to_be_committed() {
    let storage = TestStorage::default();
    storage.put_at("k", "one", 10, 20);
    let long = "x".repeat(300);
    storage.prewrite_ok(30, vec![put("k", &long), mutation(Op::Del, "gone", b"")]);
    let resolved = Context { resolved_locks: vec![30], ..context() };
    assert_eq!(get_in(&storage, resolved, "k", 40).value, b"one");
    let committed = Context { committed_locks: vec![30], ..context() };
    assert_eq!(get_in(&storage, committed.clone(), "k", 40).value, long.as_bytes());
    assert!(get_in(&storage, committed, "gone", 40).not_found);
}

#[test]
fn a_read_of_the_latest_passes_the_lock_on_a_primary_and_no_other() {
    let storage = TestStorage::default();
    storage.put_at("primary", "one", 10, 20);
    storage.prewrite_ok(30, vec![put("primary", "two"), put("secondary", "two")]);
    assert_eq!(storage.read("primary", u64::MAX).as_deref(), Some("one"));
    assert!(storage.try_read("secondary", u64::MAX).is_err());
}

#[test]
fn a_read_committed_read_ignores_locks() {
    let storage = TestStorage::default();
    storage.prewrite_ok(30, vec![put("k", "two")]);
    let context = Context { isolation_level: IsolationLevel::Rc.into(), ..context() };
    assert!(get_in(&storage, context, "k", 40).not_found);
}

#[test]
fn a_batch_get_has_a_pair_for_each_key_that_is_there_or_locked() {
    let storage = filled();
    storage.prewrite_ok(30, vec![put("b", "new")]);
    let keys = names(&["d", "b", "unknown", "a"]);
    let response = storage.batch_get(&BatchGetRequest { keys, version: 40, ..Default::default() });
    let keys: Vec<&[u8]> = response.pairs.iter().map(|pair| pair.key.as_slice()).collect();
    assert_eq!(keys, [&b"d"[..], b"", b"a"]);
    assert_eq!(response.pairs[1].error.as_ref().unwrap().locked.as_ref().unwrap().key, b"b");
}

#[test]
fn a_scan_goes_forwards_from_its_start_up_to_its_end_or_limit() {
    let storage = filled();
    let request = ScanRequest { start_key: b"b".to_vec(), limit: 10, ..ScanRequest::default() };
    assert_eq!(scan(&storage, request.clone()).len(), 3);
    let bounded = ScanRequest { end_key: b"d".to_vec(), ..request.clone() };
    assert_eq!(scan(&storage, bounded), pairs(&[("b", "value of b"), ("c", "value of c")]));
    let limited = ScanRequest { limit: 1, key_only: true, ..request.clone() };
    assert_eq!(scan(&storage, limited), pairs(&[("b", "")]));
    assert_eq!(scan(&storage, ScanRequest { limit: 0, ..request }), []);
}

#[test]
fn a_reverse_scan_starts_below_its_start_and_ends_at_its_end() {
    let storage = filled();
    let request = ScanRequest { reverse: true, limit: 10, ..ScanRequest::default() };
    let bounded = ScanRequest { start_key: b"d".to_vec(), end_key: b"b".to_vec(), ..request.clone() };
    assert_eq!(scan(&storage, bounded), pairs(&[("c", "value of c"), ("b", "value of b")]));
    assert_eq!(scan(&storage, ScanRequest { limit: 1, ..request }), pairs(&[("d", "value of d")]));
}

#[test]
fn a_scan_tells_locked_keys_in_their_places_whether_or_not_they_have_versions() {
    let storage = filled();
    storage.prewrite_ok(30, vec![put("b", "new"), put("bb", "new")]);
    for reverse in [false, true] {
        let request = ScanRequest { limit: 10, version: 40, reverse, ..ScanRequest::default() };
        let pairs = storage.scan(&request, &everything()).pairs;
        let locked = |pair: KvPair| pair.error.map(|error| error.locked.unwrap().key);
        let mut locked: Vec<Option<Vec<u8>>> = pairs.into_iter().map(locked).collect();
        if reverse {
            locked.reverse();
        }
        assert_eq!(locked, [None, Some(b"b".to_vec()), Some(b"bb".to_vec()), None, None]);
    }
}

#[test]
fn a_scan_stays_within_its_region() {
    let storage = filled();
    let region = RegionRange { start: codec::encode(b"b"), end: codec::encode(b"d") };
    for reverse in [false, true] {
        let request = ScanRequest { limit: 10, version: 40, reverse, ..ScanRequest::default() };
        let mut keys: Vec<Vec<u8>> = storage.scan(&request, &region).pairs.into_iter().map(|pair| pair.key).collect();
        keys.sort();
        assert_eq!(keys, names(&["b", "c"]));
    }
}
