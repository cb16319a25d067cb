//! In which order and how many at once events are handled, and what that costs.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Outcome, Subscription};

use crate::support::*;

#[fact]
pub async fn events_of_one_entity_are_handled_one_at_a_time_and_in_order(db: Database, clock: TestClock) {
    let seed = tito_testkit::seed();
    TitoQueue::new(db.clone()).create_topic("job", 3).await.unwrap();
    for action in 0..40 {
        publish(&db, (0..10).map(|entity| job(entity).action(action.to_string()))).await;
        // Several of one transaction too.
        publish(&db, (0..3).map(|part| job("same").action((action * 3 + part).to_string()))).await;
    }
    let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    let running = Arc::new(Mutex::new(HashSet::new()));
    let mut harness = Harness::new(&db, &clock).subscribe("job", move |event: TitoEvent| {
        assert!(running.lock().unwrap().insert(event.entity.clone()), "two at once of {}", event.entity);
        let (running, yields) = (running.clone(), random.lock().unwrap().u32(0..50));
        async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            running.lock().unwrap().remove(&event.entity);
            Done::Ok(())
        }
    });
    let mut by_entity: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for handled in harness.drain().await.unwrap() {
        assert_eq!(handled.outcome, Ok(Outcome::Done));
        by_entity.entry(handled.event.entity).or_default().push(handled.event.action.parse().unwrap());
    }
    assert_eq!(by_entity.len(), 11);
    for (entity, actions) in by_entity {
        let count = if entity == "same" { 120 } else { 40 };
        assert_eq!(actions, (0..count).collect::<Vec<_>>(), "{entity}");
    }
}

#[fact]
pub async fn different_entities_are_handled_at_once_up_to_the_bound(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    assert_handled_at_once_up_to_the_bound(db, clock).await;
}

#[fact]
pub async fn handlers_of_all_partitions_share_the_bound(db: Database, clock: TestClock) {
    assert_handled_at_once_up_to_the_bound(db, clock).await;
}

async fn assert_handled_at_once_up_to_the_bound(db: Database, clock: TestClock) {
    publish(&db, (0..50).map(job)).await;
    let (gate, running, most) = (Gate::new(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (gate, running, most) = (gate.clone(), running.clone(), most.clone());
        move |_: TitoEvent| {
            let (gate, running, most) = (gate.clone(), running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.pass().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Done::Ok(())
            }
        }
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", Subscription::default().concurrency(7), handler);
    let draining = tokio::spawn(async move { harness.drain().await });
    gate.arrivals(7).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.load(Ordering::SeqCst), 7);
    gate.open();
    assert_eq!(draining.await.unwrap().unwrap().len(), 50);
    assert_eq!(most.load(Ordering::SeqCst), 7);
}

#[fact]
pub async fn a_hundred_events_are_acknowledged_in_a_few_commits(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    publish(&db, (0..100).map(job)).await;
    db.faults().reset_counts();
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 100);
    let commits = db.faults().count(Call::Commit);
    assert!(commits <= 8, "{commits} commits");
}

#[fact]
pub async fn topics_with_one_and_with_all_partitions_work(db: Database, clock: TestClock) {
    clock.must_stand_still();
    let queue = TitoQueue::new(db.clone());
    assert_eq!(queue.create_topic("job", 1).await.unwrap(), 1);
    assert_eq!(queue.create_topic("wide", 10_000).await.unwrap(), 10_000);
    assert_eq!(queue.create_topic("wide", 5).await.unwrap(), 10_000);
    publish(&db, (0..100).flat_map(|n| [job(n), Publish::new("wide", n.to_string())])).await;
    let mut harness = Harness::new(&db, &clock)
        .subscribe("job", |_: TitoEvent| async { Done::Ok(()) })
        .subscribe("wide", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 200);
}

#[fact]
pub async fn the_last_of_10_000_partitions_is_one_like_the_others(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("wide", 1).await.unwrap();
    let [next_to_last, last] = [9_998, 9_999]
        .map(|wanted| (0..).map(|n| n.to_string()).find(|e| keys::partition_of(e, 10_000) == wanted).unwrap());
    let wide = |entity: &str| Publish::new("wide", entity);
    publish(&db, [wide(&next_to_last), wide(&last), wide(&last), wide(&last).action("dies")]).await;
    assert_eq!(turning(&clock, queue.resize_topic("wide", 10_000)).await.unwrap().moved, 4);
    assert_eq!(stored(&db, "event:wide:9998:").await.len(), 1);
    assert_eq!(stored(&db, "event:wide:9999:").await.len(), 3);

    let capped = queue.stats_up_to("wide", 1).await.unwrap();
    let counted: Vec<_> =
        capped.partitions[9_998..].iter().map(|of| (of.counts.pending, of.counts.is_capped)).collect();
    assert_eq!((capped.partitions.len(), counted), (10_000, vec![(1, false), (1, true)]));

    let mut harness = Harness::new(&db, &clock).subscribe("wide", |event: TitoEvent| async move {
        Ok::<_, TitoError>(if event.action == "dies" { Outcome::DeadLetter("no".into()) } else { Outcome::Done })
    });
    assert_eq!(harness.drain().await.unwrap().len(), 4);
    assert_eq!(queue.dead_letters_of_partition("wide", 9_999, 10, None).await.unwrap().len(), 1);
    assert_eq!(queue.redrive_all("wide").await.unwrap().events, 1);
    assert_eq!(turning(&clock, queue.resize_topic("wide", 9_999)).await.unwrap().moved, 1);
    assert_eq!(stored(&db, "event:wide:9999:").await, []);
}

