//! Which calls fail, and how.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tito_core::keys::KeyRange;
use tito_core::keys::build::Kind;
use tito_core::{Timestamp, TitoError};
use tokio::sync::watch;

use super::Call;
use super::gate::Gate;

/// The faults of a [`FaultEngine`](super::FaultEngine), and how often each call was made. Clones are handles to the
/// same faults.
#[derive(Clone, Debug)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    /// Why the engine was closed.
    closed: Arc<watch::Sender<Option<String>>>,
    /// The starts of transactions whose commits are under way.
    committing: Arc<Mutex<BTreeSet<Timestamp>>>,
}

/// A commit that is under way until this is dropped.
pub(super) struct Committing {
    all: Arc<Mutex<BTreeSet<Timestamp>>>,
    start: Timestamp,
}

impl Drop for Committing {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.start);
    }
}

#[derive(Debug)]
struct State {
    rules: Vec<Active>,
    counts: HashMap<Call, u64>,
    injected: u64,
    rows_read: u64,
    random: fastrand::Rng,
}

#[derive(Debug)]
struct Active {
    call: Call,
    key_prefix: Option<Vec<u8>>,
    when: When,
    effect: Effect,
}

/// Which of the calls a rule covers.
#[derive(Clone, Copy, Debug)]
enum When {
    /// After this many more; then the rule is spent.
    In(u64),
    Always,
    WithProbability(f64),
}

#[derive(Clone, Debug)]
pub(super) enum Effect {
    Conflict,
    StorageError,
    Delay(Duration),
    Hold(Gate),
    LostAnswer,
    LostRequest,
}

/// The keys that a call concerns.
pub(super) enum Keys<'a> {
    None,
    One(&'a [u8]),
    Many(&'a [Vec<u8>]),
    Range(&'a KeyRange),
}

impl Keys<'_> {
    /// The key that an error names; empty for calls without keys.
    pub(super) fn first(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::One(key) => key,
            Self::Many(keys) => keys.first().map_or(&[], Vec::as_slice),
            Self::Range(range) => &range.start,
        }
    }

    /// Whether they are of what the process notes about its own activity. It writes that in the background once in a
    /// while, in the middle of whatever a test does.
    fn are_activity(&self) -> bool {
        let is_activity = |key: &[u8]| key.starts_with(Kind::Activity.prefix().as_bytes());
        match self {
            Self::None => false,
            Self::One(key) => is_activity(key),
            Self::Many(keys) => !keys.is_empty() && keys.iter().all(|key| is_activity(key)),
            Self::Range(range) => is_activity(&range.start),
        }
    }

    fn touch(&self, prefix: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::One(key) => key.starts_with(prefix),
            Self::Many(keys) => keys.iter().any(|key| key.starts_with(prefix)),
            Self::Range(range) => !KeyRange::prefix(prefix).intersection((*range).clone()).is_empty(),
        }
    }
}

