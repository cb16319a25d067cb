//! The commit of one transaction in two phases, to one of its three outcomes.
//!
//! It rests on these facts:
//!
//! 1. Only one thing commits a transaction in two phases: a commit of its primary key that is carried out. Nobody else
//!    sends one. As long as this machine has sent none, nothing is committed and nothing will be, whatever became of
//!    its prewrites; they can only leave locks.
//! 2. Once a commit was sent and not answered, it may be carried out at any time if it finds the primary's lock, and a
//!    prewrite that is still under way can bring that lock back. So "not committed" needs a rollback of the primary
//!    that keeps both out for good: a `KvCheckTxnStatus` that finds no lock and still rolls back, which leaves a
//!    protected record, or reports the commit timestamp. Neither a batch rollback nor the rollback of a lock proves
//!    this: they may leave no record, or one that others drop.
//! 3. As long as the transaction may be committed, no other key is rolled back: that would tear it.
//!
//! `docs/outcomes.md` goes through every failure at every step.
mod answers;
mod deadline;
mod heart_beat;
#[cfg(test)]
pub(crate) mod mutant;
mod plan;
mod requests;
mod rollback;
mod state;
#[cfg(test)]
mod tests;

use tito_tikv_proto::kvrpcpb::LockInfo;

use self::state::{Call, KeyState, Phase, Step};
use super::calls::Calls;
use super::keys::{AT_ONCE, Batch, Queue};
use super::{Backoff, CommitOutput, Event, Limit, Machine, Output, Pause, Reply};
use crate::{Error, Outcome, Reason, Timestamp};

pub(crate) use plan::Plan;

/// The machine that commits. `R` is a region.
#[derive(Clone, Debug)]
pub(crate) struct Commit<R> {
    plan: Plan,
    keys: Vec<KeyState>,
    phase: Phase,
    calls: Calls<Call<R>>,
    queue: Queue<R, Step>,
    /// The keys that were prewritten in the same request as the primary, including the primary.
    beside_primary: Vec<usize>,
    commit_ts: u64,
    /// Whether a commit of the primary may have been carried out, or may still be.
    may_be_committed: bool,
    /// The last failure, used as the source of an unknown outcome.
    last_error: Option<Error>,
    /// The lock that was in the way, if that came after the last failure.
    last_lock: Option<LockInfo>,
    heart_beats: u64,
    /// How much of the call's time will be left when the transaction becomes too old; 0 if it won't in that time, or
    /// already is.
    after_age_millis: u64,
    is_decided: bool,
    /// The fault that a test has planted.
    #[cfg(test)]
    pub(crate) mutant: Option<mutant::Mutant>,
    out: Vec<CommitOutput<R>>,
}

impl<R: Clone> Commit<R> {
    pub(crate) fn new(plan: Plan) -> Self {
        let keys = vec![KeyState::default(); plan.mutations.len()];
        Commit {
            keys,
            phase: Phase::Prewriting,
            calls: Calls::new(),
            queue: Queue::new(),
            beside_primary: Vec::new(),
            commit_ts: 0,
            may_be_committed: false,
            last_error: None,
            last_lock: None,
            heart_beats: 0,
            after_age_millis: plan.after_age_millis(),
            plan,
            is_decided: false,
            #[cfg(test)]
            mutant: None,
            out: Vec::new(),
        }
    }

    /// Locates keys for a step, then sends the step's requests for them.
    fn ask(&mut self, step: Step, keys: Vec<usize>, attempt: u32) {
        if keys.is_empty() {
            return;
        }
        let located = keys.iter().map(|key| self.plan.key(*key).to_vec()).collect();
        let call = self.calls.open(Call::Locate { step, keys, attempt });
        self.out.push(Output::Locate { call, keys: located });
    }

    fn ask_after(&mut self, pause: Pause, step: Step, keys: Vec<usize>, attempt: u32) {
        let pause = pause.at(attempt);
        if pause == Pause::None {
            return self.ask(step, keys, attempt);
        }
        let call = self.calls.open(Call::Pause { step, keys, attempt });
        self.out.push(Output::Pause { call, pause });
    }

