//! Workers that share out their partitions by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::clock::Clock;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{FaultEngine, TestClock};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{LeaseInfo, QueueError, WorkerBuilder};
use tito_worker::{Order, Subscription, WorkerReport};
use uuid::Uuid;

use crate::strict::{by_entity, log, note};
use crate::support::*;

const LEASE: Duration = Duration::from_secs(3);
const PARTITIONS: u16 = 32;

/// A member of the fleet in a process of its own, with a transactional handler that counts its effects.
fn member(db: &Database, name: &str) -> WorkerBuilder {
    let other_process = FaultEngine::new(db.clone()).with_foreign_writers().database();
    joined(Worker::builder(TitoQueue::new(other_process)), name).subscribe_with(
        "job",
        Subscription::default(),
        |event: TitoEvent, tx: Transaction| async move { count(&tx, format!("effect:{}", event.entity)).await },
    )
}

fn joined(builder: WorkerBuilder, name: &str) -> WorkerBuilder {
    builder.join("fleet").lease_time(LEASE).member_name(name).schedules(false)
}

async fn topic(db: &Database) {
    TitoQueue::new(db.clone()).create_topic("job", PARTITIONS).await.unwrap();
}

/// Turns the clock on a little, and waits for those members to give the heartbeats that are due by then.
async fn turn(db: &Database, clock: &TestClock, members: &[&str]) {
    clock.advance(Duration::from_millis(100));
    let late = |age: u64| age > LEASE.as_millis() as u64 / 3 + 200;
    while live_members(db).await.iter().any(|(name, age)| members.contains(&name.as_str()) && late(*age)) {
        tokio::task::yield_now().await;
    }
}

/// The names of all members whose rows are there, and the age of their heartbeats in milliseconds.
async fn live_members(db: &Database) -> Vec<(String, u64)> {
    let members = TitoQueue::new(db.clone()).members("fleet").await.unwrap();
    members.into_iter().map(|member| (member.name.unwrap(), member.heartbeat_age.as_millis() as u64)).collect()
}

async fn leases(db: &Database) -> Vec<LeaseInfo> {
    TitoQueue::new(db.clone()).leases("job").await.unwrap()
}

/// How many partitions each member owns, by its name.
async fn shares(db: &Database) -> BTreeMap<String, usize> {
    let queue = TitoQueue::new(db.clone());
    let names: BTreeMap<Uuid, String> =
        queue.members("fleet").await.unwrap().into_iter().map(|one| (one.id, one.name.unwrap())).collect();
    let mut shares = BTreeMap::new();
    for owner in leases(db).await.into_iter().filter_map(|lease| lease.member) {
        let name = names.get(&owner).map_or("gone", String::as_str);
        *shares.entry(name.to_string()).or_default() += 1;
    }
    shares
}

