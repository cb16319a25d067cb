//! Access to an in-process cluster.
use std::future::Future;
use std::pin::Pin;

use tito_mock_tikv::MockCluster;

use crate::transport::{Connection, Transport};

pub(super) struct InProcess(pub(super) MockCluster);

impl Transport for InProcess {
    fn connect(
        &self,
        address: &str,
    ) -> Pin<Box<dyn Future<Output = Result<Connection, tonic::codegen::StdError>> + Send>> {
        let server = self.0.connect(address).map(Connection::new);
        Box::pin(async move { server.ok_or_else(|| "there is no such server".into()) })
    }
}
