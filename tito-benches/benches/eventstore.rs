//! Event stores: appends one at a time and together, decisions that collide, models folded from a million events beside
//! the engine's bare scan of the same rows.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use support::prepared::Prepared;
use support::{asked_of, directory, interleaved, number, per_second, ratio, rounds, runtime, scaled, table};
use tito_core::BoxError;
use tito_core::Transaction;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::keys;
use tito_eventstore::{
    Event, EventStore, EventStoreConfig, EventStoreError, Evolver, Manager, NewEvent, ReactFrom, Reaction, Select,
};
use tito_worker::prelude::*;
use tokio::runtime::Runtime;

const TASKS: usize = 64;
const ENTITIES: usize = 1_000;
const DATA: &[u8] = &[b'x'; 100];

/// What NATS JetStream reached on 2 cores, with 64 tasks: appends with an expected sequence to 1,000 entities, every
/// message synchronised; to one entity; and events replayed.
const NATS_APPENDS: f64 = 4_400.0;
const NATS_ONE_ENTITY: f64 = 920.0;
const NATS_REPLAY: f64 = 520_000.0;

fn main() {
    let runtime = runtime();
    appends(&runtime);
    folds(&runtime);
}

async fn store(db: &Database) -> EventStore {
    Manager::new(db.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap()
}

fn appends(runtime: &Runtime) {
    // As many for each, so that both meet the merges of the engine.
    let events = scaled(50_000);
    let [one, together, collide] = interleaved(
        rounds(),
        [
            &mut |_| on_disk(runtime, |store| append(store, 1, events)),
            &mut |_| on_disk(runtime, |store| append(store, TASKS, events)),
            &mut |_| on_disk(runtime, |store| collide(store, scaled(5_000))),
        ],
    );
    let asked = |figure: f64, asked: f64| asked_of(format!("at least {}", number(asked)), figure >= asked);
    println!("Appends of one event of 100 bytes with an expected sequence, durable, {ENTITIES} entities:");
    table(
        &["", "a second", ""],
        &[
            vec!["one at a time".into(), number(one), String::new()],
            vec![format!("{TASKS} tasks"), number(together), asked(together, 2.0 * NATS_APPENDS)],
            vec!["of one at a time".into(), ratio(together / one, 8.0), String::new()],
            vec![format!("{TASKS} tasks, one entity, accepted"), number(collide), asked(collide, NATS_ONE_ENTITY)],
        ],
    );
}

fn on_disk<Fut: Future<Output = f64>>(runtime: &Runtime, run: impl FnOnce(EventStore) -> Fut) -> f64 {
    let directory = directory();
    runtime.block_on(async {
        let db = EmbeddedBackend::open(directory.path()).await.unwrap();
        let figure = run(store(&db).await).await;
        db.close().await;
        figure
    })
}

/// Each task has entities of its own, and expects what it has appended last.
async fn append(store: EventStore, tasks: usize, count: usize) -> f64 {
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let entities: Vec<_> = (task..ENTITIES).step_by(tasks).map(|id| format!("account.{id}")).collect();
                let mut last = vec![0; entities.len()];
                for number in 0..count / tasks {
                    let entity = number % entities.len();
                    let event = NewEvent::raw(entities[entity].as_str(), "deposited", DATA);
                    last[entity] = store.append(event.expect_sequence(last[entity])).await.unwrap();
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
    per_second(count / tasks * tasks, begin.elapsed())
}

/// All tasks append to one entity: of those that expect the same sequence one is accepted.
async fn collide(store: EventStore, count: usize) -> f64 {
    let begin = Instant::now();
    let last = Arc::new(AtomicU64::new(0));
    let running: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, last) = (store.clone(), last.clone());
            tokio::spawn(async move {
                loop {
                    let expected = last.load(Ordering::Acquire);
                    if expected >= count as u64 {
                        return;
                    }
                    let event = NewEvent::raw("account.1", "deposited", DATA).expect_sequence(expected);
                    match store.append(event).await {
                        Ok(sequence) => last.fetch_max(sequence, Ordering::AcqRel),
                        Err(EventStoreError::SequenceConflict { actual, .. }) => {
                            last.fetch_max(actual, Ordering::AcqRel)
                        }
                        Err(error) => panic!("{error}"),
                    };
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
    per_second(last.load(Ordering::Acquire) as usize, begin.elapsed())
}

/// Sums the bytes of its events, which reads all of them.
#[derive(Default)]
struct Sum {
    events: usize,
    bytes: u64,
}

impl Evolver for Sum {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        self.events += 1;
        self.bytes += event.bytes().iter().map(|byte| u64::from(*byte)).sum::<u64>();
        Ok(())
    }
}

fn folds(runtime: &Runtime) {
    let count = scaled(1_000_000);
    let prepared = Prepared::new(runtime, |db| runtime.block_on(fill(db, count)));
    let [scan, entity, all, typed, replay, react, effects] = interleaved(
        rounds(),
        [
            &mut |_| timed(&prepared, runtime, count, |db| bare_scan(db, count)),
            &mut |_| timed(&prepared, runtime, count, |db| fold(db, "account.1".into(), count)),
            &mut |_| timed(&prepared, runtime, count, |db| fold(db, Select::all(), count)),
            &mut |_| timed(&prepared, runtime, count, |db| fold(db, "*.*.deposited".into(), count)),
            &mut |_| timed(&prepared, runtime, count, |db| stream(db, count)),
            &mut |_| timed(&prepared, runtime, count, |db| react(db, count)),
            &mut |_| timed(&prepared, runtime, count, |db| react_in_transactions(db, count)),
        ],
    );
    println!("{} events of 100 bytes, a second:", number(count as f64));
    let line = |what: &str, figure: f64| vec![what.to_string(), number(figure), ratio(figure / scan, 0.5)];
    table(
        &["", "a second", "of the bare scan"],
        &[
            vec!["the engine's bare scan, pages of 2,048".into(), number(scan), String::new()],
            line("evolve of one entity with all of them", entity),
            line("evolve of all", all),
            line("evolve by a filter over all", typed),
            line("a stream of all", replay),
            vec!["a reactor that catches up, empty handler".into(), number(react), String::new()],
            vec!["the same, transactional".into(), number(effects), String::new()],
        ],
    );
    println!("a reactor, of a stream of all: {}", ratio(react / replay, 0.5));
    println!("a transactional one: {:.2}", effects / replay);
    println!("replay, of NATS JetStream: {}\n", ratio(all.min(replay) / NATS_REPLAY, 1.0));
}

async fn fill(db: &Database, count: usize) {
    let store = store(db).await;
    for first in (0..count).step_by(1000) {
        let events = (first..count.min(first + 1000)).map(|_| NewEvent::raw("account.1", "deposited", DATA));
        store.append(events.collect::<Vec<_>>()).await.unwrap();
    }
}

fn timed<Fut: Future<Output = Duration>>(
    prepared: &Prepared<'_>,
    runtime: &Runtime,
    count: usize,
    run: impl FnOnce(Database) -> Fut,
) -> f64 {
    per_second(count, prepared.timed(|db| runtime.block_on(run(db.clone()))))
}

async fn bare_scan(db: Database, count: usize) -> Duration {
    // The one store's events.
    let tx = db.begin().await.unwrap();
    let first = tx.scan(KeyRange::prefix("log:"), 1).await.unwrap().remove(0).0;
    let store = u64::from_str_radix(std::str::from_utf8(&first[4..20]).unwrap(), 16).unwrap();
    tx.rollback().await;
    let begin = Instant::now();
    let mut rest = keys::log_events_between(store, 0, keys::MAX_SEQUENCE);
    let (mut rows, mut bytes) = (0, 0u64);
    loop {
        let tx = db.begin().await.unwrap();
        let page = tx.scan(rest.clone(), 2048).await.unwrap();
        tx.rollback().await;
        rows += page.len();
        bytes += page.iter().flat_map(|(_, value)| value).map(|byte| u64::from(*byte)).sum::<u64>();
        match page.last() {
            Some((last, _)) => rest = rest.after(last),
            None => break,
        }
    }
    assert!(rows == count && bytes > 0);
    begin.elapsed()
}

async fn fold(db: Database, select: Select, count: usize) -> Duration {
    let store = Manager::new(db).get_event_store("bank").await.unwrap();
    let begin = Instant::now();
    let mut sum = Sum::default();
    store.evolve(&mut sum, select).await.unwrap();
    assert!(sum.events == count && sum.bytes > 0);
    begin.elapsed()
}

async fn react(db: Database, count: usize) -> Duration {
    let handled = Arc::new(AtomicU64::new(0));
    let seen = handled.clone();
    let handler = move |_: Event| {
        seen.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok::<_, TitoError>(()))
    };
    caught_up(db, handler, (&handled, count)).await
}

async fn react_in_transactions(db: Database, count: usize) -> Duration {
    let handled = Arc::new(AtomicU64::new(0));
    let seen = handled.clone();
    let handler = move |_: Event, _: Transaction| {
        seen.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok::<_, TitoError>(()))
    };
    caught_up(db, handler, (&handled, count)).await
}

/// How long a new reactor takes for all events that there are.
async fn caught_up<Args>(
    db: Database,
    handler: impl Reaction<Args>,
    (handled, count): (&AtomicU64, usize),
) -> Duration {
    static REACTORS: AtomicU64 = AtomicU64::new(0);
    let store = Manager::new(db.clone()).get_event_store("bank").await.unwrap();
    let name = format!("reactor-{}", REACTORS.fetch_add(1, Ordering::Relaxed));
    let reactor = store.react(&name, Select::all(), ReactFrom::First).await.unwrap();
    let worker = reactor.subscribe(Worker::builder(TitoQueue::new(db)), handler).build();
    let begin = Instant::now();
    worker.drain().await.unwrap();
    let took = begin.elapsed();
    assert_eq!(handled.load(Ordering::Relaxed), count as u64);
    assert_eq!(store.reactor(&name).await.unwrap().behind(), 0);
    took
}

async fn stream(db: Database, count: usize) -> Duration {
    let store = Manager::new(db).get_event_store("bank").await.unwrap();
    let begin = Instant::now();
    let counted = store.events(Select::all()).try_fold(0, |events, _| async move { Ok(events + 1) }).await.unwrap();
    assert_eq!(counted, count);
    begin.elapsed()
}
