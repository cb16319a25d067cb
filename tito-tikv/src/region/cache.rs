//! The regions that are known, by their range.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Region;

/// The regions that are known. No two of them overlap.
#[derive(Debug, Default)]
pub(crate) struct RegionCache {
    by_start: RwLock<BTreeMap<Vec<u8>, Arc<Region>>>,
}

impl RegionCache {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Vec<u8>, Arc<Region>>> {
        self.by_start.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Vec<u8>, Arc<Region>>> {
        self.by_start.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The region that has a key.
    pub(crate) fn of_key(&self, key: &[u8]) -> Option<Arc<Region>> {
        let regions = self.read();
        let (_, region) = regions.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        region.contains(key).then(|| region.clone())
    }

    /// The region that has the keys just before this one; before an empty one, the last.
    pub(crate) fn before(&self, end: &[u8]) -> Option<Arc<Region>> {
        let regions = self.read();
        let region = if end.is_empty() {
            regions.values().next_back()?
        } else {
            regions.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(end))).next_back()?.1
        };
        region.reaches(end).then(|| region.clone())
    }

    /// Takes a region in, and those out that it takes the place of. One that is older than what is known is not taken
    /// in: PD may lag behind the stores. Returns what is known then.
    pub(crate) fn insert(&self, region: Region) -> Arc<Region> {
        let mut regions = self.write();
        let overlapped: Vec<Arc<Region>> = overlapping(&regions, &region).cloned().collect();
        let is_newer = |known: &Arc<Region>| {
            known.epoch.version > region.epoch.version
                || (known.id == region.id
                    && known.epoch.version == region.epoch.version
                    && known.epoch.conf_ver > region.epoch.conf_ver)
        };
        let is_stale = overlapped.iter().any(is_newer);
        let region = Arc::new(region);
        if is_stale {
            return region;
        }
        for known in overlapped {
            regions.remove(&known.start);
        }
        regions.insert(region.start.clone(), region.clone());
        region
    }

    /// Forgets a region, unless another one has taken its place.
    pub(crate) fn forget(&self, region: &Arc<Region>) {
        let mut regions = self.write();
        if regions.get(&region.start).is_some_and(|known| Arc::ptr_eq(known, region)) {
            regions.remove(&region.start);
        }
    }

    #[cfg(test)]
    fn ids(&self) -> Vec<u64> {
        self.read().values().map(|region| region.id).collect()
    }
}

fn overlapping<'a>(
    regions: &'a BTreeMap<Vec<u8>, Arc<Region>>,
    region: &'a Region,
) -> impl Iterator<Item = &'a Arc<Region>> {
    let left = regions
        .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(region.start.as_slice())))
        .next_back()
        .map(|(_, left)| left)
        .filter(|left| left.end.is_empty() || left.end > region.start);
    let inside = regions
        .range::<[u8], _>((Bound::Included(region.start.as_slice()), Bound::Unbounded))
        .map(|(_, inside)| inside)
        .take_while(|inside| region.end.is_empty() || inside.start < region.end);
    left.into_iter().chain(inside)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tito_tikv_proto::metapb;

    use super::*;
    use crate::region::codec;

    fn region(id: u64, version: u64, start: &str, end: &str) -> Region {
        let boundary = |key: &str| if key.is_empty() { Vec::new() } else { codec::encode(key.as_bytes()) };
        let meta = metapb::Region {
            id,
            start_key: boundary(start),
            end_key: boundary(end),
            region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version, ..Default::default() }),
            peers: vec![metapb::Peer { id: 1, store_id: 1, ..metapb::Peer::default() }],
            ..metapb::Region::default()
        };
        Region::from_meta(&meta, None).unwrap()
    }

    fn id(region: Option<Arc<Region>>) -> Option<u64> {
        region.map(|region| region.id)
    }

    #[test]
    fn keys_are_found_by_range() {
        let cache = RegionCache::default();
        cache.insert(region(1, 1, "", "g"));
        cache.insert(region(2, 1, "m", ""));
        assert_eq!(id(cache.of_key(b"a")), Some(1));
        assert_eq!(id(cache.of_key(b"g")), None, "a gap is no region");
        assert_eq!(id(cache.of_key(b"m")), Some(2));
        assert_eq!(id(cache.before(b"g")), Some(1));
        assert_eq!(id(cache.before(b"h")), None);
        assert_eq!(id(cache.before(b"m")), None);
        assert_eq!(id(cache.before(b"")), Some(2));
    }

    #[test]
    fn a_newer_region_takes_the_place_of_those_it_overlaps() {
        let cache = RegionCache::default();
        cache.insert(region(1, 1, "", "g"));
        cache.insert(region(2, 1, "g", "p"));
        cache.insert(region(3, 1, "p", ""));
        cache.insert(region(4, 2, "c", "h"));
        assert_eq!(cache.ids(), [4, 3]);
    }

    #[test]
    fn an_older_region_does_not_come_back() {
        let cache = RegionCache::default();
        cache.insert(region(1, 5, "", "g"));
        cache.insert(region(1, 4, "", ""));
        assert_eq!(id(cache.of_key(b"a")), Some(1));
        assert_eq!(id(cache.of_key(b"x")), None);
    }

    #[test]
    fn only_the_very_region_is_forgotten() {
        let cache = RegionCache::default();
        let old = cache.insert(region(1, 1, "", ""));
        cache.insert(region(1, 2, "", "g"));
        cache.forget(&old);
        assert_eq!(id(cache.of_key(b"a")), Some(1));
    }

    #[test]
    fn another_peer_is_taken_for_one_that_cannot_be_reached_until_all_were_tried() {
        let peer = |store_id| metapb::Peer { id: store_id, store_id, ..metapb::Peer::default() };
        let meta = metapb::Region { peers: vec![peer(1), peer(2)], ..metapb::Region::default() };
        let region = Region::from_meta(&meta, Some(&peer(2))).unwrap();
        assert_eq!(region.leader().store_id, 2);
        assert!(region.pass_by(2));
        assert_eq!(region.leader().store_id, 1);
        assert!(!region.pass_by(1));
        region.is_reached();
        assert!(region.pass_by(region.leader().store_id));
        assert!(region.lead_by(2) && !region.lead_by(9));
    }
}
