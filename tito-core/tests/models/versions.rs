//! Writes made from an old read.

use tito_core::model::RowVersion;
use tito_core::prelude::*;

use crate::support::*;

async fn version(db: &Database, id: &'static str) -> RowVersion {
    let users = db.model::<User>();
    db.transaction(|tx| async move { users.get_with_version(id, &tx).await }).await.unwrap().unwrap().1
}

async fn raise(db: &Database, id: &'static str, seen: RowVersion, age: u32) -> Result<(), TitoError> {
    let users = db.model::<User>();
    db.transaction(|tx| async move {
        users.assert_version(id, seen, &tx).await?;
        users.update(&User { age, ..user(id) }, &tx).await
    })
    .await
}

#[fact]
pub async fn a_write_made_from_an_old_read_is_refused_with_both_versions(db: Database) {
    insert_all(&db, &[user("ada"), user("bob")]).await;
    let first = version(&db, "ada").await;
    raise(&db, "ada", first, 7).await.unwrap();
    let second = version(&db, "ada").await;
    let error = raise(&db, "ada", first, 8).await.unwrap_err();
    let TitoError::VersionConflict { table, id, expected, actual } = &error else { panic!("{error:?}") };
    assert_eq!((table.as_str(), id.as_str(), *expected, *actual), ("user", "ada", first, second));
    assert!(error.to_string().contains(&first.to_string()) && error.to_string().contains(&second.to_string()));
    assert!(!error.is_retryable(), "nothing changes by running it again");
    raise(&db, "ada", second, 8).await.unwrap();
    // Another row with other content has another version; the same content has the same.
    assert_ne!(version(&db, "bob").await, first);
    raise(&db, "ada", version(&db, "ada").await, user("ada").age).await.unwrap();
    assert_eq!(version(&db, "ada").await, first);
}

#[fact]
pub async fn a_row_that_is_gone_has_no_version(db: Database) {
    insert_all(&db, &[user("ada")]).await;
    let seen = version(&db, "ada").await;
    let users = db.model::<User>();
    let refused = db.transaction(|tx| async move {
        users.delete("ada", &tx).await?;
        for outcome in [users.assert_version("ada", seen, &tx).await, users.assert_current("ada", &tx).await] {
            let error = outcome.unwrap_err();
            assert!(matches!(&error, TitoError::RowNotFound { id, .. } if id == "ada"), "{error:?}");
        }
        assert!(users.get_with_version("ada", &tx).await?.is_none());
        assert!(matches!(users.assert_current("", &tx).await, Err(TitoError::InvalidName { .. })));
        users.assert_current("bob", &tx).await
    });
    assert!(matches!(refused.await, Err(TitoError::RowNotFound { id, .. }) if id == "bob"));
}

#[fact]
pub async fn a_transaction_sees_the_version_that_it_has_written(db: Database) {
    insert_all(&db, &[user("ada")]).await;
    let seen = version(&db, "ada").await;
    let users = db.model::<User>();
    let own = db.transaction(|tx| async move {
        users.assert_version("ada", seen, &tx).await?;
        users.update(&User { age: 7, ..user("ada") }, &tx).await?;
        assert!(users.assert_version("ada", seen, &tx).await.is_err());
        let (_, own) = users.get_with_version("ada", &tx).await?.unwrap();
        users.assert_version("ada", own, &tx).await?;
        Ok(own)
    });
    let own = own.await.unwrap();
    assert_eq!(version(&db, "ada").await, own);
}

#[fact]
pub async fn what_a_decision_goes_by_does_not_change_until_it_is_committed(db: Database) {
    insert_all(&db, &[user("ada"), user("bob")]).await;
    for changes_first in [true, false] {
        let users = db.model::<User>();
        let deciding = db.begin().await.unwrap();
        users.assert_current("ada", &deciding).await.unwrap();
        users.update(&User { age: 1, ..user("bob") }, &deciding).await.unwrap();
        let changing = db.begin().await.unwrap();
        users.update(&User { age: 2, ..user("ada") }, &changing).await.unwrap();
        let (first, second) = if changes_first { (&changing, &deciding) } else { (&deciding, &changing) };
        first.commit().await.unwrap();
        assert!(matches!(second.commit().await, Err(TitoError::Conflict { .. })), "{changes_first}");
    }
}
