//! An outbox as an application uses it, on any engine: rows published with an event each, a backlog drained, and the time
//! from a commit's answer to the handler.
//!
//! Always on the embedded engine. With the feature `tikv` also on TiKV: on the real cluster whose PD addresses `TITO_PD`
//! names, else on an in-process one, which shows regressions and no more, as it shares the machine with its client.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use support::load::run_tasks;
use support::queue::{PARTITIONS, TOPIC, drain, fill};
use support::{directory, median, number, per_second, rounds, runtime, scaled, table};
use tito_core::prelude::*;
use tito_worker::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};

/// What the nearest existing library came to on a real one-node TiKV, on 2 cores for everything.
const OTHER_PUBLISHED: f64 = 2_200.0;
const OTHER_DRAINED: f64 = 580.0;
const OTHER_MILLIS: f64 = 520.0;

/// What is asked of Tito beside it.
const ASKED_TIMES_DRAINED: f64 = 50.0;
const ASKED_MILLIS: f64 = 20.0;

const TASKS: usize = 64;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "user", on(insert))]
struct User {
    id: String,
    #[tito(index)]
    email: String,
    about: String,
}

struct Figures {
    published: f64,
    drained: f64,
    /// From a commit's answer to the handler, where the worker is in the publisher's process.
    millis: f64,
    /// And where it is not, and finds the event by polling.
    millis_elsewhere: Option<f64>,
}

fn main() {
    let runtime = runtime();
    let mut lines = Vec::new();
    let directory = directory();
    let db = runtime.block_on(EmbeddedBackend::open(directory.path())).unwrap();
    lines.push(line("embedded", &measure(&runtime, &db, None, scaled(20_000))));
    runtime.block_on(db.close());
    #[cfg(feature = "tikv")]
    lines.push(on_tikv::measured(&runtime));
    println!("{TASKS} tasks, {PARTITIONS} partitions; {} rounds, medians\n", rounds());
    lines.push(vec![
        "asked on TiKV".to_string(),
        format!("more than {}", number(OTHER_PUBLISHED)),
        format!("at least {}", number(OTHER_DRAINED * ASKED_TIMES_DRAINED)),
        format!("below {ASKED_MILLIS}"),
        format!("({OTHER_MILLIS} of the other)"),
    ]);
    table(
        &["", "inserts with an event, a second", "drained, a second", "ms to the handler", "ms in another process"],
        &lines,
    );
}

fn line(name: &str, figures: &Figures) -> Vec<String> {
    vec![
        name.to_string(),
        number(figures.published),
        number(figures.drained),
        format!("{:.2}", figures.millis),
        figures.millis_elsewhere.map_or("-".to_string(), |millis| format!("{millis:.0}")),
    ]
}

/// `other` is the same database as another process sees it, whose commits wake nobody here.
fn measure(runtime: &Runtime, db: &Database, other: Option<&Database>, count: usize) -> Figures {
    let (mut published, mut drained) = (Vec::new(), Vec::new());
    for round in 0..=rounds() {
        let users: Vec<User> = (0..count / 4).map(|number| user(round, number)).collect();
        let (engine, model) = (db.clone(), db.model::<User>());
        let took = run_tasks(runtime, TASKS, users, move |user| {
            let (db, model) = (engine.clone(), model.clone());
            async move {
                let insert = |tx| async move { model.insert(&user, &tx).await };
                db.transaction(insert).await.unwrap();
            }
        });
        drain(runtime, db, count / 4);
        fill(runtime, db, count, Duration::ZERO);
        let draining = drain(runtime, db, count);
        if round > 0 {
            published.push(per_second(count / 4, took));
            drained.push(per_second(count, draining));
        }
    }
    Figures {
        published: median(published),
        drained: median(drained),
        millis: runtime.block_on(latency(db, db, scaled(200), Duration::from_millis(5))),
        millis_elsewhere: other
            .map(|other| runtime.block_on(latency(other, db, scaled(40), Duration::from_millis(700)))),
    }
}

fn user(round: usize, number: usize) -> User {
    User {
        id: format!("{round}-{number}"),
        email: format!("{number}@example.com"),
        about: "What one writes about oneself where one is asked to. ".repeat(4),
    }
}

/// The median of the milliseconds between a commit's answer and the handler, publishing after pauses, in which polling
/// backs off.
async fn latency(publisher: &Database, consumer: &Database, times: usize, pause: Duration) -> f64 {
    let (handled, mut handlings) = mpsc::unbounded_channel();
    let worker = Worker::builder(TitoQueue::new(consumer.clone()))
        .subscribe(TOPIC, move |_: TitoEvent| {
            let _ = handled.send(Instant::now());
            async { Ok::<_, TitoError>(()) }
        })
        .build();
    let stop = std::sync::Arc::new(Notify::new());
    let stopped = stop.clone();
    let running = tokio::spawn(async move { worker.run(stopped.notified()).await });
    let queue = TitoQueue::new(publisher.clone());
    let mut latencies = Vec::new();
    for number in 0..times {
        tokio::time::sleep(pause).await;
        let tx = publisher.begin().await.unwrap();
        queue.publish(Publish::new(TOPIC, format!("user:{number}")), &tx).await.unwrap();
        tx.commit().await.unwrap();
        let answered = Instant::now();
        let handled = handlings.recv().await.unwrap();
        // The handler can be faster than this task.
        latencies.push(handled.saturating_duration_since(answered).as_secs_f64() * 1_000.0);
    }
    stop.notify_one();
    running.await.unwrap().unwrap();
    median(latencies)
}

#[cfg(feature = "tikv")]
mod on_tikv {
    use tito_testkit::MockCluster;

    use super::*;

    pub(super) fn measured(runtime: &Runtime) -> Vec<String> {
        let real = std::env::var("TITO_PD").ok();
        let cluster = real.is_none().then(|| {
            let boundaries = ["data:", "event:", "event:user:0004", "event:user:0008", "event:user:0012", "index:"];
            runtime.block_on(MockCluster::builder().stores(3).split_at(boundaries).start()).unwrap()
        });
        let addresses = match (&real, &cluster) {
            (Some(addresses), _) => addresses.split(',').map(|address| address.trim().to_string()).collect(),
            (None, Some(cluster)) => cluster.pd_endpoints(),
            (None, None) => Vec::new(),
        };
        let prefix = format!("tito-bench/{:016x}/", fastrand::u64(..));
        let connect = || {
            let builder = TiKVBackend::builder(addresses.clone()).key_prefix(prefix.clone());
            runtime.block_on(builder.connect()).unwrap()
        };
        let (db, other) = (connect(), connect());
        let figures = measure(runtime, &db, Some(&other), scaled(10_000));
        runtime.block_on(async {
            db.backend::<TiKVBackend>().unwrap().clear().await.unwrap();
            db.close().await;
            other.close().await;
        });
        line(if real.is_some() { "TiKV" } else { "TiKV, in-process cluster" }, &figures)
    }
}
