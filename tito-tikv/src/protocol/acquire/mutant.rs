//! Faults that tests plant, to show that they would be found.
use super::Acquire;

/// A fault of taking locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcquireMutant {
    /// Keys whose region can't be looked up count as locked.
    DropsShards,
    /// A request without an answer is taken for one that was done.
    TakesSilenceForHeld,
    /// A lock that is met when a request is sent again is taken for the one of the first attempt.
    TakesLockOfRetryForOwn,
}

impl<R: Clone> Acquire<R> {
    pub(super) fn is(&self, mutant: AcquireMutant) -> bool {
        self.mutant == Some(mutant)
    }
}
