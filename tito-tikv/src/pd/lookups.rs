//! Regions, stores, safe points and keyspaces.
use std::sync::Arc;

use tito_tikv_proto::keyspacepb::keyspace_client::KeyspaceClient;
use tito_tikv_proto::keyspacepb::{KeyspaceMeta, KeyspaceState, LoadKeyspaceRequest, keyspace_meta};
use tito_tikv_proto::{metapb, pdpb};

use super::{Pd, ask, client};
use crate::error::Key;
use crate::{Error, PdFailure, Timestamp};

/// Which region is asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum RegionKey {
    Of(Vec<u8>),
    Before(Vec<u8>),
    Numbered(u64),
}

/// How many regions one answer has at most.
const REGIONS: i32 = 256;

/// A region as PD tells it, with its leader.
pub(crate) type Told = (metapb::Region, Option<metapb::Peer>);

/// A range of encoded keys.
pub(super) type EncodedRange = (Vec<u8>, Vec<u8>);

impl Pd {
    /// The region that has an encoded key.
    pub(crate) async fn region(&self, key: Vec<u8>) -> Result<Told, Error> {
        self.look_up_region(RegionKey::Of(key)).await
    }

    /// The region on the left of the one that has an encoded key.
    pub(crate) async fn previous_region(&self, key: Vec<u8>) -> Result<Told, Error> {
        self.look_up_region(RegionKey::Before(key)).await
    }

    /// The region with a number.
    pub(crate) async fn region_by_id(&self, id: u64) -> Result<Told, Error> {
        self.look_up_region(RegionKey::Numbered(id)).await
    }

    /// The regions of a range of encoded keys, so many at most. What is known of them only; there may be gaps.
    pub(crate) async fn regions(&self, start: Vec<u8>, end: Vec<u8>) -> Result<Vec<Told>, Error> {
        let (members, limit, header) = (self.members.clone(), self.limit, self.header());
        let range = (start.clone(), end.clone());
        let look_up = || async move {
            let request = pdpb::ScanRegionsRequest {
                header,
                start_key: start,
                limit: REGIONS,
                end_key: end,
                ..Default::default()
            };
            let call = |connection| async move { client(connection).scan_regions(request).await };
            let told = ask(&members, limit, call).await?.regions;
            Ok(Arc::new(told.into_iter().filter_map(|told| Some((told.region?, told.leader))).collect::<Vec<Told>>()))
        };
        let found = self.ranges.get(range, look_up).await;
        found.map(|told| told.to_vec()).map_err(|source| Error::Pd { asked: "the regions of a range", source })
    }

    async fn look_up_region(&self, wanted: RegionKey) -> Result<Told, Error> {
        let (members, limit, header, asked) = (self.members.clone(), self.limit, self.header(), wanted.clone());
        let look_up = || async move {
            let found = ask(&members, limit, |connection| {
                let mut client = client(connection);
                async move {
                    let by_key = |region_key| pdpb::GetRegionRequest {
                        header: header.clone(),
                        region_key,
                        need_buckets: false,
                        ..Default::default()
                    };
                    match asked {
                        RegionKey::Of(key) => client.get_region(by_key(key)).await,
                        RegionKey::Before(key) => client.get_prev_region(by_key(key)).await,
                        RegionKey::Numbered(region_id) => {
                            let header = header.clone();
                            let request = pdpb::GetRegionByIdRequest { header, region_id, ..Default::default() };
                            client.get_region_by_id(request).await
                        }
                    }
                }
            });
            found.await.map(Arc::new)
        };
        let found = self.regions.get(wanted.clone(), look_up).await;
        // PD answers without a region if it has none. That is not an answer: every key is in one.
        let found = found.and_then(|response| match &response.region {
            Some(region) => Ok((region.clone(), response.leader.clone())),
            None => Err(match &wanted {
                RegionKey::Of(key) | RegionKey::Before(key) => PdFailure::NoRegion(Key::from(key.as_slice())),
                RegionKey::Numbered(id) => PdFailure::Answer(format!("there is no region {id}")),
            }),
        });
        found.map_err(|source| Error::Pd { asked: "a region", source })
    }

