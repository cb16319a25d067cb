//! PD's calls.
use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::message::{PdRequest, PdResponse};
use super::tso::TsoStream;
use crate::listener::Connections;
use crate::shared::{Shared, Verdict};
use crate::topology::{Region as HeldRegion, Topology};
use crate::{Fault, Rpc};
use tito_tikv_proto::keyspacepb::keyspace_server::Keyspace;
use tito_tikv_proto::keyspacepb::{LoadKeyspaceRequest, LoadKeyspaceResponse};
use tito_tikv_proto::metapb;
use tito_tikv_proto::pdpb::pd_server::Pd;
use tito_tikv_proto::pdpb::*;

/// One member of PD.
#[derive(Clone)]
pub(crate) struct PdService {
    pub(super) shared: Arc<Shared>,
    /// Its number, from 0.
    pub(super) member: usize,
    connections: Arc<Connections>,
}

/// What a call gives: gRPC's error, or the error in the header, or the response.
type Answer<S> = Result<Result<S, Error>, Status>;

pub(super) fn no_leader() -> Status {
    Status::unavailable("not leader")
}

impl PdService {
    pub(crate) fn new(shared: Arc<Shared>, member: usize, connections: Arc<Connections>) -> Self {
        PdService { shared, member, connections }
    }

    /// The way of every call but that for the members: faults, whether this member leads, whether the client means this
    /// cluster, and then what is asked.
    pub(super) async fn serve<Q: PdRequest>(
        &self,
        rpc: Rpc,
        request: Request<Q>,
        answer: impl FnOnce(&Shared, Q) -> Answer<Q::Response>,
    ) -> Result<Response<Q::Response>, Status> {
        let verdict = self.shared.arrive(rpc, &[], &self.connections).await?;
        if *self.shared.pd.leader.borrow() != Some(self.member) {
            return Err(no_leader());
        }
        let request = request.into_inner();
        let (asked, here) = (request.cluster_id(), self.shared.pd.cluster_id);
        if asked != here {
            return Err(Status::failed_precondition(format!("mismatch cluster id, need {here} but got {asked}")));
        }
        let answered = match &verdict {
            Verdict::Answer(Fault::NoLeader) => return Err(no_leader()),
            Verdict::Answer(_) => Err(error(ErrorType::Unknown, "the mock cluster was told to fail".to_owned())),
            Verdict::Proceed | Verdict::DropResponse | Verdict::Repeat(_) => answer(&self.shared, request)?,
        };
        let (mut response, error) = match answered {
            Ok(response) => (response, None),
            Err(error) => (Q::Response::default(), Some(error)),
        };
        response.set_header(self.shared.pd.header(error));
        verdict.finish(response)
    }

    async fn region(
        &self,
        rpc: Rpc,
        request: Request<GetRegionRequest>,
        find: impl for<'a> FnOnce(&'a Topology, &[u8]) -> Option<&'a HeldRegion>,
    ) -> Result<Response<GetRegionResponse>, Status> {
        self.serve(rpc, request, |shared, request| {
            Ok(Ok(region_response(find(&shared.topology(), &request.region_key))))
        })
        .await
    }
}

