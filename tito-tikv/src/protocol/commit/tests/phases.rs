//! The two phases while all goes well.
use tito_tikv_proto::kvrpcpb::{CommitRole, Mutation, Op};

use super::*;
use crate::protocol::script::{lost, not_done};
use crate::protocol::{Alive, Limit, Reply};

#[test]
fn keys_of_one_region_go_in_one_request_of_each_phase() {
    let mut script = script(&["a", "b", "c"]);
    script.locate(&[('A', 3)]);
    let (call, region, request) = script.sent();
    assert_eq!((region, keys_of(&request)), ('A', vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    let Request::Prewrite(prewritten) = &request else { panic!("{request:?}") };
    assert_eq!(prewritten.primary_lock, b"a");
    assert_eq!((prewritten.start_version, prewritten.min_commit_ts), (START, START + 1));
    assert!(!prewritten.context.as_ref().unwrap().is_retry_request);
    script.reply(call, Reply::Response(prewrite())).timestamp(LATER).locate(&[('A', 3)]);
    let (call, _, request) = script.sent();
    assert_eq!(keys_of(&request).len(), 3);
    let Request::Commit(committed) = &request else { panic!("{request:?}") };
    assert_eq!((committed.commit_version, committed.commit_role()), (LATER, CommitRole::Primary));
    script.reply(call, Reply::Response(commit()));
    assert_committed(script.decided(), LATER);
    assert!(script.is_finished() && script.is_idle());
}

#[test]
fn regions_are_prewritten_side_by_side_and_the_primary_is_committed_first() {
    let mut script = script(&["a", "b", "c"]);
    script.locate(&[('A', 1), ('B', 1), ('C', 1)]);
    let calls: Vec<_> = (0..3).map(|_| script.sent()).collect();
    assert_eq!(calls.iter().map(|(_, region, _)| *region).collect::<String>(), "ABC");
    for (call, ..) in calls.into_iter().rev() {
        assert!(script.is_idle(), "nothing is committed before all is prewritten");
        script.reply(call, Reply::Response(prewrite()));
    }
    script.timestamp(LATER).locate(&[('A', 1)]);
    let (call, _, request) = script.sent();
    assert_eq!(keys_of(&request), ["a"]);
    assert!(script.is_idle() && !script.is_decided(), "the other keys wait for the primary's answer");
    script.reply(call, Reply::Response(commit()));
    assert_committed(script.decided(), LATER);
    assert!(!script.is_finished(), "the others are committed while nobody waits");
    script.locate(&[('B', 1), ('C', 1)]);
    let (_, _, request) = script.sent();
    let Request::Commit(committed) = &request else { panic!("{request:?}") };
    assert_eq!((committed.commit_version, committed.commit_role()), (LATER, CommitRole::Secondary));
    script.deadline();
    assert!(script.is_finished());
}

#[test]
fn a_region_that_cannot_be_looked_up_is_asked_for_again_and_never_dropped() {
    let mut script = script(&["a", "b"]);
    script.fail_to_locate().wait().fail_to_locate().wait().locate(&[('A', 1), ('B', 1)]);
    script.answer(prewrite());
    let (call, ..) = script.sent();
    // The region of `b` has moved, and can't be looked up.
    script.reply(call, not_done()).wait().fail_to_locate();
    assert!(script.is_idle() && !script.is_decided(), "without `b` nothing is committed");
    script.deadline();
    assert_eq!(script.limit(), Limit::Rollback);
    script.locate(&[('A', 1)]).answer(settled(0));
    assert!(matches!(reason(script.decided()), Reason::Failed(_)));
}

#[test]
fn a_prewrite_that_is_not_answered_is_sent_again_as_a_retry() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).lose().wait().locate(&[('A', 1)]);
    let (call, _, request) = script.sent();
    let Request::Prewrite(again) = &request else { panic!("{request:?}") };
    assert!(again.context.as_ref().unwrap().is_retry_request);
    script.reply(call, Reply::Response(prewrite())).timestamp(LATER).locate(&[('A', 1)]).answer(commit());
    assert_committed(script.decided(), LATER);
}

#[test]
fn a_split_between_the_phases_leaves_the_primary_to_decide_alone() {
    let mut script = script(&["a", "b", "c"]);
    script.locate(&[('A', 3)]).answer(prewrite()).timestamp(LATER);
    script.locate(&[('A', 1), ('B', 2)]);
    let (call, region, request) = script.sent();
    assert_eq!((region, keys_of(&request)), ('A', vec!["a".to_owned()]));
    script.reply(call, Reply::Response(commit()));
    assert_committed(script.decided(), LATER);
    script.locate(&[('B', 2)]);
    assert_eq!(keys_of(&script.sent().2), ["b", "c"]);
}

