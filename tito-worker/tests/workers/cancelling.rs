//! Events that are cancelled, or put to another time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::{EventReference, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{Gate, Harness, TestClock};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Order, Published, QueueError, RetryPolicy, Subscription, Unique};

use crate::support::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn publish_one(db: &Database, event: Publish) -> EventReference {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| async move { queue.publish(event, &tx).await }).await.unwrap()
}

async fn cancel(db: &Database, event: &EventReference) -> bool {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| async move { queue.cancel(event, &tx).await }).await.unwrap()
}

async fn reschedule(db: &Database, event: &EventReference, seconds: i64) -> Option<EventReference> {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| async move { queue.reschedule(event, at_second(seconds), &tx).await }).await.unwrap()
}

#[fact]
pub async fn a_cancelled_event_is_in_no_queue_and_is_not_handled(db: Database, clock: TestClock) {
    with_group(&db, "audit").await;
    let cancelled = publish_one(&db, job("cancelled").delay(secs(5))).await;
    let kept = publish_one(&db, job("kept").delay(secs(5))).await;
    assert!(cancel(&db, &cancelled).await);
    assert!(!cancel(&db, &cancelled).await, "it is gone");
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.advance(secs(5)).await.unwrap();
    assert_eq!(handled.iter().map(|handled| handled.event.id).collect::<Vec<_>>(), [kept.id]);
    assert_eq!(entities(&db, "event:job@audit:").await, ["kept"]);
    assert!(cancel(&db, &kept).await, "the group has not done it");
    assert!(!cancel(&db, &kept).await);
    assert_eq!(reschedule(&db, &kept, 0).await, None);
    let unknown = EventReference { event_type: "unknown".to_string(), ..kept };
    let tx = db.begin().await.unwrap();
    let refused = TitoQueue::new(db.clone()).cancel(&unknown, &tx).await.unwrap_err();
    assert!(matches!(QueueError::from(refused.clone()), QueueError::UnknownTopic { .. }), "{refused}");
}

#[fact]
pub async fn a_cancellation_that_is_rolled_back_cancels_nothing(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let event = publish_one(&db, job("a")).await;
    let tx = db.begin().await.unwrap();
    assert!(queue.cancel(&event, &tx).await.unwrap());
    tx.rollback().await;
    assert_eq!(entities(&db, "event:").await, ["a"]);
    let tx = db.begin().await.unwrap();
    let own = queue.publish(job("b"), &tx).await.unwrap();
    assert!(queue.cancel(&own, &tx).await.unwrap(), "of the same transaction");
    tx.commit().await.unwrap();
    assert_eq!(entities(&db, "event:").await, ["a"]);
}

#[fact]
pub async fn an_event_is_handled_at_its_new_time(db: Database, clock: TestClock) {
    let begin = seconds(&clock);
    let event = publish_one(&db, job("a").delay(secs(100))).await;
    let later = reschedule(&db, &event, begin + 200).await.unwrap();
    assert_eq!(later, EventReference { timestamp: begin + 200, ..event.clone() });
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.advance(secs(150)).await.unwrap().len(), 0);

    let at_once = reschedule(&db, &later, 0).await.unwrap();
    assert_eq!(at_once.timestamp, begin + 150, "never before the transaction");
    // From before both moves, so that it lies earlier than it says.
    assert_eq!(reschedule(&db, &later, begin + 160).await.unwrap().timestamp, begin + 160);
    assert_eq!(harness.advance(secs(9)).await.unwrap().len(), 0);
    let handled = harness.advance(secs(1)).await.unwrap();
    assert_eq!((handled.len(), handled[0].event.reference().timestamp), (1, begin + 160));
    assert_eq!(reschedule(&db, &event, 0).await, None);
}

