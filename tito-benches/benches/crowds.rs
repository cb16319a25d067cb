//! Many tasks that write the same rows at once, beside the same work behind a mutex, which never meets a conflict.
//!
//! On the embedded engine, in memory and on a disk; with the feature `tikv` also on an in-process TiKV cluster.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{directory, interleaved, number, ratio_at_most, rounds, runtime, scaled, table};
use tempfile::TempDir;
use tito_core::Transaction;
use tito_core::prelude::*;
use tito_eventstore::{EventStore, EventStoreConfig, Manager, NewEvent};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// How many times as long as behind the mutex.
const ASKED: f64 = 1.3;

#[derive(Clone)]
struct Work {
    db: Database,
    stores: Vec<EventStore>,
    mutex: Option<Arc<Mutex<()>>>,
}

impl Work {
    async fn once(self) {
        let stores = &self.stores;
        let write = |tx| async move { write(&tx, stores).await };
        // Two places in the program, of which the one knows nothing of the other's conflicts.
        match &self.mutex {
            None => self.db.transaction(write).await.unwrap(),
            Some(mutex) => {
                let _guard = mutex.lock().await;
                self.db.transaction(write).await.unwrap();
            }
        }
    }
}

async fn write(tx: &Transaction, stores: &[EventStore]) -> Result<(), TitoError> {
    let counted = tx.get(b"counter").await?.map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap()));
    for store in stores {
        store.append_in(tx, NewEvent::raw("account.1", "counted", "once")).await?;
    }
    tx.put(b"counter".to_vec(), (counted + 1).to_be_bytes().to_vec()).await
}

/// A database, with what has to be kept for it.
type Opened = (Database, Option<TempDir>);

/// Milliseconds for `tasks` tasks that each do the work `times` times, one after the other.
async fn run(db: &Database, stores: usize, (tasks, times): (usize, usize), is_behind_mutex: bool) -> f64 {
    let manager = Manager::new(db.clone());
    let mut work = Work { db: db.clone(), stores: Vec::new(), mutex: is_behind_mutex.then(Arc::default) };
    for number in 0..stores {
        let name = format!("store-{number}");
        let store = match manager.get_event_store(&name).await {
            Ok(store) => store,
            Err(_) => manager.create_event_store(EventStoreConfig::new(name)).await.unwrap(),
        };
        work.stores.push(store);
    }
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let work = work.clone();
            tokio::spawn(async move {
                for _ in 0..times {
                    work.clone().once().await;
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
    begin.elapsed().as_secs_f64() * 1_000.0
}

fn measured(runtime: &Runtime, engine: &str, open: &dyn Fn() -> Opened) {
    let kinds = [
        ("one row", 0, (1_000, 1), true),
        ("one row", 0, (1_000, 1), false),
        ("one row", 0, (64, 50), false),
        ("one row and two event stores", 2, (1_000, 1), true),
        ("one row and two event stores", 2, (1_000, 1), false),
    ];
    let line = |(what, stores, (tasks, times), is_first): (&str, usize, (usize, usize), bool)| {
        let load = (scaled(tasks), times);
        let kept = open();
        let once = |is_behind_mutex: bool| {
            // What is known of conflicts is known of a database that is open.
            let (db, directory) = if is_first { open() } else { (kept.0.clone(), None) };
            let took = runtime.block_on(run(&db, stores, load, is_behind_mutex));
            if is_first {
                runtime.block_on(db.close());
            }
            drop(directory);
            took
        };
        let [ours, mutex] = interleaved(rounds(), [&mut |_| once(false), &mut |_| once(true)]);
        runtime.block_on(kept.0.close());
        let when = if is_first { "for the first time" } else { "again" };
        vec![
            format!("{engine}: {} tasks, {times} times {what}, {when}", number(load.0 as f64)),
            format!("{ours:.1}"),
            format!("{mutex:.1}"),
            ratio_at_most(ours / mutex, ASKED),
        ]
    };
    table(&["", "ms", "ms behind a mutex", "ratio"], &kinds.map(line));
}

fn main() {
    let runtime = runtime();
    println!("{} rounds, medians\n", rounds());
    measured(&runtime, "in memory", &|| (runtime.block_on(EmbeddedBackend::in_memory()).unwrap(), None));
    measured(&runtime, "on a disk", &|| {
        let directory = directory();
        (runtime.block_on(EmbeddedBackend::open(directory.path())).unwrap(), Some(directory))
    });
    #[cfg(feature = "tikv")]
    {
        let cluster = runtime.block_on(tito_testkit::MockCluster::builder().stores(3).start()).unwrap();
        measured(&runtime, "TiKV in process", &|| {
            let builder = TiKVBackend::builder(cluster.pd_endpoints());
            let prefix = format!("crowd-{:016x}/", fastrand::u64(..));
            (runtime.block_on(builder.key_prefix(prefix).connect()).unwrap(), None)
        });
    }
    // What a task has released ends on the runtime.
    runtime.shutdown_timeout(Duration::from_secs(5));
}