impl Faults {
    /// No faults yet. `seed` decides the random ones.
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            rules: Vec::new(),
            counts: HashMap::new(),
            injected: 0,
            rows_read: 0,
            random: fastrand::Rng::with_seed(seed),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            closed: Arc::new(watch::Sender::new(None)),
            committing: Arc::default(),
        }
    }

    /// Starts a rule for calls of one kind. Its effect completes the rule:
    ///
    /// ```
    /// # use tito_test_engines as tito_testkit;
    /// # use tito_testkit::{Call, FaultEngine, WithFaults};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tito_core::TitoError> {
    /// let db = FaultEngine::new(tito_testkit::in_memory().await?).database();
    /// let faults = db.faults();
    /// faults.at(Call::Commit).nth(2).unknown_after_effect();
    /// faults.at(Call::Get).key_prefix("data:user:").storage_error();
    /// faults.at(Call::Commit).with_probability(0.1).conflict();
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(&self, call: Call) -> Rule {
        Rule { faults: self.clone(), call, key_prefix: None, when: When::In(1) }
    }

    /// How many calls of this kind were made, failed ones included. What the process notes about its own activity, in the
    /// background, does not count.
    pub fn count(&self, call: Call) -> u64 {
        self.lock().counts.get(&call).copied().unwrap_or(0)
    }

    /// How many keys with values all reads returned.
    pub fn rows_read(&self) -> u64 {
        self.lock().rows_read
    }

    pub(super) fn note_rows(&self, rows: usize) {
        self.lock().rows_read += rows as u64;
    }

    /// How many calls met a fault.
    pub fn injected(&self) -> u64 {
        self.lock().injected
    }

    /// Resets the counts.
    pub fn reset_counts(&self) {
        let mut state = self.lock();
        state.counts.clear();
        state.injected = 0;
        state.rows_read = 0;
    }

    /// Removes all rules; nothing fails after this. Calls held by a gate stay there.
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    pub(super) fn begin_commit(&self, start: Timestamp) -> Committing {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner).insert(start);
        Committing { all: self.committing.clone(), start }
    }

    pub(super) fn oldest_commit(&self) -> Option<Timestamp> {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }

    /// Closes the engine for everyone who uses the database with faults, as an engine closes itself after a storage
    /// error: all calls fail with [`TitoError::EngineClosed`] and this reason, including those that a gate or a delay
    /// holds. The database without faults stays open.
    pub fn close(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.closed.send_if_modified(|closed| closed.is_none() && closed.replace(reason).is_none());
    }

    /// Completes once the engine has been closed.
    pub(super) async fn closed(&self) -> TitoError {
        // The sender lives as long as these faults.
        let reason = self.closed.subscribe().wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        TitoError::EngineClosed { reason: reason.unwrap_or_default() }
    }

    /// Counts a call and decides what goes wrong with it: what the first rule for it says.
    pub(super) fn decide(&self, call: Call, keys: &Keys<'_>) -> Option<Effect> {
        let mut state = self.lock();
        let State { rules, counts, injected, random, .. } = &mut *state;
        let is_activity = keys.are_activity();
        *counts.entry(call).or_default() += u64::from(!is_activity);
        let mut effect = None;
        rules.retain_mut(|rule| {
            let is_about_keys = match &rule.key_prefix {
                Some(prefix) => keys.touch(prefix),
                None => !is_activity || !matches!(rule.when, When::In(_)),
            };
            if rule.call != call || !is_about_keys {
                return true;
            }
            let (now, stays) = match &mut rule.when {
                When::In(left) => {
                    *left = left.saturating_sub(1);
                    (*left == 0, *left > 0)
                }
                When::Always => (true, true),
                When::WithProbability(probability) => (random.f64() < *probability, true),
            };
            if now && effect.is_none() {
                effect = Some(rule.effect.clone());
            }
            stays
        });
        *injected += u64::from(effect.is_some());
        effect
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rule being built: first the calls it covers (by default, the next one), then what happens to them. If several
/// rules match a call, the oldest decides.
#[derive(Debug)]
#[must_use = "a rule begins to hold when it is told what is to happen"]
pub struct Rule {
    faults: Faults,
    call: Call,
    key_prefix: Option<Vec<u8>>,
    when: When,
}

impl Rule {
    /// The n-th call from now, counting from 1 among those that the rule covers: without a [prefix](Self::key_prefix) not
    /// those by which the process notes its own activity, which come at any time.
    pub fn nth(mut self, n: u64) -> Self {
        self.when = When::In(n.max(1));
        self
    }

    /// Every call from now.
    pub fn always(mut self) -> Self {
        self.when = When::Always;
        self
    }

    /// Each call from now with this probability, from 0 to 1, decided by the seed of the
    /// [`FaultEngine`](super::FaultEngine).
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.when = When::WithProbability(probability);
        self
    }

    /// Only calls that concern a key beginning with `prefix`. A scan counts if its range includes such keys, a commit
    /// if its transaction wrote or locked one.
    pub fn key_prefix(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.key_prefix = Some(prefix.into());
        self
    }

    /// [`TitoError::Conflict`](tito_core::TitoError::Conflict); the transaction is over, and
    /// [`transaction`](tito_core::Database::transaction) replays it.
    pub fn conflict(self) {
        self.complete(Effect::Conflict);
    }

    /// [`TitoError::Storage`](tito_core::TitoError::Storage). For a commit: nothing was committed.
    pub fn storage_error(self) {
        self.complete(Effect::StorageError);
    }

    /// The call is made only after the engine's clock has advanced by `duration`.
    pub fn delay(self, duration: Duration) {
        self.complete(Effect::Delay(duration));
    }

    /// The call is made only after the returned gate is opened.
    pub fn hold(self) -> Gate {
        let gate = Gate::new();
        self.complete(Effect::Hold(gate.clone()));
        gate
    }

    /// [`TitoError::CommitUnknown`](tito_core::TitoError::CommitUnknown), after the commit took effect: its answer was
    /// lost. For other calls: a storage error after the call was made.
    pub fn unknown_after_effect(self) {
        self.complete(Effect::LostAnswer);
    }

    /// [`TitoError::CommitUnknown`](tito_core::TitoError::CommitUnknown), and the commit did not take effect: the
    /// request was lost. For other calls: a storage error.
    pub fn unknown_without_effect(self) {
        self.complete(Effect::LostRequest);
    }

    fn complete(self, effect: Effect) {
        let Self { faults, call, key_prefix, when } = self;
        faults.lock().rules.push(Active { call, key_prefix, when, effect });
    }
}
