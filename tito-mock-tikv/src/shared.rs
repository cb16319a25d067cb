//! What all servers of a cluster have in common.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tonic::{Response, Status};

use crate::counts::Counters;
use crate::listener::Connections;
use crate::pd_state::{Oracle, PdState};
use crate::storage::Storage;
use crate::tasks::Tasks;
use crate::topology::Topology;
use crate::{Fault, Faults, Rpc, RuleId, TikvVersion};

/// How many keys are remembered as candidates for random splits.
const RECENT_KEYS: usize = 64;

/// How the stores behave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) version: TikvVersion,
    /// Whether only the leader knows a pessimistic lock.
    pub(crate) in_memory_locks: bool,
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    topology: RwLock<Topology>,
    /// One for all stores: replication is not under test, so every store has everything.
    pub(crate) storage: Storage,
    pub(crate) oracle: Oracle,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    pub(crate) pd: PdState,
    pub(crate) tasks: Tasks,
    /// Whether new leaders do without asking PD for the time.
    pub(crate) max_ts_held: AtomicBool,
    recent_keys: Mutex<VecDeque<Vec<u8>>>,
}

/// What happens to a call once the faults have seen it.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// It is carried out and answered.
    Proceed,
    /// It is carried out, and its answer is lost.
    DropResponse,
    /// It is carried out and answered, and carried out again when this rule is removed.
    Repeat(RuleId),
    /// It is answered with this fault, a region error or one of PD's errors.
    Answer(Fault),
}

impl Verdict {
    /// Sends the answer, unless it has to get lost.
    pub(crate) fn finish<S>(&self, response: S) -> Result<Response<S>, Status> {
        match self {
            Verdict::DropResponse => Err(Status::unavailable("the mock cluster dropped the response")),
            _ => Ok(Response::new(response)),
        }
    }
}

/// What a call waits for before it is carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    For(Duration),
    UntilRemoved(RuleId),
}

/// A call that the faults have seen.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) verdict: Verdict,
    pub(crate) wait: Option<Wait>,
    /// Whether the client is told immediately that the call failed, although it will still be carried out.
    pub(crate) is_given_up: bool,
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
            tasks: Tasks::default(),
            max_ts_held: AtomicBool::new(false),
            recent_keys: Mutex::default(),
        }
    }

    pub(crate) fn topology(&self) -> RwLockReadGuard<'_, Topology> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn topology_mut(&self) -> RwLockWriteGuard<'_, Topology> {
        self.topology.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and lets a fault strike it. `connections` are those of the called server.
    pub(crate) fn strike(&self, rpc: Rpc, keys: &[&[u8]], connections: &Connections) -> Result<Arrival, Status> {
        self.counters.count(rpc);
        let mut arrival = Arrival { verdict: Verdict::Proceed, wait: None, is_given_up: false };
        let Some((rule, fault)) = self.faults.strike(rpc, keys) else { return Ok(arrival) };
        tracing::debug!(?rpc, ?fault, "a fault strikes a call to the mock cluster");
        match fault {
            Fault::DropRequest => return Err(Status::unavailable("the mock cluster dropped the request")),
            Fault::CloseConnection => {
                connections.cut();
                return Err(Status::unavailable("the mock cluster cut the connection"));
            }
            Fault::DropResponse => arrival.verdict = Verdict::DropResponse,
            Fault::Delay(time) => arrival.wait = Some(Wait::For(time)),
            Fault::Hang => arrival.wait = Some(Wait::UntilRemoved(rule)),
            Fault::Late => {
                arrival.wait = Some(Wait::UntilRemoved(rule));
                arrival.is_given_up = true;
            }
            Fault::Duplicate => arrival.verdict = Verdict::Repeat(rule),
            Fault::ClockJump(millis) => self.oracle.jump(millis),
            answered => arrival.verdict = Verdict::Answer(answered),
        }
        Ok(arrival)
    }

    pub(crate) async fn wait(&self, wait: Wait) {
        match wait {
            Wait::For(time) => tokio::time::sleep(time).await,
            Wait::UntilRemoved(rule) => self.faults.until_removed(rule).await,
        }
    }

    /// Counts a call, lets a fault strike it, and waits as long as the fault says.
    pub(crate) async fn arrive(&self, rpc: Rpc, keys: &[&[u8]], connections: &Connections) -> Result<Verdict, Status> {
        let arrival = self.strike(rpc, keys, connections)?;
        if let Some(wait) = arrival.wait {
            self.wait(wait).await;
        }
        Ok(arrival.verdict)
    }

    /// Asks PD for the time on behalf of a store that leads a region and has not asked since it became the leader.
    /// Somebody may have read from the previous leader, at any timestamp that PD had given out by then.
    pub(crate) fn sync_max_ts(&self, store: u64, region_id: u64) {
        let is_due = |topology: &Topology| {
            topology.region(region_id).is_some_and(|region| region.leader == store && !region.max_ts_synced)
        };
        if !is_due(&self.topology()) || self.max_ts_held.load(Ordering::Acquire) || !self.pd.answers() {
            return;
        }
        // Don't hold the topology here: the clock is a user's function.
        let Some(timestamp) = self.oracle.next(1) else { return };
        let mut topology = self.topology_mut();
        if is_due(&topology) {
            self.storage.note_timestamp(store, timestamp.version());
            topology.set_max_ts_synced(region_id);
        }
    }

    /// Remembers a boundary where a random split would divide data in use.
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
