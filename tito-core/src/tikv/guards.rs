//! The locks of pessimistic transactions, which make writers of one key wait for each other at the call.
//!
//! They are advisory, and held beside the transaction that commits. A pessimistic transaction of TiKV's can't commit for
//! us: it locks what is newest and checks nothing against the snapshot that was read, so an update between the two would
//! be lost. So the commit is the optimistic one in both modes, with all its checks, and the guards lock a key beside each
//! key, which nobody writes: what holds a guard is never in the way of its own commit, and where a guard can't be had, the
//! transaction goes on without.
//!
//! Who waited for a guard has a snapshot from before what it waited for, and fails at the commit. It keeps the guard
//! then, and hands it to its replay, whose snapshot is taken under it: so each writer of a contested key runs twice at
//! most, however many there are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tito_tikv::Error;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout};

use super::Core;

/// Comes after a key in the key that guards it: no key of Tito's ends like this, and a guard that met a real key would
/// block its writers a little and do nothing else.
const SUFFIX: &[u8] = b"\0tito guard";

/// How long a call waits before it goes on without the guard, which may come yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long it is waited for a guard in all, for the replays that may get it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The guards of one transaction, and of its replays.
pub(super) struct Guards {
    core: Arc<Core>,
    state: Mutex<State>,
    /// Set before the guards are released, for the waits that are queued up for the state: each would get more guards
    /// for a transaction that has ended.
    is_over: AtomicBool,
}

enum State {
    Unused,
    Held { guards: tito_tikv::Guards, keys: BTreeSet<Vec<u8>> },
    Released,
}

impl Guards {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, state: Mutex::new(State::Unused), is_over: AtomicBool::new(false) }
    }

    /// Waits for the guards of these keys, for a second at most.
    pub(super) async fn acquire(guards: &Arc<Self>, keys: &[Vec<u8>]) {
        let (owned, keys) = (guards.clone(), keys.to_vec());
        // In a task, as a lock that is granted after its caller has gone would be held until its time is over.
        let acquired = guards.core.tasks.start(async move { owned.lock(keys).await });
        let _ = timeout(PATIENCE, acquired).await;
    }

    async fn lock(&self, mut keys: Vec<Vec<u8>>) {
        let mut state = self.state.lock().await;
        if self.is_over() {
            return;
        }
        if matches!(*state, State::Unused) {
            match self.core.client.guards().await {
                Ok(guards) => *state = State::Held { guards, keys: BTreeSet::new() },
                Err(error) => return tracing::debug!(%error, "a transaction goes on without guards"),
            }
        }
        let State::Held { guards, keys: held } = &mut *state else { return };
        keys.retain(|key| !held.contains(key));
        if keys.is_empty() {
            return;
        }
        let stored: Vec<Vec<u8>> = keys.iter().map(|key| self.stored(key)).collect();
        let longest = Instant::now() + LONGEST_WAIT;
        loop {
            match guards.lock(&stored, PATIENCE).await {
                Ok(_) => return held.extend(keys),
                // This one was chosen to give way.
                Err(Error::Deadlock { .. }) => return self.abandon(&mut state).await,
                Err(Error::Locked { .. } | Error::Deadline { .. }) if Instant::now() < longest && !self.is_over() => {}
                Err(error) => return tracing::debug!(%error, "a transaction goes on without a guard"),
            }
        }
    }

    /// Releases all guards, in a task.
    pub(super) fn release(guards: &Arc<Self>) -> oneshot::Receiver<()> {
        guards.is_over.store(true, Ordering::Release);
        let owned = guards.clone();
        guards.core.tasks.start(async move { owned.release_now().await })
    }

    async fn release_now(&self) {
        let mut state = self.state.lock().await;
        self.abandon(&mut state).await;
    }

    /// Releases all guards before it returns, unless one is waited for yet.
    pub(super) async fn release_held(guards: &Arc<Self>) {
        guards.is_over.store(true, Ordering::Release);
        match guards.state.try_lock() {
            Ok(mut state) => guards.abandon(&mut state).await,
            Err(_) => drop(Self::release(guards)),
        }
    }

    async fn abandon(&self, state: &mut State) {
        if let State::Held { guards, .. } = std::mem::replace(state, State::Released) {
            guards.release().await;
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Whether they can still guard anything.
    pub(super) fn are_held(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| matches!(*state, State::Held { .. }))
    }

    fn stored(&self, key: &[u8]) -> Vec<u8> {
        [&self.core.prefix.stored(key), SUFFIX].concat()
    }
}
