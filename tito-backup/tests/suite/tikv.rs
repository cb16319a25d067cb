//! Backups of clusters and into them.

use std::time::Duration;

use tito_backup::{BackupError, BackupOptions, Place, copy, restore, resume};
use tito_core::prelude::*;
use tito_core::tikv::{TiKVBackend, TiKVBuilder};
use tito_testkit::mock_tikv::{Fault, FaultRule, Rpc};
use tito_testkit::{EngineSettings, MockCluster, TestClock};

use crate::copying::cut_off;
use crate::support::*;

fn under(cluster: &MockCluster, prefix: &str) -> TiKVBuilder {
    TiKVBackend::builder(cluster.pd_endpoints()).key_prefix(prefix)
}

async fn filled(cluster: &MockCluster, prefix: &str, rows: usize) -> Database {
    let db = under(cluster, prefix).connect().await.unwrap();
    for number in 0..rows {
        put(&db, &[(&format!("row/{number:03}"), &"x".repeat(number % 50))]).await;
    }
    put(&db, &[("topic:mail", "{\"partitions\":4}"), ("lease:mail:0001", "{}")]).await;
    db
}

async fn assert_prefix_incomplete(cluster: &MockCluster, prefix: &str) {
    let error = under(cluster, prefix).connect().await.unwrap_err();
    assert!(matches!(error, TitoError::IncompleteDatabase { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_is_restored_beside_others_and_into_a_directory() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let db = filled(&cluster, "one/", 10).await;
    let other = filled(&cluster, "other/", 3).await;
    let (bytes, totals) = backed_up(&db, 100).await;
    assert_eq!(totals.entries, 12, "nothing of others, and not the database's own row");
    let target = Place::cluster(under(&cluster, "new/"));
    restore(&bytes[..bytes.len() - 7], &target).await.unwrap_err();
    assert_prefix_incomplete(&cluster, "new/").await;
    let error = restore(&backed_up(&other, 100).await.0[..], &target).await.unwrap_err();
    assert!(matches!(error, BackupError::OtherSource { .. }), "{error:?}");
    let filled = restore(&bytes[..], &target).await.unwrap();
    assert!(filled.resumed_after > 0);
    let restored = under(&cluster, "new/").connect().await.unwrap();
    assert_eq!(restored.identity().unwrap().id, filled.database);
    assert_ne!(filled.database, totals.header.database);
    assert_eq!(own(&restored).await, own(&db).await);
    assert_eq!(resume(&restored).await.unwrap().queues, ["mail"]);
    assert_eq!(all(&other).await.len(), 5, "the other prefix is as it was");

    let error = restore(&bytes[..], &Place::cluster(under(&cluster, "other/"))).await.unwrap_err();
    assert!(matches!(error.database(), Some(TitoError::InvalidTarget { .. })), "{error:?}");
    let directory = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(directory.path())).await.unwrap();
    assert_eq!(own(&open(directory.path()).await).await, own(&db).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_without_a_database_is_refused() {
    let cluster = MockCluster::builder().start().await.unwrap();
    filled(&cluster, "one/", 1).await;
    let error = Place::cluster(under(&cluster, "on/")).open().await.unwrap_err();
    assert!(matches!(error, TitoError::NoDatabase { .. }), "{error:?}");
    let directory = tempfile::tempdir().unwrap();
    let to = Place::directory(directory.path());
    let error = copy(&Place::cluster(under(&cluster, "no/")), &to, &BackupOptions::default()).await.unwrap_err();
    assert!(matches!(error.database(), Some(TitoError::NoDatabase { .. })), "{error:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    // Keys of other software are in the way of a restore.
    let db = under(&cluster, "").connect().await.unwrap();
    let (bytes, _) = backed_up(&db, 100).await;
    let error = restore(&bytes[..], &Place::cluster(under(&cluster, "one/row"))).await.unwrap_err();
    assert!(matches!(error.database(), Some(TitoError::InvalidTarget { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_clock_is_behind_the_backup_is_refused() {
    let clock = TestClock::new();
    let ahead = tito_testkit::on_mock_cluster_with(EngineSettings::default().test_clock(&clock)).await.unwrap();
    clock.advance(Duration::from_secs(7_200));
    put(ahead.database(), &[("a", "1")]).await;
    let (bytes, _) = backed_up(ahead.database(), 100).await;
    let millis = ahead.cluster().timestamp() >> 18;
    let behind = MockCluster::builder().clock(std::sync::Arc::new(move || millis - 3_600_000)).start().await.unwrap();
    let error = restore(&bytes[..], &Place::cluster(under(&behind, "new/"))).await.unwrap_err();
    assert!(matches!(error.database(), Some(TitoError::InvalidTarget { .. })), "{error:?}");
    assert!(error.to_string().contains("clock"), "{error}");
}

/// Into the cluster and back into a directory, each dropped after more and more polls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_goes_both_ways_and_on_where_it_was_cut_off() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path()).await;
    for number in 0..30 {
        put(&db, &[(&format!("row/{number:03}"), &"x".repeat(number % 50))]).await;
    }
    let expected = own(&db).await;
    db.close().await;
    let options = BackupOptions::default().block_bytes(150);
    let (from, cluster_place) = (Place::directory(directory.path()), Place::cluster(under(&cluster, "copy/")));
    let back = tempfile::tempdir().unwrap();
    let ways = [(from, cluster_place.clone()), (cluster_place, Place::directory(back.path()))];
    for (source, target) in ways {
        let (mut polls, mut cuts) = (1, 0);
        loop {
            let attempt = async || match cut_off(copy(&source, &target, &options), polls).await {
                Some(outcome) => outcome.map(Some),
                None => Ok(None),
            };
            match once_released(attempt, is_in_use).await {
                Ok(None) => cuts += 1,
                Ok(Some(_)) => break,
                // Cut off after its last commit.
                Err(error) if matches!(error.database(), Some(TitoError::InvalidTarget { .. })) => break,
                Err(error) => panic!("{error:?}"),
            }
            polls += 3;
        }
        assert!(cuts > 3, "{cuts}");
    }
    assert_eq!(own(&under(&cluster, "copy/").connect().await.unwrap()).await, expected);
    assert_eq!(own(&open(back.path()).await).await, expected);
}

/// Answers of commits that are lost are found out about by the mark.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_goes_on_where_answers_are_lost() {
    let db = tito_testkit::in_memory().await.unwrap();
    for number in 0..20 {
        put(&db, &[(&format!("row/{number:03}"), "x")]).await;
    }
    let (bytes, _) = backed_up(&db, 30).await;
    let cluster = MockCluster::builder().start().await.unwrap();
    for nth in [3, 6, 11] {
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropResponse).nth(nth));
        cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::DropResponse).nth(nth + 1));
    }
    restore(&bytes[..], &Place::cluster(under(&cluster, "new/"))).await.unwrap();
    assert_eq!(all(&under(&cluster, "new/").connect().await.unwrap()).await, all(&db).await);
}
