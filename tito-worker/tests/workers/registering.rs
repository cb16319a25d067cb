//! What workers say of themselves, and how one is told to leave.

use std::sync::Arc;
use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tito_worker::prelude::*;
use tito_worker::{PartitionConfig, QueueError, Subscription, WorkerBuilder, WorkerInfo};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use crate::support::*;

/// How often workers of other processes say what they have in hand.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// How much time passes in a millisecond. Transactions must not become too old by it.
const STEP: Duration = Duration::from_millis(20);

/// A worker whose handlers tell of their event and wait until the gate opens.
fn holding(db: &Database) -> (WorkerBuilder, mpsc::UnboundedReceiver<TitoEvent>, Arc<Semaphore>) {
    holding_some(db, 100)
}

fn holding_some(db: &Database, most: usize) -> (WorkerBuilder, mpsc::UnboundedReceiver<TitoEvent>, Arc<Semaphore>) {
    let (tell, told) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let builder = Worker::builder(TitoQueue::new(db.clone())).schedules(false).subscribe_with(
        "job",
        Subscription::default().concurrency(most).timeout(Duration::from_secs(100_000)),
        move |event: TitoEvent| {
            let (tell, opened) = (tell.clone(), opened.clone());
            async move {
                tell.send(event).unwrap();
                opened.acquire().await.unwrap().forget();
                Done::Ok(())
            }
        },
    );
    (builder, told, gate)
}

fn other_process(db: &Database) -> Database {
    FaultEngine::new(db.clone()).with_foreign_writers().database()
}

