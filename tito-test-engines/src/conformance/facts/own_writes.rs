//! A transaction sees its own writes in every kind of read.

use std::collections::BTreeMap;
use std::ops::Bound;

use tito_core::Transaction;
use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;

use crate::conformance::Opener;
use crate::conformance::support::*;
use crate::random::seed;

pub async fn get_sees_own_writes(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1")]).await;
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "2").await;
    delete(&tx, "b").await;
    put(&tx, "c", "2").await;
    assert_eq!(get(&tx, "a").await.as_deref(), Some("2"));
    assert_eq!(get(&tx, "b").await, None);
    assert_eq!(get(&tx, "c").await.as_deref(), Some("2"));
    put(&tx, "b", "3").await;
    delete(&tx, "c").await;
    assert_eq!(get(&tx, "b").await.as_deref(), Some("3"), "written after its deletion");
    assert_eq!(get(&tx, "c").await, None, "deleted after it was written");
}

pub async fn batch_get_sees_own_writes(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1"), ("d", "1")]).await;
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "2").await;
    delete(&tx, "b").await;
    put(&tx, "c", "2").await;
    let value = |text: &str| Some(text.to_string());
    assert_eq!(batch_get(&tx, &["d", "c", "b", "a"]).await, [value("1"), value("2"), None, value("2")]);
}

pub async fn scans_merge_own_writes_in_both_directions(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("b", "1"), ("d", "1"), ("f", "1")]).await;
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "2").await;
    put(&tx, "d", "2").await;
    delete(&tx, "f").await;
    tx.insert(bytes("g"), bytes("2")).await.unwrap();
    assert_eq!(scan(&tx, "a", "z", 10).await, ["a=2", "b=1", "d=2", "g=2"]);
    assert_eq!(scan_reverse(&tx, "a", "z", 10).await, ["g=2", "d=2", "b=1", "a=2"]);
}

pub async fn a_buffered_delete_does_not_shorten_a_page(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")]).await;
    let tx = engine.begin().await.unwrap();
    delete(&tx, "a").await;
    delete(&tx, "c").await;
    delete(&tx, "e").await;
    delete(&tx, "nothing").await;
    assert_eq!(scan(&tx, "a", "z", 2).await, ["b=1", "d=1"]);
    assert_eq!(scan_reverse(&tx, "a", "z", 2).await, ["d=1", "b=1"]);
    assert_eq!(scan(&tx, "a", "z", 1).await, ["b=1"]);
    assert_eq!(scan_reverse(&tx, "a", "z", 1).await, ["d=1"]);
}

pub async fn the_limit_is_applied_after_the_merge(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("b", "1"), ("d", "1"), ("f", "1")]).await;
    let tx = engine.begin().await.unwrap();
    put(&tx, "a", "2").await;
    put(&tx, "b", "2").await;
    put(&tx, "f", "2").await;
    put(&tx, "g", "2").await;
    assert_eq!(scan(&tx, "a", "z", 2).await, ["a=2", "b=2"], "an overwritten key inside of the limit");
    assert_eq!(scan(&tx, "a", "z", 1).await, ["a=2"], "an overwritten key outside of the limit");
    assert_eq!(scan(&tx, "a", "z", 3).await, ["a=2", "b=2", "d=1"]);
    assert_eq!(scan_reverse(&tx, "a", "z", 2).await, ["g=2", "f=2"]);
    assert_eq!(scan_reverse(&tx, "a", "z", 1).await, ["g=2"]);
    assert_eq!(scan_reverse(&tx, "a", "z", 3).await, ["g=2", "f=2", "d=1"]);
}

pub async fn empty_ranges_and_a_limit_of_zero_give_nothing(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1")]).await;
    let tx = engine.begin().await.unwrap();
    put(&tx, "c", "2").await;
    for (start, end, limit) in [("a", "z", 0), ("b", "b", 10), ("c", "c", 10), ("d", "z", 10), ("c", "a", 10)] {
        let nothing: [&str; 0] = [];
        assert_eq!(scan(&tx, start, end, limit).await, nothing, "{start:?} to {end:?}, limit {limit}");
        assert_eq!(scan_reverse(&tx, start, end, limit).await, nothing, "{start:?} to {end:?}, limit {limit}");
    }
}

