//! Errors after which an engine can't go on.

use super::*;

/// Fails one kind of operation on files whose names begin with `prefix`.
fn break_down(faults: &Faults, failing: Operation, prefix: &'static str) {
    faults.set(move |operation, file| match operation == failing && file.starts_with(prefix) {
        true => Err(broken()),
        false => Ok(()),
    });
}

fn assert_closed(error: &TitoError, expected: &str) {
    assert!(matches!(error, TitoError::EngineClosed { .. }), "{error:?}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn a_failed_synchronisation_closes_the_engine_and_everybody_is_told() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    put(&db, "k1", 10).await.unwrap();
    let reader = db.begin().await.unwrap();
    let told = tokio::spawn({
        let db = db.clone();
        async move { db.closed().await }
    });
    break_down(&faults, Operation::Sync, "tito.log.");
    let error = put(&db, "k2", 10).await.unwrap_err();
    assert!(matches!(error, TitoError::CommitUnknown { .. }), "{error:?}");
    assert_closed(&told.await.unwrap(), "a test broke it");
    assert_closed(&db.closed().await, "a test broke it");
    assert_closed(&reader.get(b"k1").await.unwrap_err(), "a test broke it");
    assert_closed(&put(&db, "k3", 10).await.unwrap_err(), "a test broke it");
    assert_closed(&db.backend::<EmbeddedBackend>().unwrap().sizes().await.unwrap_err(), "a test broke it");

    faults.clear();
    let again = open_once_released(directory.path(), &faults).await;
    let keys = keys(&again).await.unwrap();
    assert!(keys == ["k1"] || keys == ["k1", "k2"], "{keys:?}");
}

/// The storage is released by the engine's thread, which may be a moment behind.
async fn open_once_released(path: &Path, faults: &Faults) -> Database {
    loop {
        match builder(faults).open(path).await {
            Ok(db) => return db,
            Err(TitoError::DatabaseInUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_cut_that_fails_closes_the_engine() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    put(&db, "k1", 10).await.unwrap();
    faults.set(|operation, file| match operation {
        Operation::Write | Operation::Resize if file.starts_with("tito.log.") => Err(broken()),
        _ => Ok(()),
    });
    let error = put(&db, "k2", 10).await.unwrap_err();
    assert!(matches!(error, TitoError::CommitUnknown { .. }), "{error:?}");
    assert_closed(&db.closed().await, "a test broke it");
}

#[tokio::test]
async fn a_write_that_fails_and_is_cut_off_was_not_committed_and_the_engine_goes_on() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    put(&db, "k1", 10).await.unwrap();
    break_down(&faults, Operation::Write, "tito.log.");
    let error = put(&db, "k2", 10).await.unwrap_err();
    assert!(matches!(error, TitoError::Storage { operation: "commit", .. }), "{error:?}");
    assert!(error.is_not_committed());
    faults.clear();
    put(&db, "k3", 10).await.unwrap();
    assert_eq!(keys(&db).await.unwrap(), ["k1", "k3"]);
    db.close().await;
    assert_eq!(keys(&open(directory.path(), &faults).await).await.unwrap(), ["k1", "k3"]);
}

/// The outcome of a commit and that of the flush that follows it are two things.
#[tokio::test]
async fn a_flush_that_fails_closes_the_engine_after_its_commits_were_answered() {
    for failing in [Operation::Write, Operation::Sync] {
        let directory = super::directory();
        let faults = Faults::default();
        let db = builder(&faults).memtable_bytes(4_096).open(directory.path()).await.unwrap();
        break_down(&faults, failing, DATABASE_FILE);
        let mut committed = Vec::new();
        let refused = loop {
            let key = format!("k{:04}", committed.len());
            match put(&db, &key, 1_000).await {
                Ok(()) => committed.push(key),
                Err(error) => break error,
            }
        };
        assert!(committed.len() >= 3, "{failing:?}: {committed:?}");
        assert_closed(&refused, "a test broke it");
        faults.clear();
        let again = open_once_released(directory.path(), &faults).await;
        assert_eq!(keys(&again).await.unwrap(), committed, "{failing:?}");
    }
}

/// Nobody commits any more, and those who wait are told all the same.
#[tokio::test]
async fn a_flush_that_fails_while_nobody_commits_is_told() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = builder(&faults).memtable_bytes(1_000).open(directory.path()).await.unwrap();
    break_down(&faults, Operation::Sync, DATABASE_FILE);
    put(&db, "k", 2_000).await.unwrap();
    assert_closed(&db.closed().await, "in a flush");
}

#[tokio::test]
async fn a_failed_assertion_in_a_thread_of_the_engine_closes_it_with_its_reason() {
    for file in ["tito.log.", DATABASE_FILE] {
        let directory = super::directory();
        let faults = Faults::default();
        let db = builder(&faults).memtable_bytes(1_000).open(directory.path()).await.unwrap();
        faults.set(move |operation, name| {
            assert!(operation != Operation::Sync || !name.starts_with(file), "this can't be");
            Ok(())
        });
        let _ = put(&db, "k", 2_000).await;
        assert_closed(&db.closed().await, "this can't be");
        faults.clear();
        open_once_released(directory.path(), &faults).await;
    }
}

/// Whatever is in the way of it but the directory's absence: what piles up in memory is bounded.
#[tokio::test]
async fn where_no_segment_can_be_begun_commits_are_refused_in_time() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = builder(&faults).memtable_bytes(50_000).open(directory.path()).await.unwrap();
    break_down(&faults, Operation::Create, "tito.log.");
    let mut rows = 0;
    let refused = loop {
        match put(&db, &format!("k{rows:04}"), 1_000).await {
            Ok(()) => rows += 1,
            Err(error) => break error,
        }
        assert!(rows < 1_000);
    };
    assert!(matches!(refused, TitoError::Storage { operation: "commit", .. }), "{refused:?}");
    assert_eq!(keys(&db).await.unwrap().len(), rows, "reads go on");
    faults.clear();
    // Whoever is refused last finds that a segment can be begun again.
    let _ = put(&db, "k0000", 1_000).await;
    for row in 0..20 {
        delete(&db, &format!("k{row:04}")).await.unwrap();
    }
    db.close().await;
    assert_eq!(keys(&open(directory.path(), &faults).await).await.unwrap().len(), rows - 20);
}

#[tokio::test]
async fn the_smallest_memtable_is_flushed_when_something_is_in_it() {
    let directory = super::directory();
    let faults = Faults::default();
    let flushes = Arc::new(AtomicU64::new(0));
    let db = builder(&faults).memtable_bytes(0).open(directory.path()).await.unwrap();
    faults.set({
        let flushes = flushes.clone();
        move |operation, file| {
            if operation == Operation::Remove && file.starts_with("tito.log.") {
                flushes.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }
    });
    for row in 0..3 {
        put(&db, &format!("k{row}"), 10).await.unwrap();
    }
    db.close().await;
    // One for each row, and that of closing; what looks whether a segment is there before it is begun removes none.
    assert!(flushes.load(Ordering::SeqCst) <= 12, "{flushes:?}");
}

#[tokio::test]
async fn an_engine_that_is_closed_on_purpose_tells_it() {
    let db = EmbeddedBackend::in_memory().await.unwrap();
    let told = tokio::spawn({
        let db = db.clone();
        async move { db.closed().await }
    });
    db.close().await;
    assert_closed(&told.await.unwrap(), "it was shut down");
}

#[tokio::test]
async fn an_error_of_the_file_system_while_opening_is_not_called_damage() {
    for failing in [Operation::Open, Operation::Read, Operation::Sync] {
        let directory = super::directory();
        let faults = Faults::default();
        open(directory.path(), &faults).await.close().await;
        break_down(&faults, failing, "tito.");
        let error = builder(&faults).open(directory.path()).await.unwrap_err();
        assert!(matches!(error, TitoError::Storage { .. }), "{failing:?}: {error:?}");
        faults.clear();
        open(directory.path(), &faults).await;
    }
}

#[tokio::test]
async fn a_snapshot_that_is_held_does_not_keep_the_directory() {
    let directory = super::directory();
    let faults = Faults::default();
    let db = open(directory.path(), &faults).await;
    put(&db, "k1", 10).await.unwrap();
    let snapshot = db.snapshot().await.unwrap();
    assert!(snapshot.get(b"k1").await.unwrap().is_some());
    db.close().await;
    let again = open(directory.path(), &faults).await;
    assert_closed(&snapshot.get(b"k1").await.unwrap_err(), "shut down");
    assert_eq!(keys(&again).await.unwrap(), ["k1"]);
}
