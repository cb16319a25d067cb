//! What PD says about regions, for users who need to know where keys are.
use std::sync::Arc;

use super::Client;
use super::core::{Core, Deadline};
use super::snapshot::Tries;
use crate::region::Region;
use crate::{Error, PdFailure, Result};

/// A region: a range of keys that is kept, moved and split as one. Keys are as they are stored, those of a keyspace with
/// what it puts before them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionInfo {
    /// The region's number.
    pub id: u64,
    /// The first key; empty for the beginning of all keys.
    pub start: Vec<u8>,
    /// The key after the last one; empty for the end of all keys.
    pub end: Vec<u8>,
    /// The number of the store that is believed to lead the region.
    pub leader_store: u64,
}

/// Which region is looked for.
enum Wanted {
    Of(Vec<u8>),
    Numbered(u64),
}

impl RegionInfo {
    fn of(region: &Region) -> Self {
        let leader_store = region.leader().store_id;
        RegionInfo { id: region.id, start: region.start.clone(), end: region.end.clone(), leader_store }
    }
}

impl Client {
    /// The region that has a key, from the cache or from PD. It may have changed since.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`] with [`Error::Pd`] if it could not be looked up within the call deadline.
    pub async fn region_of(&self, key: impl AsRef<[u8]>) -> Result<RegionInfo> {
        self.look_up(Wanted::Of(self.core.keyspace.stored(key.as_ref()))).await
    }

    /// The region with a number, as PD says.
    ///
    /// # Errors
    ///
    /// Those of [`region_of`](Self::region_of); a region that does not exist is looked for until the deadline.
    pub async fn region_by_id(&self, id: u64) -> Result<RegionInfo> {
        self.look_up(Wanted::Numbered(id)).await
    }

    async fn look_up(&self, wanted: Wanted) -> Result<RegionInfo> {
        let deadline = Deadline::after("look_up", self.core.settings.call_deadline);
        let mut tries = Tries::new(&self.core, deadline);
        let found = async {
            loop {
                let located = match &wanted {
                    Wanted::Of(key) => self.core.region_of(key).await,
                    Wanted::Numbered(id) => self.core.region_by_id(*id).await,
                };
                if let Some(region) = tries.located(located).await? {
                    return Ok(RegionInfo::of(&region));
                }
            }
        };
        deadline.bound(found).await
    }
}

impl Core {
    async fn region_by_id(&self, id: u64) -> Result<Arc<Region>> {
        let (meta, leader) = self.pd.region_by_id(id).await?;
        let unusable = || Error::Pd {
            asked: "a region",
            source: PdFailure::Answer(format!("region {id} has no peer that can lead")),
        };
        Ok(self.regions.insert(Region::from_meta(&meta, leader.as_ref()).ok_or_else(unusable)?))
    }
}
