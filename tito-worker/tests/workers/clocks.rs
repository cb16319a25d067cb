//! Clocks that are wrong for a moment, and clocks that are set for good. Where the database's time is another machine's,
//! it is never set back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::clock::Clock;
use tito_core::embedded::EmbeddedBackend;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{Missed, Order, RetryPolicy, Schedule, Subscription};
use tokio::sync::mpsc;

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR_MILLIS: u64 = 3_600_000;
const DAY_MILLIS: u64 = 24 * HOUR_MILLIS;
/// 2299-01-01.
const FAR_MILLIS: u64 = 10_382_169_600_000;

/// The clock is wrong for four seconds, in which there is as much going on as elsewhere.
async fn blip(db: &Database, clock: &TestClock, wrong_millis: u64) {
    let right = clock.now_millis();
    clock.set(wrong_millis);
    for second in 0..4 {
        publish(db, [job(format!("wrong-{second}"))]).await;
        clock.advance(SECOND);
    }
    clock.set(right + 4_000);
}

async fn set_for_good(db: &Database, clock: &TestClock, millis: u64) {
    clock.set(millis);
    db.now().await.unwrap();
    clock.advance(10 * SECOND);
    assert_eq!(db.now().await.unwrap().millis(), millis + 10_000);
}

#[fact]
pub async fn a_clock_that_is_wrong_for_a_moment_changes_nothing(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    for wrong in [clock.now_millis() + DAY_MILLIS, FAR_MILLIS, clock.now_millis() - DAY_MILLIS, 0] {
        let began = db.now().await.unwrap();
        let is_first = Arc::new(AtomicBool::new(true));
        let retry = RetryPolicy::default().first_delay(30 * SECOND).jitter(0.0);
        let mut harness = Harness::new(&db, &clock).subscribe_with(
            "job",
            Subscription::default().retry(retry),
            move |event: TitoEvent| {
                let fails = event.entity == "fails" && is_first.swap(false, Ordering::SeqCst);
                async move { if fails { Err(error("not yet")) } else { Done::Ok(()) } }
            },
        );
        publish(&db, [job("fails"), job("delayed").delay(Duration::from_secs(60))]).await;
        let every = Schedule::every("ten", 10 * SECOND).publishes(job("scheduled"));
        TitoQueue::new(db.clone()).put_schedule(every).await.unwrap();
        harness.drain().await.unwrap();
        blip(&db, &clock, wrong).await;
        assert_eq!(db.now().await.unwrap().millis(), began.millis() + 4_000);
        assert_eq!(harness.drain().await.unwrap().len(), 4);
        // As delayed by what is now as before.
        publish(&db, [job("later").delay(Duration::from_secs(60))]).await;
        let mut handled = Vec::new();
        for second in 5..=64 {
            for one in harness.advance(SECOND).await.unwrap() {
                handled.push((second, one.event.entity));
            }
        }
        let at =
            |entity: &str| handled.iter().filter(|(_, of)| of == entity).map(|(second, _)| *second).collect::<Vec<_>>();
        assert_eq!((at("fails"), at("delayed"), at("later")), (vec![30], vec![60], vec![64]), "{wrong}");
        assert_eq!(at("scheduled"), [10, 20, 30, 40, 50, 60], "{wrong}");
        TitoQueue::new(db.clone()).remove_schedule("ten").await.unwrap();
    }
}

/// The process that begins while the clock is wrong has nothing else to go by, and goes on as soon as it is right.
#[tokio::test]
async fn what_began_with_a_wrong_clock_goes_on_when_it_is_right() {
    for wrong in [DAY_MILLIS, FAR_MILLIS] {
        let directory = tempfile::tempdir().unwrap();
        let clock = TestClock::new();
        let right = clock.now_millis();
        let open = || EmbeddedBackend::builder().clock(clock.shared()).open(directory.path());
        clock.set(right + wrong);
        let db = open().await.unwrap();
        publish(&db, [job("a"), job("delayed")]).await;
        let running = Running::start(telling(&db).0.join("fleet"));
        while !stored(&db, "event:").await.is_empty() {
            tokio::task::yield_now().await;
        }
        publish(&db, [job("left behind")]).await;
        // As if killed: nobody gives anything back.
        running.kill().await;
        db.close().await;
        clock.set(right + 4_000);

        let db = open().await.unwrap();
        assert_eq!(db.now().await.unwrap().millis(), right + 4_000);
        let (worker, mut told) = telling(&db);
        let running = Running::start(worker.join("fleet"));
        publish(&db, [job("b"), job("delayed").delay(SECOND)]).await;
        // The dead member's partitions are taken at once.
        while told.recv().await.unwrap().entity != "b" {}
        let members = TitoQueue::new(db.clone()).members("fleet").await.unwrap();
        assert_eq!(members.iter().filter(|member| member.live).count(), 1);
        clock.advance(2 * SECOND);
        while told.recv().await.unwrap().entity != "delayed" {}
        running.stop().await;
    }
}

