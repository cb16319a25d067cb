//! The calls that the client does not make.
#![allow(clippy::unwrap_used)]
use std::net::SocketAddr;
use std::sync::Arc;

use tonic::{Code, Request};

use super::PdService;
use crate::pd_state::{Oracle, PdState};
use crate::shared::{Settings, Shared};
use crate::topology::Topology;
use tito_tikv_proto::pdpb::pd_server::Pd;
use tito_tikv_proto::pdpb::*;

/// One of two members, with regions that begin at `c` and `m`.
fn service(member: usize) -> PdService {
    let settings = Settings::default();
    let mut topology = Topology::new(&[SocketAddr::from(([127, 0, 0, 1], 1))], settings.version);
    topology.split_at(b"c".to_vec());
    topology.split_at(b"m".to_vec());
    let pd = PdState::new(vec!["http://one".to_owned(), "http://two".to_owned()], Vec::new(), settings.version, 7);
    let shared = Shared::new(settings, topology, Oracle::new(Arc::new(|| 50_000)), pd);
    PdService::new(Arc::new(shared), member, Arc::default())
}

fn header(service: &PdService) -> Option<RequestHeader> {
    Some(RequestHeader { cluster_id: service.shared.pd.cluster_id, ..RequestHeader::default() })
}

#[tokio::test]
async fn members_are_told_by_each_and_without_the_clusters_number() {
    let members = service(1).get_members(Request::new(GetMembersRequest::default())).await.unwrap().into_inner();
    assert_eq!(members.members.len(), 2);
    assert_eq!(members.leader.unwrap().client_urls, ["http://one"]);
}

#[tokio::test]
async fn a_request_for_another_cluster_is_refused() {
    let service = service(0);
    let header = Some(RequestHeader { cluster_id: 7, ..RequestHeader::default() });
    let refused = service
        .is_bootstrapped(Request::new(IsBootstrappedRequest { header, ..IsBootstrappedRequest::default() }))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("mismatch cluster id"), "{refused}");
}

#[tokio::test]
async fn a_member_that_does_not_lead_is_unavailable() {
    let service = service(1);
    let request = Request::new(IsBootstrappedRequest { header: header(&service), ..IsBootstrappedRequest::default() });
    assert_eq!(service.is_bootstrapped(request).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn regions_are_found_by_key_by_number_and_by_their_right_neighbour() {
    let service = service(0);
    let header = header(&service);
    let at = |key: &[u8]| {
        Request::new(GetRegionRequest { header: header.clone(), region_key: key.to_vec(), ..Default::default() })
    };
    let middle = service.get_region(at(b"d")).await.unwrap().into_inner().region.unwrap();
    assert_eq!((middle.start_key.as_slice(), middle.end_key.as_slice()), (&b"c"[..], &b"m"[..]));
    let by_number =
        Request::new(GetRegionByIdRequest { header: header.clone(), region_id: middle.id, ..Default::default() });
    assert_eq!(service.get_region_by_id(by_number).await.unwrap().into_inner().region, Some(middle.clone()));
    assert_eq!(service.get_prev_region(at(b"z")).await.unwrap().into_inner().region, Some(middle));
    assert_eq!(service.get_prev_region(at(b"a")).await.unwrap().into_inner().region, None);
    let unknown = Request::new(GetRegionByIdRequest { header: header.clone(), region_id: 999, ..Default::default() });
    assert_eq!(service.get_region_by_id(unknown).await.unwrap().into_inner().region, None);
}

#[tokio::test]
async fn a_scan_of_regions_begins_at_that_of_its_key_and_ends_at_the_limit_or_the_end() {
    let service = service(0);
    let starts = async |start: &[u8], end: &[u8], limit: i32| -> Vec<Vec<u8>> {
        let request = ScanRegionsRequest {
            header: header(&service),
            start_key: start.to_vec(),
            end_key: end.to_vec(),
            limit,
            ..ScanRegionsRequest::default()
        };
        let regions = service.scan_regions(Request::new(request)).await.unwrap().into_inner().regions;
        regions.into_iter().map(|region| region.region.unwrap().start_key).collect()
    };
    assert_eq!(starts(b"", b"", 0).await, [&b""[..], b"c", b"m"]);
    assert_eq!(starts(b"d", b"", 0).await, [b"c", b"m"]);
    assert_eq!(starts(b"a", b"m", 0).await, [&b""[..], b"c"]);
    assert_eq!(starts(b"", b"", 2).await, [&b""[..], b"c"]);
}

#[tokio::test]
async fn numbers_are_given_out_once_and_stores_and_the_configuration_are_told() {
    let service = service(0);
    let header = header(&service);
    let first = service
        .alloc_id(Request::new(AllocIdRequest { header: header.clone(), ..Default::default() }))
        .await
        .unwrap()
        .into_inner()
        .id;
    let second = service
        .alloc_id(Request::new(AllocIdRequest { header: header.clone(), ..Default::default() }))
        .await
        .unwrap()
        .into_inner()
        .id;
    assert!(first < second);

    let store = service
        .get_store(Request::new(GetStoreRequest { header: header.clone(), store_id: 1, ..GetStoreRequest::default() }))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(store.store.unwrap().address, "127.0.0.1:1");
    let missing = service
        .get_store(Request::new(GetStoreRequest { header: header.clone(), store_id: 9, ..GetStoreRequest::default() }))
        .await
        .unwrap()
        .into_inner();
    assert!(missing.header.unwrap().error.unwrap().message.contains("invalid store ID 9"));

    let request = Request::new(GetClusterConfigRequest { header, ..GetClusterConfigRequest::default() });
    let cluster = service.get_cluster_config(request).await.unwrap().into_inner().cluster.unwrap();
    assert_eq!((cluster.id, cluster.max_peer_count), (service.shared.pd.cluster_id, 1));
}

#[tokio::test]
async fn the_safe_point_of_a_service_expires_by_the_clusters_clock() {
    let service = service(0);
    let update = async |safe_point: u64, ttl: i64| {
        let request = UpdateServiceGcSafePointRequest {
            header: header(&service),
            service_id: b"backup".to_vec(),
            ttl,
            safe_point,
            ..UpdateServiceGcSafePointRequest::default()
        };
        service.update_service_gc_safe_point(Request::new(request)).await.unwrap().into_inner()
    };
    let answer = update(10, 60).await;
    assert_eq!((answer.service_id.as_slice(), answer.min_safe_point), (&b"gc_worker"[..], 0));
    assert_eq!(service.shared.pd.safe_points().gc(), 0);
}
