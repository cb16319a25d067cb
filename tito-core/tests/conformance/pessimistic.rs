//! Pessimistic transactions keep the whole contract of an engine: every fact of the conformance suite holds as it is
//! written. Facts that let several transactions of one task write one key only take longer, as each waits for a second
//! for a guard that its own task holds.

use tito_core::tikv::{Concurrency, TiKVBackend};
use tito_core::{Database, Result};
use tito_test_engines::EngineSettings;
use tito_test_engines::conformance::EngineUnderTest;
use tito_test_engines::mock_tikv::MockCluster;

pub(crate) struct Pessimistic {
    cluster: MockCluster,
    db: Database,
}

async fn open(cluster: MockCluster, settings: EngineSettings) -> Result<Pessimistic> {
    let db = TiKVBackend::builder(cluster.pd_endpoints())
        .concurrency(Concurrency::Pessimistic)
        .clock(settings.clock)
        .limits(settings.limits)
        .max_transaction_age(settings.max_transaction_age)
        .connect()
        .await?;
    Ok(Pessimistic { cluster, db })
}

impl EngineUnderTest for Pessimistic {
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
