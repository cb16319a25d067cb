//! What holds while the number of a topic's partitions changes.

use std::collections::BTreeMap;
use std::pin::pin;

use tito_core::Transaction;
use tito_core::clock::Clock;
use tito_core::event::{TitoEvent, Topic};
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{GroupStart, QueueError, Resized};
use tito_worker::{Outcome, Subscription};

use crate::support::*;

async fn resize(db: &Database, clock: &TestClock, partitions: u16) -> Resized {
    turning(clock, TitoQueue::new(db.clone()).resize_topic("job", partitions)).await.unwrap()
}

async fn topic(db: &Database) -> Topic {
    let tx = db.begin().await.unwrap();
    Topic::read(&tx, "job").await.unwrap()
}

/// The values of the topic's events by id. Each has to lie once, where it belongs.
async fn events_in_place(db: &Database, partitions: u16) -> BTreeMap<uuid::Uuid, Vec<u8>> {
    let mut values = BTreeMap::new();
    for (id, (place, event)) in places(db, "event:job:").await {
        assert_eq!(place.partition, keys::partition_of(&event.entity, partitions), "{}", event.entity);
        values.insert(id, event.encode().unwrap());
    }
    values
}

#[fact]
pub async fn every_event_goes_to_its_new_partition_as_it_is(db: Database, clock: TestClock) {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut partitions = random.u16(1..=12);
    TitoQueue::new(db.clone()).create_topic("job", partitions).await.unwrap();
    for _ in 0..6 {
        let events = random.usize(0..300);
        publish(
            &db,
            (0..events).map(|_| {
                let delay = std::time::Duration::from_secs(random.u64(0..3));
                job(random.u8(..)).delay(delay).header("h", random.u8(..).to_string())
            }),
        )
        .await;
        let before = events_in_place(&db, partitions).await;
        let wrong = |to: u16| {
            before.values().filter(move |value| {
                let entity = TitoEvent::decode(b"", value).unwrap().entity;
                keys::partition_of(&entity, to) != keys::partition_of(&entity, partitions)
            })
        };
        let next = random.u16(1..=12);
        let expected = wrong(next).count() as u64;
        let resized = resize(&db, &clock, next).await;
        assert_eq!((resized.moved, resized.malformed), (expected, 0), "seed {seed}: from {partitions} to {next}");
        assert!(events_in_place(&db, next).await == before, "seed {seed}: from {partitions} to {next}");
        partitions = next;
        assert_eq!((topic(&db).await.partitions, topic(&db).await.resized_from), (next, None));
    }
    let pending = places(&db, "event:job:").await.len();
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.advance(std::time::Duration::from_secs(3)).await.unwrap().len(), pending);
}

#[fact]
pub async fn a_change_of_partitions_can_be_interrupted_anywhere(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 2).await.unwrap();
    publish(&db, (0..450).map(job)).await;
    let all: Vec<_> = places(&db, "event:job:").await.into_keys().collect();
    for (how, sizes) in [(Interruption::Dropped, [5, 2]), (Interruption::Unknown, [3, 1])] {
        for n in 1.. {
            let next = sizes[(n % 2) as usize];
            let from = topic(&db).await.partitions;
            let was_interrupted = interrupted(&db, &clock, (how, n), queue.resize_topic("job", next)).await;
            assert!(places(&db, "event:job:").await.into_keys().eq(all.iter().copied()), "{how:?} at commit {n}");
            if topic(&db).await.resized_from.is_some() {
                let refused = queue.resize_topic("job", 7).await.unwrap_err();
                let expected = (from, next);
                assert!(
                    matches!(refused, QueueError::ResizeUnderWay { from, to, asked: 7, .. } if (from, to) == expected),
                    "{refused}"
                );
            }
            if n % 3 == 0 {
                turning(&clock, queue.finish_changes()).await.unwrap();
            }
            resize(&db, &clock, next).await;
            assert!(events_in_place(&db, next).await.into_keys().eq(all.iter().copied()), "{how:?} at commit {n}");
            if !was_interrupted && from != next {
                assert!(n > 5, "{n}");
                break;
            }
        }
    }
}