    /// The address of a store.
    pub(crate) async fn store_address(&self, store_id: u64) -> Result<String, Error> {
        let (members, limit, header) = (self.members.clone(), self.limit, self.header());
        let look_up = || async move {
            let request = pdpb::GetStoreRequest { header, store_id, ..Default::default() };
            let call = |connection| async move { client(connection).get_store(request).await };
            let store = ask(&members, limit, call).await?.store;
            match store.filter(|store| store.state() != metapb::StoreState::Tombstone) {
                Some(store) => Ok(store.address),
                None => Err(PdFailure::Answer(format!("store {store_id} is no more"))),
            }
        };
        let found = self.stores.get(store_id, look_up).await;
        found.map_err(|source| Error::Pd { asked: "a store", source })
    }

    /// The stores that there are, without those that are gone for good.
    pub(crate) async fn all_stores(&self) -> Result<Vec<metapb::Store>, Error> {
        let request =
            pdpb::GetAllStoresRequest { header: self.header(), exclude_tombstone_stores: true, ..Default::default() };
        let call = |connection| async move { client(connection).get_all_stores(request).await };
        let found = ask(&self.members, self.limit, call).await;
        let stores = found.map_err(|source| Error::Pd { asked: "the stores", source })?.stores;
        // Older members don't know that tombstones are not wanted.
        Ok(stores.into_iter().filter(|store| store.state() != metapb::StoreState::Tombstone).collect())
    }

    /// The safe point of garbage collection.
    pub(crate) async fn gc_safe_point(&self) -> Result<Timestamp, Error> {
        let request = pdpb::GetGcSafePointRequest { header: self.header(), ..Default::default() };
        let call = |connection| async move { client(connection).get_gc_safe_point(request).await };
        let found = ask(&self.members, self.limit, call).await;
        let found = found.map_err(|source| Error::Pd { asked: "the safe point", source })?;
        Ok(Timestamp::from_raw(found.safe_point))
    }

    /// Moves the safe point of garbage collection, and returns the one that holds then.
    pub(crate) async fn move_gc_safe_point(&self, to: Timestamp) -> Result<Timestamp, Error> {
        let request =
            pdpb::UpdateGcSafePointRequest { header: self.header(), safe_point: to.raw(), ..Default::default() };
        let call = |connection| async move { client(connection).update_gc_safe_point(request).await };
        let moved = ask(&self.members, self.limit, call).await;
        let moved = moved.map_err(|source| Error::Pd { asked: "a later safe point", source })?;
        Ok(Timestamp::from_raw(moved.new_safe_point))
    }

    /// Sets or renews a service's safe point for some seconds, or with none removes it. Returns the lowest of all.
    pub(crate) async fn service_safe_point(
        &self,
        service: &str,
        at: Timestamp,
        seconds: i64,
    ) -> Result<Timestamp, Error> {
        let request = pdpb::UpdateServiceGcSafePointRequest {
            header: self.header(),
            service_id: service.as_bytes().to_vec(),
            ttl: seconds,
            safe_point: at.raw(),
            ..Default::default()
        };
        let call = |connection| async move { client(connection).update_service_gc_safe_point(request).await };
        let set = ask(&self.members, self.limit, call).await;
        let set = set.map_err(|source| Error::Pd { asked: "a service's safe point", source })?;
        Ok(Timestamp::from_raw(set.min_safe_point))
    }

    /// The number of a keyspace that can be used.
    pub(crate) async fn keyspace(&self, name: &str) -> Result<u32, Error> {
        let request =
            LoadKeyspaceRequest { header: self.header(), name: name.to_owned(), ..LoadKeyspaceRequest::default() };
        let call = |connection| async move { KeyspaceClient::new(connection).load_keyspace(request).await };
        let found = ask(&self.members, self.limit, call).await;
        let found = match found {
            Err(PdFailure::NotFound(reason)) => return Err(Error::Invalid { what: "keyspace", reason }),
            found => found.map_err(|source| Error::Pd { asked: "a keyspace", source })?,
        };
        let number = |meta: KeyspaceMeta| match (meta.state(), meta.keyspace) {
            (KeyspaceState::Enabled, Some(keyspace_meta::Keyspace::Id(id))) => Ok(id),
            // The number 0 is not written.
            (KeyspaceState::Enabled, None) => Ok(0),
            (state, _) => Err(Error::Invalid {
                what: "keyspace",
                reason: format!("expected {name} to be enabled, found {state:?}"),
            }),
        };
        let missing = || Error::Invalid { what: "keyspace", reason: format!("there is none with the name {name}") };
        found.keyspace.map_or_else(|| Err(missing()), number)
    }
}
