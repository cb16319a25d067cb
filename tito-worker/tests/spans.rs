//! The spans of handlers. A process of its own: `tracing` remembers for the whole process whether anybody is interested
//! in a span, and what other tests do in other threads would have a say in that.
#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Timestamp;
use tito_core::Transaction;
use tito_core::database::prune_idempotency_markers;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_core::trace::TraceContext;
use tito_testkit::conformance::{self, Opener};
use tito_testkit::each_engine;
use tito_testkit::{Call, EngineSettings, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{Exhausted, GroupStart, Order, Payload, QueueError, RetryPolicy, Subscription, WorkerBuilder};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[test]
fn each_run_of_a_handler_has_a_span_with_its_event_and_trace() {
    on(each_engine::IN_MEMORY);
    on(each_engine::ON_DISK);
    #[cfg(feature = "tikv")]
    on(each_engine::ON_TIKV);
}

fn on(engine: Opener) {
    conformance::run_on_one_thread(async {
        let database = engine.open(EngineSettings::default().test_clock(&TestClock::new())).await.unwrap();
        runs_have_spans(database.database()).await;
    });
}

async fn runs_have_spans(db: Database) {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let request = TraceContext::new_root();
    let (queue, event) = (TitoQueue::new(db.clone()), Publish::new("job", "retried"));
    request.clone().scope(db.transaction(|tx| async move { queue.publish(event, &tx).await })).await.unwrap();
    let two_attempts = RetryPolicy::default().attempts(2).first_delay(Duration::ZERO);
    let worker = Worker::builder(TitoQueue::new(db))
        .subscribe_with("job", Subscription::default().retry(two_attempts), |event: TitoEvent| async move {
            if event.failed_attempts == 0 { Err(TitoError::application("not yet")) } else { Ok(()) }
        })
        .build();
    worker.drain().await.unwrap();
    let spans = spans.of("tito.handle");
    assert_eq!(spans.len(), 2);
    for (span, (attempt, outcome)) in spans.iter().zip([("1", "retried"), ("2", "done")]) {
        assert_eq!(span["topic"], "job");
        assert_eq!(span["entity"], "retried");
        assert_eq!(span["attempt"], attempt);
        assert_eq!(span["outcome"], outcome);
        assert_eq!(span["trace_id"], request.trace_id_text());
        assert!(span.contains_key("partition") && span.contains_key("event"));
        let has_failed = outcome == "retried";
        assert_eq!(span.get("error").map(String::as_str), has_failed.then_some("not yet"));
        assert_eq!(span.get("otel.status_code").map(String::as_str), has_failed.then_some("ERROR"));
    }
}

/// An error with a source.
#[derive(Debug)]
struct Refused(std::num::ParseIntError);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the bank refused")
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn refused() -> TitoError {
    TitoError::application(Refused("x".parse::<u8>().unwrap_err()))
}

/// A handler of each kind that always fails.
fn failing(db: &Database, settings: &Subscription) -> [WorkerBuilder; 3] {
    [0, 1, 2].map(|kind| {
        let (builder, settings) = (Worker::builder(TitoQueue::new(db.clone())), settings.clone());
        match kind {
            0 => builder.subscribe_with("job", settings, |_: TitoEvent| async { Err::<(), _>(refused()) }),
            1 => builder
                .subscribe_with("job", settings, |_: TitoEvent, _: Transaction| async { Err::<(), _>(refused()) }),
            _ => builder.subscribe_with("job", settings, |_: Vec<TitoEvent>| async { Err::<(), _>(refused()) }),
        }
    })
}

async fn with_a_clock_that_stands_still() -> Database {
    let settings = EngineSettings::default().test_clock(&TestClock::new());
    each_engine::IN_MEMORY.open(settings).await.unwrap().database()
}

async fn publish(db: &Database, entities: impl IntoIterator<Item = String> + Send) {
    let (queue, tx) = (TitoQueue::new(db.clone()), db.begin().await.unwrap());
    for entity in entities {
        queue.publish(Publish::new("job", entity), &tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[test]
fn each_failed_attempt_and_each_event_that_is_given_up_is_logged() {
    conformance::run_on_one_thread(async {
        let two_attempts = RetryPolicy::default().attempts(2).first_delay(Duration::ZERO);
        let settings = Subscription::default().retry(two_attempts);
        for exhausted in [Exhausted::DeadLetter, Exhausted::Discard] {
            for kind in 0..3 {
                let db = with_a_clock_that_stands_still().await;
                publish(&db, ["user:ada".to_string()]).await;
                let spans = Spans::default();
                let guard = tracing::subscriber::set_default(spans.clone());
                let worker = failing(&db, &settings.clone().exhausted(exhausted))[kind].clone().build();
                worker.drain().await.unwrap();
                drop(guard);
                let (attempts, dead_lettered) = (spans.logged(Level::WARN), spans.logged(Level::ERROR));
                assert_eq!((attempts.len(), dead_lettered.len()), (1, 1), "{kind}: {attempts:?} {dead_lettered:?}");
                for (line, attempt) in [(&attempts[0], "1"), (&dead_lettered[0], "2")] {
                    assert_eq!(line["queue"], "job");
                    assert_eq!(line["entity"], "user:ada");
                    assert_eq!((line["attempt"].as_str(), line["most_attempts"].as_str()), (attempt, "2"));
                    assert_eq!(line["error"], "the bank refused: invalid digit found in string");
                    assert!(line.contains_key("event"));
                }
                assert!(attempts[0]["next_attempt"].starts_with("20"), "a time: {:?}", attempts[0]);
                let is_kept = exhausted == Exhausted::DeadLetter;
                assert_eq!(dead_lettered[0]["message"].contains("dead letters"), is_kept, "{:?}", dead_lettered[0]);
            }
        }
    });
}

#[test]
fn a_storm_of_failures_is_counted() {
    conformance::run_on_one_thread(async {
        let db = with_a_clock_that_stands_still().await;
        publish(&db, (0..100).map(|number| format!("user:{number}"))).await;
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
        let [plain, ..] = failing(&db, &once);
        assert_eq!(plain.build().drain().await.unwrap().dead, 100);
        let logged = spans.logged(Level::ERROR);
        let one_by_one = logged.iter().filter(|line| line.contains_key("entity")).count();
        assert_eq!((one_by_one, logged.len()), (20, 21));
        assert_eq!(logged[20]["failures"], "80");
    });
}

#[test]
fn a_storm_of_what_is_no_event_is_counted() {
    conformance::run_on_one_thread(async {
        let db = with_a_clock_that_stands_still().await;
        TitoQueue::new(db.clone()).create_topic("job", 1).await.unwrap();
        db.transaction(|tx| async move {
            for number in 0..100 {
                tx.system_keys().put(format!("event:job:0000:0000000001:{number}").into_bytes(), vec![b'x']).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        let worker =
            Worker::builder(TitoQueue::new(db)).subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
        assert_eq!(worker.build().drain().await.unwrap().malformed, 100);
        let logged = spans.logged(Level::ERROR);
        let one_by_one = logged.iter().filter(|line| line.contains_key("key")).count();
        assert_eq!((one_by_one, logged.len()), (20, 21), "{logged:?}");
        assert_eq!((logged[20]["queue"].as_str(), logged[20]["failures"].as_str()), ("job", "80"));
    });
}

#[test]
fn a_storm_of_failures_of_the_engine_is_counted() {
    conformance::run_on_one_thread(async {
        let db = FaultEngine::new(with_a_clock_that_stands_still().await).database();
        TitoQueue::new(db.clone()).create_topic("job", 64).await.unwrap();
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        db.faults().at(Call::Scan).key_prefix("event:job:").with_probability(1.0).storage_error();
        let worker = Worker::builder(TitoQueue::new(db.clone()));
        let worker = worker.subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) }).build();
        let injected = db.faults().injected();
        let has_failed = async {
            while db.faults().injected() - injected < 200 {
                tokio::task::yield_now().await;
            }
        };
        worker.run(has_failed).await.unwrap();
        let failed = |line: &&Fields| line.get("queue").is_some_and(|queue| queue == "job");
        let logged: Vec<_> = spans.logged(Level::WARN).iter().filter(failed).cloned().collect();
        let one_by_one = logged.iter().filter(|line| line.contains_key("partition")).count();
        assert_eq!((one_by_one, logged.len()), (20, 21), "{logged:?}");
        let left_out: u64 = logged[20]["failures"].parse().unwrap();
        assert!(left_out >= 100, "{left_out}");
    });
}

#[test]
fn a_row_that_is_passed_over_is_logged_with_its_key_once_in_ten_minutes() {
    conformance::run_on_one_thread(async {
        let clock = TestClock::new();
        let database = each_engine::IN_MEMORY.open(EngineSettings::default().test_clock(&clock)).await.unwrap();
        let (db, queue) = (database.database(), TitoQueue::new(database.database()));
        queue.create_topic("job", 1).await.unwrap();
        let damaged = [
            "topic:bad".to_string(),
            "schedule:bad".to_string(),
            "lease:job:0000".to_string(),
            format!("member:fleet:{}", uuid::Uuid::from_u128(17)),
            "dedup:job:bad".to_string(),
            "txn:bad".to_string(),
        ];
        for key in damaged.clone() {
            db.transaction(|tx| async move { tx.system_keys().put(key.into(), b"?".to_vec()).await }).await.unwrap();
        }
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        for look in 1..=2 {
            for _ in 0..3 {
                assert_eq!(queue.topics(9, None).await.unwrap().len(), 1);
                assert_eq!(queue.schedules().await.unwrap(), []);
                assert_eq!(queue.leases("job").await.unwrap(), []);
                assert_eq!(queue.members("fleet").await.unwrap(), []);
                queue.sweep_once("job").await.unwrap();
                queue.finish_changes().await.unwrap();
                prune_idempotency_markers(&db, Timestamp::ZERO).await.unwrap();
            }
            let logged = spans.logged(Level::WARN);
            assert_eq!(logged.len(), look * damaged.len(), "{logged:?}");
            for key in &damaged {
                assert!(logged.iter().any(|line| line["error"].contains(&format!("key {key} is not"))), "{key}");
            }
            clock.advance(Duration::from_secs(601));
        }
    });
}

#[test]
fn a_worker_says_what_it_serves_and_what_it_did() {
    conformance::run_on_one_thread(async {
        let db = tito_testkit::in_memory().await.unwrap();
        publish(&db, ["user:ada".to_string()]).await;
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        let worker = Worker::builder(TitoQueue::new(db.clone()))
            .subscribe("job", move |_: TitoEvent| {
                let tell = tell.clone();
                async move {
                    let _ = tell.send(()).await;
                    Ok::<_, TitoError>(())
                }
            })
            .build();
        worker.run(async move { told.recv().await.unwrap() }).await.unwrap();
        let [begins, .., ends] = &spans.logged(Level::INFO)[..] else { panic!("nothing is said") };
        assert!(begins["message"].contains("begins") && begins["queues"].contains("job"), "{begins:?}");
        assert!(ends["message"].contains("ended") && ends["done"] == "1", "{ends:?}");

        db.close().await;
        let ended = worker.run(std::future::pending()).await.unwrap_err();
        assert!(matches!(ended.source, QueueError::Engine(TitoError::EngineClosed { .. })));
        assert_eq!(spans.logged(Level::ERROR).len(), 1);
    });
}

#[test]
fn a_worker_says_that_its_topic_is_not_there_and_which_may_be_meant() {
    conformance::run_on_one_thread(async {
        let db = tito_testkit::in_memory().await.unwrap();
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        let queue = TitoQueue::new(db);
        queue.create_topic("order_mail", 1).await.unwrap();
        let worker = Worker::builder(queue)
            .subscribe("order_mial", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .subscribe("order_mail", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .build();
        worker.drain().await.unwrap();
        let both_have_looked = async {
            while spans.logged(Level::WARN).len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        worker.run(both_have_looked).await.unwrap();
        for warning in spans.logged(Level::WARN) {
            assert_eq!(warning["queue"], "order_mial");
            assert!(warning["unknown"].contains("the nearest is \"order_mail\""), "{warning:?}");
        }
    });
}

#[test]
fn a_worker_says_that_its_group_is_not_there() {
    conformance::run_on_one_thread(async {
        let db = tito_testkit::in_memory().await.unwrap();
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        let queue = TitoQueue::new(db);
        queue.add_group("job", "audit", GroupStart::Now).await.unwrap();
        let worker = Worker::builder(queue)
            .subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .subscribe("job@audit", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .subscribe("job@adit", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .build();
        worker.drain().await.unwrap();
        let all_have_started = async {
            while spans.logged(Level::WARN).len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        worker.run(all_have_started).await.unwrap();
        for warning in spans.logged(Level::WARN) {
            assert_eq!(warning["queue"], "job@adit");
            assert!(warning["message"].contains("no such group"), "{warning:?}");
        }
    });
}

/// One row in ten thousand that nobody deletes is noticed by nobody.
#[test]
fn a_queue_with_more_than_ten_thousand_dead_letters_is_warned_of() {
    conformance::run_on_one_thread(async {
        let db = tito_testkit::in_memory().await.unwrap();
        let queue = TitoQueue::new(db.clone());
        queue.create_topic("job", 2).await.unwrap();
        let bury = async |numbers: std::ops::Range<u128>| {
            let tx = db.begin().await.unwrap();
            for number in numbers {
                let key = tito_worker::keys::dead_event("job", 1, 17, uuid::Uuid::from_u128(number));
                tx.system_keys().put(key, b"{}".to_vec()).await.unwrap();
            }
            tx.commit().await.unwrap();
        };
        for numbers in [0..5_000, 5_000..10_000] {
            bury(numbers).await;
        }
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        queue.sweep_once("job").await.unwrap();
        assert!(spans.logged(Level::WARN).is_empty(), "they are no more than many");
        bury(10_000..10_001).await;
        queue.sweep_once("job").await.unwrap();
        let [warning] = &spans.logged(Level::WARN)[..] else { panic!("{:?}", spans.logged(Level::WARN)) };
        assert!(warning["message"].contains("many dead letters"), "{warning:?}");
        assert_eq!((warning["queue"].as_str(), warning["more_than"].as_str()), ("job", "10000"));
        // Who has said how many are kept has thought of it.
        queue.set_dead_letter_retention("job", None, Some(50_000)).await.unwrap();
        queue.sweep_once("job").await.unwrap();
        assert_eq!(spans.logged(Level::WARN).len(), 1);
        assert_eq!(queue.stats_up_to("job", 20_000).await.unwrap().total.dead, 10_001);
    });
}

#[derive(serde::Serialize, serde::Deserialize, TitoJob)]
struct Welcome {}

#[test]
fn a_worker_says_which_event_of_a_later_version_blocks_its_entity() {
    conformance::run_on_one_thread(async {
        let clock = TestClock::new();
        let database = each_engine::IN_MEMORY.open(EngineSettings::default().test_clock(&clock)).await.unwrap();
        let db = database.database();
        let events =
            [Publish::job("ada", &Welcome {}).unwrap().header("tito-version", "2"), Publish::new("welcome", "ada")];
        let queue = TitoQueue::new(db.clone());
        db.transaction(|tx| async move {
            for event in events {
                queue.publish(event, &tx).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        let strict = Subscription::default().order(Order::Strict);
        let mut harness =
            Harness::new(&db, &clock)
                .subscribe_with(Welcome::TOPIC, strict, |_: Payload<Welcome>| async { Ok::<_, TitoError>(()) });
        harness.drain().await.unwrap();
        let [warning] = &spans.logged(Level::WARN)[..] else { panic!("{:?}", spans.logged(Level::WARN)) };
        assert!(warning["message"].contains("later release") && warning["entity"] == "ada", "{warning:?}");
        assert!(spans.logged(Level::ERROR).is_empty());
        harness.advance(Duration::from_secs(3_600)).await.unwrap();
        let [error] = &spans.logged(Level::ERROR)[..] else { panic!("{:?}", spans.logged(Level::ERROR)) };
        assert!(error["entity"] == "ada" && error["overdue_seconds"] == "3600", "{error:?}");
        assert_eq!(harness.report().done, 0, "the later event of the entity waits");
    });
}

/// The fields of a span, as text.
type Fields = BTreeMap<String, String>;

/// A subscriber that remembers the spans in the order in which they were made; the id of a span is its place, from 1.
#[derive(Clone, Default)]
struct Spans {
    spans: Arc<Mutex<Vec<(&'static str, Fields)>>>,
    logged: Arc<Mutex<Vec<(Level, Fields)>>>,
}

impl Spans {
    /// The fields of the spans with a name.
    fn of(&self, name: &str) -> Vec<Fields> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|(of, _)| *of == name).map(|(_, fields)| fields.clone()).collect()
    }

    /// What was logged at a level.
    fn logged(&self, level: Level) -> Vec<Fields> {
        let logged = self.logged.lock().unwrap();
        logged.iter().filter(|(of, _)| *of == level).map(|(_, fields)| fields.clone()).collect()
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_string(), value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_string(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        span.record(&mut Reader(&mut fields));
        let mut spans = self.spans.lock().unwrap();
        spans.push((span.metadata().name(), fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.spans.lock().unwrap();
        values.record(&mut Reader(&mut spans[span.into_u64() as usize - 1].1));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        self.logged.lock().unwrap().push((*event.metadata().level(), fields));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
