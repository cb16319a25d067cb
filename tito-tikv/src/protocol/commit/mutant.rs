//! Faults that tests plant, to show that the tests would find them.
use tito_tikv_proto::kvrpcpb::{BatchRollbackRequest, CleanupRequest, KeyError};

use super::{Batch, Commit, Step};
use crate::protocol::{Request, Response};

/// A fault in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Keys whose region can't be looked up count as done.
    DropsShards,
    /// Other keys are committed alongside the primary, not after it.
    CommitsOthersEarly,
    /// An unanswered commit of the primary is taken for a failed one.
    TakesSilenceForFailure,
    /// All keys are rolled back at once after an unanswered commit of the primary.
    RollsBackSideBySide,
    /// After an unanswered commit of the primary, it is rolled back first and then the other keys, whatever it says.
    RollsBackPrimaryFirst,
    /// A lock found by a repeated prewrite is taken for one that the first attempt left.
    TakesLockOfRetryForOwn,
    /// Its own lock, found on the primary after an unanswered commit, is taken for proof that the commit didn't happen.
    TakesLockForProof,
    /// A batch rollback of the primary is taken for lasting proof.
    TakesBatchRollbackForProof,
    /// The rollback of a lock by `KvCleanup` is taken for lasting proof.
    TakesCleanupForProof,
}

impl<R: Clone> Commit<R> {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(super) fn drops_shards(&self, keys: &[usize]) -> bool {
        self.is(Mutant::DropsShards) && !keys.contains(&self.plan.primary)
    }

    pub(super) fn commit_others_too_early(&mut self) {
        if self.is(Mutant::CommitsOthersEarly) {
            let others = (0..self.keys.len()).filter(|key| !self.beside_primary.contains(key)).collect();
            self.ask(Step::Secondaries, others, 0);
        }
    }

    pub(super) fn takes_for_own(&self, attempt: u32, errors: &[KeyError]) -> bool {
        self.is(Mutant::TakesLockOfRetryForOwn) && attempt > 0 && errors.iter().all(|error| error.locked.is_some())
    }

    pub(super) fn takes_silence_for_failure(&mut self) -> bool {
        let is = self.is(Mutant::TakesSilenceForFailure);
        self.may_be_committed &= !is;
        is
    }

    pub(super) fn forget_what_may_be_committed(&mut self) {
        self.may_be_committed &= !self.is(Mutant::RollsBackSideBySide);
    }

    pub(super) fn wrong_request(&self, batch: &Batch<R, Step>) -> Option<Request> {
        let (key, start_version) = (self.plan.primary_key().to_vec(), self.plan.start);
        match (batch.step, self.mutant) {
            (Step::Settle, Some(Mutant::TakesLockForProof)) => {
                let current_ts = start_version + 1;
                Some(CleanupRequest { key, start_version, current_ts, ..CleanupRequest::default() }.into())
            }
            (Step::Settle, Some(Mutant::TakesCleanupForProof)) => {
                Some(CleanupRequest { key, start_version, ..CleanupRequest::default() }.into())
            }
            (Step::Settle, Some(Mutant::TakesBatchRollbackForProof | Mutant::RollsBackPrimaryFirst)) => {
                Some(BatchRollbackRequest { keys: vec![key], start_version, ..BatchRollbackRequest::default() }.into())
            }
            _ => None,
        }
    }

    pub(super) fn takes_for_proof(&self, response: &Response) -> bool {
        match response {
            Response::Cleanup(response) => match &response.error {
                Some(error) => error.locked.is_some() && self.is(Mutant::TakesLockForProof),
                None => response.commit_version == 0,
            },
            Response::BatchRollback(response) => response.error.is_none() || self.is(Mutant::RollsBackPrimaryFirst),
            _ => false,
        }
    }
}
