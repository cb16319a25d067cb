//! What a read sees of a key (`point_getter.rs` and `scanner` in `src/storage/mvcc/reader`,
//! `check_ts_conflict` in `components/txn_types/src/lock.rs`).

use tito_tikv_proto::kvrpcpb::{Context, IsolationLevel, write_conflict::Reason};

use crate::codec;

use super::failure::{Conflict, Failure, Result};
use super::history::History;
use super::records::{Lock, LockKind};
use super::scope::Scope;
use super::state::State;

/// How many versions a backward scan steps through before it seeks (`REVERSE_SEEK_BOUND`). The versions that it skips
/// are not checked for being newer.
const BACKWARD_STEPS: usize = 16;

/// What a request wants to see.
pub(super) struct Snapshot<'a> {
    version: u64,
    isolation: IsolationLevel,
    /// Transactions known not to be committed at `version`: their locks don't matter.
    resolved: &'a [u64],
    /// Transactions known to be committed at `version`: their locks are read like commits.
    committed: &'a [u64],
    /// Whether the request asks for the commit timestamp, which a lock does not have.
    needs_commit_ts: bool,
    /// Whether the reader accepts what the store has known for long, and keeps nobody from committing earlier.
    stale: bool,
}

/// A value, and its commit timestamp if requested, else zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'h> {
    pub(super) value: &'h [u8],
    pub(super) commit_ts: u64,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(context: Option<&'a Context>, version: u64, needs_commit_ts: bool) -> Self {
        let Some(context) = context else {
            let isolation = IsolationLevel::Si;
            return Self { version, isolation, resolved: &[], committed: &[], needs_commit_ts, stale: false };
        };
        Self {
            version,
            isolation: IsolationLevel::try_from(context.isolation_level).unwrap_or(IsolationLevel::Si),
            resolved: &context.resolved_locks,
            committed: &context.committed_locks,
            needs_commit_ts,
            stale: context.stale_read,
        }
    }

    /// Records the read, so that nothing is committed below it any more.
    pub(super) fn note(&self, state: &mut State, scope: Scope<'_>) {
        if !self.stale {
            state.note_read(scope.store, self.version);
        }
    }

    /// The value of a key, given its lock and history.
    pub(super) fn value<'h>(
        &self,
        key: &[u8],
        lock: Option<&'h Lock>,
        history: &'h History,
    ) -> Result<Option<Found<'h>>> {
        if let Some(read) = self.through_lock(key, lock, history)? {
            return Ok(read);
        }
        if self.isolation == IsolationLevel::RcCheckTs
            && let Some((at, _)) = history.newest().filter(|(at, _)| *at > self.version)
        {
            return Err(self.newer_version(key, at));
        }
        Ok(self.version(history))
    }

    /// The same for a backward scan, which starts at the oldest version and so meets a different newer one first.
    pub(super) fn value_backwards<'h>(
        &self,
        key: &[u8],
        lock: Option<&'h Lock>,
        history: &'h History,
    ) -> Result<Option<Found<'h>>> {
        if let Some(read) = self.through_lock(key, lock, history)? {
            return Ok(read);
        }
        if self.isolation == IsolationLevel::RcCheckTs
            && let Some((at, _)) = history.oldest_first().take(BACKWARD_STEPS).find(|(at, _)| *at > self.version)
        {
            return Err(self.newer_version(key, at));
        }
        Ok(self.version(history))
    }

    fn version<'h>(&self, history: &'h History) -> Option<Found<'h>> {
        let (at, write) = history.version_at(self.version, self.version)?;
        let commit_ts = if self.needs_commit_ts { at } else { 0 };
        Some(Found { value: history.value_of(write), commit_ts })
    }

    /// What the lock allows: `None` if it doesn't matter, or else what can be read, which may be nothing.
    fn through_lock<'h>(
        &self,
        key: &[u8],
        lock: Option<&'h Lock>,
        history: &'h History,
    ) -> Result<Option<Option<Found<'h>>>> {
        let Some(lock) = lock else { return Ok(None) };
        let changes_value = matches!(lock.kind, LockKind::Put | LockKind::Delete);
        if !changes_value || self.resolved.contains(&lock.start_ts) {
            return Ok(None);
        }
        let failure = match self.isolation {
            IsolationLevel::Rc => return Ok(None),
            IsolationLevel::RcCheckTs => Failure::WriteConflict(Box::new(Conflict {
                start_ts: self.version,
                conflict_start_ts: lock.start_ts,
                conflict_commit_ts: 0,
                key: key.to_vec(),
                primary: lock.primary.clone(),
                reason: Reason::RcCheckTs,
            })),
            IsolationLevel::Si if self.is_blocked_by(key, lock) => Failure::Locked(Box::new(lock.info(key))),
            IsolationLevel::Si => return Ok(None),
        };
        if self.needs_commit_ts || !self.committed.contains(&lock.start_ts) {
            return Err(failure);
        }
        let value = match (&lock.short_value, lock.kind) {
            (Some(value), _) => Some(value.as_slice()),
            (None, LockKind::Put) => Some(history.long_value(lock.start_ts)),
            (None, _) => None,
        };
        Ok(Some(value.map(|value| Found { value, commit_ts: 0 })))
    }

    /// Whether a reader of a snapshot first has to know what becomes of a lock.
    fn is_blocked_by(&self, key: &[u8], lock: &Lock) -> bool {
        // With `u64::MAX`, a transaction reads its only key and wants whatever is committed. If the primary is still
        // locked, nobody can have seen a commit, except with async commit, which may be committed although it is
        // locked.
        let reads_latest = self.version == u64::MAX && lock.primary == key && !lock.use_async_commit;
        lock.start_ts <= self.version && lock.min_commit_ts <= self.version && !reads_latest
    }

    /// As in TiKV, the key is reported in its encoded form, with the timestamp.
    fn newer_version(&self, key: &[u8], at: u64) -> Failure {
        let mut encoded = codec::encode(key);
        encoded.extend_from_slice(&(!at).to_be_bytes());
        Failure::WriteConflict(Box::new(Conflict {
            start_ts: self.version,
            conflict_start_ts: 0,
            conflict_commit_ts: at,
            key: encoded,
            primary: Vec::new(),
            reason: Reason::RcCheckTs,
        }))
    }
}
