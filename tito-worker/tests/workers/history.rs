//! Events that are done and kept, and what deletes them.

use std::time::Duration;

use tito_core::Timestamp;
use tito_core::event::{TitoEvent, Topic, event_id};
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::Unique;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{QueueError, Replayed, Swept};
use uuid::Uuid;

use crate::support::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An event as it lies in history.
fn event(number: u32, entity: &str, timestamp: i64) -> TitoEvent {
    let id = event_id(Timestamp::from_millis(1_000_000), number, 0);
    let text = format!(
        r#"{{"id":"{id}","type":"job","entity":"{entity}","action":"a","timestamp":{timestamp},"attempt":3,
        "failures":[{{"attempt":3,"timestamp":1,"error":"no"}}],"progress":17}}"#
    );
    TitoEvent::decode(b"event", text.as_bytes()).unwrap()
}

/// Stores an event as one that a queue has done at a second.
async fn done(db: &Database, queue: &str, partition: u16, second: i64, event: &TitoEvent) {
    put(db, keys::done_event(queue, partition, second, event.id), event.encode().unwrap()).await;
}

async fn with_topic(db: &Database) {
    Topic::ensure(db, "job", 16).await.unwrap();
}

async fn keep_history(db: &Database, history_seconds: u64) {
    with_topic(db).await;
    Topic::change(db, "job", |topic, _| async move { Ok(Some(Topic { history_seconds, ..topic })) }).await.unwrap();
}

fn ids(handled: &[tito_testkit::Handled]) -> Vec<Uuid> {
    handled.iter().map(|handled| handled.event.id).collect()
}

#[fact]
pub async fn history_is_read_in_pages_by_partition_and_second(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    with_topic(&db).await;
    let mut expected = Vec::new();
    for partition in [0, 3, 40, 9_999] {
        for second in 100..110 {
            let event = event(u32::from(partition) * 100 + second as u32, "a", second);
            done(&db, "job", partition, second, &event).await;
            if (102..107).contains(&second) {
                expected.push((second, event.id));
            }
        }
    }
    done(&db, "job@audit", 0, 103, &event(1, "other queue", 103)).await;
    done(&db, "job2", 0, 103, &event(1, "other topic", 103)).await;
    put(&db, "done:job:0003:0000000104:nonsense", "nonsense").await;
    put(&db, "done:job:nonsense", "nonsense").await;
    let mut read = Vec::new();
    loop {
        let after = read.last().map(|event: &tito_worker::DoneEvent| event.key.clone());
        let page = queue.history("job", at_second(102)..at_second(107), 4, after.as_ref()).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 4);
        read.extend(page);
    }
    let events: Vec<_> =
        read.iter().filter_map(|done| Some((done.done_at.timestamp(), done.event.as_ref()?.id))).collect();
    assert_eq!(events, expected);
    assert_eq!((read.len(), read.iter().filter(|done| done.event.is_none()).count()), (21, 1));
    let json = serde_json::to_value(read.iter().find(|done| done.event.is_none()).unwrap()).unwrap();
    assert_eq!((&json["bytes"], &json["key"]), (&"nonsense".into(), &"done:job:0003:0000000104:nonsense".into()));
    let reversed = std::ops::Range { start: at_second(107), end: at_second(102) };
    assert_eq!(queue.history("job", reversed, 10, None).await.unwrap().len(), 0);
    assert_eq!(queue.history("job", at_second(i64::MIN)..at_second(i64::MAX), 1_000, None).await.unwrap().len(), 41);
}

#[fact]
pub async fn what_is_replayed_is_handled_again_in_the_old_order_of_its_entity(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let begin = seconds(&clock);
    let queue = TitoQueue::new(db.clone());
    // Handled in the order of their times and not of their ids; what was retried was done last.
    let events = [event(3, "a", begin - 30), event(1, "a", begin - 20), event(2, "a", begin - 10)];
    for (event, second) in events.iter().zip([begin - 5, begin - 9, begin - 9]) {
        done(&db, "job", 0, second, event).await;
    }
    done(&db, "job", 0, begin - 2, &event(9, "a", begin - 2)).await;
    publish(&db, [job("a")]).await;
    let revision = revision(&db).await;

    let replayed = queue.replay("job", at_second(begin - 9)..at_second(begin - 4), "job").await.unwrap();
    assert_eq!((replayed.events, replayed.skipped), (3, 0));
    assert_eq!(self::revision(&db).await, revision + 1, "workers have to read what lies behind them");
    let again = queue.replay("job", at_second(begin - 9)..at_second(begin - 4), "job").await.unwrap();
    assert_eq!((again.events, again.skipped), (0, 3), "they are there already");
    assert_eq!(self::revision(&db).await, revision + 1);

    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    assert_eq!(ids(&handled[..3]), events.each_ref().map(|event| event.id));
    assert_eq!(handled.len(), 4, "and then what is new");
    let first = &handled[0].event;
    assert_eq!((first.failed_attempts, first.failures.len(), first.progress::<u32>().unwrap()), (0, 0, None));
    assert_eq!(queue.history("job", at_second(0)..at_second(begin), 10, None).await.unwrap().len(), 4, "history stays");
}

async fn revision(db: &Database) -> u64 {
    let tx = db.begin().await.unwrap();
    Topic::read(&tx, "job").await.unwrap().revision
}

