//! A snapshot is a single state, kept for as long as it is held.

use std::time::Duration;

use futures::TryStreamExt;
use futures::future::join_all;
use tito_core::database::PageSize;
use tito_core::engine::Direction;
use tito_core::keys::KeyRange;
use tito_core::{Database, DatabaseSnapshot};

use super::super::Opener;
use super::super::support::*;
use crate::clock::TestClock;
use crate::settings::EngineSettings;

/// A snapshot of `a=1 b=1 c=1`, after which b was overwritten, c deleted and d written.
async fn taken_before_other_commits(engine: &Database) -> DatabaseSnapshot {
    store(engine, &[("a", "1"), ("b", "1"), ("c", "1")]).await;
    let snapshot = engine.snapshot().await.unwrap();
    change(engine).await;
    snapshot
}

async fn change(engine: &Database) {
    store(engine, &[("b", "2"), ("d", "2")]).await;
    remove(engine, "c").await;
}

async fn all(snapshot: &DatabaseSnapshot) -> Vec<String> {
    let entries: Vec<_> = snapshot.stream(KeyRange::prefix("")).try_collect().await.unwrap();
    entries.into_iter().map(|(key, value)| format!("{}={}", text(key), text(value))).collect()
}

pub async fn a_snapshot_reads_as_a_transaction_of_its_time_would(opener: Opener) {
    let database = open(opener).await;
    let snapshot = taken_before_other_commits(&database.database()).await;
    let one = || Some(bytes("1"));
    for key in ["a", "b", "c"] {
        assert_eq!(snapshot.get(key.as_bytes()).await.unwrap(), one(), "{key}");
    }
    assert_eq!(snapshot.get(b"d").await.unwrap(), None);
    let keys = ["d", "c", "a", "c"].map(bytes).to_vec();
    assert_eq!(snapshot.batch_get(keys).await.unwrap(), [None, one(), one(), one()]);
    assert_eq!(snapshot.batch_get(Vec::new()).await.unwrap(), []);
    let entries = |keys: &[&str]| keys.iter().map(|key| (bytes(key), bytes("1"))).collect::<Vec<_>>();
    assert_eq!(snapshot.scan(KeyRange::new("a", "c"), 9).await.unwrap(), entries(&["a", "b"]));
    assert_eq!(snapshot.scan(KeyRange::prefix(""), 2).await.unwrap(), entries(&["a", "b"]));
    assert_eq!(snapshot.scan_reverse(KeyRange::prefix(""), 2).await.unwrap(), entries(&["c", "b"]));
    assert_eq!(snapshot.scan(KeyRange::prefix(""), 0).await.unwrap(), []);
    assert_eq!(snapshot.scan(KeyRange::new("b", "a"), 9).await.unwrap(), []);
    snapshot.release().await.unwrap();
}

pub async fn a_snapshot_is_streamed_in_both_directions(opener: Opener) {
    let database = open(opener).await;
    let snapshot = taken_before_other_commits(&database.database()).await;
    assert_eq!(all(&snapshot).await, ["a=1", "b=1", "c=1"]);
    let reversed: Vec<_> = snapshot.stream_reverse(KeyRange::starting_at("b")).try_collect().await.unwrap();
    assert_eq!(reversed, [(bytes("c"), bytes("1")), (bytes("b"), bytes("1"))]);
}