#[test]
fn locks_in_the_way_are_resolved_and_the_prewrite_sent_again() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(locked("a"));
    assert_eq!(script.resolve()[0].key, b"a");
    script.locate(&[('A', 1)]).answer(prewrite()).timestamp(LATER).locate(&[('A', 1)]).answer(commit());
    assert_committed(script.decided(), LATER);
}

#[test]
fn one_that_began_later_is_not_waited_for_while_it_lives() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(locked_since("a", START + 1));
    script.resolve_but(vec![Alive { start: START + 1, left_millis: 3_000 }]);
    assert!(matches!(reason(script.decided()), Reason::Locked { holder, .. } if holder.raw() == START + 1));
}

#[test]
fn one_that_began_later_and_is_dead_is_resolved() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(locked_since("a", START + 1)).resolve();
    script.locate(&[('A', 1)]).answer(prewrite()).timestamp(LATER).locate(&[('A', 1)]).answer(commit());
    assert_committed(script.decided(), LATER);
}

#[test]
fn one_that_began_earlier_is_waited_for() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(locked_since("a", START - 1));
    script.resolve_but(vec![Alive { start: START - 1, left_millis: 3_000 }]);
    script.wait().locate(&[('A', 1)]).answer(prewrite()).timestamp(LATER).locate(&[('A', 1)]).answer(commit());
    assert_committed(script.decided(), LATER);
}

#[test]
fn a_pushed_transaction_takes_a_later_timestamp() {
    let mut script = script(&["a"]);
    script.locate(&[('A', 1)]).answer(prewrite()).timestamp(LATER).locate(&[('A', 1)]).answer(expired());
    script.timestamp(LATER + 5).locate(&[('A', 1)]);
    let (call, _, request) = script.sent();
    let Request::Commit(again) = &request else { panic!("{request:?}") };
    assert_eq!(again.commit_version, LATER + 5);
    script.reply(call, Reply::Response(commit()));
    assert_committed(script.decided(), LATER + 5);
}

#[test]
fn a_commit_that_is_not_answered_is_sent_again_and_decides_by_its_answer() {
    let mut script = prewritten();
    script.lose().wait().locate(&[('A', 1)]);
    assert!(!script.is_decided());
    script.answer(commit());
    assert_committed(script.decided(), LATER);
}

#[test]
fn an_answer_that_comes_after_the_deadline_counts_yet() {
    let mut script = prewritten();
    let (call, ..) = script.sent();
    script.deadline().locate(&[('A', 1)]);
    let (_, _, request) = script.sent();
    assert!(matches!(request, Request::CheckTxnStatus(_)));
    script.reply(call, Reply::Response(commit()));
    assert_committed(script.decided(), LATER);
}

#[test]
fn heartbeats_keep_the_primary_alive_until_the_age_limit() {
    let mut script = script(&["a", "b"]);
    script.wait_for_heart_beat().locate(&[('A', 1), ('B', 1)]).answer(prewrite());
    let (late, ..) = script.sent();
    script.wait_for_heart_beat().locate(&[('A', 1)]);
    let (call, _, request) = script.sent();
    let Request::HeartBeat(beat) = &request else { panic!("{request:?}") };
    assert_eq!((beat.primary_lock.as_slice(), beat.advise_lock_ttl), (&b"a"[..], 5_000));
    // A lost heartbeat is followed by the next.
    script.reply(call, lost()).wait_for_heart_beat();
    script.reply(late, Reply::Response(prewrite())).timestamp(LATER).locate(&[('A', 1)]);
    assert!(!script.is_decided());
}

#[test]
fn the_primary_is_the_first_key_that_is_written_or_the_one_that_is_wanted() {
    let lock = |key: &str| Mutation { op: Op::Lock.into(), key: key.into(), ..Mutation::default() };
    let mutations = || vec![put("c"), lock("a"), put("b")];
    assert_eq!(Plan::new(mutations(), None, START).unwrap().primary_key(), b"b");
    assert_eq!(Plan::new(mutations(), Some(b"c"), START).unwrap().primary_key(), b"c");
    assert_eq!(Plan::new(vec![lock("a")], None, START).unwrap().primary_key(), b"a");
    for (mutations, primary) in
        [(vec![], None), (vec![put("a"), put("a")], None), (vec![put("")], None), (vec![put("a")], Some(&b"b"[..]))]
    {
        assert!(Plan::new(mutations, primary, START).is_err());
    }
}
