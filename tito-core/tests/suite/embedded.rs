//! The embedded engine beyond the contract that all engines share.

use tito_core::TitoError;
use tito_core::prelude::*;

#[tokio::test]
async fn a_second_engine_on_a_directory_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let first = EmbeddedBackend::open(directory.path()).await.unwrap();
    let error = EmbeddedBackend::open(directory.path()).await.unwrap_err();
    assert!(matches!(error, TitoError::DatabaseInUse { .. }), "{error:?}");
    assert!(error.to_string().contains(directory.path().to_str().unwrap()));
    first.close().await;
    EmbeddedBackend::open(directory.path()).await.unwrap();
}

/// The lock is redb's own, so that other software that opens the file with it is kept out as well, and keeps us out.
#[tokio::test]
async fn redb_itself_is_refused_while_an_engine_has_the_database_and_the_other_way_round() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tito.redb");
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    let refused = redb::Database::open(&file);
    assert!(matches!(refused, Err(redb::DatabaseError::DatabaseAlreadyOpen)), "{refused:?}");
    db.close().await;
    let other = redb::Database::open(&file).unwrap();
    let error = EmbeddedBackend::open(directory.path()).await.unwrap_err();
    assert!(matches!(error, TitoError::DatabaseInUse { .. }), "{error:?}");
    drop(other);
    EmbeddedBackend::open(directory.path()).await.unwrap();
}

const DIRECTORY: &str = "TITO_TEST_DIRECTORY";

#[tokio::test]
async fn a_second_process_on_a_directory_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let first = EmbeddedBackend::open(directory.path()).await.unwrap();
    let open_in_another_process = || {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "embedded::another_process", "--nocapture"]).env(DIRECTORY, directory.path());
        String::from_utf8(child.output().unwrap().stdout).unwrap()
    };
    let refused = open_in_another_process();
    assert!(refused.contains("REFUSED"), "{refused}");
    assert!(refused.contains(directory.path().to_str().unwrap()), "{refused}");
    first.close().await;
    let opened = open_in_another_process();
    assert!(opened.contains("OPENED"), "{opened}");
}

/// What the other process runs. Does nothing in a run of all tests.
#[tokio::test]
async fn another_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    match EmbeddedBackend::open(directory).await {
        Ok(_) => println!("OPENED"),
        Err(error @ TitoError::DatabaseInUse { .. }) => println!("REFUSED {error}"),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..5u8 {
        let db = EmbeddedBackend::open(directory.path()).await.unwrap();
        let seen = db
            .transaction(|tx| async move {
                let seen = tx.get(b"rounds").await?.unwrap_or_default();
                let mut next = seen.clone();
                next.push(round);
                tx.put(b"rounds".to_vec(), next).await?;
                Ok(seen)
            })
            .await
            .unwrap();
        assert_eq!(seen, (0..round).collect::<Vec<_>>());
        db.close().await;
    }
}

#[tokio::test]
async fn concurrent_increments_are_all_counted() {
    let directory = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    let tasks = (0..16).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                db.transaction(|tx| async move {
                    let count = tx.get(b"count").await?.map_or(0, |value| value[0]);
                    tx.put(b"count".to_vec(), vec![count + 1]).await
                })
                .await
                .unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let count = db.transaction(|tx| async move { tx.get(b"count").await }).await.unwrap();
    assert_eq!(count, Some(vec![80]));
}
