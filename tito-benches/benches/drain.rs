//! Draining due events with an empty handler, beside a bare loop over redb that scans and deletes.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::limits::drain_bare;
use support::load::Put;
use support::prepared::Prepared;
use support::queue::{PARTITIONS, drain, events, fill};
use support::{directory, interleaved, median, number, per_second, ratio, rounds, runtime, scaled, table};
use tito_core::prelude::*;

const ASKED: f64 = 0.5;
const ASKED_LAST_TENTH: f64 = 0.8;

/// How often is looked how far the worker is. It costs some of the speed, so not more often than needed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

fn main() {
    let runtime = runtime();
    let count = scaled(200_000);
    let mut partitions = Vec::new();
    let prepared = Prepared::new(&runtime, |db| {
        fill(&runtime, db, count, Duration::ZERO);
        partitions = runtime.block_on(events(db));
    });

    let mut last_to_first = Vec::new();
    let [tito, bare] = interleaved(
        rounds(),
        [
            &mut |_| {
                let took = prepared.timed(|db| {
                    let looking = start_looking(db.clone(), some_of(&partitions));
                    let took = drain(&runtime, db, count);
                    let [tenth, nine_tenths] = looking.join().unwrap();
                    let last_tenth = took.saturating_sub(nine_tenths).max(LOOK_EVERY);
                    last_to_first.push(tenth.as_secs_f64() / last_tenth.as_secs_f64());
                    took
                });
                per_second(count, took)
            },
            &mut |_| per_second(count, drain_bare(directory().path(), &partitions)),
        ],
    );
    println!("Draining {} events over {PARTITIONS} partitions; {} rounds, medians\n", number(count as f64), rounds());
    let line = vec![
        String::new(),
        number(tito),
        number(bare),
        ratio(tito / bare, ASKED),
        ratio(median(last_to_first), ASKED_LAST_TENTH),
    ];
    table(&["", "Tito, a second", "bare redb, a second", "ratio", "last tenth's speed to the first's"], &[line]);
}

/// Some events of each partition, which stand for all.
fn some_of(partitions: &[Vec<Put>]) -> Vec<Vec<u8>> {
    let some = |events: &Vec<Put>| events.iter().step_by(events.len() / 40).map(|(key, _)| key.clone()).collect();
    partitions.iter().flat_map::<Vec<_>, _>(some).collect()
}

/// Finds when the first tenth and nine tenths of the events were acknowledged. That shows in what is left in the
/// database: handlers are ahead of their acknowledgements. In a thread of its own, as tasks wait behind the worker's.
fn start_looking(db: Database, events: Vec<Vec<u8>>) -> JoinHandle<[Duration; 2]> {
    let begin = Instant::now();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        [events.len() / 10, events.len() - events.len() / 10].map(|mark| {
            loop {
                let looked = begin.elapsed();
                let left = runtime.block_on(async {
                    let tx = db.begin().await.unwrap();
                    // Not by a scan, which would have to pass over what was deleted.
                    tx.batch_get(events.clone()).await.unwrap()
                });
                if left.iter().filter(|event| event.is_none()).count() >= mark {
                    return looked;
                }
                thread::sleep(LOOK_EVERY);
            }
        })
    })
}
