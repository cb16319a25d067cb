//! Failures, and the outcome of each.
use super::*;
use crate::protocol::Reply;
use crate::protocol::script::{lost, not_done, refused};

#[test]
fn a_conflict_alone_leaves_nothing_to_roll_back() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(conflict("a"));
    assert!(matches!(reason(script.decided()), Reason::Conflict { key, .. } if key.as_bytes() == b"a"));
    assert!(script.is_idle() && script.is_finished());
}

#[test]
fn after_a_conflict_what_others_wrote_is_waited_for_and_rolled_back() {
    let mut script = script(&["a", "b", "c"]);
    script.locate(&[('A', 1), ('B', 1), ('C', 1)]);
    let (a, b, c) = (script.sent().0, script.sent().0, script.sent().0);
    script.reply(b, Reply::Response(conflict("b")));
    assert!(script.is_idle(), "a prewrite under way must not come after its rollback");
    script.reply(a, Reply::Response(prewrite())).reply(c, lost());
    script.locate(&[('A', 1)]);
    let (call, _, request) = script.sent();
    assert!(matches!(request, Request::CheckTxnStatus(_)), "the primary is rolled back for good: {request:?}");
    assert_eq!(keys_of(&request), ["a"]);
    script.reply(call, Reply::Response(settled(0))).locate(&[('C', 1)]);
    let (call, _, request) = script.sent();
    assert_eq!(keys_of(&request), ["c"], "what was not answered may have been written; `b` was not");
    assert!(!script.is_decided());
    script.reply(call, Reply::Response(rolled_back()));
    assert!(matches!(reason(script.decided()), Reason::Conflict { .. }));
    assert!(script.is_finished());
}

#[test]
fn a_conflict_counts_more_than_an_existing_key() {
    let mut script = script(&["a", "b"]);
    script.locate(&[('A', 1), ('B', 1)]);
    let exists = KeyError { already_exist: Some(Default::default()), ..KeyError::default() };
    script.answer(prewrite_error(exists)).answer(conflict("b"));
    assert!(matches!(reason(script.decided()), Reason::Conflict { .. }));
}

#[test]
fn nobody_waits_long_for_a_rollback_that_is_not_answered() {
    let mut script = script(&["a", "b"]);
    script.locate(&[('A', 1), ('B', 1)]).answer(prewrite()).answer(conflict("b"));
    script.locate(&[('A', 1)]).lose();
    assert!(!script.is_decided());
    script.deadline();
    assert!(matches!(reason(script.decided()), Reason::Conflict { .. }));
    assert!(!script.is_finished(), "it goes on");
    script.wait().locate(&[('A', 1)]).answer(settled(0));
    assert!(script.is_finished());
}

#[test]
fn a_commit_that_was_never_sent_is_not_committed_whatever_else_failed() {
    let mut script = script(&["a", "b"]);
    script.locate(&[('A', 1), ('B', 1)]).lose().lose().deadline();
    script.deadline();
    assert!(matches!(reason(script.decided()), Reason::Failed(_)));
}

#[test]
fn a_commit_that_was_surely_not_done_is_rolled_back_without_asking() {
    let mut script = prewritten();
    let (call, ..) = script.sent();
    script.reply(call, refused());
    script.locate(&[('A', 1)]).locate(&[('B', 1), ('C', 1)]);
    script.answer(settled(0)).answer(rolled_back()).answer(rolled_back());
    assert!(matches!(reason(script.decided()), Reason::Failed(_)));
}

#[test]
fn after_a_commit_without_an_answer_only_the_primary_is_asked() {
    let mut script = prewritten();
    script.lose().deadline().locate(&[('A', 1)]);
    let (call, _, request) = script.sent();
    assert!(matches!(request, Request::CheckTxnStatus(_)), "{request:?}");
    assert!(script.is_idle(), "the other keys are left alone as long as it may be committed");
    script.reply(call, Reply::Response(settled(0)));
    assert!(!script.is_decided());
    script.locate(&[('B', 1), ('C', 1)]).answer(rolled_back()).answer(rolled_back());
    assert!(matches!(reason(script.decided()), Reason::Failed(_)));
}

#[test]
fn the_rollback_of_a_lock_is_no_proof_before_there_is_none_any_more() {
    let mut script = prewritten();
    script.lose().deadline().locate(&[('A', 1)]);
    for _ in 0..2 {
        let action = Action::TtlExpireRollback.into();
        script.answer(CheckTxnStatusResponse { action, ..CheckTxnStatusResponse::default() });
        assert!(!script.is_decided());
        script.locate(&[('A', 1)]);
    }
    script.answer(settled(0)).locate(&[('B', 1), ('C', 1)]).answer(rolled_back()).answer(rolled_back());
    reason(script.decided());
}