/// Turns the clock until all partitions are owned by these members, each of which has some.
async fn shared_out(db: &Database, clock: &TestClock, members: &[&str]) {
    loop {
        let shares = shares(db).await;
        if shares.keys().eq(members.iter()) && shares.values().sum::<usize>() == usize::from(PARTITIONS) {
            return;
        }
        // Those that have not joined yet are not there to be waited for.
        turn(db, clock, members).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until nothing is left to be handled, while the clock goes on.
async fn handled_all(db: &Database, clock: &TestClock, members: &[&str]) {
    while !stored(db, "event:").await.is_empty() {
        turn(db, clock, members).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[fact]
pub async fn a_shutdown_hands_partitions_over_while_the_clock_stands_still(db: Database, clock: TestClock) {
    topic(&db).await;
    // In one process, so that the members hear of one another.
    let start = |name| {
        let (worker, told) = telling(&db);
        (Running::start(joined(worker, name)), told)
    };
    let ((leaving, _first), (staying, mut told)) = (start("leaving"), start("staying"));
    shared_out(&db, &clock, &["leaving", "staying"]).await;
    let before = clock.now_millis();
    leaving.stop().await;
    while shares(&db).await.get("staying") != Some(&usize::from(PARTITIONS)) {
        tokio::task::yield_now().await;
    }
    publish(&db, (0..100).map(job)).await;
    for _ in 0..100 {
        told.recv().await.unwrap();
    }
    assert_eq!(clock.now_millis(), before);
    assert_eq!(staying.stop().await.done, 100);
}

#[fact]
pub async fn a_member_that_joins_takes_its_own_partitions_and_no_others_move(db: Database, clock: TestClock) {
    topic(&db).await;
    let mut workers = vec![Running::start(member(&db, "a")), Running::start(member(&db, "b"))];
    shared_out(&db, &clock, &["a", "b"]).await;
    let before = leases(&db).await;
    workers.push(Running::start(member(&db, "c")));
    shared_out(&db, &clock, &["a", "b", "c"]).await;
    let joined = TitoQueue::new(db.clone()).members("fleet").await.unwrap();
    let joined = joined.into_iter().find(|member| member.name.as_deref() == Some("c")).unwrap().id;
    // A few more rounds, in which nothing more may move.
    for _ in 0..60 {
        turn(&db, &clock, &["a", "b", "c"]).await;
    }
    let after = leases(&db).await;
    assert!(after.iter().any(|lease| lease.member == Some(joined)));
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || after.member == Some(joined), "{before:?} became {after:?}");
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[fact]
pub async fn a_member_that_is_not_active_keeps_its_partitions_and_handles_nothing(db: Database, clock: TestClock) {
    topic(&db).await;
    let active = Arc::new(AtomicBool::new(false));
    let worker = Running::start(member(&db, "only").active_while(active.clone()));
    publish(&db, (0..50).map(job)).await;
    shared_out(&db, &clock, &["only"]).await;
    let before = leases(&db).await;
    for _ in 0..60 {
        turn(&db, &clock, &["only"]).await;
    }
    assert!(counts(&db, "effect:").await.is_empty());
    assert_eq!(leases(&db).await, before);
    active.store(true, Ordering::SeqCst);
    handled_all(&db, &clock, &["only"]).await;
    assert_eq!(counts(&db, "effect:").await, [1; 50]);
    worker.stop().await;
}

/// The row of a member that lives for a day, of which nothing is known in this process.
fn foreign_member(clock: &TestClock) -> (Uuid, Vec<u8>) {
    let id = Uuid::from_u128(17);
    let row = serde_json::json!({
        "queues": ["job"],
        "heartbeat": clock.now_millis(),
        "lease_millis": 24 * 60 * 60 * 1000,
        "started": clock.now_millis(),
        "name": "foreign",
    });
    (id, serde_json::to_vec(&row).unwrap())
}

#[fact]
pub async fn a_worker_that_has_lost_its_leases_commits_no_effect(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).with_foreign_writers().database();
    topic(&db).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let worker = joined(Worker::builder(TitoQueue::new(db.clone())), "robbed");
    let worker = Running::start(worker.subscribe_with(
        "job",
        Subscription::default(),
        move |event: TitoEvent, tx: Transaction| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { count(&tx, format!("effect:{}", event.entity)).await }
        },
    ));
    shared_out(&db, &clock, &["robbed"]).await;
    let (foreign, row) = foreign_member(&clock);
    let events: Vec<_> = (0..200).map(job).collect();
    let stolen = leases(&db).await;
    // In one transaction, so that the worker hears of the events before it sees its leases.
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| {
        let (events, stolen, row, queue) = (events.clone(), stolen.clone(), row.clone(), queue.clone());
        async move {
            tx.system_keys().put(keys::member("fleet", foreign), row).await?;
            for LeaseInfo { partition, epoch, .. } in stolen {
                let lease = serde_json::json!({ "member": foreign, "fleet": "fleet", "epoch": epoch + 1 });
                tx.system_keys().put(keys::lease("job", partition), serde_json::to_vec(&lease).unwrap()).await?;
            }
            for event in events {
                queue.publish(event, &tx).await?;
            }
            Ok(())
        }
    })
    .await
    .unwrap();
    for _ in 0..60 {
        turn(&db, &clock, &["robbed"]).await;
    }
    assert_eq!((runs.load(Ordering::SeqCst), stored(&db, "event:").await.len()), (0, 200));
    assert_eq!(shares(&db).await, BTreeMap::from([("foreign".to_string(), usize::from(PARTITIONS))]));
    // The thief dies, and everything is claimed again.
    db.transaction(|tx| async move { tx.system_keys().delete(keys::member("fleet", foreign)).await }).await.unwrap();
    handled_all(&db, &clock, &["robbed"]).await;
    assert_eq!(counts(&db, "effect:").await, [1; 200]);
    assert_eq!(worker.stop().await.done, 200);
}

#[fact]
pub async fn a_plain_worker_that_has_lost_its_leases_stops(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).with_foreign_writers().database();
    topic(&db).await;
    let (worker, mut told) = telling(&db);
    let worker = Running::start(joined(worker, "robbed"));
    shared_out(&db, &clock, &["robbed"]).await;
    let (foreign, row) = foreign_member(&clock);
    put(&db, keys::member("fleet", foreign), row).await;
    for LeaseInfo { partition, epoch, .. } in leases(&db).await {
        let lease = serde_json::json!({ "member": foreign, "fleet": "fleet", "epoch": epoch + 1 });
        put(&db, keys::lease("job", partition), serde_json::to_vec(&lease).unwrap()).await;
    }
    // A partition that is not served waits for no wakeup of its publishers.
    let mut published = 0;
    loop {
        publish(&db, (0..100).map(|n| job(published + n))).await;
        published += 100;
        for _ in 0..30 {
            turn(&db, &clock, &["robbed"]).await;
        }
        let mut handled = 0;
        while told.try_recv().is_ok() {
            handled += 1;
        }
        if handled == 0 {
            break;
        }
    }
    assert!(published <= 200, "it went on for {published} events");
    worker.stop().await;
}

