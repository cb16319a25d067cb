//! What an operator sets of a queue while it is served.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::TitoError;
use tito_core::clock::Clock;
use tito_core::event::{QueueLimits, Rate, TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::TestClock;
use tito_worker::prelude::*;
use tito_worker::{QueueError, RateLimit, Subscription, WorkerBuilder};

use crate::support::*;

fn second(clock: &TestClock) -> i64 {
    (clock.now_millis() / 1_000) as i64
}

async fn a_moment(clock: &TestClock) {
    clock.advance(Duration::from_millis(50));
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The moments at which events are handed out.
type Times = Arc<Mutex<Vec<u64>>>;

fn noting(db: &Database, clock: &TestClock, settings: Subscription) -> (WorkerBuilder, Times) {
    let times = Times::default();
    let (noted, clock) = (times.clone(), clock.clone());
    let note = move |_: TitoEvent| {
        noted.lock().unwrap().push(clock.now_millis());
        async { Done::Ok(()) }
    };
    (Worker::builder(TitoQueue::new(db.clone())).subscribe_with("job", settings, note), times)
}

#[fact]
pub async fn workers_take_up_a_rate_while_they_run_and_share_it_out(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 4).await.unwrap();
    let hourly = Subscription::default().rate_limit(RateLimit::new(1, Duration::from_secs(3_600)));
    let workers = [0, 1].map(|mine| {
        let (builder, times) = noting(&db, &clock, hourly.clone());
        (Running::start(builder.partitions(PartitionConfig::new(2, mine))), times)
    });
    let handled = || workers.iter().flat_map(|(_, times)| times.lock().unwrap().clone()).collect::<Vec<_>>();
    for _ in 0..10 {
        publish(&db, (0..400).map(job)).await;
    }
    while handled().len() < 2 {
        a_moment(&clock).await;
    }
    queue.set_limits("job", QueueLimits::default().rate(Rate::per_second(20))).await.unwrap();
    while handled().len() < 100 {
        a_moment(&clock).await;
    }
    let mut times = handled()[2..].to_vec();
    times.sort_unstable();
    // Each has half of it: one in 100 ms, in steps of 50 ms.
    for (first, from) in times.iter().enumerate() {
        for (last, to) in times.iter().enumerate().skip(first) {
            let (events, allowed) = ((last - first + 1) as u64, 2 * ((to - from) / 100 + 2));
            assert!(events <= allowed, "{events} events in {} ms", to - from);
        }
    }
    assert_eq!(queue.stats("job").await.unwrap().limits.rate, Some(Rate::per_second(20)));
    queue.set_limits("job", QueueLimits::default()).await.unwrap();
    // They take it up within a second of the machine's time; from then on each waits for its hour to end.
    let (mut before, mut now) = (0, handled().len());
    while before < now {
        for _ in 0..100 {
            a_moment(&clock).await;
        }
        (before, now) = (now, handled().len());
    }
    assert!(now < 4_000, "the subscriptions' own rates hold again");
    for (worker, _) in workers {
        worker.stop().await;
    }
}

#[fact]
pub async fn workers_take_up_how_many_handlers_may_run_while_they_run(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 4).await.unwrap();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (runs, at_most) = (running.clone(), most.clone());
    let handler = move |_: TitoEvent| {
        let (runs, at_most) = (runs.clone(), at_most.clone());
        async move {
            at_most.fetch_max(runs.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            runs.fetch_sub(1, Ordering::SeqCst);
            Done::Ok(())
        }
    };
    let worker = Running::start(Worker::builder(queue.clone()).subscribe("job", handler));
    for (concurrency, expected) in [(None, 16), (Some(2), 2), (Some(24), 24), (Some(0), 1), (None, 16)] {
        let limits = QueueLimits { concurrency, ..QueueLimits::default() };
        queue.set_limits("job", limits.clone()).await.unwrap();
        let round = async || {
            most.store(0, Ordering::SeqCst);
            publish(&db, (0..100).map(job)).await;
            while queue.stats("job").await.unwrap().total.pending > 0 {
                a_moment(&clock).await;
            }
            most.load(Ordering::SeqCst)
        };
        // Until the worker has taken it up, within a second of the machine's time.
        while round().await != expected {
            skip(Duration::from_secs(1)).await;
        }
        for _ in 0..3 {
            assert_eq!(round().await, expected, "{limits:?}");
        }
    }
    worker.stop().await;
}

#[fact]
pub async fn a_queue_that_is_paused_for_a_time_goes_on_by_itself(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    with_one_partition(&db).await;
    let (builder, mut told) = telling(&db);
    let worker = Running::start(builder);
    let until = second(&clock) + 600;
    queue.pause_until("job", at_second(until - 1) + chrono::TimeDelta::nanoseconds(1)).await.unwrap();
    let stats = queue.stats("job").await.unwrap();
    assert_eq!((stats.is_paused, stats.paused_until), (true, Some(at_second(until))), "rounded up");
    let pausing = Topic::find(&db, "job").await.unwrap().unwrap();
    while queue.stats("job").await.unwrap().is_paused {
        assert!(second(&clock) <= until + 5, "it is over");
        clock.advance(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(second(&clock) >= until);
    publish(&db, [job("a")]).await;
    while told.try_recv().is_err() {
        a_moment(&clock).await;
    }
    worker.stop().await;
    let resumed = Topic::find(&db, "job").await.unwrap().unwrap();
    assert_eq!((resumed.paused, resumed.paused_until), (false, None));
    assert_eq!(resumed.revision, pausing.revision + 1, "it is resumed once");
}

/// Pauses or resumes as a release does that knows no pauses for a time, and keeps what it does not know.
async fn pause_as_before(db: &Database, is_paused: bool) {
    let change = |mut topic: Topic, _| async move {
        topic.paused = is_paused;
        Ok(Some(topic))
    };
    Topic::change(db, "job", change).await.unwrap();
}

#[fact]
pub async fn the_time_of_a_pause_that_an_earlier_release_has_ended_ends_no_other(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    with_one_partition(&db).await;
    let stored = async || Topic::find(&db, "job").await.unwrap().unwrap();
    let is_left = async |is_left: bool| {
        while stored().await.paused_until.is_some() != is_left {
            a_moment(&clock).await;
        }
    };
    let until = || at_second(second(&clock) + 600);
    // Of workers that run, and of those that only drain.
    for runs in [true, false] {
        let (builder, _told) = telling(&db);
        let worker = runs.then(|| Running::start(builder));
        queue.pause_until("job", until()).await.unwrap();
        is_left(true).await;
        pause_as_before(&db, false).await;
        if !runs {
            telling(&db).0.build().drain().await.unwrap();
        }
        is_left(false).await;
        pause_as_before(&db, true).await;
        clock.advance(Duration::from_secs(1_200));
        for _ in 0..10 {
            a_moment(&clock).await;
        }
        if let Some(worker) = worker {
            worker.stop().await;
        }
        telling(&db).0.build().drain().await.unwrap();
        assert!(stored().await.paused, "who paused it resumes it");
        queue.resume("job").await.unwrap();
    }
}

#[fact]
pub async fn the_last_word_about_a_pause_holds(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    with_group(&db, "billing").await;
    let until = || at_second(second(&clock) + 60);
    for name in ["job", "job@billing"] {
        let state = async || {
            let stats = queue.stats(name).await.unwrap();
            (stats.is_paused, stats.paused_until)
        };
        queue.pause_until(name, until()).await.unwrap();
        assert_eq!(state().await, (true, Some(until())));
        queue.pause(name).await.unwrap();
        assert_eq!(state().await, (true, None));
        let worker = Worker::builder(queue.clone()).subscribe(name, |_: TitoEvent| async { Done::Ok(()) }).build();
        clock.advance(Duration::from_secs(100));
        worker.drain().await.unwrap();
        assert_eq!(state().await, (true, None), "who paused it resumes it");
        queue.pause_until(name, until()).await.unwrap();
        worker.drain().await.unwrap();
        assert_eq!(state().await, (true, Some(until())));
        clock.advance(Duration::from_secs(60));
        worker.drain().await.unwrap();
        assert_eq!(state().await, (false, None));
        queue.pause(name).await.unwrap();
        queue.pause_until(name, at_second(second(&clock))).await.unwrap();
        assert_eq!(state().await, (false, None), "it is over already");
        queue.set_limits(name, QueueLimits::default().concurrency(3)).await.unwrap();
        queue.pause_until(name, until()).await.unwrap();
        queue.resume(name).await.unwrap();
        assert_eq!(state().await, (false, None));
        assert_eq!(queue.stats(name).await.unwrap().limits, QueueLimits::default().concurrency(3));
    }
    assert!(matches!(queue.pause_until("none", until()).await, Err(QueueError::UnknownTopic { .. })));
    assert!(matches!(queue.set_limits("job@none", QueueLimits::default()).await, Err(QueueError::UnknownGroup { .. })));
    let invalid = queue.set_limits("a:b", QueueLimits::default()).await;
    assert!(matches!(invalid, Err(QueueError::Engine(TitoError::InvalidName { .. }))), "{invalid:?}");
}
