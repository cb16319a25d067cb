//! Locks of others that are in the way.
use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use tito_tikv_proto::kvrpcpb::LockInfo;
use tokio::sync::oneshot;

use super::core::{Core, Deadline};
use super::driver::drive;
use crate::protocol::Alive;
use crate::protocol::resolve::{Asked, Resolve, Status};
use crate::region::Region;
use crate::transport::BoxFuture;
use crate::{Error, Result};

/// For whom locks are in the way.
#[derive(Clone, Copy, Debug)]
enum Caller {
    /// Someone who reads at this timestamp.
    Reader(u64),
    Writer,
    /// Garbage is collected: whatever the time to live says, it is over.
    Collector,
}

impl Core {
    /// What became of the transactions that hold these locks. Those that are over are resolved meanwhile, but not
    /// waited for: who reads can pass by.
    pub(crate) async fn look_at_locks(self: &Arc<Self>, locks: Vec<LockInfo>, at: u64) -> Result<Vec<(u64, Status)>> {
        let machines = self.machines(locks, Caller::Reader(at)).await?;
        let looks = machines.into_iter().map(|(start, machine)| {
            let (tell, told) = oneshot::channel();
            let (core, mut tell) = (self.clone(), Some(tell));
            let decided = move |status| {
                if let Some(tell) = tell.take() {
                    // Who asked may have given up.
                    let _ = tell.send(status);
                }
            };
            self.tasks.spawn(core.resolve(start, machine, decided));
            async move { told.await.unwrap_or(Err(Error::Closed)).map(|status| (start, status)) }
        });
        join_all(looks).await.into_iter().collect()
    }

    /// Gets locks out of a writer's way. Returns the transactions whose locks stay.
    pub(crate) fn resolve_for_write(self: Arc<Self>, locks: Vec<LockInfo>) -> BoxFuture<Result<Vec<Alive>>> {
        Box::pin(async move {
            let machines = self.machines(locks, Caller::Writer).await?;
            let resolved = machines.into_iter().map(|(start, machine)| {
                let core = self.clone();
                async move {
                    let mut found = Err(Error::Closed);
                    core.resolve(start, machine, |status| found = status).await;
                    found.map(|status| (start, status))
                }
            });
            let mut alive = Vec::new();
            for resolved in join_all(resolved).await {
                if let (start, Status::Alive { left_millis }) = resolved? {
                    alive.push(Alive { start, left_millis });
                }
            }
            Ok(alive)
        })
    }

    /// Settles locks whatever their time to live is. All are gone then, or this fails.
    pub(crate) fn settle(self: Arc<Self>, locks: Vec<LockInfo>) -> BoxFuture<Result<()>> {
        Box::pin(async move {
            let machines = self.machines(locks, Caller::Collector).await?;
            let settled = machines.into_iter().map(|(start, machine)| {
                let core = self.clone();
                async move {
                    let mut found = Err(Error::Closed);
                    core.resolve(start, machine, |status| found = status).await;
                    found.map(|_| ())
                }
            });
            join_all(settled).await.into_iter().collect()
        })
    }

    /// A machine for each transaction that holds some of the locks.
    async fn machines(&self, locks: Vec<LockInfo>, caller: Caller) -> Result<Vec<(u64, Resolve<Arc<Region>>)>> {
        let deadline = Deadline::after("resolve", self.settings.call_deadline);
        let mut by_transaction: BTreeMap<(u64, Vec<u8>), Vec<LockInfo>> = BTreeMap::new();
        for lock in locks {
            by_transaction.entry((lock.lock_version, lock.primary_lock.clone())).or_default().push(lock);
        }
        // What is known of all of them needs no clock.
        let is_known = |(start, _): &(u64, Vec<u8>)| self.outcomes.get(*start).is_some();
        let now = match caller {
            Caller::Collector => u64::MAX,
            _ if by_transaction.keys().all(is_known) => 0,
            _ => self.timestamp(deadline).await?.raw(),
        };
        let machine = |((start, primary), locks): ((u64, Vec<u8>), Vec<LockInfo>)| {
            let (caller_start, is_read) = match caller {
                Caller::Reader(at) => (at, true),
                Caller::Writer | Caller::Collector => (0, false),
            };
            let known = self.outcomes.get(start);
            let deadline_millis = self.settings.call_deadline.as_millis() as u64;
            (start, Resolve::new(Asked { start, primary, locks, caller_start, now, is_read, known, deadline_millis }))
        };
        Ok(by_transaction.into_iter().map(machine).collect())
    }

    async fn resolve(
        self: Arc<Self>,
        start: u64,
        machine: Resolve<Arc<Region>>,
        mut decided: impl FnMut(Result<Status>),
    ) {
        let limit = self.settings.call_deadline;
        let core = self.clone();
        let noted = move |status: Result<Status>| {
            if let Ok(status) = &status {
                core.outcomes.note(start, *status);
            }
            decided(status);
        };
        drive(self, machine, limit, noted).await;
    }
}
