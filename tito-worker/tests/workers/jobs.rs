//! Topics as types.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{Because, Order, Outcome, Payload, RetryPolicy, Subscription, WorkerBuilder};

use crate::support::*;

/// As an early release of a program has it.
#[derive(Debug, PartialEq, Serialize, Deserialize, TitoJob)]
#[tito(topic = "welcome", settings = once)]
struct Early {
    address: String,
}

fn once() -> Subscription {
    Subscription::default().retry(RetryPolicy::default().attempts(1))
}

/// As the present release has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoJob)]
#[tito(topic = "welcome", version = 3, upcast = upcast)]
struct Welcome {
    to: String,
    language: String,
}

fn upcast(from: u32, mut payload: Value) -> Result<Value, BoxError> {
    let members = payload.as_object_mut().ok_or("no object")?;
    match from {
        1 => {
            let address = members.remove("address").ok_or("no address")?;
            members.insert("to".to_string(), address);
        }
        _ => {
            members.insert("language".to_string(), "en".into());
        }
    }
    Ok(payload)
}

type Seen<T> = Arc<Mutex<Vec<T>>>;

fn noting<J: TitoJob>(db: &Database, clock: &TestClock) -> (Harness, Seen<J>) {
    let seen = Seen::<J>::default();
    let noted = seen.clone();
    let harness = Harness::new(db, clock).subscribe(J::TOPIC, move |Payload(job): Payload<J>| {
        noted.lock().unwrap().push(job);
        async { Done::Ok(()) }
    });
    (harness, seen)
}

fn ada() -> Welcome {
    Welcome { to: "ada".to_string(), language: "fr".to_string() }
}

#[fact]
pub async fn a_job_is_published_and_handled_by_its_type(db: Database, clock: TestClock) {
    publish(&db, [Publish::job("user:17", &ada()).unwrap()]).await;
    let (mut harness, seen) = noting::<Welcome>(&db, &clock);
    let handled = harness.drain().await.unwrap();
    assert_eq!((&*handled[0].event.event_type, &*handled[0].event.entity), ("welcome", "user:17"));
    assert_eq!(handled[0].event.headers["tito-version"], "3");
    assert_eq!(*seen.lock().unwrap(), [ada()]);
}

#[fact]
pub async fn a_payload_of_an_earlier_version_is_brought_to_the_present_one(db: Database, clock: TestClock) {
    let early = Publish::job("a", &Early { address: "ada".to_string() }).unwrap();
    let between = Publish::new("welcome", "b").header("tito-version", "2").payload(&serde_json::json!({ "to": "bob" }));
    publish(&db, [early, between.unwrap()]).await;
    let (mut harness, seen) = noting::<Welcome>(&db, &clock);
    let handled = harness.drain().await.unwrap();
    assert!(handled.iter().any(|one| one.event.headers.is_empty()), "version 1 needs no header");
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_by(|one, other| one.to.cmp(&other.to));
    let of = |to: &str| Welcome { to: to.to_string(), language: "en".to_string() };
    assert_eq!(seen, [of("ada"), of("bob")]);
}

#[fact]
pub async fn an_event_of_a_later_version_waits_for_a_worker_that_knows_it(db: Database, clock: TestClock) {
    publish(&db, [Publish::job("a", &ada()).unwrap()]).await;
    let (mut early, seen) = noting::<Early>(&db, &clock);
    for _ in 0..3 {
        let handled = early.advance(Duration::from_secs(61)).await.unwrap();
        assert!(matches!(handled[..], [_]), "{handled:?}");
        assert!(matches!(handled[0].outcome, Ok(Outcome::RescheduleTo(_))), "{handled:?}");
    }
    assert!(seen.lock().unwrap().is_empty());
    let (mut present, seen) = noting::<Welcome>(&db, &clock);
    let handled = present.advance(Duration::from_secs(61)).await.unwrap();
    assert_eq!((handled[0].event.failed_attempts, &handled[0].outcome), (0, &Ok(Outcome::Done)));
    assert_eq!(*seen.lock().unwrap(), [ada()]);
}

