//! The commit of one transaction, in a task of the engine's, to one of its three outcomes.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tikv_client::{Backoff, ProtoLockInfo, Transaction, TransactionClient};

use super::Core;
use super::age::Age;
use super::deadline::{Deadline, Passed};
use super::error::TiKVError;
use super::failure::Failure;
use super::outcome::{Refusal, committed, refusal};
use super::reads::{At, only};
use super::timestamp_of;
use tito_core::Timestamp;
use tito_core::engine::{Mutations, Signals};
use tito_core::keys::KeyRange;
use tito_core::{KeyText, Result, SharedError, TitoError};

/// How often a commit under way looks whether its transaction is too old by now.
const CLOCK_LOOK: Duration = Duration::from_millis(50);

/// The client's transaction, and when it began.
pub(super) struct Begun {
    pub(super) slot: usize,
    pub(super) client: TransactionClient,
    pub(super) transaction: Transaction,
    pub(super) start: Timestamp,
    pub(super) age: Age,
}

/// A transaction that is to be committed.
pub(super) struct Commit {
    pub(super) core: Arc<Core>,
    pub(super) begun: Begun,
    pub(super) mutations: Mutations,
    pub(super) signals: Signals,
}

/// Why an attempt to commit did not report success.
enum Failed {
    Error(tikv_client::Error),
    Deadline,
    TooOld,
}

/// What became of a transaction whose commit did not report success.
enum Settled {
    RolledBack,
    /// It was committed, at this time if that was told.
    Committed(Option<Timestamp>),
    Unknown(SharedError),
}

impl Commit {
    pub(super) async fn run(self) -> Result<Timestamp> {
        let Self { core, mut begun, mutations, signals } = self;
        begun.check_age(&core).await?;
        let keys = begun.fill(&core, mutations).await?;
        let timestamp = match begun.attempt(&core).await {
            Ok(timestamp) => timestamp,
            Err(failed) => begun.settle(&core, failed, &keys).await?,
        };
        if timestamp.millis_since(begun.start) > core.max_age_millis() {
            tracing::warn!(start = %begun.start, %timestamp, "PD's clock jumped during a commit, which landed late");
        }
        core.shared.deliver(signals, timestamp);
        Ok(timestamp)
    }
}

/// The stored keys of a transaction.
struct Keys {
    /// Whose lock decides: the first that is written.
    primary: Vec<u8>,
    all: Vec<Vec<u8>>,
}

impl Keys {
    /// From the first to the last.
    fn range(&self) -> KeyRange {
        let first = self.all.iter().min().cloned().unwrap_or_default();
        let last = self.all.iter().max().cloned().unwrap_or_default();
        KeyRange { start: first, end: only(&last).end }
    }
}

impl Begun {
    /// Refuses a transaction that is too old. PD's clock is what counts, and is asked once half of the age has passed
    /// here: a young transaction needs no call more.
    async fn check_age(&self, core: &Core) -> Result<()> {
        let limit_millis = core.max_age_millis();
        if self.age.millis(core) <= limit_millis / 2 {
            return Ok(());
        }
        let ask = |client: TransactionClient| async move { client.current_timestamp().await };
        let (_, now) = core.ask_pd(self.slot, "commit", ask).await?;
        let age_millis = timestamp_of(&now).millis_since(self.start);
        if age_millis > limit_millis { Err(TitoError::TransactionTooOld { age_millis, limit_millis }) } else { Ok(()) }
    }

