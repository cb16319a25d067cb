//! When events are handled.

use std::time::Duration;

use tito_core::clock::Clock;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::Outcome;
use tito_worker::keys;
use tito_worker::prelude::*;

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

#[fact]
pub async fn an_event_is_handled_at_its_second_and_not_a_millisecond_before(db: Database, clock: TestClock) {
    publish(&db, [job("a").delay(HOUR)]).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 0);
    assert_eq!(harness.advance(HOUR - MILLISECOND).await.unwrap().len(), 0);
    assert_eq!(harness.advance(MILLISECOND).await.unwrap().len(), 1);
}

#[fact]
pub async fn a_running_worker_sleeps_exactly_until_the_next_event(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    publish(&db, [job("now")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "now");
    let soon = clock.now_millis() + 5_000;
    publish(&db, [job("soon").delay(Duration::from_secs(5))]).await;
    // A worker with other writers beside it also wakes up in between, to look for their events.
    while clock.now_millis() < soon {
        let next = clock.waited_for().await;
        assert!(told.try_recv().is_err(), "handed out at {} and not at {soon}", clock.now_millis());
        clock.advance_to(next.min(soon));
        tokio::task::yield_now().await;
    }
    assert_eq!(told.recv().await.unwrap().entity, "soon");
    assert_eq!(running.stop().await.done, 2);
}

#[fact]
pub async fn a_publisher_in_the_same_process_wakes_the_worker_while_the_clock_stands_still(
    db: Database,
    clock: TestClock,
) {
    clock.must_stand_still();
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    for number in 0..50 {
        publish(&db, [job(number)]).await;
        assert_eq!(told.recv().await.unwrap().entity, number.to_string());
    }
    assert_eq!(running.stop().await.done, 50);
}

#[fact]
pub async fn events_of_other_processes_are_found_by_polling(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).with_foreign_writers().database();
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    for number in 0..20 {
        publish(&db, [job(number)]).await;
        let event = loop {
            tokio::select! {
                event = told.recv() => break event.unwrap(),
                next = clock.waited_for() => clock.advance_to(next.min(clock.monotonic_millis() + 500)),
            }
        };
        assert_eq!(event.entity, number.to_string());
    }
    running.stop().await;
}

#[fact]
pub async fn a_poll_of_an_idle_partition_costs_one_scan(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).with_foreign_writers().database();
    with_one_partition(&db).await;
    let (worker, _told) = telling(&db);
    let running = Running::start(worker.schedules(false));
    clock.waited_for().await;
    db.faults().reset_counts();
    let polls = 100;
    let begin = clock.now_millis();
    for _ in 0..polls {
        clock.advance_to(clock.waited_for().await);
    }
    clock.waited_for().await;
    // A sign of life comes each ten seconds by the machine's clock, and is all that commits here.
    let signs = db.faults().count(Call::Commit);
    assert_eq!([Call::Begin, Call::Scan, Call::Get].map(|call| db.faults().count(call)), [polls + signs, polls, signs]);
    let millis = clock.now_millis() - begin;
    assert!(millis > polls * 200, "{polls} polls in {millis} ms: they don't back off");
    running.stop().await;
}

#[fact]
pub async fn a_slow_read_does_not_delay_what_is_published_after_it(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    let slow = db.faults().at(Call::Scan).nth(1).hold();
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker.schedules(false));
    slow.arrivals(1).await;
    clock.advance(Duration::from_secs(5));
    slow.open();
    clock.waited_for().await;
    publish(&db, [job("a")]).await;
    let found = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
    assert_eq!(found.expect("found while the clock stands still").unwrap().entity, "a");
    running.stop().await;
}

#[fact]
pub async fn a_clock_that_jumps_back_delays_nothing_that_is_due_at_once(db: Database, clock: TestClock) {
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    publish(&db, [job("before")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "before");
    clock.advance(HOUR);
    publish(&db, [job("an hour later")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "an hour later");
    clock.set(clock.now_millis() - 7_200_000);
    publish(&db, [job("after")]).await;
    assert_eq!(told.recv().await.unwrap().entity, "after");
    running.stop().await;
}

#[fact]
pub async fn a_worker_that_polls_goes_on_when_the_clock_jumps_back(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).with_foreign_writers().database();
    with_one_partition(&db).await;
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    clock.waited_for().await;
    let before = clock.now_millis();
    clock.set(before - 7_200_000);
    publish(&db, [job("after")]).await;
    let event = loop {
        tokio::select! {
            event = told.recv() => break event.unwrap(),
            () = tokio::task::yield_now() => clock.advance(MILLISECOND),
        }
        assert!(clock.now_millis() < before, "found only when the clock was where it had been");
    };
    assert_eq!(event.entity, "after");
    running.stop().await;
}

#[fact]
pub async fn a_clock_that_jumps_forward_makes_everything_due_that_it_passes(db: Database, clock: TestClock) {
    publish(&db, (1..=100u32).map(|hours| job(hours).delay(HOUR * hours))).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.advance(HOUR * 60).await.unwrap().len(), 60);
    assert_eq!(harness.advance(HOUR * 40).await.unwrap().len(), 40);
}

