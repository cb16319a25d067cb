//! Reads at a timestamp.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tito_tikv_proto::kvrpcpb::{BatchGetRequest, Context, GetRequest, KeyError, LockInfo};

use super::core::{Attempt, Core, Deadline};
use crate::protocol::resolve::Status;
use crate::protocol::{Backoff, Pause, unexpected};
use crate::region::Region;
use crate::{Error, Result, Timestamp};

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// How many keys go into one request.
const KEYS_TOGETHER: usize = 1_024;

/// How many requests of one read are under way at once.
const REQUESTS_TOGETHER: usize = 64;

/// What was committed up to a timestamp. Clones share what they have learned of locks.
///
/// A read that meets the lock of a transaction that may have been committed before the timestamp asks what became of
/// it, and waits for it at most until its time to live is over. Any number of reads can be made at once.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) core: Arc<Core>,
    pub(super) at: Timestamp,
    seen: Arc<Mutex<Seen>>,
}

/// Transactions whose locks don't matter to the snapshot.
#[derive(Debug, Default)]
struct Seen {
    /// They are not in it.
    resolved: BTreeSet<u64>,
    /// They are.
    committed: BTreeSet<u64>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) fn new(core: Arc<Core>, at: Timestamp) -> Self {
        Snapshot { core, at, seen: Arc::default() }
    }

    /// The snapshot's timestamp.
    pub fn timestamp(&self) -> Timestamp {
        self.at
    }

    /// The value of a key, if it has one. One round trip, if the key's region is known.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`] with what went wrong last if it could not be read within the call deadline, such as
    /// [`Error::Pd`] or [`Error::Locked`]. [`Error::Region`], [`Error::TooLarge`] and [`Error::Answer`] if asking again
    /// is no use.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let deadline = self.deadline("get");
        deadline.bound(self.get_until(self.core.keyspace.stored(key.as_ref()), deadline)).await
    }

    async fn get_until(&self, key: Vec<u8>, deadline: Deadline) -> Result<Option<Vec<u8>>> {
        let mut tries = Tries::new(&self.core, deadline);
        loop {
            let Some(region) = tries.located(self.core.region_of(&key).await).await? else { continue };
            let request = GetRequest {
                context: Some(self.context()),
                key: key.clone(),
                version: self.at.raw(),
                need_commit_ts: false,
                ..Default::default()
            };
            let attempt = self.core.attempt(&region, request).await;
            let Some(response) = tries.answered(attempt).await? else { continue };
            let limit = self.core.settings.max_message_bytes;
            match response.error {
                None if response.value.len() > limit => {
                    return Err(Error::TooLarge { request: "KvGet", store: region.leader().store_id, limit });
                }
                None => return Ok((!response.not_found).then_some(response.value)),
                Some(error) => self.pass(&mut tries, vec![lock_of("KvGet", error)?]).await?,
            }
        }
    }

    /// The values of some keys, without those that have none, in the order of their keys. Regions are asked side by
    /// side.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn batch_get<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<KeyValue>> {
        let keys: BTreeSet<Vec<u8>> = keys.into_iter().map(|key| self.core.keyspace.stored(key.as_ref())).collect();
        let deadline = self.deadline("batch_get");
        let found = deadline.bound(self.batch_get_until(keys, deadline)).await?;
        Ok(found.into_iter().map(|(key, value)| (self.core.keyspace.own(&key), value)).collect())
    }

    async fn batch_get_until(
        &self,
        mut wanted: BTreeSet<Vec<u8>>,
        deadline: Deadline,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut tries = Tries::new(&self.core, deadline);
        let mut found = BTreeMap::new();
        let mut most = KEYS_TOGETHER;
        while !wanted.is_empty() {
            let keys: Vec<Vec<u8>> = wanted.iter().cloned().collect();
            let Some(runs) = tries.located(self.core.locate(&keys).await).await? else { continue };
            let together = self.core.row_sizes.rows(most);
            let mut requests = divide(runs, &keys, together);
            // What answers side by side is in memory at once; the rest of the keys is for the next round.
            requests.truncate(REQUESTS_TOGETHER);
            let answers = join_all(requests.iter().map(|(region, keys)| {
                let request = BatchGetRequest {
                    context: Some(self.context()),
                    keys: keys.to_vec(),
                    version: self.at.raw(),
                    need_commit_ts: false,
                    ..Default::default()
                };
                self.core.attempt(region, request)
            }))
            .await;
            let (mut locks, mut failed) = (Vec::new(), None);
            for ((_, keys), answer) in requests.iter().zip(answers) {
                let response = match answer {
                    Attempt::Response(response) => response,
                    Attempt::Refused { error: error @ Error::TooLarge { .. } } => {
                        most = self.core.row_sizes.did_not_fit(keys.len()).ok_or(error)?;
                        continue;
                    }
                    other => {
                        failed = Some(other);
                        continue;
                    }
                };
                let errors =
                    response.error.into_iter().chain(response.pairs.iter().filter_map(|pair| pair.error.clone()));
                let met: Vec<LockInfo> =
                    errors.map(|error| lock_of("KvBatchGet", error)).collect::<Result<Vec<LockInfo>>>()?;
                // Without the locked ones, which are asked for again: of a key that is not told there is no value.
                let locked: BTreeSet<&Vec<u8>> = met.iter().map(|lock| &lock.key).collect();
                let is_whole = locked.iter().all(|key| keys.contains(key));
                if is_whole {
                    for key in keys.iter().filter(|key| !locked.contains(key)) {
                        wanted.remove(key);
                    }
                    self.core.row_sizes.saw(&response.pairs);
                    let pairs = response.pairs.into_iter().filter(|pair| pair.error.is_none());
                    found.extend(pairs.map(|pair| (pair.key, pair.value)));
                }
                locks.extend(met);
            }
            if let Some(failed) = failed {
                tries.answered(failed).await?;
            }
            if !locks.is_empty() {
                self.pass(&mut tries, locks).await?;
            }
        }
        Ok(found)
    }

    pub(super) fn deadline(&self, call: &'static str) -> Deadline {
        Deadline::after(call, self.core.settings.call_deadline)
    }

    /// The part of a request's context that says which locks don't matter.
    pub(super) fn context(&self) -> Context {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Context {
            resolved_locks: seen.resolved.iter().copied().collect(),
            committed_locks: seen.committed.iter().copied().collect(),
            ..Context::default()
        }
    }

    /// Asks what became of those who hold these locks, and waits a little if one lives.
    pub(super) async fn pass(&self, tries: &mut Tries<'_>, locks: Vec<LockInfo>) -> Result<()> {
        let first = locks.first().map(|lock| Error::Locked {
            key: self.core.keyspace.own(&lock.key).into(),
            holder: Timestamp::from_raw(lock.lock_version),
        });
        let statuses = match self.core.look_at_locks(locks, self.at.raw()).await {
            Ok(statuses) => statuses,
            Err(error) if error.can_retry_help() => return tries.pause(Pause::None, Backoff::Lock, error).await,
            Err(error) => return Err(error),
        };
        let mut left: Option<u64> = None;
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for (start, status) in statuses {
                match status {
                    Status::Committed(at) if at <= self.at.raw() => {
                        seen.committed.insert(start);
                    }
                    Status::Committed(_) | Status::RolledBack | Status::Pushed => {
                        seen.resolved.insert(start);
                    }
                    Status::Alive { left_millis } => left = left.max(Some(left_millis)),
                    Status::Released => left = left.max(Some(0)),
                }
            }
        }
        match (left, first) {
            (Some(left), Some(error)) if left < 20 => tries.wait(Duration::from_millis(left + 1), error).await,
            (Some(_), Some(error)) => tries.pause(Pause::None, Backoff::Lock, error).await,
            _ => Ok(()),
        }
    }
}

