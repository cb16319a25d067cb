//! Heals keys that are locked by a transaction whose primary key was never written.
//!
//! A client that dies between the batches of its prewrite leaves locks that point to a primary key without a trace. The
//! client asks what became of the transaction, is answered `txn_not_found`, and returns that as an error: it means to
//! roll the transaction back once the lock's time is over, but looks for the answer in another wrapper than it comes in.
//! So every read and write of the key fails, for as long as nobody heals it.
//!
//! The same answer is normal for a moment while a living transaction writes several batches of 16 KiB. Only a lock whose
//! own time to live is over is healed: by TiKV's protocol anybody may roll such a transaction back, and if it lives yet
//! and is about to commit, its primary key decides between the two.

use tikv_client::transaction::ResolveLocksOptions;
use tikv_client::{ProtoLockInfo, Timestamp as ClientTimestamp, TimestampExt, TransactionClient};

use super::Core;
use super::deadline::Deadline;
use super::reads::bounds_of;
use tito_core::keys::KeyRange;

type ClientResult<T> = std::result::Result<T, tikv_client::Error>;

/// How many locks one look asks for, in each region.
const LOCKS: u32 = 1024;

/// How many looks are made at a range that is full of other transactions' locks.
const LOOKS: usize = 16;

/// What is left of a transaction's locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Healed {
    /// There are none in the range.
    Clean,
    /// There are some whose time is not over.
    StillAlive,
}

impl Core {
    /// Rolls back the transaction that began at `start` if its locks in `range` have expired.
    pub(super) async fn heal(&self, client: &TransactionClient, range: &KeyRange, start: u64) -> ClientResult<Healed> {
        let version = ClientTimestamp::from_version(start);
        let now = client.current_timestamp().await?;
        let mut left = range.clone();
        let mut healed = Healed::Clean;
        for _ in 0..LOOKS {
            let mut locks = client.scan_locks(&version, bounds_of(&left), LOCKS).await?;
            locks.sort_unstable_by(|one, other| one.key.cmp(&other.key));
            // Each region gives so many, so a later region's are told although an earlier one has more: up to here none
            // is missing.
            locks.truncate(LOCKS as usize);
            for lock in locks.iter().filter(|lock| lock.lock_version == start && range.contains(&lock.key)) {
                if !is_expired(lock, &now) {
                    healed = Healed::StillAlive;
                    continue;
                }
                tracing::warn!(start, "healing a key that a dead client left locked");
                // This rolls back every transaction with a lock in the range up to the version, whether it lives or
                // not. The range is this one key, whose one lock is the expired one; an older transaction can't lock
                // it after that, because it meets the rollback's record.
                let mut after = lock.key.clone();
                after.push(0);
                let options = ResolveLocksOptions { async_commit_only: false, batch_size: LOCKS };
                client.cleanup_locks(lock.key.clone()..after, &version, options).await?;
            }
            match locks.last() {
                Some(last) if locks.len() >= LOCKS as usize => left = left.after(&last.key),
                _ => break,
            }
            if left.is_empty() {
                break;
            }
        }
        Ok(healed)
    }

    /// Waits until the transaction that began at `start` has no locks in `range` any more, healing them once they have
    /// expired. Ends with the deadline at the latest.
    pub(super) async fn wait_out(&self, client: &TransactionClient, range: &KeyRange, start: u64, deadline: Deadline) {
        for attempt in 1.. {
            match deadline.bound(self.heal(client, range, start)).await {
                Ok(Ok(Healed::Clean)) => return,
                Ok(Ok(Healed::StillAlive)) => {}
                Ok(Err(error)) => tracing::debug!(%error, start, "could not heal the locks of a dead transaction yet"),
                Err(_) => return,
            }
            if deadline.pause(attempt).await.is_err() {
                return;
            }
        }
    }
}

fn is_expired(lock: &ProtoLockInfo, now: &ClientTimestamp) -> bool {
    let began_millis = ClientTimestamp::from_version(lock.lock_version).physical;
    let lives_millis = i64::try_from(lock.lock_ttl).unwrap_or(i64::MAX);
    began_millis.saturating_add(lives_millis) < now.physical
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_expired_once_its_time_is_over_and_not_before() {
        let lock = ProtoLockInfo { lock_version: 1_000 << 18, lock_ttl: 3_000, ..Default::default() };
        let at = |physical| ClientTimestamp { physical, ..Default::default() };
        assert!(!is_expired(&lock, &at(0)));
        assert!(!is_expired(&lock, &at(4_000)));
        assert!(is_expired(&lock, &at(4_001)));
        let endless = ProtoLockInfo { lock_ttl: u64::MAX, ..lock };
        assert!(!is_expired(&endless, &at(i64::MAX)));
    }
}
