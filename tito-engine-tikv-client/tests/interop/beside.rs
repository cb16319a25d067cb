//! Random transactions of both engines beside each other: the history is that of one database under snapshot isolation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use tito_core::clock::Clock;
use tito_core::engine::{Limits, Shared};
use tito_core::{Database, Now, Result, Timestamp, TitoEngine, TitoSnapshot, TitoTransaction};
use tito_test_engines::history::{Workload, check};
use tito_test_engines::mock_tikv::MockCluster;

use crate::support::*;

/// Each transaction is begun on the next one of several engines of one database.
struct ByTurns {
    engines: Vec<Database>,
    next: AtomicUsize,
    shared: Shared,
}

impl TitoEngine for ByTurns {
    fn begin<'a>(&'a self, _: Option<&'a dyn TitoTransaction>) -> BoxFuture<'a, Result<Box<dyn TitoTransaction>>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.engines.len();
        async move { self.engines[turn].engine().begin(None).await }.boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn TitoSnapshot>>> {
        self.engines[0].engine().snapshot()
    }

    fn timestamp(&self) -> BoxFuture<'_, Result<Timestamp>> {
        self.engines[0].engine().timestamp()
    }

    fn now(&self) -> BoxFuture<'_, Result<Now>> {
        self.engines[0].engine().now()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.engines[0].engine().clock()
    }

    fn limits(&self) -> &Limits {
        self.engines[0].engine().limits()
    }

    fn max_transaction_age_millis(&self) -> u64 {
        self.engines[0].engine().max_transaction_age_millis()
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// In the middle of the workload's keys, so that transactions have several regions.
const BOUNDARIES: [&[u8]; 2] = [b"history:\x02", b"history:\x04"];

async fn run(seed: u64, pessimistic: bool, is_in_motion: bool) {
    let builder = MockCluster::builder().split_default_keyspace(false).stores(3).split_at(BOUNDARIES).seed(seed);
    let cluster = builder.start().await.unwrap();
    let mut engines = Vec::new();
    for kind in KINDS {
        engines.push(connect(kind, &cluster, None, pessimistic).await);
    }
    let db = Database::from_engine(ByTurns { engines, next: AtomicUsize::new(0), shared: Shared::default() });
    let moving = tokio::spawn({
        let (cluster, mut random) = (cluster.clone(), fastrand::Rng::with_seed(seed));
        async move {
            if !is_in_motion {
                return;
            }
            loop {
                cluster.shuffle(&mut random);
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    });
    let workload = Workload { seed, ..Workload::default() };
    let history = in_time("a workload of both engines", workload.run(&db)).await;
    moving.abort();
    let committed = history.iter().filter(|record| record.commit.is_some()).count();
    assert!(committed > history.len() / 5, "{committed} of {} were committed", history.len());
    if let Err(violation) = check(&history) {
        panic!("seed {seed}, pessimistic: {pessimistic}, in motion: {is_in_motion}: {violation:?}");
    }
}

/// `TITO_HISTORIES=<number>` makes more of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_both_engines_are_isolated_from_each_other() {
    let histories: u64 = std::env::var("TITO_HISTORIES").map_or(5, |number| number.parse().unwrap());
    let first = tito_test_engines::seed();
    // Those who meet wait for each other most of the time.
    stream::iter((0..histories).map(|number| first.wrapping_add(number)))
        .for_each_concurrent(5, |seed| async move {
            run(seed, false, false).await;
            run(seed, false, true).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pessimistic_transactions_of_both_engines_are_isolated_from_each_other() {
    let seed = tito_test_engines::seed();
    run(seed, true, false).await;
}