/// The lock that an error tells of.
pub(super) fn lock_of(request: &'static str, error: KeyError) -> Result<LockInfo> {
    match error.locked {
        Some(lock) => Ok(lock),
        None => Err(unexpected(request, &error)),
    }
}

/// The keys of each region, in parts of a bounded number.
fn divide(runs: Vec<(Arc<Region>, usize)>, keys: &[Vec<u8>], together: usize) -> Vec<(Arc<Region>, &[Vec<u8>])> {
    let mut parts = Vec::new();
    let mut rest = keys;
    for (region, count) in runs {
        let (run, after) = rest.split_at(count);
        rest = after;
        parts.extend(run.chunks(together).map(|part| (region.clone(), part)));
    }
    parts
}

/// The attempts of one read.
pub(super) struct Tries<'c> {
    core: &'c Core,
    deadline: Deadline,
    count: u32,
}

impl<'c> Tries<'c> {
    pub(super) fn new(core: &'c Core, deadline: Deadline) -> Self {
        Tries { core, deadline, count: 0 }
    }

    /// What was located; or else nothing, after a pause. What can't be located until the deadline is an error.
    pub(super) async fn located<T>(&mut self, located: Result<T>) -> Result<Option<T>> {
        match located {
            Ok(located) => Ok(Some(located)),
            Err(error) if error.can_retry_help() => {
                self.pause(Pause::None, Backoff::Pd, error).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What was answered; or else nothing, after a pause.
    pub(super) async fn answered<T>(&mut self, attempt: Attempt<T>) -> Result<Option<T>> {
        match attempt {
            Attempt::Response(response) => Ok(Some(response)),
            Attempt::NotDone { error, pause } | Attempt::Unanswered { error, pause } => {
                if self.count >= self.core.settings.retries {
                    return Err(error);
                }
                self.count += 1;
                let length = self.core.pause(pause.at(self.count));
                self.deadline.pause(length, error).await?;
                Ok(None)
            }
            Attempt::Refused { error } => Err(error),
        }
    }

    /// A pause of a kind, at least as long as another one.
    pub(super) async fn pause(&mut self, least: Pause, kind: Backoff, error: Error) -> Result<()> {
        if self.count >= self.core.settings.retries {
            return Err(error);
        }
        let length = self.core.pause(Pause::Backoff { kind, attempt: self.count }).max(self.core.pause(least));
        self.count += 1;
        self.deadline.pause(length, error).await
    }

    pub(super) async fn wait(&mut self, length: Duration, error: Error) -> Result<()> {
        self.count += 1;
        self.deadline.pause(length, error).await
    }
}
