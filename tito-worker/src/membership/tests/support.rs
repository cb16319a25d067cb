//! A clock to turn, and workers that do with their partitions what a worker does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::clock::Clock;
use tito_core::engine::{Limits, Shared, TitoEngine, TitoTransaction};
use tito_core::event::Topic;
use tito_core::prelude::*;
use tito_core::{Now, Result, Timestamp};
use tokio::sync::watch;
use uuid::Uuid;

use crate::membership::{Lease, LeaseInfo, Membership, MembershipOptions};
use crate::queue::TitoQueue;

pub(super) const LEASE: Duration = Duration::from_secs(15);
pub(super) const PERIOD: Duration = Duration::from_secs(5);

/// A clock that stands still until it is turned.
#[derive(Clone, Debug)]
pub(crate) struct HandClock(watch::Sender<u64>);

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now += by.as_millis() as u64);
    }
}

impl Clock for HandClock {
    fn now_millis(&self) -> u64 {
        *self.0.borrow()
    }

    fn monotonic_millis(&self) -> u64 {
        self.now_millis()
    }

    fn wait_until_monotonic(&self, millis: u64) -> BoxFuture<'static, ()> {
        let mut now = self.0.subscribe();
        async move {
            let _ = now.wait_for(|now| *now >= millis).await;
        }
        .boxed()
    }
}

pub(crate) async fn database() -> (Database, HandClock) {
    let clock = HandClock(watch::Sender::new(1_767_225_600_000));
    let db = EmbeddedBackend::builder().clock(Arc::new(clock.clone())).in_memory().await.unwrap();
    (db, clock)
}

/// An engine that does something before each transaction begins.
pub(super) struct Before<F> {
    db: Database,
    begin: F,
}

/// A database that does something before each transaction begins.
pub(super) fn before_each<F>(db: Database, begin: F) -> Database
where
    F: Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
{
    Database::from_engine(Before { db, begin })
}

impl<F> TitoEngine for Before<F>
where
    F: Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
{
    fn begin<'a>(
        &'a self,
        replayed: Option<&'a dyn TitoTransaction>,
    ) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>> {
        async move {
            (self.begin)().await;
            self.db.engine().begin(replayed).await
        }
        .boxed()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        self.db.engine().timestamp()
    }

    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        self.db.engine().now()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.db.clock()
    }

    fn limits(&self) -> &Limits {
        self.db.limits()
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.db.max_transaction_age_millis()
    }

    fn shared(&self) -> &Shared {
        self.db.shared()
    }
}

pub(super) async fn create_topic(db: &Database, name: &str, partitions: u16) {
    Topic::ensure(db, name, partitions).await.unwrap();
}

pub(super) fn options(number: u128) -> MembershipOptions {
    // Any ids do, as long as a test has the same in each run.
    let id = Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let mut options = MembershipOptions::default().lease_time(LEASE);
    options.id = id;
    options
}

pub(super) fn member(database: Database, number: u128, queues: &[&str]) -> Membership {
    let queues = queues.iter().map(|queue| Arc::from(*queue)).collect();
    Membership::new(database, "billing".to_string(), options(number), queues)
}

/// A queue and a partition of it.
pub(super) type PartitionOf = (Arc<str>, u16);

/// A member and the partitions that its worker serves.
pub(super) struct Node {
    pub(super) member: Membership,
    pub(super) serving: BTreeMap<PartitionOf, Lease>,
}

impl Node {
    pub(super) fn new(db: &Database, number: u128, queues: &[&str]) -> Self {
        Self { member: member(db.clone(), number, queues), serving: BTreeMap::new() }
    }

    /// What a worker does when it looks at what it is to serve: stops what is not there any more, begins what is new.
    pub(super) async fn follow(&mut self) {
        let owned = self.member.owned().borrow().clone();
        let lease_of = |place: &PartitionOf| owned.get(&place.0).and_then(|partitions| partitions.get(&place.1));
        let ended: Vec<PartitionOf> = self
            .serving
            .iter()
            .filter(|(place, lease)| lease_of(place) != Some(lease))
            .map(|(p, _)| p.clone())
            .collect();
        for place in ended {
            self.serving.remove(&place);
            self.member.release(&place.0, place.1).await;
        }
        for (queue, partitions) in owned.iter() {
            for (partition, lease) in partitions {
                if self.member.begin(queue, *partition, lease) {
                    self.serving.insert((queue.clone(), *partition), lease.clone());
                }
            }
        }
    }

    pub(super) async fn step(&mut self) {
        self.member.round().await.unwrap();
        self.follow().await;
    }

    pub(super) fn partitions(&self, queue: &str) -> Vec<u16> {
        self.serving.keys().filter(|(served, _)| **served == *queue).map(|(_, partition)| *partition).collect()
    }
}

/// Rounds of all nodes, a period apart, until none changes anything. Returns how many it took.
pub(super) async fn settle(nodes: &mut [Node], clock: &HandClock) -> usize {
    let mut quiet = 0;
    for rounds in 1..50 {
        let before: Vec<_> = nodes.iter().map(|node| node.serving.clone()).collect();
        for node in nodes.iter_mut() {
            node.step().await;
        }
        // A member that joined in this round is known to those before it in the next.
        quiet = if nodes.iter().map(|node| &node.serving).eq(&before) { quiet + 1 } else { 0 };
        if quiet == 2 {
            return rounds;
        }
        clock.advance(PERIOD);
    }
    panic!("the fleet does not settle");
}

/// Who serves each partition of a queue, having checked that it is exactly one, under the lease that is stored.
pub(super) async fn owners(db: &Database, nodes: &[Node], queue: &str, partitions: u16) -> BTreeMap<u16, Uuid> {
    let stored: BTreeMap<_, _> = leases(db, queue).await.into_iter().map(|lease| (lease.partition, lease)).collect();
    let mut owners = BTreeMap::new();
    for node in nodes {
        for ((served, partition), lease) in &node.serving {
            if **served != *queue {
                continue;
            }
            assert!(*partition < partitions, "partition {partition} is served though there is none");
            let stored = &stored[partition];
            assert_eq!((stored.member, stored.epoch), (Some(lease.member), lease.epoch), "lease of {partition}");
            let other = owners.insert(*partition, lease.member);
            assert_eq!(other, None, "partition {partition} has two owners");
        }
    }
    assert_eq!(owners.len(), usize::from(partitions), "{queue}: some partition has no owner: {owners:?}");
    owners
}

pub(super) async fn leases(db: &Database, queue: &str) -> Vec<LeaseInfo> {
    TitoQueue::new(db.clone()).leases(queue).await.unwrap()
}

pub(super) async fn put(db: &Database, key: Vec<u8>, value: &[u8]) {
    let written: Result<()> = db.transaction(|tx| async move { tx.system_keys().put(key, value.to_vec()).await }).await;
    written.unwrap();
}

pub(super) async fn get(db: &Database, key: Vec<u8>) -> Option<Vec<u8>> {
    db.transaction(|tx| async move { tx.get(&key).await }).await.unwrap()
}
