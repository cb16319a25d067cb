//! Events that are handled several together, in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::WorkerBuilder;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Order, Outcome, RetryPolicy, Subscription, WorkerReport};

use crate::strict::{by_entity, log, note};
use crate::support::*;

/// What handlers see, for the test to look at.
type Seen<T> = Arc<Mutex<Vec<T>>>;

fn builder(db: &Database) -> WorkerBuilder {
    Worker::builder(TitoQueue::new(db.clone())).schedules(false)
}

fn batches_of(events: usize) -> Subscription {
    let retry = RetryPolicy::default().attempts(1_000).first_delay(Duration::from_secs(10)).jitter(0.0);
    Subscription::default().batch(events).retry(retry)
}

async fn effect(tx: &Transaction, event: &TitoEvent) -> Result<(), TitoError> {
    count(tx, format!("effect:{}", event.entity)).await
}

#[fact]
pub async fn a_batch_of_events_is_handled_in_one_transaction(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    publish(&db, (0..60).map(job)).await;
    let transactions = Seen::<u64>::default();
    let worker = builder(&db).subscribe_with("job", batches_of(20), {
        let transactions = transactions.clone();
        move |event: TitoEvent, tx: Transaction| {
            transactions.lock().unwrap().push(tx.start_timestamp().raw());
            async move { effect(&tx, &event).await }
        }
    });
    db.faults().reset_counts();
    assert_eq!(worker.build().drain().await.unwrap().done, 60);
    let transactions = std::mem::take(&mut *transactions.lock().unwrap());
    assert_eq!(transactions.len(), 60, "each event is handed out once");
    // Three if they are all read by then; the first page is small.
    let count = BTreeSet::from_iter(transactions).len();
    assert!((3..=6).contains(&count), "{count} transactions");
    // Reading the topic and pages takes a few more.
    let commits = db.faults().count(Call::Commit);
    assert!(commits < 20, "{commits} commits");
    assert_eq!(counts(&db, "effect:").await, [1; 60]);
}

#[fact]
pub async fn what_is_no_event_leaves_the_rest_of_its_batch_alone(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..10).map(job)).await;
    let id = uuid::Uuid::from_u128(0x019b_76da_a800_7000_8000_0000_0000_0001);
    let key = keys::event("job", 0, 1_700_000_000, id);
    // Its entity can be read, and has another event.
    put(&db, key, format!(r#"{{"id":"{id}","entity":"job:3"}}"#).into_bytes()).await;
    let worker = builder(&db).subscribe_with(
        "job",
        batches_of(20).order(Order::Strict),
        |event: TitoEvent, tx: Transaction| async move { effect(&tx, &event).await },
    );
    let report = worker.build().drain().await.unwrap();
    assert_eq!((report.done, report.malformed), (10, 1));
    assert_eq!(counts(&db, "effect:").await, [1; 10]);
    assert_eq!(TitoQueue::new(db.clone()).dead_letters("job", 10, None).await.unwrap().len(), 1);
}

/// How the event `bad` of a batch fails, at its first attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    Error,
    Panic,
    Timeout,
}

#[fact]
pub async fn an_event_of_a_batch_fails_alone(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    for (round, failure) in [Failure::Error, Failure::Panic, Failure::Timeout].into_iter().enumerate() {
        publish(&db, (0..10).map(|n| job(format!("{round}-{n}")).action(if n == 4 { "bad" } else { "good" }))).await;
        let gate = Gate::new();
        let attempts = Seen::<u32>::default();
        let handler = {
            let (gate, attempts) = (gate.clone(), attempts.clone());
            move |event: TitoEvent, tx: Transaction| {
                let (gate, attempts) = (gate.clone(), attempts.clone());
                async move {
                    effect(&tx, &event).await?;
                    if event.action == "bad" {
                        attempts.lock().unwrap().push(event.failed_attempts);
                        match failure {
                            _ if event.failed_attempts > 0 => {}
                            Failure::Error => return Err(error("no")),
                            Failure::Panic => panic!("no"),
                            Failure::Timeout => gate.pass().await,
                        }
                    }
                    Done::Ok(())
                }
            }
        };
        let options = batches_of(10).timeout(Duration::from_secs(1));
        let worker = builder(&db).subscribe_with("job", options, handler).build();
        let draining = tokio::spawn({
            let worker = worker.clone();
            async move { worker.drain().await }
        });
        if failure == Failure::Timeout {
            // Once in the batch, and once by itself.
            for attempt in 1..=2 {
                gate.arrivals(attempt).await;
                clock.advance(Duration::from_secs(1));
            }
        }
        let report = draining.await.unwrap().unwrap();
        assert_eq!((report.done, report.retried, report.dead), (9, 1, 0), "{failure:?}: {report:?}");
        assert_eq!(counts(&db, &format!("effect:{round}-")).await, [1; 9], "{failure:?}");
        let left: Vec<_> = places(&db, "event:job:").await.into_values().collect();
        assert_eq!((left.len(), left[0].1.failed_attempts, left[0].1.failures.len()), (1, 1, 1), "{failure:?}");
        clock.advance(Duration::from_secs(10));
        assert_eq!(worker.drain().await.unwrap().done, 1);
        assert_eq!(counts(&db, &format!("effect:{round}-")).await, [1; 10], "{failure:?}");
        assert_eq!(*attempts.lock().unwrap(), [0, 0, 1], "{failure:?}");
    }
}

