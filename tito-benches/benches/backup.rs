//! Backups: how fast beside a plain read of the disk, what writers keep beside one, and what a held snapshot costs.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::load::{Load, Puts, bytes_of, merged, run_tasks};
use support::{asked_of, directory, interleaved, median, number, ratio, rounds, runtime, scaled, table, timed};
use tito_backup::{BackupOptions, Progress, backup};
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

/// How long writers are counted alone, or beside one kind of backup, before it is another's turn: so short that a disk
/// which is slow for a while is so for all.
const TURN: Duration = Duration::from_millis(500);

/// Turns of each in a round.
const TURNS: usize = 10;

/// Transactions a second of writers at full load, alone and beside backups one after another; and how fast these are.
fn writers(runtime: &Runtime) {
    let directory = directory();
    let db = filled(runtime, &directory.path().join("tito"), scaled(100 << 20), 2);
    let committed = Arc::new(AtomicU64::new(0));
    let stops = Arc::new(AtomicBool::new(false));
    let tasks = write_on(runtime, &db, &committed, &stops);
    let limited = BackupOptions::default().bytes_per_second(LIMIT);
    let contenders = [None, Some(limited), Some(BackupOptions::default()), Some(BackupOptions::default().unlimited())];
    let mut turns = [const { Vec::new() }; 4];
    for turn in 0..TURNS * rounds() {
        for position in 0..contenders.len() {
            // Nobody always comes after the same other.
            let position = if turn % 2 == 0 { position } else { contenders.len() - 1 - position };
            let options = contenders[position].clone();
            turns[position].push(runtime.block_on(one_turn(&db, &committed, options)));
        }
    }
    stops.store(true, Ordering::Relaxed);
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    let of_alone = |turns: &[Turn], alone: &[Turn]| {
        median(turns.iter().zip(alone).map(|(turn, alone)| turn.committed / alone.committed).collect())
    };
    let names = ["alone", "beside a backup at 10 MB a second", "at 100, the default", "without a limit"];
    let asked = [None, Some(ASKED_LIMITED), Some(ASKED_FULL), Some(ASKED_FULL)];
    let line = |position: usize| {
        let turns_of: &[Turn] = &turns[position];
        let mut line = vec![names[position].to_string()];
        line.push(number(median(turns_of.iter().map(|turn| turn.committed).collect())));
        match asked[position] {
            None => line.extend([String::new(), String::new()]),
            Some(asked) => line.extend([
                ratio(of_alone(turns_of, &turns[0]), asked),
                number(median(turns_of.iter().map(|turn| turn.read).collect())),
            ]),
        }
        line
    };
    let lines = [0, 1, 2, 3].map(line);
    table(&["64 writers, transactions of 4 puts", "a second", "of alone", "the backup's MB a second"], &lines);
    runtime.block_on(db.close());
}

/// What happened in a turn, a second.
struct Turn {
    /// Transactions.
    committed: f64,
    /// Megabytes by the backup.
    read: f64,
}

/// Writers that don't end by themselves, and write the same rows again and again.
fn write_on(
    runtime: &Runtime,
    db: &Database,
    committed: &Arc<AtomicU64>,
    stops: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let mut load = Load::new(3, 2);
    let writer = |_| {
        let (db, committed, stops) = (db.clone(), committed.clone(), stops.clone());
        let transactions = load.transactions(scaled(100_000) / TASKS);
        runtime.spawn(async move {
            for puts in transactions.iter().cycle() {
                let tx = db.begin().await.unwrap();
                for (key, value) in puts.clone() {
                    tx.system_keys().put(key, value).await.unwrap();
                }
                tx.commit().await.unwrap();
                committed.fetch_add(1, Ordering::Relaxed);
                if stops.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    };
    (0..TASKS).map(writer).collect()
}

async fn one_turn(db: &Database, committed: &AtomicU64, options: Option<BackupOptions>) -> Turn {
    let read = Arc::new(AtomicU64::new(0));
    let backups = async {
        let Some(options) = options else { return std::future::pending().await };
        let options = options.on_progress(counting(read.clone()));
        loop {
            backup(db, tokio::io::sink(), &options).await.unwrap();
        }
    };
    let (began, before) = (Instant::now(), committed.load(Ordering::Relaxed));
    tokio::select! {
        () = backups => {}
        () = tokio::time::sleep(TURN) => {}
    }
    let (took, after) = (began.elapsed(), committed.load(Ordering::Relaxed));
    let committed = (after - before) as f64 / took.as_secs_f64();
    Turn { committed, read: megabytes(read.load(Ordering::Relaxed), took) }
}

/// Adds what backups that follow one another have read.
fn counting(read: Arc<AtomicU64>) -> impl Fn(&Progress) + Send + Sync {
    let before = AtomicU64::new(0);
    move |progress| {
        let before = before.swap(progress.bytes, Ordering::Relaxed);
        // The next one begins at nothing.
        let added = progress.bytes.checked_sub(before).unwrap_or(progress.bytes);
        read.fetch_add(added, Ordering::Relaxed);
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