    /// Hands the writes to the client. Nothing is sent but a read of keys that were inserted and deleted again.
    async fn fill(&mut self, core: &Core, mutations: Mutations) -> Result<Keys> {
        let Mutations { writes, locks, .. } = mutations;
        let mut locks: BTreeSet<Vec<u8>> = locks.into_iter().filter(|key| !writes.contains_key(key)).collect();
        // A key that must not exist and is not written either. It is looked up in the snapshot, and locked, so that it
        // still does not exist at the commit.
        let absent: BTreeSet<Vec<u8>> = writes
            .iter()
            .filter(|(_, mutation)| mutation.must_be_new && mutation.value.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        if !absent.is_empty() {
            let snapshot = At { core, slot: self.slot, timestamp: self.start };
            if let Some((existing, _)) = snapshot.batch_get(absent.clone()).await?.first_key_value() {
                return Err(TitoError::AlreadyExists { key: existing.as_slice().into() });
            }
        }
        let mut all = Vec::with_capacity(writes.len() + locks.len());
        // Writes before locks: the client makes the first key the primary one.
        for (key, mutation) in writes {
            if absent.contains(&key) {
                locks.insert(key);
                continue;
            }
            let stored = core.prefix.stored(&key);
            all.push(stored.clone());
            let filled = match (mutation.value, mutation.must_be_new) {
                (Some(value), true) => self.transaction.insert(stored, value).await,
                (Some(value), false) => self.transaction.put(stored, value).await,
                (None, _) => self.transaction.delete(stored).await,
            };
            filled.map_err(unusable)?;
        }
        let locks: Vec<Vec<u8>> = locks.iter().map(|key| core.prefix.stored(key)).collect();
        all.extend_from_slice(&locks);
        self.transaction.lock_keys(locks).await.map_err(unusable)?;
        Ok(Keys { primary: all.first().cloned().unwrap_or_default(), all })
    }

    /// Makes the commit, for as long as the deadline and the transaction's age allow. Dropping it half-way is safe: what
    /// was sent by then is rolled back after it, and what arrives late finds that.
    async fn attempt(&mut self, core: &Core) -> Result<Timestamp, Failed> {
        let deadline = Deadline::after(core.settings.call_deadline);
        let (start, age, limit_millis) = (self.start, self.age, core.max_age_millis());
        let is_too_old = || age.millis(core) > limit_millis;
        let mut commit = pin!(deadline.bound(self.transaction.commit()));
        // Looked at before each of its steps: one that was kept waiting, by the cluster or with the whole process, must not
        // go on to draw a timestamp and to commit at it. Whoever waits until this transaction is too old goes by that.
        let step =
            poll_fn(|context| if is_too_old() { Poll::Ready(None) } else { commit.as_mut().poll(context).map(Some) });
        let outcome = tokio::select! {
            biased;
            outcome = step => outcome,
            () = becomes(is_too_old) => None,
        };
        match outcome {
            // Without a timestamp there was nothing to commit.
            Some(Ok(Ok(timestamp))) => Ok(timestamp.map_or(start, |timestamp| timestamp_of(&timestamp))),
            Some(Ok(Err(error))) => Err(Failed::Error(error)),
            Some(Err(Passed)) => Err(Failed::Deadline),
            None => Err(Failed::TooOld),
        }
    }

    /// Finds out what became of a commit that failed, and leaves no lock behind. Returns its timestamp if it took effect.
    async fn settle(&mut self, core: &Core, failed: Failed, keys: &Keys) -> Result<Timestamp> {
        let deadline = Deadline::after(core.settings.call_deadline);
        let refused = match &failed {
            Failed::Error(error) => refusal(error),
            Failed::Deadline | Failed::TooOld => None,
        };
        let settled = match &refused {
            // A rollback leaves a record that older transactions of the key conflict with, and here it is for nothing.
            Some(refusal) if keys.all.len() == 1 && refusal.is_final() => Settled::RolledBack,
            Some(_) => self.roll_back(core, keys, deadline).await,
            None => match self.decide(core, keys, deadline).await {
                Ok(()) => self.roll_back(core, keys, deadline).await,
                Err(error) => Settled::Unknown(error),
            },
        };
        let settling = match settled {
            Settled::Committed(Some(timestamp)) => return Ok(timestamp),
            // It is done, and that is what matters: a timestamp that is a little late, yet before every later start.
            Settled::Committed(None) => return self.any_timestamp(core).await,
            Settled::RolledBack => None,
            Settled::Unknown(error) => Some(error),
        };
        match (refused, settling) {
            (Some(refusal), _) => Err(self.refused(core, refusal, keys, deadline).await),
            (None, None) => Err(self.interrupted(core, failed, keys)),
            (None, Some(settling)) => {
                let commit = failed.into_source(core);
                let source = TiKVError::Undetermined { commit, settling: settling.to_string() };
                Err(TitoError::CommitUnknown { source: source.into() })
            }
        }
    }

    /// Makes the primary key decide whether a commit took effect, and the other keys follow it.
    ///
    /// The client's rollback must not be used for that: it goes to the regions side by side, and would roll back the
    /// locks of other keys while the primary's region finds the transaction committed, which tears it apart. So the
    /// locks are resolved as those of another, dead transaction are: the client looks at the primary key first, and rolls
    /// it back if it is neither committed nor rolled back. A time to live of 0 tells it not to wait.
    async fn decide(&self, core: &Core, keys: &Keys, deadline: Deadline) -> Result<(), SharedError> {
        let version = self.transaction.start_timestamp();
        let lock = |key: &Vec<u8>| ProtoLockInfo {
            key: key.clone(),
            primary_lock: keys.primary.clone(),
            lock_version: self.start.raw(),
            ..Default::default()
        };
        let locks: Vec<ProtoLockInfo> = keys.all.iter().map(lock).collect();
        for attempt in 1.. {
            let client = core.connections.get(self.slot).client;
            let resolving = client.resolve_locks(locks.clone(), version.clone(), Backoff::no_backoff());
            let error = match deadline.bound(resolving).await {
                Ok(Ok(alive)) if alive.is_empty() => return Ok(()),
                Ok(Ok(_)) => "the primary key is still locked".into(),
                Ok(Err(error)) => match Failure::of(&error) {
                    // The primary key was never locked. A commit is sent only after it was, so none was sent.
                    Failure::Orphan { start } if start == self.start.raw() => return Ok(()),
                    Failure::Lasting | Failure::TooLarge => return Err(error.into()),
                    Failure::Passing | Failure::Orphan { .. } => SharedError::from(error),
                },
                Err(Passed) => return Err("the primary key had no answer before the deadline".into()),
            };
            if attempt > core.settings.retry_budget || deadline.pause(attempt).await.is_err() {
                return Err(error);
            }
        }
        Err("the primary key was never asked".into())
    }

    /// Rolls back on every key, once it is certain that no commit took effect or all keys follow it: in the second case
    /// that is told. After every failed commit, whatever failed: keys of other regions or batches would keep a lock,
    /// whose primary may never have been written.
    async fn roll_back(&mut self, core: &Core, keys: &Keys, deadline: Deadline) -> Settled {
        for attempt in 1.. {
            let error = match deadline.bound(self.transaction.rollback()).await {
                Ok(Ok(())) => return Settled::RolledBack,
                Ok(Err(error)) => error,
                Err(Passed) => return Settled::Unknown("the rollback had no answer before the deadline".into()),
            };
            if let Some(timestamp) = committed(&error) {
                return Settled::Committed(timestamp);
            }
            let is_last = Failure::of(&error) == Failure::Lasting || attempt > core.settings.retry_budget;
            if is_last || deadline.pause(attempt).await.is_err() {
                return Settled::Unknown(error.into());
            }
            // The rollback makes one attempt, as the commit does, and so never learns that a region has moved.
            let _ = self.decide(core, keys, deadline).await;
        }
        Settled::Unknown("the rollback was never tried".into())
    }

    async fn any_timestamp(&self, core: &Core) -> Result<Timestamp> {
        let ask = |client: TransactionClient| async move { client.current_timestamp().await };
        match core.ask_pd(self.slot, "commit", ask).await {
            Ok((_, now)) => Ok(timestamp_of(&now)),
            Err(error) => Err(TitoError::CommitUnknown { source: error.into() }),
        }
    }

    /// What certainly took no effect, for the reason that the cluster gave.
    async fn refused(&self, core: &Core, refusal: Refusal, keys: &Keys, deadline: Deadline) -> TitoError {
        let named = |key: Vec<u8>| {
            if key.is_empty() {
                KeyText::from(core.prefix.own(keys.primary.clone()))
            } else {
                core.prefix.in_error(&key)
            }
        };
        match refusal {
            Refusal::Conflict { key } => TitoError::Conflict { key: named(key) },
            // Of a living transaction the client hands on the lock of its primary key, which need not be one of ours.
            Refusal::Locked { key } => {
                let key = named(key);
                let is_ours = keys.all.iter().any(|stored| core.prefix.own(stored.clone()) == key.as_bytes());
                TitoError::Conflict { key: if is_ours { key } else { named(Vec::new()) } }
            }
            Refusal::Exists { key } => TitoError::AlreadyExists { key: named(key) },
            Refusal::RolledBack => TitoError::Conflict { key: named(Vec::new()) },
            Refusal::Orphan { start } => {
                // Attempts that meet such a key fail at once, so 32 of them don't outlast a dead client's lock: it is
                // waited for here.
                core.wait_out(&self.client, &keys.range(), start, deadline).await;
                TitoError::Conflict { key: named(Vec::new()) }
            }
        }
    }

    /// What was rolled back, and can succeed as a whole if it is done again.
    fn interrupted(&self, core: &Core, failed: Failed, keys: &Keys) -> TitoError {
        let key = || Some(KeyText::from(core.prefix.own(keys.primary.clone())));
        match failed {
            Failed::TooOld => {
                TitoError::TransactionTooOld { age_millis: self.age.millis(core), limit_millis: core.max_age_millis() }
            }
            Failed::Deadline => {
                let deadline_millis = core.settings.call_deadline.as_millis() as u64;
                let source =
                    TiKVError::Deadline { call: "commit", key: key(), attempt: 1, deadline_millis, last: None };
                TitoError::Unavailable { operation: "commit", source: source.into() }
            }
            Failed::Error(error) => {
                let retry_can_help = Failure::of(&error) != Failure::Lasting;
                let source: SharedError =
                    TiKVError::Call { call: "commit", key: key(), attempt: 1, retry_can_help, source: error.into() }
                        .into();
                if retry_can_help {
                    TitoError::Unavailable { operation: "commit", source }
                } else {
                    TitoError::Storage { operation: "commit", source }
                }
            }
        }
    }
}

/// Completes when something has come to be. A clock is looked at and not waited for: a wait for a time that seldom comes
/// would be in the way of a test that turns the clock to the next wait.
async fn becomes(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(CLOCK_LOOK).await;
    }
}

impl Failed {
    fn into_source(self, core: &Core) -> SharedError {
        match self {
            Self::Error(error) => error.into(),
            Self::Deadline => format!("no answer within {} ms", core.settings.call_deadline.as_millis()).into(),
            Self::TooOld => "the transaction became too old".into(),
        }
    }
}

/// The client takes writes into its buffer without asking anybody, and refuses them only after the transaction's end.
fn unusable(error: tikv_client::Error) -> TitoError {
    TitoError::Storage { operation: "commit", source: error.into() }
}
