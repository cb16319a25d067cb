//! What the versions of a key must be like for it to be prewritten.

use crate::proto::kvrpcpb::{
    Assertion, AssertionLevel, Mutation, PrewriteRequest, prewrite_request::PessimisticAction, write_conflict::Reason,
};

use super::failure::{Conflict, Failure, Result};
use super::history::History;
use super::records::{Write, WriteKind};

/// The conditions of one mutation.
pub(super) struct Constraint<'a> {
    pub(super) request: &'a PrewriteRequest,
    pub(super) mutation: &'a Mutation,
    pub(super) action: PessimisticAction,
    pub(super) must_not_exist: bool,
}

impl Constraint<'_> {
    /// Checks a key whose lock has been checked.
    pub(super) fn check(&self, history: &History) -> Result<()> {
        let skips = match self.request.for_update_ts {
            0 => self.request.skip_constraint_check,
            // The pessimistic lock has checked it.
            _ => self.action != PessimisticAction::DoConstraintCheck,
        };
        if !skips {
            self.check_newest(history)?;
        }
        let strict = self.request.assertion_level == AssertionLevel::Strict as i32;
        if skips && !strict { Ok(()) } else { self.check_assertion(history) }
    }

    /// Checks a key that should have the transaction's pessimistic lock and has none at all.
    ///
    /// The lock may have got lost, for TiKV keeps such locks in memory; if nothing was committed since the transaction
    /// began, nothing is amiss.
    pub(super) fn check_unlocked(&self, history: &History) -> Result<()> {
        match history.newest_first().next() {
            Some((at, _)) if at >= self.request.start_version => Err(self.lock_not_found()),
            _ => self.check_assertion(history),
        }
    }

    pub(super) fn lock_not_found(&self) -> Failure {
        Failure::PessimisticLockNotFound { start_ts: self.request.start_version, key: self.mutation.key.clone() }
    }

    /// Nobody may have written to the key since the transaction began, nor rolled it back.
    ///
    /// As in TiKV any newer record counts, even another transaction's rollback, which conflicts for nothing.
    fn check_newest(&self, history: &History) -> Result<()> {
        let start_ts = self.request.start_version;
        let Some((at, write)) = history.newest_first().next() else { return Ok(()) };
        if at > start_ts {
            let reason = match self.request.for_update_ts {
                0 => Reason::Optimistic,
                _ => Reason::LazyUniquenessCheck,
            };
            return Err(self.conflict(at, write, reason));
        }
        if write.rolls_back(at, start_ts) {
            return Err(self.conflict(at, write, Reason::SelfRolledBack));
        }
        if self.must_not_exist && history.version_at(at).is_some() {
            return Err(Failure::AlreadyExists { key: self.mutation.key.clone() });
        }
        Ok(())
    }

    fn conflict(&self, at: u64, write: &Write, reason: Reason) -> Failure {
        Failure::WriteConflict(Box::new(Conflict {
            start_ts: self.request.start_version,
            conflict_start_ts: write.start_ts,
            conflict_commit_ts: at,
            key: self.mutation.key.clone(),
            primary: self.request.primary_lock.clone(),
            reason,
        }))
    }

    fn check_assertion(&self, history: &History) -> Result<()> {
        let assertion = Assertion::try_from(self.mutation.assertion).unwrap_or(Assertion::None);
        if assertion == Assertion::None || self.request.assertion_level == AssertionLevel::Off as i32 {
            return Ok(());
        }
        let existing = history.newest_first().find(|(_, write)| write.is_data());
        let exists = existing.is_some_and(|(_, write)| write.kind == WriteKind::Put);
        if exists == (assertion == Assertion::Exist) {
            return Ok(());
        }
        Err(Failure::AssertionFailed {
            start_ts: self.request.start_version,
            key: self.mutation.key.clone(),
            assertion,
            existing_start_ts: existing.map_or(0, |(_, write)| write.start_ts),
            existing_commit_ts: existing.map_or(0, |(at, _)| at),
        })
    }
}