fn error(kind: ErrorType, message: String) -> Error {
    Error { r#type: kind.into(), message }
}

/// PD answers with an empty response if there is no such region.
fn region_response(region: Option<&HeldRegion>) -> GetRegionResponse {
    GetRegionResponse {
        header: None,
        region: region.map(HeldRegion::meta),
        leader: region.and_then(HeldRegion::leader_peer),
        ..GetRegionResponse::default()
    }
}

fn scan_regions(topology: &Topology, request: &ScanRegionsRequest) -> ScanRegionsResponse {
    // PD takes a limit that is not positive for none.
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let wanted = topology
        .regions_from(&request.start_key)
        .take_while(|region| request.end_key.is_empty() || region.range.start < request.end_key)
        .take(limit);
    let mut response = ScanRegionsResponse::default();
    for region in wanted {
        let (meta, leader) = (region.meta(), region.leader_peer());
        response.region_metas.push(meta.clone());
        response.leaders.push(leader.unwrap_or_default());
        response.regions.push(Region { region: Some(meta), leader, ..Region::default() });
    }
    response
}

#[tonic::async_trait]
impl Pd for PdService {
    type TsoStream = TsoStream;

    /// Answered by every member and without asking for the cluster, as it is how clients learn of both.
    async fn get_members(&self, _: Request<GetMembersRequest>) -> Result<Response<GetMembersResponse>, Status> {
        let verdict = self.shared.arrive(Rpc::GetMembers, &[], &self.connections).await?;
        let leader = *self.shared.pd.leader.borrow();
        let mut response = self.shared.pd.get_members(leader);
        match &verdict {
            Verdict::Answer(Fault::NoLeader) => response.leader = None,
            Verdict::Answer(_) => {
                let error = error(ErrorType::Unknown, "the mock cluster was told to fail".to_owned());
                response.header = Some(self.shared.pd.header(Some(error)));
            }
            Verdict::Proceed | Verdict::DropResponse | Verdict::Repeat(_) => {}
        }
        verdict.finish(response)
    }

    async fn tso(&self, requests: Request<Streaming<TsoRequest>>) -> Result<Response<Self::TsoStream>, Status> {
        Ok(Response::new(self.answer_tso(requests)))
    }

    async fn is_bootstrapped(
        &self,
        request: Request<IsBootstrappedRequest>,
    ) -> Result<Response<IsBootstrappedResponse>, Status> {
        self.serve(Rpc::IsBootstrapped, request, |_, _| {
            Ok(Ok(IsBootstrappedResponse { bootstrapped: true, ..IsBootstrappedResponse::default() }))
        })
        .await
    }

    async fn alloc_id(&self, request: Request<AllocIdRequest>) -> Result<Response<AllocIdResponse>, Status> {
        self.serve(Rpc::AllocId, request, |shared, _| {
            Ok(Ok(AllocIdResponse { id: shared.topology_mut().allocate_id(), ..AllocIdResponse::default() }))
        })
        .await
    }

    async fn get_region(&self, request: Request<GetRegionRequest>) -> Result<Response<GetRegionResponse>, Status> {
        self.region(Rpc::GetRegion, request, |topology, key| topology.region_of(key)).await
    }

    async fn get_prev_region(&self, request: Request<GetRegionRequest>) -> Result<Response<GetRegionResponse>, Status> {
        self.region(Rpc::GetPrevRegion, request, |topology, key| {
            topology.left_of(&topology.region_of(key)?.range.start)
        })
        .await
    }

    async fn get_region_by_id(
        &self,
        request: Request<GetRegionByIdRequest>,
    ) -> Result<Response<GetRegionResponse>, Status> {
        self.serve(Rpc::GetRegionById, request, |shared, request| {
            Ok(Ok(region_response(shared.topology().region(request.region_id))))
        })
        .await
    }

    async fn scan_regions(
        &self,
        request: Request<ScanRegionsRequest>,
    ) -> Result<Response<ScanRegionsResponse>, Status> {
        self.serve(Rpc::ScanRegions, request, |shared, request| Ok(Ok(scan_regions(&shared.topology(), &request))))
            .await
    }

    async fn get_store(&self, request: Request<GetStoreRequest>) -> Result<Response<GetStoreResponse>, Status> {
        self.serve(Rpc::GetStore, request, |shared, request| {
            let id = request.store_id;
            Ok(match shared.topology().store_meta(id) {
                Some(store) => Ok(GetStoreResponse { store: Some(store), ..GetStoreResponse::default() }),
                None => Err(error(ErrorType::Unknown, format!("invalid store ID {id}, not found"))),
            })
        })
        .await
    }

    async fn get_all_stores(
        &self,
        request: Request<GetAllStoresRequest>,
    ) -> Result<Response<GetAllStoresResponse>, Status> {
        self.serve(Rpc::GetAllStores, request, |shared, _| {
            Ok(Ok(GetAllStoresResponse { header: None, stores: shared.topology().store_metas() }))
        })
        .await
    }

    async fn get_cluster_config(
        &self,
        request: Request<GetClusterConfigRequest>,
    ) -> Result<Response<GetClusterConfigResponse>, Status> {
        self.serve(Rpc::GetClusterConfig, request, |shared, _| {
            let max_peer_count = shared.topology().store_metas().len() as u32;
            let cluster = Some(metapb::Cluster { id: shared.pd.cluster_id, max_peer_count });
            Ok(Ok(GetClusterConfigResponse { header: None, cluster }))
        })
        .await
    }

    async fn get_gc_safe_point(
        &self,
        request: Request<GetGcSafePointRequest>,
    ) -> Result<Response<GetGcSafePointResponse>, Status> {
        self.serve(Rpc::GetGcSafePoint, request, |shared, _| {
            Ok(Ok(GetGcSafePointResponse { header: None, safe_point: shared.pd.safe_points().gc() }))
        })
        .await
    }

    async fn update_gc_safe_point(
        &self,
        request: Request<UpdateGcSafePointRequest>,
    ) -> Result<Response<UpdateGcSafePointResponse>, Status> {
        self.serve(Rpc::UpdateGcSafePoint, request, |shared, request| {
            let mut points = shared.pd.safe_points();
            if points.update_gc(request.safe_point) {
                shared.storage.collect_garbage(request.safe_point);
            }
            Ok(Ok(UpdateGcSafePointResponse { header: None, new_safe_point: points.gc() }))
        })
        .await
    }

    async fn update_service_gc_safe_point(
        &self,
        request: Request<UpdateServiceGcSafePointRequest>,
    ) -> Result<Response<UpdateServiceGcSafePointResponse>, Status> {
        self.serve(Rpc::UpdateServiceGcSafePoint, request, |shared, request| {
            let now = (shared.oracle.now() / 1000) as i64;
            let mut points = shared.pd.safe_points();
            let minimum = points.update_service(&request.service_id, request.safe_point, request.ttl, now);
            Ok(Ok(UpdateServiceGcSafePointResponse {
                header: None,
                service_id: minimum.service,
                ttl: minimum.ttl,
                min_safe_point: minimum.safe_point,
            }))
        })
        .await
    }
}

#[tonic::async_trait]
impl Keyspace for PdService {
    async fn load_keyspace(
        &self,
        request: Request<LoadKeyspaceRequest>,
    ) -> Result<Response<LoadKeyspaceResponse>, Status> {
        self.serve(Rpc::LoadKeyspace, request, |shared, request| {
            Ok(match shared.pd.keyspace(&request.name) {
                Some(keyspace) => Ok(LoadKeyspaceResponse { header: None, keyspace: Some(keyspace) }),
                None => Err(error(ErrorType::EntryNotFound, format!("keyspace {} does not exist", request.name))),
            })
        })
        .await
    }
}
