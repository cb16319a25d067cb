//! What a store has recorded.
use std::sync::Arc;

use tito_mock_tikv::MockCluster;
use tito_tikv_proto::kvrpcpb::{Context, MvccGetByKeyRequest, Op};
use tito_tikv_proto::tikvpb::tikv_client::TikvClient;

use crate::client::core::Core;

/// The timestamp at which a transaction committed a key.
pub(super) async fn commit_of(cluster: &MockCluster, core: &Arc<Core>, start: u64, key: &str) -> Option<u64> {
    for _ in 0..10 {
        let region = core.region_of(key.as_bytes()).await.unwrap();
        let address = cluster.stores()[region.leader().store_id as usize - 1].address.to_string();
        let context = Context {
            region_id: region.id,
            region_epoch: Some(region.epoch.clone()),
            peer: Some(region.leader().clone()),
            ..Context::default()
        };
        let request = MvccGetByKeyRequest { key: key.into(), context: Some(context), ..Default::default() };
        let mut store = TikvClient::new(cluster.connect(&address).unwrap());
        let response = store.mvcc_get_by_key(request).await.unwrap().into_inner();
        if response.region_error.is_some() {
            core.regions.forget(&region);
            continue;
        }
        let writes = response.info.map(|info| info.writes).unwrap_or_default();
        let own = writes.iter().find(|write| write.start_ts == start && write.r#type() == Op::Put);
        return own.map(|write| write.commit_ts);
    }
    panic!("the region of {key} can't be found");
}
