//! Why an event is not handled.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tito_core::clock::Clock;
use tito_core::event::{EventReference, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{
    Because, Explanation, FoundIn, Order, PartitionConfig, PausedBy, PendingState, QueueError, WhichEvent,
};
use tito_worker::{LimitedBy, Outcome, RateLimit, RetryPolicy, Subscription};
use uuid::Uuid;

use crate::support::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn published(db: &Database, event: Publish) -> EventReference {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| {
        let (queue, event) = (queue.clone(), event.clone());
        async move { queue.publish(event, &tx).await }
    })
    .await
    .unwrap()
}

async fn explain(db: &Database, event: &EventReference) -> Explanation {
    TitoQueue::new(db.clone()).explain("job", event).await.unwrap()
}

fn in_seconds(clock: &TestClock, after: i64) -> DateTime<Utc> {
    at_second(seconds(clock) + after)
}

/// A worker of another process that serves the topic `job`, and has these in hand.
async fn foreign_worker(db: &Database, clock: &TestClock, in_hand: &[&[u8]]) -> Uuid {
    let id = Uuid::from_u128(99);
    let in_hand: Vec<_> = in_hand.iter().map(|key| String::from_utf8_lossy(key)).collect();
    let row = serde_json::json!({
        "queues": ["job"], "heartbeat": clock.now_millis(), "lease_millis": 30_000, "in_hand": in_hand,
    });
    put(db, keys::process(id), row.to_string()).await;
    id
}

#[fact]
pub async fn what_is_not_there_is_told_from_what_is_not_known(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let event = EventReference {
        event_type: "job".to_string(),
        entity: "a".to_string(),
        timestamp: 17,
        id: Uuid::from_u128(1),
    };
    let missing = queue.explain("job", &event).await.unwrap();
    assert_eq!(missing.because, [Because::TopicMissing { nearest: None }]);
    queue.create_topic("jobs", 2).await.unwrap();
    let nearest = Some("jobs".to_string());
    assert_eq!(queue.explain("job", &event).await.unwrap().because, [Because::TopicMissing { nearest }]);
    queue.create_topic("job", 2).await.unwrap();
    assert_eq!(queue.explain("job@audit", &event).await.unwrap().because, [Because::GroupMissing]);
    let gone = queue.explain("job", &event).await.unwrap();
    assert_eq!((gone.because, gone.event.is_none()), (vec![Because::NotFound { is_certain: true }], true));
    let other = queue.explain("jobs", &event).await.unwrap_err();
    assert!(matches!(other, QueueError::Engine(TitoError::InvalidName { .. })), "{other}");
    assert!(matches!(queue.explain("a:b", event.id).await, Err(QueueError::Engine(TitoError::InvalidName { .. }))));
}

