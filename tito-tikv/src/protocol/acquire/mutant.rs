//! Faults that tests plant, to show that the tests would find them.
use super::Acquire;

/// A fault in taking locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcquireMutant {
    /// Keys whose region can't be looked up count as locked.
    DropsShards,
    /// An unanswered request is taken for a successful one.
    TakesSilenceForHeld,
    /// A lock found by a repeated request is taken for one that the first attempt left.
    TakesLockOfRetryForOwn,
}

impl<R: Clone> Acquire<R> {
    pub(super) fn is(&self, mutant: AcquireMutant) -> bool {
        self.mutant == Some(mutant)
    }
}
