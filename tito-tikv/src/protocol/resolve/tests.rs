//! Resolving locks, driven by hand-written events.
#![allow(clippy::unwrap_used, clippy::panic)]
use tito_tikv_proto::kvrpcpb::{
    Action, CheckSecondaryLocksResponse, CheckTxnStatusResponse, KeyError, LockInfo, Op, PessimisticRollbackResponse,
    PrimaryMismatch, ResolveLockResponse, TxnNotFound,
};

use super::{Asked, Resolve, Status};
use crate::protocol::script::{Script, not_done};
use crate::protocol::{Reply, Request, Response};
use crate::{Error, Timestamp};

const START: u64 = 1_000 << 18;

fn at(millis: u64) -> u64 {
    Timestamp::new(millis, 0).raw()
}

fn lock(key: &str) -> LockInfo {
    LockInfo {
        key: key.into(),
        primary_lock: b"p".to_vec(),
        lock_version: START,
        lock_ttl: 3_000,
        lock_type: Op::Put.into(),
        ..LockInfo::default()
    }
}

fn pessimistic(key: &str) -> LockInfo {
    LockInfo { lock_type: Op::PessimisticLock.into(), lock_for_update_ts: START + 9, ..lock(key) }
}

fn asked(locks: Vec<LockInfo>, now: u64) -> Asked {
    Asked {
        start: START,
        primary: b"p".to_vec(),
        locks,
        caller_start: at(1_500),
        now,
        is_read: true,
        known: None,
        deadline_millis: 10_000,
    }
}

fn script(locks: Vec<LockInfo>, now: u64) -> Script<Resolve<char>> {
    let mut script = Script::new(Resolve::new(asked(locks, now)));
    script.locate(&[('P', 1)]);
    script
}

fn status(change: impl FnOnce(&mut CheckTxnStatusResponse)) -> Response {
    let mut response = CheckTxnStatusResponse::default();
    change(&mut response);
    response.into()
}

fn status_error(error: KeyError) -> Response {
    status(|it| it.error = Some(error))
}

fn not_found() -> Response {
    status_error(KeyError { txn_not_found: Some(TxnNotFound::default()), ..KeyError::default() })
}

#[track_caller]
fn assert_decided(script: &mut Script<Resolve<char>>, expected: Status) {
    assert_eq!(script.decided().unwrap(), expected);
}

#[test]
fn the_locks_of_a_committed_transaction_are_committed() {
    let mut script = script(vec![lock("a"), lock("b")], at(1_100));
    script.answer(status(|it| it.commit_version = at(1_200)));
    assert_decided(&mut script, Status::Committed(at(1_200)));
    assert!(!script.is_finished());
    script.locate(&[('A', 1), ('B', 1)]);
    let (_, region, request) = script.sent();
    let Request::ResolveLock(request) = request else { panic!("{request:?}") };
    assert_eq!((region, request.start_version, request.commit_version), ('A', START, at(1_200)));
    assert_eq!(request.keys, [b"a".to_vec()]);
}

#[test]
fn a_living_transaction_is_left_alone() {
    let mut script = script(vec![lock("a")], at(1_100));
    let (call, _, request) = script.sent();
    let Request::CheckTxnStatus(request) = request else { panic!("{request:?}") };
    assert!(!request.rollback_if_not_exist && request.verify_is_primary);
    assert_eq!((request.caller_start_ts, request.current_ts), (at(1_500), at(1_100)));
    script.reply(call, Reply::Response(status(|it| it.lock_ttl = 3_000)));
    assert_decided(&mut script, Status::Alive { left_millis: 2_901 });
    assert!(script.is_finished() && script.is_idle());
}

#[test]
fn a_reader_passes_a_transaction_that_was_pushed_and_a_writer_does_not() {
    for (is_read, expected) in [(true, Status::Pushed), (false, Status::Alive { left_millis: 2_901 })] {
        let mut script = Script::new(Resolve::new(Asked { is_read, ..asked(vec![lock("a")], at(1_100)) }));
        script.locate(&[('P', 1)]).answer(status(|it| {
            it.lock_ttl = 3_000;
            it.action = Action::MinCommitTsPushed.into();
        }));
        assert_decided(&mut script, expected);
    }
}

#[test]
fn an_orphan_is_rolled_back_only_past_its_time() {
    let mut early = script(vec![lock("a")], at(4_000));
    early.answer(not_found());
    assert_decided(&mut early, Status::Alive { left_millis: 1 });

    let mut late = script(vec![lock("a")], at(4_001));
    let (call, _, request) = late.sent();
    let Request::CheckTxnStatus(request) = request else { panic!("{request:?}") };
    assert!(request.rollback_if_not_exist);
    late.reply(call, Reply::Response(status(|it| it.action = Action::LockNotExistRollback.into())));
    assert_decided(&mut late, Status::RolledBack);
    late.locate(&[('A', 1)]);
    let Request::ResolveLock(request) = late.sent().2 else { panic!("expected the lock to be rolled back") };
    assert_eq!(request.commit_version, 0);
}

#[test]
fn a_region_that_moves_is_asked_where_it_is() {
    let mut script = script(vec![lock("a")], at(1_100));
    let (call, ..) = script.sent();
    script.reply(call, not_done()).locate(&[('Q', 1)]).answer(status(|it| it.commit_version = 9));
    script.fail_to_locate().wait().locate(&[('A', 1)]).answer(ResolveLockResponse::default());
    assert!(script.is_finished());
}

#[test]
fn a_large_transaction_is_resolved_by_region() {
    let large = LockInfo { txn_size: 16, ..lock("a") };
    let mut script = script(vec![large], at(1_100));
    script.answer(status(|it| it.commit_version = 9)).locate(&[('A', 1)]);
    let Request::ResolveLock(request) = script.sent().2 else { panic!("expected a resolve") };
    assert!(request.keys.is_empty());
}