#[fact]
pub async fn an_event_is_explained_from_its_publishing_to_its_end(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    queue.set_history("job", Some(secs(1_000))).await.unwrap();
    let [good, bad] = [published(&db, job("good").delay(secs(60))).await, published(&db, job("bad")).await];
    let until = in_seconds(&clock, 60);
    assert_eq!(explain(&db, &good).await.because, [Because::NotDue { until }, Because::NoSubscriber]);
    assert_eq!(explain(&db, &bad).await.because, [Because::NoSubscriber]);
    queue.pause("job").await.unwrap();
    let paused = Because::Paused { until: None, by: PausedBy::Operator };
    assert_eq!(explain(&db, &bad).await.because[0], paused);
    let until = in_seconds(&clock, 40);
    queue.pause_until("job", until).await.unwrap();
    assert_eq!(explain(&db, &bad).await.because[0], Because::Paused { until: Some(until), by: PausedBy::Operator });
    queue.resume("job").await.unwrap();

    let retry = RetryPolicy::default().jitter(0.0).first_delay(secs(100)).attempts(2);
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        Subscription::default().retry(retry),
        |event: TitoEvent| async move {
            match event.entity.as_str() {
                "bad" => Err(error("no row 17")),
                _ => Ok(Outcome::Done),
            }
        },
    );
    harness.drain().await.unwrap();
    let retrying = explain(&db, &bad).await;
    let Because::Retrying { attempt: 2, until, failure: Some(failure) } = &retrying.because[0] else {
        panic!("{retrying:?}")
    };
    assert_eq!((*until, failure.attempt, failure.error.as_str()), (in_seconds(&clock, 100), 1, "no row 17"));
    assert!(retrying.because[0].to_string().contains("no row 17"), "{}", retrying.because[0]);
    harness.advance(secs(100)).await.unwrap();

    let dead = explain(&db, &bad).await;
    let Because::Dead { at, failure: Some(failure) } = &dead.because[0] else { panic!("{dead:?}") };
    assert_eq!((*at, failure.attempt, dead.because.len()), (in_seconds(&clock, 0), 2, 1));
    let done = explain(&db, &good).await;
    let Because::Done { at, completion: Some(completion) } = &done.because[0] else { panic!("{done:?}") };
    assert_eq!((*at, &*completion.outcome, done.because.len()), (in_seconds(&clock, 0), "done", 1));
    assert_eq!(done.event.unwrap().id, good.id);
    let json = serde_json::to_value(explain(&db, &bad).await).unwrap();
    assert_eq!(
        (&json["because"][0]["because"], &json["because"][0]["failure"]["attempt"]),
        (&"dead".into(), &2.into())
    );
    // By less than a reference, too.
    for which in [WhichEvent::Id(good.id), WhichEvent::OfEntity { entity: "good".to_string(), id: good.id }] {
        assert!(matches!(queue.explain("job", which).await.unwrap().because[..], [Because::Done { .. }]));
    }
    // What is not kept can't be told from what was cancelled.
    clock.advance(secs(2_000));
    queue.sweep_once("job").await.unwrap();
    assert_eq!(explain(&db, &good).await.because, [Because::NotFound { is_certain: true }]);
}

#[fact]
pub async fn an_event_behind_others_of_its_entity_names_the_first(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).with_foreign_writers().database();
    with_one_partition(&db).await;
    let first = published(&db, job("a")).await;
    published(&db, job("b")).await;
    clock.advance(secs(1));
    let [second, other] = [published(&db, job("a")).await, published(&db, job("c")).await];
    foreign_worker(&db, &clock, &[]).await;
    let behind = explain(&db, &second).await.because;
    let [Because::Behind { id, failed_attempts: 0, until: None, failure: None, .. }] = &behind[..] else {
        panic!("{behind:?}")
    };
    assert_eq!(*id, first.id);
    assert_eq!(explain(&db, &first).await.because, [Because::InLine { before: 0, at_least: false }]);
    let in_line = explain(&db, &other).await.because;
    assert!(matches!(in_line[..], [Because::InLine { before: 2 | 3, at_least: false }]), "{in_line:?}");

    let strict =
        Subscription::default().order(Order::Strict).retry(RetryPolicy::default().first_delay(secs(50)).jitter(0.0));
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", strict, |event: TitoEvent| async move {
        if event.entity == "a" { Done::Err(error("refused")) } else { Ok(()) }
    });
    harness.drain().await.unwrap();
    foreign_worker(&db, &clock, &[]).await;
    let behind = explain(&db, &second).await.because;
    let [Because::Behind { id, failed_attempts: 1, until: Some(until), failure: Some(failure), .. }] = &behind[..]
    else {
        panic!("{behind:?}")
    };
    assert_eq!((*id, *until, failure.error.as_str()), (first.id, in_seconds(&clock, 50), "refused"));
}

