//! One server of the cluster: a store or a PD member, at a fixed address of its own.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tonic::service::Routes;

use crate::MockClusterError;
use crate::listener::Connections;
use crate::transport::Transport;

pub(crate) struct Node {
    address: SocketAddr,
    connections: Arc<Connections>,
    routes: Routes,
    transport: Transport,
    running: AtomicBool,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Keeps the address while the server is stopped: connections are refused, and nobody is given it as a free one.
    kept: Mutex<Option<TcpSocket>>,
}

/// How many connections may wait to be accepted, as many as if Tokio had bound the address.
const BACKLOG: u32 = 1_024;

/// Listens at an address; port 0 means any free one.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, MockClusterError> {
    TcpListener::bind(address).await.map_err(|source| not_listening(address, source))
}

fn not_listening(address: SocketAddr, source: std::io::Error) -> MockClusterError {
    MockClusterError::Listen { address, source: source.into() }
}

impl Node {
    pub(crate) fn new(
        address: SocketAddr,
        connections: Arc<Connections>,
        routes: Routes,
        transport: Transport,
    ) -> Self {
        let (running, task, kept) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        Node { address, connections, routes, transport, running, task, kept }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Serves on a listener at this node's address, or without one only in-process calls.
    pub(crate) fn serve(&self, listener: Option<TcpListener>) -> Result<(), MockClusterError> {
        if let Some(listener) = listener {
            let router = self.transport.server()?.add_routes(self.routes.clone());
            let incoming = self.connections.accept(listener);
            let task = tokio::spawn(async move {
                if let Err(error) = router.serve_with_incoming(incoming).await {
                    tracing::warn!(%error, "a server of the mock cluster stopped");
                }
            });
            *self.task() = Some(task);
        }
        self.running.store(true, Ordering::Release);
        Ok(())
    }

    /// Listens and serves, unless it already does.
    pub(crate) async fn start(&self) -> Result<(), MockClusterError> {
        if self.is_running() {
            return Ok(());
        }
        let kept = self.kept().take();
        let listener = match kept {
            _ if self.transport.is_in_process() => None,
            Some(socket) => Some(socket.listen(BACKLOG).map_err(|source| not_listening(self.address, source))?),
            None => Some(listen(self.address).await?),
        };
        self.serve(listener)
    }

    fn keep_address(&self) {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let bound = socket.and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(self.address)?;
            Ok(socket)
        });
        match bound {
            Ok(socket) => *self.kept() = Some(socket),
            Err(error) => tracing::warn!(%error, address = %self.address, "a stopped server's address can't be kept"),
        }
    }

    /// Closes the listener, cuts the connections and waits until they are closed.
    pub(crate) async fn stop(&self) {
        self.running.store(false, Ordering::Release);
        let task = self.task().take();
        if let Some(task) = task {
            task.abort();
            // An error means that it was aborted, as intended. The listener is dropped by then.
            let _ = task.await;
            self.keep_address();
        }
        self.connections.cut();
        self.connections.all_closed().await;
    }

    /// Does what `stop` does, without waiting.
    pub(crate) fn abandon(&self) {
        self.running.store(false, Ordering::Release);
        if let Some(task) = self.task().take() {
            task.abort();
        }
        self.connections.cut();
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<TcpSocket>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