/// The only worker, once it is as wanted. Time passes meanwhile.
async fn only_worker(db: &Database, clock: &TestClock, is_wanted: impl Fn(&WorkerInfo) -> bool) -> WorkerInfo {
    let queue = TitoQueue::new(db.clone());
    loop {
        match <[_; 1]>::try_from(queue.workers().await.unwrap()) {
            Ok([worker]) if is_wanted(&worker) => return worker,
            _ => clock.advance(STEP),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[fact]
pub async fn a_worker_says_what_it_is_and_what_it_has_in_hand(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let queue = TitoQueue::new(db.clone());
    assert_eq!(queue.workers().await.unwrap(), []);
    let (builder, mut told, gate) = holding(&db);
    let builder = builder.application_version("1.4.0").host_name("machine-3").member_name("sender");
    let running = Running::start(builder.partitions(PartitionConfig::new(1, 0)));
    let began = db.now().await.unwrap().millis();
    publish(&db, [job("user:17")]).await;
    let event = told.recv().await.unwrap();
    clock.advance(Duration::from_secs(7));

    let worker = only_worker(&db, &clock, |worker| !worker.in_flight.is_empty()).await;
    assert_eq!(
        (worker.version.as_deref(), worker.host.as_deref(), worker.name.as_deref(), worker.process_id),
        (Some("1.4.0"), Some("machine-3"), Some("sender"), Some(std::process::id()))
    );
    assert_eq!((worker.fleet, worker.share), (None, Some(PartitionConfig::new(1, 0))));
    assert!(worker.live && !worker.retiring);
    assert!(worker.started_at.timestamp_millis().abs_diff(began as i64) <= 1_000, "{}", worker.started_at);
    assert_eq!((worker.queues.into_iter().collect::<Vec<_>>(), worker.in_flight["job"]), (vec!["job".to_string()], 1));
    let [run] = &worker.running[..] else { panic!("{:?}", worker.running) };
    assert_eq!(
        (run.queue.as_str(), run.partition, run.event, run.entity.as_str(), run.attempt),
        ("job", 0, event.id, "user:17", 1)
    );
    let now = db.now().await.unwrap().millis() as i64;
    assert!(now - run.since.timestamp_millis() >= 7_000, "{} at {now}", run.since);

    let in_hand = queue.in_hand("job", event.id).await.unwrap().unwrap();
    assert_eq!((in_hand.worker, in_hand.is_live, in_hand.handler.event), (worker.id, true, event.id));
    assert_eq!(queue.in_hand("job@group", event.id).await.unwrap(), None, "another queue's");
    assert_eq!(queue.in_hand("job", Uuid::nil()).await.unwrap(), None);
    assert_eq!(queue.serving("job").await.unwrap().len(), 1);
    assert_eq!(queue.serving("other").await.unwrap(), []);

    gate.add_permits(1);
    while queue.in_hand("job", event.id).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.stop().await.done, 1);
    assert_eq!(queue.workers().await.unwrap(), []);
    assert_eq!(stored(&db, "!worker:").await, []);
}

#[fact]
pub async fn a_worker_of_another_process_is_seen_by_its_row(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let (builder, mut told, gate) = holding(&other_process(&db));
    let running = Running::start(builder.application_version("1.4.0"));
    let worker = only_worker(&db, &clock, |_| true).await;
    assert_eq!((worker.version.as_deref(), worker.live), (Some("1.4.0"), true));
    publish(&db, [job("user:17")]).await;
    let event = loop {
        tokio::select! {
            event = told.recv() => break event.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(STEP),
        }
    };
    let seen = only_worker(&db, &clock, |worker| !worker.running.is_empty()).await;
    assert_eq!((seen.id, seen.started_at, seen.running[0].event), (worker.id, worker.started_at, event.id));
    let in_hand = TitoQueue::new(db.clone()).in_hand("job", event.id).await.unwrap().unwrap();
    assert_eq!((in_hand.worker, in_hand.is_live), (worker.id, true));
    gate.add_permits(1);
    running.kill().await;
    let dead = only_worker(&db, &clock, |worker| !worker.live).await;
    assert_eq!(dead.id, worker.id, "its row is there until it is swept");
    assert_eq!(TitoQueue::new(db.clone()).serving("job").await.unwrap(), []);
    let retired = TitoQueue::new(db.clone()).retire(worker.id).await;
    assert!(matches!(retired, Err(QueueError::UnknownWorker { .. })), "{retired:?}");
}

#[fact]
pub async fn the_longest_running_handlers_come_first_and_are_twenty_at_most(db: Database, clock: TestClock) {
    let (builder, mut told, gate) = holding(&db);
    let running = Running::start(builder);
    publish(&db, [job("first")]).await;
    let first = told.recv().await.unwrap();
    clock.advance(Duration::from_secs(5));
    publish(&db, (0..24).map(|number| job(format!("user:{number}")))).await;
    for _ in 0..24 {
        loop {
            tokio::select! {
                event = told.recv() => break drop(event.unwrap()),
                () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(STEP),
            }
        }
    }
    let worker = only_worker(&db, &clock, |worker| worker.in_flight["job"] == 25).await;
    assert_eq!((worker.running.len(), worker.running[0].event), (20, first.id));
    assert!(worker.running.is_sorted_by_key(|run| run.since));
    gate.add_permits(25);
    assert_eq!(running.stop().await.done, 25);
}

/// Tells a worker to leave while its handler runs.
async fn retired(db: &Database, clock: &TestClock, of: &Database, fleet: bool) {
    with_one_partition(db).await;
    let queue = TitoQueue::new(db.clone());
    let (builder, mut told, gate) = holding_some(of, 1);
    let builder = if fleet { builder.join("fleet").lease_time(Duration::from_secs(3_600)) } else { builder };
    let worker = builder.shutdown_timeout(Duration::from_secs(3_600)).build();
    let running = tokio::spawn(async move { worker.run(std::future::pending()).await.unwrap() });
    publish(db, [job("user:17")]).await;
    let event = loop {
        tokio::select! {
            event = told.recv() => break event.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(STEP),
        }
    };
    let id = only_worker(db, clock, |worker| !worker.running.is_empty()).await.id;
    if fleet {
        let members = queue.members("fleet").await.unwrap();
        assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [id], "one id for both");
        let fleets = queue.fleets().await.unwrap();
        assert_eq!((fleets.len(), fleets[0].name.as_str(), fleets[0].live, fleets[0].dead), (1, "fleet", 1, 0));
        assert!(fleets[0].queues.contains("job"));
    }
    queue.retire(id).await.unwrap();
    // The same again changes nothing.
    queue.retire(id).await.unwrap();
    // From then on it hands out nothing.
    while !stored(db, "process:").await.iter().any(|(_, mark)| String::from_utf8_lossy(mark).contains("stopping")) {
        clock.advance(STEP);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    publish(db, [job("user:18")]).await;
    assert!(queue.in_hand("job", event.id).await.unwrap().is_some(), "the handler runs on");
    gate.add_permits(1);
    let ended = async { running.await.unwrap() };
    tokio::pin!(ended);
    let report = loop {
        tokio::select! {
            report = &mut ended => break report,
            () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance(STEP),
        }
    };
    assert_eq!((report.retired, report.done, report.unfinished), (true, 1, 0));
    assert_eq!(entities(db, "event:").await, ["user:18"], "left to others");
    assert_eq!(queue.workers().await.unwrap(), []);
    assert_eq!(queue.fleets().await.unwrap(), []);
    assert_eq!((stored(db, "!retire:").await, stored(db, "!worker:").await), (vec![], vec![]));
}

#[fact]
pub async fn a_worker_that_is_told_to_leave_finishes_what_it_has_in_hand(db: Database, clock: TestClock) {
    retired(&db, &clock, &db, false).await;
}

#[fact]
pub async fn a_member_that_is_told_to_leave_leaves_its_fleet(db: Database, clock: TestClock) {
    retired(&db, &clock, &db, true).await;
}

#[fact]
pub async fn a_worker_of_another_process_is_told_to_leave(db: Database, clock: TestClock) {
    retired(&other_process(&db), &clock, &other_process(&db), false).await;
}

#[fact]
pub async fn a_member_of_another_process_is_told_to_leave(db: Database, clock: TestClock) {
    retired(&other_process(&db), &clock, &other_process(&db), true).await;
}

#[fact]
pub async fn a_worker_that_is_not_there_is_not_told_to_leave(db: Database) {
    let refused = TitoQueue::new(db.clone()).retire(Uuid::from_u128(17)).await;
    assert!(
        matches!(refused, Err(QueueError::UnknownWorker { worker }) if worker == Uuid::from_u128(17)),
        "{refused:?}"
    );
    assert_eq!(stored(&db, "!retire:").await, []);
}

#[fact]
pub async fn a_member_whose_release_did_not_register_is_listed(db: Database) {
    let now = db.now().await.unwrap().millis();
    let id = Uuid::from_u128(17);
    let row = format!(r#"{{"queues":["job"],"heartbeat":{now},"lease_millis":15000,"started":{now},"name":"old"}}"#);
    put(&db, format!("member:fleet:{id}"), row).await;
    let workers = TitoQueue::new(db.clone()).workers().await.unwrap();
    let [worker] = &workers[..] else { panic!("{workers:?}") };
    assert_eq!((worker.id, worker.name.as_deref(), worker.fleet.as_deref()), (id, Some("old"), Some("fleet")));
    assert_eq!((worker.version.as_deref(), worker.process_id), (None, None));
    put(&db, format!("!worker:{}", Uuid::from_u128(18)), "nonsense").await;
    assert_eq!(TitoQueue::new(db).workers().await.unwrap().len(), 1, "what can't be read is left out");
}

/// One small row in ten seconds where other processes write too, none where they don't, and none for an event.
#[fact]
pub async fn to_be_registered_costs_a_row_in_ten_seconds_at_most(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    for (db, rows) in [(FaultEngine::new(db.clone()).database(), !db.is_only_writer()), (other_process(&db), true)] {
        let running = Running::start(
            Worker::builder(TitoQueue::new(db.clone()))
                .schedules(false)
                .subscribe("job", |_: TitoEvent| async { Done::Ok(()) }),
        );
        publish(&db, (0..100).map(|number| job(format!("user:{number}")))).await;
        while !stored(&db, "event:").await.is_empty() || (rows && stored(&db, "!worker:").await.is_empty()) {
            // Polls come when time passes, and that is less than ten seconds in all.
            clock.advance(Duration::from_millis(1));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // What was acknowledged last is known to be by then.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let before = db.faults().count(Call::Commit);
        for said in 1..=5 {
            clock.advance(SAID_EVERY);
            while rows && db.faults().count(Call::Commit) < before + said {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(db.faults().count(Call::Commit) - before, if rows { 5 } else { 0 });
        if rows {
            let [(_, row)] = &stored(&db, "!worker:").await[..] else { panic!("one row") };
            assert!(row.len() < 400, "{}", String::from_utf8_lossy(row));
        }
        running.stop().await;
    }
}
