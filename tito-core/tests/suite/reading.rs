//! A database that is opened to be read stays as it is, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use tito_core::prelude::*;

async fn put(db: &Database, keys: std::ops::Range<u32>) {
    for number in keys {
        let key = format!("row/{number:05}").into_bytes();
        db.transaction(|tx| async move { tx.put(key, vec![b'x'; 500]).await }).await.unwrap();
    }
}

async fn rows(db: &Database) -> usize {
    db.begin().await.unwrap().scan(tito_core::keys::KeyRange::prefix("row/"), 100_000).await.unwrap().len()
}

/// Every file with its content and the time when it was changed.
fn content(directory: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let files = fs::read_dir(directory).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let changed = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name().into_string().unwrap(), (fs::read(entry.path()).unwrap(), changed))
    });
    files.collect()
}

fn builder() -> tito_core::embedded::EmbeddedBuilder {
    // Small enough that part of what is written is in the file, part in full memtables and part in the log.
    EmbeddedBackend::builder().memtable_bytes(40_000)
}

/// What a process leaves that is killed: the files as they are while it runs.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // The flusher may have deleted a segment since.
        let _ = fs::copy(entry.path(), to.join(entry.file_name()));
    }
}

#[tokio::test]
async fn nothing_of_a_directory_is_changed_whether_it_was_closed_or_left_by_a_crash() {
    let (open, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = builder().open(open.path()).await.unwrap();
    put(&db, 0..700).await;
    // Everything is in the file or in the log, and nothing is written while it is copied.
    let sizes = db.backend::<EmbeddedBackend>().unwrap();
    while sizes.sizes().await.unwrap().unflushed_bytes > 120_000 {
        tokio::task::yield_now().await;
    }
    copy(open.path(), crashed.path());
    put(&db, 700..710).await;
    db.close().await;
    for (directory, expected) in [(crashed.path(), 700), (open.path(), 710)] {
        let before = content(directory);
        let first = builder().open_read_only(directory).await.unwrap();
        let url = format!("file:{}", directory.display());
        let second = Database::open_read_only(url).await.unwrap();
        for db in [&first, &second] {
            assert_eq!(rows(db).await, expected);
            let written = db.transaction(|tx| async move { tx.put(b"row/x".to_vec(), b"1".to_vec()).await }).await;
            assert!(matches!(&written, Err(TitoError::ReadOnly { key }) if key.as_bytes() == b"row/x"), "{written:?}");
            assert_eq!(rows(db).await, expected);
            let snapshot = db.snapshot().await.unwrap();
            assert_eq!(snapshot.get(b"row/00000").await.unwrap(), Some(vec![b'x'; 500]));
            assert!(db.timestamp().await.unwrap() > snapshot.timestamp());
            assert!(db.backend::<EmbeddedBackend>().unwrap().sizes().await.unwrap().database_bytes > 0);
        }
        first.close().await;
        second.close().await;
        assert_eq!(content(directory), before);
        // And it is as good as it was.
        let db = builder().open(directory).await.unwrap();
        assert_eq!(rows(&db).await, expected);
        db.close().await;
    }
}

#[tokio::test]
async fn who_writes_waits_for_those_who_read_and_they_do_not_wait_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let db = builder().open(directory.path()).await.unwrap();
    let refused = builder().open_read_only(directory.path()).await;
    assert!(matches!(refused, Err(TitoError::DatabaseInUse { .. })), "{refused:?}");
    put(&db, 0..1).await;
    db.close().await;

    let reader = builder().open_read_only(directory.path()).await.unwrap();
    let path = directory.path().to_path_buf();
    let writer = tokio::spawn(async move { builder().open(path).await });
    assert_eq!(rows(&reader).await, 1);
    assert!(!writer.is_finished());
    reader.close().await;
    let db = writer.await.unwrap().unwrap();
    put(&db, 1..2).await;
    assert_eq!(rows(&db).await, 2);
    db.close().await;
}

#[tokio::test]
async fn there_has_to_be_a_database_and_none_is_made() {
    let outer = tempfile::tempdir().unwrap();
    let nowhere = outer.path().join("nowhere");
    for path in [&nowhere, outer.path()] {
        let opened = builder().open_read_only(path).await;
        assert!(matches!(opened, Err(TitoError::NoDatabase { .. })), "{opened:?}");
    }
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
    fs::write(outer.path().join("tito.redb"), b"something else").unwrap();
    let opened = builder().open_read_only(outer.path()).await;
    assert!(matches!(opened, Err(TitoError::InvalidDatabase { .. })), "{opened:?}");
    assert_eq!(fs::read(outer.path().join("tito.redb")).unwrap(), b"something else");
}

#[tokio::test]
async fn a_handle_that_reads_sees_what_the_other_writes() {
    let db = EmbeddedBackend::in_memory().await.unwrap();
    let reader = db.read_only();
    put(&db, 0..3).await;
    assert_eq!(rows(&reader).await, 3);
    let deleted = reader.transaction(|tx| async move { tx.delete(b"row/00000".to_vec()).await }).await;
    assert!(matches!(deleted, Err(TitoError::ReadOnly { .. })), "{deleted:?}");
    // Reads that count as writes are in order where nothing is written.
    reader.transaction(|tx| async move { tx.lock_keys(vec![b"row/00000".to_vec()]).await }).await.unwrap();
    assert_eq!(rows(&db).await, 3);
}
