//! Options of one transaction.

/// How often [`transaction`](crate::Database::transaction) runs a transaction that meets conflicts, unless told
/// otherwise. With the capped backoff between attempts that is several seconds of contention on one key.
const DEFAULT_MAX_ATTEMPTS: u32 = 32;

/// Options of one transaction.
///
/// ```
/// use tito_core::TxOptions;
/// let options = TxOptions::default().idempotency_key("invoice-17/paid").max_attempts(5);
/// ```
#[derive(Clone, Debug)]
pub struct TxOptions {
    pub(crate) idempotency_key: Option<String>,
    pub(crate) max_attempts: u32,
}

impl Default for TxOptions {
    fn default() -> Self {
        Self { idempotency_key: None, max_attempts: DEFAULT_MAX_ATTEMPTS }
    }
}

impl TxOptions {
    /// Makes the transaction happen at most once for this key, over all calls of all processes: its marker is written
    /// in the same transaction. A repeated call does nothing and fails with
    /// [`TitoError::AlreadyApplied`](crate::TitoError::AlreadyApplied); an unknown outcome is resolved by reading the
    /// marker back. Costs one read and one write more.
    ///
    /// Markers stay until [`prune_idempotency_markers`](crate::database::prune_idempotency_markers) removes them.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// How often the transaction is run in all when it meets conflicts; at least once. Default 32.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }
}
