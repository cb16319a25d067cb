//! What applications see of their workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_core::trace::{TraceContext, TracePropagator};
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::WorkerBuilder;
use tito_worker::observe::{EndedRun, Fate, Observer};
use tito_worker::prelude::*;
use tito_worker::{Order, Outcome, RetryPolicy, Subscription};

use crate::recorder::Recorded;
use crate::support::*;

#[fact]
pub async fn a_trace_goes_from_the_publisher_through_the_handler_to_what_it_publishes(db: Database, clock: TestClock) {
    let request = TraceContext::new_root().with_state("vendor=1");
    request.clone().scope(publish(&db, [job("a")])).await;
    let within = Arc::new(Mutex::new(Vec::new()));
    let (database, seen) = (db.clone(), within.clone());
    let mut harness = Harness::new(&db, &clock)
        .subscribe("job", move |_: TitoEvent| {
            let (database, seen) = (database.clone(), seen.clone());
            async move {
                seen.lock().unwrap().push(TraceContext::current().unwrap());
                publish(&database, [Publish::new("mail", "b")]).await;
                Done::Ok(())
            }
        })
        .subscribe("mail", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    let of_events = handled.iter().map(|handled| handled.event.trace_context().unwrap());
    let all: Vec<_> = of_events.chain(within.lock().unwrap().clone()).collect();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|trace| (trace.trace_id(), trace.state()) == (request.trace_id(), Some("vendor=1"))));
    let mut callers: Vec<_> = all.iter().chain([&request]).map(TraceContext::parent_id).collect();
    callers.sort_unstable();
    callers.dedup();
    assert_eq!(callers.len(), 4, "each part of the work has an id of its own");
}

#[fact]
pub async fn without_a_trace_events_stay_as_small_as_they_were(db: Database, clock: TestClock) {
    publish(&db, [job("a")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async {
        assert_eq!(TraceContext::current(), None);
        Done::Ok(())
    });
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled[0].outcome, Ok(Outcome::Done));
    assert!(handled[0].event.headers.is_empty());
}

#[fact]
pub async fn a_publishers_own_trace_headers_are_kept_and_malformed_ones_ignored(db: Database, clock: TestClock) {
    let own = TraceContext::new_root();
    let events =
        [job("a").header("traceparent", own.to_string()), job("b").header("traceparent", "00-nonsense"), job("c")];
    let current = TraceContext::new_root();
    current.clone().scope(publish(&db, events)).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let mut handled = harness.drain().await.unwrap();
    handled.sort_by(|left, right| left.event.entity.cmp(&right.event.entity));
    assert!(handled.iter().all(|handled| handled.outcome == Ok(Outcome::Done)));
    assert_eq!(handled[0].event.trace_context(), Some(own));
    assert_eq!(handled[1].event.trace_context(), None);
    assert_eq!(handled[2].event.trace_context().unwrap().trace_id(), current.trace_id());
}

