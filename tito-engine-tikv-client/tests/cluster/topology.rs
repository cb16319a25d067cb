use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tito_mock_tikv::{MockClusterError, ShuffleStep};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regions_are_described_as_users_write_keys_and_spread_over_the_stores() {
    let cluster = three_stores().await;
    let regions = cluster.regions();
    let bounds: Vec<(&[u8], &[u8])> =
        regions.iter().map(|region| (region.start_key.as_slice(), region.end_key.as_slice())).collect();
    assert_eq!(bounds, [(&b""[..], &b"g"[..]), (b"g", b"m"), (b"m", b"t"), (b"t", b"")]);
    assert_eq!(regions.iter().map(|region| region.leader).collect::<Vec<_>>(), [1, 2, 3, 1]);
    assert!(matches!(cluster.split("g"), Err(MockClusterError::AlreadySplit { .. })));
    assert!(matches!(cluster.merge("z"), Err(MockClusterError::NoRightNeighbour { .. })));
    assert!(matches!(cluster.transfer_leader("a", 9), Err(MockClusterError::NoSuchStore(9))));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_follows_splits_merges_and_moves() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    put(&client, "kiwi", "1").await.unwrap();
    cluster.split("kit").unwrap();
    assert_eq!(get(&client, "kiwi").await.as_deref(), Some("1"));
    put(&client, "kiwi", "2").await.unwrap();
    cluster.transfer_leader("kiwi", 3).unwrap();
    assert_eq!(get(&client, "kiwi").await.as_deref(), Some("2"));
    put(&client, "kiwi", "3").await.unwrap();
    cluster.merge("g").unwrap();
    assert_eq!(get(&client, "kiwi").await.as_deref(), Some("3"));
    cluster.merge("g").unwrap();
    put(&client, "kiwi", "4").await.unwrap();
    assert_eq!(keys(&client, "a", "z").await, ["kiwi"]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_store_is_replaced_by_the_others_and_comes_back_on_its_port() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    for key in ["a", "h", "n", "u"] {
        put(&client, key, "1").await.unwrap();
    }
    let before = cluster.stores();
    cluster.stop_store(1).await.unwrap();
    assert_eq!(cluster.stores()[0].regions_led, 0);
    assert!(!cluster.stores()[0].running);
    for key in ["a", "h", "n", "u"] {
        put(&client, key, "2").await.unwrap();
    }
    cluster.start_store(1).await.unwrap();
    cluster.transfer_leader("a", 1).unwrap();
    assert_eq!(cluster.stores()[0].address, before[0].address);
    assert_eq!(get(&client, "a").await.as_deref(), Some("2"));
    put(&client, "a", "3").await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_add_up_while_regions_split_merge_and_move() {
    const TASKS: usize = 4;
    const ROUNDS: u64 = 60;
    let seed = 11;
    let cluster = three_stores().await;
    let client = Arc::new(connect(&cluster).await);
    for task in 0..TASKS {
        put(&client, &format!("counter {task}"), "0").await.unwrap();
    }
    let done = Arc::new(AtomicBool::new(false));
    let shuffler = tokio::spawn({
        let (cluster, done) = (cluster.clone(), done.clone());
        async move {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut steps = Vec::new();
            while !done.load(Ordering::Relaxed) {
                steps.push(cluster.shuffle(&mut random));
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            steps
        }
    });
    let tasks = (0..TASKS).map(|task| {
        let client = client.clone();
        tokio::spawn(async move {
            let key = format!("counter {task}");
            for round in 0..ROUNDS {
                let mut transaction = begin(&client).await;
                let value = transaction.get(key.clone()).await.unwrap().unwrap();
                assert_eq!(value, round.to_string().into_bytes(), "seed {seed}");
                transaction.put(key.clone(), (round + 1).to_string()).await.unwrap();
                transaction.put(format!("{task} {round}"), "done".to_owned()).await.unwrap();
                transaction.commit().await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let steps = shuffler.await.unwrap();
    assert!(steps.iter().any(|step| matches!(step, ShuffleStep::Split(_))), "seed {seed}: {steps:?}");
    assert!(steps.iter().any(|step| matches!(step, ShuffleStep::Merge { .. })), "seed {seed}: {steps:?}");
    assert!(steps.iter().any(|step| matches!(step, ShuffleStep::TransferLeader { .. })), "seed {seed}: {steps:?}");
    assert_eq!(keys(&client, "0", "9").await.len(), TASKS * ROUNDS as usize, "seed {seed}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_while_stores_went_and_came_is_there() {
    const ROUNDS: u64 = 40;
    let cluster = three_stores().await;
    let client = Arc::new(connect(&cluster).await);
    let done = Arc::new(AtomicBool::new(false));
    let breaker = tokio::spawn({
        let (cluster, done) = (cluster.clone(), done.clone());
        async move {
            let mut stops = 0;
            while !done.load(Ordering::Relaxed) || stops < 3 {
                let store = 1 + stops % 3;
                cluster.stop_store(store).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
                cluster.start_store(store).await.unwrap();
                stops += 1;
            }
        }
    });
    let tasks = ["a", "h", "n", "u"].map(|prefix| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut committed = Vec::new();
            for round in 0..ROUNDS {
                let key = format!("{prefix}{round:03}");
                // An error says nothing about whether it is there, so only what was confirmed is looked for.
                if put(&client, &key, "1").await.is_ok() {
                    committed.push(key);
                }
            }
            committed
        })
    });
    let mut committed = Vec::new();
    for task in tasks {
        committed.extend(task.await.unwrap());
    }
    done.store(true, Ordering::Relaxed);
    breaker.await.unwrap();
    assert!(!committed.is_empty());
    // Locks of failed commits are taken for dead.
    cluster.jump_clock(60_000);
    let found = keys(&client, "a", "z").await;
    for key in committed {
        assert!(found.contains(&key), "{key}");
    }
    cluster.shutdown().await;
}