#[fact]
pub async fn a_batch_that_meets_a_conflict_is_run_again(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, (0..8).map(job)).await;
    let runs = Seen::<String>::default();
    let handler = {
        let (runs, other) = (runs.clone(), db.clone());
        move |event: TitoEvent, tx: Transaction| {
            let (runs, other) = (runs.clone(), other.clone());
            async move {
                let is_first = !runs.lock().unwrap().contains(&event.entity);
                runs.lock().unwrap().push(event.entity.clone());
                effect(&tx, &event).await?;
                if event.entity == "5" && is_first {
                    other.transaction(|tx| async move { effect(&tx, &event).await }).await?;
                }
                Done::Ok(())
            }
        }
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", batches_of(8), handler);
    harness.drain().await.unwrap();
    assert_eq!((harness.report().done, harness.report().retried), (8, 0));
    assert_eq!(counts(&db, "effect:").await, [1, 1, 1, 1, 1, 2, 1, 1]);
    assert_eq!(runs.lock().unwrap().len(), 16);
}

/// A worker with a batch handler of either form. It tells the sizes of its batches, and `outcomes` decides.
fn batch_worker(
    db: &Database,
    is_transactional: bool,
    options: Subscription,
    sizes: &Seen<usize>,
    outcomes: impl Fn(&[TitoEvent]) -> Vec<Outcome> + Clone + Send + Sync + 'static,
) -> Worker {
    let (sizes, db) = (sizes.clone(), db.clone());
    let builder = builder(&db);
    if is_transactional {
        let handler = move |events: Vec<TitoEvent>, tx: Transaction| {
            sizes.lock().unwrap().push(events.len());
            let outcomes = outcomes(&events);
            async move {
                for (event, _) in events.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Outcome::Done) {
                    note(&tx, event).await?;
                }
                Ok::<_, TitoError>(outcomes)
            }
        };
        return builder.subscribe_with("job", options, handler).build();
    }
    let handler = move |events: Vec<TitoEvent>| {
        sizes.lock().unwrap().push(events.len());
        let (outcomes, db) = (outcomes(&events), db.clone());
        async move {
            for (event, _) in events.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Outcome::Done) {
                db.transaction(|tx| async move { note(&tx, event).await }).await?;
            }
            Ok::<_, TitoError>(outcomes)
        }
    };
    builder.subscribe_with("job", options, handler).build()
}

#[fact]
pub async fn batch_handlers_get_events_together_and_choose_an_outcome_for_each(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    for is_transactional in [false, true] {
        let actions = ["done", "retry", "later", "dead", "done", "done"];
        publish(&db, actions.iter().enumerate().map(|(n, action)| job(n).action(*action))).await;
        let sizes = Seen::<usize>::default();
        let minute = (tito_core::clock::Clock::now_millis(&clock) / 1000) as i64 + 60;
        let worker = batch_worker(&db, is_transactional, batches_of(10), &sizes, move |events| {
            let outcome = |event: &TitoEvent| match event.action.as_str() {
                "retry" if event.failed_attempts == 0 => Outcome::RetryAfter(Duration::from_secs(5)),
                "later" if event.timestamp < minute => Outcome::RescheduleTo(at_second(minute)),
                "dead" => Outcome::DeadLetter("no".to_string()),
                _ => Outcome::Done,
            };
            events.iter().map(outcome).collect()
        });
        let report = worker.drain().await.unwrap();
        assert_eq!((report.done, report.retried, report.rescheduled, report.dead), (3, 1, 1, 1), "{report:?}");
        clock.advance(Duration::from_secs(5));
        assert_eq!(worker.drain().await.unwrap().done, 1);
        clock.advance(Duration::from_secs(54));
        assert_eq!(worker.drain().await.unwrap(), WorkerReport::default());
        clock.advance(Duration::from_secs(1));
        assert_eq!(worker.drain().await.unwrap().done, 1);
        assert_eq!(*sizes.lock().unwrap(), [6, 1, 1]);
        assert_eq!(TitoQueue::new(db.clone()).purge_dead_letters("job").await.unwrap(), 1);
    }
}

