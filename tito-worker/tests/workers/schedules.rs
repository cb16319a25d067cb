//! Periodic schedules.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tito_core::clock::Clock;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{Missed, QueueError, Schedule};
use tito_worker::{Recurrence, WorkerBuilder};

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn now(clock: &TestClock) -> i64 {
    (clock.now_millis() / 1000) as i64
}

fn every(name: &str, seconds: u64) -> Schedule {
    Schedule::every(name, Duration::from_secs(seconds)).publishes(job(name))
}

fn cron(name: &str, expression: &str) -> Schedule {
    Schedule::cron(name, expression).publishes(job(name))
}

async fn put(db: &Database, schedule: Schedule) -> i64 {
    TitoQueue::new(db.clone()).put_schedule(schedule).await.unwrap().next.unwrap().timestamp()
}

async fn next_of(db: &Database, name: &str) -> Option<i64> {
    let all = TitoQueue::new(db.clone()).schedules().await.unwrap();
    all.into_iter().find(|schedule| schedule.name == name).unwrap().next.map(|time| time.timestamp())
}

/// A worker that fires schedules and handles nothing, so that what it publishes stays to be counted.
fn firing_only(db: &Database) -> WorkerBuilder {
    Worker::builder(TitoQueue::new(db.clone()))
}

async fn fire(db: &Database) {
    firing_only(db).build().drain().await.unwrap();
}

async fn events(db: &Database) -> Vec<TitoEvent> {
    stored(db, "event:").await.iter().map(|(key, value)| TitoEvent::decode(key, value).unwrap()).collect()
}

fn fired_at(event: &TitoEvent) -> i64 {
    event.headers["tito-scheduled-at"].parse().unwrap()
}

/// The firings of a schedule whose events are stored, in order, each as often as it was published.
async fn fired(db: &Database, name: &str) -> Vec<i64> {
    let of_name = |event: &TitoEvent| event.headers["tito-schedule"] == name;
    let mut fired: Vec<_> = events(db).await.iter().filter(|event| of_name(event)).map(fired_at).collect();
    fired.sort_unstable();
    fired
}

/// The firings after `start` up to `end` of a schedule that fires every so many seconds.
fn multiples(start: i64, end: i64, seconds: i64) -> Vec<i64> {
    (1..=(end - start) / seconds).map(|number| start + number * seconds).collect()
}

#[fact]
pub async fn a_firing_is_an_event_that_names_its_schedule_and_its_time(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let report = Publish::new("report", "tenant:7").action("nightly").header("lang", "de").payload(&[1, 2]).unwrap();
    let at = put(&db, Schedule::cron("nightly", "0 3 * * *").time_zone("Europe/Berlin").publishes(report)).await;
    assert_eq!(at, 1_767_225_600 + 2 * 3600, "three in the morning of Berlin");
    let mut harness = Harness::new(&db, &clock).subscribe("report", |_: TitoEvent| async { Done::Ok(()) });
    clock.advance_to_wall(at as u64 * 1000 - 1);
    assert_eq!(harness.drain().await.unwrap().len(), 0);
    let handled = harness.advance(Duration::from_millis(1)).await.unwrap();
    let [event] = handled.iter().map(|handled| &handled.event).collect::<Vec<_>>()[..] else {
        panic!("{} events", handled.len());
    };
    assert_eq!((event.entity.as_str(), event.action.as_str(), event.timestamp), ("tenant:7", "nightly", at));
    assert_eq!(event.payload::<[i32; 2]>().unwrap(), [1, 2]);
    let headers: Vec<_> = event.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let expected = [("lang", "de".to_string()), ("tito-schedule", "nightly".to_string())];
    assert_eq!(headers[..2], expected);
    assert_eq!(headers[2..], [("tito-scheduled-at", at.to_string())]);
    assert_eq!(next_of(&db, "nightly").await, Some(at + 86_400));
}

#[fact]
pub async fn each_firing_is_published_once_by_workers_that_drain_at_once(db: Database, clock: TestClock) {
    let start = now(&clock);
    put(&db, every("often", 7)).await;
    put(&db, cron("minutely", "* * * * *")).await;
    for _ in 0..40 {
        clock.advance(Duration::from_secs(20));
        let drains = (0..3).map(|_| {
            let db = db.clone();
            tokio::spawn(async move { fire(&db).await })
        });
        for drain in drains.collect::<Vec<_>>() {
            drain.await.unwrap();
        }
    }
    assert_eq!(fired(&db, "often").await, multiples(start, start + 800, 7));
    assert_eq!(fired(&db, "minutely").await, multiples(start, start + 800, 60));
}

