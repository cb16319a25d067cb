//! A cluster in the process, and clients of it, on a clock of Tokio's that is paused.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tito_mock_tikv::{MockCluster, MockClusterBuilder};
use tito_tikv::transport::{Connection, Transport};
use tito_tikv::{Builder, Client};
use tokio::time::Instant;

type StdError = Box<dyn std::error::Error + Send + Sync>;

/// The way to a cluster in the process.
#[derive(Clone)]
pub(crate) struct InProcess(pub(crate) MockCluster);

impl Transport for InProcess {
    fn connect(&self, address: &str) -> Pin<Box<dyn Future<Output = Result<Connection, StdError>> + Send>> {
        let server = self.0.connect(address);
        let address = address.to_owned();
        Box::pin(
            async move { server.map(Connection::new).ok_or_else(|| format!("there is no server at {address}").into()) },
        )
    }
}

/// A cluster whose PD has Tokio's clock.
pub(crate) async fn cluster(builder: MockClusterBuilder) -> MockCluster {
    let begun = Instant::now();
    let clock = Arc::new(move || 1_700_000_000_000 + begun.elapsed().as_millis() as u64);
    builder.in_process().seed(7).clock(clock).start().await.unwrap()
}

/// Settings of a client of the cluster.
pub(crate) fn settings(cluster: &MockCluster) -> Builder {
    Client::builder(cluster.pd_endpoints()).transport(InProcess(cluster.clone())).seed(7)
}

pub(crate) async fn client(cluster: &MockCluster) -> Client {
    settings(cluster).connect().await.unwrap()
}

/// Lets whatever goes on in the background end.
pub(crate) async fn quiet() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}
