//! Which calls a fault strikes.
use crate::{Fault, Rpc};

/// A fault and the calls that it strikes: all that match, unless limited further.
///
/// ```
/// use tito_mock_tikv::{Fault, FaultRule, Rpc};
///
/// // The third commit is done, but the client does not hear of it.
/// FaultRule::on(Rpc::KvCommit, Fault::DropResponse).nth(3);
/// // One in twenty calls of any kind for keys that begin with `account/`.
/// FaultRule::on_any(Fault::ServerIsBusy).keys(b"account/").with_probability(0.05, 42);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a rule does nothing before it is added to a cluster's faults"]
pub struct FaultRule {
    rpc: Option<Rpc>,
    prefix: Vec<u8>,
    fault: Fault,
    when: When,
    matched: u64,
}

#[derive(Clone, Debug)]
enum When {
    Every,
    Nth(u64),
    First(u64),
    Random { probability: f64, random: fastrand::Rng },
}

impl FaultRule {
    /// A rule for every call of one kind.
    pub fn on(rpc: Rpc, fault: Fault) -> Self {
        FaultRule { rpc: Some(rpc), prefix: Vec::new(), fault, when: When::Every, matched: 0 }
    }

    /// A rule for every call that the fault can strike: region errors strike only calls to stores, PD's errors only
    /// calls to PD.
    pub fn on_any(fault: Fault) -> Self {
        FaultRule { rpc: None, prefix: Vec::new(), fault, when: When::Every, matched: 0 }
    }

    /// Only calls with a key that begins with `prefix`, as the key stands in the request: including a keyspace's
    /// prefix, if there is one. Scans and calls without keys never match a non-empty prefix.
    pub fn keys(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Only the `n`th matching call after the rule was added, counting from 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.when = When::Nth(n);
        self
    }

    /// Only the first `n` matching calls after the rule was added.
    pub fn first(mut self, n: u64) -> Self {
        self.when = When::First(n);
        self
    }

    /// Each matching call with this probability, from 0 to 1, drawn from a generator with this seed.
    pub fn with_probability(mut self, probability: f64, seed: u64) -> Self {
        self.when = When::Random { probability, random: fastrand::Rng::with_seed(seed) };
        self
    }

    /// The fault, if it strikes this call.
    pub(super) fn strike(&mut self, rpc: Rpc, keys: &[&[u8]]) -> Option<Fault> {
        let right_call = self.rpc.is_none_or(|wanted| wanted == rpc) && self.fault.can_strike(rpc);
        let right_keys = self.prefix.is_empty() || keys.iter().any(|key| key.starts_with(&self.prefix));
        if !(right_call && right_keys) {
            return None;
        }
        self.matched += 1;
        let strikes = match &mut self.when {
            When::Every => true,
            When::Nth(n) => self.matched == *n,
            When::First(n) => self.matched <= *n,
            When::Random { probability, random } => random.f64() < *probability,
        };
        strikes.then(|| self.fault.clone())
    }
}