#[fact]
pub async fn a_running_worker_is_woken_by_an_event_that_is_put_to_the_present(db: Database, _: TestClock) {
    let event = publish_one(&db, job("a").delay(secs(3_600))).await;
    let (builder, mut told) = telling(&db);
    let running = Running::start(builder);
    // Ends once the worker has read its partitions.
    publish(&db, [job("first")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "first");
    reschedule(&db, &event, 0).await.unwrap();
    assert_eq!(told.recv().await.unwrap().id, event.id);
    assert_eq!(running.stop().await.done, 2);
}

/// What a running worker of strict order hands out next, with its attempt, when something is done to the failed event
/// of an entity, behind which another one waits.
async fn handed_out_after(
    db: &Database,
    events: usize,
    change: impl AsyncFnOnce(EventReference),
) -> Vec<(String, u32)> {
    let retry = RetryPolicy::default().jitter(0.0).first_delay(secs(3_600));
    let strict = Subscription::default().order(Order::Strict).retry(retry);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let builder = Worker::builder(TitoQueue::new(db.clone()));
    let running = Running::start(builder.subscribe_with("job", strict, move |event: TitoEvent| {
        let tell = tell.clone();
        async move {
            let fails = event.action == "fails" && event.failed_attempts == 0;
            let _ = tell.send(event);
            if fails { Err(error("no")) } else { Ok(()) }
        }
    }));
    let failing = publish_one(db, job("a").action("fails")).await;
    publish(db, [job("a").action("waits")]).await;
    assert_eq!(told.recv().await.unwrap().id, failing.id);
    while places(db, "event:job:").await[&failing.id].1.failed_attempts == 0 {
        tokio::task::yield_now().await;
    }
    // Ends once the worker has read what waits.
    publish(db, [job("b")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "b");
    change(failing).await;
    let mut handed_out = Vec::new();
    for _ in 0..events {
        let event = told.recv().await.unwrap();
        handed_out.push((event.action, event.failed_attempts));
    }
    running.stop().await;
    handed_out
}

fn waits() -> (String, u32) {
    ("waits".to_string(), 0)
}

#[fact]
pub async fn what_waits_behind_a_failed_event_goes_on_when_it_is_taken_away(db: Database, _: TestClock) {
    with_one_partition(&db).await;
    let cancelled = async |failing: EventReference| assert!(cancel(&db, &failing).await);
    assert_eq!(handed_out_after(&db, 1, cancelled).await, [waits()]);
    let purged = async |failing: EventReference| {
        let chosen = TitoQueue::new(db.clone()).purge_where("job", |event| event.id == failing.id).await;
        assert_eq!(chosen.unwrap(), 1);
    };
    assert_eq!(handed_out_after(&db, 1, purged).await, [waits()]);
    let postpone = async |failing: EventReference| {
        assert!(reschedule(&db, &failing, failing.timestamp + 1_000).await.is_some());
    };
    assert_eq!(handed_out_after(&db, 1, postpone).await, [waits()]);
    assert_eq!(stored(&db, "event:").await.len(), 1);
}

#[fact]
pub async fn what_takes_the_place_of_a_failed_event_does_not_wait_for_it(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let queue = TitoQueue::new(db.clone());
    let replaced = async |failing: EventReference| {
        let row = serde_json::json!({ "event": failing, "until": seconds(&clock) + 60 }).to_string();
        put(&db, keys::unique_event("job", "k"), row).await;
        let queue = queue.clone();
        let replace = |tx: Transaction| async move {
            queue.publish_unique(job("a").action("new"), Unique::key("k").replace(), &tx).await
        };
        let published = db.transaction(replace).await.unwrap();
        assert!(matches!(published, Published::Replaced { .. }), "{published:?}");
    };
    assert_eq!(handed_out_after(&db, 2, replaced).await, [waits(), ("new".to_string(), 0)]);
}

#[fact]
pub async fn a_failed_event_that_kept_its_place_is_handed_out_at_its_new_time(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let hastened = async |failing: EventReference| {
        clock.advance(secs(10));
        assert!(reschedule(&db, &failing, 0).await.is_some());
    };
    // Where its new time puts it among the events of its entity.
    assert_eq!(handed_out_after(&db, 2, hastened).await, [waits(), ("fails".to_string(), 1)]);
}

#[fact]
pub async fn a_failed_event_is_found_by_its_reference_and_keeps_its_attempts(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let begin = seconds(&clock);
    // More than a page of the search before it and after it.
    publish(&db, (0..250).map(|number| job(number).delay(secs(5)))).await;
    let event = publish_one(&db, job("fails")).await;
    publish(&db, (0..250).map(|number| job(number).delay(secs(5_000)))).await;
    let retry = RetryPolicy::default().attempts(2).jitter(0.0).first_delay(secs(1_000));
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        Subscription::default().retry(retry),
        |event: TitoEvent| async move { if event.entity == "fails" { Err(error("no")) } else { Ok(()) } },
    );
    assert_eq!(harness.drain().await.unwrap().len(), 1);
    let moved = reschedule(&db, &event, begin + 3).await.unwrap();
    let handled = harness.advance(secs(3)).await.unwrap();
    assert_eq!((handled.len(), handled[0].event.failed_attempts), (1, 1));
    assert_eq!(harness.report().dead, 1, "it was the last attempt");
    assert!(!cancel(&db, &moved).await, "a dead letter stays");
}

#[fact]
pub async fn an_event_that_was_postponed_in_its_place_is_handed_out_at_its_new_time(db: Database, clock: TestClock) {
    let begin = seconds(&clock);
    let event = publish_one(&db, job("a")).await;
    let (key, value) = stored(&db, "event:job:").await.remove(0);
    let waiting = TitoEvent { not_before: Some(begin + 500), ..TitoEvent::decode(&key, &value).unwrap() };
    put(&db, key.clone(), waiting.encode().unwrap()).await;
    assert_eq!(reschedule(&db, &event, begin).await.unwrap(), event);
    let (same_key, value) = stored(&db, "event:job:").await.remove(0);
    assert_eq!((&same_key, TitoEvent::decode(&key, &value).unwrap().not_before), (&key, None));
}

#[fact]
pub async fn events_are_found_while_the_number_of_partitions_changes(db: Database, _: TestClock) {
    TitoQueue::new(db.clone()).create_topic("job", 3).await.unwrap();
    let mut events = Vec::new();
    for number in 0..20 {
        events.push(publish_one(&db, job(number)).await);
    }
    Topic::change(
        &db,
        "job",
        |topic, _| async move { Ok(Some(Topic { partitions: 7, resized_from: Some(3), ..topic })) },
    )
    .await
    .unwrap();
    for event in &events[..10] {
        assert!(cancel(&db, event).await);
    }
    for event in &events[10..] {
        let moved = reschedule(&db, event, event.timestamp + 60).await.unwrap();
        let key = keys::event("job", keys::partition_of(&event.entity, 7), moved.timestamp, event.id);
        assert_eq!(stored(&db, std::str::from_utf8(&key).unwrap()).await.len(), 1, "where it belongs by now");
    }
    assert_eq!(stored(&db, "event:").await.len(), 10);
}

#[fact]
pub async fn times_out_of_range_are_the_nearest_and_bytes_that_are_no_event_are_refused(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let event = publish_one(&db, job("a")).await;
    let tx = db.begin().await.unwrap();
    for time in [-1, 10_000_000_000, -5_000_000_000, 8_000_000_000_000] {
        let moved = queue.reschedule(&event, at_second(time), &tx).await.unwrap().unwrap();
        assert_eq!(moved.timestamp, if time < 0 { tx.now().seconds() } else { 9_999_999_999 });
        queue.reschedule(&moved, at_second(event.timestamp), &tx).await.unwrap();
    }
    let half = at_second(5_000_000_000) + Duration::from_millis(500);
    assert_eq!(queue.reschedule(&event, half, &tx).await.unwrap().unwrap().timestamp, 5_000_000_001);
    tx.rollback().await;
    let key = stored(&db, "event:").await.remove(0).0;
    put(&db, key, "nonsense").await;
    let tx = db.begin().await.unwrap();
    let refused = queue.reschedule(&event, at_second(0), &tx).await.unwrap_err();
    assert!(refused.to_string().contains("event:job:"), "{refused}");
    tx.rollback().await;
    assert!(cancel(&db, &event).await, "whatever is stored there");
    assert_eq!(stored(&db, "event:").await.len(), 0);
}

#[fact]
pub async fn a_unique_event_is_cancelled_and_rescheduled_by_its_key(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let begin = seconds(&clock);
    let unique = || Unique::key("a:b").window(secs(100));
    let (published, moved) = {
        let queue = queue.clone();
        db.transaction(|tx| async move {
            let published = queue.publish_unique(job("a").delay(secs(50)), unique(), &tx).await?;
            let moved = queue.reschedule_unique("job", "a:b", at_second(begin + 80), &tx).await?;
            Ok((published, moved))
        })
        .await
        .unwrap()
    };
    assert_eq!(moved.unwrap(), EventReference { timestamp: begin + 80, ..published.event().clone() });
    clock.advance(secs(60));
    let tx = db.begin().await.unwrap();
    assert!(!queue.cancel_unique("job", "other", &tx).await.unwrap());
    assert_eq!(queue.reschedule_unique("job", "other", at_second(1), &tx).await.unwrap(), None);
    assert!(queue.cancel_unique("job", "a:b", &tx).await.unwrap());
    assert!(!queue.cancel_unique("job", "a:b", &tx).await.unwrap());
    let again = queue.publish_unique(job("b"), unique(), &tx).await.unwrap();
    assert!(matches!(again, Published::New(_)), "the key is free again");
    tx.commit().await.unwrap();
    assert_eq!(entities(&db, "event:").await, ["b"]);

    clock.advance(secs(100));
    let tx = db.begin().await.unwrap();
    assert!(!queue.cancel_unique("job", "a:b", &tx).await.unwrap(), "its window has ended");
    assert_eq!(queue.reschedule_unique("job", "a:b", at_second(1), &tx).await.unwrap(), None);
}

#[fact]
pub async fn the_outcome_of_an_event_that_is_cancelled_while_it_is_handled_is_not_recorded(
    db: Database,
    clock: TestClock,
) {
    let event = publish_one(&db, job("a")).await;
    let gate = Gate::new();
    let mut harness = {
        let gate = gate.clone();
        Harness::new(&db, &clock).subscribe("job", move |_: TitoEvent| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Done::Err(error("it would be tried again"))
            }
        })
    };
    let draining = tokio::spawn(async move { (harness.drain().await, harness) });
    gate.arrivals(1).await;
    assert!(cancel(&db, &event).await);
    gate.open();
    let (drained, harness) = draining.await.unwrap();
    assert_eq!(drained.unwrap().len(), 1);
    assert_eq!((harness.report().elsewhere, harness.report().retried), (1, 0));
    assert_eq!(stored(&db, "event:").await.len() + stored(&db, "dead:").await.len(), 0);
}

