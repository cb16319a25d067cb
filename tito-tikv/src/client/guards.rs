//! Pessimistic locks on their own.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tito_tikv_proto::kvrpcpb::{LockInfo, Op, TxnHeartBeatRequest};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::core::Core;
use super::driver::drive;
use crate::protocol::acquire::{Acquire, LockedKey, Wanted};
use crate::protocol::resolve::{Asked, Resolve, Status};
use crate::{Error, Result, Timestamp};

/// How long locks live without a heartbeat, as in TiDB's client.
const TTL: Duration = Duration::from_secs(20);

/// How often the primary's time to live is extended.
const HEART_BEAT: Duration = Duration::from_secs(5);

/// Pessimistic locks on keys: a call for a lock that another holds waits.
///
/// They guard, and write nothing: a commit is a [`Transaction`](super::Transaction) of its own, which would wait for
/// locks on its own keys too. So what is locked should be keys beside those that are written. They are held until
/// [`release`](Self::release), or the drop; those of a process that died go after 20 s.
#[derive(Debug)]
pub struct Guards {
    core: Arc<Core>,
    start: Timestamp,
    begun: Instant,
    primary: Option<Vec<u8>>,
    /// Every lock that is held, or was asked for and may be held.
    keys: BTreeSet<Vec<u8>>,
    /// Ends the heartbeats when it is dropped.
    heart: Option<oneshot::Sender<()>>,
}

/// A key that is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// The key.
    pub key: Vec<u8>,
    /// The newest value when it was locked; `None` if there was none.
    pub value: Option<Vec<u8>>,
}

impl Guards {
    pub(super) fn new(core: Arc<Core>, start: Timestamp, begun: Instant) -> Self {
        Guards { core, start, begun, primary: None, keys: BTreeSet::new(), heart: None }
    }

    /// The start timestamp, which tells others who holds the locks.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Locks some keys, all or none, and returns them with their newest values. Keys that are held already are locked
    /// again, which changes nothing. Waits for others as long as that, and a little longer for an answer.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another holds a key for that long, [`Error::Deadlock`] if that one in turn waits for this
    /// one, [`Error::Deadline`] with what went wrong last. The call has then locked none of the keys.
    pub async fn lock<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        wait: Duration,
    ) -> Result<Vec<Guarded>> {
        let keys: BTreeSet<Vec<u8>> = keys.into_iter().map(|key| self.core.keyspace.stored(key.as_ref())).collect();
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        if self.core.tasks.is_closed() {
            return Err(Error::Closed);
        }
        let primary = self.primary.get_or_insert_with(|| first.clone()).clone();
        let new: Vec<Vec<u8>> = keys.difference(&self.keys).cloned().collect();
        // Before anything is sent: who gives up waiting has them released all the same.
        self.keys.extend(new.iter().cloned());
        let machine = Acquire::new(Wanted {
            start: self.start.raw(),
            primary: primary.clone(),
            keys: keys.into_iter().collect(),
            for_update_ts: self.start.raw(),
            ttl_millis: (self.begun.elapsed() + TTL).as_millis() as u64,
            wait_millis: wait.as_millis() as u64,
            values: true,
        });
        let mut found = Err(Error::Closed);
        drive(self.core.clone(), machine, wait, |decided| found = decided).await;
        match found {
            Ok(held) => {
                if self.heart.is_none() {
                    self.heart = Some(self.core.clone().keep_alive(self.start, self.begun, primary));
                }
                let own = |held: LockedKey| Guarded { key: self.core.keyspace.own(&held.key), value: held.value };
                Ok(held.into_iter().map(own).collect())
            }
            Err(error) => {
                self.core.clone().release(self.start, new.clone()).await;
                for key in new {
                    self.keys.remove(&key);
                }
                if self.keys.is_empty() {
                    self.primary = None;
                }
                Err(error)
            }
        }
    }

    /// Releases all keys, and waits until they are free, for the time of a call at most.
    pub async fn release(mut self) {
        self.heart = None;
        let keys = std::mem::take(&mut self.keys).into_iter().collect();
        self.core.clone().release(self.start, keys).await;
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        let keys: Vec<Vec<u8>> = std::mem::take(&mut self.keys).into_iter().collect();
        if !keys.is_empty() {
            self.core.tasks.spawn(self.core.clone().release(self.start, keys));
        }
    }
}

impl Core {
    /// Releases pessimistic locks, those of requests that come late excepted, which go with their time to live.
    async fn release(self: Arc<Self>, start: Timestamp, keys: Vec<Vec<u8>>) {
        if keys.is_empty() {
            return;
        }
        let lock = |key: &Vec<u8>| LockInfo {
            key: key.clone(),
            lock_version: start.raw(),
            lock_type: Op::PessimisticLock.into(),
            ..LockInfo::default()
        };
        let limit = self.settings.call_deadline;
        let machine = Resolve::new(Asked {
            start: start.raw(),
            primary: keys[0].clone(),
            locks: keys.iter().map(lock).collect(),
            caller_start: 0,
            now: 0,
            is_read: false,
            known: Some(Status::Released),
            deadline_millis: limit.as_millis() as u64,
        });
        drive(self, machine, limit, |decided| {
            if let Err(error) = decided {
                tracing::warn!(%start, %error, "pessimistic locks are left to expire by themselves");
            }
        })
        .await;
    }

    /// Keeps a primary alive, in a task, until the returned sender is dropped.
    fn keep_alive(self: Arc<Self>, start: Timestamp, begun: Instant, primary: Vec<u8>) -> oneshot::Sender<()> {
        let (end, mut ended) = oneshot::channel::<()>();
        let core = self.clone();
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut ended => return,
                    () = sleep(HEART_BEAT) => {}
                }
                if core.tasks.is_closed() {
                    return;
                }
                let request = TxnHeartBeatRequest {
                    primary_lock: primary.clone(),
                    start_version: start.raw(),
                    advise_lock_ttl: (begun.elapsed() + TTL).as_millis() as u64,
                    ..TxnHeartBeatRequest::default()
                };
                // One that fails is of no matter: the next one comes long before the time is over.
                if let Ok(region) = core.region_of(&primary).await {
                    core.attempt(&region, request).await;
                }
            }
        });
        end
    }
}
