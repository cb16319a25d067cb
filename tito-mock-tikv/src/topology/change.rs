//! Splits, merges and leader moves.
use super::{Region, Topology};
use crate::MockClusterError;
use crate::range::RegionRange;

/// What a [`shuffle`](crate::MockCluster::shuffle) did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShuffleStep {
    /// A region was split, and one now begins at this key.
    Split(Vec<u8>),
    /// This region absorbed its right neighbour.
    Merge {
        /// The number of the widened region.
        region: u64,
    },
    /// Another store now leads a region.
    TransferLeader {
        /// The region's number.
        region: u64,
        /// The store that leads it now.
        store: u64,
    },
    /// There was nothing to change, as with one region on one store and no key seen.
    Nothing,
}

impl Topology {
    /// Splits a region so that one begins at each of the keys, which are in PD's form. Keys outside the region or at
    /// its start are ignored. Returns the parts in key order. The region itself keeps the rightmost part, as in TiKV.
    pub(crate) fn split(&mut self, id: u64, mut keys: Vec<Vec<u8>>) -> Vec<Region> {
        let Some(mut region) = self.remove(id) else { return Vec::new() };
        keys.retain(|key| *key != region.range.start && region.range.contains(key));
        keys.sort();
        keys.dedup();
        region.version += keys.len() as u64;
        let mut parts = Vec::with_capacity(keys.len() + 1);
        for key in keys {
            let range = RegionRange { start: std::mem::replace(&mut region.range.start, key.clone()), end: key };
            let id = self.allocate_id();
            parts.push(Region { id, range, peers: self.new_peers(), ..region.clone() });
        }
        parts.push(region);
        for part in &parts {
            self.insert(part.clone());
        }
        parts
    }

    /// Splits the region that holds a key so that one begins there.
    pub(crate) fn split_at(&mut self, boundary: Vec<u8>) -> bool {
        match self.region_of(&boundary).filter(|region| region.range.start != boundary).map(|region| region.id) {
            Some(id) => self.split(id, vec![boundary]).len() == 2,
            None => false,
        }
    }

    /// Merges a region with its right neighbour; `None` if it has none.
    pub(crate) fn merge(&mut self, id: u64) -> Option<()> {
        let end = self.region(id)?.range.end.clone();
        let neighbour = *self.starts.get(&end).filter(|_| !end.is_empty())?;
        let taken = self.remove(neighbour)?;
        let region = self.regions.get_mut(&id)?;
        region.range.end = taken.range.end;
        region.version = region.version.max(taken.version) + 1;
        // The other part may have been read from another store.
        region.max_ts_synced &= taken.max_ts_synced && taken.leader == region.leader;
        Some(())
    }

    /// Makes a store lead a region. The epoch stays: it only covers boundaries and peers.
    pub(crate) fn transfer_leader(&mut self, id: u64, store_id: u64) -> Result<(), MockClusterError> {
        match self.stores.get(&store_id) {
            None => return Err(MockClusterError::NoSuchStore(store_id)),
            Some(store) if !store.running => return Err(MockClusterError::StoreStopped(store_id)),
            Some(_) => {}
        }
        if let Some(region) = self.regions.get_mut(&id) {
            region.lead_by(store_id);
        }
        Ok(())
    }

    /// Records that a store runs or is stopped.
    pub(crate) fn set_running(&mut self, store_id: u64, running: bool) {
        if let Some(store) = self.stores.get_mut(&store_id) {
            store.running = running;
        }
    }

    /// Gives the regions that a store leads to the other running ones in turn; without any, they stay. Returns the
    /// ranges of the regions that moved.
    pub(crate) fn move_leaders_off(&mut self, store_id: u64) -> Vec<RegionRange> {
        let mut others = self.running_stores();
        others.retain(|other| *other != store_id);
        let led = self.regions.values_mut().filter(|region| region.leader == store_id);
        led.zip(others.iter().cycle())
            .map(|(region, store)| {
                region.lead_by(*store);
                region.range.clone()
            })
            .collect()
    }

    /// Gives the regions to the running stores in turn, in key order.
    pub(crate) fn spread_leaders(&mut self) {
        let stores = self.running_stores();
        for (id, store) in self.starts.values().zip(stores.iter().cycle()) {
            if let Some(region) = self.regions.get_mut(id) {
                region.leader = *store;
            }
        }
    }

    /// One random change. `keys` are candidates for a split, in PD's form.
    pub(crate) fn shuffle(&mut self, random: &mut fastrand::Rng, keys: &[Vec<u8>]) -> ShuffleStep {
        let mut kinds = [0, 1, 2];
        random.shuffle(&mut kinds);
        kinds
            .into_iter()
            .find_map(|kind| match kind {
                0 => self.random_split(random, keys),
                1 => self.random_merge(random),
                _ => self.random_transfer(random),
            })
            .unwrap_or(ShuffleStep::Nothing)
    }

    fn random_split(&mut self, random: &mut fastrand::Rng, keys: &[Vec<u8>]) -> Option<ShuffleStep> {
        let mut keys: Vec<&Vec<u8>> =
            keys.iter().filter(|key| !key.is_empty() && !self.starts.contains_key(*key)).collect();
        // Sort, so that the choice does not depend on the order in which concurrent calls arrived.
        keys.sort();
        keys.dedup();
        let key = random.choice(keys)?.clone();
        self.split_at(key.clone());
        Some(ShuffleStep::Split(super::describe::readable(&key)))
    }

    fn random_merge(&mut self, random: &mut fastrand::Rng) -> Option<ShuffleStep> {
        let mergeable: Vec<u64> =
            self.regions.values().filter(|region| !region.range.end.is_empty()).map(|region| region.id).collect();
        let region = random.choice(mergeable)?;
        self.merge(region)?;
        Some(ShuffleStep::Merge { region })
    }

    fn random_transfer(&mut self, random: &mut fastrand::Rng) -> Option<ShuffleStep> {
        let ids: Vec<u64> = self.regions.keys().copied().collect();
        let region = self.regions.get_mut(&random.choice(ids)?)?;
        let others = self.stores.iter().filter(|(id, store)| store.running && **id != region.leader).map(|(id, _)| *id);
        region.lead_by(random.choice(others.collect::<Vec<u64>>())?);
        Some(ShuffleStep::TransferLeader { region: region.id, store: region.leader })
    }

    fn running_stores(&self) -> Vec<u64> {
        self.stores.iter().filter(|(_, store)| store.running).map(|(id, _)| *id).collect()
    }
}