#[fact]
pub async fn one_change_of_partitions_at_a_time(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    assert_eq!(resize(&db, &clock, 4).await, Resized::default());
    assert_eq!(topic(&db).await.partitions, 4, "a topic is created with the number");
    let revision = topic(&db).await.revision;
    assert_eq!(resize(&db, &clock, 4).await, Resized::default());
    assert_eq!(topic(&db).await.revision, revision, "nothing to do is no change");
    for partitions in [0, 10_001] {
        let refused = queue.resize_topic("job", partitions).await;
        assert!(matches!(refused, Err(QueueError::Engine(TitoError::OutOfRange { .. }))), "{refused:?}");
    }
    let refused = queue.resize_topic("job@mail", 4).await;
    assert!(matches!(refused, Err(QueueError::Engine(TitoError::InvalidName { .. }))), "{refused:?}");
}

#[fact]
pub async fn publishers_and_workers_go_on_while_partitions_change(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    publish(&db, (0..400).map(job)).await;
    let mut published = 400;
    for partitions in [11, 2] {
        // Held within its walk over the events, so that work goes on in the middle.
        let step = db.faults().at(Call::Commit).key_prefix("event:job:").nth(2).hold();
        let resizing = tokio::spawn({
            let queue = queue.clone();
            async move { queue.resize_topic("job", partitions).await }
        });
        let unaware = db.begin().await.unwrap();
        queue.publish(job(published), &unaware).await.unwrap();
        let effect =
            |event: TitoEvent, tx: Transaction| async move { count(&tx, format!("effect:{}", event.entity)).await };
        let mut harness = Harness::new(&db, &clock).subscribe_with("job", Subscription::default(), effect);
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        // Whether it is refused as too old or committed, it is published as a whole or not at all.
        published += usize::from(unaware.commit().await.is_ok());
        turning(&clock, step.arrivals(1)).await;
        harness.drain().await.unwrap();
        publish(&db, (published..published + 50).map(job)).await;
        published += 50;
        step.open();
        turning(&clock, resizing).await.unwrap().unwrap();
        publish(&db, (published..published + 50).map(job)).await;
        published += 50;
        assert!(events_in_place(&db, partitions).await.len() >= 50);
        harness.drain().await.unwrap();
        publish(&db, (published..published + 400).map(job)).await;
        published += 400;
    }
    let effect =
        |event: TitoEvent, tx: Transaction| async move { count(&tx, format!("effect:{}", event.entity)).await };
    Harness::new(&db, &clock).subscribe_with("job", Subscription::default(), effect).drain().await.unwrap();
    assert_eq!(counts(&db, "effect:").await, vec![1; published]);
    assert_eq!(stored(&db, "event:").await.len(), 0);
}

