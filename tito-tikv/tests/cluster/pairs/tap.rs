//! A way to the cluster at which steps happen: a fault at a call, something that others do before a call or after it.
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tito_mock_tikv::{Fault, FaultRule, MockCluster, Rpc};
use tito_tikv::transport::{Connection, Transport};
use tonic::body::Body;
use tonic::codegen::{Service, StdError, http};

use super::foreign::{Foreign, Stranger};
use crate::support::InProcess;

/// Something that happens to a transaction.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// To its call of this number, counted from 0.
    Fault(usize, Fault),
    /// At its moment of this number: the moments `2 * n` and `2 * n + 1` are before and after the call `n` is done, which
    /// waits meanwhile.
    Foreign(usize, Foreign),
}

/// What was done by the transaction's client, and what is to happen to it.
pub(super) struct Tap {
    cluster: MockCluster,
    stranger: Arc<Stranger>,
    steps: Vec<Step>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    is_open: bool,
    calls: Vec<Rpc>,
    happened: usize,
}

impl Tap {
    pub(super) fn new(cluster: &MockCluster, stranger: Arc<Stranger>, steps: &[Step]) -> Arc<Tap> {
        Arc::new(Tap { cluster: cluster.clone(), stranger, steps: steps.to_vec(), seen: Mutex::default() })
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Calls count from now on.
    pub(super) fn open(&self) {
        self.seen().is_open = true;
    }

    /// The calls so far, and how many of the steps have happened.
    pub(super) fn close(&self) -> (Vec<Rpc>, usize) {
        let mut seen = self.seen();
        seen.is_open = false;
        (std::mem::take(&mut seen.calls), seen.happened)
    }

    /// Which call begins, and its number, if calls count.
    fn begin(&self, path: &str) -> Option<(usize, Rpc)> {
        let mut seen = self.seen();
        let name = path.rsplit('/').next()?;
        let rpc = Rpc::ALL.iter().find(|rpc| format!("{rpc:?}") == name)?;
        let counts = seen.is_open && *rpc != Rpc::Tso && *rpc != Rpc::GetMembers;
        counts.then(|| {
            seen.calls.push(*rpc);
            (seen.calls.len() - 1, *rpc)
        })
    }

    async fn moment(&self, number: usize) {
        for step in &self.steps {
            if let Step::Foreign(at, foreign) = step
                && *at == number
            {
                self.seen().happened += 1;
                // In a task of its own: whoever waits for the call may give up, and others go on.
                let (stranger, foreign) = (self.stranger.clone(), *foreign);
                tokio::spawn(async move { stranger.happen(foreign).await }).await.unwrap();
            }
        }
    }

    fn strike(&self, number: usize, rpc: Rpc) {
        for step in &self.steps {
            if let Step::Fault(at, fault) = step
                && *at == number
            {
                self.seen().happened += 1;
                self.cluster.faults().add(FaultRule::on(rpc, fault.clone()).nth(1));
            }
        }
    }
}

/// The way of the transaction's client.
#[derive(Clone)]
pub(super) struct Tapped {
    pub(super) to: InProcess,
    pub(super) tap: Arc<Tap>,
}

impl Transport for Tapped {
    fn connect(&self, address: &str) -> Pin<Box<dyn Future<Output = Result<Connection, StdError>> + Send>> {
        let (connecting, tap) = (self.to.connect(address), self.tap.clone());
        Box::pin(async move { Ok(Connection::new(Line { to: connecting.await?, tap })) })
    }
}

#[derive(Clone)]
struct Line {
    to: Connection,
    tap: Arc<Tap>,
}

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, StdError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (mut to, tap) = (self.to.clone(), self.tap.clone());
        Box::pin(async move {
            let Some((number, rpc)) = tap.begin(request.uri().path()) else { return to.call(request).await };
            tap.moment(2 * number).await;
            tap.strike(number, rpc);
            let answer = to.call(request).await;
            tap.moment(2 * number + 1).await;
            answer
        })
    }
}
