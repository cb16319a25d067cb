//! Workers whose engine is closed under them end, and say why.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::WorkerBuilder;
use tito_worker::observe::{EndedRun, Observer};
use tito_worker::prelude::*;
use tito_worker::{GroupStart, QueueError, RateLimit, Subscription, WorkerError, WorkerReport};

use crate::support::*;

const REASON: &str = "the disk is gone";

/// Far longer than anything here takes: what ends at once does not wait for it.
const LONG: Duration = Duration::from_secs(600);

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs")
}

fn builder(db: &Database) -> WorkerBuilder {
    Worker::builder(TitoQueue::new(db.clone())).shutdown_timeout(LONG)
}

/// Runs a worker that nobody stops.
fn run(builder: WorkerBuilder) -> tokio::task::JoinHandle<Result<WorkerReport, WorkerError>> {
    let worker = builder.build();
    tokio::spawn(async move { worker.run(pending()).await })
}

fn subscribed(builder: WorkerBuilder) -> WorkerBuilder {
    builder.subscribe("job", |_: TitoEvent| async { Done::Ok(()) })
}

/// A handler that tells that it has begun, and waits.
fn gated(builder: WorkerBuilder, gate: &Gate) -> WorkerBuilder {
    let gate = gate.clone();
    builder.subscribe("job", move |_: TitoEvent| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Done::Ok(())
        }
    })
}

/// Counts what a worker has recorded. That it is recorded can be read a moment before the worker knows it.
#[derive(Clone, Default)]
struct Handled(Arc<AtomicUsize>);

impl Observer for Handled {
    fn handled(&self, _: &EndedRun<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Handled {
    async fn reaches(&self, events: usize) {
        while self.0.load(Ordering::Relaxed) < events {
            tokio::task::yield_now().await;
        }
    }
}

#[track_caller]
fn assert_closed(ended: Result<WorkerReport, WorkerError>) -> WorkerReport {
    assert_closed_as(ended, REASON)
}

#[track_caller]
fn assert_closed_as(ended: Result<WorkerReport, WorkerError>, expected: &str) -> WorkerReport {
    let WorkerError { report, source, .. } = ended.unwrap_err();
    assert!(
        matches!(&source, QueueError::Engine(TitoError::EngineClosed { reason }) if reason == expected),
        "{source} {report:?}"
    );
    report
}

#[fact]
pub async fn a_worker_with_nothing_to_do_ends_with_its_engine(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    publish(&db, (0..10).map(job)).await;
    let handled = Handled::default();
    let running = run(subscribed(builder(&db)).observe(handled.clone()));
    in_time(handled.reaches(10)).await;
    db.faults().close(REASON);
    let report = assert_closed(in_time(running).await.unwrap());
    assert_eq!(report.done, 10);
    // A worker of an engine that is closed already.
    let report = assert_closed(in_time(run(subscribed(builder(&db)))).await.unwrap());
    assert_eq!(report.done, 0);
}

#[fact]
pub async fn handlers_that_run_get_their_time_when_the_engine_is_closed(db: Database, clock: TestClock) {
    let faulty = FaultEngine::new(db.clone()).database();
    publish(&faulty, (0..10).map(job)).await;
    let gate = Gate::new();
    let running = run(gated(builder(&faulty), &gate));
    in_time(gate.arrivals(10)).await;
    faulty.faults().close(REASON);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!running.is_finished(), "its handlers run");
    gate.open();
    let report = assert_closed(in_time(running).await.unwrap());
    assert_eq!((report.done, report.unfinished), (0, 0), "what they came to is not recorded");
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.drain().await.unwrap();
    assert_eq!(handled.len(), 10);
    assert!(handled.iter().all(|handled| handled.event.failed_attempts == 0));
}

#[fact]
pub async fn handlers_that_do_not_end_are_dropped_at_the_deadline_then(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    publish(&db, (0..10).map(job)).await;
    let gate = Gate::new();
    let running = run(gated(builder(&db).shutdown_timeout(Duration::from_millis(20)), &gate));
    in_time(gate.arrivals(10)).await;
    db.faults().close(REASON);
    let report = assert_closed(in_time(running).await.unwrap());
    assert_eq!((report.done, report.unfinished), (0, 10));
}

#[fact]
pub async fn a_worker_that_records_outcomes_ends_with_its_engine(db: Database, clock: TestClock) {
    let faulty = FaultEngine::new(db.clone()).database();
    with_one_partition(&faulty).await;
    publish(&faulty, (0..10).map(job)).await;
    let commits = faulty.faults().at(Call::Commit).key_prefix("event:job:").always().hold();
    let running = run(subscribed(builder(&faulty)));
    in_time(commits.arrivals(1)).await;
    faulty.faults().close(REASON);
    let report = assert_closed(in_time(running).await.unwrap());
    assert_eq!(report.done, 0);
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 10);
}

