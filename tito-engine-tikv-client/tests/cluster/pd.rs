use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tikv_client::TimestampExt;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_timestamps_are_unique_and_grow_for_each_caller_though_the_clock_goes_back() {
    let time = Arc::new(AtomicU64::new(1_000_000));
    let clock = time.clone();
    let cluster =
        MockCluster::builder().clock(Arc::new(move || clock.fetch_sub(1, Ordering::Relaxed))).start().await.unwrap();
    let client = Arc::new(connect(&cluster).await);
    let callers = (0..8).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..200 {
                taken.push(client.current_timestamp().await.unwrap().version());
            }
            assert!(taken.is_sorted());
            taken
        })
    });
    let mut all = HashSet::new();
    for caller in callers.collect::<Vec<_>>() {
        all.extend(caller.await.unwrap());
    }
    assert_eq!(all.len(), 8 * 200);
    assert!(cluster.timestamp() > all.into_iter().max().unwrap());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_timestamps_is_the_tests() {
    let cluster = MockCluster::builder().clock(Arc::new(|| 5_000)).start().await.unwrap();
    let client = connect(&cluster).await;
    assert_eq!(client.current_timestamp().await.unwrap().physical, 5_000);
    cluster.jump_clock(60_000);
    assert_eq!(client.current_timestamp().await.unwrap().physical, 65_000);
    cluster.jump_clock(-60_000);
    assert_eq!(client.current_timestamp().await.unwrap().physical, 65_000);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_timestamps_are_answered_when_thawed() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let client = Arc::new(connect(&cluster).await);
    client.current_timestamp().await.unwrap();
    cluster.freeze_timestamps(true);
    let before = cluster.calls();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.current_timestamp().await }
    });
    while cluster.calls().since(&before).of(tito_mock_tikv::Rpc::Tso) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    cluster.freeze_timestamps(false);
    waiting.await.unwrap().unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_follows_the_leader_of_pd() {
    let cluster = MockCluster::builder().pd_members(3).start().await.unwrap();
    let client = connect(&cluster).await;
    put(&client, "key", "1").await.unwrap();
    cluster.move_pd_leader(2).unwrap();
    assert_eq!(cluster.pd_leader(), Some(2));
    put_when_reconnected(&client, "key", "2").await;
    cluster.stop_pd_member(2).await.unwrap();
    assert_eq!(cluster.pd_leader(), None);
    cluster.move_pd_leader(0).unwrap();
    put_when_reconnected(&client, "key", "2").await;
    assert_eq!(get(&client, "key").await.as_deref(), Some("2"));
    assert!(cluster.move_pd_leader(3).is_err());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_leader_of_pd_no_client_connects() {
    let cluster = MockCluster::builder().start().await.unwrap();
    cluster.remove_pd_leader();
    assert!(TransactionClient::new(cluster.pd_endpoints()).await.is_err());
    cluster.restore_pd_leader();
    put(&connect(&cluster).await, "key", "1").await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_pd_refuses_connections_and_comes_back_on_its_ports() {
    let cluster = MockCluster::builder().pd_members(2).start().await.unwrap();
    cluster.stop_pd().await;
    assert!(TransactionClient::new(cluster.pd_endpoints()).await.is_err());
    cluster.start_pd().await.unwrap();
    put(&connect(&cluster).await, "key", "1").await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_safe_point_moves_by_the_client_and_never_back() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let client = connect(&cluster).await;
    let earlier = client.current_timestamp().await.unwrap();
    put(&client, "key", "1").await.unwrap();
    put(&client, "key", "2").await.unwrap();
    let later = client.current_timestamp().await.unwrap();
    assert!(client.gc(later).await.unwrap());
    assert!(!client.gc(earlier).await.unwrap(), "it is later already");
    assert_eq!(get(&client, "key").await.as_deref(), Some("2"));
    cluster.shutdown().await;
}
