//! Reads and commits where nothing goes wrong.
use std::time::Duration;

use crate::support::{client, cluster, quiet, settings};
use tito_mock_tikv::{MockCluster, Rpc};
use tito_tikv::{Outcome, Reason, Timestamp};

fn rows(keys: &[&str]) -> Vec<(Vec<u8>, Vec<u8>)> {
    keys.iter().map(|key| (key.as_bytes().to_vec(), b"v".to_vec())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_is_read_by_later_snapshots_only() {
    for split in [vec![], vec!["b"], vec!["b", "c"]] {
        let cluster = cluster(MockCluster::builder().stores(3).split_at(split)).await;
        let client = client(&cluster).await;
        let before = client.timestamp().await.unwrap();
        let mut transaction = client.begin().await.unwrap();
        for key in ["a", "b", "c"] {
            transaction.put(key, "v");
        }
        let committed = transaction.commit().await.committed().unwrap();
        assert!(committed > before);
        for key in ["a", "b", "c"] {
            assert_eq!(client.snapshot(before).get(key).await.unwrap(), None);
            assert_eq!(client.snapshot(committed).get(key).await.unwrap().as_deref(), Some(&b"v"[..]));
        }
        let found = client.snapshot(Timestamp::MAX).batch_get(["c", "a", "x"]).await.unwrap();
        assert_eq!(found, rows(&["a", "c"]));
        quiet().await;
        assert!(cluster.locks().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_of_two_writers_of_a_key_is_not_committed() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let client = client(&cluster).await;
    let (mut one, mut other) = (client.begin().await.unwrap(), client.begin().await.unwrap());
    one.put("b", "one");
    other.put("a", "other");
    other.put("b", "other");
    let committed = one.commit().await.committed().unwrap();
    match other.commit().await {
        Outcome::NotCommitted(Reason::Conflict { key, at, .. }) => {
            assert_eq!(key.as_bytes(), b"b");
            assert_eq!(at, committed);
        }
        found => panic!("expected a conflict, found {found:?}"),
    }
    assert!(cluster.locks().is_empty(), "the lock of `a` is gone before the conflict is told");
    assert_eq!(client.snapshot(Timestamp::MAX).get("a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn an_insert_fails_on_a_key_that_exists_and_a_lock_counts_as_a_write() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = client(&cluster).await;
    let mut first = client.begin().await.unwrap();
    first.insert("a", "v");
    first.commit().await.committed().unwrap();
    let mut again = client.begin().await.unwrap();
    again.insert("a", "w");
    assert!(matches!(again.commit().await, Outcome::NotCommitted(Reason::Exists { key }) if key.as_bytes() == b"a"));

    let (mut reader, mut writer) = (client.begin().await.unwrap(), client.begin().await.unwrap());
    reader.lock("a");
    reader.put("b", "v");
    writer.put("a", "w");
    writer.commit().await.committed().unwrap();
    assert!(matches!(reader.commit().await, Outcome::NotCommitted(Reason::Conflict { .. })));

    let mut nothing = client.begin().await.unwrap();
    nothing.insert("a", "v");
    nothing.delete("a");
    assert!(matches!(nothing.commit().await, Outcome::NotCommitted(Reason::Exists { .. })));
    let mut both = client.begin().await.unwrap();
    both.insert("a", "v");
    both.delete("a");
    both.put("c", "v");
    assert!(matches!(both.commit().await, Outcome::NotCommitted(Reason::Exists { .. })));
    quiet().await;
    assert!(cluster.locks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn scans_go_over_regions_with_one_limit_in_both_directions() {
    let cluster = cluster(MockCluster::builder().stores(2).split_at(["b", "d", "e", "h"])).await;
    let [client, cold] = [client(&cluster).await, client(&cluster).await];
    let mut transaction = client.begin().await.unwrap();
    let keys = ["a", "b", "c", "d", "f", "g", "h", "i"];
    for key in keys {
        transaction.put(key, "v");
    }
    let at = transaction.commit().await.committed().unwrap();
    let snapshot = client.snapshot(at);
    assert_eq!(snapshot.scan::<&str>(.., 100).await.unwrap(), rows(&keys));
    assert_eq!(snapshot.scan("b".."h", 100).await.unwrap(), rows(&["b", "c", "d", "f", "g"]));
    assert_eq!(snapshot.scan("b"..="h", 4).await.unwrap(), rows(&["b", "c", "d", "f"]));
    assert_eq!(snapshot.scan_reverse::<&str>(.., 100).await.unwrap(), rows(&["i", "h", "g", "f", "d", "c", "b", "a"]));
    assert_eq!(snapshot.scan_reverse("b".."h", 3).await.unwrap(), rows(&["g", "f", "d"]));
    assert_eq!(snapshot.scan_reverse("b"..="h", 100).await.unwrap(), rows(&["h", "g", "f", "d", "c", "b"]));
    for empty in [snapshot.scan("h".."b", 9).await, snapshot.scan("b".."b", 9).await, snapshot.scan(..="", 9).await] {
        assert!(empty.unwrap().is_empty());
    }
    assert!(snapshot.scan_reverse("h".."b", 9).await.unwrap().is_empty());
    assert_eq!(cold.snapshot(at).scan_reverse("b".."h", 100).await.unwrap(), rows(&["g", "f", "d", "c", "b"]));
}

#[tokio::test(start_paused = true)]
async fn a_long_scan_comes_in_pages() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = client(&cluster).await;
    let mut transaction = client.begin().await.unwrap();
    for number in 0..2_000 {
        transaction.put(format!("{number:05}"), "v");
    }
    let at = transaction.commit().await.committed().unwrap();
    let found = client.snapshot(at).scan::<&str>(.., 1_999).await.unwrap();
    assert_eq!(found.len(), 1_999);
    assert_eq!(found[1_998].0, b"01998");
    let found = client.snapshot(at).scan_reverse::<&str>(.., 1_999).await.unwrap();
    assert_eq!((found.len(), found[1_998].0.as_slice()), (1_999, &b"00001"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let cluster = cluster(MockCluster::builder()).await;
    let writer = client(&cluster).await;
    let mut transaction = writer.begin().await.unwrap();
    for number in 0..40 {
        transaction.put(format!("{number:02}"), vec![7; 10_000]);
    }
    let at = transaction.commit().await.committed().unwrap();
    let reader = settings(&cluster).max_message_bytes(100_000).connect().await.unwrap();
    assert_eq!(reader.snapshot(at).scan::<&str>(.., 100).await.unwrap().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_sees_its_own_writes() {
    let cluster = cluster(MockCluster::builder().split_at(["c"])).await;
    let client = client(&cluster).await;
    let mut before = client.begin().await.unwrap();
    for key in ["a", "b", "c", "d"] {
        before.put(key, "v");
    }
    before.commit().await.committed().unwrap();
    let mut transaction = client.begin().await.unwrap();
    transaction.delete("b");
    transaction.put("bb", "v");
    transaction.put("z", "v");
    transaction.lock("d");
    assert_eq!(transaction.get("b").await.unwrap(), None);
    assert_eq!(transaction.get("bb").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(transaction.get("d").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(transaction.batch_get(["a", "b", "z"]).await.unwrap(), rows(&["a", "z"]));
    assert_eq!(transaction.scan::<&str>(.., 100).await.unwrap(), rows(&["a", "bb", "c", "d", "z"]));
    for limit in 0..6 {
        let all = rows(&["a", "bb", "c", "d", "z"]);
        let expected: Vec<_> = all.iter().take(limit).cloned().collect();
        assert_eq!(transaction.scan::<&str>(.., limit).await.unwrap(), expected);
        let expected: Vec<_> = all.iter().rev().take(limit).cloned().collect();
        assert_eq!(transaction.scan_reverse::<&str>(.., limit).await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyspace_is_apart_from_others() {
    let cluster = cluster(MockCluster::builder().keyspaces(["one", "two"])).await;
    let mut clients = Vec::new();
    for name in ["one", "two"] {
        clients.push(settings(&cluster).keyspace(name).connect().await.unwrap());
    }
    for (client, value) in clients.iter().zip(["1", "2"]) {
        let mut transaction = client.begin().await.unwrap();
        transaction.put("a", value);
        transaction.put("b", value);
        transaction.commit().await.committed().unwrap();
    }
    for (client, value) in clients.iter().zip(["1", "2"]) {
        let snapshot = client.snapshot(Timestamp::MAX);
        assert_eq!(snapshot.get("a").await.unwrap().as_deref(), Some(value.as_bytes()));
        let expected = [(b"a".to_vec(), value.into()), (b"b".to_vec(), value.into())];
        assert_eq!(snapshot.scan::<&str>(.., 9).await.unwrap(), expected);
        assert_eq!(snapshot.scan_reverse::<&str>(.., 9).await.unwrap().len(), 2);
    }
    let mut late = clients[0].begin().await.unwrap();
    let mut first = clients[0].begin().await.unwrap();
    first.put("a", "x");
    first.commit().await.committed().unwrap();
    late.put("a", "y");
    assert!(
        matches!(late.commit().await, Outcome::NotCommitted(Reason::Conflict { key, .. }) if key.as_bytes() == b"a")
    );
    assert!(settings(&cluster).keyspace("three").call_deadline(Duration::from_secs(1)).connect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn without_the_stream_of_commands_calls_are_plain() {
    let cluster = cluster(MockCluster::builder()).await;
    for batches in [true, false] {
        let before = cluster.calls();
        let client = settings(&cluster).batch_commands(batches).connect().await.unwrap();
        let mut transaction = client.begin().await.unwrap();
        transaction.put("a", "v");
        transaction.commit().await.committed().unwrap();
        let calls = cluster.calls().since(&before);
        assert_eq!(calls.of(Rpc::BatchCommands) > 0, batches);
        assert_eq!((calls.of(Rpc::KvPrewrite), calls.of(Rpc::KvCommit)), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_does_nothing_more() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = client(&cluster).await;
    let mut transaction = client.begin().await.unwrap();
    transaction.put("a", "v");
    client.close().await;
    assert!(matches!(transaction.commit().await, Outcome::NotCommitted(Reason::Failed(_))));
    assert!(client.begin().await.is_err());
}

#[tokio::test]
async fn sockets_do_the_same() {
    let cluster = MockCluster::builder().stores(2).split_at(["b"]).start().await.unwrap();
    let client = tito_tikv::Client::builder(cluster.pd_endpoints()).connections(2).connect().await.unwrap();
    let mut transaction = client.begin().await.unwrap();
    for key in ["a", "b", "c"] {
        transaction.put(key, "v");
    }
    let at = transaction.commit().await.committed().unwrap();
    assert_eq!(client.snapshot(at).scan::<&str>(.., 9).await.unwrap(), rows(&["a", "b", "c"]));
    client.close().await;
    cluster.shutdown().await;
}
