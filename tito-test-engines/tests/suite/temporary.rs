//! Temporary engines keep their data as long as they should, and no longer.

use tito_core::TitoError;
use tito_test_engines::EngineSettings;

#[tokio::test]
async fn a_database_on_disk_is_reopened_even_while_clones_of_its_engine_are_left() {
    let database = tito_test_engines::on_disk().await.unwrap();
    let clone = database.database().clone();
    let open_transaction = clone.begin().await.unwrap();
    clone.transaction(|tx| async move { tx.put(b"a".to_vec(), vec![1]).await }).await.unwrap();
    let database = database.reopen(EngineSettings::default()).await.unwrap();
    let tx = database.database().begin().await.unwrap();
    assert_eq!(tx.get(b"a").await.unwrap(), Some(vec![1]));
    assert!(matches!(clone.begin().await, Err(TitoError::EngineClosed { .. })));
    drop(open_transaction);
}

#[tokio::test]
async fn the_directory_goes_with_the_database_once_its_engine_is_closed() {
    let database = tito_test_engines::on_disk().await.unwrap();
    let path = database.path().to_path_buf();
    let clone = database.database().clone();
    clone.transaction(|tx| async move { tx.put(b"a".to_vec(), vec![1]).await }).await.unwrap();
    assert!(path.exists());
    drop(database);
    assert!(!path.exists(), "{} is left behind", path.display());
    assert!(matches!(clone.begin().await, Err(TitoError::EngineClosed { .. })));
}
