//! The regions and stores as tests see them.
use std::net::SocketAddr;

use super::Topology;
use crate::codec;

/// A region as it was when [`regions`](crate::MockCluster::regions) was called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionDescription {
    /// Its number.
    pub id: u64,
    /// Its first key, empty for the first region. Keys are as users write them, not encoded. A boundary that no encoded
    /// key stands for, as [`split_raw`](crate::MockCluster::split_raw) can create, is shown as it is.
    pub start_key: Vec<u8>,
    /// The first key after it, empty for the last region.
    pub end_key: Vec<u8>,
    /// The version of its boundaries, which grows with splits and merges.
    pub version: u64,
    /// The store that leads it.
    pub leader: u64,
}

/// A store as it was when [`stores`](crate::MockCluster::stores) was called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreDescription {
    /// Its number, counted from 1.
    pub id: u64,
    /// The address where it listens, or will again once it is started.
    pub address: SocketAddr,
    /// Whether it runs.
    pub running: bool,
    /// How many regions it leads.
    pub regions_led: usize,
}

/// A boundary as a user writes it.
pub(super) fn readable(boundary: &[u8]) -> Vec<u8> {
    codec::decode(boundary).unwrap_or_else(|| boundary.to_vec())
}

impl Topology {
    /// The regions, in key order.
    pub(crate) fn describe_regions(&self) -> Vec<RegionDescription> {
        self.regions_from(b"")
            .map(|region| RegionDescription {
                id: region.id,
                start_key: readable(&region.range.start),
                end_key: readable(&region.range.end),
                version: region.version,
                leader: region.leader,
            })
            .collect()
    }

    /// The stores, in number order.
    pub(crate) fn describe_stores(&self) -> Vec<StoreDescription> {
        self.stores
            .iter()
            .map(|(id, store)| StoreDescription {
                id: *id,
                address: store.address,
                running: store.running,
                regions_led: self.regions.values().filter(|region| region.leader == *id).count(),
            })
            .collect()
    }
}
