//! Backups: how fast beside a plain read of the disk, what writers keep beside one, and what a held snapshot costs.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::load::{Load, Puts, bytes_of, merged, run_tasks};
use support::{asked_of, directory, interleaved, number, per_second, ratio, rounds, runtime, scaled, table, timed};
use tito_backup::{BackupOptions, backup};
use tito_core::prelude::*;
use tokio::runtime::Runtime;

/// Of the disk's plain read, unless it is as fast as this.
const ASKED_OF_READ: f64 = 0.5;
const ASKED_MEGABYTES: f64 = 100.0;
/// Of what writers reach alone.
const ASKED_LIMITED: f64 = 0.95;
const ASKED_FULL: f64 = 0.80;

const LIMIT: u64 = 10 << 20;
const TASKS: usize = 64;

fn main() {
    let runtime = runtime();
    println!("Backups; {} rounds, medians\n", rounds());
    speed(&runtime);
    writers(&runtime);
    held(&runtime);
}

fn commit(runtime: &Runtime, db: &Database, transactions: Vec<Puts>) -> Duration {
    run_tasks(runtime, TASKS, transactions, {
        let db = db.clone();
        move |puts| {
            let db = db.clone();
            async move {
                let tx = db.begin().await.unwrap();
                for (key, value) in puts {
                    tx.system_keys().put(key, value).await.unwrap();
                }
                tx.commit().await.unwrap();
            }
        }
    })
}

fn filled(runtime: &Runtime, path: &Path, bytes: usize, seed: u64) -> Database {
    let db = runtime.block_on(EmbeddedBackend::open(path)).unwrap();
    let mut load = Load::new(seed, 2);
    let sample = bytes_of(&load.transactions(100)) / 100;
    commit(runtime, &db, load.transactions(bytes / sample));
    db
}

fn megabytes(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / took.as_secs_f64()
}

/// Megabytes of keys and values a second into nothing, and into a file that is synchronised; beside the bytes of the
/// database file, read from its beginning to its end.
fn speed(runtime: &Runtime) {
    let directory = directory();
    let path = directory.path().join("tito");
    let db = filled(runtime, &path, scaled(200 << 20), 1);
    // All in the database file.
    runtime.block_on(db.close());
    let db = runtime.block_on(EmbeddedBackend::open(&path)).unwrap();
    let into = |output: Option<&Path>| {
        let begin = Instant::now();
        let totals = runtime.block_on(async {
            match output {
                None => backup(&db, tokio::io::sink(), &BackupOptions::default().unlimited()).await.unwrap(),
                Some(path) => {
                    let mut file = tokio::fs::File::create(path).await.unwrap();
                    let totals = backup(&db, &mut file, &BackupOptions::default().unlimited()).await.unwrap();
                    file.sync_all().await.unwrap();
                    totals
                }
            }
        });
        megabytes(totals.bytes, begin.elapsed())
    };
    let output = directory.path().join("backup");
    let [read, nothing, file] = interleaved(
        rounds(),
        [&mut |_| plain_read(&path.join("tito.redb")), &mut |_| into(None), &mut |_| into(Some(&output))],
    );
    let asked = |figure: f64| {
        let is_met = figure >= ASKED_MEGABYTES || figure >= ASKED_OF_READ * read;
        asked_of(format!("{ASKED_MEGABYTES} or {ASKED_OF_READ} of the read"), is_met)
    };
    let line = |name: &str, figure: f64| vec![name.to_string(), number(figure), format!("{:.2}", figure / read)];
    let lines = [
        line("plain read of the file", read),
        line(&format!("backup into nothing ({})", asked(nothing)), nothing),
        line(&format!("backup into a file ({})", asked(file)), file),
    ];
    table(&["", "MB a second", "of the read"], &lines);
    runtime.block_on(db.close());
}

fn plain_read(path: &Path) -> f64 {
    let mut file = std::fs::File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    let took = timed(|| {
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => return,
                read => bytes += read as u64,
            }
        }
    });
    megabytes(bytes, took)
}