#[fact]
pub async fn each_firing_is_published_once_by_workers_that_run_at_once(db: Database, clock: TestClock) {
    let start = now(&clock);
    put(&db, every("often", 10)).await;
    let workers = [(); 3].map(|()| Running::start(firing_only(&db)));
    for number in 1..=30 {
        clock.advance_to_wall((start + number * 10) as u64 * 1000);
        while fired(&db, "often").await.len() < number as usize {
            tokio::task::yield_now().await;
        }
    }
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(fired(&db, "often").await, multiples(start, start + 300, 10));
}

#[fact]
pub async fn each_firing_is_published_once_while_every_call_may_fail(db: Database, clock: TestClock) {
    let start = now(&clock);
    put(&db, every("often", 10).missed(Missed::All)).await;
    let faulty = FaultEngine::seeded(db.clone(), tito_testkit::seed()).database();
    for call in [Call::Begin, Call::Get, Call::Scan, Call::Put, Call::Commit] {
        faulty.faults().at(call).with_probability(0.05).storage_error();
    }
    faulty.faults().at(Call::Commit).with_probability(0.1).conflict();
    faulty.faults().at(Call::Commit).with_probability(0.1).unknown_after_effect();
    faulty.faults().at(Call::Commit).with_probability(0.1).unknown_without_effect();
    for _ in 0..100 {
        clock.advance(Duration::from_secs(25));
        // What failed is made up for later.
        let _ = firing_only(&faulty).build().drain().await;
    }
    assert!(faulty.faults().injected() > 20, "{} faults", faulty.faults().injected());
    fire(&db).await;
    assert_eq!(fired(&db, "often").await, multiples(start, start + 2500, 10));
}

#[fact]
pub async fn over_a_random_walk_of_the_clock_every_firing_is_published_once(db: Database, clock: TestClock) {
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let start = now(&clock);
    for (name, seconds) in [("a", 1), ("b", 13), ("c", 3600)] {
        put(&db, every(name, seconds).missed(Missed::All).most_missed(u64::MAX)).await;
    }
    put(&db, cron("d", "*/15 * * * *").missed(Missed::All)).await;
    for _ in 0..20 {
        clock.advance(Duration::from_millis(random.u64(0..400_000)));
        let drains = (0..random.usize(0..4)).map(|_| {
            let db = db.clone();
            tokio::spawn(async move { fire(&db).await })
        });
        for drain in drains.collect::<Vec<_>>() {
            drain.await.unwrap();
        }
    }
    fire(&db).await;
    for (name, seconds) in [("a", 1), ("b", 13), ("c", 3600), ("d", 900)] {
        assert_eq!(fired(&db, name).await, multiples(start, now(&clock), seconds), "{name}");
    }
}

#[fact]
pub async fn missed_firings_are_passed_over_or_made_up_for_by_the_policy(db: Database, clock: TestClock) {
    let start = now(&clock);
    let policies = [("skip", Missed::Skip), ("latest", Missed::Latest), ("all", Missed::All)];
    for (name, missed) in policies {
        put(&db, every(name, 3600).missed(missed)).await;
    }
    clock.advance(HOUR * 5 + MINUTE * 30);
    fire(&db).await;
    let hour = |number: i64| start + number * 3600;
    assert_eq!(fired(&db, "skip").await, [0_i64; 0]);
    assert_eq!(fired(&db, "latest").await, [hour(5)]);
    assert_eq!(fired(&db, "all").await, [1, 2, 3, 4, 5].map(hour));
    // A worker that comes a minute late has missed nothing.
    clock.advance_to_wall((hour(6) + 60) as u64 * 1000);
    fire(&db).await;
    for (name, _) in policies {
        assert_eq!(fired(&db, name).await.last(), Some(&hour(6)), "{name}");
        assert_eq!(next_of(&db, name).await, Some(hour(7)), "{name}");
    }
}

#[fact]
pub async fn many_missed_firings_are_published_in_bounded_transactions(db: Database, clock: TestClock) {
    let start = now(&clock);
    put(&db, every("all", 1).missed(Missed::All)).await;
    let large = job("large").payload(&"x".repeat(800_000)).unwrap();
    let large = Schedule::every("large", MINUTE).publishes(large).missed(Missed::All);
    put(&db, large).await;
    clock.advance(MINUTE * 15);
    fire(&db).await;
    let mut of_transactions = std::collections::BTreeMap::<_, usize>::new();
    for event in events(&db).await.iter().filter(|event| event.entity == "all") {
        // The part of an id that is its transaction's start.
        *of_transactions.entry(event.id.as_u128() >> 56).or_default() += 1;
    }
    assert_eq!(of_transactions.into_values().collect::<Vec<_>>(), [100; 9]);
    assert_eq!(fired(&db, "all").await, multiples(start, start + 900, 1));
    assert_eq!(fired(&db, "large").await, multiples(start, start + 900, 60));
}