#[fact]
pub async fn another_tracer_travels_with_events_instead(db: Database, clock: TestClock) {
    #[derive(Clone, Default)]
    struct Other(Arc<Mutex<Vec<String>>>);

    impl TracePropagator for Other {
        fn inject(&self, headers: &mut BTreeMap<String, String>) {
            headers.insert("b3".to_string(), "0-1".to_string());
        }

        fn adopt(&self, headers: &BTreeMap<String, String>, _: &tracing::Span) {
            self.0.lock().unwrap().push(headers["b3"].clone());
            panic!("after that it fails");
        }
    }

    let other = Other::default();
    assert!(db.install_propagator(other.clone()));
    assert!(!db.install_propagator(Other::default()), "the first one stays");
    publish(&db, [job("a")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled[0].outcome, Ok(Outcome::Done));
    assert_eq!(*other.0.lock().unwrap(), ["0-1"]);
}

/// Says of each event what its entity asks for.
async fn as_asked(event: TitoEvent) -> Result<Outcome, TitoError> {
    match event.entity.as_str() {
        "retried" if event.failed_attempts == 0 => Err(error("not yet")),
        "rescheduled" if event.timestamp < 9_000_000_000 => Ok(Outcome::RescheduleTo(at_second(9_000_000_000))),
        "dead" => Ok(Outcome::DeadLetter("hopeless".to_string())),
        "exhausted" => Err(error("still not")),
        "panicking" => panic!("at the handler"),
        _ => Ok(Outcome::Done),
    }
}

const ENTITIES: [&str; 6] = ["done", "retried", "rescheduled", "dead", "exhausted", "panicking"];

fn two_attempts() -> Subscription {
    Subscription::default().retry(RetryPolicy::default().attempts(2).first_delay(Duration::ZERO))
}

#[fact]
pub async fn metrics_are_recorded_as_documented(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let recorded = Recorded::default();
    let _guard = metrics::set_default_local_recorder(&recorded);
    with_one_partition(&db).await;
    publish(&db, ENTITIES.map(job)).await;
    let tx = db.begin().await.unwrap();
    TitoQueue::new(db.clone()).publish(job("rolled back"), &tx).await.unwrap();
    tx.rollback().await;
    put(&db, "event:job:0000:0000000001:nonsense", "nonsense").await;

    let report = Worker::builder(TitoQueue::new(db.clone()))
        .subscribe_with("job", two_attempts(), as_asked)
        .build()
        .drain()
        .await
        .unwrap();
    let outcome = |outcome: &str| recorded.sum(&format!("tito_events_handled_total{{topic=job,outcome={outcome}}}"));
    assert_eq!(outcome("done"), report.done as f64);
    assert_eq!(outcome("retried"), report.retried as f64);
    let outcomes = ["done", "retried", "rescheduled", "dead", "malformed", "elsewhere"].map(outcome);
    assert_eq!(outcomes, [2.0, 3.0, 1.0, 3.0, 1.0, 0.0]);

    assert_eq!(recorded.sum("tito_events_published_total{topic=job}"), 6.0, "neither retries nor what is rolled back");
    // Six first attempts, three second ones.
    assert_eq!(recorded.all("tito_handler_seconds{topic=job}").len(), 9);
    assert_eq!(recorded.all("tito_event_lag_seconds{topic=job}").len(), 9);
    assert_eq!(recorded.sum("tito_events_in_flight{topic=job}"), 0.0);
    assert_eq!(recorded.all("tito_events_in_flight{topic=job}").len(), 18);
    assert_eq!(recorded.sum("tito_acknowledgement_batch_events{}"), 10.0);
    let commits = recorded.all("tito_commit_seconds{}").len();
    assert_eq!(commits, recorded.all("tito_acknowledgement_batch_events{}").len());
    assert!(!recorded.all("tito_poll_seconds{}").is_empty());
    let of_all_queues = ["tito_acknowledgement_batch_events{}", "tito_commit_seconds{}", "tito_poll_seconds{}"];
    for name in recorded.names() {
        assert!(name.contains("{topic=job") || of_all_queues.contains(&name.as_str()), "{name}");
        assert!(!name.contains("partition"), "{name}");
    }
    let guide = include_str!("../../../docs/guide/observability.md");
    for name in recorded.names() {
        let name = name.split('{').next().unwrap();
        assert!(guide.contains(&format!("`{name}`")), "{name} is not in the guide");
    }
}

#[fact]
pub async fn lag_is_counted_from_the_moment_that_an_event_falls_due(db: Database, clock: TestClock) {
    let recorded = Recorded::default();
    let _guard = metrics::set_default_local_recorder(&recorded);
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    publish(&db, [job("at once")]).await;
    harness.advance(Duration::from_millis(1_250)).await.unwrap();
    assert_eq!(recorded.all("tito_event_lag_seconds{topic=job}"), [1.25]);
    let due = clock.shared().now_millis() / 1_000 + 100;
    publish(&db, [job("later").at(at_second(due as i64))]).await;
    clock.advance_to_wall((due + 7) * 1_000);
    harness.drain().await.unwrap();
    assert_eq!(recorded.all("tito_event_lag_seconds{topic=job}"), [1.25, 7.0]);
}

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn handed_out(&self, event: &TitoEvent) {
        self.0.lock().unwrap().push(format!("{} out", event.entity));
    }

    fn handled(&self, handled: &EndedRun<'_>) {
        let EndedRun { event, fate, attempt, error, .. } = handled;
        self.0.lock().unwrap().push(format!("{} {attempt} {fate} {}", event.entity, error.unwrap_or("-")));
    }
}

struct Panicking;

impl Observer for Panicking {
    fn handed_out(&self, _: &TitoEvent) {
        panic!("at hand-out");
    }

    fn handled(&self, _: &EndedRun<'_>) {
        panic!("at the end");
    }
}