/// Either the handler's effect or the cancellation, whoever comes first.
#[fact]
pub async fn an_event_is_either_cancelled_or_has_its_effect(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    for round in 0..20 {
        let event = publish_one(&db, job(round)).await;
        let begun = Arc::new(AtomicBool::new(false));
        let handler = {
            let begun = begun.clone();
            move |_: TitoEvent, tx: Transaction| {
                begun.store(true, Ordering::SeqCst);
                async move {
                    for _ in 0..round % 4 {
                        tokio::task::yield_now().await;
                    }
                    count(&tx, format!("effect:{round:02}")).await
                }
            }
        };
        let mut harness = Harness::new(&db, &clock).subscribe_with("job", Subscription::default(), handler);
        // The first cancellation comes before the handler and the last one after it; those between meet it.
        let early = if round == 0 { Some(cancel(&db, &event).await) } else { None };
        let draining = tokio::spawn(async move { harness.drain().await });
        let (is_cancelled, drained) = match (early, round) {
            (Some(is_cancelled), _) => (is_cancelled, draining.await),
            (None, 19) => {
                let drained = draining.await;
                (cancel(&db, &event).await, drained)
            }
            (None, _) => {
                while round % 3 > 0 && !begun.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
                let is_cancelled = cancel(&db, &event).await;
                (is_cancelled, draining.await)
            }
        };
        drained.unwrap().unwrap();
        let effects = counts(&db, &format!("effect:{round:02}")).await;
        assert_eq!(effects, if is_cancelled { vec![] } else { vec![1] }, "round {round}");
        assert!(round != 0 || is_cancelled);
        assert!(round != 19 || !is_cancelled);
    }
    assert_eq!(stored(&db, "event:").await.len(), 0);
}
