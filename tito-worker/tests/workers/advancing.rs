//! Events that go from step to step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::Transaction;
use tito_core::event::{DoneStep, TitoEvent};
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{Advance, Exhausted, GroupStart, Order, Outcome, Payload, RetryPolicy, Subscription};
use tokio::sync::mpsc;

use crate::strict::{by_entity, log, note};
use crate::support::*;

/// A trip is booked in five steps; what was booked is taken back where a later step can't be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Trip {
    Flight,
    Hotel { flight: u32 },
    Car { flight: u32, hotel: u32 },
    CancelHotel { flight: u32, hotel: u32 },
    CancelFlight { flight: u32 },
}

impl Trip {
    fn name(&self) -> &'static str {
        match self {
            Self::Flight => "flight",
            Self::Hotel { .. } => "hotel",
            Self::Car { .. } => "car",
            Self::CancelHotel { .. } => "cancel hotel",
            Self::CancelFlight { .. } => "cancel flight",
        }
    }

    /// There is no car.
    fn next(&self) -> Option<Self> {
        match *self {
            Self::Flight => Some(Self::Hotel { flight: 7 }),
            Self::Hotel { flight } => Some(Self::Car { flight, hotel: 8 }),
            Self::Car { flight, hotel } => Some(Self::CancelHotel { flight, hotel }),
            Self::CancelHotel { flight, .. } => Some(Self::CancelFlight { flight }),
            Self::CancelFlight { .. } => None,
        }
    }

    fn outcome(&self) -> Result<Outcome, TitoError> {
        self.next().map_or(Ok(Outcome::Done), |next| Ok(Advance::to(&next)?.into()))
    }

    const ALL: [&str; 5] = ["flight", "hotel", "car", "cancel hotel", "cancel flight"];
}

fn trip(entity: &str) -> Publish {
    job(entity).payload(&Trip::Flight).unwrap()
}

fn payloads(steps: &[DoneStep]) -> Vec<String> {
    steps.iter().map(|step| step.payload::<Trip>().unwrap().name().to_string()).collect()
}

#[fact]
pub async fn an_event_goes_from_step_to_step_and_keeps_what_was_done(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, [trip("a").header("tenant", "7").header("step", "0")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |event: TitoEvent| async move {
        let Some(next) = event.payload::<Trip>()?.next() else { return Ok::<_, TitoError>(Outcome::Done) };
        Ok(Advance::to(&next)?.header("step", (event.steps.len() + 1).to_string()).into())
    });
    let handled = harness.drain().await.unwrap();
    let names: Vec<_> = handled.iter().map(|one| one.event.payload::<Trip>().unwrap().name()).collect();
    assert_eq!(names, Trip::ALL);
    for (number, one) in handled.iter().enumerate() {
        let event = &one.event;
        assert_eq!((event.id, event.entity.as_str(), event.attempt()), (handled[0].event.id, "a", 1));
        assert_eq!(payloads(&event.steps), Trip::ALL[..number]);
        assert_eq!((event.headers["tenant"].as_str(), &event.headers["step"]), ("7", &number.to_string()));
        let before: Vec<_> = event.steps.iter().map(|step| step.headers["step"].as_str()).collect();
        assert_eq!(before, ["0", "1", "2", "3"][..number]);
        assert!(event.steps.iter().all(|step| step.attempt == 1 && at_second(step.timestamp) <= event.due()));
    }
    assert!(stored(&db, "event:").await.is_empty());
}

