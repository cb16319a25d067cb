//! What an operator asks of the cluster as a whole.
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tito_tikv_proto::kvrpcpb::{ApiVersion, Context, LockInfo, ScanLockRequest, UnsafeDestroyRangeRequest, context};

use super::Client;
use super::core::{Core, Deadline};
use super::snapshot::Tries;
use crate::protocol::unexpected;
use crate::store::Failure;
use crate::{Error, Result, Timestamp};

/// The service name under which PD knows the garbage collector.
const COLLECTOR: &str = "gc_worker";

/// How many locks one request asks for.
const LOCKS: u32 = 1_024;

impl Client {
    /// Collects the garbage of the whole cluster: versions that were overwritten or deleted before a timestamp. Returns
    /// the safe point that holds then: the last timestamp before that one, or a later one that there was already. Where
    /// a service has set an earlier safe point, it is that one.
    ///
    /// Every transaction that began before the timestamp is rolled back, of whatever software, and no snapshot from
    /// before it can be read any more. One that began just at it is spared, so the start of the oldest transaction that
    /// is still going on is the latest timestamp that is no danger: where garbage is collected past a transaction whose
    /// requests are under way, it can be torn. Locks are settled first in all regions; only if that has succeeded does PD
    /// hear of it. It takes long in a large cluster; `deadline` is for all of it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a client with a keyspace, which can't settle the locks of others; [`Error::Deadline`].
    pub async fn collect_garbage(&self, before: Timestamp, deadline: Duration) -> Result<Timestamp> {
        if self.core.keyspace.id.is_some() {
            let reason = "the safe point is the whole cluster's, and the client sees one keyspace of it".to_owned();
            return Err(Error::Invalid { what: "collect_garbage", reason });
        }
        // Up to a safe point, it included, locks are settled and records of rollbacks dropped.
        let safe_point = Timestamp::from_raw(before.raw().saturating_sub(1));
        let deadline = Deadline::after("collect_garbage", deadline);
        let collected = async {
            let mut tries = Tries::new(&self.core, deadline);
            // What others have asked to be kept is kept: PD tells the lowest safe point of all services to the one that
            // collects, and does not hold the call below to it.
            let lowest = loop {
                let asked = self.core.pd.service_safe_point(COLLECTOR, safe_point, i64::MAX).await;
                if let Some(lowest) = tries.located(asked).await? {
                    break lowest;
                }
            };
            let safe_point = safe_point.min(lowest);
            self.core.settle_locks(safe_point, deadline).await?;
            loop {
                if let Some(moved) = tries.located(self.core.pd.move_gc_safe_point(safe_point).await).await? {
                    return Ok(moved);
                }
            }
        };
        deadline.bound(collected).await
    }

    /// The cluster's safe point of garbage collection: snapshots from before it can't be read.
    ///
    /// # Errors
    ///
    /// [`Error::Pd`], at the first attempt that fails.
    pub async fn safe_point(&self) -> Result<Timestamp> {
        self.core.pd.gc_safe_point().await
    }

    /// Keeps versions from a timestamp on from being collected, on behalf of a service, for a time; again, it is
    /// renewed. Returns the lowest safe point of all services.
    ///
    /// # Errors
    ///
    /// [`Error::Pd`], at the first attempt that fails. If what is returned is later than `at`, versions after `at` may
    /// have been collected already.
    pub async fn set_service_safe_point(&self, service: &str, at: Timestamp, lives: Duration) -> Result<Timestamp> {
        let seconds = i64::try_from(lives.as_secs()).unwrap_or(i64::MAX).max(1);
        self.core.pd.service_safe_point(service, at, seconds).await
    }

    /// Removes a service's safe point. Returns the lowest of those that are left.
    ///
    /// # Errors
    ///
    /// [`Error::Pd`], at the first attempt that fails.
    pub async fn remove_service_safe_point(&self, service: &str) -> Result<Timestamp> {
        self.core.pd.service_safe_point(service, Timestamp::default(), 0).await
    }