    fn ask_timestamp(&mut self, attempt: u32) {
        self.phase = Phase::AskingTimestamp;
        let call = self.calls.open(Call::Timestamp { attempt });
        self.out.push(Output::Timestamp { call });
    }

    /// Sends batches as long as there is room.
    fn pump(&mut self) {
        while self.calls.count(|call| matches!(call, Call::Send(_))) < AT_ONCE {
            let Some(batch) = self.queue.next() else { break };
            if batch.step == Step::Prewrite && batch.keys.contains(&self.plan.primary) {
                self.beside_primary.clone_from(&batch.keys);
            }
            let (region, request) = (batch.region.clone(), self.request(&batch));
            let call = self.calls.open(Call::Send(batch));
            self.out.push(Output::Send { call, region, request });
        }
    }

    fn located(&mut self, step: Step, keys: Vec<usize>, attempt: u32, runs: Result<Vec<(R, usize)>, Error>) {
        match runs {
            Ok(runs) if step == Step::Primary => {
                let (region, keys) = self.with_primary(&keys, runs);
                self.queue.push(Batch { step, region, keys, attempt });
            }
            Ok(runs) => {
                let plan = &self.plan;
                self.queue.add(step, &keys, runs, attempt, |key| plan.bytes(key, step == Step::Prewrite));
            }
            #[cfg(test)]
            Err(_) if self.drops_shards(&keys) => {
                for key in keys {
                    self.keys[key].prewritten = true;
                }
            }
            // A failed look-up is no answer: nothing proceeds without these keys.
            Err(error) => {
                let pause = Pause::Backoff { kind: Backoff::Pd, attempt };
                self.failed_once(error);
                self.ask_after(pause, step, keys, attempt + 1);
            }
        }
    }

    /// The primary's region and the given keys that it holds. The other keys, whose region was split off, are committed
    /// later.
    fn with_primary(&self, keys: &[usize], runs: Vec<(R, usize)>) -> (R, Vec<usize>) {
        let mut rest = keys;
        for (region, count) in runs {
            let (run, after) = rest.split_at(count);
            rest = after;
            if run.contains(&self.plan.primary) {
                return (region, run.to_vec());
            }
        }
        unreachable!("the primary was among the keys, and whoever locates keys locates them all")
    }

    fn failed_once(&mut self, error: Error) {
        self.last_error = Some(error);
        self.last_lock = None;
    }

    /// Whether any part of a step is under way or waiting.
    fn is_open(&self, wanted: Step) -> bool {
        self.calls.any(|call| match call {
            Call::Locate { step, .. } | Call::Pause { step, .. } => *step == wanted,
            Call::Send(batch) => batch.step == wanted,
            _ => false,
        })
    }

    /// Sends what can be sent, and enters the next phase once this one is done.
    fn go_on(&mut self) {
        self.pump();
        match &self.phase {
            Phase::Prewriting if self.keys.iter().all(|key| key.prewritten) => self.ask_timestamp(0),
            Phase::CommittingSecondaries if !self.is_open(Step::Secondaries) => self.finish(),
            Phase::Draining(reason) if !self.is_open(Step::Prewrite) => {
                let reason = reason.clone();
                self.start_rollback(reason, true);
                self.go_on();
            }
            Phase::RollingBack(reason) if !self.is_open(Step::Rollback) && !self.is_open(Step::Settle) => {
                let reason = reason.clone();
                self.decide(Outcome::NotCommitted(reason));
                self.finish();
            }
            _ => {}
        }
    }