#[fact]
pub async fn a_step_waits_for_its_delay_and_its_attempts_begin_anew(db: Database, clock: TestClock) {
    publish(&db, [trip("a")]).await;
    let retry = RetryPolicy::default().attempts(3).first_delay(Duration::ZERO).jitter(0.0);
    let settings = Subscription::default().retry(retry);
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", settings, |event: TitoEvent| async move {
        if event.attempt() < 3 {
            return Err(error(format!("attempt {}", event.attempt())));
        }
        let trip: Trip = event.payload()?;
        if trip == (Trip::Hotel { flight: 7 }) {
            return Err(error("there is no room"));
        }
        Ok(Outcome::from(Advance::to(&trip.next().unwrap())?.after(Duration::from_millis(59_500))))
    });
    harness.drain().await.unwrap();
    assert!(harness.advance(Duration::from_secs(59)).await.unwrap().is_empty(), "its time has not come");
    let handled = harness.advance(Duration::from_secs(60)).await.unwrap();
    let attempts: Vec<_> = handled.iter().map(|one| (one.event.attempt(), one.event.failures.len())).collect();
    assert_eq!(attempts, [(1, 0), (2, 1), (3, 2)]);

    let queue = TitoQueue::new(db.clone());
    let letter = queue.dead_letters("job", 10, None).await.unwrap().remove(0).event.unwrap();
    assert_eq!((payloads(&letter.steps), letter.steps[0].attempt), (vec!["flight".to_string()], 3));
    assert_eq!(letter.failures.iter().map(|failed| failed.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    // It goes on where it failed for good.
    queue.redrive_all("job").await.unwrap();
    let mut harness =
        Harness::new(&db, &clock).subscribe("job", |Payload(trip): Payload<Trip>| async move { trip.outcome() });
    let names: Vec<_> = harness.drain().await.unwrap();
    let names: Vec<_> = names.iter().map(|one| one.event.payload::<Trip>().unwrap().name()).collect();
    assert_eq!(names, Trip::ALL[1..]);
}

#[fact]
pub async fn later_events_of_an_entity_wait_until_the_last_step_in_strict_order(db: Database, clock: TestClock) {
    clock.must_stand_still();
    with_one_partition(&db).await;
    publish(&db, [trip("a").action("1"), job("b").action("1"), job("a").action("2"), trip("a").action("3")]).await;
    let settings = Subscription::default().order(Order::Strict).concurrency(8);
    let handler = |event: TitoEvent, tx: Transaction| async move {
        note(&tx, &event).await?;
        if event.payload.is_none() {
            return Ok(Outcome::Done);
        }
        event.payload::<Trip>()?.outcome()
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", settings, handler);
    harness.drain().await.unwrap();
    let log = by_entity(log(&db).await);
    assert_eq!(log["a"], ["1", "1", "1", "1", "1", "2", "3", "3", "3", "3", "3"]);
    assert_eq!(log["b"], ["1"]);
}

/// Steps whose effects are in the transaction of their acknowledgement are done once, wherever a process dies.
#[fact]
pub async fn a_saga_that_is_killed_at_every_step_is_done_once(db: Database, clock: TestClock) {
    clock.must_stand_still();
    with_one_partition(&db).await;
    let settings = || Subscription::default().order(Order::Strict);
    for (number, killed_at) in Trip::ALL.into_iter().enumerate() {
        for after_the_effect in [false, true] {
            let entity = format!("{number}-{after_the_effect}");
            publish(&db, [trip(&entity)]).await;
            let (tell, mut told) = mpsc::unbounded_channel();
            let builder = Worker::builder(TitoQueue::new(db.clone())).subscribe_with(
                "job",
                settings(),
                move |event: TitoEvent, tx: Transaction| {
                    let tell = tell.clone();
                    async move {
                        let trip: Trip = event.payload()?;
                        let dies = trip.name() == killed_at;
                        if !dies || after_the_effect {
                            count(&tx, format!("effect:{}:{}", event.entity, trip.name())).await?;
                        }
                        if dies {
                            tell.send(()).unwrap();
                            std::future::pending::<()>().await;
                        }
                        trip.outcome()
                    }
                },
            );
            let running = Running::start(builder);
            told.recv().await.unwrap();
            running.kill().await;
            let effects = counts(&db, &format!("effect:{entity}:")).await;
            assert_eq!(effects, vec![1; number], "killed at {killed_at}");

            let worker = Worker::builder(TitoQueue::new(db.clone())).subscribe_with(
                "job",
                settings(),
                |event: TitoEvent, tx: Transaction| async move {
                    let trip: Trip = event.payload()?;
                    count(&tx, format!("effect:{}:{}", event.entity, trip.name())).await?;
                    trip.outcome()
                },
            );
            let report = worker.build().drain().await.unwrap();
            assert_eq!((report.done, report.advanced), (1, 4 - number as u64));
            assert_eq!(counts(&db, &format!("effect:{entity}:")).await, [1; 5], "killed at {killed_at}");
        }
    }
}

#[fact]
pub async fn what_is_replayed_or_copied_begins_with_its_first_step(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 1).await.unwrap();
    queue.set_history("job", Some(Duration::from_secs(3_600))).await.unwrap();
    publish(&db, [trip("a").header("step", "first")]).await;
    let handler = |event: TitoEvent| async move {
        let Some(next) = event.payload::<Trip>()?.next() else { return Ok::<_, TitoError>(Outcome::Done) };
        Ok(Advance::to(&next)?.header("step", "later").into())
    };
    let mut harness = Harness::new(&db, &clock).subscribe("job", handler);
    assert_eq!(harness.drain().await.unwrap().len(), 5);
    let [done] = &queue.history("job", at_second(0)..at_second(9_999_999_999), 10, None).await.unwrap()[..] else {
        panic!()
    };
    assert_eq!(payloads(&done.event.as_ref().unwrap().steps), Trip::ALL[..4], "the history has what was done");
    queue.replay("job", at_second(0)..at_second(9_999_999_999), "job").await.unwrap();
    let again = harness.drain().await.unwrap();
    assert_eq!((again.len(), again[0].event.steps.len()), (5, 0));
    assert_eq!(again[0].event.headers["step"], "first");

    publish(&db, [trip("b").header("step", "first")]).await;
    let mut once = Harness::new(&db, &clock).subscribe("job", |Payload(trip): Payload<Trip>| async move {
        Ok::<_, TitoError>(Outcome::from(Advance::to(&trip.next().unwrap())?.after(Duration::from_secs(60))))
    });
    assert_eq!(once.drain().await.unwrap().len(), 1);
    turning(&clock, queue.add_group("job", "audit", GroupStart::History)).await.unwrap();
    let mut audit = Harness::new(&db, &clock).subscribe("job@audit", |_: TitoEvent| async { Done::Ok(()) });
    let copied = audit.drain().await.unwrap();
    let entities: std::collections::BTreeSet<_> = copied.iter().map(|one| one.event.entity.as_str()).collect();
    assert_eq!(entities.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    for one in &copied {
        assert_eq!((one.event.payload::<Trip>().unwrap(), one.event.steps.len()), (Trip::Flight, 0));
        assert_eq!(one.event.headers["step"], "first");
    }
}

#[fact]
pub async fn a_step_for_which_there_is_no_room_goes_to_the_dead_letters_with_what_was_done(
    db: Database,
    clock: TestClock,
) {
    publish(&db, [trip("a")]).await;
    let most = db.limits().value_bytes;
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        Subscription::default().exhausted(Exhausted::Discard),
        move |_: TitoEvent| async move { Ok::<_, TitoError>(Outcome::from(Advance::to(&"x".repeat(most))?)) },
    );
    harness.drain().await.unwrap();
    let letter = TitoQueue::new(db).dead_letters("job", 10, None).await.unwrap().remove(0).event.unwrap();
    assert_eq!((letter.payload::<Trip>().unwrap(), letter.steps.len()), (Trip::Flight, 0));
    assert_eq!(letter.failures.last().unwrap().error, "there is no room to postpone it");
}

#[fact]
pub async fn many_steps_are_remembered_by_the_first_and_the_latest(db: Database, clock: TestClock) {
    clock.must_stand_still();
    publish(&db, [job("a").payload(&0).unwrap()]).await;
    let mut harness = Harness::new(&db, &clock).subscribe("job", |Payload(number): Payload<u32>| async move {
        Ok::<_, TitoError>(if number == 30 { Outcome::Done } else { Advance::to(&(number + 1))?.into() })
    });
    let handled = harness.drain().await.unwrap();
    let last = &handled.last().unwrap().event;
    let remembered: Vec<u32> = last.steps.iter().map(|step| step.payload().unwrap()).collect();
    assert_eq!(remembered, [0].into_iter().chain(11..30).collect::<Vec<_>>());
}

/// What a step has done is not committed where its next one does not fit, so it is not done twice by a redrive.
#[fact]
pub async fn a_step_whose_next_one_has_no_room_is_rolled_back(db: Database, clock: TestClock) {
    let once = || Subscription::default().retry(RetryPolicy::default().attempts(2).first_delay(Duration::ZERO));
    // The second would leave no room for failures.
    for bytes in [db.limits().value_bytes, db.limits().value_bytes / 16 * 15] {
        publish(&db, [trip("a"), job("b")]).await;
        let handler = move |event: TitoEvent, tx: Transaction| async move {
            count(&tx, format!("effect:{}", event.entity)).await?;
            Ok::<_, TitoError>(if event.entity == "a" {
                Advance::to(&"x".repeat(bytes))?.into()
            } else {
                Outcome::Done
            })
        };
        let mut harness = Harness::new(&db, &clock).subscribe_with("job", once(), handler);
        harness.drain().await.unwrap();
        let queue = TitoQueue::new(db.clone());
        assert_eq!(queue.redrive_all("job").await.unwrap().events, 1);
        harness.drain().await.unwrap();
        drop(harness);
        assert!(stored(&db, "effect:a").await.is_empty());
        let letter = queue.dead_letters("job", 10, None).await.unwrap().remove(0).event.unwrap();
        assert_eq!((letter.payload::<Trip>().unwrap(), letter.steps.len()), (Trip::Flight, 0));
        assert_eq!(letter.failures.last().unwrap().error, "there is no room to postpone it");
        queue.purge_dead_letters("job").await.unwrap();
    }
    assert_eq!(counts(&db, "effect:b").await, [2]);
}

#[fact]
pub async fn large_steps_are_remembered_without_their_payloads_but_for_the_first(db: Database, clock: TestClock) {
    let large = |number: usize| number.to_string().repeat(db.limits().value_bytes / 5);
    publish(&db, [job("a").payload(&large(0)).unwrap()]).await;
    let next: Vec<_> = (0..10).map(large).collect();
    let mut harness = Harness::new(&db, &clock).subscribe("job", move |event: TitoEvent| {
        let next = next.get(event.steps.len() + 1).cloned();
        async move { next.map_or(Ok::<_, TitoError>(Outcome::Done), |next| Advance::to(&next).map(Outcome::from)) }
    });
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled.len(), 10);
    let last = &handled[9].event;
    let kept: Vec<_> = last.steps.iter().map(|step| step.payload.is_some()).collect();
    assert_eq!(kept, [true, false, false, false, false, false, false, true, true]);
    assert_eq!(last.steps[0].payload::<String>().unwrap(), large(0));
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Paid {
    Wei { amount: u128 },
}

impl TitoJob for Paid {
    const NAME: &'static str = "job";
}

#[fact]
pub async fn a_step_that_could_not_be_read_again_is_refused_when_it_is_made(db: Database, _: TestClock) {
    // Within a tagged type it can be written and not read.
    let large = Paid::Wei { amount: u128::MAX };
    publish(&db, [job("a").payload(&1).unwrap()]).await;
    let (key, value) = stored(&db, "event:").await.remove(0);
    let event = TitoEvent::decode(&key, &value).unwrap();
    let progress = TitoQueue::new(db.clone()).record_progress(&event, &large).await.map(|_| ());
    let options = tito_core::TxOptions::default().idempotency_key("paid");
    let kept = db.transaction_with(options, |tx| async move { tx.keep_result(&Paid::Wei { amount: u128::MAX }).await });
    for refused in [Advance::to(&large).map(|_| ()), Advance::to_job(&large).map(|_| ()), progress, kept.await] {
        assert!(matches!(refused, Err(TitoError::Unserializable { .. })), "{refused:?}");
    }
    assert_eq!(stored(&db, "event:").await, [(key, value)]);
}
