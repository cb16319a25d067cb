//! PD's calls.
use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::message::{PdRequest, PdResponse};
use super::regions::{QueryStream, region_response, scan_regions};
use super::tso::TsoStream;
use super::{gc, regions};
use crate::listener::Connections;
use crate::shared::{Shared, Verdict};
use crate::topology::{Region as HeldRegion, Topology};
use crate::{Fault, Rpc};
use tito_tikv_proto::keyspacepb::keyspace_server::Keyspace;
use tito_tikv_proto::keyspacepb::{
    GetAllKeyspacesRequest, GetAllKeyspacesResponse, LoadKeyspaceRequest, LoadKeyspaceResponse,
    get_all_keyspaces_request,
};
use tito_tikv_proto::metapb;
use tito_tikv_proto::pdpb::pd_server::Pd;
use tito_tikv_proto::pdpb::*;

/// One member of PD.
#[derive(Clone)]
pub(crate) struct PdService {
    pub(super) shared: Arc<Shared>,
    /// Its number, counted from 0.
    pub(super) member: usize,
    connections: Arc<Connections>,
}

/// The result of a call: gRPC's error, or the error in the header, or the response.
pub(super) type Answer<S> = Result<Result<S, Error>, Status>;

pub(super) fn no_leader() -> Status {
    Status::unavailable("not leader")
}

