//! What it costs to know of a thousand queues how they do: the gauges, a scrape of them, and the counts that commits keep.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use support::process::cpu_time;
use support::queue::{TOPIC, publish};
use support::{asked_of, directory, interleaved, median, number, per_second, ratio, rounds, runtime, scaled, table};
use tito_core::Transaction;
use tito_core::prelude::*;
use tito_worker::prelude::*;
use tokio::sync::Notify;

const QUEUES: usize = 1_000;
const ASKED_PERCENT: f64 = 1.0;
const ASKED_MILLIS: f64 = 20.0;

/// How often gauges are set, as the guide has it.
const EVERY: Duration = Duration::from_secs(15);

/// Of histograms, as the guide has them.
const BUCKETS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];

/// How many events each queue has handled in the end.
const HANDLED: usize = 20;

const PUBLISHED: usize = 20_000;
const ASKED_RATIO: f64 = 0.97;

/// With `TITO_BENCH_SUMMARIES` the exporter computes quantiles of histograms, which is what it does by default.
fn recorder() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let builder = match std::env::var_os("TITO_BENCH_SUMMARIES") {
        Some(_) => builder,
        None => builder.set_buckets(&BUCKETS).unwrap(),
    };
    builder.install_recorder().unwrap()
}

fn main() {
    let prometheus = recorder();
    let without = runtime().block_on(share(None, &prometheus)).percent;
    let Share { percent: with, idle, busy } = runtime().block_on(share(Some(EVERY), &prometheus));
    let cost = with - without;
    let of_scrape = |what: &str, scrape: &Scrape| {
        let asked = asked_of(format!("below {ASKED_MILLIS} ms"), scrape.millis < ASKED_MILLIS);
        vec![format!("a scrape{what}, median"), format!("{:.2} ms, {} series", scrape.millis, scrape.series), asked]
    };
    println!("A worker of {} queues with an event each that is due, on a disk\n", number(scaled(QUEUES) as f64));
    table(
        &["", "measured", ""],
        &[
            vec!["share of a core without gauges".to_string(), format!("{without:.2} %"), String::new()],
            vec!["with gauges every 15 s".to_string(), format!("{with:.2} %"), String::new()],
            vec![
                "what they cost".to_string(),
                format!("{cost:.2} %"),
                asked_of(format!("below {ASKED_PERCENT} %"), cost < ASKED_PERCENT),
            ],
            of_scrape("", &idle),
            of_scrape(", once each queue has handled events", &busy),
        ],
    );
    let [unknown, known] = published();
    println!("Publishing by 64 tasks, a second\n");
    table(
        &["", "measured", ""],
        &[
            vec!["nobody has asked how much is due".to_string(), number(unknown), String::new()],
            vec!["commits keep count of it".to_string(), number(known), ratio(known / unknown, ASKED_RATIO)],
        ],
    );
}

struct Share {
    /// The share of a core in percent that a worker takes which has nothing to do.
    percent: f64,
    /// A scrape of it.
    idle: Scrape,
    /// A scrape once each queue has handled events.
    busy: Scrape,
}

struct Scrape {
    millis: f64,
    series: usize,
}

impl Scrape {
    fn of(prometheus: &PrometheusHandle) -> Self {
        let (mut millis, mut series) = (Vec::new(), 0);
        for _ in 0..20 {
            let begin = Instant::now();
            let text = prometheus.render();
            millis.push(begin.elapsed().as_secs_f64() * 1_000.0);
            assert!(text.contains("topic-00000"));
            series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        }
        Self { millis: median(millis), series }
    }
}

async fn share(gauges: Option<Duration>, prometheus: &PrometheusHandle) -> Share {
    let directory = directory();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    let queue = TitoQueue::new(db.clone());
    let mut worker = Worker::builder(queue.clone());
    let handled = Arc::new((AtomicUsize::new(0), Notify::new()));
    let topics = scaled(QUEUES);
    for number in 0..topics {
        let topic = format!("topic-{number:05}");
        queue.create_topic(&topic, 1).await.unwrap();
        queue.pause(&topic).await.unwrap();
        let (publisher, name) = (queue.clone(), topic.clone());
        db.transaction(|tx| async move { publisher.publish(Publish::new(name, "user:17"), &tx).await }).await.unwrap();
        let handled = handled.clone();
        worker = worker.subscribe(topic, move |_: TitoEvent| {
            if handled.0.fetch_add(1, Ordering::AcqRel) + 1 == topics * HANDLED {
                handled.1.notify_one();
            }
            async { Ok::<_, TitoError>(()) }
        });
    }
    if let Some(every) = gauges {
        worker = worker.gauges(every);
    }
    let (worker, stop) = (worker.build(), Arc::new(Notify::new()));
    let stopped = stop.clone();
    let running = tokio::spawn(async move { worker.run(stopped.notified()).await });
    for _ in 0..30 {
        let used = cpu_time();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if (cpu_time() - used).as_secs_f64() < 0.05 {
            break;
        }
    }
    let (begin, used) = (Instant::now(), cpu_time());
    tokio::time::sleep(EVERY * u32::try_from(rounds()).unwrap()).await;
    let percent = 100.0 * (cpu_time() - used).as_secs_f64() / begin.elapsed().as_secs_f64();
    let idle = Scrape::of(prometheus);
    // The recorder forgets nothing: the first worker must leave the second one's queues without metrics.
    for number in (0..topics).filter(|_| gauges.is_some()) {
        let topic = format!("topic-{number:05}");
        queue.resume(&topic).await.unwrap();
        let publisher = &queue;
        let publishing = |tx: Transaction| {
            let topic = topic.clone();
            async move {
                for _ in 1..HANDLED {
                    publisher.publish(Publish::new(topic.clone(), "user:17"), &tx).await?;
                }
                Ok(())
            }
        };
        db.transaction(publishing).await.unwrap();
    }
    if gauges.is_some() {
        handled.1.notified().await;
    }
    let busy = Scrape::of(prometheus);
    stop.notify_one();
    running.await.unwrap().unwrap();
    db.close().await;
    Share { percent, idle, busy }
}

/// Events published a second, where nobody has asked how much is due and where commits keep count of it.
fn published() -> [f64; 2] {
    let runtime = runtime();
    let directories = [directory(), directory()];
    let dbs = directories.each_ref().map(|at| runtime.block_on(EmbeddedBackend::open(at.path())).unwrap());
    runtime.block_on(async {
        for db in &dbs {
            TitoQueue::new(db.clone()).create_topic(TOPIC, 16).await.unwrap();
        }
        let backlog = TitoQueue::new(dbs[1].clone()).backlog(TOPIC).await.unwrap();
        assert!(!backlog.at_least);
    });
    let measure = |db: &Database| per_second(PUBLISHED, publish(&runtime, db, 64, PUBLISHED));
    let figures = interleaved(rounds(), [&mut |_| measure(&dbs[0]), &mut |_| measure(&dbs[1])]);
    runtime.block_on(async {
        let backlog = TitoQueue::new(dbs[1].clone()).backlog(TOPIC).await.unwrap();
        assert_eq!((backlog.count, backlog.at_least), (((rounds() + 1) * PUBLISHED) as u64, false));
        for db in &dbs {
            db.close().await;
        }
    });
    figures
}
