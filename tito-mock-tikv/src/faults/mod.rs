//! Faults that a test requests.
mod fault;
mod region_error;
mod rule;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

pub use self::fault::Fault;
pub(crate) use self::region_error::{Struck, max_timestamp_not_synced};
pub use self::rule::FaultRule;
use crate::Rpc;

/// The fault rules for calls to a cluster; see [`MockCluster::faults`](crate::MockCluster::faults).
///
/// Each call goes to the rules in the order in which they were added. The first one that strikes settles it: later
/// rules don't see that call. The same calls in the same order meet the same faults. The scheduler decides the order of
/// concurrent calls, so a seed then reproduces how many faults of each kind there are, but not which call meets which.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    rules: Mutex<Rules>,
    /// Tells hanging calls that rules were removed.
    removed: watch::Sender<()>,
}

#[derive(Default)]
struct Rules {
    last_id: u64,
    rules: BTreeMap<u64, FaultRule>,
    injected: BTreeMap<&'static str, u64>,
}

/// Identifies a rule, to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// How many faults occurred, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectedFaults(BTreeMap<&'static str, u64>);

impl InjectedFaults {
    /// How many faults of this kind occurred, whatever the fault's parameters.
    pub fn of(&self, fault: &Fault) -> u64 {
        self.0.get(fault.name()).copied().unwrap_or(0)
    }

    /// How many faults of all kinds occurred.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The names of the kinds that occurred, with their counts.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(name, count)| (*name, *count))
    }
}

impl Default for Faults {
    fn default() -> Self {
        Faults(Arc::new(Inner { rules: Mutex::default(), removed: watch::Sender::new(()) }))
    }
}

impl Faults {
    /// Adds a rule, effective immediately.
    pub fn add(&self, rule: FaultRule) -> RuleId {
        let mut rules = self.lock();
        rules.last_id += 1;
        let id = rules.last_id;
        rules.rules.insert(id, rule);
        RuleId(id)
    }

    /// Removes a rule; calls that it holds continue. Returns whether the rule was there.
    pub fn remove(&self, id: RuleId) -> bool {
        let was_there = self.lock().rules.remove(&id.0).is_some();
        self.0.removed.send_replace(());
        was_there
    }

    /// Removes all rules; calls that hang continue.
    pub fn clear(&self) {
        self.lock().rules.clear();
        self.0.removed.send_replace(());
    }

    /// How many faults have occurred since the cluster started.
    pub fn injected(&self) -> InjectedFaults {
        InjectedFaults(self.lock().injected.clone())
    }

    /// The fault that this call meets.
    pub(crate) fn strike(&self, rpc: Rpc, keys: &[&[u8]]) -> Option<(RuleId, Fault)> {
        let mut rules = self.lock();
        let (id, fault) = rules.rules.iter_mut().find_map(|(id, rule)| Some((*id, rule.strike(rpc, keys)?)))?;
        *rules.injected.entry(fault.name()).or_default() += 1;
        Some((RuleId(id), fault))
    }

    /// Waits until the rule has been removed.
    pub(crate) async fn until_removed(&self, id: RuleId) {
        let mut removed = self.0.removed.subscribe();
        while self.lock().rules.contains_key(&id.0) {
            // The sender lives in `self`, so it cannot be gone.
            let _ = removed.changed().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.0.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
