use super::*;
use tito_tikv_proto::kvrpcpb::write_conflict::Reason;

fn conflict(error: KeyError) -> (u64, u64, Reason) {
    let conflict = error.conflict.unwrap();
    (conflict.conflict_ts, conflict.conflict_commit_ts, conflict.reason())
}

#[test]
fn a_prewrite_locks_every_key_for_the_primary_and_shows_nothing_yet() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1"), put("b", "2")]);
    let locks = storage.locks();
    assert_eq!(locks.len(), 2);
    assert!(locks.iter().all(|lock| lock.primary_lock == b"a" && lock.lock_version == 10 && lock.lock_ttl == 100));
    assert_eq!(storage.sizes().writes, 0);
}

#[test]
fn a_repeated_prewrite_succeeds() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1")]);
    storage.prewrite_ok(10, vec![put("a", "1")]);
    storage.commit_ok(&["a"], 10, 20);
    assert_eq!(storage.read("a", 20).as_deref(), Some("1"));
}

#[test]
fn a_prewrite_repeated_after_the_commit_succeeds_and_locks_nothing() {
    let storage = TestStorage::default();
    storage.prewrite_ok(10, vec![put("a", "1"), put("b", "2")]);
    storage.commit_ok(&["a", "b"], 10, 20);
    storage.prewrite_ok(10, vec![put("a", "1"), put("b", "2")]);
    assert_eq!(storage.locks(), []);
    // Another transaction's lock in the way makes no difference.
    storage.prewrite_ok(30, vec![put("a", "3")]);
    storage.prewrite_ok(10, vec![put("a", "1"), put("b", "2")]);
    assert_eq!(storage.locks().len(), 1);
}

#[test]
fn a_prewrite_after_the_own_rollback_is_a_conflict_with_itself() {
    let storage = TestStorage::default();
    storage.roll_back(&["a"], 10);
    assert_eq!(conflict(storage.prewrite_error(10, vec![put("a", "1")])), (10, 10, Reason::SelfRolledBack));
}

#[test]
fn every_kind_of_newer_record_is_a_write_conflict() {
    for op in [Op::Put, Op::Del, Op::Lock] {
        let storage = TestStorage::default();
        storage.write(mutation(op, "a", b"1"), 15, 20);
        assert_eq!(conflict(storage.prewrite_error(10, vec![put("a", "1")])), (15, 20, Reason::Optimistic), "{op:?}");
        storage.prewrite_ok(21, vec![put("a", "1")]);
    }
    let storage = TestStorage::default();
    storage.roll_back(&["a"], 20);
    assert_eq!(conflict(storage.prewrite_error(10, vec![put("a", "1")])), (20, 20, Reason::Optimistic));
}

#[test]
fn a_write_conflict_is_told_alone_and_nothing_is_locked() {
    let storage = TestStorage::default();
    storage.prewrite_ok(15, vec![put("locked", "1")]);
    storage.put_at("newer", "1", 15, 20);
    let mutations = vec![put("free", "1"), put("locked", "1"), put("newer", "1")];
    assert!(storage.prewrite_error(10, mutations).conflict.is_some());
    assert_eq!(storage.locks().len(), 1);
}

#[test]
fn all_locked_keys_are_told_and_nothing_else_is_locked() {
    let storage = TestStorage::default();
    storage.prewrite_ok(5, vec![put("a", "1"), put("b", "1")]);
    let request = prewrite_request(10, vec![put("a", "2"), put("free", "2"), put("b", "2")]);
    let errors = storage.prewrite(&request).errors;
    let locked: Vec<Vec<u8>> = errors.into_iter().map(|error| error.locked.unwrap().key).collect();
    assert_eq!(locked, names(&["a", "b"]));
    assert_eq!(storage.locks().len(), 2);
}

#[test]
fn an_insert_needs_a_key_that_does_not_exist() {
    let storage = TestStorage::default();
    storage.put_at("a", "1", 10, 20);
    storage.write(mutation(Op::Lock, "a", b""), 21, 22);
    let insert = || vec![mutation(Op::Insert, "a", b"2")];
    assert_eq!(storage.prewrite_error(30, insert()).already_exist.unwrap().key, b"a");
    storage.write(mutation(Op::Del, "a", b""), 40, 50);
    storage.prewrite_ok(60, insert());
    storage.commit_ok(&["a"], 60, 70);
    assert_eq!(storage.read("a", 70).as_deref(), Some("2"));
}

#[test]
fn a_check_that_a_key_does_not_exist_takes_no_lock() {
    let storage = TestStorage::default();
    let check = || vec![mutation(Op::CheckNotExists, "a", b"")];
    storage.prewrite_ok(10, check());
    assert_eq!(storage.locks(), []);
    storage.put_at("a", "1", 20, 30);
    assert!(storage.prewrite_error(40, check()).already_exist.is_some());
    assert!(storage.prewrite_error(25, check()).conflict.is_some());
}

#[test]
fn an_assertion_about_existence_is_checked_at_every_level_but_off() {
    let storage = TestStorage::default();
    storage.put_at("there", "1", 10, 20);
    storage.write(mutation(Op::Del, "deleted", b""), 10, 20);
    let cases = [
        ("there", Assertion::NotExist, (10, 20)),
        ("deleted", Assertion::Exist, (10, 20)),
        ("never", Assertion::Exist, (0, 0)),
    ];
    for (key, assertion, existing) in cases {
        for level in [AssertionLevel::Fast, AssertionLevel::Strict, AssertionLevel::Off] {
            let mutation = Mutation { assertion: assertion.into(), ..put(key, "2") };
            let request = PrewriteRequest { assertion_level: level.into(), ..prewrite_request(30, vec![mutation]) };
            let error = storage.prewrite(&request).errors.pop();
            if level == AssertionLevel::Off {
                assert_eq!(error, None);
                continue;
            }
            let failed = error.unwrap().assertion_failed.unwrap();
            assert_eq!((failed.existing_start_ts, failed.existing_commit_ts), existing, "{key}, {level:?}");
            assert_eq!(failed.assertion(), assertion);
        }
    }
    let right = Mutation { assertion: Assertion::Exist.into(), ..put("there", "2") };
    let request = prewrite_request(30, vec![right]);
    let request = PrewriteRequest { assertion_level: AssertionLevel::Strict.into(), ..request };
    assert_eq!(storage.prewrite(&request).errors, []);
}

#[test]
fn a_conflict_is_told_before_a_failed_assertion() {
    let storage = TestStorage::default();
    storage.put_at("newer", "1", 40, 50);
    let wrong = Mutation { assertion: Assertion::Exist.into(), ..put("never", "2") };
    let request = prewrite_request(30, vec![wrong, put("newer", "2")]);
    let request = PrewriteRequest { assertion_level: AssertionLevel::Strict.into(), ..request };
    assert!(storage.prewrite(&request).errors[0].conflict.is_some());
}
