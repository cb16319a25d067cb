//! What all servers of a cluster have in common.
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tonic::{Response, Status};

use crate::counts::Counters;
use crate::listener::Connections;
use crate::pd::{Oracle, PdState};
use crate::storage::Storage;
use crate::topology::Topology;
use crate::{Fault, Faults, Rpc, TikvVersion};

/// How many keys are remembered as places for random splits.
const RECENT_KEYS: usize = 64;

/// How the stores behave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) version: TikvVersion,
    /// Whether a pessimistic lock is known to the leader only.
    pub(crate) in_memory_locks: bool,
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    topology: RwLock<Topology>,
    /// One for all stores: replication is not what is tested, so every store has everything.
    pub(crate) storage: Storage,
    pub(crate) oracle: Oracle,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    pub(crate) pd: PdState,
    recent_keys: Mutex<VecDeque<Vec<u8>>>,
}

/// How a call goes on after it was shown to the faults.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is done and answered.
    Proceed,
    /// It is done, and its answer is lost.
    DropResponse,
    /// It is answered with this fault, which is one of the region errors or of PD's.
    Answer(Fault),
}

impl Verdict {
    /// Sends the answer, unless it is to be lost.
    pub(crate) fn finish<S>(&self, response: S) -> Result<Response<S>, Status> {
        match self {
            Verdict::DropResponse => Err(Status::unavailable("the mock cluster dropped the response")),
            _ => Ok(Response::new(response)),
        }
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, topology: Topology, oracle: Oracle, pd: PdState) -> Self {
        Shared {
            settings,
            topology: RwLock::new(topology),
            storage: Storage::default(),
            oracle,
            faults: Faults::default(),
            counters: Counters::default(),
            pd,
            recent_keys: Mutex::default(),
        }
    }

    pub(crate) fn topology(&self) -> RwLockReadGuard<'_, Topology> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn topology_mut(&self) -> RwLockWriteGuard<'_, Topology> {
        self.topology.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and lets a fault strike it, waiting as long as the fault says. `connections` are those of the server
    /// that was called.
    pub(crate) async fn arrive(&self, rpc: Rpc, keys: &[&[u8]], connections: &Connections) -> Result<Verdict, Status> {
        self.counters.count(rpc);
        let Some((rule, fault)) = self.faults.strike(rpc, keys) else { return Ok(Verdict::Proceed) };
        tracing::debug!(?rpc, ?fault, "a fault strikes a call to the mock cluster");
        match fault {
            Fault::DropRequest => Err(Status::unavailable("the mock cluster dropped the request")),
            Fault::DropResponse => Ok(Verdict::DropResponse),
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(Verdict::Proceed)
            }
            Fault::CloseConnection => {
                connections.cut();
                Err(Status::unavailable("the mock cluster cut the connection"))
            }
            Fault::Hang => {
                self.faults.until_removed(rule).await;
                Ok(Verdict::Proceed)
            }
            Fault::ClockJump(millis) => {
                self.oracle.jump(millis);
                Ok(Verdict::Proceed)
            }
            answered => Ok(Verdict::Answer(answered)),
        }
    }

    /// Remembers a boundary at which a random split would divide what is used.
    pub(crate) fn note_key(&self, boundary: Vec<u8>) {
        let mut keys = self.recent_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() == RECENT_KEYS {
            keys.pop_front();
        }
        keys.push_back(boundary);
    }

    pub(crate) fn recent_keys(&self) -> Vec<Vec<u8>> {
        self.recent_keys.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
