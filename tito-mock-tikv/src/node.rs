//! One server of the cluster: a store or a PD member, at an address of its own that it keeps.
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::server::Router;

use crate::MockClusterError;
use crate::listener::Connections;

/// Makes the services of a server; asked anew at each start.
pub(crate) type MakeRouter = Box<dyn Fn() -> Result<Router, MockClusterError> + Send + Sync>;

pub(crate) struct Node {
    address: SocketAddr,
    connections: Arc<Connections>,
    make_router: MakeRouter,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Listens at an address of the loopback interface; port 0 is any free one.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, MockClusterError> {
    TcpListener::bind(address).await.map_err(|source| MockClusterError::Listen { address, source })
}

impl Node {
    pub(crate) fn new(address: SocketAddr, connections: Arc<Connections>, make_router: MakeRouter) -> Self {
        Node { address, connections, make_router, task: Mutex::default() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on a listener of this node's address.
    pub(crate) fn serve(&self, listener: TcpListener) -> Result<(), MockClusterError> {
        let router = (self.make_router)()?;
        let incoming = self.connections.accept(listener);
        let task = tokio::spawn(async move {
            if let Err(error) = router.serve_with_incoming(incoming).await {
                tracing::warn!(%error, "a server of the mock cluster stopped");
            }
        });
        *self.task() = Some(task);
        Ok(())
    }

    /// Listens and serves, if it does not yet.
    pub(crate) async fn start(&self) -> Result<(), MockClusterError> {
        if self.task().is_some() {
            return Ok(());
        }
        let listener = listen(self.address).await?;
        self.serve(listener)
    }

    /// Closes the listener, cuts the connections and waits until they are gone.
    pub(crate) async fn stop(&self) {
        let task = self.task().take();
        if let Some(task) = task {
            task.abort();
            // An error says that it was aborted, which is what was asked for. The listener is dropped by then.
            let _ = task.await;
        }
        self.connections.cut();
        self.connections.all_closed().await;
    }

    /// Does what `stop` does without waiting for the end.
    pub(crate) fn abandon(&self) {
        if let Some(task) = self.task().take() {
            task.abort();
        }
        self.connections.cut();
    }

    fn task(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