/// Transactions a second of writers at full load: alone, and beside backups one after another.
fn writers(runtime: &Runtime) {
    let directory = directory();
    let db = filled(runtime, &directory.path().join("tito"), scaled(100 << 20), 2);
    let count = scaled(60_000);
    let beside = |options: Option<BackupOptions>, seed: u64| {
        let transactions = Load::new(seed, 2).transactions(count);
        runtime.block_on(merged(&db));
        let stops = Arc::new(AtomicBool::new(false));
        let backups = options.map(|options| {
            let (db, stops) = (db.clone(), stops.clone());
            runtime.spawn(async move {
                while !stops.load(Ordering::Relaxed) {
                    tokio::select! {
                        _ = backup(&db, tokio::io::sink(), &options) => {}
                        () = stopped(&stops) => {}
                    }
                }
            })
        });
        let took = commit(runtime, &db, transactions);
        stops.store(true, Ordering::Relaxed);
        if let Some(backups) = backups {
            runtime.block_on(backups).unwrap();
        }
        per_second(count, took)
    };
    let limited = || BackupOptions::default().bytes_per_second(LIMIT);
    // Rows of their own for each.
    let seed_of = |round: usize, contender: u64| 10 + 4 * round as u64 + contender;
    let [alone, beside_limited, beside_full, beside_unlimited] = interleaved(
        rounds(),
        [
            &mut |round| beside(None, seed_of(round, 0)),
            &mut |round| beside(Some(limited()), seed_of(round, 1)),
            &mut |round| beside(Some(BackupOptions::default()), seed_of(round, 2)),
            &mut |round| beside(Some(BackupOptions::default().unlimited()), seed_of(round, 3)),
        ],
    );
    let lines = [
        vec!["alone".to_string(), number(alone), String::new()],
        vec![
            format!("beside a backup at {} MB a second", LIMIT >> 20),
            number(beside_limited),
            ratio(beside_limited / alone, ASKED_LIMITED),
        ],
        vec!["at 100, the default".to_string(), number(beside_full), ratio(beside_full / alone, ASKED_FULL)],
        vec!["without a limit".to_string(), number(beside_unlimited), format!("{:.2}", beside_unlimited / alone)],
    ];
    table(&["64 writers, transactions of 4 puts", "a second", "of alone"], &lines);
    runtime.block_on(db.close());
}

async fn stopped(stops: &AtomicBool) {
    while !stops.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What is kept for a snapshot while all rows are written again.
fn held(runtime: &Runtime) {
    let mut lines = Vec::new();
    for is_held in [false, true] {
        let directory = directory();
        let mut load = Load::new(3, 2);
        let sample = bytes_of(&load.transactions(100)) / 100;
        let transactions = load.transactions(scaled(100 << 20) / sample);
        let db = runtime.block_on(EmbeddedBackend::open(directory.path().join("tito"))).unwrap();
        commit(runtime, &db, transactions.clone());
        runtime.block_on(merged(&db));
        let snapshot = is_held.then(|| runtime.block_on(db.snapshot()).unwrap());
        let sizes = || runtime.block_on(db.backend::<EmbeddedBackend>().unwrap().sizes()).unwrap();
        let mut line = vec![if is_held { "held" } else { "none" }.to_string()];
        line.push(number(sizes().database_bytes as f64 / f64::from(1 << 20)));
        for _ in 0..3 {
            commit(runtime, &db, transactions.clone());
            runtime.block_on(merged(&db));
            line.push(number(sizes().database_bytes as f64 / f64::from(1 << 20)));
        }
        drop(snapshot);
        commit(runtime, &db, transactions.clone());
        runtime.block_on(merged(&db));
        line.push(number(sizes().database_bytes as f64 / f64::from(1 << 20)));
        lines.push(line);
        runtime.block_on(db.close());
    }
    table(&["snapshot; MB of the file", "filled", "written again", "twice", "three times", "released"], &lines);
}