#[fact]
pub async fn observers_see_each_outcome_and_their_panics_change_nothing(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, ENTITIES.map(job)).await;
    let notes = Notes::default();
    // Before and after the subscription makes no difference.
    let worker = Worker::builder(TitoQueue::new(db.clone()))
        .observe(Panicking)
        .subscribe_with("job", two_attempts(), as_asked)
        .observe(notes.clone())
        .build();
    let report = worker.drain().await.unwrap();
    assert_eq!((report.done, report.retried, report.rescheduled, report.dead), (2, 3, 1, 3));
    let notes = notes.0.lock().unwrap();
    let of = |entity: &str| -> Vec<String> {
        let of_entity = notes.iter().filter_map(|note| note.strip_prefix(entity)?.strip_prefix(' '));
        of_entity.map(ToString::to_string).collect()
    };
    assert_eq!(of("done"), ["out", "1 done -"]);
    assert_eq!(of("retried"), ["out", "1 retried not yet", "out", "2 done -"]);
    assert_eq!(of("rescheduled"), ["out", "1 rescheduled -"]);
    assert_eq!(of("dead"), ["out", "1 dead hopeless"]);
    assert_eq!(of("exhausted"), ["out", "1 retried still not", "out", "2 dead still not"]);
    let panicked = "the handler panicked: at the handler";
    assert_eq!(of("panicking"), ["out", &format!("1 retried {panicked}"), "out", &format!("2 dead {panicked}")]);
}

#[fact]
pub async fn observers_see_transactional_handlers_too(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, ["done", "dead"].map(job)).await;
    let kinds = Arc::new(Mutex::new(Vec::new()));
    struct Kinds(Arc<Mutex<Vec<Fate>>>);
    impl Observer for Kinds {
        fn handled(&self, handled: &EndedRun<'_>) {
            self.0.lock().unwrap().push(handled.fate);
        }
    }
    let worker = Worker::builder(TitoQueue::new(db.clone()))
        .subscribe_with("job", two_attempts(), |event: TitoEvent, _: Transaction| as_asked(event))
        .observe(Kinds(kinds.clone()))
        .build();
    worker.drain().await.unwrap();
    let kinds = kinds.lock().unwrap();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&Fate::Done) && kinds.contains(&Fate::Dead));
}

