use super::*;

fn filled() -> TestStorage {
    let storage = TestStorage::default();
    let pair = |key: &str| KvPair { key: key.into(), value: key.into(), error: None, ..Default::default() };
    let pairs = ["a", "b", "c", "d"].map(pair).to_vec();
    assert_eq!(storage.raw_batch_put(&RawBatchPutRequest { pairs, ttl: 9, ..Default::default() }).error, "");
    storage
}

fn keys(pairs: Vec<KvPair>) -> Vec<Vec<u8>> {
    pairs.into_iter().map(|pair| pair.key).collect()
}

fn get(storage: &TestStorage, key: &str, cf: &str) -> Option<Vec<u8>> {
    let response =
        storage.raw_get(&RawGetRequest { context: None, key: key.into(), cf: cf.into(), ..RawGetRequest::default() });
    assert_eq!(response.error, "");
    (!response.not_found).then_some(response.value)
}

#[test]
fn raw_values_come_back_until_they_are_deleted() {
    let storage = filled();
    assert_eq!(get(&storage, "a", ""), Some(b"a".to_vec()));
    let ttl = storage.raw_get_key_ttl(&RawGetKeyTtlRequest { key: b"a".to_vec(), ..Default::default() });
    assert_eq!((ttl.ttl, ttl.not_found), (9, false));
    storage.raw_delete(&RawDeleteRequest { key: b"a".to_vec(), ..Default::default() });
    assert_eq!(get(&storage, "a", ""), None);
    storage.raw_batch_delete(&RawBatchDeleteRequest { keys: names(&["b", "c"]), ..Default::default() });
    let request = RawBatchGetRequest { keys: names(&["d", "c", "a"]), ..Default::default() };
    assert_eq!(keys(storage.raw_batch_get(&request).pairs), names(&["d"]));
}

#[test]
fn column_families_are_name_spaces_and_others_are_refused() {
    let storage = filled();
    let request = RawPutRequest { key: b"a".to_vec(), value: b"w".to_vec(), cf: "write".into(), ..Default::default() };
    assert_eq!(storage.raw_put(&request).error, "");
    assert_eq!(get(&storage, "a", "write"), Some(b"w".to_vec()));
    assert_eq!(get(&storage, "a", "default"), Some(b"a".to_vec()));
    assert_eq!(get(&storage, "a", "lock"), None);
    let other = RawPutRequest { cf: "other".into(), ..request };
    assert_eq!(storage.raw_put(&other).error, "invalid cf name: other");
}

#[test]
fn raw_and_transactional_keys_are_apart() {
    let storage = filled();
    assert_eq!(storage.read("a", 10), None);
    storage.prewrite_ok(10, vec![put("a", "1")]);
    assert_eq!(get(&storage, "a", ""), Some(b"a".to_vec()));
}

#[test]
fn a_raw_scan_goes_both_ways_within_its_bounds_its_region_and_its_limit() {
    let storage = filled();
    let request = RawScanRequest { limit: 10, ..Default::default() };
    let scan = |request: RawScanRequest| keys(storage.raw_scan(&request, &everything()).kvs);
    assert_eq!(scan(RawScanRequest { start_key: b"b".to_vec(), ..request.clone() }), names(&["b", "c", "d"]));
    assert_eq!(scan(RawScanRequest { limit: 1, ..request.clone() }), names(&["a"]));
    let reverse = RawScanRequest { reverse: true, start_key: b"d".to_vec(), ..request.clone() };
    assert_eq!(scan(RawScanRequest { end_key: b"b".to_vec(), ..reverse }), names(&["c", "b"]));
    let region = RegionRange { start: b"b".to_vec(), end: b"c".to_vec() };
    assert_eq!(keys(storage.raw_scan(&request, &region).kvs), names(&["b"]));
}

#[test]
fn a_raw_scan_of_several_ranges_limits_each() {
    let storage = filled();
    let range =
        |start: &str, end: &str| KeyRange { start_key: start.into(), end_key: end.into(), ..KeyRange::default() };
    let ranges = vec![range("c", ""), range("a", "c")];
    let request = RawBatchScanRequest { ranges, each_limit: 1, key_only: true, ..Default::default() };
    let pairs = storage.raw_batch_scan(&request, &everything()).kvs;
    assert!(pairs.iter().all(|pair| pair.value.is_empty()));
    assert_eq!(keys(pairs), names(&["c", "a"]));
}

#[test]
fn a_raw_range_is_deleted_up_to_its_end() {
    let storage = filled();
    let request = RawDeleteRangeRequest { start_key: b"b".to_vec(), end_key: b"d".to_vec(), ..Default::default() };
    assert_eq!(storage.raw_delete_range(&request).error, "");
    let request = RawScanRequest { limit: 10, ..Default::default() };
    assert_eq!(keys(storage.raw_scan(&request, &everything()).kvs), names(&["a", "d"]));
}

#[test]
fn a_swap_happens_only_if_the_value_is_the_expected_one() {
    let storage = TestStorage::default();
    let swap = |previous: Option<&str>, value: &str| {
        storage.raw_compare_and_swap(&RawCasRequest {
            key: b"k".to_vec(),
            value: value.into(),
            previous_not_exist: previous.is_none(),
            previous_value: previous.unwrap_or_default().into(),
            ..Default::default()
        })
    };
    assert!(!swap(Some("x"), "1").succeed);
    let first = swap(None, "1");
    assert!(first.succeed && first.previous_not_exist);
    let wrong = swap(None, "2");
    assert_eq!((wrong.succeed, wrong.previous_value), (false, b"1".to_vec()));
    assert!(swap(Some("1"), "2").succeed);
    assert_eq!(get(&storage, "k", ""), Some(b"2".to_vec()));
}
