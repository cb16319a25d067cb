//! Committed data is there, whatever its bytes, even after the database was reopened.

use tito_core::Transaction;
use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;

use crate::conformance::Opener;
use crate::conformance::support::*;
use crate::settings::EngineSettings;

pub async fn committed_writes_are_there_after_reopening(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1"), ("c", "1")]).await;
    store(&engine, &[("b", "2"), ("d", "2")]).await;
    remove(&engine, "a").await;
    let open_at_the_end = engine.begin().await.unwrap();
    put(&open_at_the_end, "never", "committed").await;
    drop((open_at_the_end, engine));
    // `None` if nothing outlives the engine.
    let Some(database) = database.reopen(EngineSettings::default()).await.unwrap() else { return };
    let engine = database.database();
    assert_eq!(scan(&engine.begin().await.unwrap(), "a", "z", 10).await, ["b=2", "c=1", "d=2"]);
    store(&engine, &[("b", "3")]).await;
    assert_eq!(read(&engine, "b").await.as_deref(), Some("3"));
}

pub async fn databases_are_apart(opener: Opener) {
    let one = open(opener).await;
    let other = open(opener).await;
    store(&one.database(), &[("a", "1")]).await;
    assert_eq!(read(&other.database(), "a").await, None);
    assert_eq!(read(&one.database(), "a").await.as_deref(), Some("1"));
}

pub async fn clones_of_an_engine_share_one_database(opener: Opener) {
    let database = open(opener).await;
    let clone = database.database().clone();
    store(&database.database(), &[("a", "1")]).await;
    assert_eq!(read(&clone, "a").await.as_deref(), Some("1"));
}

/// In ascending order.
fn odd_keys() -> Vec<Vec<u8>> {
    let mut keys = vec![
        vec![0],
        vec![0, 0],
        vec![0, 1],
        vec![0, 255],
        vec![1],
        b"a".to_vec(),
        b"a\0".to_vec(),
        b"a\0\0".to_vec(),
        b"a\xff".to_vec(),
        b"a\xff\xff".to_vec(),
        b"b".to_vec(),
        "\u{1f980}:%".as_bytes().to_vec(),
        vec![255],
        vec![255, 0],
        vec![255, 254],
    ];
    keys.push([vec![255, 254], vec![0; 1000]].concat());
    keys
}

pub async fn keys_of_any_bytes_are_kept_in_the_order_of_their_bytes(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    for key in odd_keys().into_iter().rev() {
        tx.put(key.clone(), key).await.unwrap();
    }
    let all = || KeyRange::new([0], [255, 255]);
    let own: Vec<_> = tx.scan(all(), 100).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(own, odd_keys(), "within the transaction");
    tx.commit().await.unwrap();

    let tx = engine.begin().await.unwrap();
    let ascending = tx.scan(all(), 100).await.unwrap();
    assert_eq!(ascending.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), odd_keys());
    assert!(ascending.iter().all(|(key, value)| key == value));
    let mut descending = tx.scan_reverse(all(), 100).await.unwrap();
    descending.reverse();
    assert_eq!(descending, ascending);
    for key in odd_keys() {
        assert_eq!(tx.get(&key).await.unwrap(), Some(key.clone()));
    }
    let below_a = tx.scan(KeyRange::new("a", "a\0\0"), 100).await.unwrap();
    assert_eq!(below_a.len(), 2, "a and a NUL: {below_a:?}");
}

pub async fn a_range_without_an_end_reaches_the_last_key(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let (stored, own): (Vec<_>, Vec<_>) = odd_keys().into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
    let tx = engine.begin().await.unwrap();
    for (_, key) in stored {
        tx.put(key.clone(), key).await.unwrap();
    }
    tx.commit().await.unwrap();
    let tx = engine.begin().await.unwrap();
    for (_, key) in own {
        tx.put(key.clone(), key).await.unwrap();
    }
    for beginning in [vec![], vec![0], vec![255], vec![255, 254], vec![255, 255], b"a".to_vec()] {
        let expected: Vec<_> = odd_keys().into_iter().filter(|key| key.starts_with(&beginning)).collect();
        assert_scans(&tx, KeyRange::prefix(beginning), expected).await;
    }
    for first in [vec![], b"a\0\0".to_vec(), vec![255, 254], vec![255, 254, 1], vec![255; 4_000]] {
        let expected: Vec<_> = odd_keys().into_iter().filter(|key| *key >= first).collect();
        assert_scans(&tx, KeyRange::starting_at(first), expected).await;
    }
}

/// The keys of a range, in one scan and in pages of one, in both directions.
async fn assert_scans(tx: &Transaction, range: KeyRange, mut expected: Vec<Vec<u8>>) {
    let keys = |page: Vec<KeyValue>| page.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(tx.scan(range.clone(), 100).await.unwrap()), expected, "{range:?}");
    let (mut rest, mut pages) = (range.clone(), Vec::new());
    while let Some((key, _)) = tx.scan(rest.clone(), 1).await.unwrap().pop() {
        rest = rest.after(&key);
        pages.push(key);
    }
    assert_eq!(pages, expected, "{range:?} in pages");
    expected.reverse();
    assert_eq!(keys(tx.scan_reverse(range.clone(), 100).await.unwrap()), expected, "{range:?} reversed");
    let (mut rest, mut pages) = (range.clone(), Vec::new());
    while let Some((key, _)) = tx.scan_reverse(rest.clone(), 1).await.unwrap().pop() {
        rest = rest.before(&key);
        pages.push(key);
    }
    assert_eq!(pages, expected, "{range:?} reversed in pages");
}

pub async fn values_of_any_bytes_are_kept(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let values = [vec![], vec![0], vec![255; 3], (0..=255).collect(), vec![7; 100_000]];
    let tx = engine.begin().await.unwrap();
    for (number, value) in values.iter().enumerate() {
        tx.put(vec![b'k', number as u8], value.clone()).await.unwrap();
    }
    assert_eq!(tx.get(&[b'k', 0]).await.unwrap(), Some(vec![]), "an empty value is a value");
    tx.commit().await.unwrap();
    let tx = engine.begin().await.unwrap();
    for (number, value) in values.iter().enumerate() {
        assert_eq!(tx.get(&[b'k', number as u8]).await.unwrap().as_ref(), Some(value));
    }
    let scanned: Vec<_> =
        tx.scan(KeyRange::prefix("k"), 10).await.unwrap().into_iter().map(|(_, value)| value).collect();
    assert_eq!(scanned, values);
}

pub async fn an_empty_value_replaces_a_value_and_back(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1")]).await;
    store(&engine, &[("a", "")]).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some(""));
    store(&engine, &[("a", "2")]).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("2"));
}
