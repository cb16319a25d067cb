//! Whether consumption stays fast with transactional handlers, in strict order, over many topics and over long ones.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use support::limits::drain_bare;
use support::prepared::Prepared;
use support::queue::{Countdown, PARTITIONS, TOPIC, drain, drain_with, empty, events, fill, fill_with};
use support::{
    directory, interleaved, median, number, per_second, ratio, ratio_at_most, rounds, runtime, scaled, table,
};

use tito_core::Transaction;
use tito_core::keys;
use tito_core::prelude::*;
use tito_worker::WorkerBuilder;
use tito_worker::prelude::*;
use tito_worker::{Order, Subscription};
use tokio::runtime::Runtime;

/// What it was before consumption was made to do all that it does.
const ASKED_OF_PLAIN: f64 = 0.92;
const ASKED_OF_TRANSACTIONAL: f64 = 0.6;
const ASKED_OF_STRICT: f64 = 0.7;
/// How many times as much an event may cost where there are ten times as many.
const ASKED_OF_COST: f64 = 1.5;

const ROW_BYTES: usize = 100;

fn main() {
    let runtime = runtime();
    println!("{} rounds, medians\n", rounds());
    // Shown as they come: the whole takes minutes.
    show(handlers(&runtime));
    show(vec![strict(&runtime)]);
    show(long_topic(&runtime));
    show(topics(&runtime));
}

fn show(lines: Vec<Vec<String>>) {
    table(&["", "events a second", "beside", "ratio"], &lines);
}

fn line(what: String, figure: f64, beside: (&str, f64), verdict: String) -> Vec<String> {
    vec![what, number(figure), format!("{} ({})", number(beside.1), beside.0), verdict]
}

/// Plain and transactional handlers, beside redb.
fn handlers(runtime: &Runtime) -> Vec<Vec<String>> {
    let count = scaled(200_000);
    let mut partitions = Vec::new();
    let prepared = Prepared::new(runtime, |db| {
        fill(runtime, db, count, Duration::ZERO);
        partitions = runtime.block_on(events(db));
    });
    let transactional = |batch: usize| {
        let took = prepared.timed(|db| {
            drain_with(runtime, db, count, |worker, left| {
                worker.subscribe_with(TOPIC, Subscription::default().batch(batch), write_a_row(left))
            })
        });
        per_second(count, took)
    };
    let [plain, bare, of_64, of_256] = interleaved(
        rounds(),
        [
            &mut |_| per_second(count, prepared.timed(|db| drain(runtime, db, count))),
            &mut |_| per_second(count, drain_bare(directory().path(), &partitions)),
            &mut |_| transactional(64),
            &mut |_| transactional(256),
        ],
    );
    let beside_plain = |batch: usize, figure: f64| {
        let what = format!("transactional handlers that write a row, {batch} at a time");
        line(what, figure, ("plain", plain), ratio(figure / plain, ASKED_OF_TRANSACTIONAL))
    };
    vec![
        line("plain handlers".to_string(), plain, ("bare redb", bare), ratio(plain / bare, ASKED_OF_PLAIN)),
        beside_plain(64, of_64),
        beside_plain(256, of_256),
    ]
}

fn write_a_row(
    left: Countdown,
) -> impl Fn(TitoEvent, Transaction) -> BoxFuture<'static, Result<(), TitoError>> + Send + Sync + 'static {
    move |event, tx| {
        left.one();
        async move { tx.system_keys().put(keys::row("handled", &event.id.to_string()), vec![b'x'; ROW_BYTES]).await }
            .boxed()
    }
}

/// Many entities with a few events each, in strict order.
fn strict(runtime: &Runtime) -> Vec<String> {
    const EVENTS: usize = 3;
    let entities = scaled(100_000);
    let count = entities * EVENTS;
    let prepared = Prepared::new(runtime, |db| {
        let events = (0..count).map(|number| Publish::new(TOPIC, format!("user:{}", number % entities)));
        fill_with(runtime, db, &[TOPIC], PARTITIONS, events);
    });
    let ordered = |order: Order| {
        let took = prepared.timed(|db| {
            drain_with(runtime, db, count, |worker, left| {
                worker.subscribe_with(TOPIC, Subscription::default().order(order), empty(left))
            })
        });
        per_second(count, took)
    };
    let [strict, relaxed] = interleaved(rounds(), [&mut |_| ordered(Order::Strict), &mut |_| ordered(Order::Relaxed)]);
    let what = format!("strict order, {} entities with {EVENTS} events each", number(entities as f64));
    line(what, strict, ("relaxed", relaxed), ratio(strict / relaxed, ASKED_OF_STRICT))
}

