//! Up to where old versions may be collected.
use std::collections::BTreeMap;

/// The service that collects garbage has a safe point in every cluster, which never expires.
const GC_WORKER: &[u8] = b"gc_worker";

pub(crate) struct SafePoints {
    /// What GC was told; it never goes back.
    gc: u64,
    /// What each service still needs.
    services: BTreeMap<Vec<u8>, ServicePoint>,
}

#[derive(Clone, Copy)]
struct ServicePoint {
    safe_point: u64,
    /// In seconds since the epoch.
    expires: i64,
}

/// The service that needs the oldest versions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Minimum {
    pub(super) service: Vec<u8>,
    pub(super) safe_point: u64,
    /// In seconds from now.
    pub(super) ttl: i64,
}

impl Default for SafePoints {
    fn default() -> Self {
        let forever = ServicePoint { safe_point: 0, expires: i64::MAX };
        SafePoints { gc: 0, services: BTreeMap::from([(GC_WORKER.to_vec(), forever)]) }
    }
}

impl SafePoints {
    pub(crate) fn gc(&self) -> u64 {
        self.gc
    }

    /// Moves GC's safe point, and says whether it moved: it never goes back.
    pub(super) fn update_gc(&mut self, safe_point: u64) -> bool {
        let moved = safe_point > self.gc;
        self.gc = self.gc.max(safe_point);
        moved
    }

    /// Notes what a service needs for `ttl` seconds from `now`, or forgets it if that is not positive. A point below
    /// what others need is not noted, as what it needs may be gone.
    pub(super) fn update_service(&mut self, service: &[u8], safe_point: u64, ttl: i64, now: i64) -> Minimum {
        self.services.retain(|_, point| point.expires > now);
        if ttl <= 0 && service != GC_WORKER {
            self.services.remove(service);
        } else if safe_point >= self.minimum(now).safe_point {
            let expires = if service == GC_WORKER { i64::MAX } else { now.saturating_add(ttl) };
            self.services.insert(service.to_vec(), ServicePoint { safe_point, expires });
        }
        self.minimum(now)
    }

    fn minimum(&self, now: i64) -> Minimum {
        let lowest = self.services.iter().min_by_key(|(_, point)| point.safe_point);
        lowest.map_or(Minimum { service: GC_WORKER.to_vec(), safe_point: 0, ttl: i64::MAX }, |(service, point)| {
            Minimum { service: service.clone(), safe_point: point.safe_point, ttl: point.expires.saturating_sub(now) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_safe_point_of_gc_never_goes_back() {
        let mut points = SafePoints::default();
        assert!(points.update_gc(10));
        assert!(!points.update_gc(5));
        assert_eq!(points.gc(), 10);
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
}