#[fact]
pub async fn a_paused_schedule_publishes_nothing_and_goes_on_when_it_is_resumed(db: Database, clock: TestClock) {
    let start = now(&clock);
    let queue = TitoQueue::new(db.clone());
    let schedule = || every("often", 10).missed(Missed::All);
    put(&db, schedule()).await;
    clock.advance(Duration::from_secs(10));
    fire(&db).await;
    assert!(queue.pause_schedule("often").await.unwrap());
    clock.advance(HOUR);
    // Programs that put it at their start don't resume it.
    assert!(queue.put_schedule(schedule()).await.unwrap().paused);
    fire(&db).await;
    clock.advance(Duration::from_secs(5));
    assert!(queue.resume_schedule("often").await.unwrap());
    fire(&db).await;
    assert_eq!(fired(&db, "often").await, [start + 10]);
    clock.advance(Duration::from_secs(5));
    fire(&db).await;
    assert_eq!(fired(&db, "often").await, [start + 10, start + 3620]);
    for changed in [queue.pause_schedule("other").await, queue.resume_schedule("other").await] {
        assert!(!changed.unwrap());
    }
}

#[fact]
pub async fn a_removed_schedule_publishes_nothing_more(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    put(&db, every("often", 10)).await;
    put(&db, every("stays", 10)).await;
    clock.advance(Duration::from_secs(10));
    fire(&db).await;
    assert!(queue.remove_schedule("often").await.unwrap());
    assert!(!queue.remove_schedule("often").await.unwrap());
    clock.advance(Duration::from_secs(10));
    fire(&db).await;
    assert_eq!((fired(&db, "often").await.len(), fired(&db, "stays").await.len()), (1, 2));
    let names: Vec<_> = queue.schedules().await.unwrap().into_iter().map(|schedule| schedule.name).collect();
    assert_eq!(names, ["stays"]);
}