impl PdService {
    pub(crate) fn new(shared: Arc<Shared>, member: usize, connections: Arc<Connections>) -> Self {
        PdService { shared, member, connections }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Handles every call except the one for the members: faults, whether this member leads, whether the client means
    /// this cluster, and then the request itself.
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
    Error { r#type: kind.into(), message, ..Error::default() }
}

/// A failure that the header reports.
pub(super) fn failed(message: String) -> Error {
    error(ErrorType::Unknown, message)
}

#[tonic::async_trait]
impl Pd for PdService {
    type TsoStream = TsoStream;

    /// Every member answers this without checking the cluster, since this is how clients learn of both.
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
        self.serve(Rpc::AllocId, request, |shared, request| {
            let count = request.count.max(1);
            let mut topology = shared.topology_mut();
            let id = (0..count).map(|_| topology.allocate_id()).last().unwrap_or_default();
            Ok(Ok(AllocIdResponse { id, count, ..AllocIdResponse::default() }))
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
            Ok(Ok(GetAllStoresResponse {
                header: None,
                stores: shared.topology().store_metas(),
                ..GetAllStoresResponse::default()
            }))
        })
        .await
    }

    async fn get_cluster_config(
        &self,
        request: Request<GetClusterConfigRequest>,
    ) -> Result<Response<GetClusterConfigResponse>, Status> {
        self.serve(Rpc::GetClusterConfig, request, |shared, _| {
            let max_peer_count = shared.topology().store_metas().len() as u32;
            let cluster =
                Some(metapb::Cluster { id: shared.pd.cluster_id, max_peer_count, ..metapb::Cluster::default() });
            Ok(Ok(GetClusterConfigResponse { header: None, cluster, ..GetClusterConfigResponse::default() }))
        })
        .await
    }

    async fn get_gc_safe_point(
        &self,
        request: Request<GetGcSafePointRequest>,
    ) -> Result<Response<GetGcSafePointResponse>, Status> {
        self.serve(Rpc::GetGcSafePoint, request, |shared, _| {
            Ok(Ok(GetGcSafePointResponse {
                header: None,
                safe_point: shared.pd.safe_points().gc(),
                ..GetGcSafePointResponse::default()
            }))
        })
        .await
    }

    async fn update_gc_safe_point(
        &self,
        request: Request<UpdateGcSafePointRequest>,
    ) -> Result<Response<UpdateGcSafePointResponse>, Status> {
        self.serve(Rpc::UpdateGcSafePoint, request, |shared, request| gc::update_gc(shared, &request)).await
    }

    async fn update_service_gc_safe_point(
        &self,
        request: Request<UpdateServiceGcSafePointRequest>,
    ) -> Result<Response<UpdateServiceGcSafePointResponse>, Status> {
        self.serve(Rpc::UpdateServiceGcSafePoint, request, |shared, request| gc::update_service(shared, &request)).await
    }

    async fn batch_scan_regions(
        &self,
        request: Request<BatchScanRegionsRequest>,
    ) -> Result<Response<BatchScanRegionsResponse>, Status> {
        self.serve(Rpc::BatchScanRegions, request, |shared, request| {
            regions::batch_scan_regions(&shared.topology(), &request)
        })
        .await
    }

    async fn scatter_region(
        &self,
        request: Request<ScatterRegionRequest>,
    ) -> Result<Response<ScatterRegionResponse>, Status> {
        self.serve(Rpc::ScatterRegion, request, |shared, request| regions::scatter(&shared.topology(), &request)).await
    }

    async fn split_regions(
        &self,
        request: Request<SplitRegionsRequest>,
    ) -> Result<Response<SplitRegionsResponse>, Status> {
        self.serve(Rpc::SplitRegions, request, regions::split_regions).await
    }

    async fn advance_gc_safe_point(
        &self,
        request: Request<AdvanceGcSafePointRequest>,
    ) -> Result<Response<AdvanceGcSafePointResponse>, Status> {
        self.serve(Rpc::AdvanceGcSafePoint, request, |shared, request| gc::advance_gc(shared, &request)).await
    }

    async fn advance_txn_safe_point(
        &self,
        request: Request<AdvanceTxnSafePointRequest>,
    ) -> Result<Response<AdvanceTxnSafePointResponse>, Status> {
        self.serve(Rpc::AdvanceTxnSafePoint, request, |shared, request| gc::advance_transactions(shared, &request))
            .await
    }

    async fn set_gc_barrier(
        &self,
        request: Request<SetGcBarrierRequest>,
    ) -> Result<Response<SetGcBarrierResponse>, Status> {
        self.serve(Rpc::SetGcBarrier, request, |shared, request| gc::set_barrier(shared, &request)).await
    }

    async fn delete_gc_barrier(
        &self,
        request: Request<DeleteGcBarrierRequest>,
    ) -> Result<Response<DeleteGcBarrierResponse>, Status> {
        self.serve(Rpc::DeleteGcBarrier, request, |shared, request| gc::delete_barrier(shared, &request)).await
    }

    async fn get_gc_state(&self, request: Request<GetGcStateRequest>) -> Result<Response<GetGcStateResponse>, Status> {
        self.serve(Rpc::GetGcState, request, |shared, request| {
            let state = gc::state(shared, request.keyspace_scope, request.exclude_gc_barriers);
            Ok(Ok(GetGcStateResponse { gc_state: Some(state), ..Default::default() }))
        })
        .await
    }

    async fn get_all_keyspaces_gc_states(
        &self,
        request: Request<GetAllKeyspacesGcStatesRequest>,
    ) -> Result<Response<GetAllKeyspacesGcStatesResponse>, Status> {
        self.serve(Rpc::GetAllKeyspacesGcStates, request, |shared, request| {
            let state = gc::state(shared, None, request.exclude_gc_barriers);
            Ok(Ok(GetAllKeyspacesGcStatesResponse { gc_states: vec![state], ..Default::default() }))
        })
        .await
    }

    /// No timestamp below this one will be given out any more; here just the next one.
    async fn get_min_ts(&self, request: Request<GetMinTsRequest>) -> Result<Response<GetMinTsResponse>, Status> {
        self.serve(Rpc::GetMinTs, request, |shared, _| {
            let next = shared.oracle.next(1).ok_or_else(|| Status::internal("one timestamp can be given"))?;
            let timestamp = Timestamp {
                physical: next.physical as i64,
                logical: next.logical as i64,
                suffix_bits: 0,
                ..Timestamp::default()
            };
            Ok(Ok(GetMinTsResponse { timestamp: Some(timestamp), ..Default::default() }))
        })
        .await
    }

    type QueryRegionStream = QueryStream;

    async fn query_region(
        &self,
        requests: Request<Streaming<QueryRegionRequest>>,
    ) -> Result<Response<QueryStream>, Status> {
        Ok(Response::new(self.answer_queries(requests.into_inner())))
    }

    /// Every member answers this without checking the cluster.
    async fn get_cluster_info(
        &self,
        _: Request<GetClusterInfoRequest>,
    ) -> Result<Response<GetClusterInfoResponse>, Status> {
        let verdict = self.shared.arrive(Rpc::GetClusterInfo, &[], &self.connections).await?;
        let mut response = GetClusterInfoResponse {
            header: Some(self.shared.pd.header(None)),
            service_modes: vec![ServiceMode::PdSvcMode.into()],
            ..GetClusterInfoResponse::default()
        };
        match &verdict {
            Verdict::Answer(Fault::NoLeader) => return Err(no_leader()),
            Verdict::Answer(_) => {
                let error = failed("the mock cluster was told to fail".to_owned());
                response.header = Some(self.shared.pd.header(Some(error)));
            }
            Verdict::Proceed | Verdict::DropResponse | Verdict::Repeat(_) => {}
        }
        verdict.finish(response)
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
                Some(keyspace) => Ok(LoadKeyspaceResponse {
                    header: None,
                    keyspace: Some(keyspace),
                    ..LoadKeyspaceResponse::default()
                }),
                None => Err(error(ErrorType::EntryNotFound, format!("keyspace {} does not exist", request.name))),
            })
        })
        .await
    }

    async fn get_all_keyspaces(
        &self,
        request: Request<GetAllKeyspacesRequest>,
    ) -> Result<Response<GetAllKeyspacesResponse>, Status> {
        self.serve(Rpc::GetAllKeyspaces, request, |shared, request| {
            let first = match request.start_keyspace {
                Some(get_all_keyspaces_request::StartKeyspace::StartId(id)) => id,
                _ => 0,
            };
            let keyspaces = shared.pd.keyspaces_from(first, request.limit);
            Ok(Ok(GetAllKeyspacesResponse { keyspaces, ..Default::default() }))
        })
        .await
    }
}
