//! Regions: where keys are.
mod cache;
pub(crate) mod codec;
pub(crate) mod errors;

use std::sync::atomic::{AtomicUsize, Ordering};

use tito_tikv_proto::metapb;

pub(crate) use cache::RegionCache;

/// A region as PD or a store described it. Only its leader changes; any other change makes another region, with a later
/// epoch.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) id: u64,
    pub(crate) epoch: metapb::RegionEpoch,
    /// The first key, decoded; empty for none.
    pub(crate) start: Vec<u8>,
    /// The key after the last one, decoded; empty for none.
    pub(crate) end: Vec<u8>,
    peers: Vec<metapb::Peer>,
    /// The place of the peer that is taken for the leader.
    leader: AtomicUsize,
    /// How many peers in a row could not be reached.
    unreachable: AtomicUsize,
}

impl Region {
    /// From PD's or a store's description; `None` if it has no peer that can lead, or boundaries that are not encoded.
    pub(crate) fn from_meta(meta: &metapb::Region, leader: Option<&metapb::Peer>) -> Option<Region> {
        let decode = |boundary: &[u8]| if boundary.is_empty() { Some(Vec::new()) } else { codec::decode(boundary) };
        let can_lead = |peer: &&metapb::Peer| !peer.is_witness && peer.role() != metapb::PeerRole::Learner;
        let peers: Vec<metapb::Peer> = meta.peers.iter().filter(can_lead).cloned().collect();
        if peers.is_empty() {
            return None;
        }
        let place = leader.and_then(|leader| peers.iter().position(|peer| peer.store_id == leader.store_id));
        Some(Region {
            id: meta.id,
            epoch: meta.region_epoch.clone().unwrap_or_default(),
            start: decode(&meta.start_key)?,
            end: decode(&meta.end_key)?,
            peers,
            leader: AtomicUsize::new(place.unwrap_or(0)),
            unreachable: AtomicUsize::new(0),
        })
    }

    /// The peer that is taken for the leader.
    pub(crate) fn leader(&self) -> &metapb::Peer {
        &self.peers[self.leader.load(Ordering::Relaxed) % self.peers.len()]
    }

    /// Takes the peer of a store for the leader. Whether there is one.
    pub(crate) fn lead_by(&self, store: u64) -> bool {
        let place = self.peers.iter().position(|peer| peer.store_id == store);
        if let Some(place) = place {
            self.leader.store(place, Ordering::Relaxed);
        }
        place.is_some()
    }

    /// The peer could not be reached: takes the next one for the leader. Whether there is one that was not tried.
    pub(crate) fn pass_by(&self, store: u64) -> bool {
        if self.leader().store_id == store {
            self.leader.fetch_add(1, Ordering::Relaxed);
        }
        self.unreachable.fetch_add(1, Ordering::Relaxed) + 1 < self.peers.len()
    }

    /// A store has answered.
    pub(crate) fn is_reached(&self) {
        self.unreachable.store(0, Ordering::Relaxed);
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && (self.end.is_empty() || key < self.end.as_slice())
    }

    /// Whether the region has keys just before this one; an empty one is the end of all keys.
    pub(crate) fn reaches(&self, end: &[u8]) -> bool {
        if end.is_empty() {
            self.end.is_empty()
        } else {
            self.start.as_slice() < end && (self.end.is_empty() || end <= self.end.as_slice())
        }
    }
}
