//! The records that a key can have: a lock, and the history of its versions.

use tito_tikv_proto::kvrpcpb::{LockInfo, MvccLock, MvccWrite, Op};

/// Values up to this size in bytes are stored inside lock and write records; longer ones have a record of their own.
const SHORT_VALUE_LIMIT: usize = 255;

/// What TiKV stores as the short value of a protected rollback (`PROTECTED_ROLLBACK_SHORT_VALUE` in
/// `components/txn_types/src/write.rs`).
const PROTECTED_MARK: &[u8] = b"p";

/// The low bits of a timestamp count within a millisecond; the others are milliseconds.
const LOGICAL_BITS: u32 = 18;

/// The milliseconds of a timestamp.
pub(super) fn physical(timestamp: u64) -> u64 {
    timestamp >> LOGICAL_BITS
}

pub(super) fn is_short(value: &[u8]) -> bool {
    value.len() <= SHORT_VALUE_LIMIT
}

/// What the transaction that holds a lock will do to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockKind {
    Put,
    Delete,
    /// The key stays as it is; the lock only keeps others out.
    Lock,
    /// Taken before the prewrite; doesn't say yet what will be done.
    Pessimistic,
}

/// A key's lock record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) kind: LockKind,
    pub(super) primary: Vec<u8>,
    pub(super) start_ts: u64,
    /// For how many milliseconds after `start_ts` others leave the lock alone.
    pub(super) ttl: u64,
    /// The value to put, if it is short.
    pub(super) short_value: Option<Vec<u8>>,
    /// If not zero, the transaction is pessimistic.
    pub(super) for_update_ts: u64,
    pub(super) txn_size: u64,
    /// The transaction won't be committed below this timestamp; zero if unknown.
    pub(super) min_commit_ts: u64,
    pub(super) use_async_commit: bool,
    /// With async commit, in the primary's lock: all other keys of the transaction.
    pub(super) secondaries: Vec<Vec<u8>>,
    /// Other transactions that were rolled back on this key while it was locked, whose rollback this lock's commit
    /// record could overwrite.
    pub(super) rollbacks: Vec<u64>,
    /// On a pessimistic lock: it was taken although the key had a newer version, so a stale request may have taken it.
    pub(super) locked_with_conflict: bool,
    /// If not zero, the number of the flush that wrote it, for a transaction written piece by piece.
    pub(super) generation: u64,
    /// On a pessimistic lock: only the leader knows it, so it is lost with the leader.
    pub(super) in_memory: bool,
}

impl Lock {
    pub(super) fn is_pessimistic(&self) -> bool {
        self.kind == LockKind::Pessimistic
    }

    /// Whether the value to put has a record of its own.
    pub(super) fn has_long_value(&self) -> bool {
        self.kind == LockKind::Put && self.short_value.is_none()
    }

    /// Whether the time to live is over at a timestamp.
    pub(super) fn is_expired(&self, now: u64) -> bool {
        physical(self.start_ts).saturating_add(self.ttl) < physical(now)
    }

    /// The lock as clients see it.
    pub(super) fn info(&self, key: &[u8]) -> LockInfo {
        LockInfo {
            primary_lock: self.primary.clone(),
            lock_version: self.start_ts,
            key: key.to_vec(),
            lock_ttl: self.ttl,
            txn_size: self.txn_size,
            lock_type: self.op().into(),
            lock_for_update_ts: self.for_update_ts,
            use_async_commit: self.use_async_commit,
            min_commit_ts: self.min_commit_ts,
            secondaries: self.secondaries.clone(),
            ..LockInfo::default()
        }
    }

    /// The lock as `MvccGetByKey` reports it.
    pub(super) fn mvcc(&self) -> MvccLock {
        MvccLock {
            r#type: self.op().into(),
            start_ts: self.start_ts,
            primary: self.primary.clone(),
            short_value: self.short_value.clone().unwrap_or_default(),
            ..MvccLock::default()
        }
    }

