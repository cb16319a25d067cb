//! What the facts share.

use std::future::Future;
use std::time::Duration;

use tito_core::Database;
use tito_test_engines::TestClock;
use tito_test_engines::mock_tikv::MockCluster;
use tokio::runtime::{Builder, Runtime};

/// A guard against tests that hang, far above what anything takes.
const FAR_TOO_LONG: Duration = Duration::from_secs(60);

/// On which client an engine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Own,
    Official,
}

pub const KINDS: [Kind; 2] = [Kind::Own, Kind::Official];

impl Kind {
    pub fn other(self) -> Kind {
        match self {
            Kind::Own => Kind::Official,
            Kind::Official => Kind::Own,
        }
    }
}

/// An engine on the cluster. With a clock that the test turns, of which it takes its ages.
pub async fn connect(kind: Kind, cluster: &MockCluster, clock: Option<&TestClock>, pessimistic: bool) -> Database {
    macro_rules! connect {
        ($engine:ident :: tikv) => {{
            use $engine::tikv::{Concurrency, TiKVBackend};
            connect!(TiKVBackend, Concurrency)
        }};
        ($engine:ident) => {{
            use $engine::{Concurrency, TiKVBackend};
            connect!(TiKVBackend, Concurrency)
        }};
        ($backend:ident, $concurrency:ident) => {{
            let mut builder = $backend::builder(cluster.pd_endpoints()).rpc_timeout(Duration::from_secs(60));
            if let Some(clock) = clock {
                builder = builder.clock(clock.shared());
            }
            if pessimistic {
                builder = builder.concurrency($concurrency::Pessimistic);
            }
            builder.connect().await.unwrap()
        }};
    }
    match kind {
        Kind::Own => connect!(tito_core::tikv),
        Kind::Official => connect!(tito_engine_tikv_client),
    }
}

/// An engine that runs where it can be killed: without its runtime nothing of it goes on.
pub struct Process {
    runtime: Option<Runtime>,
    pub db: Database,
}

impl Process {
    pub async fn start(kind: Kind, cluster: &MockCluster, clock: &TestClock) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (cluster, clock) = (cluster.clone(), clock.clone());
        let db = runtime.spawn(async move { connect(kind, &cluster, Some(&clock), false).await }).await.unwrap();
        Self { runtime: Some(runtime), db }
    }

    /// Runs something there, and leaves it to itself.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.as_ref().unwrap().spawn(work);
    }

    pub fn kill(self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Fails a test that hangs.
pub async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(FAR_TOO_LONG, future).await {
        Ok(output) => output,
        Err(_) => panic!("it hangs: {what}"),
    }
}

/// Waits until something holds that is on its way.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    in_time(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
