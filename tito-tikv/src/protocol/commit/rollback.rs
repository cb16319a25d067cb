//! The way back after a failure.
use tito_tikv_proto::kvrpcpb::Action;

use super::{Batch, Call, Commit, Phase, Step};
use crate::protocol::{Limit, Output, Reply, Response, mismatched, unexpected};
use crate::{Error, Outcome, Reason};

impl<R: Clone> Commit<R> {
    /// Nothing can be committed: no commit of the primary was sent, or none that was can be carried out.
    pub(super) fn fail(&mut self, reason: Reason) {
        match &mut self.phase {
            // Of several reasons a conflict counts: a new transaction sees what is there now, and whether a key exists.
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

    /// Sends no more commits of the primary.
    pub(super) fn stop_committing(&mut self, reason: Reason) {
        #[cfg(test)]
        self.forget_what_may_be_committed();
        if !self.may_be_committed {
            return self.fail(reason);
        }
        // An answer that comes late yet counts.
        self.calls.retain(|call| matches!(call, Call::Send(batch) if batch.step == Step::Primary));
        self.queue.clear();
        self.out.push(Output::Limit(Limit::Call));
        self.phase = Phase::Settling(reason);
        self.ask(Step::Settle, vec![self.plan.primary], 0);
    }

    /// Takes away all that was or may have been written. Only once nothing can be committed.
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
            // By the same request as where it decides: its record keeps out a prewrite that comes late.
            self.ask(Step::Settle, vec![primary], 0);
        }
        self.ask(Step::Rollback, others, 0);
    }

    /// What the primary says of itself.
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

    /// The primary is rolled back: for good, if it had no lock any more.
    ///
    /// Where a lock was taken away the record of the rollback may be one that does not last: before TiKV 8.0 it is left
    /// out where another transaction was committed just at this one's start. So it is asked again until there was no
    /// lock.
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
