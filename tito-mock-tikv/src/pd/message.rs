//! What PD's requests and responses have in common: headers.
use tito_tikv_proto::keyspacepb::{
    GetAllKeyspacesRequest, GetAllKeyspacesResponse, LoadKeyspaceRequest, LoadKeyspaceResponse,
};
use tito_tikv_proto::pdpb::*;

pub(super) trait PdRequest: Send {
    type Response: PdResponse;

    /// The cluster that the client believes it is talking to; 0 if it does not say.
    fn cluster_id(&self) -> u64;
}

pub(super) trait PdResponse: Default + Send {
    fn set_header(&mut self, header: ResponseHeader);
}

macro_rules! messages {
    ($($request:ident -> $response:ident,)*) => {$(
        impl PdRequest for $request {
            type Response = $response;

            fn cluster_id(&self) -> u64 {
                self.header.as_ref().map_or(0, |header| header.cluster_id)
            }
        }

        impl PdResponse for $response {
            fn set_header(&mut self, header: ResponseHeader) {
                self.header = Some(header);
            }
        }
    )*};
}

messages! {
    TsoRequest -> TsoResponse,
    IsBootstrappedRequest -> IsBootstrappedResponse,
    AllocIdRequest -> AllocIdResponse,
    GetRegionRequest -> GetRegionResponse,
    ScanRegionsRequest -> ScanRegionsResponse,
    GetStoreRequest -> GetStoreResponse,
    GetAllStoresRequest -> GetAllStoresResponse,
    GetClusterConfigRequest -> GetClusterConfigResponse,
    GetGcSafePointRequest -> GetGcSafePointResponse,
    UpdateGcSafePointRequest -> UpdateGcSafePointResponse,
    UpdateServiceGcSafePointRequest -> UpdateServiceGcSafePointResponse,
    LoadKeyspaceRequest -> LoadKeyspaceResponse,
    GetAllKeyspacesRequest -> GetAllKeyspacesResponse,
    QueryRegionRequest -> QueryRegionResponse,
    BatchScanRegionsRequest -> BatchScanRegionsResponse,
    ScatterRegionRequest -> ScatterRegionResponse,
    SplitRegionsRequest -> SplitRegionsResponse,
    AdvanceGcSafePointRequest -> AdvanceGcSafePointResponse,
    AdvanceTxnSafePointRequest -> AdvanceTxnSafePointResponse,
    SetGcBarrierRequest -> SetGcBarrierResponse,
    DeleteGcBarrierRequest -> DeleteGcBarrierResponse,
    GetGcStateRequest -> GetGcStateResponse,
    GetAllKeyspacesGcStatesRequest -> GetAllKeyspacesGcStatesResponse,
    GetMinTsRequest -> GetMinTsResponse,
}

impl PdRequest for GetRegionByIdRequest {
    type Response = GetRegionResponse;

    fn cluster_id(&self) -> u64 {
        self.header.as_ref().map_or(0, |header| header.cluster_id)
    }
}