/// A worker that knows a topic as one release has it.
fn serving<J: TitoJob>(db: &Database) -> WorkerBuilder {
    let strict = Subscription::default().order(Order::Strict);
    Worker::builder(TitoQueue::new(db.clone()))
        .subscribe_with(J::TOPIC, strict, |_: Payload<J>| async { Done::Ok(()) })
        .schedules(false)
}

#[fact]
pub async fn what_waits_for_a_later_release_is_shown_and_explained(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("welcome", 1).await.unwrap();
    let early = |entity: &str| Publish::job(entity, &Early { address: "bob".to_string() }).unwrap();
    publish(&db, [Publish::job("a", &ada()).unwrap(), early("a")]).await;
    let pending = async || queue.peek("welcome", 10, None).await.unwrap();
    let ids: Vec<_> = pending().await.iter().map(|one| one.event.as_ref().unwrap().id).collect();
    assert!(pending().await.iter().all(|one| one.later_version.is_none()), "nobody has said what he knows");

    let running = Running::start(serving::<Early>(&db));
    publish(&db, [early("b")]).await;
    while pending().await.len() > 2 {
        tokio::task::yield_now().await;
    }
    let later: Vec<_> = pending().await.iter().map(|one| one.later_version).collect();
    assert_eq!(later, [Some(3), None]);
    let explain = async |at: usize| queue.explain("welcome", ids[at]).await.unwrap().because;
    let first = explain(0).await;
    assert_eq!(first[0], Because::LaterVersion { version: 3, known: 1 }, "{first:?}");
    let second = explain(1).await;
    let behind = second.iter().find_map(|because| match because {
        Because::Behind { id, later_version, .. } => Some((*id, *later_version)),
        _ => None,
    });
    assert_eq!(behind, Some((ids[0], Some(3))), "{second:?}");
    for because in [&first[0], second.iter().find(|one| matches!(one, Because::Behind { .. })).unwrap()] {
        assert!(because.to_string().contains("version 3"), "{because}");
    }
    running.stop().await;

    let running = Running::start(serving::<Welcome>(&db));
    assert!(pending().await.iter().all(|one| one.later_version.is_none()), "somebody knows it");
    while !pending().await.is_empty() {
        clock.advance(Duration::from_secs(61));
        tokio::task::yield_now().await;
    }
    running.stop().await;
}

#[fact]
pub async fn a_payload_that_cannot_be_brought_up_goes_to_the_dead_letters(db: Database, clock: TestClock) {
    let unaddressed = Publish::new("welcome", "a").payload(&serde_json::json!({})).unwrap();
    let unversioned = Publish::job("b", &ada()).unwrap().header("tito-version", "next");
    publish(&db, [unaddressed, unversioned]).await;
    let (mut harness, _) = noting::<Welcome>(&db, &clock);
    harness.drain().await.unwrap();
    let letters = TitoQueue::new(db.clone()).dead_letters("welcome", 10, None).await.unwrap();
    let mut reasons: Vec<_> = letters.into_iter().map(|one| one.event.unwrap().failures.remove(0).error).collect();
    reasons.sort();
    assert!(reasons.iter().any(|reason| reason.contains("no address")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("\"next\"")), "{reasons:?}");
}

#[fact]
pub async fn a_group_of_a_job_has_its_events(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    turning(&clock, queue.add_group("welcome", "audit", tito_worker::GroupStart::Now)).await.unwrap();
    publish(&db, [Publish::job("a", &ada()).unwrap()]).await;
    let audit = Welcome::TOPIC.group("audit");
    let mut harness = Harness::new(&db, &clock)
        .subscribe(audit, |Payload(job): Payload<Welcome>, tx: Transaction| async move { count(&tx, job.to).await });
    assert_eq!(harness.drain().await.unwrap().len(), 1);
    assert_eq!(counts(&db, "ada").await, [1]);
}

#[fact]
pub async fn a_job_says_how_it_is_consumed(db: Database, clock: TestClock) {
    publish(&db, [Publish::job("a", &Early { address: "ada".to_string() }).unwrap()]).await;
    let mut harness =
        Harness::new(&db, &clock).subscribe(Early::TOPIC, |_: Payload<Early>| async { Done::Err(error("no")) });
    harness.drain().await.unwrap();
    assert_eq!(harness.report().dead, 1);
}