#[fact]
pub async fn what_waits_goes_on_by_the_time_that_passes_when_the_clock_is_set_back(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    for order in [Order::Relaxed, Order::Strict] {
        with_one_partition(&db).await;
        let is_first = Arc::new(AtomicBool::new(true));
        let (tell, mut told) = mpsc::unbounded_channel();
        let retry = RetryPolicy::default().first_delay(30 * SECOND).jitter(0.0);
        let options = Subscription::default().order(order).retry(retry);
        let worker =
            Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", options, move |event: TitoEvent| {
                let fails = event.entity == "fails" && is_first.swap(false, Ordering::SeqCst);
                tell.send(event.entity).unwrap();
                async move { if fails { Err(error("not yet")) } else { Done::Ok(()) } }
            });
        let running = Running::start(worker);
        publish(&db, [job("fails"), job("delayed").delay(60 * SECOND), job("far").delay(200 * SECOND)]).await;
        assert_eq!(told.recv().await.unwrap(), "fails");
        let began = clock.monotonic_millis();
        while stored(&db, "event:").await.iter().all(|(_, row)| !row.windows(7).any(|part| part == b"not yet")) {
            tokio::task::yield_now().await;
        }
        set_for_good(&db, &clock, clock.now_millis() - HOUR_MILLIS).await;
        publish(&db, [job("at once"), job("new").delay(40 * SECOND)]).await;
        assert_eq!(told.recv().await.unwrap(), "at once");
        for (entity, after) in [("fails", 30_000), ("new", 50_000), ("delayed", 60_000), ("far", 200_000)] {
            let handled = loop {
                tokio::select! {
                    biased;
                    handled = told.recv() => break handled.unwrap(),
                    next = clock.waited_for() => {
                        clock.advance_to(next.min(clock.monotonic_millis() + 1_000));
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            };
            let passed = clock.monotonic_millis() - began;
            assert_eq!(handled, entity, "{order:?} {passed}");
            assert!((after..after + 5_000).contains(&passed), "{entity} after {passed}, {order:?}");
        }
        let report = running.stop().await;
        assert_eq!((report.done, report.retried), (5, 1));
        assert_eq!(stored(&db, "event:").await.len(), 0);
    }
}