#[test]
fn a_primary_that_is_found_committed_is_committed() {
    let mut script = prewritten();
    script.lose().deadline().locate(&[('A', 1)]).answer(settled(LATER));
    assert_committed(script.decided(), LATER);
    script.locate(&[('A', 1), ('B', 1), ('C', 1)]);
    assert!(matches!(script.sent().2, Request::Commit(_)));
}

#[test]
fn a_primary_that_cannot_be_asked_leaves_it_unknown_and_everything_alone() {
    let mut script = prewritten();
    script.lose().deadline().locate(&[('A', 1)]).lose().wait().locate(&[('A', 1)]);
    let (_, _, request) = script.sent();
    assert!(matches!(request, Request::CheckTxnStatus(_)));
    script.deadline();
    assert!(matches!(script.decided(), Outcome::Unknown(_)));
    assert!(script.is_finished() && script.is_idle());
}

#[test]
fn a_commit_under_way_at_the_deadline_is_taken_for_one_without_an_answer() {
    let mut script = prewritten();
    let _under_way = script.sent();
    script.deadline().locate(&[('A', 1)]);
    assert!(matches!(script.sent().2, Request::CheckTxnStatus(_)));
    script.deadline();
    assert!(matches!(script.decided(), Outcome::Unknown(_)));
}

#[test]
fn a_missing_lock_is_no_proof_before_the_primary_is_rolled_back_for_good() {
    let mut script = prewritten();
    script.lose().wait().locate(&[('A', 1)]).answer(lock_not_found());
    assert!(!script.is_decided());
    script.locate(&[('A', 1)]).answer(settled(0)).locate(&[('B', 1), ('C', 1)]);
    script.answer(rolled_back()).answer(rolled_back());
    assert!(matches!(reason(script.decided()), Reason::RolledBack));
}

#[test]
fn a_transaction_that_is_too_old_at_its_commit_timestamp_is_rolled_back_before_a_commit_is_sent() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(prewrite()).timestamp(START + (30_001 << 18));
    script.locate(&[('A', 1)]);
    let (call, _, request) = script.sent();
    assert!(matches!(request, Request::CheckTxnStatus(_)), "{request:?}");
    script.reply(call, Reply::Response(settled(0)));
    assert!(matches!(reason(script.decided()), Reason::TooOld { age_millis: 30_001, limit_millis: 30_000 }));
}

#[test]
fn the_age_is_looked_at_again_after_a_push() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(prewrite()).timestamp(LATER).locate(&[('A', 1)]).answer(expired());
    script.timestamp(START + (30_001 << 18)).locate(&[('A', 1)]).answer(settled(0));
    assert!(matches!(reason(script.decided()), Reason::TooOld { .. }));
}

#[test]
fn a_push_proves_that_an_earlier_attempt_at_the_lower_timestamp_is_void() {
    let mut script = prewritten();
    script.lose().wait().locate(&[('A', 1)]).answer(expired());
    script.timestamp(START + (30_001 << 18));
    script.locate(&[('A', 1)]).locate(&[('B', 1), ('C', 1)]);
    script.answer(settled(0)).answer(rolled_back()).answer(rolled_back());
    assert!(matches!(reason(script.decided()), Reason::TooOld { .. }));
}

#[test]
fn a_rollback_of_others_is_told_as_that() {
    let mut script = script(&["a"]);
    let conflict = WriteConflict {
        reason: tito_tikv_proto::kvrpcpb::write_conflict::Reason::SelfRolledBack.into(),
        ..WriteConflict::default()
    };
    let error = KeyError { conflict: Some(conflict), ..KeyError::default() };
    script.locate(&[('A', 1)]).answer(prewrite_error(error));
    assert!(matches!(reason(script.decided()), Reason::RolledBack));
}

#[test]
fn a_lock_that_stays_until_the_deadline_is_the_reason() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(locked("a")).deadline();
    assert!(matches!(reason(script.decided()), Reason::Locked { holder, .. } if holder.raw() == 7));
}

#[test]
fn a_region_that_moves_under_the_commit_is_asked_where_it_is() {
    let mut script = prewritten();
    let (call, ..) = script.sent();
    script.reply(call, not_done()).locate(&[('D', 1)]);
    assert_eq!(script.sent().1, 'D');
}
