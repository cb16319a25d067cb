//! What an operator begins that takes long.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tito_core::BoxError;
use tito_core::clock::Clock;
use tito_core::event::{Rate, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{
    EventFilter, NamedStep, Operation, OperationState, OperationTask, Operator, QueueError, RetryPolicy, Stepped,
    Subscription,
};
use uuid::Uuid;

use crate::support::*;

fn ada() -> Operator {
    Operator::new("ada").why("the relay is back")
}

fn redrive(letters: EventFilter) -> OperationTask {
    OperationTask::Redrive { queue: "job".to_string(), letters, in_order: false }
}

fn entity(name: &str) -> EventFilter {
    EventFilter { entity: Some(name.to_string()), ..EventFilter::default() }
}

async fn start(db: &Database, task: OperationTask) -> Uuid {
    TitoQueue::new(db.clone()).operations().start(Operation::new(task, &ada())).await.unwrap()
}

async fn run(db: &Database, id: Uuid) -> tito_worker::OperationInfo {
    TitoQueue::new(db.clone()).operations().run(id).await.unwrap()
}

async fn revision(db: &Database) -> u64 {
    Topic::find(db, "job").await.unwrap().unwrap().revision
}

fn second(clock: &TestClock) -> i64 {
    (clock.now_millis() / 1_000) as i64
}

/// Events that failed for good, with an error each.
async fn dead(db: &Database, events: impl IntoIterator<Item = Publish>, error: &'static str) {
    publish(db, events).await;
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let fails = move |_: TitoEvent| async move { Err::<(), _>(crate::support::error(error)) };
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", once, fails).build();
    worker.drain().await.unwrap();
    assert!(stored(db, "event:").await.is_empty());
}

/// Events that were done and are kept.
async fn done(db: &Database, events: impl IntoIterator<Item = Publish>) {
    let queue = TitoQueue::new(db.clone());
    queue.set_history("job", Some(Duration::from_secs(86_400))).await.unwrap();
    publish(db, events).await;
    let worker = Worker::builder(queue).subscribe("job", |_: TitoEvent| async { Done::Ok(()) }).build();
    worker.drain().await.unwrap();
}

#[fact]
pub async fn dead_letters_are_made_due_five_a_second_and_no_partition_is_read_again(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    dead(&db, (0..40).map(job), "no connection").await;
    let before = revision(&db).await;
    let operation = Operation::new(redrive(EventFilter::default()), &ada()).rate(Rate::per_second(5));
    let began = clock.now_millis();
    let id = queue.operations().start(operation).await.unwrap();
    let info = turning(&clock, queue.operations().run(id)).await.unwrap();
    assert_eq!((info.state, info.done, info.searched, info.at_least), (OperationState::Done, 40, 40, 40));
    assert_eq!((info.who.as_str(), info.why.as_str()), ("ada", "the relay is back"));
    let mut due: Vec<_> = places(&db, "event:job:").await.into_values().map(|(place, _)| place.seconds).collect();
    due.sort_unstable();
    for from in due.iter() {
        let within = due.iter().filter(|second| (*from..from + 2).contains(*second)).count();
        assert!(within <= 10 + 1, "{within} within two seconds");
    }
    assert!(due[39] - due[0] >= 7, "{due:?}");
    // Some eight seconds are made due at once, so that it can be stopped.
    assert!(clock.now_millis() - began < 10_000);
    assert_eq!(revision(&db).await, before, "workers go on where they are");
}

/// What the operation is measured against.
#[fact]
pub async fn redriving_letter_by_letter_makes_workers_read_again_each_time_an_operation_never(
    db: Database,
    _clock: TestClock,
) {
    let queue = TitoQueue::new(db.clone());
    dead(&db, (0..30).map(job), "no").await;
    let before = revision(&db).await;
    for letter in queue.dead_letters("job", 15, None).await.unwrap() {
        queue.redrive_letter("job", &letter.key).await.unwrap();
    }
    assert_eq!(revision(&db).await - before, 15);
    let before = revision(&db).await;
    let id = start(&db, redrive(EventFilter::default())).await;
    assert_eq!(run(&db, id).await.done, 15);
    assert_eq!(revision(&db).await, before);
}

/// Whoever reads a partition from its beginning asks for its low watermark first.
#[fact]
pub async fn a_partition_is_read_again_for_each_letter_by_hand_and_never_for_an_operation(
    db: Database,
    clock: TestClock,
) {
    if !db.is_only_writer() {
        return;
    }
    clock.must_stand_still();
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    with_one_partition(&db).await;
    dead(&db, (0..15).map(|name| job(name).action("operation")).chain((15..30).map(job)), "no").await;
    let (builder, mut told) = telling(&db);
    let worker = Running::start(builder);
    publish(&db, [job("first")]).await;
    told.recv().await.unwrap();
    db.faults().at(Call::Get).key_prefix("checkpoint:").always().delay(Duration::ZERO);
    let letters = EventFilter { action: Some("operation".to_string()), ..EventFilter::default() };
    queue.operations().start(Operation::new(redrive(letters), &ada())).await.unwrap();
    for _ in 0..15 {
        told.recv().await.unwrap();
    }
    assert_eq!(db.faults().injected(), 0);
    for (nth, letter) in (1..).zip(queue.dead_letters("job", 2, None).await.unwrap()) {
        queue.redrive_letter("job", &letter.key).await.unwrap();
        told.recv().await.unwrap();
        // Not more often than once in a second of the machine's time.
        while db.faults().injected() < nth {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    worker.stop().await;
}

#[fact]
pub async fn a_worker_that_runs_redrives_and_handles_what_is_due(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    dead(&db, (0..30).map(job), "no").await;
    let (builder, mut told) = telling(&db);
    let worker = Running::start(builder);
    let operation = Operation::new(redrive(EventFilter::default()), &ada()).rate(Rate::per_second(5));
    let id = queue.operations().start(operation).await.unwrap();
    let mut handled = BTreeSet::new();
    while handled.len() < 30 {
        tokio::select! {
            biased;
            event = told.recv() => assert!(handled.insert(event.unwrap().id)),
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(Duration::from_millis(100)),
        }
    }
    let info = queue.operations().wait(id).await.unwrap();
    assert_eq!((info.state, info.done), (OperationState::Done, 30));
    worker.stop().await;
}

#[fact]
pub async fn dead_letters_are_chosen_by_what_they_have_in_common(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    dead(&db, [job("a").action("x"), job("b")], "no row 17 in 'users'").await;
    clock.advance(Duration::from_secs(10));
    dead(&db, [job("c"), job("d")], "no row 4 in 'orders'").await;
    clock.advance(Duration::from_secs(10));
    dead(&db, [job("e")], "connection refused").await;
    put(&db, &b"dead:job:0000:0000000001:no"[..], &b"{}"[..]).await;
    let all = queue.dead_letters("job", 99, None).await.unwrap();
    let of_row = all.iter().find(|letter| letter.event.as_ref().is_some_and(|event| event.entity == "a")).unwrap();
    let fingerprint = of_row.fingerprint();
    let time = of_row.given_up_at().unwrap().timestamp();
    let chosen = [
        (entity("b"), "b"),
        (EventFilter { action: Some("x".to_string()), ..EventFilter::default() }, "a"),
        (EventFilter { error: Some("refused".to_string()), ..EventFilter::default() }, "e"),
        (EventFilter { fingerprint: fingerprint.clone(), ..EventFilter::default() }, "abcd"),
        (EventFilter { fingerprint: fingerprint.clone(), since: Some(time + 1), ..EventFilter::default() }, "cd"),
        (EventFilter { until: Some(time + 1), ..EventFilter::default() }, "ab"),
        (
            EventFilter {
                entity: Some("a".to_string()),
                ..EventFilter { until: Some(time), ..EventFilter::default() }
            },
            "",
        ),
        (EventFilter::default(), "abcde"),
    ];
    for (letters, expected) in chosen {
        let id = start(&db, redrive(letters.clone())).await;
        let info = run(&db, id).await;
        assert_eq!((info.done, info.searched, info.skipped), (expected.len() as u64, 6, 1), "{letters:?}");
        let mut redriven = entities(&db, "event:job:").await;
        redriven.sort();
        assert_eq!(redriven.concat(), expected, "{letters:?}");
        if letters != EventFilter::default() {
            // Back again, with the second of their deaths.
            let dead: Vec<_> =
                all.iter().map(|letter| (letter.key.as_bytes().to_vec(), letter.bytes.clone())).collect();
            db.transaction(|tx| async move {
                for (key, _) in tx.scan(keys_of("event:job:"), 99).await? {
                    tx.system_keys().delete(key).await?;
                }
                for (key, bytes) in dead {
                    tx.system_keys().put(key, bytes).await?;
                }
                Ok(())
            })
            .await
            .unwrap();
        }
    }
    let purge = OperationTask::PurgeDeadLetters { queue: "job".to_string(), letters: EventFilter::default() };
    let id = start(&db, purge).await;
    assert_eq!(run(&db, id).await.done, 1, "what is no event is purged with all");
}

fn keys_of(prefix: &str) -> tito_core::keys::KeyRange {
    tito_core::keys::KeyRange::prefix(prefix)
}

/// The entities of what there is of the topic, each as often as it is there.
async fn all_entities(db: &Database) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for prefix in ["event:job:", "dead:job:", "done:job:"] {
        all.extend(entities(db, prefix).await.into_iter().map(|entity| (prefix.to_string(), entity)));
    }
    all.sort();
    all
}

/// Lets a task die at each of its steps in turn, and another go on with it.
async fn dies_at_any_step(db: Database, clock: TestClock, task: &str) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    with_one_partition(&db).await;
    let names = (0..7).map(|number| format!("{number}")).collect::<Vec<_>>();
    for how in [Interruption::Dropped, Interruption::Unknown] {
        for n in 1.. {
            for prefix in ["event:", "dead:", "done:", "!operation:"] {
                for (key, _) in stored(&db, prefix).await {
                    db.transaction(|tx| async move { tx.system_keys().delete(key).await }).await.unwrap();
                }
            }
            let events = names.iter().map(job);
            let job_queue = || "job".to_string();
            let letters = EventFilter::default();
            let (task_of, expected) = match task {
                "redrive" => {
                    dead(&db, events, "no").await;
                    (redrive(letters), "event:job:")
                }
                "redrive in order" => {
                    dead(&db, events, "no").await;
                    (OperationTask::Redrive { queue: job_queue(), letters, in_order: true }, "event:job:")
                }
                "purge dead letters" => {
                    dead(&db, events, "no").await;
                    (OperationTask::PurgeDeadLetters { queue: job_queue(), letters }, "")
                }
                "purge" => {
                    publish(&db, events).await;
                    (OperationTask::Purge { queue: job_queue(), events: letters }, "")
                }
                _ => {
                    done(&db, events).await;
                    let (since, until) = (0, second(&clock) + 1);
                    let (from, into) = (job_queue(), job_queue());
                    (OperationTask::Replay { from, into, since, until, in_order: false }, "event:job:")
                }
            };
            // Two a step.
            let operation = Operation::new(task_of, &ada()).rate(Rate { events: 1, seconds: 5 });
            let id = queue.operations().start(operation).await.unwrap();
            let was_interrupted = interrupted(&db, &clock, (how, n), queue.operations().run(id)).await;
            // Another goes on, once the dead one is known to be.
            let info = turning(&clock, queue.operations().run(id)).await.unwrap();
            assert_eq!((info.state, info.done), (OperationState::Done, 7), "{task} {how:?} {n}");
            let mut left: Vec<_> = all_entities(&db).await;
            left.retain(|(prefix, _)| !(task == "replay" && prefix == "done:job:"));
            let expected: Vec<_> = match expected {
                "" => Vec::new(),
                prefix => names.iter().map(|name| (prefix.to_string(), name.clone())).collect(),
            };
            assert_eq!(left, expected, "{task} {how:?} {n}");
            if !was_interrupted {
                assert!(n > 3, "{task}: it takes several steps");
                break;
            }
        }
    }
}

#[fact]
pub async fn a_redrive_that_dies_at_any_step_is_done_once(db: Database, clock: TestClock) {
    dies_at_any_step(db, clock, "redrive").await;
}

#[fact]
pub async fn a_redrive_in_order_that_dies_at_any_step_is_done_once(db: Database, clock: TestClock) {
    dies_at_any_step(db, clock, "redrive in order").await;
}

#[fact]
pub async fn a_purge_of_dead_letters_that_dies_at_any_step_is_done_once(db: Database, clock: TestClock) {
    dies_at_any_step(db, clock, "purge dead letters").await;
}

#[fact]
pub async fn a_purge_that_dies_at_any_step_is_done_once(db: Database, clock: TestClock) {
    dies_at_any_step(db, clock, "purge").await;
}

#[fact]
pub async fn a_replay_that_dies_at_any_step_is_done_once(db: Database, clock: TestClock) {
    dies_at_any_step(db, clock, "replay").await;
}

#[fact]
pub async fn several_that_step_one_do_it_once(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    dead(&db, (0..50).map(job), "no").await;
    let operation = Operation::new(redrive(EventFilter::default()), &ada()).rate(Rate::per_second(1));
    let id = queue.operations().start(operation).await.unwrap();
    let runs = (0..3).map(|_| {
        let operations = queue.operations();
        async move { operations.run(id).await.unwrap().done }
    });
    let all = turning(&clock, futures::future::join_all(runs)).await;
    assert_eq!(all, [50; 3]);
    assert_eq!(places(&db, "event:job:").await.len(), 50);
}

#[fact]
pub async fn one_that_is_stopped_does_no_more(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let operations = queue.operations();
    dead(&db, (0..50).map(job), "no").await;
    let operation = Operation::new(redrive(EventFilter::default()), &ada()).rate(Rate::per_second(1));
    let id = operations.start(operation).await.unwrap();
    let running = turning(&clock, async {
        tokio::select! {
            info = operations.run(id) => panic!("{info:?}"),
            () = async { while operations.get(id).await.unwrap().done == 0 { tokio::task::yield_now().await } } => {}
        }
    });
    running.await;
    assert!(operations.stop(id).await.unwrap());
    let stopped = operations.run(id).await.unwrap();
    assert_eq!(stopped.state, OperationState::Stopped);
    assert_eq!(stopped.ended_at, Some(at_second(second(&clock))));
    assert_eq!(stopped.done, places(&db, "event:job:").await.len() as u64);
    assert!((1..=20).contains(&stopped.done), "what falls due within ten seconds: {}", stopped.done);
    assert!(!operations.stop(id).await.unwrap(), "it has ended");
    let listed = operations.list(9, None).await.unwrap();
    assert_eq!(listed, [stopped]);
    assert_eq!(operations.list(9, Some(id)).await.unwrap(), []);
}

#[fact]
pub async fn one_that_can_not_go_on_says_why(db: Database, _clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    with_group(&db, "billing").await;
    let purge = |queue: &str| OperationTask::Redrive {
        queue: queue.to_string(),
        letters: EventFilter::default(),
        in_order: false,
    };
    let id = start(&db, purge("job@billing")).await;
    Topic::change(&db, "job", |mut topic, _| async move {
        topic.groups.clear();
        Ok(Some(topic))
    })
    .await
    .unwrap();
    let failed = run(&db, id).await;
    assert_eq!(failed.state, OperationState::Failed);
    assert!(failed.failure.as_ref().unwrap().contains("billing"), "{failed:?}");
    let operations = queue.operations();
    let refused = operations.start(Operation::new(purge("none"), &ada())).await;
    assert!(matches!(refused, Err(QueueError::UnknownTopic { .. })));
    let unknown = operations.get(Uuid::nil()).await;
    assert!(matches!(unknown, Err(QueueError::UnknownOperation { .. })));
    // Rows that nobody can read, and tasks of a later version, are left alone.
    let later = Uuid::from_u128(7);
    let row = json!({"who": "x", "task": {"kind": "later", "a": 1}, "state": "waiting", "done": 0, "searched": 0,
        "at_least": 0, "started_at": 1, "latest": 1, "changed_at": 1});
    put(&db, format!("!operation:{later}"), row.to_string()).await;
    put(&db, format!("!operation:{}", Uuid::from_u128(8)), "7").await;
    assert!(matches!(operations.run(later).await, Err(QueueError::UnknownStep { .. })));
    let listed = operations.list(9, None).await.unwrap();
    assert_eq!(listed.len(), 2);
    let OperationTask::Named { input, .. } = &listed[1].task else { panic!("{listed:?}") };
    assert_eq!(*input, json!({"kind": "later", "a": 1}));
}

#[fact]
pub async fn an_application_steps_what_it_has_registered(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let named = |name: &str| OperationTask::Named { name: name.to_string(), input: json!({"to": 3}) };
    let ids = [start(&db, named("count")).await, start(&db, named("fail")).await, start(&db, named("hang")).await];
    assert!(matches!(queue.operations().run(ids[0]).await, Err(QueueError::UnknownStep { .. })));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (hangs, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, hanging, drops) = (seen.clone(), hangs.clone(), dropped.clone());
    let builder = Worker::builder(queue.clone())
        .operation("count", move |step: NamedStep| {
            let at = step.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0) + 1;
            counted.lock().unwrap().push(at);
            let cursor = (Some(at) < step.input["to"].as_u64()).then(|| json!(at));
            async move { Ok(Stepped { cursor, done: 10 }) }
        })
        .operation("fail", |_: NamedStep| async { Err::<Stepped, BoxError>("it can't be done".into()) })
        .operation("hang", move |_: NamedStep| {
            hanging.fetch_add(1, Ordering::SeqCst);
            let drops = drops.clone();
            async move {
                struct Drops(Arc<AtomicUsize>);
                impl Drop for Drops {
                    fn drop(&mut self) {
                        self.0.fetch_add(1, Ordering::SeqCst);
                    }
                }
                let _drops = Drops(drops);
                std::future::pending().await
            }
        });
    let worker = Running::start(builder);
    let operations = queue.operations();
    // Turned no further than that: what has ended is forgotten after a week.
    let ended = async { [operations.wait(ids[0]).await, operations.wait(ids[1]).await] };
    let mut ended = std::pin::pin!(ended);
    let [count, fail] = loop {
        tokio::select! {
            ended = &mut ended => break ended.map(Result::unwrap),
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(Duration::from_secs(1)),
        }
    };
    assert_eq!((count.state, count.done), (OperationState::Done, 30));
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    assert_eq!((fail.state, fail.failure.as_deref()), (OperationState::Failed, Some("it can't be done")));
    while hangs.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    operations.stop(ids[2]).await.unwrap();
    while dropped.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(hangs.load(Ordering::SeqCst), 1);
    // A week after its end each is forgotten.
    clock.advance(Duration::from_secs(7 * 86_400 + 1));
    let last = start(&db, named("count")).await;
    while operations.list(9, None).await.unwrap().iter().any(|info| info.id != last) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.stop().await;
}

