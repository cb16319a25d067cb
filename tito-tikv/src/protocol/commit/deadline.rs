//! What becomes of a commit when its time is up.
use std::sync::Arc;

use super::answers::locked_by;
use super::{Call, Commit, Phase};
use crate::protocol::{Limit, Output};
use crate::{Error, Outcome, Reason};

impl<R: Clone> Commit<R> {
    pub(super) fn deadline(&mut self) {
        let after_age_millis = std::mem::take(&mut self.after_age_millis);
        match (self.phase.clone(), self.plan.age_limit_millis) {
            // The transaction is too old for any timestamp that it could get.
            (Phase::Prewriting | Phase::AskingTimestamp, Some(limit_millis)) if after_age_millis > 0 => {
                return self.fail(Reason::TooOld { age_millis: limit_millis + 1, limit_millis });
            }
            (Phase::CommittingPrimary, _) if after_age_millis > 0 => {
                return self.out.push(Output::Limit(Limit::Millis(after_age_millis)));
            }
            _ => {}
        }
        match self.phase.clone() {
            Phase::Prewriting | Phase::AskingTimestamp => {
                let reason = self.overdue();
                self.fail(reason);
            }
            Phase::CommittingPrimary => {
                let reason = self.overdue();
                // A commit that is under way counts as an unanswered one.
                self.may_be_committed |= self.calls.any(|call| matches!(call, Call::Send(_)));
                self.stop_committing(reason);
            }
            Phase::Settling(_) => {
                let source = self.late();
                self.decide(Outcome::Unknown(source));
                self.finish();
            }
            Phase::Draining(reason) | Phase::RollingBack(reason) if !self.is_decided => {
                // The rest is done with nobody waiting for it.
                self.decide(Outcome::NotCommitted(reason));
                self.out.push(Output::Limit(Limit::Call));
            }
            Phase::Draining(_) | Phase::RollingBack(_) | Phase::CommittingSecondaries => self.finish(),
            Phase::Finished => {}
        }
    }

    /// Why nothing is committed at the deadline.
    fn overdue(&self) -> Reason {
        match &self.last_lock {
            Some(lock) => locked_by(lock),
            None => Reason::Failed(self.late()),
        }
    }

    fn late(&self) -> Error {
        let last = self.last_error.clone().map(Arc::new);
        Error::Deadline { call: "commit", millis: self.plan.deadline_millis, last }
    }
}