pub async fn pages_of_a_scan_cover_a_range_without_gap_or_repetition(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")]).await;
    let tx = engine.begin().await.unwrap();
    delete(&tx, "b").await;
    put(&tx, "cc", "2").await;
    let mut range = KeyRange::new("a", "z");
    let mut seen = Vec::new();
    while let Some((key, _)) = tx.scan(range.clone(), 1).await.unwrap().pop() {
        range = range.after(&key);
        seen.push(text(key));
    }
    assert_eq!(seen, ["a", "c", "cc", "d", "e"]);
    let mut range = KeyRange::new("a", "z");
    let mut seen = Vec::new();
    while let Some((key, _)) = tx.scan_reverse(range.clone(), 1).await.unwrap().pop() {
        range = range.before(&key);
        seen.push(text(key));
    }
    assert_eq!(seen, ["e", "d", "cc", "c", "a"]);
}

/// With any stored entries, buffered writes, ranges and limits, reads match those of a sorted map.
pub async fn reads_equal_a_sorted_map_under_own_writes(opener: Opener) {
    let mut random = fastrand::Rng::with_seed(seed());
    let database = open(opener).await;
    let engine = database.database();
    for _ in 0..40 {
        let mut model = BTreeMap::new();
        let tx = engine.begin().await.unwrap();
        // Every round overwrites all keys, so it begins with a state of its own.
        for number in 0..KEYS {
            let key = key_of(number);
            if random.bool() {
                tx.put(key.clone(), vec![b's', number]).await.unwrap();
                model.insert(key, vec![b's', number]);
            } else {
                tx.delete(key).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        let tx = engine.begin().await.unwrap();
        for _ in 0..random.usize(0..8) {
            for _ in 0..random.usize(0..5) {
                write_at_random(&tx, &mut model, &mut random).await;
            }
            for _ in 0..4 {
                compare_at_random(&tx, &model, &mut random).await;
            }
        }
    }
}

const KEYS: u8 = 16;

fn key_of(number: u8) -> Vec<u8> {
    vec![b'k', number]
}

async fn write_at_random(tx: &Transaction, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, random: &mut fastrand::Rng) {
    let key = key_of(random.u8(0..KEYS));
    let value = vec![b'o', random.u8(..)];
    match random.u8(0..3) {
        0 => {
            tx.delete(key.clone()).await.unwrap();
            model.remove(&key);
        }
        1 if !model.contains_key(&key) => {
            tx.insert(key.clone(), value.clone()).await.unwrap();
            model.insert(key, value);
        }
        _ => {
            tx.put(key.clone(), value.clone()).await.unwrap();
            model.insert(key, value);
        }
    }
}

async fn compare_at_random(tx: &Transaction, model: &BTreeMap<Vec<u8>, Vec<u8>>, random: &mut fastrand::Rng) {
    // Mostly small: limits go wrong where they cut something off.
    let limit = if random.u8(0..4) > 0 { random.usize(0..5) } else { random.usize(0..20) };
    let mut bounds = [key_of(random.u8(0..=KEYS)), key_of(random.u8(0..=KEYS))];
    if random.u8(0..8) > 0 {
        bounds.sort();
    }
    let [start, end] = bounds;
    let expected: Vec<KeyValue> = if start < end {
        let range = (Bound::Included(start.clone()), Bound::Excluded(end.clone()));
        model.range(range).map(|(key, value)| (key.clone(), value.clone())).collect()
    } else {
        Vec::new()
    };
    let range = KeyRange::new(start, end);
    let ascending: Vec<_> = expected.iter().take(limit).cloned().collect();
    assert_eq!(tx.scan(range.clone(), limit).await.unwrap(), ascending, "{range:?}, limit {limit}");
    let descending: Vec<_> = expected.iter().rev().take(limit).cloned().collect();
    assert_eq!(tx.scan_reverse(range.clone(), limit).await.unwrap(), descending, "{range:?}, limit {limit}, reverse");
    let keys: Vec<_> = (0..random.usize(0..6)).map(|_| key_of(random.u8(0..=KEYS))).collect();
    let values: Vec<_> = keys.iter().map(|key| model.get(key).cloned()).collect();
    for (key, value) in keys.iter().zip(&values) {
        assert_eq!(&tx.get(key).await.unwrap(), value, "key {key:?}");
    }
    assert_eq!(tx.batch_get(keys.clone()).await.unwrap(), values, "keys {keys:?}");
}
