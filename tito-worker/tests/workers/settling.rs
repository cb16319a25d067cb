//! Changes of a topic wait for every commit that is under way, however late it is.

use std::time::Duration;

use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};
use tito_worker::GroupStart;
use tito_worker::prelude::*;

use crate::support::*;

/// A commit is held by the storage while the clock passes all that a transaction may live.
async fn waits_for_a_commit(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("first")]).await;
    let unaware = db.begin().await.unwrap();
    queue.publish(job("late"), &unaware).await.unwrap();
    let gate = db.faults().at(Call::Commit).key_prefix("event:job:").hold();
    let committing = tokio::spawn(async move { unaware.commit().await });
    gate.arrivals(1).await;
    let adding = tokio::spawn({
        let queue = queue.clone();
        async move { queue.add_group("job", "mail", GroupStart::Now).await }
    });
    while !queue.groups("job").await.unwrap().contains_key("mail") {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        clock.advance(Duration::from_secs(60));
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    }
    assert!(!adding.is_finished(), "it was not answered whether the event is committed");
    gate.open();
    // On the engine below it was too old by then; elsewhere it could land.
    let _ = committing.await.unwrap();
    turning(&clock, adding).await.unwrap().unwrap();
}

#[fact]
pub async fn a_commit_under_way_is_waited_for_whatever_the_clock_says(db: Database, clock: TestClock) {
    waits_for_a_commit(FaultEngine::new(db).database(), clock).await;
}

#[fact]
pub async fn so_it_is_where_others_write_as_well(db: Database, clock: TestClock) {
    waits_for_a_commit(FaultEngine::new(db).with_foreign_writers().database(), clock).await;
}

/// A transaction that nobody ends is not waited for once it is too old to commit.
#[fact]
pub async fn a_transaction_that_is_left_open_blocks_nobody_for_ever(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    publish(&db, [job("first")]).await;
    let open = db.begin().await.unwrap();
    queue.publish(job("late"), &open).await.unwrap();
    let adding = tokio::spawn({
        let queue = queue.clone();
        async move { queue.add_group("job", "mail", GroupStart::Now).await }
    });
    while !queue.groups("job").await.unwrap().contains_key("mail") {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!adding.is_finished());
    clock.advance(Duration::from_millis(db.max_transaction_age_millis() + 1));
    turning(&clock, adding).await.unwrap().unwrap();
    assert!(matches!(open.commit().await, Err(TitoError::TransactionTooOld { .. })));
}
