//! The locks of pessimistic transactions, which make writers of one key wait for each other at the call.
//!
//! They are advisory, and held by a pessimistic transaction of the client's own beside the one that commits. The client's
//! pessimistic transactions can't commit for us: they lock what is newest and check nothing against the snapshot that was
//! read, so an update between the two would be lost. So the commit is the optimistic one in both modes, with all its
//! checks, and the guards lock a key beside each key, which nobody writes: what holds a guard is never in the way of its
//! own commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use tikv_client::{CheckLevel, Error, Transaction, TransactionClient, TransactionOptions};
use tokio::sync::{Mutex, oneshot};

use super::Core;
use super::calls::Attempts;
use super::deadline::{Deadline, Passed};
use super::failure::{Failure, key_errors};
use super::outcome::{Refusal, refusal};
use crate::error::{KeyText, Result, TitoError};

/// Comes after a key in the key that guards it: no key of Tito's ends like this, and a guard that met a real key would
/// hold up its writers a little and do nothing else.
const SUFFIX: &[u8] = b"\0tito guard";

/// The guards of one transaction.
pub(super) struct Guards {
    core: Arc<Core>,
    slot: usize,
    state: Mutex<State>,
}

enum State {
    Unused,
    Held { transaction: Box<Transaction>, keys: BTreeSet<Vec<u8>> },
    Released,
}

impl Guards {
    pub(super) fn new(core: Arc<Core>, slot: usize) -> Self {
        Self { core, slot, state: Mutex::new(State::Unused) }
    }

    /// Waits until no other pessimistic transaction holds one of the keys.
    ///
    /// # Errors
    /// [`TitoError::Conflict`] where the other one ended meanwhile, or the two would wait for each other: the snapshot
    /// of this one is older than what it waited for, so it would fail at the commit.
    pub(super) async fn acquire(guards: &Arc<Self>, keys: Vec<Vec<u8>>) -> Result<()> {
        let owned = guards.clone();
        // In a task, so that a caller that is cancelled leaves no lock that the transaction does not know of.
        let answer = guards.core.tasks.start(async move { owned.lock(keys).await });
        answer.await.unwrap_or_else(|_| Err(TitoError::EngineClosed { reason: "the runtime is shut down".to_string() }))
    }

    async fn lock(&self, mut keys: Vec<Vec<u8>>) -> Result<()> {
        let mut state = self.state.lock().await;
        if matches!(*state, State::Unused) {
            let begin = |client: TransactionClient| async move {
                let options = TransactionOptions::new_pessimistic().drop_check(CheckLevel::None);
                client.begin_with_options(options).await
            };
            let (_, transaction) = self.core.ask_pd(self.slot, "lock", begin).await?;
            *state = State::Held { transaction: Box::new(transaction), keys: BTreeSet::new() };
        }
        let State::Held { transaction, keys: held } = &mut *state else { return Err(TitoError::TransactionEnded) };
        keys.retain(|key| !held.contains(key));
        // In one order everywhere, so that two calls seldom wait for each other.
        keys.sort_unstable();
        keys.dedup();
        let Some(first) = keys.first().cloned() else { return Ok(()) };
        let deadline = Deadline::after(self.core.settings.call_deadline);
        let mut attempts = Attempts::new("lock", Some(&first), deadline);
        loop {
            attempts.begin();
            let stored: Vec<Vec<u8>> = keys.iter().map(|key| self.stored(key)).collect();
            let error = match deadline.bound(transaction.lock_keys(stored)).await {
                Ok(Ok(())) => {
                    held.extend(keys);
                    return Ok(());
                }
                Ok(Err(error)) => error,
                Err(Passed) => return Err(attempts.passed()),
            };
            if has_to_begin_anew(&error) {
                return Err(TitoError::Conflict { key: KeyText::from(first) });
            }
            let is_held_by_another = matches!(refusal(&error), Some(Refusal::Locked { .. }));
            if Failure::of(&error) == Failure::Lasting {
                return Err(attempts.lasting(error));
            }
            match attempts.again(error, self.core.settings.retry_budget).await {
                Err(TitoError::Unavailable { .. }) if is_held_by_another => {
                    return Err(TitoError::Conflict { key: KeyText::from(first) });
                }
                waited => waited?,
            }
        }
    }

    /// Lets go of all guards, in a task.
    pub(super) fn release(guards: &Arc<Self>) -> oneshot::Receiver<()> {
        let owned = guards.clone();
        guards.core.tasks.start(async move {
            let mut state = owned.state.lock().await;
            let State::Held { mut transaction, .. } = std::mem::replace(&mut *state, State::Released) else { return };
            let deadline = Deadline::after(owned.core.settings.call_deadline);
            match deadline.bound(transaction.rollback()).await {
                Ok(Ok(())) => {}
                failed => tracing::debug!(?failed, "guards are left to expire by themselves"),
            }
        })
    }

    fn stored(&self, key: &[u8]) -> Vec<u8> {
        [&self.core.prefix.stored(key), SUFFIX].concat()
    }
}

/// A waiter that is woken is told to begin anew (`PessimisticRetry`), as is the victim of a deadlock.
fn has_to_begin_anew(error: &Error) -> bool {
    key_errors(error).any(|error| error.conflict.is_some() || error.deadlock.is_some())
}

#[cfg(test)]
mod tests {
    use tikv_client::ProtoKeyError;

    use super::*;

    #[test]
    fn a_woken_waiter_and_the_victim_of_a_deadlock_begin_anew_and_others_wait_on() {
        let wrapped = |key_error: ProtoKeyError| Error::PessimisticLockError {
            inner: Box::new(Error::MultipleKeyErrors(vec![Error::KeyError(Box::new(key_error))])),
            success_keys: vec![],
        };
        let woken = ProtoKeyError { conflict: Some(Default::default()), ..Default::default() };
        assert!(has_to_begin_anew(&wrapped(woken)));
        let victim = ProtoKeyError { deadlock: Some(Default::default()), ..Default::default() };
        assert!(has_to_begin_anew(&wrapped(victim)));
        let locked = ProtoKeyError { locked: Some(Default::default()), ..Default::default() };
        assert!(!has_to_begin_anew(&wrapped(locked)));
        assert!(!has_to_begin_anew(&Error::ResolveLockError(vec![])));
    }
}
