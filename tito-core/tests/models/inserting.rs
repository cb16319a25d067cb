//! Inserts of what exists, seen where they are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tito_core::TxOptions;
use tito_core::prelude::*;

use crate::support::*;

#[fact]
pub async fn an_insert_that_looks_first_finds_what_exists_at_once(db: Database) {
    insert_all(&db, &[user("ada")]).await;
    let users = db.model::<User>();
    let done = db
        .transaction_with(TxOptions::default().check_inserts(), |tx| async move {
            let error = users.insert(&user("ada"), &tx).await.unwrap_err();
            assert!(matches!(&error, TitoError::AlreadyExists { .. }) && error.violated_index().is_none(), "{error}");
            // By the unique value.
            let same = User { email: "ada@example.com".to_string(), ..user("bob") };
            let error = users.insert(&same, &tx).await.unwrap_err();
            assert_eq!(error.violated_index(), Some(("user".to_string(), "by_email".to_string())));
            // The closure goes on, and what it writes is committed.
            users.update(&User { age: 7, ..user("ada") }, &tx).await?;
            users.insert(&user("bob"), &tx).await?;
            users.delete("ada", &tx).await?;
            users.insert(&User { age: 8, ..user("ada") }, &tx).await
        })
        .await;
    done.unwrap();
    let tx = db.begin().await.unwrap();
    let rows = db.model::<User>().rows().all(&tx).await.unwrap();
    assert_eq!(rows.iter().map(|user| (user.id.as_str(), user.age)).collect::<Vec<_>>(), [("ada", 8), ("bob", 0)]);
    assert_index_is_exact::<User>(&db).await;
}

#[fact]
pub async fn what_is_inserted_meanwhile_is_seen_by_the_next_run(db: Database) {
    let (users, runs) = (db.model::<User>(), Arc::new(AtomicU32::new(0)));
    let (other, counted) = (db.clone(), runs.clone());
    let existed = db
        .transaction_with(TxOptions::default().check_inserts(), |tx| async move {
            let inserted = users.insert(&user("ada"), &tx).await;
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                inserted?;
                insert_all(&other, &[user("ada")]).await;
                return Ok(false);
            }
            match inserted {
                Err(TitoError::AlreadyExists { .. }) => Ok(true),
                other => other.map(|()| false),
            }
        })
        .await;
    assert!(existed.unwrap());
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[fact]
pub async fn without_looking_what_exists_is_found_at_the_commit_and_own_writes_at_once(db: Database) {
    insert_all(&db, &[user("ada")]).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    users.insert(&user("bob"), &tx).await.unwrap();
    let error = users.insert(&user("bob"), &tx).await.unwrap_err();
    assert!(matches!(error, TitoError::AlreadyExists { .. }), "{error}");
    let looking = tx.checking_inserts();
    let error = users.insert(&user("ada"), &looking).await.unwrap_err();
    assert!(matches!(error, TitoError::AlreadyExists { .. }), "{error}");
    let inserted = users.insert(&user("ada"), &tx).await;
    let error = match inserted {
        Ok(()) => tx.commit().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, TitoError::AlreadyExists { .. }), "{error}");
}