#[fact]
pub async fn a_wrong_number_of_outcomes_is_a_failure_that_says_so(db: Database, clock: TestClock) {
    clock.must_stand_still();
    with_one_partition(&db).await;
    for is_transactional in [false, true] {
        publish(&db, (0..3).map(job)).await;
        let options = batches_of(10).retry(RetryPolicy::default().attempts(1));
        let sizes = Seen::<usize>::default();
        let worker = batch_worker(&db, is_transactional, options, &sizes, |_| vec![Outcome::Done; 2]);
        assert_eq!(worker.drain().await.unwrap().dead, 3);
        assert_eq!(*sizes.lock().unwrap(), [3, 1, 1, 1]);
        for (_, event) in places(&db, "dead:job:").await.into_values() {
            assert!(event.failures[0].error.contains("returned 2 outcomes"), "{:?}", event.failures);
        }
        TitoQueue::new(db.clone()).purge_dead_letters("job").await.unwrap();
    }
}

/// How the handler puts off the event `2` of the entity `a`, once.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Postponed {
    Fails,
    RetriesAfter,
    Reschedules,
}

#[fact]
pub async fn a_batch_keeps_the_order_of_its_entities_whatever_puts_an_event_off(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let options = || batches_of(10).order(Order::Strict);
    for postpone in [Postponed::Fails, Postponed::RetriesAfter, Postponed::Reschedules] {
        for form in ["one", "batch", "plain batch"] {
            for action in ["1", "2", "3", "4"] {
                publish(&db, ["a", "b"].map(|entity| job(entity).action(action))).await;
            }
            let in_ten = (tito_core::clock::Clock::now_millis(&clock) / 1000) as i64 + 10;
            let outcome = move |event: &TitoEvent| match postpone {
                _ if event.entity != "a" || event.action != "2" || event.not_before.is_some() => Ok(Outcome::Done),
                Postponed::Fails => Err(error("no")),
                Postponed::RetriesAfter => Ok(Outcome::RetryAfter(Duration::from_secs(10))),
                Postponed::Reschedules => Ok(Outcome::RescheduleTo(at_second(in_ten))),
            };
            let worker = match form {
                "one" => {
                    builder(&db).subscribe_with("job", options(), move |event: TitoEvent, tx: Transaction| async move {
                        let outcome = outcome(&event)?;
                        if outcome == Outcome::Done {
                            note(&tx, &event).await?;
                        }
                        Ok::<_, TitoError>(outcome)
                    })
                }
                "batch" => builder(&db).subscribe_with(
                    "job",
                    options(),
                    move |events: Vec<TitoEvent>, tx: Transaction| async move {
                        let outcomes = events.iter().map(outcome).collect::<Result<Vec<_>, _>>()?;
                        for (event, _) in events.iter().zip(&outcomes).filter(|(_, one)| **one == Outcome::Done) {
                            note(&tx, event).await?;
                        }
                        Ok::<_, TitoError>(outcomes)
                    },
                ),
                _ => {
                    let db = db.clone();
                    builder(&db).subscribe_with("job", options(), move |events: Vec<TitoEvent>| {
                        let db = db.clone();
                        async move {
                            let outcomes = events.iter().map(outcome).collect::<Result<Vec<_>, _>>()?;
                            let done = events.iter().zip(&outcomes).filter(|(_, one)| **one == Outcome::Done);
                            // Its effects do not go with the acknowledgement; of a batch that is handled again there
                            // are two.
                            for (event, _) in done {
                                let key = format!("seen:{}:{}", event.entity, event.action);
                                put(&db, key, event.action.clone()).await;
                            }
                            Ok::<_, TitoError>(outcomes)
                        }
                    })
                }
            };
            let worker = worker.build();
            let report = worker.drain().await.unwrap();
            let what = format!("{postpone:?} of {form}");
            let postponed = report.retried + report.rescheduled;
            assert_eq!((report.done, postponed), (5, 1), "{what}: {report:?}");
            let waiting = places(&db, "event:job:").await.into_values().map(|(_, event)| event.entity + &event.action);
            assert_eq!(waiting.collect::<BTreeSet<_>>(), ["a2", "a3", "a4"].map(String::from).into(), "{what}");
            clock.advance(Duration::from_secs(10));
            assert_eq!(worker.drain().await.unwrap().done, 3, "{what}");
            if form != "plain batch" {
                let all = ["1", "2", "3", "4"].map(String::from).to_vec();
                let expected = BTreeMap::from([("a".to_string(), all.clone()), ("b".to_string(), all)]);
                assert_eq!(by_entity(log(&db).await), expected, "{what}");
            }
            for (key, _) in stored(&db, "log").await {
                db.transaction(|tx| {
                    let key = key.clone();
                    async move { tx.system_keys().delete(key).await }
                })
                .await
                .unwrap();
            }
        }
    }
}

