//! How far old versions may be collected (`pkg/gc/gc_state_manager.go` of tikv/pd).
//!
//! There are two safe points: transactions that began before the first may not continue, and versions that are only
//! needed by reads before the second are collected. Services set barriers to keep the first from moving. Older clients'
//! calls move the second without the first. PD allowed that up to 8.5, and it is allowed here, where the first then
//! follows.
use std::collections::BTreeMap;

/// The service that collects garbage has a safe point in every cluster. It never expires.
const GC_WORKER: &[u8] = b"gc_worker";

#[derive(Default)]
pub(crate) struct SafePoints {
    transactions: u64,
    /// The safe point of GC; it never goes back.
    gc: u64,
    /// What each service still needs.
    barriers: BTreeMap<Vec<u8>, Barrier>,
}

/// What a service still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Barrier {
    pub(crate) timestamp: u64,
    /// In seconds since the epoch.
    expires: i64,
}

impl Barrier {
    /// In seconds from now.
    pub(crate) fn ttl(&self, now: i64) -> i64 {
        if self.expires == i64::MAX { i64::MAX } else { self.expires.saturating_sub(now) }
    }
}

/// The service that needs the oldest versions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Minimum {
    pub(crate) service: Vec<u8>,
    pub(crate) safe_point: u64,
    /// In seconds from now.
    pub(crate) ttl: i64,
}

/// A safe point before and after an attempt to move it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The barrier that stops it from moving further.
    pub(crate) blocker: Option<Vec<u8>>,
}

impl SafePoints {
    pub(crate) fn gc(&self) -> u64 {
        self.gc
    }

    pub(crate) fn transactions(&self) -> u64 {
        self.transactions
    }

    /// The barriers and their names.
    pub(crate) fn barriers(&mut self, now: i64) -> impl Iterator<Item = (&[u8], &Barrier)> {
        self.forget_expired(now);
        self.barriers.iter().map(|(id, barrier)| (id.as_slice(), barrier))
    }

    fn forget_expired(&mut self, now: i64) {
        self.barriers.retain(|_, barrier| barrier.expires > now);
    }

    /// Moves GC's safe point for an older client's call, and returns whether it moved: it never goes back.
    pub(crate) fn update_gc(&mut self, safe_point: u64) -> bool {
        let moved = safe_point > self.gc;
        self.gc = self.gc.max(safe_point);
        self.transactions = self.transactions.max(self.gc);
        moved
    }

    /// Moves GC's safe point, but not beyond the one for transactions.
    pub(crate) fn advance_gc(&mut self, target: u64) -> Result<Moved, String> {
        let from = self.gc;
        if target < from {
            return Err(format!(
                "trying to update GC safe point to a smaller value, current value: {from}, given: {target}"
            ));
        }
        if target > self.transactions {
            let transactions = self.transactions;
            return Err(format!(
                "GC safe point exceeds the transaction safe point, current value: {from}, given: {target}, current \
                 transaction safe point: {transactions}"
            ));
        }
        self.gc = target;
        Ok(Moved { from, to: target, blocker: None })
    }

    /// Moves the safe point for transactions as far as the barriers allow.
    pub(crate) fn advance_transactions(&mut self, target: u64, now: i64) -> Result<Moved, String> {
        let from = self.transactions;
        if target < from {
            return Err(format!(
                "trying to update txn safe point to a smaller value, current value: {from}, given: {target}"
            ));
        }
        self.forget_expired(now);
        let lowest = self.barriers.iter().min_by_key(|(_, barrier)| barrier.timestamp);
        let blocker = lowest.filter(|(_, barrier)| barrier.timestamp < target);
        let to = blocker.map_or(target, |(_, barrier)| barrier.timestamp).max(from);
        let blocker = blocker.map(|(id, _)| id.clone());
        self.transactions = to;
        Ok(Moved { from, to, blocker })
    }

    /// Keeps versions for `ttl` seconds.
    pub(crate) fn set_barrier(&mut self, id: &[u8], timestamp: u64, ttl: i64, now: i64) -> Result<Barrier, String> {
        check_id(id)?;
        if timestamp < self.transactions {
            let transactions = self.transactions;
            return Err(format!(
                "trying to add a GC barrier on ts {timestamp} which is behind the txn safe point {transactions}"
            ));
        }
        let barrier = Barrier { timestamp, expires: now.saturating_add(ttl) };
        self.barriers.insert(id.to_vec(), barrier);
        Ok(barrier)
    }

