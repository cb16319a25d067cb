//! What an operator asks of the cluster as a whole.

use std::time::Duration;

use tikv_client::{Timestamp as ClientTimestamp, TimestampExt, TransactionClient};

use super::calls::Attempts;
use super::deadline::{Deadline, Passed};
use super::error::TiKVError;
use super::{TiKVBackend, timestamp_of};
use tito_core::Timestamp;
use tito_core::keys::KeyRange;
use tito_core::{Result, TitoError};

/// The longest that the client's locks live.
const LONGEST_LOCK: Duration = Duration::from_secs(20);

impl TiKVBackend {
    /// Collects the cluster's garbage: versions of rows that were overwritten or deleted longer ago than `keep`. Returns
    /// whether PD took the new safe point; it keeps a later one that it has already.
    ///
    /// **It is about the whole cluster**, not only this database. Every transaction older than `keep`, of whatever
    /// software, is rolled back, and no snapshot older than that can be read any more. Then PD is told the safe point,
    /// and the servers drop the versions before it by themselves, as they compact. In a cluster where TiDB or another
    /// collector runs, leave it to that.
    ///
    /// # Errors
    /// [`TitoError::Storage`] with [`TiKVError::Refused`] if `keep` is shorter than `max_transaction_age` and either 20 s,
    /// the longest life of a lock, or the `call_deadline`: transactions that live would be hit. The same for an engine
    /// with a keyspace: it can't settle the locks of other keyspaces, which has to be done before the cluster's safe
    /// point moves. [`TitoError::Unavailable`] if it could not be done within the `maintenance_deadline`.
    pub async fn gc(&self, keep: Duration) -> Result<bool> {
        let core = &self.core;
        if core.settings.keyspace.is_some() {
            // The client settles the locks of its keyspace only. Elsewhere the record that a primary key was committed
            // could be collected, and the locks that point to it would be rolled back: transactions torn apart.
            let reason = "the safe point is the whole cluster's, and the engine sees one keyspace of it";
            return Err(refused("gc", reason.to_string()));
        }
        let longest = LONGEST_LOCK.max(core.settings.call_deadline);
        let least = core.settings.max_transaction_age.saturating_add(longest);
        if keep < least {
            return Err(refused("gc", format!("expected to keep at least {least:?}, found {keep:?}")));
        }
        let slot = core.connections.next_slot();
        let ask = |client: TransactionClient| async move { client.current_timestamp().await };
        let (client, now) = core.ask_pd(slot, "gc", ask).await?;
        let keep_millis = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let safe_millis = timestamp_of(&now).physical_millis().saturating_sub(keep_millis);
        let safe_point = ClientTimestamp::from_version(Timestamp::from_millis(safe_millis).raw());
        self.once("gc", client.gc(safe_point)).await
    }

    /// Destroys the keys of a range at once, all versions of them, on all servers.
    ///
    /// **This goes past transactions.** It can't be rolled back, running transactions lose what they read and wrote
    /// there, locks of theirs included, and readers of older snapshots find nothing. It is for data that nobody uses any
    /// more: of a test, or of a tenant that is gone. The disk is freed without waiting for a garbage collection. Inside a
    /// transaction, delete in bounded batches instead.
    ///
    /// # Errors
    /// [`TitoError::Storage`] with [`TiKVError::Refused`] for a range that is empty or has no first or no last key: a
    /// server of TiKV dies of such a request. [`TitoError::Unavailable`] if it could not be done within the
    /// `maintenance_deadline`; what was destroyed by then stays destroyed.
    pub async fn delete_range(&self, range: KeyRange) -> Result<()> {
        if range.is_empty() {
            return Err(refused("delete_range", "the range is empty".to_string()));
        }
        if range.end.is_none() {
            return Err(refused("delete_range", "the range has no end".to_string()));
        }
        self.destroy("delete_range", self.core.prefix.stored_range(&range)).await
    }

    /// Destroys everything below the engine's key prefix, as [`delete_range`](TiKVBackend::delete_range) does.
    ///
    /// # Errors
    /// The same; refused for an engine without a prefix, whose keys can't be told from those of others.
    pub async fn clear(&self) -> Result<()> {
        match self.core.prefix.everything() {
            Some(everything) => self.destroy("clear", everything).await,
            None => Err(refused("clear", "the engine has no key prefix of its own".to_string())),
        }
    }

    async fn destroy(&self, call: &'static str, stored: KeyRange) -> Result<()> {
        let (start, end) = check_destroyable(call, stored)?;
        self.core.check_open()?;
        let opened = self.core.connections.open_patient(self.core.settings.maintenance_deadline).await;
        let client = opened.map_err(|source| TitoError::Unavailable { operation: call, source: source.into() })?;
        self.once(call, client.unsafe_destroy_range(start..end)).await
    }

    /// Waits for something that takes long. The client itself makes it again where a server fails.
    async fn once<T>(
        &self,
        call: &'static str,
        future: impl Future<Output = std::result::Result<T, tikv_client::Error>>,
    ) -> Result<T> {
        let deadline = Deadline::after(self.core.settings.maintenance_deadline);
        let mut attempts = Attempts::new(call, None, deadline);
        attempts.begin();
        match deadline.bound(future).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(attempts.failed_once(error)),
            Err(Passed) => Err(attempts.passed()),
        }
    }
}

/// The bounds of a range, both there: a tikv-server dies of one without a first or a last key.
fn check_destroyable(call: &'static str, stored: KeyRange) -> Result<(Vec<u8>, Vec<u8>)> {
    let is_empty = stored.is_empty();
    match stored.end.filter(|end| !is_empty && !stored.start.is_empty() && !end.is_empty()) {
        Some(end) => Ok((stored.start, end)),
        None => Err(refused(call, "expected a range with a first and a last key".to_string())),
    }
}

fn refused(call: &'static str, reason: String) -> TitoError {
    TitoError::Storage { operation: call, source: TiKVError::Refused { call, reason }.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ranges_that_would_kill_a_server_are_refused() {
        for (start, end) in [("", "z"), ("a", ""), ("", ""), ("b", "a"), ("a", "a")] {
            let outcome = check_destroyable("delete_range", KeyRange::new(start, end));
            assert!(matches!(outcome, Err(TitoError::Storage { .. })), "{start:?}..{end:?}: {outcome:?}");
        }
        for range in [KeyRange::prefix(""), KeyRange::starting_at("a"), KeyRange::prefix([255])] {
            let outcome = check_destroyable("delete_range", range.clone());
            assert!(matches!(outcome, Err(TitoError::Storage { .. })), "{range:?}: {outcome:?}");
        }
        let bounds = check_destroyable("delete_range", KeyRange::new("a", "b")).unwrap();
        assert_eq!(bounds, (b"a".to_vec(), b"b".to_vec()));
    }
}
