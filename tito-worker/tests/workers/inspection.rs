//! What there is in a queue.

use std::time::Duration;

use tito_core::clock::Clock;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Counts, FoundIn, PendingState, QueueError};
use tito_worker::{Outcome, RetryPolicy, Subscription};

use crate::support::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Of the topic `job`: five due, four scheduled, two that have failed once, one dead, one done, one that is not an event.
async fn some_of_each(db: &Database, clock: &TestClock) {
    TitoQueue::new(db.clone()).create_topic("job", 2).await.unwrap();
    publish(db, ["retries 1", "retries 2", "dies"].map(job)).await;
    let retry = RetryPolicy::default().jitter(0.0).first_delay(secs(1_000));
    let mut harness = Harness::new(db, clock).subscribe_with(
        "job",
        Subscription::default().retry(retry),
        |event: TitoEvent| async move {
            match event.entity.as_str() {
                "dies" => Ok(Outcome::DeadLetter("no".to_string())),
                _ => Err(error("no")),
            }
        },
    );
    assert_eq!(harness.drain().await.unwrap().len(), 3);
    publish(db, (0..4).map(|number| job(format!("later {number}")).delay(secs(100)))).await;
    publish(db, [job("due 0")]).await;
    clock.advance(secs(7));
    publish(db, (1..5).map(|number| job(format!("due {number}")))).await;
    let (key, value) = stored(db, "event:job:").await.remove(0);
    let place = keys::parse_event(&key).unwrap();
    put(db, keys::done_event("job", place.partition, place.seconds, place.id), value).await;
    put(db, "event:job:0001:0000000001:nonsense", "nonsense").await;
}

#[fact]
pub async fn events_are_counted_by_what_they_wait_for(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    some_of_each(&db, &clock).await;
    let stats = queue.stats("job").await.unwrap();
    let total = stats.total;
    assert_eq!((total.pending, total.due, total.scheduled, total.retrying, total.malformed), (12, 5, 4, 2, 1));
    assert_eq!(
        (total.dead, total.done, total.oldest_due, total.is_capped),
        (1, 1, Some(Duration::from_secs(7)), false)
    );
    assert_eq!((stats.counted_at.timestamp(), stats.is_paused), (seconds(&clock), false));
    assert_eq!(stats.partitions.iter().map(|partition| partition.partition).collect::<Vec<_>>(), [0, 1]);
    let mut sum = Counts::default();
    for partition in &stats.partitions {
        sum += partition.counts;
        let prefix = format!("event:job:{:04}:", partition.partition);
        assert_eq!(partition.counts.pending as usize, stored(&db, &prefix).await.len());
    }
    assert_eq!(sum, total);
    let json = serde_json::to_value(&stats).unwrap();
    assert_eq!((&json["total"]["retrying"], &json["partitions"][1]["partition"]), (&2.into(), &1.into()));
    assert_eq!(json["partitions"][1]["malformed"], 1);

    let unknown = queue.stats("job@audit").await.unwrap_err();
    assert!(matches!(unknown, QueueError::UnknownGroup { .. }), "{unknown}");
    with_group(&db, "audit").await;
    let empty = queue.stats("job@audit").await.unwrap();
    assert_eq!((empty.total, empty.partitions.len()), (Counts::default(), 2));
    assert!(matches!(queue.stats("a:b").await.unwrap_err(), QueueError::Engine(TitoError::InvalidName { .. })));
}

