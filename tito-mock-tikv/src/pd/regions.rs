//! PD's region calls.
use std::collections::HashMap;
use std::pin::Pin;

use futures::stream::{Stream, StreamExt};
use tito_tikv_proto::pdpb::*;
use tonic::{Request, Status, Streaming};

use super::service::{Answer, PdService, failed};
use crate::Rpc;
use crate::shared::Shared;
use crate::topology::{Region as HeldRegion, Topology};

pub(super) type QueryStream = Pin<Box<dyn Stream<Item = Result<QueryRegionResponse, Status>> + Send>>;

/// PD answers with an empty response if there is no such region.
pub(super) fn region_response(region: Option<&HeldRegion>) -> GetRegionResponse {
    GetRegionResponse {
        region: region.map(HeldRegion::meta),
        leader: region.and_then(HeldRegion::leader_peer),
        ..GetRegionResponse::default()
    }
}

/// The regions of a range, up to a limit; PD treats a limit that is not positive as none.
fn regions_in<'a>(topology: &'a Topology, start: &[u8], end: &[u8], limit: i32) -> Vec<&'a HeldRegion> {
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let inside = |region: &&HeldRegion| end.is_empty() || region.range.start.as_slice() < end;
    topology.regions_from(start).take_while(inside).take(limit).collect()
}

fn told(region: &HeldRegion) -> Region {
    Region { region: Some(region.meta()), leader: region.leader_peer(), ..Region::default() }
}

pub(super) fn scan_regions(topology: &Topology, request: &ScanRegionsRequest) -> ScanRegionsResponse {
    let mut response = ScanRegionsResponse::default();
    for region in regions_in(topology, &request.start_key, &request.end_key, request.limit) {
        response.region_metas.push(region.meta());
        response.leaders.push(region.leader_peer().unwrap_or_default());
        response.regions.push(told(region));
    }
    response
}

/// The regions of several ranges, each region once. The ranges must be in order and must not overlap.
pub(super) fn batch_scan_regions(
    topology: &Topology,
    request: &BatchScanRegionsRequest,
) -> Answer<BatchScanRegionsResponse> {
    let in_order =
        request.ranges.windows(2).all(|pair| !pair[0].end_key.is_empty() && pair[0].end_key <= pair[1].start_key);
    let valid = |range: &KeyRange| range.end_key.is_empty() || range.start_key <= range.end_key;
    if !in_order || !request.ranges.iter().all(valid) {
        return Err(Status::unknown("invalid key range: the ranges are not in order and apart"));
    }
    let mut regions: Vec<&HeldRegion> = Vec::new();
    for range in &request.ranges {
        for region in regions_in(topology, &range.start_key, &range.end_key, request.limit) {
            if regions.last().is_none_or(|last| last.id != region.id) {
                regions.push(region);
            }
        }
    }
    if let Ok(limit) = usize::try_from(request.limit)
        && limit > 0
    {
        regions.truncate(limit);
    }
    Ok(Ok(BatchScanRegionsResponse { regions: regions.into_iter().map(told).collect(), ..Default::default() }))
}

/// The regions of some keys, those left of some keys, and those with some numbers (`QueryRegion` of
/// `server/grpc_service.go`).
fn query(topology: &Topology, request: &QueryRegionRequest) -> QueryRegionResponse {
    let mut regions_by_id = HashMap::new();
    let mut note = |region: Option<&HeldRegion>| {
        let id = region.map_or(0, |region| region.id);
        if let Some(region) = region {
            regions_by_id.insert(
                id,
                RegionResponse {
                    region: Some(region.meta()),
                    leader: region.leader_peer(),
                    ..RegionResponse::default()
                },
            );
        }
        id
    };
    let key_id_map = request.keys.iter().map(|key| note(topology.region_of(key))).collect();
    let left = |key: &Vec<u8>| topology.left_of(&topology.region_of(key)?.range.start);
    let prev_key_id_map = request.prev_keys.iter().map(|key| note(left(key))).collect();
    for id in &request.ids {
        note(topology.region(*id));
    }
    QueryRegionResponse { header: None, key_id_map, prev_key_id_map, regions_by_id, ..QueryRegionResponse::default() }
}

impl PdService {
    /// Answers each request of the stream; a failed one ends it.
    pub(super) fn answer_queries(&self, requests: Streaming<QueryRegionRequest>) -> QueryStream {
        let service = self.clone();
        Box::pin(requests.then(move |request| {
            let service = service.clone();
            async move {
                let answer = |shared: &Shared, request: QueryRegionRequest| Ok(Ok(query(&shared.topology(), &request)));
                Ok(service.serve(Rpc::QueryRegion, Request::new(request?), answer).await?.into_inner())
            }
        }))
    }
}

/// Splits regions at encoded keys, and returns the numbers of the new ones.
pub(super) fn split_regions(shared: &Shared, request: SplitRegionsRequest) -> Answer<SplitRegionsResponse> {
    let mut topology = shared.topology_mut();
    let mut regions_id = Vec::new();
    for key in request.split_keys {
        if topology.split_at(key.clone()) {
            regions_id.extend(topology.left_of(&key).map(|region| region.id));
        }
    }
    Ok(Ok(SplitRegionsResponse { finished_percentage: 100, regions_id, ..Default::default() }))
}

/// Moves nothing: leaders stay where a test puts them.
pub(super) fn scatter(topology: &Topology, request: &ScatterRegionRequest) -> Answer<ScatterRegionResponse> {
    let ids = request.regions_id.iter().chain((request.region_id != 0).then_some(&request.region_id));
    let unknown: Vec<u64> = ids.filter(|id| topology.region(**id).is_none()).copied().collect();
    if !unknown.is_empty() {
        return Ok(Err(failed(format!("region {unknown:?} not found"))));
    }
    Ok(Ok(ScatterRegionResponse { finished_percentage: 100, ..Default::default() }))
}