#[fact]
pub async fn several_may_finish_one_change(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    publish(&db, (0..700).map(job)).await;
    let before = events_in_place(&db, 3).await;
    let begun = interrupted(&db, &clock, (Interruption::Dropped, 4), queue.resize_topic("job", 8)).await;
    assert!(begun && topic(&db).await.resized_from == Some(3));
    let mut calls = pin!(futures::future::try_join4(
        queue.resize_topic("job", 8),
        queue.resize_topic("job", 8),
        queue.resize_topic("job", 8),
        queue.finish_changes(),
    ));
    // Turned when all of them wait: their transactions would become too old.
    let all_wait = async {
        while clock.waits() < 4 {
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::select! {
        biased;
        done = &mut calls => done,
        () = all_wait => turning(&clock, calls).await,
    };
    let (first, second, third, _) = done.unwrap();
    assert!(events_in_place(&db, 8).await == before);
    let wrong = (0..700)
        .filter(|entity| keys::partition_of(&entity.to_string(), 3) != keys::partition_of(&entity.to_string(), 8));
    assert!(first.moved + second.moved + third.moved <= wrong.count() as u64, "an event was moved twice");
    assert_eq!(queue.finish_changes().await.unwrap(), 0);
}

#[fact]
pub async fn what_is_no_event_survives_a_change_of_partitions(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 4).await.unwrap();
    let id = uuid::Uuid::from_u128(7);
    put(&db, keys::event("job", 3, 5, id), "no JSON").await;
    put(&db, "event:job:0003:nonsense", "nor this").await;
    put(&db, keys::event("job", 0, 5, id), "in a partition that stays").await;
    let resized = resize(&db, &clock, 2).await;
    assert_eq!((resized.moved, resized.malformed), (0, 2));
    let letters = queue.dead_letters_of_partition("job", 1, 10, None).await.unwrap();
    let mut bytes: Vec<_> = letters.into_iter().map(|letter| letter.bytes).collect();
    bytes.sort();
    assert_eq!(bytes, [b"no JSON".to_vec(), b"nor this".to_vec()]);
    assert_eq!(stored(&db, "event:").await.len(), 1);
}

#[fact]
pub async fn groups_change_their_partitions_with_their_topic(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 7).await.unwrap();
    turning(&clock, queue.add_group("job", "mail", GroupStart::Now)).await.unwrap();
    publish(&db, (0..100).map(job)).await;
    let give_up = |_: TitoEvent| async { Ok::<_, TitoError>(Outcome::DeadLetter("no".to_string())) };
    Harness::new(&db, &clock).subscribe("job@mail", give_up).drain().await.unwrap();
    publish(&db, (0..100).map(job)).await;
    let done = keys::done_event("job", 6, 1, uuid::Uuid::from_u128(1));
    let value = places(&db, "event:job:").await.into_values().next().unwrap().1.encode().unwrap();
    put(&db, done, value).await;

    resize(&db, &clock, 2).await;
    for queue in ["event:job:", "event:job@mail:", "dead:job@mail:", "done:job:"] {
        let all = stored(&db, queue).await;
        assert!(!all.is_empty(), "{queue}");
        for (key, value) in all {
            let place = keys::parse_event(&key).unwrap();
            let entity = TitoEvent::decode(&key, &value).unwrap().entity;
            let is_right = place.partition == keys::partition_of(&entity, 2);
            assert!(is_right || queue == "dead:job@mail:" && place.partition < 2, "{queue} {place:?}");
        }
    }
    let mut harness = Harness::new(&db, &clock).subscribe("job@mail", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(queue.redrive_all("job@mail").await.unwrap().events, 100);
    assert_eq!(harness.drain().await.unwrap().len(), 200);
}

/// Where there are other writers it waits until they know, and the clock of its own machine can be set meanwhile.
#[fact]
pub async fn a_change_of_partitions_waits_by_the_engines_time(db: Database, clock: TestClock) {
    let own_clock = TestClock::at(clock.now_millis());
    let database = FaultEngine::new(db.clone()).with_foreign_writers().with_clock(own_clock.shared()).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 3).await.unwrap();
    publish(&db, (0..20).map(job)).await;
    let resizing = tokio::spawn(async move { TitoQueue::new(database).resize_topic("job", 1).await });
    own_clock.waited_for().await;
    // By its own clock an hour passes, by the engine's nothing.
    own_clock.advance(std::time::Duration::from_secs(3_600));
    own_clock.waited_for().await;
    // As another process publishes that has not heard of the change yet.
    let unaware = keys::event("job", 2, 5, uuid::Uuid::from_u128(7));
    put(&db, unaware, places(&db, "event:job:").await.into_values().next().unwrap().1.encode().unwrap()).await;
    own_clock.set(own_clock.now_millis() - 7_200_000);
    clock.advance(std::time::Duration::from_secs(36));
    own_clock.advance(std::time::Duration::from_secs(36));
    resizing.await.unwrap().unwrap();
    assert_eq!(stored(&db, "event:job:0000:").await.len(), 21);
}
