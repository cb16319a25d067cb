//! PD: timestamps, regions, stores, safe points, keyspaces.
mod lookups;
mod members;
mod shared;
mod timestamps;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tito_tikv_proto::pdpb;
use tito_tikv_proto::pdpb::pd_client::PdClient;
use tokio::time::timeout;
use tonic::{Response, Status};

use crate::transport::{Connection, Transport};
use crate::{Error, PdFailure, Timestamp};
use members::Members;
use shared::Lookups;
use timestamps::Timestamps;

pub(crate) use lookups::Told;
use members::check_cluster;

/// PD, as the client speaks to it. Every call is tried once, on the leader, and fails if that fails.
pub(crate) struct Pd {
    members: Arc<Members>,
    timestamps: Timestamps,
    regions: Lookups<lookups::RegionKey, Arc<pdpb::GetRegionResponse>>,
    ranges: Lookups<lookups::EncodedRange, Arc<Vec<Told>>>,
    stores: Lookups<u64, String>,
    limit: Duration,
}

impl Pd {
    /// Finds PD's leader by the addresses of some members.
    pub(crate) async fn connect(
        transport: Arc<dyn Transport>,
        addresses: Vec<String>,
        limit: Duration,
    ) -> Result<Self, Error> {
        let members = Arc::new(Members::new(transport, addresses, limit));
        members.leader().await.map_err(|source| Error::Pd { asked: "its members", source })?;
        let timestamps = Timestamps::start(members.clone(), limit);
        Ok(Pd {
            members,
            timestamps,
            regions: Lookups::default(),
            ranges: Lookups::default(),
            stores: Lookups::default(),
            limit,
        })
    }

    pub(crate) fn cluster_id(&self) -> u64 {
        self.members.cluster_id()
    }

    /// A timestamp that is above all that were given out before.
    pub(crate) async fn timestamp(&self) -> Result<Timestamp, Error> {
        self.timestamps.next().await.map_err(|source| Error::Pd { asked: "a timestamp", source })
    }

    fn header(&self) -> Option<pdpb::RequestHeader> {
        self.members.header()
    }
}

/// What PD's answers have in common.
pub(crate) trait PdAnswer {
    fn header(&self) -> Option<&pdpb::ResponseHeader>;
}

macro_rules! answers {
    ($($answer:ty),*) => {$(
        impl PdAnswer for $answer {
            fn header(&self) -> Option<&pdpb::ResponseHeader> {
                self.header.as_ref()
            }
        }
    )*};
}

answers!(
    pdpb::GetMembersResponse,
    pdpb::GetRegionResponse,
    pdpb::ScanRegionsResponse,
    pdpb::GetStoreResponse,
    pdpb::GetAllStoresResponse,
    pdpb::GetGcSafePointResponse,
    pdpb::UpdateGcSafePointResponse,
    pdpb::UpdateServiceGcSafePointResponse,
    tito_tikv_proto::keyspacepb::LoadKeyspaceResponse
);

/// Asks PD's leader once.
async fn ask<S: PdAnswer, F: Future<Output = Result<Response<S>, Status>>>(
    members: &Members,
    limit: Duration,
    call: impl FnOnce(Connection) -> F,
) -> Result<S, PdFailure> {
    let (address, connection) = members.leader().await?;
    let failure = match timeout(limit, call(connection)).await {
        Ok(Ok(response)) => {
            let response = response.into_inner();
            match check_cluster(response.header(), members.cluster_id()) {
                Ok(()) => return Ok(response),
                Err(failure) => failure,
            }
        }
        Ok(Err(status)) => PdFailure::Call { address: address.clone(), source: Arc::new(status) },
        Err(_) => PdFailure::Timeout { millis: limit.as_millis() as u64 },
    };
    // Who answers with an error leads yet: a member that does not says so by gRPC's means.
    if !matches!(failure, PdFailure::Answer(_) | PdFailure::NotFound(_)) {
        members.lose(&address);
    }
    Err(failure)
}

fn client(connection: Connection) -> PdClient<Connection> {
    PdClient::new(connection).max_decoding_message_size(usize::MAX)
}