pub async fn pages_keep_to_their_bytes_and_cover_the_range(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tx = engine.begin().await.unwrap();
    let lengths: Vec<usize> = (0..200).map(|number| if number % 9 == 4 { 3_000 } else { number % 7 }).collect();
    for (number, length) in lengths.iter().enumerate() {
        tx.put(format!("page:{number:03}").into_bytes(), vec![b'x'; *length]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let snapshot = engine.snapshot().await.unwrap();
    let size = PageSize::entries(70).and_bytes(1_000);
    for direction in [Direction::Ascending, Direction::Descending] {
        let (mut rest, mut found) = (KeyRange::prefix("page:"), Vec::new());
        loop {
            let page = snapshot.next_page(rest.clone(), direction, size).await.unwrap();
            if direction == Direction::Ascending {
                let packed = snapshot.next_packed(rest.clone(), size).await.unwrap();
                assert_eq!(packed, page.iter().cloned().collect());
            }
            let Some((last, _)) = page.last() else { break };
            let total: usize = page.iter().map(|(key, value)| key.len() + value.len()).sum();
            assert!(page.len() == 1 || page.len() <= 70 && total <= 1_000, "{} entries of {total} bytes", page.len());
            rest = match direction {
                Direction::Ascending => rest.after(last),
                Direction::Descending => rest.before(last),
            };
            found.extend(page.into_iter().map(|(_, value)| value.len()));
        }
        if direction == Direction::Descending {
            found.reverse();
        }
        assert_eq!(found, lengths, "{direction:?}");
    }
}

pub async fn snapshots_are_apart_and_outlive_one_another(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let first = taken_before_other_commits(&engine).await;
    let second = engine.snapshot().await.unwrap();
    assert!(second.timestamp() > first.timestamp());
    remove(&engine, "a").await;
    drop(first);
    assert_eq!(all(&second).await, ["a=1", "b=2", "d=2"]);
    let third = engine.snapshot().await.unwrap();
    second.release().await.unwrap();
    remove(&engine, "b").await;
    assert_eq!(all(&third).await, ["b=2", "d=2"]);
}

pub async fn a_snapshot_lies_between_the_commits_before_it_and_those_after_it(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let before = store(&engine, &[("a", "1")]).await;
    let snapshot = engine.snapshot().await.unwrap();
    let after = store(&engine, &[("a", "2")]).await;
    assert!(before < snapshot.timestamp() && snapshot.timestamp() < after);
    assert_eq!(all(&snapshot).await, ["a=1"]);
}

pub async fn a_snapshot_is_kept_however_old_it_becomes(opener: Opener) {
    let clock = TestClock::new();
    let settings = EngineSettings::default().test_clock(&clock).max_transaction_age(Duration::from_secs(5));
    let database = opener.open(settings).await.unwrap();
    let engine = database.database();
    let snapshot = taken_before_other_commits(&engine).await;
    for round in 0..4 {
        clock.advance(Duration::from_secs(1_000));
        // A commit makes engines check what has become too old.
        store(&engine, &[("d", &format!("{round}"))]).await;
        assert_eq!(all(&snapshot).await, ["a=1", "b=1", "c=1"], "round {round}");
    }
    snapshot.release().await.unwrap();
}

pub async fn a_snapshot_is_no_live_transaction(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let snapshot = engine.snapshot().await.unwrap();
    // `None` on engines that don't know it.
    let oldest = engine.oldest_live_start();
    assert!(oldest.is_none_or(|oldest| oldest > snapshot.timestamp()), "{oldest:?}");
    assert_eq!(all(&snapshot).await, Vec::<String>::new());
}

pub async fn a_snapshot_under_writers_is_one_state(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    store(&engine, &[("x", "0"), ("y", "0"), ("z", "0")]).await;
    let writers = (0..3).map(|_| async {
        for _ in 0..20 {
            let tx = engine.begin().await.unwrap();
            for key in ["x", "y", "z"] {
                increment(&tx, key).await.unwrap();
            }
            // A transaction that conflicted changes nothing.
            let _ = tx.commit().await;
        }
    });
    let readers = (0..3).map(|_| async {
        for _ in 0..20 {
            let snapshot = engine.snapshot().await.unwrap();
            let mut values = Vec::new();
            for key in ["x", "y", "z"] {
                values.push(snapshot.get(key.as_bytes()).await.unwrap().map(text));
                tokio::task::yield_now().await;
            }
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
        }
    });
    futures::join!(join_all(writers), join_all(readers));
}
