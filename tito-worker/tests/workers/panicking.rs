//! Panics whose value panics when it is dropped: each is one failed attempt, and nothing stops for it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::panic::panic_any;
use std::task::{Context, Poll};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use serde::{Deserialize, Deserializer};
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_core::trace::TracePropagator;
use tito_core::{BoxError, Transaction};
use tito_testkit::{Gate, Harness, TestClock};
use tito_worker::Payload;
use tito_worker::WorkerBuilder;
use tito_worker::observe::{EndedRun, Observer};
use tito_worker::prelude::*;
use tito_worker::{Order, RetryPolicy, Subscription};
use tower::Service;

use crate::support::*;

/// More than run at once in a partition: if each of them kept its place, nothing would go on.
const EVENTS: u64 = 40;

/// What a panic carries. Its drop panics with another one.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        match self.0 {
            0 => panic!("dropped"),
            more => panic_any(Bomb(more - 1)),
        }
    }
}

/// Something of a handler whose drop panics.
struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        panic_any(Bomb(1));
    }
}

/// An error whose drop panics.
#[derive(Debug)]
struct Hostile(#[allow(dead_code, reason = "it is dropped with the error")] TrapOnDrop);

#[derive(Debug)]
struct TrapOnDrop;

impl Drop for TrapOnDrop {
    fn drop(&mut self) {
        panic_any(Bomb(0));
    }
}

impl std::fmt::Display for Hostile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hostile")
    }
}

impl std::error::Error for Hostile {}

fn explode_at_first(event: &TitoEvent) {
    if event.failed_attempts == 0 {
        panic_any(Bomb(event.entity.parse::<u32>().unwrap() % 3));
    }
}

fn twice() -> Subscription {
    let retry = RetryPolicy::default().attempts(2).first_delay(Duration::from_secs(1)).jitter(0.0);
    Subscription::default().retry(retry).timeout(Duration::from_secs(5))
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs")
}

/// Every event fails once and is done at its second attempt.
async fn assert_each_fails_once(
    db: &Database,
    clock: &TestClock,
    what: &str,
    subscribe: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
) {
    publish(db, (0..EVENTS).map(|entity| job(entity).payload(&entity).unwrap())).await;
    let worker = subscribe(Worker::builder(TitoQueue::new(db.clone())).schedules(false)).build();
    let report = in_time(worker.drain()).await.unwrap();
    assert_eq!((report.retried, report.done), (EVENTS, 0), "{what}: {report:?}");
    clock.advance(Duration::from_secs(1));
    let report = in_time(worker.drain()).await.unwrap();
    assert_eq!((report.retried, report.done), (0, EVENTS), "{what}: {report:?}");
}

#[fact]
pub async fn a_panic_that_panics_when_it_is_dropped_is_one_failed_attempt(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let (db, clock) = (&db, &clock);
    assert_each_fails_once(db, clock, "a closure", |builder| {
        builder.subscribe_with("job", twice(), |event: TitoEvent| {
            explode_at_first(&event);
            async { Done::Ok(()) }
        })
    })
    .await;
    assert_each_fails_once(db, clock, "a future", |builder| {
        builder.subscribe_with("job", twice(), |event: TitoEvent| async move {
            tokio::task::yield_now().await;
            explode_at_first(&event);
            Done::Ok(())
        })
    })
    .await;
    assert_each_fails_once(db, clock, "strict order", |builder| {
        builder.subscribe_with("job", twice().order(Order::Strict), |event: TitoEvent| async move {
            explode_at_first(&event);
            Done::Ok(())
        })
    })
    .await;
    assert_each_fails_once(db, clock, "a batch", |builder| {
        builder.subscribe_with("job", twice().batch(7), |events: Vec<TitoEvent>| async move {
            explode_at_first(&events[0]);
            Done::Ok(())
        })
    })
    .await;
    assert_each_fails_once(db, clock, "a transaction", |builder| {
        builder.subscribe_with("job", twice(), |event: TitoEvent, _: Transaction| async move {
            explode_at_first(&event);
            Done::Ok(())
        })
    })
    .await;
    assert_each_fails_once(db, clock, "a batch in a transaction", |builder| {
        let handler = |events: Vec<TitoEvent>, _: Transaction| async move {
            explode_at_first(&events[0]);
            Done::Ok(())
        };
        builder.subscribe_with("job", twice().batch(7), handler)
    })
    .await;
    let letters = TitoQueue::new(db.clone()).dead_letters("job", 10, None).await.unwrap();
    assert!(letters.is_empty());
}

thread_local! {
    /// How many more panics there are to be. A fact runs on one thread.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

fn explode_while_there_are_any() {
    if let Some(left) = PANICS.get().checked_sub(1) {
        PANICS.set(left);
        panic_any(Bomb(1));
    }
}

/// A payload whose deserialization panics.
struct Explosive;

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        explode_while_there_are_any();
        u64::deserialize(deserializer).map(|_| Self)
    }
}

/// A service that panics when it is asked whether it is ready.
#[derive(Clone)]
struct NeverReady;

