//! The cluster through the calls themselves, without sockets.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod calls;
mod faults;
mod leaders;

use tito_mock_tikv::{InProcess, MockCluster};
use tito_tikv_proto::kvrpcpb::*;
use tito_tikv_proto::pdpb::pd_client::PdClient;
use tito_tikv_proto::pdpb::{self, RequestHeader};
use tito_tikv_proto::tikvpb::tikv_client::TikvClient;

/// A store's calls, with the contexts that a client would know.
struct Caller {
    cluster: MockCluster,
    pd: PdClient<InProcess>,
}

impl Caller {
    async fn of(cluster: &MockCluster) -> Self {
        let pd = PdClient::new(cluster.connect(&cluster.pd_endpoints()[0]).unwrap());
        Caller { cluster: cluster.clone(), pd }
    }

    fn header(&self) -> Option<RequestHeader> {
        Some(RequestHeader { cluster_id: self.cluster.cluster_id(), ..RequestHeader::default() })
    }

    /// The leader of the region that holds a key, and the context for it. Boundaries are encoded; these tests have one
    /// region, or look it up by a key without one.
    async fn leader(&mut self) -> (TikvClient<InProcess>, Context) {
        let header = self.header();
        let request = pdpb::GetRegionRequest { header: header.clone(), ..Default::default() };
        let found = self.pd.get_region(request).await.unwrap().into_inner();
        let (region, peer) = (found.region.unwrap(), found.leader.unwrap());
        let request = pdpb::GetStoreRequest { header, store_id: peer.store_id, ..pdpb::GetStoreRequest::default() };
        let address = self.pd.get_store(request).await.unwrap().into_inner().store.unwrap().address;
        let context =
            Context { region_id: region.id, region_epoch: region.region_epoch, peer: Some(peer), ..Context::default() };
        (TikvClient::new(self.cluster.connect(&address).unwrap()), context)
    }
}

/// A cluster with one region and a clock that stands still.
async fn in_process(stores: usize) -> MockCluster {
    let builder = MockCluster::builder().stores(stores).in_process().clock(std::sync::Arc::new(|| 1_000));
    builder.split_default_keyspace(false).start().await.unwrap()
}

fn put(key: &str, value: &str) -> Mutation {
    Mutation { op: Op::Put.into(), key: key.into(), value: value.into(), ..Mutation::default() }
}

fn prewrite(context: &Context, start_version: u64, mutations: Vec<Mutation>) -> PrewriteRequest {
    let primary_lock = mutations[0].key.clone();
    let context = Some(context.clone());
    PrewriteRequest { context, mutations, primary_lock, start_version, lock_ttl: 3000, ..PrewriteRequest::default() }
}

fn commit(context: &Context, key: &str, start_version: u64, commit_version: u64) -> CommitRequest {
    let (context, keys) = (Some(context.clone()), vec![key.into()]);
    CommitRequest { context, keys, start_version, commit_version, ..CommitRequest::default() }
}

fn get(context: &Context, key: &str, version: u64) -> GetRequest {
    GetRequest { context: Some(context.clone()), key: key.into(), version, ..GetRequest::default() }
}

fn lock(context: &Context, key: &str, start_version: u64) -> PessimisticLockRequest {
    PessimisticLockRequest {
        context: Some(context.clone()),
        mutations: vec![Mutation { op: Op::PessimisticLock.into(), key: key.into(), ..Mutation::default() }],
        primary_lock: key.into(),
        start_version,
        for_update_ts: start_version,
        lock_ttl: 3000,
        wait_timeout: -1,
        ..PessimisticLockRequest::default()
    }
}
