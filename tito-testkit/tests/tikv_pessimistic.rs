//! Pessimistic transactions keep the whole contract of an engine: every fact of the conformance suite holds as it is
//! written. Facts that let several transactions of one task write one key only take longer, as each waits for a second
//! for a guard that its own task holds.
#![allow(clippy::unwrap_used, missing_docs)]

use tito_core::Result;
use tito_core::tikv::{Concurrency, TiKVBackend};
use tito_testkit::EngineSettings;
use tito_testkit::conformance::EngineUnderTest;
use tito_testkit::mock_tikv::MockCluster;

struct Pessimistic {
    cluster: MockCluster,
    db: TiKVBackend,
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
    type Engine = TiKVBackend;

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

    fn engine(&self) -> TiKVBackend {
        self.db.clone()
    }

    async fn reopen(self, settings: EngineSettings) -> Result<Option<Self>> {
        self.db.close().await;
        open(self.cluster, settings).await.map(Some)
    }
}

/// The suite's tests, as `conformance!` makes them, but for those that take too long.
macro_rules! tests {
    ($module:ident, $engine:ty; $($idea:ident { $($fact:ident)* })*) => {
        mod $module {
            $(mod $idea {
                $(fact!($idea $fact $engine);)*
            })*
        }
    };
}

macro_rules! fact {
    ($idea:ident of_many_commits_at_once_one_wins $engine:ty) => {
        #[test]
        #[ignore = "takes more than a minute: dozens of transactions of one task wait for a second each"]
        fn of_many_commits_at_once_one_wins() {
            run!($idea of_many_commits_at_once_one_wins $engine);
        }
    };
    ($idea:ident $fact:ident $engine:ty) => {
        #[test]
        fn $fact() {
            run!($idea $fact $engine);
        }
    };
}

macro_rules! run {
    ($idea:ident $fact:ident $engine:ty) => {
        tito_testkit::conformance::run(tito_testkit::conformance::facts::$idea::$fact::<$engine>())
    };
}

use {fact, run};

tito_testkit::__every_fact!(tests, contract, crate::Pessimistic);
