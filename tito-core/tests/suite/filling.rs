//! Databases that are filled from elsewhere refuse to be opened before they are whole; tools create none by mistake.

use std::path::Path;

use tito_core::engine::Filling;
use tito_core::prelude::*;
use tito_core::{Timestamp, keys};

fn filling() -> Filling {
    Filling::new(b"{\"by\":\"a test\"}".to_vec(), Timestamp::from_millis(99_000_000_000_000))
}

async fn to_fill(path: &Path) -> Result<Database, TitoError> {
    EmbeddedBackend::builder().open_to_fill(path, &filling()).await
}

async fn existing(path: &Path) -> Result<Database, TitoError> {
    EmbeddedBackend::builder().open_existing(path).await
}

#[track_caller]
fn assert_incomplete(outcome: Result<Database, TitoError>) {
    match outcome {
        Err(TitoError::IncompleteDatabase { mark }) => assert_eq!(mark, "{\"by\":\"a test\"}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_being_filled_opens_for_nobody_else_until_its_mark_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // From its beginning on, also where nothing was written.
    to_fill(path).await.unwrap().close().await;
    assert_incomplete(EmbeddedBackend::open(path).await);
    assert_incomplete(existing(path).await);
    assert_incomplete(Database::open(path.display().to_string()).await);
    let compacted = EmbeddedBackend::compact(path).await;
    assert!(matches!(compacted, Err(TitoError::IncompleteDatabase { .. })), "{compacted:?}");

    let db = to_fill(path).await.unwrap();
    db.transaction(|tx| async move { tx.put(b"a".to_vec(), b"1".to_vec()).await }).await.unwrap();
    db.close().await;
    assert_incomplete(EmbeddedBackend::open(path).await);
    let db = to_fill(path).await.unwrap();
    db.transaction(|tx| async move { tx.system_keys().delete(keys::filling()).await }).await.unwrap();
    let (id, last) = (db.identity().unwrap().id, db.timestamp().await.unwrap());
    assert!(last > filling().after());
    db.close().await;

    let refused = to_fill(path).await;
    assert!(matches!(refused, Err(TitoError::InvalidTarget { .. })), "{refused:?}");
    let db = existing(path).await.unwrap();
    assert_eq!(db.identity().unwrap().id, id);
    assert_eq!(db.begin().await.unwrap().get(b"a").await.unwrap(), Some(b"1".to_vec()));
    assert!(db.timestamp().await.unwrap() > last, "after all that was handed out while it was filled");
}

#[tokio::test]
async fn a_database_that_is_expected_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_path_buf(), directory.path().join("missing/deeper")] {
        let refused = existing(&path).await;
        assert!(matches!(refused, Err(TitoError::NoDatabase { .. })), "{refused:?}");
        let refused = Database::open_existing(format!("file:{}", path.display())).await;
        assert!(matches!(refused, Err(TitoError::NoDatabase { .. })), "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    for outcome in [Database::open_existing("memory:").await, Database::open_to_fill("memory:", &filling()).await] {
        assert!(matches!(outcome, Err(TitoError::InvalidUrl { .. })), "{outcome:?}");
    }
}

/// A database of before there were identities.
#[tokio::test]
async fn a_database_that_does_not_say_which_it_is_is_refused_until_it_does() {
    let directory = tempfile::tempdir().unwrap();
    EmbeddedBackend::open(directory.path()).await.unwrap().close().await;
    {
        let file = redb::Database::open(directory.path().join("tito.redb")).unwrap();
        let tx = file.begin_write().unwrap();
        tx.delete_table(redb::TableDefinition::<&str, &[u8]>::new("database")).unwrap();
        tx.commit().unwrap();
    }
    let refused = existing(directory.path()).await;
    assert!(matches!(refused, Err(TitoError::NoDatabase { .. })), "{refused:?}");
    EmbeddedBackend::open(directory.path()).await.unwrap().close().await;
    existing(directory.path()).await.unwrap();
}
