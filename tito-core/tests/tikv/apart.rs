//! Databases that share a cluster and don't see each other: in keyspaces, and under key prefixes.

use std::time::Duration;

use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_test_engines::mock_tikv::MockCluster;

use crate::support::*;

async fn with_keyspaces() -> MockCluster {
    MockCluster::builder().stores(2).keyspaces(["one", "two"]).start().await.unwrap()
}

async fn in_keyspace(cluster: &MockCluster, name: &str) -> Database {
    builder(cluster).keyspace(name).connect().await.unwrap()
}

async fn under(cluster: &MockCluster, prefix: &str) -> Database {
    builder(cluster).key_prefix(prefix).connect().await.unwrap()
}

/// Both write, scan and lock the same keys at the same time, and neither meets the other.
async fn assert_apart(one: &Database, two: &Database) {
    let [first, second] = [one.begin().await.unwrap(), two.begin().await.unwrap()];
    for (tx, value) in [(&first, b"1"), (&second, b"2")] {
        tx.insert(b"apple".to_vec(), value.to_vec()).await.unwrap();
        tx.put(b"tomato".to_vec(), value.to_vec()).await.unwrap();
        tx.lock_keys(vec![b"melon".to_vec()]).await.unwrap();
    }
    first.commit().await.unwrap();
    second.commit().await.unwrap();
    for (db, value) in [(one, "1"), (two, "2")] {
        let row = |key: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        assert_eq!(everything(db).await, [row("apple"), row("tomato")]);
        let tx = db.begin().await.unwrap();
        let reversed = tx.scan_reverse(KeyRange::new("a", "z"), 10).await.unwrap();
        assert_eq!(reversed, [row("tomato"), row("apple")]);
        // All keys are all of the engine's, and none of others.
        for all in [KeyRange::prefix(""), KeyRange::starting_at("a")] {
            assert_eq!(tx.scan(all.clone(), 10).await.unwrap(), [row("apple"), row("tomato")]);
            assert_eq!(tx.scan_reverse(all, 10).await.unwrap(), [row("tomato"), row("apple")]);
        }
        assert_eq!(tx.scan(KeyRange::prefix([255]), 10).await.unwrap(), []);
        assert_eq!(get(db, "apple").await.as_deref(), Some(value));
        let again = db.transaction(|tx| async move { tx.insert(b"apple".to_vec(), b"3".to_vec()).await }).await;
        assert!(matches!(again, Err(TitoError::AlreadyExists { key }) if key.as_bytes() == b"apple"));
        let [first, second] = [db.begin().await.unwrap(), db.begin().await.unwrap()];
        for tx in [&first, &second] {
            tx.put(b"melon".to_vec(), b"x".to_vec()).await.unwrap();
        }
        first.commit().await.unwrap();
        let late = second.commit().await;
        assert!(
            matches!(late, Err(TitoError::Conflict { key }) if key.as_bytes() == b"melon"),
            "the key as it is ours"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_keyspaces_do_not_see_each_other() {
    let cluster = with_keyspaces().await;
    assert_apart(&in_keyspace(&cluster, "one").await, &in_keyspace(&cluster, "two").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_that_is_not_there_is_an_error_that_names_it() {
    let cluster = with_keyspaces().await;
    let connecting = builder(&cluster).keyspace("three").connect_deadline(Duration::from_secs(8)).connect();
    let error = in_time(connecting).await.expect_err("it is not there");
    assert_says(&error, &["connect", "three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_client_s_locks_in_a_keyspace_heal() {
    use tito_test_engines::TestClock;
    use tito_test_engines::mock_tikv::{Fault, FaultRule, Rpc};

    let clock = TestClock::new();
    let now = clock.shared();
    let cluster = MockCluster::builder()
        .keyspaces(["one"])
        .split_at([b"x\0\0\x01m".to_vec()])
        .clock(std::sync::Arc::new(move || now.now_millis()))
        .start()
        .await
        .unwrap();
    let settings = || builder(&cluster).keyspace("one").key_prefix("p/").clock(clock.shared());
    let db = settings().connect().await.unwrap();
    put_all(&db, &["a", "z"], "old").await.unwrap();
    no_locks(&cluster).await;
    cluster.split(b"x\0\0\x01p/m").unwrap();
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang).keys(b"x\0\0\x01p/a").nth(1));
    let process = Process::start(settings().rpc_timeout(Duration::from_secs(60))).await;
    let dying = process.db.clone();
    process.spawn(async move { put_all(&dying, &["a", "z"], "dead").await });
    eventually("the secondary key is locked", || cluster.locks().len() == 1).await;
    process.kill();
    clock.advance(Duration::from_secs(30));
    assert_eq!(in_time(get(&db, "z")).await.as_deref(), Some("old"));
    in_time(put_all(&db, &["a", "z"], "new")).await.unwrap();
    assert_eq!(get_all(&db, &["a", "z"]).await, vec![Some("new".to_string()); 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_key_prefixes_do_not_see_each_other() {
    let cluster = four_regions().await;
    assert_apart(&under(&cluster, "app/").await, &under(&cluster, "app2/").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pessimistic_engine_under_a_prefix_keeps_to_it() {
    use tito_core::tikv::Concurrency;
    let cluster = four_regions().await;
    let pessimistic =
        async |prefix: &str| builder(&cluster).key_prefix(prefix).concurrency(Concurrency::Pessimistic).connect().await;
    let (one, two) = (pessimistic("one/").await.unwrap(), pessimistic("two/").await.unwrap());
    let [first, second] = [one.begin().await.unwrap(), two.begin().await.unwrap()];
    first.put(b"a".to_vec(), b"1".to_vec()).await.unwrap();
    // It would wait for the first if they met.
    in_time(second.put(b"a".to_vec(), b"2".to_vec())).await.unwrap();
    second.commit().await.unwrap();
    first.commit().await.unwrap();
    assert_eq!([get(&one, "a").await.as_deref(), get(&two, "a").await.as_deref()], [Some("1"), Some("2")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_deleted_inside_of_a_prefix_only() {
    let cluster = four_regions().await;
    let (one, two) = (under(&cluster, "one/").await, under(&cluster, "two/").await);
    for db in [&one, &two] {
        put_all(db, &APART, "1").await.unwrap();
    }
    no_locks(&cluster).await;
    tikv(&one).delete_range(KeyRange::new("b", "n")).await.unwrap();
    let kept: Vec<_> = everything(&one).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(kept, [b"apple".to_vec(), b"tomato".to_vec()]);
    tikv(&one).delete_range(KeyRange::new("", "zzz")).await.unwrap();
    assert_eq!(everything(&one).await, []);
    assert_eq!(everything(&two).await.len(), 4);
    put_all(&one, &["new"], "1").await.unwrap();
    tikv(&one).clear().await.unwrap();
    assert_eq!(everything(&one).await, []);
    assert_eq!(everything(&two).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_connections_share_one_database() {
    let cluster = four_regions().await;
    let db = builder(&cluster).connections(3).connect().await.unwrap();
    let writers = (0..30).map(|number| {
        let db = db.clone();
        async move { put_all(&db, &[&format!("apple {number:02}")], "1").await }
    });
    futures::future::try_join_all(writers).await.unwrap();
    assert_eq!(everything(&db).await.len(), 30);
    let one = connect(&cluster).await;
    assert_eq!(everything(&one).await.len(), 30);
}