#[fact]
pub async fn a_schedule_put_again_keeps_its_next_firing_unless_it_recurs_otherwise(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let start = now(&clock);
    put(&db, every("hourly", 3600)).await;
    clock.advance(MINUTE * 90);
    let unchanged = TitoQueue::new(db.clone()).put_schedule(every("hourly", 3600)).await.unwrap();
    assert_eq!((unchanged.next, unchanged.starts_at), (Some(at_second(start + 3600)), at_second(start)));
    // What it publishes is another thing.
    let other = every("hourly", 3600).publishes(job("other")).missed(Missed::All);
    assert_eq!(put(&db, other).await, start + 3600);
    fire(&db).await;
    let published = events(&db).await;
    assert_eq!(published.iter().map(|event| event.entity.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(put(&db, every("hourly", 1800)).await, start + 90 * 60 + 1800);
    assert_eq!(put(&db, cron("hourly", "0 * * * *")).await, start + 7200);
    assert_eq!(put(&db, cron("hourly", "0 * * * *").time_zone("Asia/Kolkata")).await, start + 90 * 60 + 3600);
    let listed = TitoQueue::new(db).schedules().await.unwrap().remove(0);
    let (expression, time_zone) = ("0 * * * *".to_string(), "Asia/Kolkata".to_string());
    assert_eq!(listed.recurrence, Recurrence::Cron { expression, time_zone });
    assert_eq!((listed.last, listed.missed), (Some(at_second(start + 3600)), Missed::Latest));
}

#[fact]
pub async fn putting_an_unchanged_schedule_writes_nothing(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    put(&db, every("hourly", 3600)).await;
    db.faults().reset_counts();
    put(&db, every("hourly", 3600)).await;
    assert_eq!(db.faults().count(Call::Put), 0);
}

#[fact]
pub async fn a_schedule_begins_at_its_start(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let start = now(&clock);
    assert_eq!(put(&db, every("later", 60).starts_at(at_second(start + 90))).await, start + 90);
    assert_eq!(put(&db, every("before", 60).starts_at(at_second(start - 45))).await, start + 15);
    assert_eq!(put(&db, cron("daily", "@daily").starts_at(at_second(start + 86_401))).await, start + 2 * 86_400);
    clock.advance(Duration::from_secs(150));
    fire(&db).await;
    assert_eq!(fired(&db, "later").await, [start + 90, start + 150]);
}

#[fact]
pub async fn a_schedule_can_have_a_last_firing(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let at = put(&db, cron("once", "0 0 12 1 1 * 2026")).await;
    clock.advance(HOUR * 12);
    fire(&db).await;
    clock.advance(HOUR * 24);
    fire(&db).await;
    assert_eq!((fired(&db, "once").await, next_of(&db, "once").await), (vec![at], None));
}

#[fact]
pub async fn a_schedule_can_be_put_again_after_its_last_firing(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let once = || cron("once", "0 0 12 1 1 * 2026");
    let at = put(&db, once()).await;
    let queue = TitoQueue::new(db.clone());
    clock.advance(HOUR * 13);
    assert_eq!(
        queue.put_schedule(once()).await.unwrap().next,
        Some(at_second(at)),
        "it was missed, and is not forgotten"
    );
    fire(&db).await;
    assert_eq!(fired(&db, "once").await, [at]);
    let ended = queue.put_schedule(once()).await.unwrap();
    assert_eq!((ended.next, ended.last), (None, Some(at_second(at))));
    fire(&db).await;
    assert_eq!(fired(&db, "once").await, [at]);
    let new = queue.put_schedule(cron("new", "0 0 12 1 1 * 2026")).await.unwrap_err();
    assert!(matches!(&new, QueueError::InvalidSchedule { name, .. } if name == "new"), "{new}");
    let other = queue.put_schedule(cron("once", "0 0 11 1 1 * 2026")).await.unwrap_err();
    assert!(matches!(&other, QueueError::InvalidSchedule { name, .. } if name == "once"), "{other}");
}

#[fact]
pub async fn local_times_that_clocks_skip_or_repeat_are_fired_once_a_day(db: Database, clock: TestClock) {
    // 2026-03-28 and 2026-10-24, 12:00 UTC: the days before the clocks of Berlin are changed at 01:00 UTC.
    for (noon, expected) in [(1_774_699_200, [13 * 3600, 36 * 3600 + 1800]), (1_792_843_200, [45_000, 48_600 + 86_400])]
    {
        clock.advance_to_wall(noon as u64 * 1000);
        let queue = TitoQueue::new(db.clone());
        queue.remove_schedule("at-half-past-two").await.unwrap();
        put(&db, cron("at-half-past-two", "30 2 * * *").time_zone("Europe/Berlin")).await;
        for _ in 0..48 * 2 {
            clock.advance(MINUTE * 30);
            fire(&db).await;
        }
        let fired: Vec<_> = fired(&db, "at-half-past-two").await.into_iter().filter(|at| *at > noon).collect();
        assert_eq!(fired, expected.map(|seconds: i64| noon + seconds));
    }
}

#[fact]
pub async fn what_can_not_be_a_schedule_is_refused_by_name(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let zoned = |zone: &str| cron("bad", "0 3 * * *").time_zone(zone);
    let cases = [
        (cron("bad", ""), "\"\""),
        (cron("bad", "* * * *"), "* * * *"),
        (cron("bad", "61 * * * *"), "61 * * * *"),
        (cron("bad", "0 0 * * FUNDAY"), "FUNDAY"),
        (cron("bad", "@sometimes"), "@sometimes"),
        (cron("bad", "0 0 30 2 *"), "0 0 30 2 * (UTC)"),
        (zoned("Europe/Berln"), "Europe/Berln"),
        (zoned(""), "\"\""),
        (Schedule::every("bad", Duration::ZERO).publishes(job("a")), "an interval of 0 s: expected 1 s to"),
        (Schedule::every("bad", Duration::from_millis(1500)).publishes(job("a")), "1.5s"),
        (
            Schedule::every("bad", Duration::from_secs(u64::MAX)).publishes(job("a")),
            "an interval of 18446744073709551615 s: expected 1 s to 9223372036854775807 s",
        ),
        (Schedule::every("bad", HOUR * 100_000_000).publishes(job("a")), "360000000000"),
        (every("bad", 1).starts_at(at_second(-1)), "-1"),
        (every("bad", 1).starts_at(at_second(10_000_000_000)), "10000000000"),
        (Schedule::every("bad", HOUR), "publishes"),
        (every("bad", 1).publishes(job("a").delay(HOUR)), "a time of its own"),
        (every("bad", 1).publishes(job("a").at(at_second(1))), "a time of its own"),
    ];
    for (schedule, fault) in cases {
        let error = queue.put_schedule(schedule.clone()).await.unwrap_err();
        let text = error.to_string();
        let QueueError::InvalidSchedule { name, reason } = error else { panic!("{schedule:?}: {text}") };
        assert_eq!(name, "bad");
        assert!(reason.contains(fault) && text.contains("\"bad\""), "{schedule:?}: {text}");
    }
    let long = "x".repeat(256);
    for name in ["", "a:b", "a\nb", &long] {
        let error = queue.put_schedule(every(name, 1)).await.unwrap_err();
        assert!(
            matches!(error, QueueError::Engine(TitoError::InvalidName { what: "schedule", .. })),
            "{name:?}: {error}"
        );
    }
    let error = queue.put_schedule(every("bad", 1).publishes(Publish::new("a:b", "c"))).await.unwrap_err();
    assert!(matches!(error, QueueError::Engine(TitoError::InvalidName { what: "event type", .. })), "{error}");
    let too_large = job("a").payload(&"x".repeat(db.limits().value_bytes / 16 * 15)).unwrap();
    let error = queue.put_schedule(every("bad", 1).publishes(too_large)).await.unwrap_err();
    assert!(matches!(error, QueueError::Engine(TitoError::LimitExceeded { .. })), "{error}");
    assert_eq!(stored(&db, "schedule:").await, []);
}

#[fact]
pub async fn a_stored_value_that_is_no_schedule_is_named_and_blocks_no_other(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    put(&db, every("good", 10)).await;
    let due = r#""starts_at":0,"next":0,"event":{"type":"job","entity":"a","action":"b"}"#;
    let bad = [
        ("a", "no json".to_string()),
        ("b", "{}".to_string()),
        ("z", format!(r#"{{"recurrence":{{"every":{{"seconds":0}}}},{due}}}"#)),
        ("zz", format!(r#"{{"recurrence":{{"cron":{{"expression":"x","time_zone":"UTC"}}}},{due}}}"#)),
        ("zzz", format!(r#"{{"recurrence":{{"every":{{"seconds":1}}}},{}}}"#, due.replace("job", "a:b"))),
    ];
    for (name, value) in &bad {
        crate::support::put(&db, format!("schedule:{name}"), value.as_bytes()).await;
    }
    clock.advance(Duration::from_secs(10));
    fire(&db).await;
    assert_eq!(fired(&db, "good").await.len(), 1);
    assert_eq!(events(&db).await.len(), 1);
    let names: Vec<_> = queue.schedules().await.unwrap().into_iter().map(|schedule| schedule.name).collect();
    assert_eq!(names, ["good", "z", "zz", "zzz"], "what can't be read is left out");
    assert!(queue.pause_schedule("a").await.unwrap_err().to_string().contains("schedule:a"));
    // It can be put anew, or removed.
    put(&db, every("a", 10)).await;
    for (name, _) in &bad[1..] {
        assert!(queue.remove_schedule(name).await.unwrap());
    }
    assert_eq!(queue.schedules().await.unwrap().len(), 2);
}

#[fact]
pub async fn a_running_worker_finds_new_schedules_and_sleeps_exactly_until_they_fire(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    for name in ["first", "second"] {
        // The worker reads the schedules once a second.
        let at = put(&db, every(name, 5)).await as u64 * 1000;
        while clock.now_millis() < at {
            // A worker with other writers beside it also wakes up in between, to look for their events.
            let next = clock.waited_for().await;
            assert!(told.try_recv().is_err(), "handed out at {} and not at {at}", clock.now_millis());
            if next > at {
                // The worker has not seen it yet.
                tokio::time::sleep(Duration::from_millis(20)).await;
            } else {
                clock.advance_to(next);
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(told.recv().await.unwrap().entity, name);
        TitoQueue::new(db.clone()).remove_schedule(name).await.unwrap();
    }
    assert_eq!(running.stop().await.done, 2);
}

#[fact]
pub async fn a_worker_that_is_paused_or_told_not_to_fires_no_schedule(db: Database, clock: TestClock) {
    put(&db, every("often", 10)).await;
    clock.advance(MINUTE);
    firing_only(&db).schedules(false).build().drain().await.unwrap();
    let paused = Running::start(firing_only(&db).active_while(Arc::new(AtomicBool::new(false))));
    let told_not_to = Running::start(firing_only(&db).schedules(false));
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(120)).await;
    for worker in [paused, told_not_to] {
        worker.stop().await;
    }
    assert_eq!(events(&db).await.len(), 0);
    fire(&db).await;
    assert_eq!(events(&db).await.len(), 6);
}
