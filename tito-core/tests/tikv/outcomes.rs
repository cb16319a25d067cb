//! What the engine makes of what its client says: each of these was once wrong on another client.

use futures::future::join_all;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_core::tikv::Concurrency;
use tito_test_engines::mock_tikv::{Fault, FaultRule, MockCluster, Rpc};

use crate::support::*;

/// All keys in one transaction, which is not run again.
async fn put_once(db: &Database, keys: &[&str], value: &str) -> Result<(), TitoError> {
    let tx = db.begin().await?;
    for key in keys {
        tx.put(key.as_bytes().to_vec(), value.as_bytes().to_vec()).await?;
    }
    tx.commit().await.map(drop)
}

/// A one-phase commit sends no commit, and an async one takes no second timestamp.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_neither_of_one_phase_nor_async() {
    let cluster = four_regions().await;
    for concurrency in [Concurrency::Optimistic, Concurrency::Pessimistic] {
        let db = builder(&cluster).concurrency(concurrency).connect().await.unwrap();
        put_once(&db, &["apple"], "1").await.unwrap();
        let tx = db.begin().await.unwrap();
        tx.put(b"apple".to_vec(), b"2".to_vec()).await.unwrap();
        let before = cluster.calls();
        tx.commit().await.unwrap();
        let calls = cluster.calls().since(&before);
        assert_eq!(counts(&calls, [Rpc::KvPrewrite, Rpc::KvCommit, Rpc::Tso]), [1, 1, 1], "{concurrency:?}");
        no_locks(&cluster).await;
    }
}

/// Overlapping blind writes don't conflict under one-phase commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_blind_writes_of_several_regions_conflict() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    let [first, second] = [db.begin().await.unwrap(), db.begin().await.unwrap()];
    for key in APART {
        first.put(key.as_bytes().to_vec(), b"1".to_vec()).await.unwrap();
    }
    second.put(b"apricot".to_vec(), b"2".to_vec()).await.unwrap();
    second.put(b"tomato".to_vec(), b"2".to_vec()).await.unwrap();
    first.commit().await.unwrap();
    match second.commit().await {
        Err(TitoError::Conflict { key }) => assert_eq!(key.as_bytes(), b"tomato"),
        other => panic!("expected a conflict, found {other:?}"),
    }
    no_locks(&cluster).await;
    assert_eq!(get_all(&db, &["apricot", "tomato"]).await, [None, Some("1".to_string())]);
}