impl Service<TitoEvent> for NeverReady {
    type Response = ();
    type Error = BoxError;
    type Future = std::future::Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        explode_while_there_are_any();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: TitoEvent) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

#[fact]
pub async fn so_it_is_in_what_stands_round_a_handler(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let (db, clock) = (&db, &clock);
    PANICS.set(EVENTS);
    assert_each_fails_once(db, clock, "a payload", |builder| {
        builder.subscribe_with("job", twice(), |_: Payload<Explosive>| async { Done::Ok(()) })
    })
    .await;
    PANICS.set(EVENTS);
    assert_each_fails_once(db, clock, "a service", |builder| builder.subscribe_with("job", twice(), NeverReady)).await;
    assert_each_fails_once(db, clock, "an error", |builder| {
        builder.subscribe_with("job", twice(), |event: TitoEvent| async move {
            if event.failed_attempts == 0 { Err(Hostile(TrapOnDrop)) } else { Ok(()) }
        })
    })
    .await;
    assert_each_fails_once(db, clock, "something that is held", |builder| {
        builder.subscribe_with("job", twice(), |event: TitoEvent| async move {
            let _trap = (event.failed_attempts == 0).then(|| Trap);
            Done::Ok(())
        })
    })
    .await;
}

#[fact]
pub async fn a_handler_that_panics_when_it_is_dropped_at_its_timeout_is_a_failure(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..EVENTS).map(job)).await;
    let gate = Gate::new();
    let passing = gate.clone();
    let worker = Worker::builder(TitoQueue::new(db.clone()))
        .subscribe_with("job", twice().concurrency(EVENTS as usize), move |event: TitoEvent| {
            let gate = passing.clone();
            async move {
                if event.failed_attempts == 0 {
                    let _trap = Trap;
                    gate.pass().await;
                    pending::<()>().await;
                }
                Done::Ok(())
            }
        })
        .build();
    let draining = {
        let worker = worker.clone();
        tokio::spawn(async move { worker.drain().await })
    };
    in_time(gate.arrivals(EVENTS as usize)).await;
    clock.advance(Duration::from_secs(5));
    let report = in_time(draining).await.unwrap().unwrap();
    assert_eq!((report.retried, report.done), (EVENTS, 0), "{report:?}");
    clock.advance(Duration::from_secs(1));
    assert_eq!(in_time(worker.drain()).await.unwrap().done, EVENTS);
}

#[fact]
pub async fn a_worker_stops_though_its_handlers_panic_when_they_are_dropped(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..10).map(job)).await;
    let gate = Gate::new();
    let passing = gate.clone();
    let builder = Worker::builder(TitoQueue::new(db.clone())).shutdown_timeout(Duration::from_millis(20));
    let running = Running::start(builder.subscribe("job", move |_: TitoEvent| {
        let gate = passing.clone();
        async move {
            let _trap = Trap;
            gate.pass().await;
            Done::Ok(())
        }
    }));
    in_time(gate.arrivals(10)).await;
    let report = in_time(running.stop()).await;
    assert_eq!((report.done, report.unfinished), (0, 10));
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(in_time(harness.drain()).await.unwrap().len(), 10);
}

#[fact]
pub async fn observers_and_tracers_that_do_so_change_nothing(db: Database, _: TestClock) {
    struct Exploding;

    impl Observer for Exploding {
        fn handed_out(&self, _: &TitoEvent) {
            panic_any(Bomb(1));
        }

        fn handled(&self, _: &EndedRun<'_>) {
            panic_any(Bomb(2));
        }
    }

    impl TracePropagator for Exploding {
        fn inject(&self, headers: &mut BTreeMap<String, String>) {
            headers.insert("b3".to_string(), "0-1".to_string());
        }

        fn adopt(&self, _: &BTreeMap<String, String>, _: &tracing::Span) {
            panic_any(Bomb(0));
        }
    }

    assert!(db.install_propagator(Exploding));
    with_one_partition(&db).await;
    publish(&db, (0..EVENTS).map(job)).await;
    let worker = Worker::builder(TitoQueue::new(db))
        .subscribe("job", |_: TitoEvent| async { Done::Ok(()) })
        .observe(Exploding)
        .build();
    assert_eq!(in_time(worker.drain()).await.unwrap().done, EVENTS);
}

/// A recorder of metrics that panics while there are any panics left.
struct Failing;

impl metrics::HistogramFn for Failing {
    fn record(&self, _: f64) {
        explode_while_there_are_any();
    }
}

impl metrics::Recorder for Failing {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match key.name() {
            "tito_event_lag_seconds" => Histogram::from_arc(std::sync::Arc::new(Self)),
            _ => Histogram::noop(),
        }
    }
}

#[fact]
pub async fn a_recorder_of_metrics_that_panics_stops_no_partition(db: Database, clock: TestClock) {
    let _guard = metrics::set_default_local_recorder(&Failing);
    with_one_partition(&db).await;
    PANICS.set(EVENTS);
    assert_each_fails_once(&db, &clock, "a recorder", |builder| {
        builder.subscribe_with("job", twice(), |_: TitoEvent| async { Done::Ok(()) })
    })
    .await;
}
