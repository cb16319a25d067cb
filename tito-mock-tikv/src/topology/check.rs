//! Whether a request went to the right region at the right store.
use super::{Region, Topology};
use crate::codec;
use tito_tikv_proto::errorpb::{self, EpochNotMatch, KeyNotInRegion, NotLeader, RegionNotFound, StoreNotMatch};
use tito_tikv_proto::kvrpcpb::Context;

/// A store's answer instead of a result. Boxed, because it is large and rare.
pub(crate) type RegionError = Box<errorpb::Error>;

/// How the keys of a request compare with region boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// They are encoded first, like transactional keys.
    Encoded,
    /// They are compared as they are.
    Plain,
}

impl KeyForm {
    pub(crate) fn to_boundary(self, key: &[u8]) -> Vec<u8> {
        match self {
            KeyForm::Encoded => codec::encode(key),
            KeyForm::Plain => key.to_vec(),
        }
    }
}

impl Topology {
    /// The region that a request is for, if this store leads it and the client knows its boundaries. The checks follow
    /// TiKV's order, since a client recovers from each error in a different way.
    pub(crate) fn check(&self, store_id: u64, context: &Context) -> Result<&Region, RegionError> {
        let asked_store = context.peer.as_ref().map_or(0, |peer| peer.store_id);
        if asked_store != store_id {
            return Err(store_not_match(asked_store, store_id));
        }
        let region = self.region(context.region_id).ok_or_else(|| region_not_found(context.region_id))?;
        if region.leader != store_id {
            return Err(not_leader(region.id, region));
        }
        // Compare the numbers only: anything that a newer client adds to them is not the region's.
        let asked = context.region_epoch.as_ref().map(|epoch| (epoch.conf_ver, epoch.version));
        let epoch = region.epoch();
        if asked != Some((epoch.conf_ver, epoch.version)) {
            return Err(self.epoch_not_match(region, asked.map_or(0, |(_, version)| version)));
        }
        Ok(region)
    }

    /// Describes the region as it is now, and what was split off since the client's version.
    pub(crate) fn epoch_not_match(&self, region: &Region, client_version: u64) -> RegionError {
        let mut current_regions = vec![region.meta()];
        let mut start = region.range.start.clone();
        // A region that is split keeps the right part, so its former parts lie to its left.
        while let Some(left) = self.left_of(&start).filter(|left| client_version < left.version) {
            current_regions.push(left.meta());
            start.clone_from(&left.range.start);
        }
        Box::new(errorpb::Error {
            message: format!("epoch of region {} is {:?}", region.id, region.epoch()),
            epoch_not_match: Some(EpochNotMatch { current_regions, ..EpochNotMatch::default() }),
            ..errorpb::Error::default()
        })
    }
}

impl Region {
    /// Whether the region holds all of these keys, and the range up to `end` if there is one; an empty end is the end
    /// of the key space.
    pub(crate) fn check_keys(&self, keys: &[&[u8]], end: Option<&[u8]>, form: KeyForm) -> Result<(), RegionError> {
        if let Some(key) = keys.iter().find(|key| !self.range.contains(&form.to_boundary(key))) {
            return Err(key_not_in_region(key, self));
        }
        match end {
            Some(end) if !self.range.end.is_empty() => {
                let inside = !end.is_empty() && form.to_boundary(end) <= self.range.end;
                if inside { Ok(()) } else { Err(key_not_in_region(end, self)) }
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn store_not_match(request_store_id: u64, actual_store_id: u64) -> RegionError {
    Box::new(errorpb::Error {
        message: format!("store {request_store_id} was asked for, this is store {actual_store_id}"),
        store_not_match: Some(StoreNotMatch { request_store_id, actual_store_id, ..StoreNotMatch::default() }),
        ..errorpb::Error::default()
    })
}

pub(crate) fn region_not_found(region_id: u64) -> RegionError {
    Box::new(errorpb::Error {
        message: format!("region {region_id} is not found"),
        region_not_found: Some(RegionNotFound { region_id, ..RegionNotFound::default() }),
        ..errorpb::Error::default()
    })
}

fn not_leader(region_id: u64, region: &Region) -> RegionError {
    Box::new(errorpb::Error {
        message: format!("region {region_id} is led by store {}", region.leader),
        not_leader: Some(NotLeader { region_id, leader: region.leader_peer(), ..NotLeader::default() }),
        ..errorpb::Error::default()
    })
}

pub(crate) fn key_not_in_region(key: &[u8], region: &Region) -> RegionError {
    Box::new(errorpb::Error {
        message: format!("key {} is not in region {}", key.escape_ascii(), region.id),
        key_not_in_region: Some(KeyNotInRegion {
            key: key.to_vec(),
            region_id: region.id,
            start_key: region.range.start.clone(),
            end_key: region.range.end.clone(),
            ..KeyNotInRegion::default()
        }),
        ..errorpb::Error::default()
    })
}