#[fact]
pub async fn workers_that_claim_the_same_share_commit_effects_once_and_in_order(db: Database, clock: TestClock) {
    TitoQueue::new(db.clone()).create_topic("job", 4).await.unwrap();
    let worker =
        |events| {
            let other_process = FaultEngine::new(db.clone()).with_foreign_writers().database();
            let builder = Worker::builder(TitoQueue::new(other_process)).partitions(PartitionConfig::new(2, 0));
            let options = Subscription::default().order(Order::Strict).batch(events);
            Running::start(builder.subscribe_with("job", options, |event: TitoEvent, tx: Transaction| async move {
                note(&tx, &event).await
            }))
        };
    let workers = [worker(1), worker(5)];
    // Entities of the partitions that both claim.
    let entities: Vec<_> =
        (0..).filter(|n: &u32| keys::partition_of(&n.to_string(), 4).is_multiple_of(2)).take(5).collect();
    for step in 0..30 {
        publish(&db, entities.iter().map(|entity| job(entity).action(format!("{step:02}")))).await;
        clock.advance(Duration::from_millis(50));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while !stored(&db, "event:").await.is_empty() {
        clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for worker in workers {
        worker.stop().await;
    }
    let expected: Vec<_> = (0..30).map(|step| format!("{step:02}")).collect();
    let handled = by_entity(log(&db).await);
    assert_eq!(handled.keys().collect::<BTreeSet<_>>().len(), 5);
    for (entity, actions) in handled {
        assert_eq!(actions, expected, "{entity}");
    }
}

#[fact]
pub async fn a_worker_with_a_name_that_can_not_be_ends_at_once(db: Database, _: TestClock) {
    publish(&db, [job("a")]).await;
    for (fleet, queue) in [("a:b", "job"), ("", "job"), ("fleet", "a:b"), ("fleet", "job@a@b")] {
        let worker = Worker::builder(TitoQueue::new(db.clone()))
            .join(fleet)
            .subscribe("job", |_: TitoEvent| async { Done::Ok(()) })
            .subscribe(queue, |_: TitoEvent| async { Done::Ok(()) })
            .build();
        let error = worker.check().unwrap_err();
        assert!(matches!(error, QueueError::Engine(TitoError::InvalidName { .. })), "{fleet:?} {queue:?}: {error}");
        let ended = worker.run(std::future::pending()).await.unwrap_err();
        assert!(
            matches!(ended.source, QueueError::Engine(TitoError::InvalidName { .. })),
            "{fleet:?} {queue:?}: {ended}"
        );
        assert_eq!(ended.report, WorkerReport::default());
        assert!(matches!(worker.drain().await, Err(QueueError::Engine(TitoError::InvalidName { .. }))));
    }
    assert_eq!(stored(&db, "event:").await.len(), 1);
}

#[fact]
pub async fn a_worker_that_subscribes_to_a_queue_twice_does_not_run(db: Database, _: TestClock) {
    publish(&db, [job("a")]).await;
    for queue in ["job", "job@audit"] {
        let worker = Worker::builder(TitoQueue::new(db.clone()))
            .subscribe(queue, |_: TitoEvent| async { Done::Ok(()) })
            .subscribe("mail", |_: TitoEvent| async { Done::Ok(()) })
            .subscribe(queue, |_: TitoEvent| async { Done::Ok(()) })
            .build();
        let ended = worker.run(std::future::pending()).await.unwrap_err();
        for error in [ended.source, worker.check().unwrap_err(), worker.drain().await.unwrap_err()] {
            assert!(matches!(&error, QueueError::SubscribedTwice { queue: named } if named == queue), "{error}");
        }
    }
    assert_eq!(stored(&db, "event:").await.len(), 1);
}