fn replay() -> OperationTask {
    let (from, into) = ("job".to_string(), "job".to_string());
    OperationTask::Replay { from, into, since: 0, until: i64::MAX, in_order: false }
}

async fn drain(db: &Database) -> u64 {
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    worker.build().drain().await.unwrap().done
}

#[fact]
pub async fn what_was_done_several_times_is_replayed_once(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    done(&db, (0..7).map(job)).await;
    for times_done in 1..4 {
        clock.advance(Duration::from_secs(20));
        let id = start(&db, replay()).await;
        let info = run(&db, id).await;
        // Also while what was replayed before is noted to have been moved, as it is until a janitor has come by.
        assert_eq!((info.done, info.skipped), (7, 7 * (times_done - 1)));
        assert_eq!(places(&db, "event:job:").await.len(), 7);
        let id = start(&db, replay()).await;
        assert_eq!(run(&db, id).await.done, 0, "all are to be done anyway");
        clock.advance(Duration::from_secs(1));
        assert_eq!(drain(&db).await, 7);
    }
}

#[fact]
pub async fn a_replay_that_others_go_on_with_does_not_replay_what_was_done_meanwhile(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    done(&db, (0..7).map(job)).await;
    clock.advance(Duration::from_secs(20));
    let id = start(&db, replay()).await;
    assert_eq!(run(&db, id).await.done, 7);
    clock.advance(Duration::from_secs(1));
    drain(&db).await;
    clock.advance(Duration::from_secs(20));
    // Two a step.
    let operations = TitoQueue::new(db.clone()).operations();
    let id = operations.start(Operation::new(replay(), &ada()).rate(Rate { events: 1, seconds: 5 })).await.unwrap();
    let mut handled = 0;
    let mut came_to = 0;
    loop {
        let stepped = async {
            loop {
                let info = operations.get(id).await.unwrap();
                if info.state.has_ended() || info.searched > came_to {
                    break info;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let info = turning(&clock, async {
            tokio::select! {
                info = stepped => info,
                info = operations.run(id) => info.unwrap(),
            }
        });
        let info = info.await;
        came_to = info.searched;
        clock.advance(Duration::from_secs(20));
        handled += drain(&db).await;
        if info.state.has_ended() {
            assert_eq!((info.state, info.done, handled), (OperationState::Done, 7, 7));
            break;
        }
    }
}

#[fact]
pub async fn a_step_that_panics_fails_its_operation_and_nothing_else(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    dead(&db, (0..3).map(job), "no").await;
    let named = |name: &str| OperationTask::Named { name: name.to_string(), input: json!(null) };
    let made = start(&db, named("made")).await;
    let polled = start(&db, named("polled")).await;
    let (builder, mut told) = telling(&db);
    let builder = builder
        .operation("made", |step: NamedStep| {
            assert!(step.cursor.is_some(), "no cursor");
            async { Ok(Stepped::default()) }
        })
        .operation("polled", |_: NamedStep| async { panic!("no index") });
    let worker = Running::start(builder);
    let operations = queue.operations();
    for (id, text) in [(made, "no cursor"), (polled, "no index")] {
        let info = turning(&clock, operations.wait(id)).await.unwrap();
        assert_eq!(info.state, OperationState::Failed);
        let failure = info.failure.unwrap();
        assert!(failure.contains("panicked") && failure.contains(text), "{failure}");
    }
    let id = start(&db, redrive(EventFilter::default())).await;
    assert_eq!(turning(&clock, operations.wait(id)).await.unwrap().state, OperationState::Done);
    for _ in 0..3 {
        turning(&clock, told.recv()).await.unwrap();
    }
    assert_eq!(worker.stop().await.done, 3);
}

#[fact]
pub async fn a_purge_deletes_nothing_that_was_published_after_it_began(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, [job("a"), job("b"), job("later").delay(Duration::from_secs(3_600))]).await;
    let purge = OperationTask::Purge { queue: "job".to_string(), events: EventFilter::default() };
    let id = start(&db, purge).await;
    clock.advance(Duration::from_secs(2));
    publish(&db, [job("c"), job("d").delay(Duration::from_secs(7_200))]).await;
    let info = run(&db, id).await;
    assert_eq!((info.state, info.done, info.searched), (OperationState::Done, 3, 5));
    let mut left = entities(&db, "event:job:").await;
    left.sort();
    assert_eq!(left, ["c", "d"]);
}

/// The database's time is another machine's where there can be other writers, and is never set back.
#[fact]
pub async fn one_with_a_rate_goes_on_when_time_is_set_back(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    let operations = TitoQueue::new(db.clone()).operations();
    dead(&db, (0..30).map(job), "no").await;
    let redrive = Operation::new(redrive(EventFilter::default()), &ada()).rate(Rate::per_second(1));
    let id = operations.start(redrive).await.unwrap();
    let step = async {
        while operations.get(id).await.unwrap().done == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        info = operations.run(id) => panic!("{info:?}"),
        () = step => {}
    }
    clock.set(clock.now_millis() - 3_600_000);
    db.now().await.unwrap();
    clock.advance(Duration::from_secs(10));
    let began = db.now().await.unwrap().millis();
    assert_eq!(turning(&clock, operations.run(id)).await.unwrap().done, 30);
    let took = db.now().await.unwrap().millis() - began;
    assert!(took < 40_000, "{took}");
}

#[fact]
pub async fn one_that_can_not_be_stepped_now_is_not_in_the_way_of_others(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let operations = TitoQueue::new(db.clone()).operations();
    dead(&db, (0..3).map(job), "no").await;
    put(&db, &b"topic:other"[..], stored(&db, "topic:job").await[0].1.clone()).await;
    // The earlier one comes first.
    let task = OperationTask::Redrive { queue: "other".to_string(), letters: EventFilter::default(), in_order: false };
    let first = start(&db, task).await;
    let second = start(&db, redrive(EventFilter::default())).await;
    db.faults().at(Call::Scan).key_prefix("dead:other:").always().storage_error();
    let worker = Running::start(telling(&db).0);
    let info = turning(&clock, operations.wait(second)).await.unwrap();
    assert_eq!((info.state, info.done), (OperationState::Done, 3));
    assert!(!operations.get(first).await.unwrap().state.has_ended());
    assert!(db.faults().injected() > 0);
    db.faults().clear();
    worker.stop().await;
}

#[fact]
pub async fn a_step_that_was_made_is_not_made_again_when_it_can_not_be_noted_at_once(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let operations = TitoQueue::new(db.clone()).operations();
    let task = OperationTask::Named { name: "count".to_string(), input: json!(null) };
    let id = operations.start(Operation::new(task, &ada())).await.unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let (counted, faults) = (made.clone(), db.clone());
    let builder = Worker::builder(TitoQueue::new(db.clone())).operation("count", move |_: NamedStep| {
        let nth = counted.fetch_add(1, Ordering::SeqCst);
        if nth == 0 {
            faults.faults().at(Call::Commit).key_prefix("!operation:").storage_error();
        }
        async { Ok(Stepped { cursor: None, done: 1 }) }
    });
    let worker = Running::start(builder);
    let info = turning(&clock, operations.wait(id)).await.unwrap();
    assert_eq!((info.done, made.load(Ordering::SeqCst), db.faults().injected()), (1, 1, 1));
    worker.stop().await;
}

#[fact]
pub async fn a_worker_in_standby_steps_no_operation(db: Database, clock: TestClock) {
    let operations = TitoQueue::new(db.clone()).operations();
    dead(&db, (0..3).map(job), "no").await;
    let id = start(&db, redrive(EventFilter::default())).await;
    let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let worker = Running::start(telling(&db).0.active_while(flag.clone()));
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(operations.get(id).await.unwrap().state, OperationState::Waiting);
    flag.store(true, Ordering::Relaxed);
    assert_eq!(turning(&clock, operations.wait(id)).await.unwrap().done, 3);
    worker.stop().await;
}

fn nested(depth: usize) -> serde_json::Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

/// What can't be read again would wait for ever, or could not even be stopped.
#[fact]
pub async fn an_operation_is_refused_that_could_not_be_read_again(db: Database, _: TestClock) {
    let operations = TitoQueue::new(db.clone()).operations();
    let named = |name: &str, input| OperationTask::Named { name: name.to_string(), input };
    let worker = Worker::builder(TitoQueue::new(db.clone()))
        .operation("read", |_: NamedStep| async { Ok(Stepped { cursor: None, done: 1 }) })
        .operation("deep", |_: NamedStep| async { Ok(Stepped { cursor: Some(nested(140)), done: 1 }) });
    let running = Running::start(worker);
    let mut refused = 0;
    for depth in 118..=132 {
        match operations.start(Operation::new(named("read", nested(depth)), &ada())).await {
            Ok(id) => {
                assert_eq!(refused, 0, "{depth}");
                assert_eq!(operations.wait(id).await.unwrap().state, OperationState::Done, "{depth}");
            }
            Err(QueueError::Engine(TitoError::Unserializable { .. })) => refused += 1,
            Err(error) => panic!("{depth}: {error}"),
        }
    }
    assert!((4..14).contains(&refused), "{refused}");
    let id = start(&db, named("deep", json!(null))).await;
    let ended = operations.wait(id).await.unwrap();
    assert_eq!(ended.state, OperationState::Failed);
    assert!(ended.failure.unwrap().contains("cursor"));
    running.stop().await;
}

#[fact]
pub async fn what_is_counted_at_the_beginning_is_read_in_pages_of_few_bytes(db: Database, _clock: TestClock) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    for number in 10..18 {
        put(&db, format!("dead:job:0000:00000000{number}:x"), vec![b'x'; 500_000]).await;
    }
    db.faults().reset_counts();
    let id = start(&db, redrive(EventFilter::default())).await;
    let scans = db.faults().count(Call::Scan);
    assert!(scans >= 4, "{scans}");
    assert_eq!(TitoQueue::new(db).operations().get(id).await.unwrap().at_least, 8);
}

#[fact]
pub async fn a_worker_has_a_replay_before_it_reads_the_queue_and_until_its_rate_lets_it_go_on(
    db: Database,
    clock: TestClock,
) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    done(&db, (0..7).map(job)).await;
    clock.advance(Duration::from_secs(20));
    let operations = TitoQueue::new(db.clone()).operations();
    let replay = Operation::new(replay(), &ada()).rate(Rate { events: 1, seconds: 3_600 });
    let id = operations.start(replay).await.unwrap();
    let reads = db.faults().at(Call::Scan).key_prefix("event:job:").hold();
    let held = async {
        reads.arrivals(1).await;
        assert_eq!(operations.get(id).await.unwrap().state, OperationState::Running);
        reads.open();
        while operations.get(id).await.unwrap().done == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        info = operations.run(id) => panic!("{info:?}"),
        () = held => {}
    }
    let row: serde_json::Value = serde_json::from_slice(&stored(&db, "!operation:").await[0].1).unwrap();
    assert!(row["next_millis"].as_u64().unwrap() > clock.now_millis() + 3_000_000, "{row}");
    assert!(row["held_until_millis"].as_u64().unwrap() > row["next_millis"].as_u64().unwrap(), "{row}");
}
