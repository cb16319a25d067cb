//! Locks as tests see them.
use tito_tikv_proto::kvrpcpb::{LockInfo, Op};

/// A lock that a transaction held when [`locks`](crate::MockCluster::locks) was called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockDescription {
    /// The locked key.
    pub key: Vec<u8>,
    /// The key whose lock decides the fate of the transaction.
    pub primary: Vec<u8>,
    /// The transaction's start timestamp.
    pub start_version: u64,
    /// How many milliseconds after its start the transaction is considered dead.
    pub ttl: u64,
    /// What the transaction will do with the key.
    pub kind: LockKind,
}

/// What a transaction will do with a key that it has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockKind {
    /// To write it.
    Put,
    /// To delete it.
    Delete,
    /// To keep others from changing it.
    Lock,
    /// Not known yet: the key is locked before it is written, as in pessimistic transactions.
    Pessimistic,
}

impl From<LockInfo> for LockDescription {
    fn from(lock: LockInfo) -> Self {
        let kind = match lock.lock_type() {
            Op::Put | Op::Insert => LockKind::Put,
            Op::Del => LockKind::Delete,
            Op::PessimisticLock | Op::SharedPessimisticLock => LockKind::Pessimistic,
            Op::Lock | Op::SharedLock | Op::Rollback | Op::CheckNotExists => LockKind::Lock,
        };
        LockDescription {
            key: lock.key,
            primary: lock.primary_lock,
            start_version: lock.lock_version,
            ttl: lock.lock_ttl,
            kind,
        }
    }
}