/// An event's key lies before those of earlier ones of its entity then.
#[fact]
pub async fn in_strict_order_nothing_is_overtaken_when_the_clock_is_set_back(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    with_one_partition(&db).await;
    let failures = Arc::new(Mutex::new(vec!["first", "first", "second"]));
    let (tell, mut told) = mpsc::unbounded_channel();
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let waits = release.clone();
    let retry = RetryPolicy::default().first_delay(20 * SECOND).longest_delay(20 * SECOND).jitter(0.0).attempts(9);
    let options = Subscription::default().order(Order::Strict).retry(retry).concurrency(1);
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", options, move |event: TitoEvent| {
        let (failures, waits, tell) = (failures.clone(), waits.clone(), tell.clone());
        async move {
            let _permit = if event.entity == "holds" { Some(waits.acquire().await.unwrap()) } else { None };
            let mut failures = failures.lock().unwrap();
            if let Some(at) = failures.iter().position(|action| *action == event.action) {
                failures.remove(at);
                return Err(error("not yet"));
            }
            tell.send(event.action).unwrap();
            Done::Ok(())
        }
    });
    let running = Running::start(worker);
    // Nothing else is begun while this is handled.
    publish(&db, [job("holds").action("holds")]).await;
    publish(&db, [job("a").action("first")]).await;
    publish(&db, [job("a").action("second")]).await;
    publish(&db, [job("a").action("third").delay(15 * SECOND)]).await;
    while clock.waits() == 0 {
        tokio::task::yield_now().await;
    }
    set_for_good(&db, &clock, clock.now_millis() - HOUR_MILLIS).await;
    for action in ["fourth", "fifth"] {
        publish(&db, [job("a").action(action)]).await;
    }
    release.add_permits(1);
    let mut handled = Vec::new();
    while handled.len() < 6 {
        tokio::select! {
            biased;
            action = told.recv() => handled.push(action.unwrap()),
            next = clock.waited_for() => {
                clock.advance_to(next.min(clock.monotonic_millis() + 1_000));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert!(clock.now_millis() < 1_767_225_600_000, "within the hour");
    }
    // What was due in ten seconds comes after what fell due before, wherever the new ones of that time are.
    handled.retain(|action| action != "third" && action != "holds");
    assert_eq!(handled, ["first", "second", "fourth", "fifth"]);
    running.stop().await;
}

/// Time is set back while a handler runs, and what waits is read while its failure is recorded.
#[fact]
pub async fn what_fails_while_it_is_looked_for_is_tried_again_in_time(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waits = gate.clone();
    let retry = RetryPolicy::default().first_delay(20 * SECOND).longest_delay(20 * SECOND).jitter(0.0);
    let options = Subscription::default().order(Order::Strict).retry(retry);
    let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", options, move |event: TitoEvent| {
        let (waits, tell) = (waits.clone(), tell.clone());
        async move {
            tell.send(event.failed_attempts).unwrap();
            waits.acquire().await.unwrap().forget();
            if event.failed_attempts == 0 { Err(error("not yet")) } else { Done::Ok(()) }
        }
    });
    let running = Running::start(worker);
    publish(&db, [job("a")]).await;
    assert_eq!(told.recv().await.unwrap(), 0);
    let reading = db.faults().at(Call::BatchGet).key_prefix("event:job:").nth(1).hold();
    set_for_good(&db, &clock, clock.now_millis() - HOUR_MILLIS).await;
    reading.arrivals(1).await;
    gate.add_permits(1);
    while !String::from_utf8_lossy(&stored(&db, "event:").await[0].1).contains("not yet") {
        tokio::task::yield_now().await;
    }
    reading.open();
    gate.add_permits(1);
    let failed = clock.monotonic_millis();
    loop {
        tokio::select! {
            biased;
            attempts = told.recv() => break assert_eq!(attempts.unwrap(), 1),
            next = clock.waited_for() => {
                clock.advance_to(next.min(clock.monotonic_millis() + 1_000));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert!(clock.monotonic_millis() < failed + 60_000, "it is due after 20 seconds");
    }
    assert_eq!(running.stop().await.done, 1);
}

#[fact]
pub async fn a_day_of_missed_firings_is_not_made_up_for_at_once(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    for (name, most) in [("default", None), ("few", Some(10))] {
        let schedule = Schedule::every(name, 2 * SECOND).publishes(job(name)).missed(Missed::All);
        let schedule = match most {
            Some(most) => schedule.most_missed(most),
            None => schedule,
        };
        queue.put_schedule(schedule).await.unwrap();
    }
    if db.is_only_writer() {
        let day_later = clock.now_millis() + DAY_MILLIS;
        set_for_good(&db, &clock, day_later).await;
    } else {
        clock.advance(Duration::from_millis(DAY_MILLIS + 10_000));
    }
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    let count = |name: &str| handled.iter().filter(|one| one.event.entity == name).count();
    // Those of the last minute are late and not missed.
    assert_eq!((count("default"), count("few")), (1_031, 41));
    let all: Vec<_> = queue.schedules().await.unwrap().iter().map(|one| one.passed_over).collect();
    assert_eq!(all, [43_205 - 1_031, 43_205 - 41]);
}

#[fact]
pub async fn intervals_go_on_when_the_clock_is_set_back(db: Database, clock: TestClock) {
    if !db.is_only_writer() {
        return;
    }
    let queue = TitoQueue::new(db.clone());
    clock.advance(2 * Duration::from_millis(HOUR_MILLIS));
    queue.put_schedule(Schedule::every("ten", 10 * SECOND).publishes(job("scheduled"))).await.unwrap();
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.advance(10 * SECOND).await.unwrap().len(), 1);
    set_for_good(&db, &clock, clock.now_millis() - HOUR_MILLIS).await;
    harness.drain().await.unwrap();
    for _ in 0..5 {
        assert_eq!(harness.advance(10 * SECOND).await.unwrap().len(), 1);
    }
}