    /// Destroys the keys of a range at once, all versions of them, on all stores. **This goes past transactions**: it
    /// can't be rolled back, and running transactions lose what they read and wrote there.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a range that is empty or, outside a keyspace, has an empty bound: a store dies of such a
    /// request. Otherwise the first failure; what was destroyed by then stays destroyed.
    pub async fn destroy_range(&self, range: Range<Vec<u8>>, deadline: Duration) -> Result<()> {
        let (start, end) = (self.core.keyspace.stored(&range.start), self.core.keyspace.stored_end(&range.end));
        if start.is_empty() || end.is_empty() || start >= end {
            let reason = "expected a first key and a later end, none of them empty".to_owned();
            return Err(Error::Invalid { what: "range", reason });
        }
        let deadline = Deadline::after("destroy_range", deadline);
        deadline.bound(self.core.destroy(start, end, deadline)).await
    }
}

impl Core {
    async fn destroy(&self, start_key: Vec<u8>, end_key: Vec<u8>, deadline: Deadline) -> Result<()> {
        let mut tries = Tries::new(self, deadline);
        let stores = loop {
            if let Some(stores) = tries.located(self.pd.all_stores().await).await? {
                break stores;
            }
        };
        let mut context = Context { cluster_id: self.pd.cluster_id(), ..Context::default() };
        if let Some(id) = self.keyspace.id {
            context.api_version = ApiVersion::V2.into();
            context.keyspace = Some(context::Keyspace::KeyspaceId(id));
        }
        let request = UnsafeDestroyRangeRequest { context: Some(context), start_key, end_key, ..Default::default() };
        let destroyed = join_all(stores.into_iter().map(|store| {
            let request = request.clone();
            async move {
                let mut tries = Tries::new(self, deadline);
                loop {
                    let address = async { Ok(store.address.clone()) };
                    // A store is at work on it for minutes, and would begin anew if it were asked again.
                    let sent = self.stores.send(store.id, address, request.clone(), deadline.left()).await;
                    let error = match sent {
                        Ok(response) if !response.error.is_empty() => {
                            return Err(Error::Answer { request: "UnsafeDestroyRange", error: response.error });
                        }
                        Ok(response) => match response.region_error {
                            None => return Ok(()),
                            Some(error) => Error::Answer { request: "UnsafeDestroyRange", error: error.message },
                        },
                        Err(Failure::Refused(error)) => return Err(error),
                        Err(Failure::NotSent(error) | Failure::Plain(error) | Failure::Unanswered(error)) => error,
                    };
                    tries.pause(crate::protocol::Pause::None, crate::protocol::Backoff::Store, error).await?;
                }
            }
        }));
        destroyed.await.into_iter().collect()
    }

    /// Settles every lock of a transaction that began no later than the safe point, region by region.
    async fn settle_locks(self: &Arc<Self>, safe_point: Timestamp, deadline: Deadline) -> Result<()> {
        let mut tries = Tries::new(self, deadline);
        let mut from = Vec::new();
        loop {
            let Some(region) = tries.located(self.region_of(&from).await).await? else { continue };
            let request = ScanLockRequest {
                max_version: safe_point.raw(),
                start_key: from.clone(),
                end_key: region.end.clone(),
                limit: LOCKS,
                ..ScanLockRequest::default()
            };
            let attempt = self.attempt(&region, request).await;
            let Some(response) = tries.answered(attempt).await? else { continue };
            if let Some(error) = &response.error {
                return Err(unexpected("KvScanLock", error));
            }
            let is_last_page = response.locks.len() < LOCKS as usize;
            let last = response.locks.last().map(|lock: &LockInfo| [lock.key.as_slice(), &[0]].concat());
            if !response.locks.is_empty() {
                self.clone().settle(response.locks).await?;
            }
            match last {
                Some(last) if !is_last_page => from = last,
                _ if region.end.is_empty() => return Ok(()),
                _ => from.clone_from(&region.end),
            }
        }
    }
}
