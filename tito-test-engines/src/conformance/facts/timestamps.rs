//! Timestamps are unique and increasing, and follow the clock without ever going back.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tito_core::Timestamp;
use tito_core::clock::Clock;

use crate::clock::TestClock;
use crate::conformance::Opener;
use crate::conformance::support::*;
use crate::settings::EngineSettings;

pub async fn a_commit_lies_between_its_start_and_every_later_start(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let mut last = Timestamp::ZERO;
    for round in 0..20 {
        let tx = engine.begin().await.unwrap();
        assert!(tx.start_timestamp() > last, "{} after {last}", tx.start_timestamp());
        assert_eq!(number(&tx, "round").await.unwrap(), round, "the commit before is visible");
        put_number(&tx, "round", round + 1).await.unwrap();
        let commit = tx.commit().await.unwrap();
        assert!(commit > tx.start_timestamp(), "{commit} after {}", tx.start_timestamp());
        last = engine.timestamp().await.unwrap();
        assert!(last > commit, "{last} after {commit}");
    }
}

/// Even among concurrent tasks: every timestamp handed out before a call began is smaller than the call's result.
pub async fn timestamps_are_unique_and_increasing_among_concurrent_tasks(opener: Opener) {
    let database = open(opener).await;
    let latest = Arc::new(AtomicU64::new(0));
    let tasks = (0..8).map(|task| {
        let (engine, latest) = (database.database(), latest.clone());
        tokio::spawn(async move {
            let mut seen = Vec::new();
            for round in 0..20 {
                let before = latest.load(Ordering::SeqCst);
                let timestamp = engine.timestamp().await.unwrap();
                check_newer(timestamp, before, &latest);
                seen.push(timestamp);

                let before = latest.load(Ordering::SeqCst);
                let tx = engine.begin().await.unwrap();
                check_newer(tx.start_timestamp(), before, &latest);
                seen.push(tx.start_timestamp());

                put(&tx, &format!("task {task}"), &round.to_string()).await;
                let before = latest.load(Ordering::SeqCst);
                let commit = tx.commit().await.unwrap();
                check_newer(commit, before, &latest);
                seen.push(commit);
            }
            seen
        })
    });
    let seen: Vec<Timestamp> = join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
    let distinct: HashSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "a timestamp was handed out twice");
}

#[track_caller]
fn check_newer(timestamp: Timestamp, before: u64, latest: &AtomicU64) {
    assert!(timestamp.raw() > before, "{timestamp} after {}", Timestamp::from_raw(before));
    latest.fetch_max(timestamp.raw(), Ordering::SeqCst);
}

pub async fn the_physical_part_follows_the_clock(opener: Opener) {
    let clock = TestClock::new();
    let database = opener.open(EngineSettings::default().test_clock(&clock)).await.unwrap();
    let engine = database.database();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(3600));
        assert_eq!(engine.timestamp().await.unwrap().physical_millis(), clock.now_millis());
        let tx = engine.begin().await.unwrap();
        assert_eq!(tx.start_timestamp().physical_millis(), clock.now_millis());
        put(&tx, "a", "1").await;
        clock.advance(Duration::from_secs(1));
        assert_eq!(tx.commit().await.unwrap().physical_millis(), clock.now_millis());
    }
    assert_eq!(engine.clock().now_millis(), clock.now_millis(), "the engine tells the clock that it was given");
}

pub async fn now_passes_as_time_does_and_is_not_ahead_of_timestamps(opener: Opener) {
    let clock = TestClock::new();
    let database = opener.open(EngineSettings::default().test_clock(&clock)).await.unwrap();
    let engine = database.database();
    let mut last = engine.now().await.unwrap();
    for seconds in [1, 3600, 86_400] {
        clock.advance(Duration::from_secs(seconds));
        let now = engine.now().await.unwrap();
        assert_eq!((now.millis(), now.millis_since(last.millis())), (clock.now_millis(), seconds * 1_000));
        assert_eq!(now.since(), last.since(), "nobody has set it");
        let tx = engine.begin().await.unwrap();
        assert_eq!(tx.now().millis(), now.millis());
        assert!(tx.now().millis() <= tx.start_timestamp().physical_millis());
        last = now;
    }
    // A wall clock that was set back a moment ago.
    clock.set(clock.now_millis() - 3_600_000);
    clock.advance(Duration::from_millis(1));
    let now = engine.now().await.unwrap();
    assert!(now.millis() >= last.millis(), "{now} after {last}");
    assert!(now.millis() <= engine.timestamp().await.unwrap().physical_millis());
}

pub async fn timestamps_do_not_go_back_with_the_clock(opener: Opener) {
    let clock = TestClock::new();
    let database = opener.open(EngineSettings::default().test_clock(&clock)).await.unwrap();
    let engine = database.database();
    let mut last = store(&engine, &[("a", "1")]).await;
    clock.set(clock.now_millis() - 3_600_000);
    for _ in 0..10 {
        let timestamp = engine.timestamp().await.unwrap();
        assert!(timestamp > last, "{timestamp} after {last}");
        let tx = engine.begin().await.unwrap();
        assert!(tx.start_timestamp() > timestamp);
        assert_eq!(get(&tx, "a").await.as_deref(), Some("1"));
        put(&tx, "a", "1").await;
        last = tx.commit().await.unwrap();
        assert!(last > tx.start_timestamp());
    }
}

pub async fn timestamps_do_not_go_back_when_reopened(opener: Opener) {
    let clock = TestClock::new();
    reopened_at(opener, &clock, clock.now_millis()).await;
}

pub async fn timestamps_do_not_go_back_when_reopened_with_the_clock_set_back(opener: Opener) {
    let clock = TestClock::new();
    reopened_at(opener, &clock, clock.now_millis() - 3_600_000).await;
}

async fn reopened_at(opener: Opener, clock: &TestClock, millis: u64) {
    let settings = || EngineSettings::default().test_clock(clock);
    let database = opener.open(settings()).await.unwrap();
    let mut last = Timestamp::ZERO;
    let mut database = Some(database);
    for round in 0..3 {
        // `None` if nothing outlives the engine.
        let Some(current) = database.take() else { return };
        let engine = current.database();
        let tx = engine.begin().await.unwrap();
        assert!(tx.start_timestamp() > last, "{} after {last}, round {round}", tx.start_timestamp());
        assert_eq!(number(&tx, "round").await.unwrap(), round);
        put_number(&tx, "round", round + 1).await.unwrap();
        tx.commit().await.unwrap();
        // Handed out after the last commit, so no stored transaction reveals it.
        last = engine.timestamp().await.unwrap();
        drop((tx, engine));
        clock.set(millis);
        database = current.reopen(settings()).await.unwrap();
    }
}