    pub(crate) fn delete_barrier(&mut self, id: &[u8], now: i64) -> Result<Option<Barrier>, String> {
        check_id(id)?;
        self.forget_expired(now);
        Ok(self.barriers.remove(id))
    }

    /// Records what a service needs for `ttl` seconds from `now`, or forgets it if `ttl` is not positive; a call of
    /// older clients. A point below what others need is not recorded, since what the service needs may be gone.
    pub(crate) fn update_service(&mut self, service: &[u8], safe_point: u64, ttl: i64, now: i64) -> Minimum {
        self.forget_expired(now);
        if service == GC_WORKER {
            // A target that is too low is not taken. The answer says so.
            let _ = self.advance_transactions(safe_point, now);
        } else if ttl <= 0 {
            self.barriers.remove(service);
        } else if safe_point >= self.minimum(now).safe_point {
            self.barriers.insert(service.to_vec(), Barrier { timestamp: safe_point, expires: now.saturating_add(ttl) });
        }
        self.minimum(now)
    }

    fn minimum(&self, now: i64) -> Minimum {
        let lowest = self.barriers.iter().min_by_key(|(_, barrier)| barrier.timestamp);
        match lowest.filter(|(_, barrier)| barrier.timestamp <= self.transactions) {
            Some((service, barrier)) => {
                Minimum { service: service.clone(), safe_point: barrier.timestamp, ttl: barrier.ttl(now) }
            }
            None => Minimum { service: GC_WORKER.to_vec(), safe_point: self.transactions, ttl: i64::MAX },
        }
    }
}

fn check_id(id: &[u8]) -> Result<(), String> {
    match id {
        b"" => Err("invalid argument barrierID".to_owned()),
        GC_WORKER => Err("the GC barrier id gc_worker is reserved".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_safe_point_of_gc_never_goes_back() {
        let mut points = SafePoints::default();
        assert!(points.update_gc(10));
        assert!(!points.update_gc(5));
        assert_eq!((points.gc(), points.transactions()), (10, 10));
    }

    #[test]
    fn the_service_that_needs_the_oldest_versions_is_told() {
        let mut points = SafePoints::default();
        points.update_service(GC_WORKER, 100, i64::MAX, 0);
        let backup = points.update_service(b"backup", 100, 60, 0);
        assert_eq!(backup.safe_point, 100);
        let minimum = points.update_service(GC_WORKER, 200, i64::MAX, 1);
        assert_eq!(minimum, Minimum { service: b"backup".to_vec(), safe_point: 100, ttl: 59 });
        let refused = points.update_service(b"late", 50, 60, 1);
        assert_eq!(refused.service, b"backup");
        assert_eq!(points.update_service(b"other", 300, 0, 60).service, GC_WORKER, "the backup's has expired");
    }

    #[test]
    fn the_safe_point_of_transactions_moves_up_to_the_barriers_and_gcs_up_to_it() {
        let mut points = SafePoints::default();
        points.set_barrier(b"backup", 50, 60, 0).unwrap();
        assert!(points.advance_gc(10).is_err(), "transactions come first");
        let moved = points.advance_transactions(100, 1).unwrap();
        assert_eq!(moved, Moved { from: 0, to: 50, blocker: Some(b"backup".to_vec()) });
        assert!(points.set_barrier(b"late", 40, 60, 1).is_err());
        assert!(points.set_barrier(GC_WORKER, 100, 60, 1).is_err() && points.set_barrier(b"", 100, 60, 1).is_err());
        assert_eq!(points.delete_barrier(b"backup", 1).unwrap().unwrap().timestamp, 50);
        assert_eq!(points.advance_transactions(100, 1).unwrap().to, 100);
        assert!(points.advance_transactions(99, 1).is_err());
        assert!(points.advance_gc(101).is_err());
        assert_eq!(points.advance_gc(100).unwrap(), Moved { from: 0, to: 100, blocker: None });
        assert!(points.advance_gc(99).is_err());
    }
}
