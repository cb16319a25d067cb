//! The engine on Tito's own client beside the one on `tikv-client`, by turns within one run, on in-process clusters on the
//! same cores: rows with an event at 64 tasks and at one, a drain of events, and a large transaction of 8,000 and of 20,000
//! keys.
//!
//! `cargo bench -p tito-engine-tikv-client --bench beside`
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tito_core::Database;
use tito_core::engine::Limits;
use tito_core::prelude::*;
use tito_mock_tikv::MockCluster;
use tito_worker::prelude::*;
use tokio::sync::Notify;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const DRAINED: u64 = 10_000;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "user")]
struct User {
    id: String,
    #[tito(index)]
    email: String,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

async fn insert(db: &Database) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let user = User { id: format!("{number:012}"), email: format!("{number}@example.com") };
    let users = db.clone().model::<User>();
    db.transaction(|tx| {
        let (users, user) = (users.clone(), user.clone());
        async move { users.build_with_options(user, TitoOptions::with_events(TitoOperation::Insert), &tx).await }
    })
    .await
    .unwrap();
}

/// Rows a second, and how long one took in the median, at so many tasks.
async fn inserts(db: &Database, tasks: usize) -> (f64, Duration) {
    let began = Instant::now();
    let running = (0..tasks).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            while began.elapsed() < ROUND {
                let one = Instant::now();
                insert(&db).await;
                took.push(one.elapsed());
            }
            took
        })
    });
    let mut took = Vec::new();
    for task in running.collect::<Vec<_>>() {
        took.extend(task.await.unwrap());
    }
    let elapsed = began.elapsed();
    took.sort_unstable();
    (took.len() as f64 / elapsed.as_secs_f64(), took[took.len() / 2])
}

/// Events a second by an empty handler, until their acknowledgements are durable.
async fn drain(db: &Database) -> f64 {
    const TOPIC: &str = "drained";
    let queue = TitoQueue::new(db.clone());
    queue.create_topic(TOPIC, 16).await.unwrap();
    let mut published = 0;
    while published < DRAINED {
        let tx = db.begin().await.unwrap();
        for _ in 0..500 {
            queue.publish(Publish::new(TOPIC, format!("drained:{published:09}")), &tx).await.unwrap();
            published += 1;
        }
        tx.commit().await.unwrap();
    }
    let (left, done) = (Arc::new(AtomicU64::new(DRAINED)), Arc::new(Notify::new()));
    let (counted, ended) = (left.clone(), done.clone());
    let began = Instant::now();
    let worker = Worker::builder(queue)
        .subscribe(TOPIC, move |_: TitoEvent| {
            if counted.fetch_sub(1, Ordering::Relaxed) == 1 {
                ended.notify_one();
            }
            async { Ok::<_, TitoError>(()) }
        })
        .build();
    let report = worker.run(async move { done.notified().await }).await.unwrap();
    assert_eq!(report.done, DRAINED);
    DRAINED as f64 / began.elapsed().as_secs_f64()
}

/// How long a transaction of so many keys of 1 kB takes, or why it fails.
async fn large(db: &Database, keys: usize) -> Result<Duration, TitoError> {
    let round = NEXT.fetch_add(1, Ordering::Relaxed);
    let tx = db.begin().await.unwrap();
    for key in 0..keys {
        tx.put(format!("large/{round}/{key:06}").into_bytes(), vec![b'.'; 1_000]).await.unwrap();
    }
    let began = Instant::now();
    tx.commit().await?;
    Ok(began.elapsed())
}

async fn cluster() -> MockCluster {
    MockCluster::builder().stores(3).split_at(["b", "event:", "index:", "k"]).start().await.unwrap()
}

fn median<T: PartialOrd + Copy>(mut of: Vec<T>) -> T {
    of.sort_by(|left, right| left.partial_cmp(right).unwrap());
    of[of.len() / 2]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let limits = Limits { transaction_keys: 50_000, transaction_bytes: 64 << 20, ..Limits::default() };
    let (cluster, other) = (cluster().await, cluster().await);
    let own = tito_core::tikv::TiKVBackend::builder(cluster.pd_endpoints()).limits(limits.clone()).connect().await;
    let official = tito_engine_tikv_client::TiKVBackend::builder(other.pd_endpoints()).limits(limits).connect().await;
    let engines = Arc::new([("tito-tikv", own.unwrap()), ("tikv-client", official.unwrap())]);
    for tasks in [64, 1] {
        let mut found = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (place, (_, db)) in engines.iter().enumerate() {
                found[place].push(inserts(db, tasks).await);
            }
        }
        for (found, (name, _)) in found.iter().zip(engines.iter()) {
            let rate = median(found.iter().map(|(rate, _)| *rate).collect());
            let took = median(found.iter().map(|(_, took)| *took).collect());
            println!(
                "{tasks:3} tasks, {name:12} {rate:8.0} rows with an event a second, {took:9.3?} each in the median"
            );
        }
    }
    let mut drained = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (place, (_, db)) in engines.iter().enumerate() {
            drained[place].push(drain(db).await);
        }
    }
    for (drained, (name, _)) in drained.into_iter().zip(engines.iter()) {
        println!("{name:12} {:8.0} events drained a second", median(drained));
    }
    for (name, db) in engines.iter() {
        for keys in [8_000, 20_000] {
            let mut took = Vec::new();
            for _ in 0..3 {
                took.push(large(db, keys).await);
            }
            match took.into_iter().collect::<Result<Vec<_>, _>>() {
                Ok(took) => println!("{name:12} {keys} keys of 1 kB in {:.3?}", median(took)),
                Err(error) => println!("{name:12} {keys} keys of 1 kB: {error}"),
            }
        }
    }
}
