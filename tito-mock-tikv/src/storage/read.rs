//! Reads at a timestamp: one key, several, or a range.

use crate::proto::kvrpcpb::{
    BatchGetRequest, BatchGetResponse, Context, GetRequest, GetResponse, IsolationLevel, KvPair, ScanRequest,
    ScanResponse,
};
use crate::range::RegionRange;

use super::boundary::KeyRange;
use super::failure::{Failure, Result};
use super::history::{History, NO_HISTORY};
use super::merge::merge;
use super::records::{Lock, LockKind};
use super::state::State;

/// What a request wants to see.
struct Snapshot<'a> {
    version: u64,
    ignores_locks: bool,
    /// Transactions known not to be committed at `version`: their locks don't matter.
    resolved: &'a [u64],
    /// Transactions known to be committed at `version`: their locks are read like commits.
    committed: &'a [u64],
}

impl<'a> Snapshot<'a> {
    fn new(context: Option<&'a Context>, version: u64) -> Self {
        let Some(context) = context else {
            return Self { version, ignores_locks: false, resolved: &[], committed: &[] };
        };
        // `RCCheckTS`, which TiDB uses to find out that it could read something newer, is taken as `RC` here.
        let isolation = IsolationLevel::try_from(context.isolation_level);
        Self {
            version,
            ignores_locks: matches!(isolation, Ok(IsolationLevel::Rc | IsolationLevel::RcCheckTs)),
            resolved: &context.resolved_locks,
            committed: &context.committed_locks,
        }
    }

    /// Whether a reader has to know first what becomes of a lock.
    fn is_blocked_by(&self, key: &[u8], lock: &Lock) -> bool {
        let changes_value = matches!(lock.kind, LockKind::Put | LockKind::Delete);
        // With `u64::MAX` a transaction reads its one key and wants whatever is committed, and nobody can have seen a
        // commit whose primary is still locked. With async commit it may be committed although it is locked.
        let reads_latest = self.version == u64::MAX && lock.primary == key && !lock.use_async_commit;
        !self.ignores_locks
            && changes_value
            && lock.start_ts <= self.version
            && lock.min_commit_ts <= self.version
            && !self.resolved.contains(&lock.start_ts)
            && !reads_latest
    }

    /// The value of a key, given its lock and its history.
    fn value<'h>(&self, key: &[u8], lock: Option<&'h Lock>, history: &'h History) -> Result<Option<&'h [u8]>> {
        if let Some(lock) = lock.filter(|lock| self.is_blocked_by(key, lock)) {
            if !self.committed.contains(&lock.start_ts) {
                return Err(Failure::Locked(Box::new(lock.info(key))));
            }
            return Ok(match (&lock.short_value, lock.kind) {
                (Some(value), _) => Some(value),
                (None, LockKind::Put) => Some(history.long_value(lock.start_ts)),
                (None, _) => None,
            });
        }
        Ok(history.version_at(self.version).map(|(_, write)| history.value_of(write)))
    }

    fn note(&self, state: &mut State) {
        if !self.ignores_locks {
            state.note_read(self.version);
        }
    }
}

pub(super) fn get(state: &mut State, request: &GetRequest) -> GetResponse {
    let snapshot = Snapshot::new(request.context.as_ref(), request.version);
    snapshot.note(state);
    let key = &request.key;
    match snapshot.value(key, state.lock(key), state.history(key)) {
        Ok(Some(value)) => GetResponse { value: value.to_vec(), ..GetResponse::default() },
        Ok(None) => GetResponse { not_found: true, ..GetResponse::default() },
        Err(failure) => GetResponse { error: Some(failure.into_key_error()), ..GetResponse::default() },
    }
}

/// A pair for each key that is there or locked; a key without value has none.
pub(super) fn batch_get(state: &mut State, request: &BatchGetRequest) -> BatchGetResponse {
    let snapshot = Snapshot::new(request.context.as_ref(), request.version);
    snapshot.note(state);
    let pairs = request.keys.iter().filter_map(|key| {
        let value = snapshot.value(key, state.lock(key), state.history(key));
        pair(key, value, false)
    });
    BatchGetResponse { pairs: pairs.collect(), ..BatchGetResponse::default() }
}

/// The pairs of a range within a region, up to the limit; a locked key counts as one.
pub(super) fn scan(state: &mut State, request: &ScanRequest, region: &RegionRange) -> ScanResponse {
    let snapshot = Snapshot::new(request.context.as_ref(), request.version);
    snapshot.note(state);
    // Backwards the scan starts at its upper end.
    let (low, high) = match request.reverse {
        true => (&request.end_key, &request.start_key),
        false => (&request.start_key, &request.end_key),
    };
    let range = KeyRange::new(low, high).within(&KeyRange::of_region(region));
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let locks = state.locks_in(&range);
    let histories = state.histories_in(&range);
    let pairs = match request.reverse {
        true => collect(merge(locks.rev(), histories.rev(), |left, right| right.cmp(left)), &snapshot, request, limit),
        false => collect(merge(locks, histories, Ord::cmp), &snapshot, request, limit),
    };
    ScanResponse { pairs, ..ScanResponse::default() }
}

fn collect<'s>(
    keys: impl Iterator<Item = (&'s Vec<u8>, Option<&'s Lock>, Option<&'s History>)>,
    snapshot: &Snapshot<'_>,
    request: &ScanRequest,
    limit: usize,
) -> Vec<KvPair> {
    keys.filter_map(|(key, lock, history)| {
        let value = snapshot.value(key, lock, history.unwrap_or(&NO_HISTORY));
        pair(key, value, request.key_only)
    })
    .take(limit)
    .collect()
}

/// As TiKV has it, the pair of a locked key has an error and no key; the error names the key.
fn pair(key: &[u8], value: Result<Option<&[u8]>>, key_only: bool) -> Option<KvPair> {
    match value {
        Ok(value) => {
            let value = if key_only { value.map(|_| Vec::new()) } else { value.map(<[u8]>::to_vec) };
            value.map(|value| KvPair { error: None, key: key.to_vec(), value })
        }
        Err(failure) => Some(KvPair { error: Some(failure.into_key_error()), ..KvPair::default() }),
    }
}