    fn decide(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.is_decided, true) {
            self.out.push(Output::Decided(outcome));
        }
    }

    fn finish(&mut self) {
        self.phase = Phase::Finished;
        self.forget_calls();
        self.out.push(Output::Finished);
    }

    /// Stops waiting for anything.
    fn forget_calls(&mut self) {
        self.calls.retain(|_| false);
        self.queue.clear();
    }

    /// The primary is committed, and with it the transaction and these keys.
    fn committed(&mut self, commit_ts: u64, with: &[usize]) {
        self.commit_ts = commit_ts;
        self.forget_calls();
        self.decide(Outcome::Committed(Timestamp::from_raw(commit_ts)));
        self.out.push(Output::Limit(Limit::Call));
        self.phase = Phase::CommittingSecondaries;
        let others = (0..self.keys.len()).filter(|key| self.plan.leaves_lock(*key) && !with.contains(key)).collect();
        self.ask(Step::Secondaries, others, 0);
    }

    fn timestamp(&mut self, timestamp: Result<u64, Error>, attempt: u32) {
        match timestamp {
            Ok(commit_ts) => {
                let start = Timestamp::from_raw(self.plan.start);
                let age_millis = Timestamp::from_raw(commit_ts).millis_since(start);
                if let Some(limit_millis) = self.plan.age_limit_millis.filter(|limit| age_millis > *limit) {
                    return self.fail(Reason::TooOld { age_millis, limit_millis });
                }
                self.commit_ts = commit_ts;
                self.phase = Phase::CommittingPrimary;
                let keys: Vec<usize> =
                    self.beside_primary.iter().copied().filter(|key| self.plan.leaves_lock(*key)).collect();
                #[cfg(test)]
                self.commit_others_too_early();
                self.ask(Step::Primary, keys, 0);
            }
            Err(error) if error.can_retry_help() => {
                self.failed_once(error);
                let call = self.calls.open(Call::TimestampPause { attempt: attempt + 1 });
                self.out.push(Output::Pause { call, pause: Pause::Backoff { kind: Backoff::Pd, attempt } });
            }
            Err(error) => self.fail(Reason::Failed(error)),
        }
    }

    fn answered(&mut self, batch: Batch<R, Step>, reply: Reply) {
        match batch.step {
            Step::Prewrite => self.prewrite_answered(batch, reply),
            Step::Primary => self.primary_answered(batch, reply),
            Step::Secondaries => self.secondaries_answered(batch, reply),
            Step::Settle => self.settle_answered(batch, reply),
            Step::Rollback => self.rollback_answered(batch, reply),
        }
    }
}

impl<R: Clone> Machine<R> for Commit<R> {
    type Decision = Outcome;

    fn start(&mut self) -> Vec<CommitOutput<R>> {
        self.out.push(Output::Limit(match self.after_age_millis {
            0 => Limit::Call,
            after => Limit::Millis(self.plan.deadline_millis - after),
        }));
        self.ask(Step::Prewrite, (0..self.keys.len()).collect(), 0);
        self.await_heart_beat();
        std::mem::take(&mut self.out)
    }

    fn handle(&mut self, event: Event<R>) -> Vec<CommitOutput<R>> {
        match event {
            Event::Deadline => self.deadline(),
            Event::Located { call, runs } => match self.calls.take(call) {
                Some(Call::Locate { step, keys, attempt }) => self.located(step, keys, attempt, runs),
                Some(Call::HeartBeatLocate) => self.beat(runs),
                _ => {}
            },
            Event::Answered { call, reply } => match self.calls.take(call) {
                Some(Call::Send(batch)) => self.answered(batch, reply),
                Some(Call::HeartBeat) => self.await_heart_beat(),
                _ => {}
            },
            Event::Timestamp { call, timestamp } => {
                if let Some(Call::Timestamp { attempt }) = self.calls.take(call) {
                    self.timestamp(timestamp, attempt);
                }
            }
            Event::Paused { call } => match self.calls.take(call) {
                Some(Call::Pause { step, keys, attempt }) => self.ask(step, keys, attempt),
                Some(Call::TimestampPause { attempt }) => self.ask_timestamp(attempt),
                Some(Call::HeartBeatPause) => self.heart_beat_is_due(),
                _ => {}
            },
            Event::Resolved { call, alive } => {
                if let Some(Call::Resolve { keys, attempt, locks }) = self.calls.take(call) {
                    self.resolved(keys, attempt, &locks, alive);
                }
            }
        }
        self.go_on();
        std::mem::take(&mut self.out)
    }
}
