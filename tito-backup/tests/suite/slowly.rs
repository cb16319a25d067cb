//! How fast a backup goes, and what it tells meanwhile.

use std::sync::{Arc, Mutex};

use tito_backup::{BackupOptions, Place, backup, restore_with};
use tito_core::clock::Clock;
use tito_core::prelude::*;
use tito_testkit::TestClock;

use crate::support::*;

#[fact]
pub async fn a_limited_backup_takes_its_time(db: Database, clock: TestClock) {
    put(&db, &[("a", "1234567"), ("b", "1234567"), ("c", "1234567"), ("d", "1234567")]).await;
    let began = clock.monotonic_millis();
    let mut bytes = Vec::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let options = BackupOptions::default().block_bytes(8).bytes_per_second(4).on_progress({
        let (told, clock) = (told.clone(), clock.clone());
        move |progress| {
            let millis = clock.monotonic_millis() - began;
            told.lock().unwrap().push((progress.entries, progress.bytes, progress.key.to_string(), millis));
        }
    });
    // 32 bytes at 4 a second.
    turning(&clock, backup(&db, &mut bytes, &options)).await.unwrap();
    assert_eq!(clock.monotonic_millis() - began, 8_000);
    let told = told.lock().unwrap().clone();
    let expected = [("a", 0), ("b", 2_000), ("c", 4_000), ("d", 6_000)];
    let expected: Vec<_> =
        expected.iter().zip(1..).map(|((key, millis), count)| (count, 8 * count, key.to_string(), *millis)).collect();
    assert_eq!(told, expected);
}

#[fact]
pub async fn a_restore_tells_how_far_it_is(db: Database) {
    put(&db, &[("a", "1"), ("b", "1"), ("c", "1")]).await;
    let (bytes, _) = backed_up(&db, 1).await;
    let target = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = told.clone();
    let place = Place::directory(target.path());
    restore_with(&bytes[..], &place, move |progress| noted.lock().unwrap().push(progress.entries)).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [1, 2, 3]);
}

/// A backup that waits blocks no transaction and nobody who waits for them.
#[fact]
pub async fn a_backup_blocks_nobody(db: Database, clock: TestClock) {
    put(&db, &[("a", "1"), ("b", "1")]).await;
    let waiting = tokio::spawn({
        let db = db.clone();
        async move {
            let mut bytes = Vec::new();
            let options = BackupOptions::default().block_bytes(1).bytes_per_second(1);
            backup(&db, &mut bytes, &options).await.map(|totals| (bytes, totals))
        }
    });
    while !waiting.is_finished() {
        let before = db.timestamp().await.unwrap();
        put(&db, &[("a", "2")]).await;
        assert!(db.oldest_live_start().is_none_or(|oldest| oldest > before));
        clock.advance(std::time::Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    let (bytes, totals) = waiting.await.unwrap().unwrap();
    assert_eq!((totals.entries, totals.bytes), (2, 4));
    assert!(bytes.len() > 100);
}