    fn op(&self) -> Op {
        match self.kind {
            LockKind::Put => Op::Put,
            LockKind::Delete => Op::Del,
            LockKind::Lock => Op::Lock,
            LockKind::Pessimistic => Op::PessimisticLock,
        }
    }
}

/// What a write record says about its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteKind {
    Put,
    Delete,
    /// Committed without changing the key.
    Lock,
    /// The transaction must no longer be committed.
    Rollback,
}

/// A write record. It stands at its transaction's commit timestamp; a rollback, at the start timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) kind: WriteKind,
    pub(super) start_ts: u64,
    pub(super) short_value: Option<Vec<u8>>,
    /// On a rollback: a newer rollback must not drop it.
    pub(super) protected: bool,
    /// Another transaction, which started at this record's commit timestamp, is rolled back.
    pub(super) has_overlapped_rollback: bool,
    /// Set when the record was rewritten for an overlapped rollback: the commit timestamp of the next version at that
    /// time, or zero if there was none. If garbage collection has dropped that version and this record came back, it
    /// must not be read as the latest.
    pub(super) gc_fence: Option<u64>,
}

impl Write {
    pub(super) fn rollback(start_ts: u64, protected: bool) -> Self {
        let kind = WriteKind::Rollback;
        Self { kind, start_ts, short_value: None, protected, has_overlapped_rollback: false, gc_fence: None }
    }

    /// The record that commits a lock; a pessimistic lock has none.
    pub(super) fn commit(lock: &Lock, commit_ts: u64) -> Self {
        let kind = match lock.kind {
            LockKind::Put => WriteKind::Put,
            LockKind::Delete => WriteKind::Delete,
            LockKind::Lock | LockKind::Pessimistic => WriteKind::Lock,
        };
        Self {
            kind,
            start_ts: lock.start_ts,
            short_value: lock.short_value.clone(),
            protected: false,
            has_overlapped_rollback: lock.rollbacks.contains(&commit_ts),
            gc_fence: None,
        }
    }

    pub(super) fn is_commit(&self) -> bool {
        self.kind != WriteKind::Rollback
    }

    /// Whether the record, standing at `timestamp`, says that the transaction with this start is rolled back.
    pub(super) fn rolls_back(&self, timestamp: u64, start_ts: u64) -> bool {
        timestamp == start_ts && (self.kind == WriteKind::Rollback || self.has_overlapped_rollback)
    }

    /// Whether the record decides what the key holds.
    pub(super) fn is_data(&self) -> bool {
        matches!(self.kind, WriteKind::Put | WriteKind::Delete)
    }

    pub(super) fn has_long_value(&self) -> bool {
        self.kind == WriteKind::Put && self.short_value.is_none()
    }

    /// Whether the record, the latest that a read at `read_ts` finds, is not fenced off by a lost version.
    pub(super) fn is_valid_at(&self, read_ts: u64) -> bool {
        self.gc_fence.is_none_or(|fence| fence == 0 || fence > read_ts)
    }

    /// Whether a newer version fences it off; then, as the latest record of a key, it is a leftover.
    pub(super) fn is_fenced(&self) -> bool {
        self.gc_fence.is_some_and(|fence| fence != 0)
    }

    /// The record as `MvccGetByKey` reports it.
    pub(super) fn mvcc(&self, commit_ts: u64) -> MvccWrite {
        let kind = match self.kind {
            WriteKind::Put => Op::Put,
            WriteKind::Delete => Op::Del,
            WriteKind::Lock => Op::Lock,
            WriteKind::Rollback => Op::Rollback,
        };
        let mark = self.protected.then(|| PROTECTED_MARK.to_vec());
        MvccWrite {
            r#type: kind.into(),
            start_ts: self.start_ts,
            commit_ts,
            short_value: self.short_value.clone().or(mark).unwrap_or_default(),
            has_overlapped_rollback: self.has_overlapped_rollback,
            has_gc_fence: self.gc_fence.is_some(),
            gc_fence: self.gc_fence.unwrap_or(0),
            ..MvccWrite::default()
        }
    }
}