#[fact]
pub async fn two_workers_of_one_topic_commit_the_effects_of_batches_once(db: Database, _: TestClock) {
    TitoQueue::new(db.clone()).create_topic("job", 2).await.unwrap();
    for round in 0..5 {
        publish(&db, (0..60).map(|n| job(n % 7).action(format!("{:04}", round * 60 + n)))).await;
        let worker = |events| {
            builder(&db)
                .subscribe_with("job", batches_of(events), |event: TitoEvent, tx: Transaction| async move {
                    count(&tx, format!("effect:{}", event.action)).await
                })
                .build()
        };
        let (first, second) = (worker(9), worker(4));
        let (first, second) = futures::join!(first.drain(), second.drain());
        assert_eq!(first.unwrap().done + second.unwrap().done, 60);
    }
    assert_eq!(counts(&db, "effect:").await, [1; 300]);
}

#[fact]
pub async fn effects_of_batches_happen_once_while_every_call_may_fail(db: Database, clock: TestClock) {
    let seed = tito_testkit::seed();
    let db = FaultEngine::seeded(db, seed).database();
    for topic in ["ones", "batches"] {
        TitoQueue::new(db.clone()).create_topic(topic, 2).await.unwrap();
    }
    for call in [Call::Begin, Call::Get, Call::BatchGet, Call::Scan, Call::Put, Call::Delete, Call::Commit] {
        db.faults().at(call).with_probability(0.005).storage_error();
    }
    for call in [Call::Get, Call::Put, Call::Delete, Call::Commit] {
        db.faults().at(call).with_probability(0.005).conflict();
    }
    db.faults().at(Call::Commit).with_probability(0.02).unknown_after_effect();
    db.faults().at(Call::Commit).with_probability(0.02).unknown_without_effect();
    let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    let fails = move || random.lock().unwrap().u8(0..20) == 0;
    let once = |topic: &'static str| move |event: &TitoEvent| format!("effect:{topic}:{}", event.action);
    let options = batches_of(7).retry(
        RetryPolicy::default()
            .attempts(1_000)
            .first_delay(Duration::from_secs(1))
            .longest_delay(Duration::from_secs(2)),
    );
    let running = Running::start(
        builder(&db)
            .subscribe_with("ones", options.clone(), {
                let fails = fails.clone();
                move |event: TitoEvent, tx: Transaction| {
                    let fails = fails();
                    async move {
                        count(&tx, once("ones")(&event)).await?;
                        if fails { Err(error("by chance")) } else { Ok(()) }
                    }
                }
            })
            .subscribe_with("batches", options, {
                move |events: Vec<TitoEvent>, tx: Transaction| {
                    let fails = fails();
                    async move {
                        for event in &events {
                            count(&tx, once("batches")(event)).await?;
                        }
                        if fails { Err(error("by chance")) } else { Ok(()) }
                    }
                }
            }),
    );
    let queue = TitoQueue::new(db.clone());
    for step in 0..40 {
        for topic in ["ones", "batches"] {
            let queue = queue.clone();
            // One that fails is not published, or is all the same; what is stored decides.
            let publishing = db.transaction(|tx| async move {
                for n in 0..5 {
                    let name = format!("{step:02}-{n}");
                    queue.publish(Publish::new(topic, (step % 3).to_string()).action(name.clone()), &tx).await?;
                    tx.put(format!("published:{topic}:{name}").into_bytes(), b"1".to_vec()).await?;
                }
                Ok(())
            });
            let _ = publishing.await;
        }
        clock.advance(Duration::from_millis(100));
    }
    let inner = db.without_faults().clone();
    while !stored(&inner, "event:").await.is_empty() {
        clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    db.faults().clear();
    running.stop().await;
    assert!(db.faults().injected() > 10, "{} faults", db.faults().injected());
    for topic in ["ones", "batches"] {
        let published = stored(&inner, &format!("published:{topic}:")).await.len();
        assert_eq!(counts(&inner, &format!("effect:{topic}:")).await, vec![1; published], "{topic}");
    }
}
