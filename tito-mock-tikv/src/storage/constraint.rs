//! The conditions on a key's versions for a prewrite (`src/storage/txn/actions/prewrite.rs`).

use tito_tikv_proto::kvrpcpb::{
    Assertion, AssertionLevel, Mutation, prewrite_request::PessimisticAction, write_conflict::Reason,
};

use super::failure::{Conflict, Failure, NotFoundReason, Result};
use super::history::History;
use super::prewrite_key::Properties;
use super::records::{Write, WriteKind};

/// A key's newest record, if it has one, and the timestamp where it stands.
pub(super) type Newest<'h> = Option<(u64, &'h Write)>;

/// The conditions of one mutation.
pub(super) struct Constraint<'p, 'a> {
    pub(super) properties: &'p Properties<'a>,
    pub(super) mutation: &'a Mutation,
    pub(super) action: PessimisticAction,
    pub(super) must_not_exist: bool,
}

impl Constraint<'_, '_> {
    /// Whether newer versions are irrelevant.
    pub(super) fn is_skipped(&self) -> bool {
        if !self.properties.is_pessimistic() {
            return self.properties.skip_constraint_check;
        }
        match self.action {
            // The pessimistic lock has already checked this.
            PessimisticAction::DoPessimisticCheck => true,
            // Another key's lock stands in for this one. A repeated request could come after the commit.
            PessimisticAction::SkipPessimisticCheck => !self.properties.is_retry,
            PessimisticAction::DoConstraintCheck => false,
        }
    }

    /// Checks a key that should have the transaction's pessimistic lock but has no lock at all.
    ///
    /// The lock may have got lost, since TiKV keeps such locks in memory. That is harmless if nothing was committed
    /// since the transaction began.
    pub(super) fn amend(&self, history: &History) -> Result<()> {
        let newest = history.newest();
        if newest.is_some_and(|(at, _)| at >= self.properties.request.start_version) {
            return Err(self.lock_not_found(NotFoundReason::LockMissingAmendFail));
        }
        self.check_assertion(history, Some(newest))
    }

    pub(super) fn lock_not_found(&self, reason: NotFoundReason) -> Failure {
        let (start_ts, key) = (self.properties.request.start_version, self.mutation.key.clone());
        Failure::PessimisticLockNotFound { start_ts, key, reason }
    }

    /// Nobody may have written the key since the transaction began, or rolled the transaction back. Any newer record
    /// counts, even another transaction's rollback, which conflicts with nothing; such rollbacks are ignored only for a
    /// key that needs no pessimistic lock. Returns the record that was checked.
    pub(super) fn check_newer<'h>(&self, history: &'h History) -> Result<Newest<'h>> {
        let request = self.properties.request;
        let start_ts = request.start_version;
        for (at, write) in history.newest_first() {
            if write.rolls_back(at, start_ts) {
                return Err(self.conflict(at, write, Reason::SelfRolledBack));
            }
            if !self.properties.is_pessimistic() {
                if at > start_ts {
                    return Err(self.conflict(at, write, Reason::Optimistic));
                }
            } else {
                if self.action == PessimisticAction::DoConstraintCheck && at > start_ts {
                    return Err(self.conflict(at, write, Reason::LazyUniquenessCheck));
                }
                if at > request.for_update_ts {
                    if write.kind == WriteKind::Rollback {
                        continue;
                    }
                    return Err(self.lock_not_found(NotFoundReason::NonLockKeyConflict));
                }
            }
            check_data(history, self.must_not_exist, at, write, start_ts, &self.mutation.key)?;
            return Ok(Some((at, write)));
        }
        Ok(None)
    }

    fn conflict(&self, at: u64, write: &Write, reason: Reason) -> Failure {
        let request = self.properties.request;
        Failure::WriteConflict(Box::new(Conflict {
            start_ts: request.start_version,
            conflict_start_ts: write.start_ts,
            conflict_commit_ts: at,
            key: self.mutation.key.clone(),
            primary: request.primary_lock.clone(),
            reason,
        }))
    }

    /// Checks what the client assumes about the key. `found` is the newest record if it was looked up already;
    /// otherwise, only a strict level is worth the look-up.
    pub(super) fn check_assertion(&self, history: &History, found: Option<Newest<'_>>) -> Result<()> {
        let request = self.properties.request;
        let assertion = Assertion::try_from(self.mutation.assertion).unwrap_or(Assertion::None);
        if assertion == Assertion::None || request.assertion_level == AssertionLevel::Off as i32 {
            return Ok(());
        }
        let newest = match found {
            // A record fenced off by a lost version counts as none.
            Some(newest) => newest.filter(|(_, write)| !write.is_fenced()),
            None if request.assertion_level == AssertionLevel::Strict as i32 => None,
            None => return Ok(()),
        };
        let existing = match (found, newest) {
            (None, _) => history.version_at(u64::MAX, request.start_version),
            (Some(_), Some((at, write))) if !write.is_data() => history.version_at(at, request.start_version),
            (Some(_), newest) => newest,
        };
        let exists = existing.is_some_and(|(_, write)| write.kind == WriteKind::Put);
        if exists == (assertion == Assertion::Exist) {
            return Ok(());
        }
        // The transaction may have been rolled back meanwhile, or have lost its lock; then report that.
        if self.is_skipped() {
            self.check_newer(history)?;
        }
        Err(Failure::AssertionFailed {
            start_ts: request.start_version,
            key: self.mutation.key.clone(),
            assertion,
            existing_start_ts: existing.map_or(0, |(_, write)| write.start_ts),
            existing_commit_ts: existing.map_or(0, |(at, _)| at),
        })
    }
}

/// Checks that a key that must not exist does not, given its newest record
/// (`src/storage/txn/actions/check_data_constraint.rs`).
pub(super) fn check_data(
    history: &History,
    must_not_exist: bool,
    at: u64,
    write: &Write,
    start_ts: u64,
    key: &[u8],
) -> Result<()> {
    if !must_not_exist || write.kind == WriteKind::Delete || write.is_fenced() {
        return Ok(());
    }
    let before = at.saturating_sub(1);
    if write.kind == WriteKind::Put || history.version_at(before, start_ts).is_some() {
        return Err(Failure::AlreadyExists { key: key.to_vec() });
    }
    Ok(())
}
