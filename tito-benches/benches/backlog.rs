//! Whether a million events that are not due yet slow publishing and draining, and cost a worker memory.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::path::Path;
use std::time::Duration;

use support::load::merged;
use support::process::memory;
use support::queue::{drain, fill, publish};
use support::{asked_of, directory, interleaved, median, number, per_second, ratio, rounds, runtime, scaled, table};
use tito_core::prelude::*;
use tokio::runtime::Runtime;

const ASKED: f64 = 0.9;
/// What a worker can take more without its growing with the backlog, which is 300 MB.
const ASKED_MEGABYTES: f64 = 16.0;

const PUBLISHED: usize = 20_000;
const A_DAY: Duration = Duration::from_secs(86_400);

fn main() {
    let runtime = runtime();
    let backlog = scaled(1_000_000);
    let directory = directory();
    let (with, without) = (directory.path().join("with"), directory.path().join("without"));
    let db = open(&runtime, &with);
    fill(&runtime, &db, backlog, A_DAY);
    runtime.block_on(db.close());

    let memory = [&with, &without].map(|path| worker_memory(&runtime, path));
    let dbs = [&with, &without].map(|path| open(&runtime, path));
    let mut published = [Vec::new(), Vec::new()];
    let [published_with, published_without] = &mut published;
    let publish_and_drain = |db: &Database, published: &mut Vec<f64>| {
        published.push(per_second(PUBLISHED, publish(&runtime, db, 64, PUBLISHED)));
        runtime.block_on(merged(db));
        let took = drain(&runtime, db, PUBLISHED);
        runtime.block_on(merged(db));
        per_second(PUBLISHED, took)
    };
    let [drained_with, drained_without] = interleaved(
        rounds(),
        [&mut |_| publish_and_drain(&dbs[0], published_with), &mut |_| publish_and_drain(&dbs[1], published_without)],
    );
    let [published_with, published_without] = published.map(median);
    println!("{} events not due yet; {} rounds of {PUBLISHED}, medians\n", number(backlog as f64), rounds());
    let megabytes = memory.map(|bytes| bytes as f64 / f64::from(1 << 20));
    let growth = megabytes[0] - megabytes[1];
    let line = |name: &str, with: f64, without: f64, verdict: String| {
        vec![name.to_string(), number(with), number(without), verdict]
    };
    table(
        &["", "with the backlog", "without", ""],
        &[
            line(
                "published a second",
                published_with,
                published_without,
                ratio(published_with / published_without, ASKED),
            ),
            line("drained a second", drained_with, drained_without, ratio(drained_with / drained_without, ASKED)),
            line(
                "memory of a worker, MB",
                megabytes[0],
                megabytes[1],
                asked_of(format!("at most {ASKED_MEGABYTES:.0} more"), growth <= ASKED_MEGABYTES),
            ),
        ],
    );
    runtime.block_on(async {
        for db in dbs {
            db.close().await;
        }
    });
}

fn open(runtime: &Runtime, path: &Path) -> Database {
    runtime.block_on(EmbeddedBackend::open(path)).unwrap()
}

/// How much memory handling some events takes, with a cache so small that it doesn't matter.
fn worker_memory(runtime: &Runtime, path: &Path) -> u64 {
    let db = runtime.block_on(EmbeddedBackend::builder().cache_bytes(4 << 20).open(path)).unwrap();
    publish(runtime, &db, 64, PUBLISHED);
    let before = memory();
    drain(runtime, &db, PUBLISHED);
    let after = memory();
    runtime.block_on(db.close());
    after.saturating_sub(before)
}
