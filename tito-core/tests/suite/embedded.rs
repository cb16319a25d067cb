//! The embedded engine beyond the contract that all engines share.

use futures::FutureExt;
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

#[test]
fn a_program_without_a_runtime_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    for error in [
        EmbeddedBackend::in_memory().now_or_never().unwrap().unwrap_err(),
        EmbeddedBackend::open(directory.path()).now_or_never().unwrap().unwrap_err(),
        Database::open("memory:").now_or_never().unwrap().unwrap_err(),
    ] {
        assert!(matches!(error, TitoError::NoRuntime), "{error:?}");
        assert!(error.to_string().contains("#[tokio::main]"), "{error}");
    }
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

#[tokio::test]
async fn what_was_committed_lately_is_read_without_another_thread() {
    let directory = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    for key in [b"a", b"b"] {
        db.transaction(|tx| async move { tx.put(key.to_vec(), b"first".to_vec()).await }).await.unwrap();
    }
    let before = db.begin().await.unwrap();
    db.transaction(|tx| async move {
        tx.put(b"a".to_vec(), b"second".to_vec()).await?;
        tx.delete(b"b".to_vec()).await
    })
    .await
    .unwrap();
    let after = db.begin().await.unwrap();
    let keys = || vec![b"b".to_vec(), b"a".to_vec()];
    for (tx, a, b) in [(before, "first", Some(b"first".to_vec())), (after, "second", None)] {
        assert_eq!(tx.get(b"a").now_or_never().expect("it is in memory").unwrap(), Some(a.as_bytes().to_vec()));
        assert_eq!(tx.get(b"b").now_or_never().expect("it is in memory").unwrap(), b);
        let both = tx.batch_get(keys()).now_or_never().expect("both are in memory").unwrap();
        assert_eq!(both, vec![b, Some(a.as_bytes().to_vec())]);
    }
}

/// Some in the database file, some changed since, some nowhere: each value belongs to its key.
#[tokio::test]
async fn keys_of_one_call_are_found_in_memory_and_in_the_file() {
    const KEYS: usize = 300;
    let directory = tempfile::tempdir().unwrap();
    let key = |number: usize| format!("{:03}", number * 7 % KEYS).into_bytes();
    let write = |all: Vec<(Vec<u8>, Option<&'static str>)>| {
        |tx: tito_core::Transaction| async move {
            for (key, value) in all {
                match value {
                    Some(value) => tx.put(key, value.as_bytes().to_vec()).await?,
                    None => tx.delete(key).await?,
                }
            }
            Ok(())
        }
    };
    let mut expected = vec![None; KEYS];
    for (value, step) in [(Some("file"), 2), (Some("memory"), 3), (None, 5)] {
        let db = EmbeddedBackend::open(directory.path()).await.unwrap();
        let changed = (0..KEYS).step_by(step);
        db.transaction(write(changed.clone().map(|number| (key(number), value)).collect())).await.unwrap();
        changed.for_each(|number| expected[number] = value.map(|value| value.as_bytes().to_vec()));
        // The last changes stay in memory until the engine is closed.
        for few in [1, 2, 17, 256, KEYS] {
            let tx = db.begin().await.unwrap();
            let snapshot = db.snapshot().await.unwrap();
            assert_eq!(tx.batch_get((0..few).map(key).collect()).await.unwrap(), expected[..few]);
            assert_eq!(snapshot.batch_get((0..few).map(key).collect()).await.unwrap(), expected[..few]);
        }
        for (number, expected) in expected.iter().enumerate() {
            assert_eq!(&db.begin().await.unwrap().get(&key(number)).await.unwrap(), expected);
        }
        db.close().await;
    }
}