#[fact]
pub async fn who_serves_and_has_it_in_hand_is_told_from_the_rows_of_workers(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).with_foreign_writers().database();
    let queue = TitoQueue::new(db.clone());
    with_one_partition(&db).await;
    let event = published(&db, job("a")).await;
    let key = stored(&db, "event:job:").await.remove(0).0;
    let worker = foreign_worker(&db, &clock, &[&key]).await;
    assert_eq!(explain(&db, &event).await.because, [Because::Running { worker, since: None }]);
    clock.advance(secs(31));
    assert_eq!(explain(&db, &event).await.because, [Because::NoSubscriber], "it has died");

    let member = async |number: u128, queues: &str| {
        let heartbeat = clock.now_millis();
        let row = format!(r#"{{"queues":[{queues}],"heartbeat":{heartbeat},"lease_millis":10000,"started":0}}"#);
        put(&db, keys::member("fleet", Uuid::from_u128(number)), row).await;
        Uuid::from_u128(number)
    };
    let dead = Uuid::from_u128(7);
    put(&db, keys::lease("job", 0), format!(r#"{{"member":"{dead}","fleet":"fleet","epoch":1}}"#)).await;
    assert_eq!(explain(&db, &event).await.because, [Because::NoSubscriber], "nobody of the fleet lives");
    member(1, r#""other""#).await;
    assert_eq!(explain(&db, &event).await.because, [Because::NoSubscriber], "nobody of it serves this queue");
    let live = member(2, r#""job""#).await;
    assert_eq!(explain(&db, &event).await.because, [Because::NoOwner { last_owner: Some(dead) }]);
    put(&db, keys::lease("job", 0), format!(r#"{{"member":"{live}","fleet":"fleet","epoch":2}}"#)).await;
    assert_eq!(explain(&db, &event).await.because, [Because::InLine { before: 0, at_least: false }]);
    put(&db, keys::lease("job", 0), r#"{"member":null,"epoch":2}"#).await;
    put(&db, keys::lease("job", 1), format!(r#"{{"member":"{live}","fleet":"fleet","epoch":2}}"#)).await;
    assert_eq!(explain(&db, &event).await.because, [Because::NoOwner { last_owner: None }]);
    put(&db, keys::lease("job", 0), format!(r#"{{"member":"{live}","fleet":"fleet","epoch":3}}"#)).await;

    let suspect =
        TitoEvent { deaths: Some(1), ..TitoEvent::decode(&key, &stored(&db, "event:job:").await[0].1).unwrap() };
    put(&db, key.clone(), suspect.encode().unwrap()).await;
    assert_eq!(explain(&db, &event).await.because, [Because::Suspect { deaths: 1 }]);
    Topic::change(
        &db,
        "job",
        |topic, _| async move { Ok(Some(Topic { partitions: 7, resized_from: Some(1), ..topic })) },
    )
    .await
    .unwrap();
    let moving = queue.explain("job", event.id).await.unwrap();
    assert!(moving.because.contains(&Because::Moving), "{moving:?}");
    put(&db, key, "nonsense").await;
    assert_eq!(queue.explain("job", event.id).await.unwrap().because, [Because::Unreadable]);
}

#[fact]
pub async fn a_worker_that_runs_says_what_it_has_in_hand_and_since_when(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 2).await.unwrap();
    let of_partition = |partition| {
        (0..).map(|number: u32| number.to_string()).find(move |entity| keys::partition_of(entity, 2) == partition)
    };
    let [mine, others] = [0, 1].map(|partition| of_partition(partition).unwrap());
    let event = published(&db, job(&mine)).await;
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let worker = Worker::builder(queue.clone()).partitions(PartitionConfig::new(2, 0)).shutdown_timeout(secs(0));
    let running = Running::start(worker.subscribe("job", move |_: TitoEvent| {
        let begin = begin.clone();
        async move {
            begin.send(()).unwrap();
            std::future::pending::<Done>().await
        }
    }));
    begun.recv().await.unwrap();
    let since = in_seconds(&clock, 0);
    clock.advance(secs(7));
    let worker = queue.workers().await.unwrap().remove(0).id;
    let because = explain(&db, &event).await.because;
    let [Because::Running { worker: found, since: Some(found_since) }] = &because[..] else { panic!("{because:?}") };
    assert_eq!((*found, found_since.timestamp()), (worker, since.timestamp()));
    let next = published(&db, job(&mine)).await;
    let because = explain(&db, &next).await.because;
    assert!(matches!(&because[..], [Because::Behind { id, .. }] if *id == event.id), "{because:?}");
    let elsewhere = published(&db, job(&others)).await;
    let because = explain(&db, &elsewhere).await.because;
    assert_eq!(because, [Because::NoOwner { last_owner: None }], "it is in nobody's share");
    running.stop().await;
    assert_eq!(explain(&db, &event).await.because, [Because::NoSubscriber]);
}

#[fact]
pub async fn a_limit_that_has_no_room_is_told(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let serve = |topic: &str, settings: Subscription, ends: bool| {
        let begin = begin.clone();
        let worker = Worker::builder(queue.clone()).shutdown_timeout(secs(0));
        Running::start(worker.subscribe_with(topic, settings, move |_: TitoEvent| {
            let begin = begin.clone();
            async move {
                begin.send(()).unwrap();
                if ends { Done::Ok(()) } else { std::future::pending().await }
            }
        }))
    };
    publish(&db, [job("first")]).await;
    let busy = serve("job", Subscription::default().concurrency(1), false);
    begun.recv().await.unwrap();
    let event = published(&db, job("second")).await;
    assert_eq!(explain(&db, &event).await.because, [Because::Limited { by: LimitedBy::Concurrency }]);
    busy.stop().await;

    publish(&db, [Publish::new("slow", "first")]).await;
    let slow = Subscription::default().rate_limit(RateLimit::new(1, secs(60)));
    let slow = serve("slow", slow, true);
    begun.recv().await.unwrap();
    let event = published(&db, Publish::new("slow", "second")).await;
    let because = queue.explain("slow", &event).await.unwrap().because;
    assert_eq!(because, [Because::Limited { by: LimitedBy::Rate }]);
    clock.advance(secs(60));
    begun.recv().await.unwrap();
    slow.stop().await;
}

#[fact]
pub async fn no_question_reads_more_than_its_bounds(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    with_one_partition(&db).await;
    queue.set_history("job", Some(secs(100_000))).await.unwrap();
    publish(&db, (0..2_500).map(|number| job(number).delay(secs(10)))).await;
    let last = published(&db, job("0").delay(secs(20))).await;
    db.faults().reset_counts();
    let explanation = explain(&db, &last).await;
    let read = db.faults().rows_read();
    assert!(read <= 1_000, "{read} rows, with those of topics and workers");
    assert!(explanation.because.iter().any(|because| matches!(because, Because::Behind { .. })), "{explanation:?}");
    assert!(explanation.rows_read <= 1_000, "{}", explanation.rows_read);
    db.faults().reset_counts();
    let unknown = queue.explain("job", WhichEvent::Id(Uuid::from_u128(1))).await.unwrap();
    assert!(db.faults().rows_read() <= 1_000, "{}", db.faults().rows_read());
    assert_eq!((unknown.because, unknown.rows_read), (vec![Because::NotFound { is_certain: false }], 300));

    let found = queue.find_by_entity("job", "0", 10).await.unwrap();
    assert_eq!((found.events.len(), found.is_whole, found.rows_read), (2, true, 2_501));
    assert!(matches!(found.events[1].found_in, FoundIn::Pending(PendingState::Scheduled)));
    let one = queue.find_by_entity("job", "0", 1).await.unwrap();
    assert_eq!((one.events.len(), one.is_whole), (1, false));
    assert_eq!(queue.find_by_entity("job", "nobody", 9).await.unwrap().events.len(), 0);
    assert!(matches!(queue.find_by_entity("job@audit", "0", 9).await, Err(QueueError::UnknownGroup { .. })));
}
