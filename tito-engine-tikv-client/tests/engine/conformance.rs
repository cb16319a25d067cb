//! The engine for the conformance suite.

use tito_core::{Database, Result};
use tito_engine_tikv_client::TiKVBackend;
use tito_test_engines::EngineSettings;
use tito_test_engines::conformance::EngineUnderTest;
use tito_test_engines::mock_tikv::MockCluster;

pub struct OnTikvClient {
    cluster: MockCluster,
    db: Database,
}

async fn open(cluster: MockCluster, settings: EngineSettings) -> Result<OnTikvClient> {
    let db = TiKVBackend::builder(cluster.pd_endpoints())
        .clock(settings.clock)
        .limits(settings.limits)
        .max_transaction_age(settings.max_transaction_age)
        .connect()
        .await?;
    Ok(OnTikvClient { cluster, db })
}

impl EngineUnderTest for OnTikvClient {
    async fn open(settings: EngineSettings) -> Result<Self> {
        let now = settings.clock.clone();
        let cluster = MockCluster::builder()
            .stores(3)
            .split_at(["b", "k", "key-5", "row"])
            .clock(std::sync::Arc::new(move || now.now_millis()))
            .start()
            .await
            .unwrap();
        open(cluster, settings).await
    }

    fn database(&self) -> Database {
        self.db.clone()
    }

    async fn reopen(self, settings: EngineSettings) -> Result<Option<Self>> {
        self.db.close().await;
        open(self.cluster, settings).await.map(Some)
    }
}