#[fact]
pub async fn invalid_topics_are_refused_by_name_and_times_are_kept_within_bounds(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    for name in ["", "a:b", "a@b", "a\0b", &"x".repeat(10_000)] {
        let error = queue.create_topic(name, 4).await.unwrap_err();
        assert!(matches!(error, TitoError::InvalidName { .. }), "{name:?}: {error}");
        let tx = db.begin().await.unwrap();
        let error = queue.publish(Publish::new(name, "a"), &tx).await.unwrap_err();
        assert!(matches!(error, TitoError::InvalidName { .. }), "{name:?}: {error}");
    }
    for partitions in [0, 10_001, u16::MAX] {
        let error = queue.create_topic("job", partitions).await.unwrap_err();
        assert!(matches!(error, TitoError::OutOfRange { .. }), "{error}");
        let said = format!("a number of partitions of {partitions} can't be used: expected 1 to 10000 (key topic:job)");
        assert_eq!(error.to_string(), said);
    }
    for at in [-1, -5_000_000_000, 10_000_000_000, 8_000_000_000_000] {
        let tx = db.begin().await.unwrap();
        let published = queue.publish(job("a").at(at_second(at)), &tx).await.unwrap();
        assert_eq!(published.timestamp, if at < 0 { tx.now().seconds() } else { 9_999_999_999 });
    }
    let tx = db.begin().await.unwrap();
    let published = queue.publish(job("a").delay(std::time::Duration::MAX), &tx).await.unwrap();
    assert_eq!(published.timestamp, 9_999_999_999);
    // Never early.
    let half = at_second(5_000_000_000) + std::time::Duration::from_nanos(1);
    assert_eq!(queue.publish(job("a").at(half), &tx).await.unwrap().timestamp, 5_000_000_001);
}

#[fact]
pub async fn events_published_by_handlers_are_handled_too(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("3")]).await;
    let mut harness = Harness::new(&db, &clock).subscribe_with(
        "job",
        Subscription::default(),
        move |event: TitoEvent, tx: Transaction| {
            let queue = queue.clone();
            async move {
                let left: u32 = event.entity.parse().unwrap();
                if left > 0 {
                    queue.publish(job(left - 1), &tx).await?;
                }
                Done::Ok(())
            }
        },
    );
    let entities: Vec<_> = harness.drain().await.unwrap().into_iter().map(|handled| handled.event.entity).collect();
    assert_eq!(entities, ["3", "2", "1", "0"]);
}

#[fact]
pub async fn shares_are_disjoint_and_together_complete(db: Database, clock: TestClock) {
    TitoQueue::new(db.clone()).create_topic("job", 10).await.unwrap();
    publish(&db, (0..200).map(job)).await;
    let mut all = Vec::new();
    for mine in 0..4 {
        let worker = Worker::builder(TitoQueue::new(db.clone())).partitions(PartitionConfig::new(4, mine));
        let mut harness = Harness::of(worker, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
        let handled = harness.drain().await.unwrap();
        for handled in &handled {
            let partition = tito_core::keys::partition_of(&handled.event.entity, 10);
            assert_eq!(partition % 4, mine);
        }
        all.extend(handled.into_iter().map(|handled| handled.event.entity));
    }
    all.sort();
    let mut expected: Vec<_> = (0..200).map(|n: u32| n.to_string()).collect();
    expected.sort();
    assert_eq!(all, expected);
}

#[fact]
pub async fn a_share_outside_of_the_whole_handles_nothing(db: Database, clock: TestClock) {
    publish(&db, (0..20).map(job)).await;
    let worker = Worker::builder(TitoQueue::new(db.clone())).partitions(PartitionConfig::new(4, 4));
    let mut harness = Harness::of(worker, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 0);
    assert_eq!(stored(&db, "event:").await.len(), 20);
}

#[fact]
pub async fn an_event_committed_late_is_handled_before_later_ones_of_its_entity(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    let late = db.begin().await.unwrap();
    TitoQueue::new(db.clone()).publish(job("x").action("first"), &late).await.unwrap();
    clock.advance(Duration::from_secs(1));
    publish(&db, (0..200).map(|number| job(format!("other {number}")))).await;
    // The worker has read its first page, and its cursor has passed the place of the first event.
    let second_page = db.faults().at(Call::Scan).nth(2).hold();
    let (worker, mut told) = telling(&db);
    let running = Running::start(worker);
    second_page.arrivals(1).await;
    late.commit().await.unwrap();
    clock.advance(Duration::from_secs(1));
    publish(&db, [job("x").action("second")]).await;
    second_page.open();
    let mut actions = Vec::new();
    while actions.len() < 2 {
        let event = told.recv().await.unwrap();
        if event.entity == "x" {
            actions.push(event.action);
        }
    }
    assert_eq!(actions, ["first", "second"]);
    assert_eq!(running.stop().await.done, 202);
}