/// The request was carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answers_are_all_lost_is_found_out_to_be_done() {
    join_all([&APART[..], &APART[..1]].map(|keys| async move {
        let cluster = four_regions().await;
        let db = impatient(&cluster).connect().await.unwrap();
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropResponse).keys(APART[0]));
        in_time(put_once(&db, keys, "1")).await.unwrap();
        cluster.faults().clear();
        assert_eq!(get_all(&db, keys).await, vec![Some("1".to_string()); keys.len()]);
        no_locks(&cluster).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_never_arrives_is_rolled_back_and_says_so() {
    join_all([&APART[..], &APART[..1]].map(|keys| async move {
        let cluster = four_regions().await;
        let db = impatient(&cluster).connect().await.unwrap();
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropRequest).keys(APART[0]));
        let outcome = in_time(put_once(&db, keys, "1")).await;
        assert_unavailable(outcome, &["commit", "key apple", "can be tried again"]);
        cluster.faults().clear();
        assert_eq!(get_all(&db, keys).await, vec![None; keys.len()]);
        no_locks(&cluster).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_nobody_answers_for_is_unknown_whether_it_arrived_or_not() {
    for (fault, took_effect) in [(Fault::DropResponse, true), (Fault::DropRequest, false)] {
        let cluster = four_regions().await;
        let deadline = std::time::Duration::from_millis(500);
        let db = builder(&cluster).call_deadline(deadline).connect().await.unwrap();
        cluster.faults().add(FaultRule::on(Rpc::KvCommit, fault.clone()).keys(APART[0]));
        // What the primary key would say of itself.
        cluster.faults().add(FaultRule::on(Rpc::KvCheckTxnStatus, Fault::Hang));
        let outcome = in_time(put_once(&db, &APART[..1], "1")).await;
        assert!(matches!(outcome, Err(TitoError::CommitUnknown { .. })), "{fault:?}: {outcome:?}");
        cluster.faults().clear();
        cluster.jump_clock(60_000);
        let expected = took_effect.then(|| "1".to_string());
        assert_eq!(get(&db, APART[0]).await, expected, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_and_existing_keys_are_told_by_their_keys() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    for others in [0, 1, 3, 40] {
        for is_insert in [false, true] {
            let tx = db.begin().await.unwrap();
            for other in 0..others {
                let region = APART[other % 4];
                tx.put(format!("{region} {other}").into_bytes(), vec![b'x'; 2000]).await.unwrap();
            }
            let key = b"melon!".to_vec();
            if is_insert {
                put_once(&db, &["melon!"], "1").await.unwrap();
                let inserting = db.begin().await.unwrap();
                inserting.insert(key.clone(), b"2".to_vec()).await.unwrap();
                for other in 0..others {
                    let region = APART[other % 4];
                    inserting.put(format!("{region} {other}").into_bytes(), vec![b'x'; 2000]).await.unwrap();
                }
                let outcome = inserting.commit().await;
                assert!(
                    matches!(&outcome, Err(TitoError::AlreadyExists { key: named }) if named.as_bytes() == key),
                    "{others} others: {outcome:?}"
                );
            } else {
                tx.put(key.clone(), b"2".to_vec()).await.unwrap();
                put_once(&db, &["melon!"], "1").await.unwrap();
                let outcome = tx.commit().await;
                assert!(
                    matches!(&outcome, Err(TitoError::Conflict { key: named }) if named.as_bytes() == key),
                    "{others} others: {outcome:?}"
                );
            }
            no_locks(&cluster).await;
        }
    }
    assert_eq!(everything(&db).await, [(b"melon!".to_vec(), b"1".to_vec())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_is_asked_again() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    put_once(&db, &APART, "1").await.unwrap();
    no_locks(&cluster).await;
    let busy = |rpc| cluster.faults().add(FaultRule::on(rpc, Fault::ServerIsBusy).first(3));
    let tx = db.begin().await.unwrap();
    busy(Rpc::KvGet);
    assert_eq!(tx.get(b"grape").await.unwrap(), Some(b"1".to_vec()));
    busy(Rpc::KvBatchGet);
    assert_eq!(tx.batch_get(vec![b"grape".to_vec()]).await.unwrap(), [Some(b"1".to_vec())]);
    busy(Rpc::KvScan);
    assert_eq!(tx.scan(KeyRange::new("a", "z"), 10).await.unwrap().len(), 4);
    busy(Rpc::KvScan);
    assert_eq!(tx.scan_reverse(KeyRange::new("a", "z"), 10).await.unwrap().len(), 4);
    for rpc in [Rpc::KvPrewrite, Rpc::KvCommit] {
        busy(rpc);
        put_all(&db, &APART, "2").await.unwrap();
        no_locks(&cluster).await;
    }
    assert_eq!(cluster.faults().injected().of(&Fault::ServerIsBusy), 3 * 6);
    assert_eq!(get_all(&db, &APART).await, vec![Some("2".to_string()); 4]);
}

/// Every region error that a cluster in motion answers, at every call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn region_errors_pass_unnoticed() {
    let faults = [
        Fault::NotLeader,
        Fault::EpochNotMatch,
        Fault::RegionNotFound,
        Fault::KeyNotInRegion,
        Fault::StaleCommand,
        Fault::StoreNotMatch,
        Fault::MaxTimestampNotSynced,
        Fault::DropRequest,
        Fault::CloseConnection,
    ];
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    for (number, fault) in faults.into_iter().enumerate() {
        let value = number.to_string();
        for rpc in [Rpc::KvPrewrite, Rpc::KvCommit, Rpc::KvGet, Rpc::KvBatchGet, Rpc::KvScan] {
            cluster.faults().add(FaultRule::on(rpc, fault.clone()).nth(1));
        }
        in_time(put_all(&db, &APART, &value)).await.unwrap();
        assert_eq!(get(&db, "melon").await, Some(value.clone()), "{fault:?}");
        assert_eq!(get_all(&db, &APART).await, vec![Some(value); 4], "{fault:?}");
        assert_eq!(everything(&db).await.len(), 4, "{fault:?}");
        no_locks(&cluster).await;
        cluster.faults().clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_leaves_no_lock_in_any_region() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    let tx = db.begin().await.unwrap();
    for key in APART {
        tx.put(key.as_bytes().to_vec(), b"1".to_vec()).await.unwrap();
    }
    put_once(&db, &["apple"], "first").await.unwrap();
    // The primary key is refused, and the others are locked by then.
    assert!(matches!(tx.commit().await, Err(TitoError::Conflict { key }) if key.as_bytes() == b"apple"));
    assert_eq!(cluster.locks(), []);
    assert_eq!(get_all(&db, &APART[1..]).await, vec![None; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_too_large_to_be_replicated_is_not_tried_again() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::RaftEntryTooLarge));
    let before = cluster.calls();
    let error = in_time(put_all(&db, &["apple"], "1")).await.unwrap_err();
    assert!(matches!(error, TitoError::Storage { operation: "commit", .. }), "{error:?}");
    assert_says(&error, &["key apple", "trying again does not help"]);
    assert!(cluster.calls().since(&before).of(Rpc::KvPrewrite) < 5);
    no_locks(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_transaction_can_be_dropped_anywhere() {
    let cluster = four_regions().await;
    for concurrency in [Concurrency::Optimistic, Concurrency::Pessimistic] {
        let db = builder(&cluster).concurrency(concurrency).connect().await.unwrap();
        let tx = db.begin().await.unwrap();
        tx.put(b"apple".to_vec(), b"1".to_vec()).await.unwrap();
        std::thread::spawn(move || drop(tx)).join().unwrap();
        no_locks(&cluster).await;
        put_once(&db, &["apple"], "2").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_before_the_secondary_keys_are_committed_sees_them() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    let hung = cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::Hang).keys("tomato").nth(1));
    put_once(&db, &APART, "1").await.unwrap();
    assert_eq!(get_all(&connect(&cluster).await, &APART).await, vec![Some("1".to_string()); 4]);
    assert!(cluster.faults().remove(hung));
    no_locks(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_over_many_regions_gives_the_first_rows_only() {
    let boundaries: Vec<String> = (1..20).map(|number| format!("{number:02}")).collect();
    let cluster =
        MockCluster::builder().split_default_keyspace(false).stores(3).split_at(boundaries).start().await.unwrap();
    let db = connect(&cluster).await;
    let keys: Vec<String> = (0..20).flat_map(|region| (0..5).map(move |row| format!("{region:02}/{row}"))).collect();
    put_once(&db, &keys.iter().map(String::as_str).collect::<Vec<_>>(), "1").await.unwrap();
    let tx = db.begin().await.unwrap();
    let names = |rows: Vec<(Vec<u8>, Vec<u8>)>| {
        rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    for limit in [1, 5, 7, 99, 100, 1000] {
        let expected = &keys[..limit.min(keys.len())];
        assert_eq!(names(tx.scan(KeyRange::new("0", "9"), limit).await.unwrap()), expected);
        let mut reversed = names(tx.scan_reverse(KeyRange::new("0", "9"), limit).await.unwrap());
        reversed.reverse();
        assert_eq!(reversed, &keys[keys.len() - limit.min(keys.len())..]);
    }
}
