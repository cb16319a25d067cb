//! Draining due events with an empty handler, beside a bare loop over redb that scans and deletes.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::Duration;

use tempfile::TempDir;

use support::limits::drain_bare;
use support::load::Put;
use support::queue::{Drained, PARTITIONS, TOPIC, drain, fill};
use support::{directory, interleaved, median, number, per_second, ratio, rounds, runtime, scaled, table};
use tito_core::keys;
use tito_core::prelude::*;
use tokio::runtime::Runtime;

const ASKED: f64 = 0.5;
const ASKED_LAST_TENTH: f64 = 0.8;

fn main() {
    let runtime = runtime();
    let count = scaled(200_000);
    // Both drain the same keys and values.
    let entries = {
        let (_directory, db) = filled(&runtime, count);
        runtime.block_on(events(&db))
    };
    let mut tenths = Vec::new();
    let [tito, bare] = interleaved(
        rounds(),
        [
            &mut |_| {
                let (_directory, db) = filled(&runtime, count);
                let Drained { total, first_tenth, last_tenth } = drain(&runtime, &db, count);
                tenths.push(first_tenth.as_secs_f64() / last_tenth.as_secs_f64());
                runtime.block_on(db.close());
                per_second(count, total)
            },
            &mut |_| {
                let directory = directory();
                per_second(count, drain_bare(directory.path(), &entries))
            },
        ],
    );
    println!("Draining {} events over {PARTITIONS} partitions; {} rounds, medians\n", number(count as f64), rounds());
    let line = vec![
        String::new(),
        number(tito),
        number(bare),
        ratio(tito / bare, ASKED),
        ratio(median(tenths), ASKED_LAST_TENTH),
    ];
    table(&["", "Tito, a second", "bare redb, a second", "ratio", "last tenth's speed to the first's"], &[line]);
}

/// A database with due events, as it is found after a restart: everything lies in the file.
fn filled(runtime: &Runtime, count: usize) -> (TempDir, EmbeddedBackend) {
    let directory = directory();
    let open = || runtime.block_on(EmbeddedBackend::open(directory.path())).unwrap();
    let db = open();
    fill(runtime, &db, count, Duration::ZERO);
    runtime.block_on(db.close());
    let db = open();
    (directory, db)
}

async fn events(db: &EmbeddedBackend) -> Vec<Vec<Put>> {
    let mut partitions = Vec::new();
    for partition in 0..PARTITIONS {
        let tx = db.begin().await.unwrap();
        partitions.push(tx.scan(keys::events_of_partition(TOPIC, partition), usize::MAX).await.unwrap());
    }
    partitions
}