/// After reopening everything is in the database file.
#[tokio::test]
async fn a_row_of_the_file_is_read_again_without_another_thread_until_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    db.transaction(|tx| async move { tx.put(b"a".to_vec(), b"first".to_vec()).await }).await.unwrap();
    db.close().await;
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    let tx = db.begin().await.unwrap();
    assert!(tx.get(b"a").now_or_never().is_none(), "the file has to be read");
    let keys = || vec![b"b".to_vec(), b"a".to_vec()];
    let expected = |a: &str| vec![None, Some(a.as_bytes().to_vec())];
    assert_eq!(tx.batch_get(keys()).await.unwrap(), expected("first"));
    db.transaction(|tx| async move { tx.put(b"a".to_vec(), b"second".to_vec()).await }).await.unwrap();
    assert_eq!(tx.batch_get(keys()).now_or_never().expect("both are in memory").unwrap(), expected("first"));
    let tx = db.begin().await.unwrap();
    assert_eq!(tx.batch_get(keys()).now_or_never().expect("both are in memory").unwrap(), expected("second"));
}

/// A row of the file for instance, which nobody has to read again to know.
#[tokio::test]
async fn what_nobody_has_written_since_is_known_to_be_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    let put = |key: &'static str, value: &'static str| {
        let db = db.clone();
        async move {
            db.transaction(|tx| async move { tx.put(key.into(), value.into()).await }).await.unwrap();
        }
    };
    put("a", "first").await;
    let version = db.begin().await.unwrap().version().unwrap();
    let before = db.begin().await.unwrap();
    put("b", "second").await;
    let tx = db.begin().await.unwrap();
    assert!(tx.version().unwrap() > version);
    assert!(tx.is_unchanged(b"a", version) && tx.is_unchanged(b"absent", version));
    assert!(!tx.is_unchanged(b"b", version));
    assert!(tx.is_unchanged(b"b", tx.version().unwrap()));
    assert!(before.is_unchanged(b"b", version), "what it sees was written before");
    assert!(!before.is_unchanged(b"a", tx.version().unwrap()), "of later versions it knows nothing");
    tx.rollback().await;
    assert!(!tx.is_unchanged(b"a", version), "it has ended");
    db.close().await;
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    let version = db.begin().await.unwrap().version().unwrap();
    let tx = db.begin().await.unwrap();
    assert!(tx.is_unchanged(b"a", version), "it lies in the file");
}

/// Every commit is flushed into the file at once, and the file does not say when a key was written.
#[tokio::test]
async fn what_is_said_to_be_unchanged_is_so_across_flushes() {
    const KEYS: u8 = 5;
    let mut random = fastrand::Rng::with_seed(tito_test_engines::seed());
    let directory = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::builder().memtable_bytes(1).open(directory.path()).await.unwrap();
    let mut earlier = Vec::new();
    let mut known = 0;
    for round in 0..60_u8 {
        let tx = db.begin().await.unwrap();
        let values = tx.batch_get((0..KEYS).map(|key| vec![key]).collect()).await.unwrap();
        earlier.push((tx.version().unwrap(), values.clone()));
        for (version, values_then) in &earlier {
            for (key, (now, then)) in values.iter().zip(values_then).enumerate() {
                let is_unchanged = tx.is_unchanged(&[key as u8], *version);
                assert!(!is_unchanged || now == then, "{key} was {then:?} and is {now:?}");
                known += usize::from(is_unchanged);
            }
        }
        tx.put(vec![random.u8(..KEYS)], vec![round]).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(known >= 60, "each transaction knows its own version at least");
}

#[tokio::test]
async fn a_task_that_reads_from_memory_on_and_on_lets_others_run() {
    let directory = tempfile::tempdir().unwrap();
    let db = EmbeddedBackend::open(directory.path()).await.unwrap();
    db.transaction(|tx| async move { tx.put(b"a".to_vec(), b"first".to_vec()).await }).await.unwrap();
    let tx = db.begin().await.unwrap();
    let other = tokio::spawn(async {});
    for _ in 0..1_000 {
        tx.get(b"a").await.unwrap();
    }
    assert!(other.is_finished());
    let other = tokio::spawn(async {});
    for _ in 0..1_000 {
        tx.batch_get(vec![b"a".to_vec()]).await.unwrap();
    }
    assert!(other.is_finished());
}
