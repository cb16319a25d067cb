//! A region as the cluster holds it.
use crate::range::RegionRange;
use tito_tikv_proto::metapb;

/// A part of the key space with a peer on every store, one of which leads.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) id: u64,
    pub(crate) range: RegionRange,
    /// Grows with every change of the boundaries.
    pub(crate) version: u64,
    pub(crate) peers: Vec<metapb::Peer>,
    /// The store of the leading peer.
    pub(crate) leader: u64,
    /// Whether the leader has asked PD for the time since it became the leader.
    pub(crate) max_ts_synced: bool,
}

/// A region's peers never change, so neither does their version.
pub(crate) const CONF_VERSION: u64 = 1;

impl Region {
    pub(crate) fn meta(&self) -> metapb::Region {
        metapb::Region {
            id: self.id,
            start_key: self.range.start.clone(),
            end_key: self.range.end.clone(),
            region_epoch: Some(self.epoch()),
            peers: self.peers.clone(),
            ..metapb::Region::default()
        }
    }

    pub(crate) fn epoch(&self) -> metapb::RegionEpoch {
        metapb::RegionEpoch { conf_ver: CONF_VERSION, version: self.version, ..metapb::RegionEpoch::default() }
    }

    /// Makes another store the leader. It does not know what was read from the previous one.
    pub(crate) fn lead_by(&mut self, store: u64) {
        if self.leader != store {
            self.leader = store;
            self.max_ts_synced = false;
        }
    }

    pub(crate) fn leader_peer(&self) -> Option<metapb::Peer> {
        self.peers.iter().find(|peer| peer.store_id == self.leader).cloned()
    }
}
