//! Garbage collection and the deletion of ranges.

use std::time::Duration;

use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::tikv::TiKVError;
use tito_test_engines::TestClock;
use tito_test_engines::mock_tikv::{Fault, FaultRule, MockCluster, Rpc};

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);

async fn turned_by_hand() -> (MockCluster, TestClock, Database) {
    let clock = TestClock::new();
    let cluster = four_regions_at(&clock).await;
    let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
    (cluster, clock, db)
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, TitoError>) {
    match outcome {
        Err(TitoError::Storage { source, .. }) if source.downcast_ref::<TiKVError>().is_some_and(is_refusal) => {}
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn is_refusal(error: &TiKVError) -> bool {
    matches!(error, TiKVError::Refused { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_rows_survive_a_collection_and_its_safe_point_does_not_go_back() {
    let (cluster, clock, db) = turned_by_hand().await;
    for value in ["first", "second", "third"] {
        put_all(&db, &APART, value).await.unwrap();
        no_locks(&cluster).await;
        clock.advance(HOUR);
    }
    db.transaction(|tx| async move { tx.delete(b"melon".to_vec()).await }).await.unwrap();
    let young = db.begin().await.unwrap();
    put_all(&db, &["apple"], "fourth").await.unwrap();
    clock.advance(Duration::from_secs(20));

    assert!(tikv(&db).gc(Duration::from_secs(600)).await.unwrap());
    let third = Some("third".to_string());
    let expected = [Some("fourth".to_string()), third.clone(), None, third];
    assert_eq!(get_all(&db, &APART).await, expected);
    // Its snapshot is younger than what was kept.
    assert_eq!(young.get(b"apple").await.unwrap(), Some(b"third".to_vec()));
    assert!(!tikv(&db).gc(HOUR * 5).await.unwrap(), "a later safe point is there already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_rolls_back_what_dead_clients_left() {
    let (cluster, clock, db) = turned_by_hand().await;
    cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::Hang).keys("apple").nth(1));
    let process = Process::start(builder(&cluster).clock(clock.shared()).rpc_timeout(HOUR)).await;
    let dying = process.db.clone();
    process.spawn(async move { put_all(&dying, &APART, "dead").await });
    eventually("all keys are locked", || cluster.locks().len() == 4).await;
    process.kill();
    clock.advance(HOUR);
    assert!(in_time(tikv(&db).gc(Duration::from_secs(600))).await.unwrap());
    assert_eq!(cluster.locks(), []);
    assert_eq!(everything(&db).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_that_would_hit_the_living_is_refused_before_anything_is_sent() {
    let (cluster, _, db) = turned_by_hand().await;
    let before = cluster.calls();
    for keep in [Duration::ZERO, Duration::from_secs(30), Duration::from_millis(49_999)] {
        assert_refused(tikv(&db).gc(keep).await);
    }
    assert_eq!(cluster.calls(), before);
    tikv(&db).gc(Duration::from_secs(50)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_that_kill_a_server_are_refused_before_anything_is_sent() {
    let (cluster, _, db) = turned_by_hand().await;
    put_all(&db, &APART, "1").await.unwrap();
    no_locks(&cluster).await;
    let below = builder(&cluster).key_prefix("own/").connect().await.unwrap();
    let rows = everything(&db).await;
    assert!(rows.len() >= 4);
    let before = cluster.calls();
    for (start, end) in [("", ""), ("", "z"), ("a", ""), ("a", "a"), ("z", "a")] {
        assert_refused(tikv(&db).delete_range(KeyRange::new(start, end)).await);
    }
    for range in [KeyRange::prefix(""), KeyRange::starting_at("a"), KeyRange::prefix([255])] {
        assert_refused(tikv(&db).delete_range(range.clone()).await);
        assert_refused(tikv(&below).delete_range(range).await);
    }
    assert_refused(tikv(&db).clear().await);
    assert_eq!(cluster.calls(), before);
    assert_eq!(everything(&db).await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_range_is_gone_on_every_store_and_can_be_written_again() {
    let (cluster, _, db) = turned_by_hand().await;
    put_all(&db, &APART, "1").await.unwrap();
    no_locks(&cluster).await;
    let before = cluster.calls();
    tikv(&db).delete_range(KeyRange::new("b", "n")).await.unwrap();
    assert_eq!(cluster.calls().since(&before).of(Rpc::UnsafeDestroyRange), 3);
    let one = Some("1".to_string());
    assert_eq!(get_all(&db, &APART).await, [one.clone(), None, None, one]);
    db.transaction(|tx| async move { tx.insert(b"grape".to_vec(), b"2".to_vec()).await }).await.unwrap();
    assert_eq!(get(&db, "grape").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safe_points_of_services_are_set_renewed_and_removed() {
    let (_cluster, clock, db) = turned_by_hand().await;
    let at = db.timestamp().await.unwrap();
    clock.advance(HOUR);
    let later = db.timestamp().await.unwrap();
    let engine = tikv(&db);
    // PD has one of the collector's from the beginning, which never expires.
    assert!(engine.set_service_safe_point("backup", at, HOUR).await.unwrap() < at);
    let lowest = engine.set_service_safe_point("gc_worker", later, Duration::MAX).await.unwrap();
    assert_eq!(lowest, at, "what the service keeps is told");
    engine.set_service_safe_point("backup", later.next(), HOUR).await.unwrap();
    let lowest = engine.set_service_safe_point("gc_worker", later, Duration::MAX).await.unwrap();
    assert_eq!(lowest, later, "the service's was renewed");
    engine.remove_service_safe_point("backup").await.unwrap();
    let last = later.next().next();
    let lowest = engine.set_service_safe_point("gc_worker", last, Duration::MAX).await.unwrap();
    assert_eq!(lowest, last, "the service's was removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_keeps_what_a_snapshot_sees_until_it_is_released() {
    let (cluster, clock, db) = turned_by_hand().await;
    put_all(&db, &APART, "old").await.unwrap();
    let snapshot = db.snapshot().await.unwrap();
    put_all(&db, &APART, "new").await.unwrap();
    no_locks(&cluster).await;
    // What keeps it is renewed as time goes by.
    for _ in 0..36 {
        let renewed = cluster.calls().of(Rpc::UpdateServiceGcSafePoint);
        clock.advance(Duration::from_secs(100));
        eventually("the safe point is renewed", || cluster.calls().of(Rpc::UpdateServiceGcSafePoint) > renewed).await;
    }
    tikv(&db).gc(Duration::from_secs(600)).await.unwrap();
    let keys = APART.map(|key| key.as_bytes().to_vec());
    let old = vec![Some(b"old".to_vec()); APART.len()];
    assert_eq!(snapshot.batch_get(keys.to_vec()).await.unwrap(), old);
    snapshot.release().await.unwrap();

    // Dropping takes the safe point away too, if a little later.
    let dropped = db.snapshot().await.unwrap();
    let at = dropped.timestamp();
    drop(dropped);
    clock.advance(HOUR);
    let collected = async {
        while tito_core::Timestamp::from_raw(safe_point(&cluster).await) < at {
            tikv(&db).gc(Duration::from_secs(600)).await.unwrap();
        }
    };
    in_time(collected).await;
}

/// The safe point of garbage collection.
async fn safe_point(cluster: &MockCluster) -> u64 {
    let client = tito_tikv::Client::builder(cluster.pd_endpoints()).connect().await.unwrap();
    client.safe_point().await.unwrap().raw()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_was_not_kept_says_so() {
    let (cluster, clock, db) = turned_by_hand().await;
    // A process whose time stands still does not renew anything.
    let still = TestClock::new();
    let asleep = builder(&cluster).clock(still.shared()).connect().await.unwrap();
    put_all(&db, &APART, "old").await.unwrap();
    let (read, released) = (asleep.snapshot().await.unwrap(), asleep.snapshot().await.unwrap());
    put_all(&db, &APART, "new").await.unwrap();
    no_locks(&cluster).await;
    clock.advance(HOUR);
    assert!(tikv(&db).gc(Duration::from_secs(600)).await.unwrap());
    let outcome = released.release().await;
    assert!(matches!(outcome, Err(TitoError::SnapshotLost { .. })), "{outcome:?}");
    still.advance(Duration::from_secs(300));
    let outcome = read.get(b"apple").await;
    assert!(matches!(outcome, Err(TitoError::SnapshotLost { .. })), "{outcome:?}");
    let outcome = read.scan(KeyRange::prefix("a"), 10).await;
    assert!(matches!(outcome, Err(TitoError::SnapshotLost { .. })), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_releases_snapshots() {
    let (cluster, _, db) = turned_by_hand().await;
    let snapshot = db.snapshot().await.unwrap();
    let before = cluster.calls().of(Rpc::UpdateServiceGcSafePoint);
    in_time(db.close()).await;
    assert!(cluster.calls().of(Rpc::UpdateServiceGcSafePoint) > before, "its safe point is removed");
    let outcome = snapshot.get(b"apple").await;
    assert!(matches!(outcome, Err(TitoError::EngineClosed { .. })), "{outcome:?}");
}