#[fact]
pub async fn a_replay_passes_over_what_is_to_be_done_anyway(db: Database, clock: TestClock) {
    let begin = seconds(&clock);
    let queue = TitoQueue::new(db.clone());
    with_group(&db, "audit").await;
    publish(&db, (0..3).map(job)).await;
    for (key, value) in stored(&db, "event:job:").await {
        let place = keys::parse_event(&key).unwrap();
        let event = TitoEvent::decode(&key, &value).unwrap();
        done(&db, "job", place.partition, begin, &event).await;
        if event.entity == "1" {
            // A retry has moved it.
            let key = keys::event("job@audit", place.partition, begin, event.id);
            let moved = keys::event("job@audit", place.partition, begin + 99, event.id);
            db.transaction(|tx| async move {
                tx.system_keys().delete(key).await?;
                tx.system_keys().put(moved, value).await
            })
            .await
            .unwrap();
        }
    }
    done(&db, "job", 1, begin, &event(1, "from before the group", begin - 50)).await;
    put(&db, keys::done_event("job", 1, begin, Uuid::nil()), "nonsense").await;
    let replayed = queue.replay("job", at_second(0)..at_second(begin + 1), "job@audit").await.unwrap();
    assert_eq!((replayed.events, replayed.skipped), (1, 4));
    let mut entities = entities(&db, "event:job@audit:").await;
    entities.sort();
    assert_eq!(entities, ["0", "1", "2", "from before the group"]);
}

#[fact]
pub async fn a_replay_into_a_queue_that_is_none_of_the_topic_is_refused(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    with_group(&db, "audit").await;
    for into in ["job@unknown", "other", "other@audit", "job@", ""] {
        let refused = queue.replay("job", at_second(0)..at_second(1), into).await.unwrap_err();
        assert!(matches!(refused, QueueError::Engine(TitoError::InvalidName { .. })), "{into:?}: {refused:?}");
    }
    let gone = queue.replay("job@gone", at_second(0)..at_second(1), "job@audit").await.unwrap_err();
    assert!(matches!(gone, QueueError::UnknownGroup { .. }), "{gone}");
    assert_eq!(queue.replay("job@audit", at_second(0)..at_second(1), "job").await.unwrap(), Replayed::default());
}

#[fact]
pub async fn a_replay_goes_on_after_an_error_and_repeats_nothing(db: Database, clock: TestClock) {
    with_topic(&db).await;
    let inner = db.clone();
    let db = FaultEngine::new(db).database();
    let begin = seconds(&clock);
    for number in 0..650_u32 {
        let event = event(number, &number.to_string(), begin - 100 + i64::from(number % 7));
        done(&inner, "job", (number % 16) as u16, begin - i64::from(number % 90), &event).await;
    }
    let queue = TitoQueue::new(db.clone());
    let mut replay = queue.replaying("job", at_second(0)..at_second(i64::MAX), "job").await.unwrap();
    assert!(replay.step().await.unwrap());
    let mut failures = 0;
    for fault in 0..4 {
        let rule = db.faults().at(Call::Commit).key_prefix("event:");
        match fault % 2 {
            0 => rule.storage_error(),
            _ => rule.unknown_after_effect(),
        };
        failures += u32::from(replay.step().await.is_err());
        replay.step().await.unwrap();
    }
    assert_eq!(failures, 4);
    while replay.step().await.unwrap() {}
    let so_far = replay.so_far();
    assert_eq!(so_far.events + so_far.skipped, 650);
    let mut harness = Harness::new(&inner, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let mut handled = ids(&harness.drain().await.unwrap());
    handled.sort();
    handled.dedup();
    assert_eq!((handled.len(), harness.report().done), (650, 650));
}

#[fact]
pub async fn what_was_kept_long_enough_is_swept_in_any_number(db: Database, clock: TestClock) {
    clock.must_stand_still();
    keep_history(&db, 60).await;
    with_group(&db, "audit").await;
    let begin = seconds(&clock);
    let queue = TitoQueue::new(db.clone());
    for number in 0..450_u32 {
        let second = if number < 430 { begin - 61 } else { begin - 60 };
        done(&db, "job", (number % 2) as u16 * 30, second, &event(number, "a", second)).await;
    }
    done(&db, "job@audit", 1, begin - 61, &event(1, "a", 1)).await;
    put(&db, "done:job:0030:0000000007:nonsense", "nonsense").await;
    put(&db, "done:job:nonsense", "nonsense").await;
    put(&db, keys::unique_event("job", "nonsense"), "nonsense").await;
    for number in 0..410_u64 {
        let queue = queue.clone();
        let unique = Unique::key(number.to_string()).window(if number < 405 { secs(1) } else { secs(2) });
        db.transaction(|tx| async move { queue.publish_unique(job(number), unique, &tx).await }).await.unwrap();
    }
    assert_eq!(queue.sweep_once("job").await.unwrap(), swept(431, 0));
    clock.advance(secs(1));
    assert_eq!(queue.sweep_once("job@audit").await.unwrap(), swept(1, 405));
    assert_eq!(queue.sweep_once("job").await.unwrap(), swept(20, 0));
    assert_eq!(queue.sweep_once("job").await.unwrap(), swept(0, 0));
    assert_eq!(
        (stored(&db, "done:").await.len(), stored(&db, "dedup:").await.len()),
        (1, 6),
        "what is young or nonsense"
    );
    assert_eq!(stored(&db, "event:job:").await.len(), 410);
}

fn swept(done: u64, unique: u64) -> Swept {
    let mut swept = Swept::default();
    (swept.done, swept.unique) = (done, unique);
    swept
}

#[fact]
pub async fn a_sweep_gives_way_to_other_transactions(db: Database, clock: TestClock) {
    with_topic(&db).await;
    let inner = db.clone();
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    done(&inner, "job", 0, seconds(&clock) - 1, &event(1, "a", 1)).await;
    db.faults().at(Call::Commit).key_prefix("done:").conflict();
    assert_eq!(queue.sweep_once("job").await.unwrap(), swept(0, 0));
    assert_eq!(queue.sweep_once("job").await.unwrap(), swept(1, 0));
}
