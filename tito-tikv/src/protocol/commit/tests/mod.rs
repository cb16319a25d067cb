//! A commit, driven by hand-written events.
#![allow(clippy::unwrap_used, clippy::panic)]
mod phases;
mod rollback;

use tito_tikv_proto::kvrpcpb::{
    Action, BatchRollbackResponse, CheckTxnStatusResponse, CommitResponse, CommitTsExpired, KeyError, LockInfo,
    Mutation, Op, PrewriteResponse, TxnLockNotFound, WriteConflict,
};

use super::{Commit, Plan};
use crate::protocol::script::Script;
use crate::protocol::{Request, Response};
use crate::{Outcome, Reason, Timestamp};

const START: u64 = 100 << 18;
const LATER: u64 = 200 << 18;

fn put(key: &str) -> Mutation {
    Mutation { op: Op::Put.into(), key: key.into(), value: b"value".to_vec(), ..Mutation::default() }
}

fn plan(keys: &[&str]) -> Plan {
    let mut plan = Plan::new(keys.iter().map(|key| put(key)).collect(), None, START).unwrap();
    plan.deadline_millis = 10_000;
    plan.age_limit_millis = Some(30_000);
    plan
}

fn script(keys: &[&str]) -> Script<Commit<char>> {
    Script::new(Commit::new(plan(keys)))
}

/// A commit of `a`, `b` and `c` in three regions, all prewritten, with a commit timestamp.
fn prewritten() -> Script<Commit<char>> {
    let mut script = script(&["a", "b", "c"]);
    script.locate(&[('A', 1), ('B', 1), ('C', 1)]);
    script.answer(prewrite()).answer(prewrite()).answer(prewrite()).timestamp(LATER).locate(&[('A', 1)]);
    script
}

fn prewrite() -> Response {
    PrewriteResponse::default().into()
}

fn prewrite_error(error: KeyError) -> Response {
    PrewriteResponse { errors: vec![error], ..PrewriteResponse::default() }.into()
}

fn conflict(key: &str) -> Response {
    let conflict = WriteConflict { key: key.into(), conflict_ts: 7, conflict_commit_ts: 8, ..WriteConflict::default() };
    prewrite_error(KeyError { conflict: Some(conflict), ..KeyError::default() })
}

fn locked(key: &str) -> Response {
    locked_since(key, 7)
}

fn locked_since(key: &str, start: u64) -> Response {
    let lock = LockInfo { key: key.into(), lock_version: start, primary_lock: b"p".to_vec(), ..LockInfo::default() };
    prewrite_error(KeyError { locked: Some(lock), ..KeyError::default() })
}

fn commit() -> Response {
    CommitResponse { commit_version: LATER, ..CommitResponse::default() }.into()
}

fn commit_error(error: KeyError) -> Response {
    CommitResponse { error: Some(error), ..CommitResponse::default() }.into()
}

fn lock_not_found() -> Response {
    commit_error(KeyError { txn_lock_not_found: Some(TxnLockNotFound::default()), ..KeyError::default() })
}

fn expired() -> Response {
    commit_error(KeyError { commit_ts_expired: Some(CommitTsExpired::default()), ..KeyError::default() })
}

fn settled(commit_version: u64) -> Response {
    let action = if commit_version == 0 { Action::LockNotExistRollback } else { Action::NoAction };
    CheckTxnStatusResponse { commit_version, action: action.into(), ..CheckTxnStatusResponse::default() }.into()
}

fn rolled_back() -> Response {
    BatchRollbackResponse::default().into()
}

#[track_caller]
fn assert_committed(outcome: Outcome, at: u64) {
    match outcome {
        Outcome::Committed(timestamp) => assert_eq!(timestamp, Timestamp::from_raw(at)),
        other => panic!("expected a commit, found {other:?}"),
    }
}

#[track_caller]
fn reason(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::NotCommitted(reason) => reason,
        other => panic!("expected that nothing is committed, found {other:?}"),
    }
}

fn keys_of(request: &Request) -> Vec<String> {
    let keys: Vec<&Vec<u8>> = match request {
        Request::Prewrite(request) => request.mutations.iter().map(|mutation| &mutation.key).collect(),
        Request::Commit(request) => request.keys.iter().collect(),
        Request::BatchRollback(request) => request.keys.iter().collect(),
        Request::CheckTxnStatus(request) => vec![&request.primary_key],
        other => panic!("a request without keys: {other:?}"),
    };
    keys.into_iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
}
