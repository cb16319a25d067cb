//! What an operator asks of the cluster as a whole.

use std::time::Duration;

use super::error::{TiKVError, failed};
use super::{TiKVBackend, timestamp_of};
#[cfg(doc)]
use crate::database::Database;
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

/// The longest that a transaction's locks live.
const LONGEST_LOCK: Duration = Duration::from_secs(20);

impl TiKVBackend {
    /// Collects the cluster's garbage: versions of rows that were overwritten or deleted longer ago than `keep`.
    /// Returns whether PD accepted the new safe point; it keeps a later one that it already has. Whatever a
    /// [service](TiKVBackend::set_service_safe_point) or a [snapshot](Database::snapshot) still needs is kept.
    ///
    /// **This affects the whole cluster**, not only this database. Every transaction older than `keep`, of whatever
    /// software, is rolled back, and no older snapshot can be read any more. Then PD gets the safe point, and the
    /// servers drop the versions before it as they compact. If TiDB or another collector runs in the cluster, leave it
    /// to that.
    ///
    /// # Errors
    /// [`TitoError::Storage`] with [`TiKVError::Refused`] if `keep` is shorter than `max_transaction_age` and either 20
    /// s, the longest life of a lock, or the `call_deadline`: live transactions would be hit. The same for an engine
    /// with a keyspace: it can't settle the locks of other keyspaces, which must be done before the cluster's safe
    /// point moves. [`TitoError::Unavailable`] if it could not be done within the `maintenance_deadline`.
    pub async fn gc(&self, keep: Duration) -> Result<bool> {
        let core = &self.core;
        if core.settings.keyspace.is_some() {
            // Elsewhere the record that a primary key was committed could be collected, and the locks that point to it
            // would be rolled back: transactions torn apart.
            let reason = "the safe point is the whole cluster's, and the engine sees one keyspace of it";
            return Err(refused("gc", reason.to_string()));
        }
        let longest = LONGEST_LOCK.max(core.settings.call_deadline);
        let least = core.settings.max_transaction_age.saturating_add(longest);
        if keep < least {
            return Err(refused("gc", format!("expected to keep at least {least:?}, found {keep:?}")));
        }
        let now = core.ask_timestamp("gc").await?;
        let keep_millis = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let before = tito_tikv::Timestamp::new(now.physical_millis().saturating_sub(keep_millis), 0);
        let collected = core.client.collect_garbage(before, core.settings.maintenance_deadline).await;
        // A safe point just before it, or the later one that there is.
        Ok(collected.map_err(|error| failed("gc", None, error))? < before)
    }

    /// Protects the versions from a timestamp on from garbage collection, on behalf of a service and for a time;
    /// calling it again renews it. Returns the lowest safe point of all services of the cluster: if it is later than
    /// `at`, versions after `at` may be gone already.
    ///
    /// Whole seconds of `lives` count, at least one.
    ///
    /// # Errors
    /// [`TitoError::Unavailable`] if PD could not be reached; there is no retry.
    pub async fn set_service_safe_point(&self, service: &str, at: Timestamp, lives: Duration) -> Result<Timestamp> {
        self.core.check_open()?;
        let at = tito_tikv::Timestamp::from_raw(at.raw());
        let lowest = self.core.client.set_service_safe_point(service, at, lives).await;
        Ok(timestamp_of(lowest.map_err(|error| failed("set_service_safe_point", None, error))?))
    }

    /// Removes the safe point of a service. Returns the lowest remaining one.
    ///
    /// # Errors
    /// Those of [`set_service_safe_point`](TiKVBackend::set_service_safe_point).
    pub async fn remove_service_safe_point(&self, service: &str) -> Result<Timestamp> {
        self.core.check_open()?;
        let lowest = self.core.client.remove_service_safe_point(service).await;
        Ok(timestamp_of(lowest.map_err(|error| failed("remove_service_safe_point", None, error))?))
    }

    /// Destroys the keys of a range at once, all versions of them, on all servers.
    ///
    /// **This bypasses transactions.** It can't be rolled back, running transactions lose what they read and wrote
    /// there, including their locks, and readers of older snapshots find nothing. It is for data that nobody uses any
    /// more: of a test, or of a tenant that is gone. The disk is freed without waiting for garbage collection. For data
    /// in use, delete in bounded batches instead.
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
        let destroyed = self.core.client.destroy_range(start..end, self.core.settings.maintenance_deadline).await;
        destroyed.map_err(|error| failed(call, None, error))
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
