//! Pessimistic locks, driven by hand-written events.
#![allow(clippy::unwrap_used, clippy::panic)]
use tito_tikv_proto::kvrpcpb::{Deadlock, KeyError, LockInfo, PessimisticLockResponse, WriteConflict};

use super::{Acquire, Wanted};
use crate::Error;
use crate::protocol::script::{Script, not_done};
use crate::protocol::{Reply, Request};

fn script(keys: &[&str]) -> Script<Acquire<char>> {
    Script::new(Acquire::new(Wanted {
        start: 100,
        primary: b"a".to_vec(),
        keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
        for_update_ts: 100,
        ttl_millis: 20_000,
        wait_millis: 5_000,
        values: true,
    }))
}

fn error(error: KeyError) -> PessimisticLockResponse {
    PessimisticLockResponse { errors: vec![error], ..PessimisticLockResponse::default() }
}

fn locked() -> PessimisticLockResponse {
    let lock = LockInfo { key: b"a".to_vec(), lock_version: 7, ..LockInfo::default() };
    error(KeyError { locked: Some(lock), ..KeyError::default() })
}

fn values(values: &[&str]) -> PessimisticLockResponse {
    PessimisticLockResponse {
        values: values.iter().map(|value| value.as_bytes().to_vec()).collect(),
        not_founds: values.iter().map(|value| value.is_empty()).collect(),
        ..PessimisticLockResponse::default()
    }
}

#[test]
fn keys_are_locked_region_after_region_and_told_with_their_values() {
    let mut script = script(&["a", "b", "c"]);
    script.locate(&[('A', 2), ('C', 1)]);
    let (call, _, request) = script.sent();
    let Request::PessimisticLock(request) = request else { panic!("{request:?}") };
    assert!(request.is_first_lock && request.return_values);
    assert_eq!((request.mutations.len(), request.wait_timeout), (2, 1_000));
    assert!(script.is_idle(), "the other region waits for this one");
    script.reply(call, Reply::Response(values(&["1", ""]).into())).locate(&[('C', 1)]).answer(values(&["3"]));
    let held = script.decided().unwrap();
    assert_eq!(
        held.iter().map(|held| held.value.clone()).collect::<Vec<_>>(),
        [Some(b"1".to_vec()), None, Some(b"3".to_vec())]
    );
    assert_eq!(held.iter().map(|held| held.exists).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn a_newer_version_is_locked_as_it_is() {
    let mut script = script(&["a"]);
    let conflict = KeyError { conflict: Some(WriteConflict::default()), ..KeyError::default() };
    script.locate(&[('A', 1)]).answer(error(conflict)).timestamp(500).locate(&[('A', 1)]);
    let Request::PessimisticLock(request) = script.sent().2 else { panic!("expected a lock") };
    assert_eq!(request.for_update_ts, 500);
}

#[test]
fn a_deadlock_ends_it() {
    let mut script = script(&["a"]);
    let deadlock = Deadlock { lock_ts: 7, lock_key: b"x".to_vec(), ..Deadlock::default() };
    script.locate(&[('A', 1)]).answer(error(KeyError { deadlock: Some(deadlock), ..KeyError::default() }));
    assert!(matches!(script.decided(), Err(Error::Deadlock { holder, .. }) if holder.raw() == 7));
}

#[test]
fn a_lock_of_others_is_looked_at_and_waited_for_until_the_deadline() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(locked());
    assert_eq!(script.resolve().len(), 1);
    script.locate(&[('A', 1)]);
    let (call, ..) = script.sent();
    script.deadline();
    assert!(!script.is_decided(), "a request under way may take the lock yet");
    script.reply(call, Reply::Response(locked().into()));
    assert!(matches!(script.decided(), Err(Error::Locked { holder, .. }) if holder.raw() == 7));
    assert!(script.is_finished());
}

#[test]
fn a_region_that_moves_is_asked_where_it_is() {
    let mut script = script(&["a"]);
    script.fail_to_locate().wait().locate(&[('A', 1)]);
    let (call, ..) = script.sent();
    script.reply(call, not_done()).locate(&[('B', 1)]).answer(values(&["1"]));
    assert_eq!(script.decided().unwrap().len(), 1);
}
