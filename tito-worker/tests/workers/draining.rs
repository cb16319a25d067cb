//! What `drain` promises.

use tito_core::Transaction;
use tito_core::prelude::*;
use tito_testkit::{FaultEngine, Harness, TestClock, WithFaults};
use tito_worker::Subscription;
use tito_worker::prelude::*;

use crate::support::*;

#[fact]
pub async fn a_large_backlog_is_drained_in_one_call(db: Database, clock: TestClock) {
    for step in 0..5 {
        publish(&db, (0..1000).map(|n| Publish::new("job", format!("{}", step * 1000 + n)))).await;
    }
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 5000);
    assert_eq!(harness.report().done, 5000);
    assert_eq!(stored(&db, "event:").await.len(), 0);
}

/// Where the engine knows that nobody has written it since.
#[fact]
pub async fn an_event_is_read_once(db: Database, clock: TestClock) {
    const EVENTS: u64 = 1_000;
    /// Topics and what else is read along with many events.
    const BESIDE: u64 = 100;
    let db = FaultEngine::new(db).database();
    let knows = db.begin().await.unwrap().version().is_some();
    let reads = if knows { EVENTS } else { 2 * EVENTS };
    for is_transactional in [false, true] {
        publish(&db, (0..EVENTS).map(job)).await;
        let harness = Harness::new(&db, &clock);
        let mut harness = if is_transactional {
            let batches = Subscription::default().batch(100);
            harness.subscribe_with("job", batches, |_: TitoEvent, _: Transaction| async { Ok::<_, TitoError>(()) })
        } else {
            harness.subscribe("job", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
        };
        let before = db.faults().rows_read();
        assert_eq!(harness.drain().await.unwrap().len() as u64, EVENTS);
        let read = db.faults().rows_read() - before;
        assert!(
            (reads..reads + BESIDE).contains(&read),
            "{read} rows, with transactional handlers: {is_transactional}"
        );
    }
}
