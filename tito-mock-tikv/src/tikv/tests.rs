//! What a store answers to requests that the client doesn't make.
#![allow(clippy::unwrap_used)]
use std::net::SocketAddr;
use std::sync::Arc;

use tonic::Request;

use super::StoreService;
use crate::codec;
use crate::pd_state::{Oracle, PdState};
use crate::shared::{Settings, Shared};
use crate::topology::Topology;
use tito_tikv_proto::kvrpcpb::*;
use tito_tikv_proto::tikvpb::tikv_server::Tikv;

fn service() -> (Arc<Shared>, StoreService) {
    service_with(Settings::default())
}

pub(super) fn service_with(settings: Settings) -> (Arc<Shared>, StoreService) {
    let topology = Topology::new(&[SocketAddr::from(([127, 0, 0, 1], 1))], settings.version);
    let pd = PdState::new(Vec::new(), Vec::new(), settings.version, 7);
    let shared = Shared::new(settings, topology, Oracle::new(Arc::new(|| 1)), pd);
    let shared = Arc::new(shared);
    (shared.clone(), StoreService::new(shared, 1, Arc::default()))
}

pub(super) fn context(shared: &Shared, key: &[u8]) -> Option<Context> {
    let topology = shared.topology();
    let region = topology.region_of(&codec::encode(key)).unwrap();
    Some(Context {
        region_id: region.id,
        region_epoch: Some(region.epoch()),
        peer: region.leader_peer(),
        ..Context::default()
    })
}

#[tokio::test]
async fn a_request_without_a_context_is_for_no_store() {
    let (_, service) = service();
    let response = service.kv_get(Request::new(GetRequest::default())).await.unwrap().into_inner();
    assert!(response.region_error.unwrap().store_not_match.is_some());
}

#[tokio::test]
async fn a_region_is_split_at_the_encoded_keys_of_a_request() {
    let (shared, service) = service();
    let split_keys = vec![b"m".to_vec(), b"g".to_vec()];
    let request = SplitRegionRequest { context: context(&shared, b""), split_keys, ..SplitRegionRequest::default() };
    let response = service.split_region(Request::new(request.clone())).await.unwrap().into_inner();
    let starts: Vec<Vec<u8>> = response.regions.into_iter().map(|region| region.start_key).collect();
    assert_eq!(starts, [Vec::new(), codec::encode(b"g"), codec::encode(b"m")]);

    let again = service.split_region(Request::new(request)).await.unwrap().into_inner();
    assert!(again.region_error.unwrap().epoch_not_match.is_some());
    assert_eq!(shared.topology().describe_regions().len(), 3);
}

#[tokio::test]
async fn the_field_of_older_clients_splits_in_two() {
    let (shared, service) = service();
    let split_key = b"m".to_vec();
    let request = SplitRegionRequest { context: context(&shared, b""), split_key, ..SplitRegionRequest::default() };
    let response = service.split_region(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(response.left.unwrap().end_key, response.right.unwrap().start_key);
}

#[tokio::test]
async fn a_range_is_deleted_within_its_region_only() {
    let (shared, service) = service();
    shared.topology_mut().split_at(codec::encode(b"m"));
    let delete = async |end: &[u8]| {
        let request = DeleteRangeRequest {
            context: context(&shared, b"a"),
            start_key: b"a".to_vec(),
            end_key: end.to_vec(),
            ..DeleteRangeRequest::default()
        };
        service.kv_delete_range(Request::new(request)).await.unwrap().into_inner().region_error
    };
    assert_eq!(delete(b"m").await, None);
    assert!(delete(b"n").await.unwrap().key_not_in_region.is_some());
    assert!(delete(b"").await.unwrap().key_not_in_region.is_some());
}
