use super::*;

const WORDS: [&str; 8] = ["apple", "fig", "grape", "kiwi", "melon", "pear", "tomato", "yam"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_over_all_regions_is_read_back_in_both_directions() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    let mut transaction = begin(&client).await;
    for word in WORDS {
        transaction.put(word.to_owned(), word.to_uppercase()).await.unwrap();
    }
    transaction.commit().await.unwrap();

    for word in WORDS {
        assert_eq!(get(&client, word).await, Some(word.to_uppercase()));
    }
    assert_eq!(get(&client, "plum").await, None);
    assert_eq!(keys(&client, "a", "z").await, WORDS);
    assert_eq!(keys(&client, "fig", "pear").await, WORDS[1..5]);

    let mut transaction = begin(&client).await;
    let backwards = transaction.scan_keys_reverse("melon".to_owned().."pear\0".to_owned(), 10).await.unwrap();
    assert_eq!(backwards.map(|key| String::from_utf8(key.into()).unwrap()).collect::<Vec<_>>(), ["pear", "melon"]);
    let batch = transaction.batch_get(["yam".to_owned(), "none".to_owned(), "fig".to_owned()]).await.unwrap();
    assert_eq!(batch.count(), 2);
    transaction.rollback().await.unwrap();
    assert_eq!(cluster.locks(), []);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_writer_of_a_key_fails() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    let (mut first, mut second) = (begin(&client).await, begin(&client).await);
    first.put("key".to_owned(), "first".to_owned()).await.unwrap();
    second.put("key".to_owned(), "second".to_owned()).await.unwrap();
    first.commit().await.unwrap();
    assert!(second.commit().await.is_err());
    assert_eq!(get(&client, "key").await.as_deref(), Some("first"));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_keys_are_written_and_scanned_over_regions() {
    let cluster = MockCluster::builder().stores(2).start().await.unwrap();
    cluster.split_raw("g").unwrap();
    cluster.split_raw("p").unwrap();
    // The client's raw scan begins anew after the last region, so the range has to end before that.
    cluster.split_raw("z").unwrap();
    let client = connect_raw(&cluster).await;
    client.batch_put(WORDS.map(|word| (word.to_owned(), word.to_uppercase()))).await.unwrap();
    assert_eq!(client.get("kiwi".to_owned()).await.unwrap(), Some(b"KIWI".to_vec()));
    let scanned = client.scan_keys("a".to_owned().."z".to_owned(), 100).await.unwrap();
    assert_eq!(scanned.into_iter().map(|key| String::from_utf8(key.into()).unwrap()).collect::<Vec<_>>(), WORDS);
    client.delete_range("f".to_owned().."t".to_owned()).await.unwrap();
    let left = client.scan_keys("a".to_owned().."z".to_owned(), 100).await.unwrap();
    assert_eq!(left.len(), 3);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyspaces_do_not_see_each_other() {
    let cluster = MockCluster::builder().keyspaces(["one", "two"]).start().await.unwrap();
    // Three keyspaces with the default one, raw and transactional, and what is before, between and after them.
    assert_eq!(cluster.regions().len(), 9);
    let client_of = |name: &'static str| {
        let endpoints = cluster.pd_endpoints();
        async move { TransactionClient::new_with_config(endpoints, config().with_keyspace(name)).await }
    };
    let (one, two) = (client_of("one").await.unwrap(), client_of("two").await.unwrap());
    put(&one, "key", "of one").await.unwrap();
    put(&two, "key", "of two").await.unwrap();
    assert_eq!(get(&one, "key").await.as_deref(), Some("of one"));
    assert_eq!(get(&two, "key").await.as_deref(), Some("of two"));
    assert_eq!(keys(&one, "a", "z").await, ["key"]);

    let Err(error) = client_of("three").await else { panic!("there is no such keyspace") };
    assert!(error.to_string().contains("keyspace three does not exist"), "{error}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_keys_in_a_keyspace_are_scanned_over_regions() {
    let cluster = MockCluster::builder().keyspaces(["one"]).start().await.unwrap();
    let client = RawClient::new_with_config(cluster.pd_endpoints(), config().with_keyspace("one")).await.unwrap();
    // A raw key of keyspace 1 begins with `r` and the number in three bytes.
    cluster.split(b"r\0\0\x01kiwi").unwrap();
    for word in WORDS {
        client.put(word.to_owned(), word.to_uppercase()).await.unwrap();
    }
    let scanned = client.scan_keys("a".to_owned().."z".to_owned(), 100).await.unwrap();
    assert_eq!(scanned.into_iter().map(|key| String::from_utf8(key.into()).unwrap()).collect::<Vec<_>>(), WORDS);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_by_kind() {
    use tito_mock_tikv::Rpc;
    let cluster = MockCluster::builder().start().await.unwrap();
    let client = connect(&cluster).await;
    put(&client, "key", "1").await.unwrap();
    let before = cluster.calls();
    let mut transaction = begin(&client).await;
    transaction.get("key".to_owned()).await.unwrap();
    transaction.put("key".to_owned(), "2".to_owned()).await.unwrap();
    transaction.commit().await.unwrap();
    let made = cluster.calls().since(&before);
    let expected = [(Rpc::Tso, 2), (Rpc::KvGet, 1), (Rpc::KvPrewrite, 1), (Rpc::KvCommit, 1)];
    let mut found: Vec<(Rpc, u64)> = made.made().collect();
    found.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!((made.to_pd(), made.to_stores()), (2, 3));
    cluster.shutdown().await;
}
