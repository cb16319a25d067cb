//! How often the cluster is asked. Milliseconds are another matter; round trips carry over to a real one.
use std::collections::BTreeMap;

use tito_mock_tikv::{CallCounts, MockCluster, Rpc};
use tito_tikv::Client;

use crate::support::{client, cluster};

/// The calls by kind, without those of the streams themselves.
fn made(calls: &CallCounts) -> BTreeMap<Rpc, u64> {
    calls.made().filter(|(rpc, _)| *rpc != Rpc::BatchCommands).collect()
}

/// A client that knows the regions, the stores and the members.
async fn warm(cluster: &MockCluster) -> Client {
    let client = client(cluster).await;
    let mut transaction = client.begin().await.unwrap();
    for key in ["a", "b", "c"] {
        transaction.put(key, "before");
    }
    transaction.commit().await.committed().unwrap();
    crate::support::quiet().await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_transaction_of_three_keys_in_one_region_asks_pd_twice_and_the_store_twice() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = warm(&cluster).await;
    let before = cluster.calls();
    let mut transaction = client.begin().await.unwrap();
    for key in ["a", "b", "c"] {
        transaction.put(key, "v");
    }
    transaction.commit().await.committed().unwrap();
    let expected = BTreeMap::from([(Rpc::Tso, 2), (Rpc::KvPrewrite, 1), (Rpc::KvCommit, 1)]);
    assert_eq!(made(&cluster.calls().since(&before)), expected);
}

#[tokio::test(start_paused = true)]
async fn over_three_regions_a_commit_answers_after_the_primary() {
    let cluster = cluster(MockCluster::builder().stores(3).split_at(["b", "c"])).await;
    let client = warm(&cluster).await;
    let before = cluster.calls();
    let mut transaction = client.begin().await.unwrap();
    for key in ["a", "b", "c"] {
        transaction.put(key, "v");
    }
    // The commits of the other keys are never answered; nobody waits for them.
    for key in ["b", "c"] {
        cluster.faults().add(tito_mock_tikv::FaultRule::on(Rpc::KvCommit, tito_mock_tikv::Fault::Hang).keys(key));
    }
    let begun = tokio::time::Instant::now();
    transaction.commit().await.committed().unwrap();
    assert!(begun.elapsed().is_zero(), "{:?}", begun.elapsed());
    let calls = cluster.calls().since(&before);
    assert_eq!((calls.of(Rpc::Tso), calls.of(Rpc::KvPrewrite)), (2, 3));
    assert!((1..=3).contains(&calls.of(Rpc::KvCommit)));
    cluster.faults().clear();
}

#[tokio::test(start_paused = true)]
async fn a_read_of_known_regions_is_one_call_for_each_region() {
    let cluster = cluster(MockCluster::builder().stores(2).split_at(["b"])).await;
    let client = warm(&cluster).await;
    let snapshot = client.snapshot(client.timestamp().await.unwrap());
    let before = cluster.calls();
    snapshot.get("a").await.unwrap();
    assert_eq!(made(&cluster.calls().since(&before)), BTreeMap::from([(Rpc::KvGet, 1)]));
    let before = cluster.calls();
    snapshot.batch_get(["a", "b", "c"]).await.unwrap();
    assert_eq!(made(&cluster.calls().since(&before)), BTreeMap::from([(Rpc::KvBatchGet, 2)]));
    let before = cluster.calls();
    snapshot.scan("a".."d", 100).await.unwrap();
    assert_eq!(made(&cluster.calls().since(&before)), BTreeMap::from([(Rpc::KvScan, 2)]));
}

#[tokio::test(start_paused = true)]
async fn many_tasks_share_timestamps_and_messages() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = warm(&cluster).await;
    let before = cluster.calls();
    let tasks = (0..64).map(|task| {
        let client = client.clone();
        async move {
            for round in 0..20 {
                let mut transaction = client.begin().await.unwrap();
                transaction.put(format!("task/{task}/{round}"), "v");
                transaction.commit().await.committed().unwrap();
            }
        }
    });
    futures::future::join_all(tasks).await;
    let calls = cluster.calls().since(&before);
    let timestamps = 64 * 20 * 2;
    assert!(calls.of(Rpc::Tso) * 10 < timestamps, "{} requests for {timestamps} timestamps", calls.of(Rpc::Tso));
    assert!(calls.of(Rpc::BatchCommands) * 4 < timestamps, "{} messages", calls.of(Rpc::BatchCommands));
}

#[tokio::test(start_paused = true)]
async fn many_regions_that_are_not_known_are_asked_for_by_range() {
    let boundaries: Vec<String> = (1..50).map(|number| format!("{number:02}")).collect();
    let cluster = cluster(MockCluster::builder().stores(2).split_at(boundaries)).await;
    let client = client(&cluster).await;
    let mut transaction = client.begin().await.unwrap();
    for number in 0..50 {
        transaction.put(format!("{number:02}"), "v");
    }
    transaction.commit().await.committed().unwrap();
    let calls = cluster.calls();
    assert_eq!((calls.of(Rpc::ScanRegions), calls.of(Rpc::GetRegion)), (1, 0));
    assert_eq!(calls.of(Rpc::KvPrewrite), 50);
}

#[tokio::test(start_paused = true)]
async fn the_pages_of_small_regions_are_fetched_ahead() {
    let boundaries: Vec<String> = (1..10).map(|number| number.to_string()).collect();
    let cluster = cluster(MockCluster::builder().stores(2).split_at(boundaries)).await;
    let client = client(&cluster).await;
    let mut transaction = client.begin().await.unwrap();
    for number in 0..10 {
        transaction.put(format!("{number}"), "v");
    }
    let at = transaction.commit().await.committed().unwrap();
    crate::support::quiet().await;
    let delay = std::time::Duration::from_millis(100);
    cluster.faults().add(tito_mock_tikv::FaultRule::on(Rpc::KvScan, tito_mock_tikv::Fault::Delay(delay)));
    for limit in [100, 10, 7, 3] {
        let begun = tokio::time::Instant::now();
        let found = client.snapshot(at).scan("".."9~", limit).await.unwrap();
        assert_eq!(found.len(), limit.min(10));
        assert_eq!(found.last().unwrap().0, (limit.min(10) - 1).to_string().into_bytes());
        let backwards = client.snapshot(at).scan_reverse("".."9~", limit).await.unwrap();
        assert_eq!(backwards.len(), limit.min(10));
        assert_eq!(backwards.last().unwrap().0, (10 - limit.min(10)).to_string().into_bytes());
        let took = begun.elapsed().as_millis();
        assert!(
            took <= 2 * 600,
            "ten regions one after the other take 1,000 ms each way, these took {took} ms for both"
        );
    }
}