#[test]
fn what_is_known_is_not_asked_for() {
    let known = Some(Status::Committed(7));
    let mut script = Script::new(Resolve::<char>::new(Asked { known, ..asked(vec![lock("a")], at(1_100)) }));
    assert_decided(&mut script, Status::Committed(7));
    script.locate(&[('A', 1)]);
    assert!(matches!(script.sent().2, Request::ResolveLock(_)));
}

#[test]
fn an_expired_pessimistic_lock_is_released_without_a_word_on_its_transaction() {
    for action in [Action::TtlExpirePessimisticRollback, Action::LockNotExistDoNothing] {
        let mut script = script(vec![pessimistic("a")], at(9_000));
        let (call, _, request) = script.sent();
        let Request::CheckTxnStatus(request) = request else { panic!("{request:?}") };
        assert!(request.resolving_pessimistic_lock);
        script.reply(call, Reply::Response(status(|it| it.action = action.into())));
        assert_decided(&mut script, Status::Released);
        script.locate(&[('A', 1)]);
        let (call, _, request) = script.sent();
        let Request::PessimisticRollback(request) = request else { panic!("{request:?}") };
        assert_eq!((request.for_update_ts, request.keys), (START + 9, vec![b"a".to_vec()]));
        script.reply(call, Reply::Response(PessimisticRollbackResponse::default().into()));
        assert!(script.is_finished());
    }
}

#[test]
fn a_pessimistic_lock_with_another_primary_is_released_and_a_prewritten_one_is_an_error() {
    let mismatch =
        || status_error(KeyError { primary_mismatch: Some(PrimaryMismatch::default()), ..KeyError::default() });
    let mut released = script(vec![pessimistic("a")], at(9_000));
    released.answer(mismatch());
    assert_decided(&mut released, Status::Released);
    let mut failed = script(vec![lock("a")], at(9_000));
    failed.answer(mismatch());
    assert!(matches!(failed.decided(), Err(Error::Answer { .. })));
}

#[test]
fn the_deadline_is_an_error_if_nothing_is_known_by_then() {
    let mut script = script(vec![lock("a")], at(1_100));
    script.deadline();
    assert!(matches!(script.decided(), Err(Error::Deadline { .. })));
    assert!(script.is_finished());
}

mod asynchronous {
    use super::*;

    fn async_lock(key: &str, min_commit_ts: u64) -> LockInfo {
        LockInfo { use_async_commit: true, min_commit_ts, ..lock(key) }
    }

    /// The primary's lock names these secondaries, and has expired.
    fn expired(secondaries: &[&str]) -> Script<Resolve<char>> {
        let mut script = script(vec![async_lock("b", at(1_001))], at(9_000));
        let secondaries = secondaries.iter().map(|key| key.as_bytes().to_vec()).collect();
        let primary = LockInfo { secondaries, ..async_lock("p", at(1_002)) };
        script.answer(status(|it| {
            it.lock_ttl = 3_000;
            it.lock_info = Some(primary);
        }));
        script
    }

    fn locks(locks: Vec<LockInfo>) -> Response {
        CheckSecondaryLocksResponse { locks, ..CheckSecondaryLocksResponse::default() }.into()
    }

    #[test]
    fn all_keys_prewritten_are_a_commit_at_the_highest_timestamp() {
        let mut script = expired(&["b", "c"]);
        script.locate(&[('B', 1), ('C', 1)]);
        script.answer(locks(vec![async_lock("b", at(1_007))])).answer(locks(vec![async_lock("c", at(1_003))]));
        assert_decided(&mut script, Status::Committed(at(1_007)));
        script.locate(&[('B', 2), ('P', 1)]);
        let Request::ResolveLock(request) = script.sent().2 else { panic!("expected a resolve") };
        assert_eq!((request.commit_version, request.keys), (at(1_007), vec![b"b".to_vec(), b"c".to_vec()]));
    }

    #[test]
    fn a_transaction_of_the_primary_alone_is_committed() {
        let mut script = expired(&[]);
        assert_decided(&mut script, Status::Committed(at(1_002)));
    }

    #[test]
    fn a_key_that_is_missing_decides() {
        for (commit_ts, expected) in [(0, Status::RolledBack), (at(1_005), Status::Committed(at(1_005)))] {
            let mut script = expired(&["b", "c"]);
            script.locate(&[('B', 1), ('C', 1)]);
            script.answer(CheckSecondaryLocksResponse { commit_ts, ..CheckSecondaryLocksResponse::default() });
            assert_decided(&mut script, expected);
            script.locate(&[('B', 3)]);
        }
    }

    #[test]
    fn one_that_fell_back_to_two_phases_is_decided_by_the_primary() {
        let mut script = expired(&["b"]);
        script.locate(&[('B', 1)]).answer(locks(vec![lock("b")]));
        script.locate(&[('P', 1)]);
        let (call, _, request) = script.sent();
        let Request::CheckTxnStatus(request) = request else { panic!("{request:?}") };
        assert!(request.force_sync_commit);
        script.reply(call, Reply::Response(status(|it| it.action = Action::TtlExpireRollback.into())));
        assert_decided(&mut script, Status::RolledBack);
    }

    #[test]
    fn it_is_left_alone_before_its_time_is_over() {
        let mut script = script(vec![async_lock("b", 1)], at(1_100));
        script.answer(status(|it| {
            it.lock_ttl = 3_000;
            it.lock_info = Some(async_lock("p", 1));
        }));
        assert_decided(&mut script, Status::Alive { left_millis: 2_901 });
    }
}
