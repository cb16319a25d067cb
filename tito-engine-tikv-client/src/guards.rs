//! The locks of pessimistic transactions, which make writers of one key wait for each other at the call.
//!
//! They are advisory, and held by a pessimistic transaction of the client's own beside the one that commits. The client's
//! pessimistic transactions can't commit for us: they lock what is newest and check nothing against the snapshot that was
//! read, so an update between the two would be lost. So the commit is the optimistic one in both modes, with all its
//! checks, and the guards lock a key beside each key, which nobody writes: what holds a guard is never in the way of its
//! own commit, and where a guard can't be had, the transaction goes on without.
//!
//! Who waited for a guard has a snapshot from before what it waited for, and fails at the commit. It keeps the guard
//! then, and hands it to its replay, whose snapshot is taken under it: so each writer of a contested key runs twice at
//! most, however many there are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tikv_client::transaction::HeartbeatOption;
use tikv_client::{Backoff, CheckLevel, Error, RetryOptions, Transaction, TransactionClient, TransactionOptions};
use tokio::sync::{Mutex, oneshot};

use super::Core;
use super::deadline::Deadline;
use super::failure::key_errors;

/// Comes after a key in the key that guards it: no key of Tito's ends like this, and a guard that met a real key would
/// block its writers a little and do nothing else.
const SUFFIX: &[u8] = b"\0tito guard";

/// How long a call waits before it goes on without the guard, which may come yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a waiter that is woken waits again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often the client itself waits for a lock, a second each on the server, and looks in between whether its holder
/// died.
const LOCK_BACKOFF: Backoff = Backoff::no_jitter_backoff(2, 2, 1);

/// The guards of one transaction, and of its replays.
pub(super) struct Guards {
    core: Arc<Core>,
    slot: usize,
    state: Mutex<State>,
    /// Set before the guards are released, for the waits that are queued up for the state: each would get more guards
    /// for a transaction that has ended.
    is_over: AtomicBool,
}

enum State {
    Unused,
    Held { transaction: Box<Transaction>, keys: BTreeSet<Vec<u8>> },
    Released,
}

impl Guards {
    pub(super) fn new(core: Arc<Core>, slot: usize) -> Self {
        Self { core, slot, state: Mutex::new(State::Unused), is_over: AtomicBool::new(false) }
    }

    /// Waits for the guards of these keys, for a second at most.
    pub(super) async fn acquire(guards: &Arc<Self>, keys: &[Vec<u8>]) {
        let (owned, keys) = (guards.clone(), keys.to_vec());
        // In a task, so that a caller that is cancelled leaves no lock that the transaction does not know of.
        let acquired = guards.core.tasks.start(async move { owned.lock(keys).await });
        let _ = Deadline::after(PATIENCE).bound(acquired).await;
    }

    async fn lock(&self, mut keys: Vec<Vec<u8>>) {
        let mut state = self.state.lock().await;
        if self.is_over() {
            return;
        }
        if matches!(*state, State::Unused) {
            match self.core.ask_pd(self.slot, "lock", begin).await {
                Ok((_, transaction)) => {
                    *state = State::Held { transaction: Box::new(transaction), keys: BTreeSet::new() };
                }
                Err(error) => return tracing::debug!(%error, "a transaction goes on without guards"),
            }
        }
        let State::Held { transaction, keys: held } = &mut *state else { return };
        keys.retain(|key| !held.contains(key));
        // In one order everywhere, so that two calls don't wait for each other.
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return;
        }
        let longest = Deadline::after(LONGEST_WAIT);
        loop {
            let stored: Vec<Vec<u8>> = keys.iter().map(|key| self.stored(key)).collect();
            let deadline = Deadline::after(self.core.settings.call_deadline);
            let error = match deadline.bound(transaction.lock_keys(stored)).await {
                Ok(Ok(())) => return held.extend(keys),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            // A waiter that is woken, because the guard was released, is told to ask again (`PessimisticRetry`).
            let was_woken = error.as_ref().is_some_and(was_woken);
            if error.as_ref().is_some_and(is_deadlocked) {
                self.give_up(&mut state).await;
                return;
            }
            if !was_woken || longest.is_past() || self.is_over() {
                return tracing::debug!(?error, "a transaction goes on without a guard");
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
        self.give_up(&mut state).await;
    }

    /// Releases all guards before it returns, unless one is waited for yet.
    pub(super) async fn release_held(guards: &Arc<Self>) {
        guards.is_over.store(true, Ordering::Release);
        match guards.state.try_lock() {
            Ok(mut state) => guards.give_up(&mut state).await,
            Err(_) => drop(Self::release(guards)),
        }
    }

    async fn give_up(&self, state: &mut State) {
        let State::Held { mut transaction, .. } = std::mem::replace(state, State::Released) else { return };
        let deadline = Deadline::after(self.core.settings.call_deadline);
        match deadline.bound(transaction.rollback()).await {
            Ok(Ok(())) => {}
            failed => tracing::debug!(?failed, "guards are left to expire by themselves"),
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

/// Guards live 20 s without a heartbeat, and a transaction that lives longer goes on without: the client's task for it
/// would sleep for 10 s after each transaction before it notices the end.
async fn begin(client: TransactionClient) -> Result<Transaction, Error> {
    let region_backoff = RetryOptions::default_pessimistic().region_backoff;
    let options = TransactionOptions::new_pessimistic()
        .retry_options(RetryOptions { region_backoff, lock_backoff: LOCK_BACKOFF })
        .heartbeat_option(HeartbeatOption::NoHeartbeat)
        .drop_check(CheckLevel::None);
    client.begin_with_options(options).await
}

fn was_woken(error: &Error) -> bool {
    key_errors(error).any(|error| error.conflict.is_some())
}

/// This one was chosen to give way.
fn is_deadlocked(error: &Error) -> bool {
    key_errors(error).any(|error| error.deadlock.is_some())
}

#[cfg(test)]
mod tests {
    use tikv_client::ProtoKeyError;

    use super::*;

    #[test]
    fn a_woken_waiter_and_the_victim_of_a_deadlock_are_told_apart_from_others() {
        let wrapped = |key_error: ProtoKeyError| Error::PessimisticLockError {
            inner: Box::new(Error::MultipleKeyErrors(vec![Error::KeyError(Box::new(key_error))])),
            success_keys: vec![],
        };
        let woken = wrapped(ProtoKeyError { conflict: Some(Default::default()), ..Default::default() });
        assert!(was_woken(&woken) && !is_deadlocked(&woken));
        let victim = wrapped(ProtoKeyError { deadlock: Some(Default::default()), ..Default::default() });
        assert!(is_deadlocked(&victim) && !was_woken(&victim));
        let locked = wrapped(ProtoKeyError { locked: Some(Default::default()), ..Default::default() });
        assert!(!was_woken(&locked) && !is_deadlocked(&locked));
    }
}
