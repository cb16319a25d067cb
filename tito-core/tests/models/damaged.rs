//! Rows that can't be read, as an earlier version or another program may have left them: they are in nobody's way.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use tito_core::model::CheckReport;
use tito_core::prelude::*;

use crate::support::*;

/// Five users, of which `bad` and `worse` can't be read.
async fn damaged_table(db: &Database) {
    insert_all(db, &["ada", "bad", "bob", "eve", "worse"].map(user)).await;
    db.transaction(|tx| async move {
        tx.system_keys().put(b"data:user:bad".to_vec(), b"{\"id\":\"bad\",\"score\":null}".to_vec()).await?;
        tx.system_keys().put(b"data:user:worse".to_vec(), b"\xff".to_vec()).await
    })
    .await
    .unwrap();
}

/// What a row is called, or the key that its error names.
fn named(row: Result<User, TitoError>) -> String {
    match row {
        Ok(user) => user.id,
        Err(TitoError::Malformed { key, .. }) => format!("!{key}"),
        Err(error) => panic!("{error:?}"),
    }
}

const IN_ORDER: [&str; 5] = ["ada", "!data:user:bad", "bob", "eve", "!data:user:worse"];

#[fact]
pub async fn pages_and_streams_carry_the_error_in_the_rows_place(db: Database) {
    damaged_table(&db).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let page = users.rows().page(&tx).await.unwrap();
    assert_eq!(page.rows.into_iter().map(named).collect::<Vec<_>>(), IN_ORDER);
    let page = users.query(User::BY_EMAIL).page(&tx).await.unwrap();
    assert_eq!(page.rows.into_iter().map(named).collect::<Vec<_>>(), IN_ORDER);
    let mut backwards = IN_ORDER;
    backwards.reverse();
    let streamed: Vec<_> = users.query(User::BY_EMAIL).reverse().stream(&tx).map(named).collect().await;
    assert_eq!(streamed, backwards);
    let streamed: Vec<_> = users.rows().stream(&tx).map(named).collect().await;
    assert_eq!(streamed, IN_ORDER);
    // Pages of two, over the damage.
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = users.query(User::BY_EMAIL).limit(2).after(after).page(&tx).await.unwrap();
        seen.extend(page.rows.into_iter().map(named));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, IN_ORDER);
    assert!(users.query(User::BY_EMAIL).equals("bad@example.com").first(&tx).await.is_err());
    assert_eq!(users.rows().first(&tx).await.unwrap().unwrap().id, "ada");
}

#[fact]
pub async fn what_has_to_see_every_row_fails_and_names_the_damaged_ones(db: Database) {
    damaged_table(&db).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    for error in [
        users.rows().all(&tx).await.map(|_| ()).unwrap_err(),
        users.rows().count(&tx).await.map(|_| ()).unwrap_err(),
        users.rows().ids(&tx).await.map(|_| ()).unwrap_err(),
        users.query(User::BY_NAME).all(&tx).await.map(|_| ()).unwrap_err(),
        users.query(User::BY_EMAIL).count(&tx).await.map(|_| ()).unwrap_err(),
        users.batch_get(["ada", "bad", "worse"], &tx).await.map(|_| ()).unwrap_err(),
        users.rows().page(&tx).await.unwrap().into_rows().map(|_| ()).unwrap_err(),
    ] {
        let text = error.to_string();
        let TitoError::DamagedRows { keys, total, .. } = error else { panic!("{error:?}") };
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        assert_eq!((keys.as_slice(), total), (["data:user:bad", "data:user:worse"].map(String::from).as_slice(), 2));
        assert!(text.contains("data:user:bad, data:user:worse"), "{text}");
    }
    // A range without them is not concerned.
    let found = users.query(User::BY_EMAIL).range("bob@"..="eve@example.com").count(&tx).await.unwrap();
    assert_eq!(found, 2);
}

#[fact]
pub async fn a_damaged_row_is_found_and_deleted_by_its_id(db: Database) {
    damaged_table(&db).await;
    let users = db.model::<User>();
    let published = events(&db).await.len();
    let found = Arc::new(Mutex::new(Vec::new()));
    let report = users
        .check()
        .batch(2)
        .on_damaged({
            let found = found.clone();
            move |id, error| {
                assert!(matches!(error, TitoError::Malformed { .. }));
                found.lock().unwrap().push(id.to_string());
            }
        })
        .run()
        .await
        .unwrap();
    assert_eq!(*found.lock().unwrap(), ["bad", "worse"]);
    let expected = CheckReport { rows: 5, damaged_rows: 2, entries: 15, missing_entries: 0, stale_entries: 0 };
    assert_eq!(report, expected);

    let tx = db.begin().await.unwrap();
    let error = users.delete("bad", &tx).await.unwrap_err();
    assert!(matches!(error, TitoError::Malformed { .. }), "{error:?}");
    assert!(users.delete_damaged("bad", &tx).await.unwrap());
    assert!(!users.delete_damaged("bad", &tx).await.unwrap());
    assert!(users.delete_damaged("worse", &tx).await.unwrap());
    tx.commit().await.unwrap();
    assert_index_is_exact::<User>(&db).await;
    assert_eq!(events(&db).await.len(), published);
    // The unique value is free.
    insert_all(&db, &[User { email: "bad@example.com".to_string(), ..user("new") }]).await;
    // One that can be read goes as any other, with its events.
    let published = events(&db).await.len();
    db.transaction(|tx| async move { users.delete_damaged("ada", &tx).await }).await.unwrap();
    assert_eq!(events(&db).await.len(), published + 1);
    assert_index_is_exact::<User>(&db).await;
    assert_eq!(db.model::<User>().check().run().await.unwrap().damaged_rows, 0);
}

#[fact]
pub async fn a_check_counts_entries_that_are_missing_or_that_no_row_calls_for(db: Database) {
    insert_all(&db, &["ada", "bob"].map(user)).await;
    db.transaction(|tx| async move {
        tx.system_keys().delete(b"index:user:by_email:ada@example.com!".to_vec()).await?;
        tx.system_keys().put(b"index:user:by_name:x!:bob".to_vec(), Vec::new()).await?;
        tx.system_keys().put(b"index:user:by_email:y!".to_vec(), b"nobody".to_vec()).await
    })
    .await
    .unwrap();
    let report = db.model::<User>().check().run().await.unwrap();
    let expected = CheckReport { rows: 2, damaged_rows: 0, entries: 7, missing_entries: 1, stale_entries: 2 };
    assert_eq!(report, expected);
}

#[fact]
pub async fn a_reindexing_passes_over_damaged_rows_and_keeps_their_entries(db: Database) {
    damaged_table(&db).await;
    db.transaction(|tx| async move { tx.system_keys().delete(b"index:user:by_email:ada@example.com!".to_vec()).await })
        .await
        .unwrap();
    let report = db.model::<User>().reindex(User::BY_EMAIL).run().await.unwrap();
    assert_eq!((report.rows, report.added, report.removed, report.damaged), (5, 1, 0, 2));
    let tx = db.begin().await.unwrap();
    assert_eq!(stored(&tx, "index:user:by_email:").await.len(), 5);
}
