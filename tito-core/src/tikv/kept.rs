//! Snapshots that are kept from the collection of garbage, by a safe point of PD's for each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_tikv::Snapshot;
use tokio::sync::{oneshot, watch};

use super::age::Age;
use super::error::failed;
use super::transaction::{read_many, read_range};
use super::{Core, timestamp_of};
use crate::engine::{Direction, KeyValue, TitoSnapshot};
use crate::error::{Result, TitoError};
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

/// How long PD keeps the safe point unless it is renewed: what garbage is kept for longer when the process dies. The
/// backup tools of TiKV have the same.
const LIVES: Duration = Duration::from_secs(300);

/// How often it is renewed, in milliseconds; twice it can fail.
const RENEWED_EVERY: u64 = 100_000;

/// How soon a renewal that failed is tried again, in milliseconds.
const TRIED_AGAIN_AFTER: u64 = 5_000;

/// How many keys a scan asks for first; each answer tells how large they are.
const FIRST_KEYS: usize = 64;

/// A state of the cluster.
pub(super) struct KeptSnapshot {
    core: Arc<Core>,
    snapshot: Snapshot,
    hold: Arc<Hold>,
    /// Dropped to end the hold.
    held: watch::Sender<()>,
    ended: oneshot::Receiver<Result<()>>,
}

/// A service's safe point, just before the snapshot's timestamp.
struct Hold {
    core: Arc<Core>,
    service: String,
    before: Timestamp,
    /// Since when it was certain to be there last.
    renewed: Mutex<Age>,
}

impl KeptSnapshot {
    pub(super) async fn take(core: &Arc<Core>) -> Result<Self> {
        let at = core.ask_timestamp("snapshot").await?;
        let hold = Arc::new(Hold {
            core: core.clone(),
            service: format!("tito-snapshot-{:032x}", fastrand::u128(..)),
            before: Timestamp::from_raw(at.raw().saturating_sub(1)),
            renewed: Mutex::new(Age::from_now(core)),
        });
        let (held, is_held) = watch::channel(());
        let ended = core.tasks.start(hold.clone().renew_until_released(is_held));
        let snapshot = core.client.snapshot(tito_tikv::Timestamp::from_raw(at.raw()));
        // From here on the task takes the safe point away again, whatever becomes of this future.
        let kept = Self { core: core.clone(), snapshot, hold, held, ended };
        kept.hold.renew().await?;
        Ok(kept)
    }

    /// What was read, if the state was still there afterwards: TiKV answers a read of what it has collected with what is
    /// left instead of an error.
    async fn checked<T>(&self, read: impl Future<Output = Result<T>>) -> Result<T> {
        self.core.check_open()?;
        let read = read.await?;
        if self.hold.age_millis() >= LIVES.as_millis() as u64 {
            self.hold.renew().await?;
        }
        Ok(read)
    }

    async fn page(
        &self,
        mut range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<KeyValue>> {
        let (mut found, mut total) = (Vec::new(), 0_usize);
        let mut asked = FIRST_KEYS.min(limit);
        loop {
            let page = read_range(&self.core, &self.snapshot, range.clone(), direction, asked).await?;
            let is_last = page.len() < asked;
            for (key, value) in page {
                total = total.saturating_add(key.len() + value.len());
                if total > bytes && !found.is_empty() {
                    return Ok(found);
                }
                found.push((key, value));
            }
            let Some((last, _)) = found.last().filter(|_| !is_last && found.len() < limit && total < bytes) else {
                return Ok(found);
            };
            range = match direction {
                Direction::Ascending => range.after(last),
                Direction::Descending => range.before(last),
            };
            if range.is_empty() {
                return Ok(found);
            }
            let average = total / found.len() + 1;
            asked = ((bytes - total) / average + 1).min(asked * 2).min(limit - found.len());
        }
    }
}

impl Hold {
    fn age_millis(&self) -> u64 {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).millis(&self.core)
    }

    /// By the monotonic clock, in milliseconds.
    fn next_renewal(&self) -> u64 {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).began_millis.saturating_add(RENEWED_EVERY)
    }

    async fn renew(&self) -> Result<()> {
        let asked = Age::from_now(&self.core);
        let before = tito_tikv::Timestamp::from_raw(self.before.raw());
        let lowest = self.core.client.set_service_safe_point(&self.service, before, LIVES).await;
        self.check("the lowest safe point of all services", lowest)?;
        // Collectors go by the services' safe points; one that does not has moved this one.
        self.check("the safe point of garbage collection", self.core.client.safe_point().await)?;
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        Ok(())
    }

    fn check(&self, what: &str, told: Result<tito_tikv::Timestamp, tito_tikv::Error>) -> Result<()> {
        let told = timestamp_of(told.map_err(|error| failed("snapshot", None, error))?);
        if told <= self.before {
            return Ok(());
        }
        let (told, before) = (told.raw(), self.before.raw());
        Err(TitoError::SnapshotLost { reason: format!("{what} is {told}, which is past {before}, where it is kept") })
    }

    /// Renews the safe point until the snapshot is released or the engine is closed, and says at the end whether it was
    /// there all the time.
    async fn renew_until_released(self: Arc<Self>, mut is_held: watch::Receiver<()>) -> Result<()> {
        let mut is_closed = self.core.is_closed.subscribe();
        let clock = &self.core.settings.clock;
        let mut next = self.next_renewal();
        loop {
            tokio::select! {
                _ = is_held.changed() => break,
                _ = is_closed.wait_for(|is_closed| *is_closed) => break,
                () = clock.wait_until_monotonic(next) => {}
            }
            next = match self.renew().await {
                Ok(()) => self.next_renewal(),
                Err(error) => {
                    tracing::warn!(service = self.service, %error, "the safe point of a snapshot could not be renewed");
                    clock.monotonic_millis().saturating_add(TRIED_AGAIN_AFTER)
                }
            };
        }
        let was_kept = self.renew().await;
        if let Err(error) = self.core.client.remove_service_safe_point(&self.service).await {
            tracing::warn!(
                service = self.service, %error,
                "the safe point of a snapshot could not be removed; PD drops it after five minutes"
            );
        }
        was_kept
    }
}

impl TitoSnapshot for KeptSnapshot {
    fn timestamp(&self) -> Timestamp {
        timestamp_of(self.snapshot.timestamp())
    }

    fn batch_get(&self, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        self.checked(read_many(&self.core, &self.snapshot, keys)).boxed()
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
        bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<KeyValue>>> {
        self.checked(self.page(range, direction, limit, bytes)).boxed()
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        async move {
            let Self { core, held, ended, .. } = *self;
            drop(held);
            let closed = || TitoError::EngineClosed { reason: "it was shut down".to_string() };
            ended.await.unwrap_or_else(|_| Err(core.check_open().err().unwrap_or_else(closed)))
        }
        .boxed()
    }
}
