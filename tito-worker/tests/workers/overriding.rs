//! Schedules that an operator has changed.

use std::time::Duration;

use tito_core::clock::Clock;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::TestClock;
use tito_worker::prelude::*;
use tito_worker::{Missed, QueueError, Recurrence, Schedule, ScheduleInfo};

use crate::support::*;

const HOUR: u64 = 3_600;

fn second(clock: &TestClock) -> i64 {
    (clock.now_millis() / 1_000) as i64
}

fn every(seconds: u64) -> Schedule {
    Schedule::every("tidy", Duration::from_secs(seconds)).publishes(job("tidy")).missed(Missed::Skip)
}

async fn info(queue: &TitoQueue) -> ScheduleInfo {
    queue.schedules().await.unwrap().remove(0)
}

/// The seconds of the firings that were published.
async fn fired(db: &Database) -> Vec<i64> {
    let events = stored(db, "event:").await;
    let events = events.iter().map(|(key, value)| TitoEvent::decode(key, value).unwrap());
    let mut fired: Vec<_> = events.map(|event| event.headers["tito-scheduled-at"].parse().unwrap()).collect();
    fired.sort_unstable();
    fired
}

async fn fire(db: &Database) {
    Worker::builder(TitoQueue::new(db.clone())).build().drain().await.unwrap();
}

#[fact]
pub async fn an_operators_times_outlive_the_next_deploy(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.put_schedule(every(HOUR)).await.unwrap();
    clock.advance(Duration::from_secs(100));
    let since = second(&clock);
    assert!(queue.override_schedule("tidy", Recurrence::Every { seconds: 600 }).await.unwrap());
    for (deployed, declared) in [(HOUR, HOUR), (2 * HOUR, 2 * HOUR), (2 * HOUR, 2 * HOUR)] {
        let put = queue.put_schedule(every(deployed)).await.unwrap();
        assert_eq!(put, info(&queue).await);
        assert_eq!(put.recurrence, Recurrence::Every { seconds: 600 });
        assert_eq!(put.next, Some(at_second(since + 600)));
        let overridden = put.overridden.unwrap();
        assert_eq!(overridden.declared, Recurrence::Every { seconds: declared });
        assert_eq!(overridden.since, at_second(since));
    }
    clock.advance(Duration::from_secs(600));
    fire(&db).await;
    assert_eq!(fired(&db).await, [since + 600]);
    // The operator changes his mind: the program's word stays what it was.
    let cron = Recurrence::Cron { expression: "0 4 * * *".to_string(), time_zone: "Europe/Berlin".to_string() };
    queue.override_schedule("tidy", cron.clone()).await.unwrap();
    assert_eq!(info(&queue).await.recurrence, cron);
    assert_eq!(info(&queue).await.overridden.unwrap().declared, Recurrence::Every { seconds: 2 * HOUR });
    assert!(queue.clear_schedule_override("tidy").await.unwrap());
    let cleared = info(&queue).await;
    assert_eq!((cleared.recurrence, cleared.overridden), (Recurrence::Every { seconds: 2 * HOUR }, None));
    assert!(cleared.next.unwrap().timestamp() > second(&clock));
    queue.put_schedule(every(HOUR)).await.unwrap();
    assert_eq!(info(&queue).await.recurrence, Recurrence::Every { seconds: HOUR }, "the next deploy is free again");
    assert!(queue.clear_schedule_override("tidy").await.unwrap(), "there is nothing to clear");
}

#[fact]
pub async fn a_pause_outlives_the_next_deploy_and_fires_when_told_to(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.put_schedule(every(HOUR)).await.unwrap();
    queue.pause_schedule("tidy").await.unwrap();
    let paused = queue.put_schedule(every(HOUR)).await.unwrap();
    assert!(paused.paused);
    clock.advance(Duration::from_secs(30));
    let event = queue.fire_now("tidy").await.unwrap().unwrap();
    assert_eq!((event.event_type.as_str(), event.entity.as_str()), ("job", "tidy"));
    assert_eq!(fired(&db).await, [second(&clock)]);
    let after = info(&queue).await;
    assert_eq!((after.next, after.last), (paused.next, Some(at_second(second(&clock)))));
    queue.resume_schedule("tidy").await.unwrap();
    clock.advance_to_wall(after.next.unwrap().timestamp() as u64 * 1_000);
    fire(&db).await;
    assert_eq!(fired(&db).await.len(), 2, "its own firing comes when it would have");
}

#[fact]
pub async fn a_firing_by_hand_does_not_begin_a_schedule(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 1).await.unwrap();
    let begins = at_second(second(&clock) + 10 * 86_400);
    queue.put_schedule(every(HOUR).starts_at(begins)).await.unwrap();
    let before = info(&queue).await;
    queue.fire_now("tidy").await.unwrap().unwrap();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(HOUR));
        fire(&db).await;
    }
    assert_eq!(fired(&db).await.len(), 1);
    let after = info(&queue).await;
    assert_eq!((after.next, after.starts_at), (before.next, before.starts_at));
}

#[fact]
pub async fn what_can_not_be_is_refused_and_changes_nothing(db: Database, _clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.put_schedule(every(HOUR)).await.unwrap();
    let before = stored(&db, "schedule:").await;
    let never = Recurrence::Cron { expression: "0 0 30 2 *".to_string(), time_zone: "UTC".to_string() };
    let nowhere = Recurrence::Cron { expression: "0 0 * * *".to_string(), time_zone: "Mars/Olympus".to_string() };
    for recurrence in [never, nowhere, Recurrence::Every { seconds: 0 }] {
        let error = queue.override_schedule("tidy", recurrence).await.unwrap_err();
        assert!(matches!(&error, QueueError::InvalidSchedule { name, .. } if name == "tidy"), "{error}");
    }
    assert_eq!(stored(&db, "schedule:").await, before);
    assert!(!queue.override_schedule("none", Recurrence::Every { seconds: 1 }).await.unwrap());
    assert!(!queue.clear_schedule_override("none").await.unwrap());
    assert_eq!(queue.fire_now("none").await.unwrap(), None);
}

#[fact]
pub async fn missed_firings_are_counted_whatever_becomes_of_them(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let missed = [Missed::Skip, Missed::Latest, Missed::All];
    for (number, missed) in missed.into_iter().enumerate() {
        let schedule = Schedule::every(format!("{number}"), Duration::from_secs(10)).publishes(job("a")).missed(missed);
        queue.put_schedule(schedule.most_missed(50)).await.unwrap();
    }
    fire(&db).await;
    clock.advance(Duration::from_secs(50));
    fire(&db).await;
    let counted = async || {
        let all = queue.schedules().await.unwrap();
        all.iter().map(|schedule| schedule.missed_firings).collect::<Vec<_>>()
    };
    assert_eq!(counted().await, [0; 3], "these were late");
    // 300 firings, of which the last seven are late.
    clock.advance(Duration::from_secs(3_000));
    fire(&db).await;
    assert_eq!(counted().await, [293; 3]);
    clock.advance(Duration::from_secs(10));
    fire(&db).await;
    assert_eq!(counted().await, [293; 3]);
}
