//! A publisher that is killed in the middle of a commit, and workers that go on.

use std::time::Duration;

use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::mock_tikv::{Fault, FaultRule, MockCluster, Rpc};
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_and_handles_a_dead_publisher_s_event_if_it_was_committed() {
    for killed in [Rpc::KvPrewrite, Rpc::KvCommit] {
        for (key, is_committed) in [("apple", false), ("event:", killed == Rpc::KvCommit)] {
            let clock = TestClock::new();
            let now = clock.clone();
            let now = std::sync::Arc::new(move || tito_core::clock::Clock::now_millis(&now));
            let boundaries = ["b", "event:", "f"];
            let cluster = MockCluster::builder()
                .split_default_keyspace(false)
                .split_at(boundaries)
                .clock(now)
                .start()
                .await
                .unwrap();
            let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
            TitoQueue::new(db.clone()).create_topic("job", 1).await.unwrap();
            publish(&db, "first").await.unwrap();
            no_locks(&cluster).await;

            cluster.faults().add(FaultRule::on(killed, Fault::Hang).keys(key).nth(1));
            let settings = builder(&cluster).clock(clock.shared()).rpc_timeout(Duration::from_secs(60));
            let process = Process::start(settings).await;
            let dying = process.db.clone();
            process.spawn(async move { publish(&dying, "dead").await });
            eventually("the client hangs with a lock", || {
                cluster.faults().injected().total() == 1 && !cluster.locks().is_empty()
            })
            .await;
            process.kill();
            clock.advance(Duration::from_secs(30));
            publish(&db, "last").await.unwrap();

            let mut harness =
                Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
            let mut handled: Vec<String> = Vec::new();
            for event in in_time(harness.drain()).await.unwrap() {
                handled.push(event.event.entity);
            }
            handled.sort();
            let expected: &[&str] = if is_committed { &["dead", "first", "last"] } else { &["first", "last"] };
            assert_eq!(handled, expected, "{killed:?} of {key}");
            assert_eq!(get(&db, "apple").await.as_deref(), Some("last"));
            no_locks(&cluster).await;
        }
    }
}

/// An event, and a row in a region before it, which is the transaction's primary key.
async fn publish(db: &Database, entity: &str) -> Result<(), TitoError> {
    let queue = TitoQueue::new(db.clone());
    db.transaction(|tx| async move {
        tx.put(b"apple".to_vec(), entity.as_bytes().to_vec()).await?;
        queue.publish(Publish::new("job", entity), &tx).await.map(drop)
    })
    .await
}
