//! Options of one transaction.

use std::time::Duration;

/// How often [`transaction`](crate::Database::transaction) runs a transaction that meets conflicts, unless told
/// otherwise. Within one process two runs are usually enough, as transactions take turns; against other processes, with
/// the capped backoff between attempts, 32 runs are several seconds of contention.
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
    pub(crate) idempotency_age: Option<Duration>,
    pub(crate) max_attempts: u32,
    pub(crate) checks_inserts: bool,
}

impl Default for TxOptions {
    fn default() -> Self {
        Self { idempotency_key: None, idempotency_age: None, max_attempts: DEFAULT_MAX_ATTEMPTS, checks_inserts: false }
    }
}

impl TxOptions {
    /// Makes the transaction happen at most once for this key, across all calls of all processes: a marker is written
    /// in the same transaction. A repeated call does nothing and fails with
    /// [`TitoError::AlreadyApplied`](crate::TitoError::AlreadyApplied); an unknown outcome is resolved by reading the
    /// marker back. Costs one extra read and one extra write.
    ///
    /// The marker stays for ever, unless [`idempotency_age`](TxOptions::idempotency_age) says for how long, or
    /// [`prune_idempotency_markers`](crate::database::prune_idempotency_markers) removes it. What the closure
    /// [keeps](crate::Transaction::keep_result) in it is returned to repeated calls.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// How long, at least, a repeated call is recognised, by the engine's time. After that a worker, or
    /// [`drop_expired_markers`](crate::database::drop_expired_markers), drops the key's marker, and a call with the key
    /// takes effect again. Without an age the marker stays for ever; without a key the age means nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tito_core::TxOptions;
    /// let week = Duration::from_secs(7 * 86_400);
    /// let options = TxOptions::default().idempotency_key("request-91ab").idempotency_age(week);
    /// ```
    #[must_use]
    pub fn idempotency_age(mut self, age: Duration) -> Self {
        self.idempotency_age = Some(age);
        self
    }

    /// Makes every `insert` read the key first, so that it fails with
    /// [`AlreadyExists`](crate::TitoError::AlreadyExists) at once, while the closure can still do something else,
    /// rather than at the commit. If another transaction inserts the row meanwhile, that is a conflict: the closure
    /// runs again and sees it. Costs a read for each inserted key: the row's own, and one for each value in a unique
    /// index.
    ///
    /// ```
    /// # use tito_core::model::TitoSchema;
    /// # use tito_core::prelude::*;
    /// # use tito_core::TxOptions;
    /// # async fn example<M: TitoSchema>(db: Database, users: TitoTable<M>, user: M) -> Result<(), TitoError> {
    /// db.transaction_with(TxOptions::default().check_inserts(), |tx| async move {
    ///     match users.insert(&user, &tx).await {
    ///         Err(TitoError::AlreadyExists { .. }) => tx.put(b"seen twice".to_vec(), Vec::new()).await,
    ///         inserted => inserted,
    ///     }
    /// })
    /// .await
    /// # }
    /// ```
    #[must_use]
    pub fn check_inserts(mut self) -> Self {
        self.checks_inserts = true;
        self
    }

    /// How often the transaction runs in all when it meets conflicts; at least once. Default 32.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }
}