#[fact]
pub async fn a_worker_whose_recordings_fail_ends_with_its_engine(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    publish(&db, (0..10).map(job)).await;
    db.faults().at(Call::Commit).key_prefix("event:job:").always().storage_error();
    let running = run(subscribed(builder(&db)));
    in_time(async {
        while db.faults().injected() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    db.faults().close(REASON);
    assert_closed(in_time(running).await.unwrap());
}

#[fact]
pub async fn transactional_handlers_end_with_their_engine(db: Database, _: TestClock) {
    let faulty = FaultEngine::new(db.clone()).database();
    with_one_partition(&faulty).await;
    publish(&faulty, (0..10).map(job)).await;
    let commits = faulty.faults().at(Call::Commit).key_prefix("event:job:").always().hold();
    let handler = |_: TitoEvent, _: Transaction| async { Done::Ok(()) };
    let running = run(builder(&faulty).subscribe_with("job", Subscription::default(), handler));
    in_time(commits.arrivals(1)).await;
    faulty.faults().close(REASON);
    assert_closed(in_time(running).await.unwrap());
    assert_eq!(stored(&db, "event:job:").await.len(), 10);
}

#[fact]
pub async fn a_member_of_a_fleet_ends_with_its_engine_though_the_clock_stands_still(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    publish(&db, (0..10).map(job)).await;
    let handled = Handled::default();
    let running = run(subscribed(builder(&db).join("mail")).observe(handled.clone()));
    in_time(handled.reaches(10)).await;
    db.faults().close(REASON);
    let report = assert_closed(in_time(running).await.unwrap());
    assert_eq!(report.done, 10);
}

#[fact]
pub async fn a_worker_that_is_not_active_ends_with_its_engine(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    publish(&db, [job("a")]).await;
    let running = run(subscribed(builder(&db).active_while(Arc::new(AtomicBool::new(false)))));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    db.faults().close(REASON);
    assert_closed(in_time(running).await.unwrap());

    let (_keep, shutdown) = tokio::sync::broadcast::channel(1);
    let (queue, is_leader) = (Arc::new(TitoQueue::new(db)), Arc::new(AtomicBool::new(false)));
    let handler = |_| Box::pin(async { Ok(()) }) as futures::future::BoxFuture<'static, _>;
    let one_call = run_worker(queue, "job".to_string(), handler, PartitionConfig::new(1, 0), is_leader, shutdown);
    assert_eq!(in_time(one_call).await, WorkerReport::default());
}

#[fact]
pub async fn a_worker_that_can_not_reach_its_engine_ends_when_that_is_closed(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    db.faults().at(Call::Begin).always().storage_error();
    let running = run(subscribed(builder(&db)));
    in_time(async {
        while db.faults().injected() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    db.faults().close(REASON);
    assert_closed(in_time(running).await.unwrap());
}

#[fact]
pub async fn a_drain_ends_at_once_with_the_error_that_closed_the_engine(db: Database, clock: TestClock) {
    let faulty = FaultEngine::new(db.clone()).database();
    with_one_partition(&faulty).await;
    publish(&faulty, (0..10).map(job)).await;
    let gate = Gate::new();
    let worker = gated(builder(&faulty), &gate).build();
    let closing = async {
        gate.arrivals(10).await;
        faulty.faults().close(REASON);
    };
    let (drained, ()) = in_time(futures::future::join(worker.drain(), closing)).await;
    for ended in [drained, in_time(worker.drain()).await] {
        let error = ended.unwrap_err();
        assert!(
            matches!(&error, QueueError::Engine(TitoError::EngineClosed { reason }) if reason == REASON),
            "{error}"
        );
    }
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 10);
}

/// It waits for its turn by a clock that nobody turns.
#[fact]
pub async fn a_drain_that_waits_for_its_rate_ends_with_its_engine(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    with_one_partition(&db).await;
    publish(&db, (0..10).map(job)).await;
    let slow = Subscription::default().rate_limit(RateLimit::new(1, Duration::from_secs(3_600)));
    let gate = Gate::new();
    let begun = gate.clone();
    let worker = builder(&db)
        .subscribe_with("job", slow, move |_: TitoEvent| {
            begun.open();
            async { Done::Ok(()) }
        })
        .build();
    let closing = async {
        gate.pass().await;
        db.faults().close(REASON);
    };
    let (drained, ()) = in_time(futures::future::join(worker.drain(), closing)).await;
    assert!(matches!(drained, Err(QueueError::Engine(TitoError::EngineClosed { .. }))), "{drained:?}");
}

/// Changes of a topic wait for transactions that may have gone by its former state, here by a clock that nobody turns.
#[fact]
pub async fn who_waits_for_a_topic_to_settle_is_told(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).with_foreign_writers().database();
    with_one_partition(&db).await;
    let queue = TitoQueue::new(db.clone());
    let adding = tokio::spawn(async move { queue.add_group("job", "mail", GroupStart::Now).await });
    in_time(async {
        while db.faults().count(Call::Timestamp) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    db.faults().close(REASON);
    let error = in_time(adding).await.unwrap().unwrap_err();
    assert!(matches!(&error, QueueError::Engine(TitoError::EngineClosed { reason }) if reason == REASON), "{error}");
}

/// What the facts above say of an engine that a test closes holds of those that are closed by their owners.
mod by_their_owners {
    use super::*;

    async fn ends_with_its_engine(db: Database, close: impl AsyncFnOnce(&Database)) {
        publish(&db, [Publish::new("mail", "a"), job("a")]).await;
        let idle = run(builder(&db).join("idle").subscribe("mail", |_: TitoEvent| async { Done::Ok(()) }));
        let gate = Gate::new();
        let waiting = run(gated(builder(&db).shutdown_timeout(Duration::from_millis(20)), &gate));
        in_time(async {
            gate.arrivals(1).await;
            while !stored(&db, "event:mail:").await.is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        in_time(close(&db)).await;
        for running in [idle, waiting] {
            assert_closed_as(in_time(running).await.unwrap(), "it was shut down");
        }
        let error = in_time(subscribed(builder(&db)).build().drain()).await.unwrap_err();
        assert!(matches!(error, QueueError::Engine(TitoError::EngineClosed { .. })), "{error}");
        assert!(matches!(in_time(db.closed()).await, TitoError::EngineClosed { .. }), "also for those who ask late");
    }

    #[tokio::test]
    async fn an_embedded_engine_in_memory() {
        ends_with_its_engine(tito_testkit::in_memory().await.unwrap(), async |db| db.close().await).await;
    }

    #[tokio::test]
    async fn an_embedded_engine_on_disk() {
        let database = tito_testkit::on_disk().await.unwrap();
        ends_with_its_engine(database.database().clone(), async |db| db.close().await).await;
    }

    #[cfg(feature = "tikv")]
    #[tokio::test]
    async fn an_engine_of_a_cluster() {
        let database = tito_testkit::on_mock_cluster().await.unwrap();
        ends_with_its_engine(database.database().clone(), async |db| db.close().await).await;
    }
}
