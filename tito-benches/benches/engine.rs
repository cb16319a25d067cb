//! Durable transactions of 4 puts, beside a bare loop over redb and a raw file that is synchronised.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use support::limits::{BareRedb, RawAppend};
use support::load::{Load, bytes_of, commit_all, merged};
use support::{directory, interleaved, number, per_second, ratio, rounds, runtime, scaled, table, timed};
use tito_core::prelude::*;
use tokio::runtime::Runtime;

const ASKED_OF_REDB: f64 = 0.85;
const ASKED_OF_RAW: f64 = 0.25;

fn main() {
    let runtime = runtime();
    println!("Durable transactions of 4 puts a second; {} rounds, medians\n", rounds());
    let lines = [(1, 400), (8, 2_000), (64, 6_400), (256, 12_800)].map(|(tasks, transactions)| {
        let [tito, redb, raw] = at_once(&runtime, tasks, scaled(transactions));
        vec![
            format!("{tasks} tasks"),
            number(tito),
            number(redb),
            number(raw),
            ratio(tito / redb, ASKED_OF_REDB),
            ratio(tito / raw, ASKED_OF_RAW),
        ]
    });
    table(&["", "Tito", "bare redb", "raw append", "of redb", "of raw"], &lines);
    sustained(&runtime, 64, scaled(600 << 20));
}

/// Rounds that fit into memory, as a burst does.
fn at_once(runtime: &Runtime, tasks: usize, transactions: usize) -> [f64; 3] {
    let directory = directory();
    let db = runtime.block_on(EmbeddedBackend::open(directory.path().join("tito"))).unwrap();
    let redb = BareRedb::create(directory.path());
    let mut raw = RawAppend::create(directory.path());
    let load = |round: usize| Load::new(round as u64, 2).transactions(transactions);
    let figures = interleaved(
        rounds(),
        [
            &mut |round| {
                let took = commit_all(runtime, &db, tasks, load(round));
                runtime.block_on(merged(&db));
                per_second(transactions, took)
            },
            &mut |round| per_second(transactions, redb.commit_all(tasks, load(round))),
            &mut |round| per_second(transactions, raw.commit_all(tasks, &load(round))),
        ],
    );
    runtime.block_on(db.close());
    figures
}

/// One long run, in which merges into the database file go on all the time.
fn sustained(runtime: &Runtime, tasks: usize, bytes: usize) {
    let load = |bytes: usize| {
        let mut load = Load::new(7, 2);
        let sample = bytes_of(&load.transactions(100)) / 100;
        load.transactions(bytes / sample)
    };
    let directory = directory();
    let mut lines = Vec::new();

    let transactions = load(bytes);
    let count = transactions.len();
    let mut raw = RawAppend::create(directory.path());
    let raw = per_second(count, raw.commit_all(tasks, &transactions));

    let db = runtime.block_on(EmbeddedBackend::open(directory.path().join("tito"))).unwrap();
    let took = commit_all(runtime, &db, tasks, transactions);
    let close = timed(|| runtime.block_on(db.close()));
    let tito = per_second(count, took);
    let merged = per_second(count, took + close);

    // The bare loop slows down as its tree grows; a tenth of the load keeps this short and flatters it.
    let redb = BareRedb::create(directory.path());
    let transactions = load(bytes / 10);
    let part = transactions.len();
    let redb = per_second(part, redb.commit_all(tasks, transactions));

    println!("One run of {} MB at {tasks} tasks, transactions a second\n", bytes >> 20);
    lines.push(vec!["raw append".to_string(), number(raw), String::new(), String::new()]);
    lines.push(vec![format!("bare redb, first {} MB", (bytes / 10) >> 20), number(redb), String::new(), String::new()]);
    for (name, rate) in [("Tito", tito), ("Tito, with all merged into the file", merged)] {
        lines.push(vec![
            name.to_string(),
            number(rate),
            ratio(rate / redb, ASKED_OF_REDB),
            ratio(rate / raw, ASKED_OF_RAW),
        ]);
    }
    table(&["", "a second", "of redb", "of raw"], &lines);
}
