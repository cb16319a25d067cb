//! What an event did: what its handler published, how it was done, how it failed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::Transaction;
use tito_core::event::{Cause, FailedAttempt, TitoEvent};
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{Outcome, RetryPolicy, Subscription};

use crate::support::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "follow")]
struct Row {
    id: String,
}

/// The events of the topic `follow`, by entity: what caused each.
async fn causes(db: &Database) -> Vec<(String, Option<String>)> {
    let stored = stored(db, "event:follow:").await;
    let event = |(key, value): &(Vec<u8>, Vec<u8>)| TitoEvent::decode(key, value).unwrap();
    let mut causes: Vec<_> =
        stored.iter().map(event).map(|event| (event.entity.to_string(), event.causation_id)).collect();
    causes.sort();
    causes
}

fn follow(entity: &str) -> Publish {
    Publish::new("follow", entity)
}

#[fact]
pub async fn what_a_handler_publishes_says_which_event_it_was_for(db: Database, clock: TestClock) {
    let rows = db.clone().model::<Row>();
    publish(&db, [job("plain"), follow("by nobody")]).await;
    publish(&db, [Publish::new("transactional", "transactional"), Publish::new("batch", "batch")]).await;
    let ids: Vec<_> = ["event:job:", "event:transactional:", "event:batch:"].map(str::to_string).to_vec();
    let mut published = Vec::new();
    for prefix in ids {
        published.extend(places(&db, &prefix).await.into_keys().map(|id| id.to_string()));
    }
    let plain = move |_: TitoEvent, queue: TitoQueue| {
        let db = queue.engine.clone();
        async move {
            db.transaction(|tx| {
                let queue = queue.clone();
                async move { queue.publish(follow("plain"), &tx).await.map(drop) }
            })
            .await
        }
    };
    let transactional = move |event: TitoEvent, queue: TitoQueue, tx: Transaction| {
        let rows = rows.clone();
        async move {
            rows.insert(&Row { id: "row".to_string() }, &tx).await?;
            queue.publish(follow("said").caused_by(Cause::other("somebody")), &tx).await?;
            // A task of its own has to be told.
            let (cause, spawned) = (Cause::event(event.id), queue.clone());
            tokio::spawn(async move {
                let publish = |tx: Transaction| {
                    let (queue, cause) = (spawned.clone(), cause.clone());
                    async move {
                        queue.publish(follow("spawned"), &tx).await?;
                        queue.publish(follow("spawned and told").caused_by(cause), &tx).await.map(drop)
                    }
                };
                spawned.engine.transaction(publish).await
            })
            .await
            .unwrap()
        }
    };
    let batch = move |events: Vec<TitoEvent>, queue: TitoQueue, tx: Transaction| async move {
        queue.publish(follow("batch"), &tx).await?;
        queue.publish(follow("batch and told").caused_by(Cause::event(events[0].id)), &tx).await.map(drop)
    };
    let mut harness = Harness::new(&db, &clock)
        .subscribe("job", plain)
        .subscribe("transactional", transactional)
        .subscribe("batch", batch);
    assert_eq!(harness.drain().await.unwrap().len(), 3);
    let [plain, transactional, batch] = <[String; 3]>::try_from(published).unwrap();
    let expected = [
        ("batch", None),
        ("batch and told", Some(batch)),
        ("by nobody", None),
        ("plain", Some(plain)),
        ("row:row", Some(transactional.clone())),
        ("said", Some("somebody".to_string())),
        ("spawned", None),
        ("spawned and told", Some(transactional)),
    ];
    assert_eq!(causes(&db).await, expected.map(|(entity, cause)| (entity.to_string(), cause)));
}

#[fact]
pub async fn the_cause_stays_with_an_event_through_retries_and_groups(db: Database, clock: TestClock) {
    tito_core::event::Topic::ensure(&db, "job", 16).await.unwrap();
    with_group(&db, "audit").await;
    publish(&db, [job("a").caused_by(Cause::other("order 7"))]).await;
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        Subscription::default().retry(RetryPolicy::default().attempts(2)),
        |_: TitoEvent| async { Done::Err(error("no")) },
    );
    harness.drain().await.unwrap();
    let of = |prefix| places_and_causes(db.clone(), prefix);
    let caused = Some("order 7".to_string());
    assert_eq!((of("event:job:").await, of("event:job@audit:").await), (vec![caused.clone()], vec![caused.clone()]));
    harness.advance(Duration::from_secs(60)).await.unwrap();
    assert_eq!(of("dead:job:").await, std::slice::from_ref(&caused));
    TitoQueue::new(db.clone()).redrive_all("job").await.unwrap();
    assert_eq!(of("event:job:").await, [caused]);
}

async fn places_and_causes(db: Database, prefix: &'static str) -> Vec<Option<String>> {
    let stored = stored(&db, prefix).await;
    stored.iter().map(|(key, value)| TitoEvent::decode(key, value).unwrap().causation_id).collect()
}

#[fact]
pub async fn a_kept_event_says_how_it_was_done_and_a_failure_by_whom(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.set_history("job", Some(Duration::from_secs(1_000))).await.unwrap();
    publish(&db, [job("good"), job("bad 17"), job("bad 4")]).await;
    let running = Running::start(Worker::builder(queue.clone()).subscribe("job", |event: TitoEvent| async move {
        match event.entity.as_str() {
            "good" => Ok::<_, TitoError>(Outcome::Done),
            // The texts differ before they are cut, and what is cut off differs too.
            bad => {
                let number = bad.trim_start_matches("bad ");
                Ok(Outcome::DeadLetter(format!("no row {number} {} and {number}", "x".repeat(600))))
            }
        }
    }));
    while stored(&db, "dead:job:").await.len() < 2 || stored(&db, "done:job:").await.is_empty() {
        tokio::task::yield_now().await;
    }
    let worker = keys_of_processes(&db).await;
    running.stop().await;
    let done = queue.history("job", at_second(0)..at_second(i64::MAX), 10, None).await.unwrap().remove(0);
    let done = done.event.unwrap();
    let completion = done.done.as_ref().unwrap();
    assert_eq!((&*completion.outcome, completion.worker), ("done", worker));
    assert!(completion.duration_millis.is_some());
    let letters = queue.dead_letters("job", 10, None).await.unwrap();
    let failures: Vec<FailedAttempt> =
        letters.into_iter().map(|letter| letter.event.unwrap().failures.remove(0)).collect();
    assert_eq!(failures[0].fingerprint, failures[1].fingerprint);
    assert_ne!(failures[0].error, failures[1].error);
    for failure in failures {
        assert_eq!((failure.error.len(), failure.worker, failure.fingerprint.unwrap().len()), (500, worker, 16));
        assert!(failure.duration_millis.is_some());
    }
    // What is replayed is not done.
    queue.replay("job", at_second(0)..at_second(i64::MAX), "job").await.unwrap();
    let replayed = places(&db, "event:job:").await.into_values().next().unwrap().1;
    assert_eq!((replayed.id, replayed.done), (done.id, None));
}

async fn keys_of_processes(db: &Database) -> Option<uuid::Uuid> {
    let (key, _) = stored(db, "process:").await.pop()?;
    tito_worker::keys::parse_process(&key)
}