/// Publishes an event and fills its row up, so that there is no room for a failure in it.
async fn publish_full(db: &Database, event: Publish) {
    publish(db, [event]).await;
    let (key, mut value) = stored(db, "event:").await.pop().unwrap();
    assert_eq!(value.pop(), Some(b'}'));
    let padding = "x".repeat(db.limits().value_bytes - value.len() - 20);
    value.extend(format!(r#","padding":"{padding}"}}"#).into_bytes());
    put(db, key, value).await;
}

/// How handlers of each kind are subscribed to the topic `job`.
fn of_each_kind(db: &Database, options: Subscription) -> [WorkerBuilder; 5] {
    let new = || Worker::builder(TitoQueue::new(db.clone()));
    let each = |events: Vec<TitoEvent>| async move {
        let mut outcomes = Vec::new();
        for event in events {
            outcomes.push(as_asked(event).await?);
        }
        Ok::<_, TitoError>(outcomes)
    };
    let at_once = || options.clone().batch(10);
    [
        new().subscribe_with("job", options.clone(), as_asked),
        new().subscribe_with("job", at_once(), each),
        new().subscribe_with("job", options.clone(), |event: TitoEvent, _: Transaction| as_asked(event)),
        new().subscribe_with("job", at_once(), move |events: Vec<TitoEvent>, _: Transaction| each(events)),
        new().subscribe_with("job", options.clone(), |event: TitoEvent| async move {
            match as_asked(event).await {
                Err(_) => Ok(Outcome::RetryAfter(Duration::ZERO)),
                handled => handled,
            }
        }),
    ]
}

#[fact]
pub async fn observers_are_told_what_was_recorded(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    for builder in of_each_kind(&db, two_attempts()) {
        // It would be tried again, but with its failure it no longer fits.
        publish_full(&db, job("retried")).await;
        let notes = Notes::default();
        let report = builder.observe(notes.clone()).build().drain().await.unwrap();
        assert_eq!((report.dead, report.retried), (1, 0));
        assert_eq!(TitoQueue::new(db.clone()).purge_dead_letters("job").await.unwrap(), 1);
        let notes = notes.0.lock().unwrap();
        assert!(notes.last().unwrap().starts_with("retried 1 dead "), "{notes:?}");
        assert_eq!(notes.iter().filter(|note| note.contains("dead")).count(), 1);
        assert!(!notes.iter().any(|note| note.contains("1 retried")), "{notes:?}");
    }
}

#[fact]
pub async fn observers_are_told_of_an_event_that_was_cancelled_while_it_was_handled(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let gate = Gate::new();
    let (passed, notes) = (gate.clone(), Notes::default());
    let worker = Worker::builder(queue.clone())
        .subscribe("job", move |_: TitoEvent| {
            let gate = passed.clone();
            async move {
                gate.pass().await;
                Done::Ok(())
            }
        })
        .observe(notes.clone());
    let publisher = queue.clone();
    let event = db.transaction(|tx| async move { publisher.publish(job("a"), &tx).await }).await.unwrap();
    let running = Running::start(worker);
    gate.arrivals(1).await;
    assert!(db.transaction(|tx| async move { queue.cancel(&event, &tx).await }).await.unwrap());
    gate.open();
    assert_eq!(running.stop().await.elsewhere, 1);
    assert_eq!(*notes.0.lock().unwrap(), ["a out", "a 1 elsewhere -"]);
}

/// Does something when an event is handed out.
struct AtHandOut<F>(F);

impl<F: Fn() + Send + Sync + 'static> Observer for AtHandOut<F> {
    fn handed_out(&self, _: &TitoEvent) {
        (self.0)();
    }
}

#[fact]
pub async fn observers_are_told_that_a_failing_engine_has_recorded_nothing(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    let db = FaultEngine::new(db).database();
    // Transactional ones are run again.
    for builder in of_each_kind(&db, two_attempts()).into_iter().take(2) {
        publish(&db, [job("done")]).await;
        let (notes, faults) = (Notes::default(), db.faults().clone());
        let fail = AtHandOut(move || faults.at(Call::Commit).always().storage_error());
        assert!(builder.observe(notes.clone()).observe(fail).build().drain().await.is_err());
        db.faults().clear();
        assert_eq!(*notes.0.lock().unwrap(), ["done out", "done 1 unrecorded -"]);
        assert_eq!(stored(&db, "event:").await.len(), 1);
        TitoQueue::new(db.clone()).purge("job").await.unwrap();
    }
}

#[fact]
pub async fn a_worker_says_what_it_could_not_record_before_it_ended(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    publish(&db, ["done", "retried"].map(job)).await;
    let (notes, database) = (Notes::default(), db.clone());
    let close = AtHandOut(move || database.faults().close("the disk is gone"));
    let [builder, ..] = of_each_kind(&db, two_attempts());
    let ended = builder.observe(notes.clone()).observe(close).build().run(std::future::pending()).await.unwrap_err();
    let report = ended.report;
    assert_eq!((report.done, report.retried), (0, 0));
    let notes = notes.0.lock().unwrap();
    let unrecorded: Vec<_> = notes.iter().filter(|note| note.ends_with("1 unrecorded -")).collect();
    assert_eq!((unrecorded.len() as u64, notes.len() as u64), (report.unrecorded, 2 * report.unrecorded), "{notes:?}");
    assert!(report.unrecorded > 0);
}

#[fact]
pub async fn every_event_that_is_handed_out_is_told_of_once_more(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    for order in [Order::Relaxed, Order::Strict] {
        for builder in of_each_kind(&db, two_attempts().order(order)) {
            // Two of each, of which one may wait for the other.
            publish(&db, ENTITIES.map(job)).await;
            publish(&db, ENTITIES.map(job)).await;
            let notes = Notes::default();
            let report = builder.observe(notes.clone()).build().drain().await.unwrap();
            let notes = notes.0.lock().unwrap().clone();
            let (out, told): (Vec<_>, Vec<_>) = notes.iter().partition(|note| note.ends_with(" out"));
            assert_eq!(out.len(), told.len(), "{notes:?}");
            let of = |fate: &str| told.iter().filter(|note| note.split(' ').nth(2) == Some(fate)).count() as u64;
            assert_eq!((of("done"), of("retried")), (report.done, report.retried), "{notes:?}");
            assert_eq!((of("rescheduled"), of("dead")), (report.rescheduled, report.dead), "{notes:?}");
            assert_eq!((of("unrecorded"), of("elsewhere")), (0, 0), "{notes:?}");
            TitoQueue::new(db.clone()).purge("job").await.unwrap();
        }
    }
}
