//! The way back after a failure.
use tito_tikv_proto::kvrpcpb::Action;

use super::{Batch, Call, Commit, Phase, Step};
use crate::protocol::{Limit, Output, Reply, Response, mismatched, unexpected};
use crate::{Error, Outcome, Reason};

impl<R: Clone> Commit<R> {
    /// Nothing can be committed: no commit of the primary was sent, or none of those sent can be carried out.
    pub(super) fn fail(&mut self, reason: Reason) {
        match &mut self.phase {
            // Of several reasons, a conflict takes precedence: a new transaction sees what is there now, and whether a
            // key exists.
            Phase::Draining(first @ (Reason::Exists { .. } | Reason::RolledBack | Reason::Failed(_)))
                if matches!(reason, Reason::Conflict { .. }) =>
            {
                *first = reason;
            }
            Phase::Prewriting | Phase::AskingTimestamp | Phase::CommittingPrimary => {
                assert!(!self.may_be_committed, "what may be committed is settled, and not rolled back");
                self.calls.retain(|call| matches!(call, Call::Send(batch) if batch.step == Step::Prewrite));
                self.queue.clear();
                self.out.push(Output::Limit(Limit::Rollback));
                self.phase = Phase::Draining(reason);
            }
            _ => {}
        }
    }

    /// Stops sending commits of the primary.
    pub(super) fn stop_committing(&mut self, reason: Reason) {
        #[cfg(test)]
        self.forget_what_may_be_committed();
        if !self.may_be_committed {
            return self.fail(reason);
        }
        // A late answer still counts.
        self.calls.retain(|call| matches!(call, Call::Send(batch) if batch.step == Step::Primary));
        self.queue.clear();
        self.out.push(Output::Limit(Limit::Call));
        self.phase = Phase::Settling(reason);
        self.ask(Step::Settle, vec![self.plan.primary], 0);
    }

    /// Removes all that was or may have been written. Call it only once nothing can be committed.
    pub(super) fn start_rollback(&mut self, reason: Reason, with_primary: bool) {
        let is_touched = |key: &usize| {
            let state = self.keys[*key];
            self.plan.leaves_lock(*key) && (state.prewritten || state.may_be_prewritten)
        };
        let primary = self.plan.primary;
        let others = (0..self.keys.len()).filter(|key| *key != primary && is_touched(key)).collect();
        let with_primary = with_primary && is_touched(&primary);
        self.phase = Phase::RollingBack(reason);
        if with_primary {
            // The same request as the one that decides: its record keeps out a late prewrite.
            self.ask(Step::Settle, vec![primary], 0);
        }
        self.ask(Step::Rollback, others, 0);
    }

    /// What the primary says about itself.
    pub(super) fn settle_answered(&mut self, batch: Batch<R, Step>, reply: Reply) {
        let unknown = match reply {
            #[cfg(test)]
            Reply::Response(response) if self.takes_for_proof(&response) => {
                return self.is_rolled_back(Action::NoAction);
            }
            Reply::Response(Response::CheckTxnStatus(response)) => match response.error {
                None if response.commit_version != 0 => return self.committed(response.commit_version, &[]),
                None if response.lock_ttl == 0 => return self.is_rolled_back(response.action()),
                None => mismatched("KvCheckTxnStatus"),
                Some(error) => unexpected("KvCheckTxnStatus", &error),
            },
            Reply::Response(_) => mismatched("KvCheckTxnStatus"),
            Reply::NotDone { error, pause } | Reply::Unanswered { error, pause } => {
                self.failed_once(error);
                return self.ask_after(pause, Step::Settle, batch.keys, batch.attempt + 1);
            }
            Reply::Refused { error } => error,
        };
        match self.phase {
            Phase::Settling(_) => {
                self.decide(Outcome::Unknown(unknown));
                self.finish();
            }
            _ => self.left_behind(&unknown),
        }
    }

    /// The primary is rolled back: for good, if it no longer had a lock.
    ///
    /// Where a lock was removed, the record of the rollback may not last: TiKV before 8.0 leaves it out if another
    /// transaction was committed at exactly this one's start. So the primary is asked again until it had no lock.
    fn is_rolled_back(&mut self, action: Action) {
        if let Phase::Settling(reason) = &self.phase {
            if action == Action::TtlExpireRollback {
                return self.ask(Step::Settle, vec![self.plan.primary], 0);
            }
            let reason = reason.clone();
            self.forget_calls();
            self.out.push(Output::Limit(Limit::Rollback));
            self.start_rollback(reason, false);
        }
    }

    pub(super) fn rollback_answered(&mut self, batch: Batch<R, Step>, reply: Reply) {
        match reply {
            Reply::Response(Response::BatchRollback(response)) => {
                if let Some(error) = response.error {
                    self.left_behind(&unexpected("KvBatchRollback", &error));
                }
            }
            Reply::Response(_) => self.left_behind(&mismatched("KvBatchRollback")),
            Reply::NotDone { pause, .. } | Reply::Unanswered { pause, .. } => {
                self.ask_after(pause, Step::Rollback, batch.keys, batch.attempt + 1);
            }
            Reply::Refused { error } => self.left_behind(&error),
        }
    }

    fn left_behind(&self, error: &Error) {
        tracing::warn!(start = self.plan.start, %error, "locks of a failed transaction are left to whoever meets them");
    }
}