/// Transactions are held open while others commit and the worker's cursor moves past them; nothing tells of their
/// commits.
#[fact]
pub async fn late_commits_are_found_by_reading_the_past_again(db: Database, clock: TestClock) {
    let seed = tito_testkit::seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let db = FaultEngine::new(db).with_foreign_writers().database();
    with_one_partition(&db).await;
    let queue = TitoQueue::new(db.clone());
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    let mut held = Vec::new();
    let mut published = 0;
    for step in 0..300u64 {
        let tx = db.begin().await.unwrap();
        queue.publish(job(format!("late-{step}")), &tx).await.unwrap();
        held.push((clock.now_millis() + random.u64(0..29_400), tx));
        publish(&db, [job(format!("prompt-{step}"))]).await;
        published += 2;
        let mut now = clock.now_millis();
        let until = now + random.u64(1..2_000);
        // In steps as the worker asks for them, so that it reads as often as it wants to.
        while now < until {
            now = clock.waited_for().await.clamp(now + 1, until);
            clock.advance_to(now);
            tokio::task::yield_now().await;
            let (due, rest): (Vec<_>, Vec<_>) = held.drain(..).partition(|(at, _)| *at <= now);
            held = rest;
            for (_, tx) in due {
                tx.commit().await.unwrap();
            }
        }
    }
    for (_, tx) in held {
        tx.commit().await.unwrap();
    }
    let mut missing = published;
    let deadline = clock.now_millis() + 60_000;
    while missing > 0 {
        tokio::select! {
            biased;
            event = told.recv() => { event.unwrap(); missing -= 1; }
            next = clock.waited_for() => {
                assert!(clock.now_millis() < deadline, "{missing} events were not found within a minute");
                clock.advance_to(next);
                tokio::task::yield_now().await;
            }
        }
    }
    running.stop().await;
    assert_eq!(stored(&db, "event:").await.len(), 0);
}

#[fact]
pub async fn a_checkpoint_is_written_and_lags_behind_what_is_done(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    for number in 0..20 {
        publish(&db, [job(number)]).await;
        told.recv().await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    running.stop().await;
    let value = String::from_utf8(stored(&db, "checkpoint:job:0000").await.pop().unwrap().1).unwrap();
    let floor: i64 = value.trim_start_matches("{\"floor\":").trim_end_matches('}').parse().unwrap();
    let now = (clock.now_millis() / 1000) as i64;
    assert!((now - 60..=now - 30).contains(&floor), "{floor} at {now}");
}

#[fact]
pub async fn a_wrong_checkpoint_loses_nothing(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    for checkpoint in ["{\"floor\":9999999999}", "{\"floor\":99999999999999}", "{\"floor\":-5}", "{}", "nonsense", ""] {
        put(&db, keys::low_watermark("job", 0), checkpoint).await;
        publish(&db, (0..100).map(job)).await;
        let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
        assert_eq!(harness.drain().await.unwrap().len(), 100, "{checkpoint}");
        put(&db, keys::low_watermark("job", 0), checkpoint).await;
        let (worker, mut told) = telling(&db);
        publish(&db, [job("again")]).await;
        let running = Running::start(worker);
        assert_eq!(told.recv().await.unwrap().entity, "again", "{checkpoint}");
        running.stop().await;
    }
}

#[fact]
pub async fn an_event_postponed_to_the_present_is_handled_again_at_once(db: Database, clock: TestClock) {
    clock.must_stand_still();
    with_one_partition(&db).await;
    for at in [0, i64::MIN, 1] {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let tries = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let builder =
            Worker::builder(TitoQueue::new(db.clone())).subscribe("job", move |_: TitoEvent| {
                let number = tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tell.send(number).unwrap();
                async move {
                    Ok::<_, TitoError>(if number < 50 { Outcome::RescheduleTo(at_second(at)) } else { Outcome::Done })
                }
            });
        let running = Running::start(builder);
        publish(&db, [job("a")]).await;
        for number in 0..=50 {
            assert_eq!(told.recv().await, Some(number));
        }
        let report = running.stop().await;
        assert_eq!((report.rescheduled, report.done), (50, 1));
    }
}