/// Many topics with one event each.
fn topics(runtime: &Runtime) -> Vec<Vec<String>> {
    let (few, many) = (scaled(1_000), scaled(10_000));
    let prepared = |count: usize, partitions: u16| {
        Prepared::new(runtime, |db| {
            let events = (0..count).map(|number| Publish::new(topic(number), "user:1"));
            fill_with(runtime, db, &(0..count).map(topic).collect::<Vec<_>>(), partitions, events);
        })
    };
    let (of_few, of_many) = (prepared(few, 1), prepared(many, 1));
    let (of_few_wide, of_many_wide) = (prepared(few, PARTITIONS), prepared(many, PARTITIONS));
    let run = |prepared: &Prepared<'_>, count: usize| {
        per_second(count, prepared.timed(|db| drain_with(runtime, db, count, |to, left| subscribe(to, count, &left))))
    };
    let drain = |prepared: &Prepared<'_>, count: usize| {
        per_second(count, prepared.timed(|db| drain_topics(runtime, db, count)))
    };
    let [run_few, run_many, drain_few, drain_many] = interleaved(
        rounds(),
        [&mut |_| run(&of_few, few), &mut |_| run(&of_many, many), &mut |_| drain(&of_few, few), &mut |_| {
            drain(&of_many, many)
        }],
    );
    let [wide_few, wide_many] =
        interleaved(rounds(), [&mut |_| drain(&of_few_wide, few), &mut |_| drain(&of_many_wide, many)]);
    let compared = |how: &str, few_figure: f64, many_figure: f64| {
        let beside = format!("{} topics", number(few as f64));
        let what = format!("{} topics with one event each, {how}", number(many as f64));
        line(what, many_figure, (&beside, few_figure), ratio_at_most(few_figure / many_figure, ASKED_OF_COST))
    };
    vec![
        compared("1 partition, `run`", run_few, run_many),
        compared("1 partition, `drain`", drain_few, drain_many),
        compared("16 partitions, `drain`", wide_few, wide_many),
    ]
}

fn topic(number: usize) -> String {
    format!("topic-{number:05}")
}

fn subscribe(mut worker: WorkerBuilder, topics: usize, left: &Countdown) -> WorkerBuilder {
    for number in 0..topics {
        worker = worker.subscribe(topic(number), empty(left.clone()));
    }
    worker
}

fn drain_topics(runtime: &Runtime, db: &Database, topics: usize) -> Duration {
    let begin = Instant::now();
    let worker = subscribe(Worker::builder(TitoQueue::new(db.clone())), topics, &Countdown::of(topics)).build();
    let report = runtime.block_on(worker.drain()).unwrap();
    assert_eq!(report.done, topics as u64, "every event is handled once");
    begin.elapsed()
}

/// One topic with many events, until all are acknowledged, and until the database file is without them. What the
/// acknowledgements of a tenth of the events write fits into memory, and is put into the file only afterwards.
fn long_topic(runtime: &Runtime) -> Vec<Vec<String>> {
    let (short, long) = (scaled(100_000), scaled(1_000_000));
    let prepared = |count: usize| Prepared::new(runtime, |db| fill(runtime, db, count, Duration::ZERO));
    let (of_short, of_long) = (prepared(short), prepared(long));
    let drained = |prepared: &Prepared<'_>, count: usize, closed: &mut Vec<f64>| {
        let (took, with_close) = prepared.timed_with_close(|db| drain(runtime, db, count));
        closed.push(per_second(count, with_close));
        per_second(count, took)
    };
    let (mut short_closed, mut long_closed) = (Vec::new(), Vec::new());
    let [of_short, of_long] = interleaved(
        rounds(),
        [&mut |_| drained(&of_short, short, &mut short_closed), &mut |_| drained(&of_long, long, &mut long_closed)],
    );
    let beside = format!("{} events", number(short as f64));
    let compared = |until: &str, of_short: f64, of_long: f64| {
        let what = format!("one topic with {} events, {until}", number(long as f64));
        line(what, of_long, (&beside, of_short), ratio_at_most(of_short / of_long, ASKED_OF_COST))
    };
    vec![
        compared("acknowledged", of_short, of_long),
        compared("gone from the file", median(short_closed), median(long_closed)),
    ]
}
