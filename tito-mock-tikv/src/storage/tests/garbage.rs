use super::*;

/// Versions at 20, 40 (long), 80 and 100; a deletion at 60; a lock record at 25, a rollback at 30.
fn versions() -> TestStorage {
    let storage = TestStorage::default();
    storage.put_at("k", "one", 10, 20);
    storage.write(mutation(Op::Lock, "k", b""), 24, 25);
    storage.roll_back(&["k"], 30);
    storage.put_at("k", &"two".repeat(100), 35, 40);
    storage.write(mutation(Op::Del, "k", b""), 50, 60);
    storage.put_at("k", "three", 70, 80);
    storage.put_at("k", "four", 90, 100);
    storage
}

fn collect(storage: &TestStorage, safe_point: u64) {
    storage.collect_garbage(safe_point);
}

#[test]
fn the_newest_version_at_the_safe_point_stays_and_older_records_go() {
    let storage = versions();
    collect(&storage, 45);
    assert_eq!(storage.read("k", 45).unwrap().len(), 300);
    assert_eq!((storage.sizes().writes, storage.sizes().values), (4, 1));
    assert_eq!(storage.read("k", 100).as_deref(), Some("four"));
}

#[test]
fn records_of_locks_and_rollbacks_go_and_the_version_before_them_stays() {
    let storage = versions();
    collect(&storage, 30);
    assert_eq!(storage.sizes().writes, 5);
    assert_eq!(storage.read("k", 30).as_deref(), Some("one"));
}

#[test]
fn a_deletion_at_the_safe_point_goes_with_all_that_it_deleted() {
    let storage = versions();
    collect(&storage, 60);
    assert_eq!((storage.sizes().writes, storage.sizes().values), (2, 0));
    assert_eq!(storage.read("k", 60), None);
}

#[test]
fn a_value_that_is_not_committed_yet_stays() {
    let storage = versions();
    storage.prewrite_ok(110, vec![mutation(Op::Put, "k", &[1; 300])]);
    storage.collect_garbage(105);
    storage.commit_ok(&["k"], 110, 120);
    assert_eq!(storage.try_read("k", 120).unwrap(), Some(vec![1; 300]));
    assert_eq!(storage.sizes().writes, 2);
}

#[test]
fn a_destroyed_range_has_neither_locks_nor_versions() {
    for unsafely in [false, true] {
        let storage = TestStorage::default();
        for key in ["a", "b", "c"] {
            storage.write(mutation(Op::Put, key, &[1; 300]), 10, 20);
        }
        storage.prewrite_ok(30, vec![put("b", "2"), put("c", "2")]);
        let (start_key, end_key) = (b"b".to_vec(), b"c".to_vec());
        if unsafely {
            storage.unsafe_destroy_range(&UnsafeDestroyRangeRequest { start_key, end_key, ..Default::default() });
        } else {
            let request = DeleteRangeRequest { start_key, end_key, notify_only: true, ..Default::default() };
            storage.delete_range(&request);
            assert_eq!(storage.sizes().writes, 3);
            storage.delete_range(&DeleteRangeRequest { notify_only: false, ..request });
        }
        let sizes = storage.sizes();
        assert_eq!((sizes.locks, sizes.writes, sizes.values), (1, 2, 2));
        assert_eq!(storage.read("b", 100), None);
    }
}
