//! Rows, pages and transactions up to the limits.

use tito_core::engine::Limits;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_test_engines::mock_tikv::{MockCluster, Rpc};

use crate::support::*;

const MIB: usize = 1 << 20;

/// A value that tells its number and size apart from all others.
fn value(number: usize, bytes: usize) -> Vec<u8> {
    let mut value = format!("{number}:").into_bytes();
    value.resize(bytes.max(value.len()), b'.');
    value
}

/// Writes rows in transactions of a few MiB, and returns them in the order of their keys.
async fn fill(db: &Database, rows: impl IntoIterator<Item = (String, usize)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows: Vec<_> =
        rows.into_iter().enumerate().map(|(number, (key, bytes))| (key.into_bytes(), value(number, bytes))).collect();
    let mut left = rows.as_slice();
    while !left.is_empty() {
        let mut bytes = 0;
        let fitting = left.iter().take_while(|(_, value)| {
            bytes += value.len();
            bytes <= 8 * MIB
        });
        let (now, later) = left.split_at(fitting.count().max(1));
        db.transaction(|tx| async move {
            for (key, value) in now {
                tx.put(key.clone(), value.clone()).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        left = later;
    }
    let mut rows = rows;
    rows.sort();
    rows
}

#[track_caller]
fn assert_rows(found: &[(Vec<u8>, Vec<u8>)], expected: &[(Vec<u8>, Vec<u8>)]) {
    let keys = |rows: &[(Vec<u8>, Vec<u8>)]| {
        rows.iter().map(|(key, value)| (key.escape_ascii().to_string(), value.len())).collect::<Vec<_>>()
    };
    assert_eq!(keys(found), keys(expected));
    assert!(found == expected, "values were mixed up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pages_of_the_largest_rows_are_read_in_both_directions() {
    let cluster =
        MockCluster::builder().split_default_keyspace(false).stores(2).split_at(["row 20"]).start().await.unwrap();
    let db = connect(&cluster).await;
    let rows = fill(&db, (0..24).map(|number| (format!("row {number:02}"), MIB))).await;
    let tx = db.begin().await.unwrap();
    assert_rows(&tx.scan(KeyRange::prefix("row"), 100).await.unwrap(), &rows);
    // By now it is known how large the rows are.
    let before = cluster.calls();
    let mut reversed = tx.scan_reverse(KeyRange::prefix("row"), 100).await.unwrap();
    reversed.reverse();
    assert!(cluster.calls().since(&before).of(Rpc::KvScan) > 2, "all came in one page of two regions");
    assert_rows(&reversed, &rows);
    let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
    let values: Vec<_> = tx.batch_get(keys).await.unwrap().into_iter().map(Option::unwrap).collect();
    assert!(values.iter().eq(rows.iter().map(|(_, value)| value)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_and_large_rows_in_many_regions_are_read_in_both_directions() {
    let boundaries: Vec<String> = (1..12).map(|number| format!("{number:02}")).collect();
    let cluster =
        MockCluster::builder().split_default_keyspace(false).stores(3).split_at(boundaries).start().await.unwrap();
    let db = connect(&cluster).await;
    // Regions of 200 small rows, of two of 1 MiB, and of both by turns.
    let rows = (0..12).flat_map(|region| {
        (0..200).filter_map(move |number| {
            let is_large = number % 100 == 7;
            let bytes = if is_large { MIB } else { 20 };
            let is_there = [!is_large, is_large, true][region % 3];
            is_there.then(|| (format!("{region:02}/{number:03}"), bytes))
        })
    });
    let rows = fill(&db, rows).await;
    let tx = db.begin().await.unwrap();
    assert_rows(&tx.scan(KeyRange::new("0", "2"), usize::MAX).await.unwrap(), &rows);
    let mut reversed = tx.scan_reverse(KeyRange::new("0", "2"), usize::MAX).await.unwrap();
    reversed.reverse();
    assert_rows(&reversed, &rows);
    let limit = 321;
    assert_rows(&tx.scan(KeyRange::new("0", "2"), limit).await.unwrap(), &rows[..limit]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_a_limit_is_refused_before_anything_is_sent() {
    let cluster = four_regions().await;
    let limits = Limits { transaction_keys: 10, ..Limits::default() };
    let db = builder(&cluster).limits(limits).connect().await.unwrap();
    let tx = db.begin().await.unwrap();
    let before = cluster.calls();
    let over = |outcome: Result<(), TitoError>, key: &str| match outcome {
        Err(TitoError::LimitExceeded { key: named, size, limit, .. }) => {
            assert_eq!((size, named.as_bytes()), (limit + 1, key.as_bytes()));
        }
        other => panic!("expected LimitExceeded, found {other:?}"),
    };
    over(tx.put(b"a".to_vec(), vec![0; MIB + 1]).await, "a");
    over(tx.insert(b"b".to_vec(), vec![0; MIB + 1]).await, "b");
    let long = "k".repeat((4 << 10) + 1);
    over(tx.delete(long.clone().into_bytes()).await, &long);
    over(tx.lock_keys(vec![long.clone().into_bytes()]).await, &long);
    for number in 0..10 {
        tx.put(format!("{number}").into_bytes(), b"1".to_vec()).await.unwrap();
    }
    over(tx.put(b"c".to_vec(), b"1".to_vec()).await, "c");
    assert_eq!(cluster.calls(), before);
    // What was refused is not in it, the rest is.
    tx.put(b"0".to_vec(), vec![1; MIB]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(everything(&db).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_many_batches_is_made_as_a_whole() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    let before = cluster.calls();
    let rows = fill(&db, (0..200).map(|number| (format!("grape {number:03}"), 1024))).await;
    assert!(cluster.calls().since(&before).of(Rpc::KvPrewrite) >= 200 / 16, "batches are of 16 KiB");
    assert_rows(&everything(&db).await, &rows);
    no_locks(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_over_many_regions_is_made_as_a_whole() {
    let boundaries: Vec<String> = (1..32).map(|number| format!("{number:02}")).collect();
    let cluster =
        MockCluster::builder().split_default_keyspace(false).stores(3).split_at(boundaries).start().await.unwrap();
    let db = connect(&cluster).await;
    let rows = fill(&db, (0..320).map(|number| (format!("{:02}/{number:03}", number % 32), 100))).await;
    assert_rows(&everything(&db).await, &rows);
    no_locks(&cluster).await;

    // One key that is taken, in the last region, refuses it all.
    let refused = db.transaction(|tx| async move {
        for region in 0..32 {
            tx.insert(format!("{region:02}/{}", if region == 31 { "031" } else { "new" }).into_bytes(), vec![1])
                .await?;
        }
        Ok(())
    });
    assert!(matches!(refused.await, Err(TitoError::AlreadyExists { key }) if key.as_bytes() == b"31/031"));
    assert_rows(&everything(&db).await, &rows);
    no_locks(&cluster).await;
}

/// 10,000 keys, as the default limits allow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_as_many_keys_as_the_limit_allows_commits() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    let keys = db.limits().transaction_keys;
    let rows = fill(&db, (0..keys).map(|number| (format!("grape {number:05}"), 8))).await;
    assert_eq!(rows.len(), 10_000);
    assert_rows(&everything(&db).await, &rows);
    no_locks(&cluster).await;
}

/// 32 MiB, as the default limits allow: keys and values are counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_as_many_bytes_as_the_limit_allows_commits() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    let rows = db.limits().transaction_bytes / MIB;
    let fits = MIB - "grape 00".len();
    let tx = db.begin().await.unwrap();
    for number in 0..rows {
        tx.put(format!("grape {number:02}").into_bytes(), value(number, fits)).await.unwrap();
    }
    assert!(matches!(tx.put(b"a".to_vec(), vec![]).await, Err(TitoError::LimitExceeded { .. })));
    tx.commit().await.unwrap();
    let found = everything(&db).await;
    assert!(found.iter().enumerate().all(|(number, (_, found))| *found == value(number, fits)));
    assert_eq!(found.len(), rows);
}

/// Room for one row of the largest size, and little more.
fn cramped(cluster: &MockCluster) -> tito_core::tikv::TiKVBuilder {
    let limits = Limits { value_bytes: 64 << 10, ..Limits::default() };
    builder(cluster).limits(limits).max_message_bytes(256 << 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_over_the_decode_limit_are_asked_for_in_smaller_pages() {
    let cluster = four_regions().await;
    let db = cramped(&cluster).connect().await.unwrap();
    // The small ones first, so that the pages have grown when the large ones come.
    let sizes = (0..300).map(|number| (format!("grape {number:03}"), if number < 200 { 10 } else { 60 << 10 }));
    let rows = fill(&db, sizes).await;
    let tx = db.begin().await.unwrap();
    assert_rows(&tx.scan(KeyRange::prefix("grape"), 1000).await.unwrap(), &rows);
    let mut reversed = tx.scan_reverse(KeyRange::prefix("grape"), 1000).await.unwrap();
    reversed.reverse();
    assert_rows(&reversed, &rows);
    let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
    let values: Vec<_> = tx.batch_get(keys).await.unwrap().into_iter().map(Option::unwrap).collect();
    assert!(values.iter().eq(rows.iter().map(|(_, value)| value)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_row_over_the_decode_limit_is_an_error_that_names_it() {
    let cluster = four_regions().await;
    let roomy = connect(&cluster).await;
    fill(&roomy, [("grape".to_string(), MIB)]).await;
    let db = cramped(&cluster).connect().await.unwrap();
    let tx = db.begin().await.unwrap();
    let lasting = |outcome: TitoError, call: &str| {
        assert!(matches!(outcome, TitoError::Storage { .. }), "{outcome:?}");
        assert_says(&outcome, &[call, "grape", "trying again does not help"]);
    };
    lasting(tx.get(b"grape").await.unwrap_err(), "get");
    lasting(tx.batch_get(vec![b"grape".to_vec()]).await.unwrap_err(), "batch_get");
    lasting(tx.scan(KeyRange::prefix("grape"), 10).await.unwrap_err(), "scan");
    lasting(tx.scan_reverse(KeyRange::prefix("grape"), 10).await.unwrap_err(), "scan_reverse");
}