#[fact]
pub async fn what_a_fleet_has_in_hand_is_counted(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).with_foreign_writers().database();
    let queue = TitoQueue::new(db.clone());
    with_group(&db, "audit").await;
    let now = Clock::now_millis(&clock);
    let member = async |number: u128, fleet: &str, heartbeat: u64, in_flight: &str| {
        let id = uuid::Uuid::from_u128(number);
        let row = format!(
            r#"{{"queues":["job"],"heartbeat":{heartbeat},"lease_millis":10000,"started":0,"in_flight":{in_flight}}}"#
        );
        put(&db, keys::member(fleet, id), row).await;
        put(&db, keys::lease("job", number as u16), format!(r#"{{"member":"{id}","fleet":"{fleet}","epoch":1}}"#))
            .await;
    };
    assert_eq!(queue.stats("job").await.unwrap().in_flight, 0);
    member(1, "billing", now, r#"{"job":3,"job@audit":7}"#).await;
    member(2, "billing", now - 9_000, r#"{"job":2}"#).await;
    member(3, "billing", now - 10_000, r#"{"job":100}"#).await;
    member(4, "billing", now, "{}").await;
    put(&db, keys::member("billing", uuid::Uuid::nil()), "nonsense").await;
    put(&db, keys::lease("job", 5), "nonsense").await;
    assert_eq!(queue.stats("job").await.unwrap().in_flight, 5);
    assert_eq!(queue.stats("job@audit").await.unwrap().in_flight, 0, "nobody has a lease of it");
}

#[fact]
pub async fn counting_ends_at_its_bound_and_says_so(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    publish(&db, (0..900).map(job)).await;
    let mut expected = [0; 3];
    for number in 0..900 {
        expected[usize::from(keys::partition_of(&number.to_string(), 3))] += 1;
    }
    let exact: Vec<_> = queue.stats("job").await.unwrap().partitions;
    assert_eq!(exact.iter().map(|partition| partition.counts.pending).collect::<Vec<_>>(), expected);
    let capped = queue.stats_up_to("job", 90).await.unwrap();
    for partition in &capped.partitions {
        assert_eq!((partition.counts.pending, partition.counts.is_capped), (90, true));
    }
    assert_eq!((capped.total.pending, capped.total.is_capped), (270, true));
    let exactly = queue.stats_up_to("job", expected.into_iter().max().unwrap()).await.unwrap();
    assert_eq!((exactly.total.pending, exactly.total.is_capped), (900, false));
}

/// Each partition has its share, and what one does not need is for the others.
#[fact]
pub async fn counting_of_so_many_rows_reads_no_more(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    publish(&db, (0..900).map(job)).await;
    let count = async |rows: usize| {
        let before = db.faults().rows_read();
        let stats = queue.stats_of_rows("job", rows).await.unwrap();
        (stats, db.faults().rows_read() - before)
    };
    let (some, read) = count(90).await;
    assert_eq!((some.total.pending, some.total.is_capped), (90, true));
    assert!(some.partitions.iter().all(|one| one.counts.pending == 30 && one.counts.is_capped), "{some:?}");
    assert!(read <= 90 + 2, "{read}");
    let (none, _) = count(2).await;
    assert_eq!(none.total.pending, 2);
    assert!(none.partitions.iter().all(|one| one.counts.is_capped), "of the last nothing is known");
    let (all, _) = count(10_000).await;
    assert_eq!(all.total, queue.stats("job").await.unwrap().total);
    assert!(!all.total.is_capped);

    // Dead letters, in one partition.
    queue.purge("job").await.unwrap();
    for number in 0..50 {
        let key = keys::dead_event("job", 1, 17, uuid::Uuid::from_u128(number));
        put(&db, key, "{}").await;
    }
    publish(&db, (0..60).map(job)).await;
    let (shared, read) = count(100).await;
    assert_eq!((shared.total.dead, shared.total.pending), (8, 60), "{shared:?}");
    assert!(shared.partitions[1].counts.is_capped && !shared.partitions[0].counts.is_capped);
    assert!(read <= 100 + 2, "{read}");
}

#[fact]
pub async fn pending_events_are_shown_in_pages(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    some_of_each(&db, &clock).await;
    let mut shown = Vec::new();
    loop {
        let after = shown.last().map(|pending: &tito_worker::PendingEvent| pending.key.clone());
        let page = queue.peek("job", 5, after.as_ref()).await.unwrap();
        if page.is_empty() {
            break;
        }
        shown.extend(page);
    }
    let keys: Vec<_> = shown.iter().map(|pending| pending.key.as_bytes().to_vec()).collect();
    assert_eq!(keys, stored(&db, "event:job:").await.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    for pending in &shown {
        let expected = match pending.event.as_ref().map(|event| event.entity.split(' ').next().unwrap()) {
            Some("due") => PendingState::Due,
            Some("later") => PendingState::Scheduled,
            Some("retries") => PendingState::Retrying,
            other => {
                assert_eq!(other, None);
                PendingState::Malformed
            }
        };
        assert_eq!(pending.state, expected);
        assert_eq!(
            pending.due.timestamp() <= seconds(&clock),
            matches!(expected, PendingState::Due | PendingState::Malformed)
        );
    }
    let json = serde_json::to_value(&shown).unwrap();
    let json = json.as_array().unwrap();
    assert!(json.iter().any(|pending| pending["state"] == "retrying" && pending["event"]["attempt"] == 1));
    assert!(json.iter().any(|pending| pending["bytes"] == "nonsense" && pending["event"].is_null()));
}

#[fact]
pub async fn an_event_postponed_in_its_place_counts_as_waiting(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("a")]).await;
    let (key, value) = stored(&db, "event:job:").await.remove(0);
    let again_at = seconds(&clock) + 10;
    let waiting =
        TitoEvent { failed_attempts: 1, not_before: Some(again_at), ..TitoEvent::decode(&key, &value).unwrap() };
    put(&db, key, waiting.encode().unwrap()).await;
    assert_eq!(queue.stats("job").await.unwrap().total.retrying, 1);
    assert_eq!(queue.peek("job", 1, None).await.unwrap()[0].due, at_second(again_at));
    clock.advance(secs(13));
    let total = queue.stats("job").await.unwrap().total;
    assert_eq!((total.due, total.retrying, total.oldest_due), (1, 0, Some(Duration::from_secs(3))));
}

#[fact]
pub async fn an_event_is_found_wherever_it_is(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    with_group(&db, "audit").await;
    let event = {
        let queue = queue.clone();
        db.transaction(|tx| async move { queue.publish(job("a").delay(secs(9)), &tx).await }).await.unwrap()
    };
    let places = |found: Vec<tito_worker::FoundEvent>| {
        found.into_iter().map(|found| (found.queue, found.found_in)).collect::<Vec<_>>()
    };
    let scheduled = FoundIn::Pending(PendingState::Scheduled);
    let both = [("job".to_string(), scheduled), ("job@audit".to_string(), scheduled)];
    assert_eq!(places(queue.find(&event).await.unwrap()), both);
    assert_eq!(places(queue.find_by_id("job", event.id).await.unwrap()), both);
    let mut harness = Harness::new(&db, &clock)
        .subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(Outcome::DeadLetter("no".to_string())) });
    harness.advance(secs(9)).await.unwrap();
    let due = ("job@audit".to_string(), FoundIn::Pending(PendingState::Due));
    assert_eq!(places(queue.find(&event).await.unwrap()), std::slice::from_ref(&due));
    let (key, value) = stored(&db, "event:job@audit:").await.remove(0);
    let place = keys::parse_event(&key).unwrap();
    put(&db, keys::done_event("job@audit", place.partition, place.seconds, place.id), value).await;
    let found = queue.find_by_id("job", event.id).await.unwrap();
    assert_eq!(found[0].event.as_ref().unwrap().failures.len(), 1);
    let all = [("job".to_string(), FoundIn::Dead), due, ("job@audit".to_string(), FoundIn::Done)];
    assert_eq!(places(found), all);
    assert_eq!(queue.find_by_id("job", uuid::Uuid::nil()).await.unwrap().len(), 0);
    let of_a_group = queue.find_by_id("job@audit", event.id).await.unwrap_err();
    assert!(matches!(of_a_group, QueueError::Engine(TitoError::InvalidName { .. })), "{of_a_group}");
}

#[fact]
pub async fn pending_events_are_purged_by_choice_and_in_any_number(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    some_of_each(&db, &clock).await;
    with_group(&db, "audit").await;
    publish(&db, (0..450).map(job)).await;
    let purged = queue.purge_where("job", |event| event.entity.starts_with("later")).await.unwrap();
    assert_eq!((purged, queue.stats("job").await.unwrap().total.scheduled), (4, 0));
    assert_eq!(queue.purge("job").await.unwrap(), 458);
    assert_eq!(queue.purge("job").await.unwrap(), 0);
    let total = queue.stats("job").await.unwrap().total;
    assert_eq!((total.pending, total.dead, total.done), (0, 1, 1));
    assert_eq!(queue.stats("job@audit").await.unwrap().total.pending, 450, "a group's queue is another");
}
