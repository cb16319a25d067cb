//! The stores and regions of a cluster.
mod change;
mod check;
mod describe;
mod region;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;

pub use self::change::ShuffleStep;
pub(crate) use self::check::{KeyForm, RegionError, key_not_in_region, region_not_found, store_not_match};
pub use self::describe::{RegionDescription, StoreDescription};
pub(crate) use self::region::Region;
use crate::TikvVersion;
use crate::range::RegionRange;
use tito_tikv_proto::metapb;

/// All regions and where they are led. They cover the whole key space and never overlap.
#[derive(Debug)]
pub(crate) struct Topology {
    regions: BTreeMap<u64, Region>,
    /// The number of the region that begins at a key.
    starts: BTreeMap<Vec<u8>, u64>,
    stores: BTreeMap<u64, Store>,
    last_id: u64,
    version: TikvVersion,
}

#[derive(Debug)]
struct Store {
    address: SocketAddr,
    running: bool,
}

impl Topology {
    /// One region that holds everything, led by the first store. Stores are numbered from 1.
    pub(crate) fn new(addresses: &[SocketAddr], version: TikvVersion) -> Self {
        let stores: BTreeMap<u64, Store> =
            (1..).zip(addresses.iter().map(|address| Store { address: *address, running: true })).collect();
        let last_id = stores.len() as u64;
        let mut topology = Topology { regions: BTreeMap::new(), starts: BTreeMap::new(), stores, last_id, version };
        let range = RegionRange { start: Vec::new(), end: Vec::new() };
        let id = topology.allocate_id();
        let peers = topology.new_peers();
        topology.insert(Region { id, range, version: 1, peers, leader: 1, max_ts_synced: true });
        topology
    }

    /// A number not given out before, for a region, a peer or anything that a PD client wants one for.
    pub(crate) fn allocate_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn new_peers(&mut self) -> Vec<metapb::Peer> {
        let stores: Vec<u64> = self.stores.keys().copied().collect();
        stores
            .into_iter()
            .map(|store_id| metapb::Peer { id: self.allocate_id(), store_id, ..metapb::Peer::default() })
            .collect()
    }

    fn insert(&mut self, region: Region) {
        self.starts.insert(region.range.start.clone(), region.id);
        self.regions.insert(region.id, region);
    }

    fn remove(&mut self, id: u64) -> Option<Region> {
        let region = self.regions.remove(&id)?;
        self.starts.remove(&region.range.start);
        Some(region)
    }

    /// Records that a region's leader has asked PD for the time.
    pub(crate) fn set_max_ts_synced(&mut self, id: u64) {
        if let Some(region) = self.regions.get_mut(&id) {
            region.max_ts_synced = true;
        }
    }

    /// Records that a store has forgotten what was read from it.
    pub(crate) fn unsync_led_by(&mut self, store_id: u64) {
        for region in self.regions.values_mut().filter(|region| region.leader == store_id) {
            region.max_ts_synced = false;
        }
    }

    pub(crate) fn region(&self, id: u64) -> Option<&Region> {
        self.regions.get(&id)
    }

    /// The region that holds a key given in PD's form.
    pub(crate) fn region_of(&self, key: &[u8]) -> Option<&Region> {
        let (_, id) = self.starts.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        self.regions.get(id)
    }

    /// The region to the left of one that begins at `start`.
    pub(crate) fn left_of(&self, start: &[u8]) -> Option<&Region> {
        let (_, id) = self.starts.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(start))).next_back()?;
        self.regions.get(id)
    }

    /// The regions in key order, starting with the one that holds `key`.
    pub(crate) fn regions_from(&self, key: &[u8]) -> impl Iterator<Item = &Region> + use<'_> {
        let start = self.region_of(key).map(|region| region.range.start.clone()).unwrap_or_default();
        self.starts.range(start..).filter_map(|(_, id)| self.regions.get(id))
    }

    /// A store as PD describes it; a stopped one keeps its entry and address.
    pub(crate) fn store_meta(&self, id: u64) -> Option<metapb::Store> {
        let store = self.stores.get(&id)?;
        let address = store.address.to_string();
        Some(metapb::Store { id, address, version: self.version.number().to_owned(), ..metapb::Store::default() })
    }

    pub(crate) fn store_metas(&self) -> Vec<metapb::Store> {
        self.stores.keys().filter_map(|id| self.store_meta(*id)).collect()
    }
}

#[cfg(test)]
mod tests;
