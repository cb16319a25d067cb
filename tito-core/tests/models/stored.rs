//! Stored bytes that are not what they should be.

use tito_core::keys;
use tito_core::prelude::*;

use crate::support::*;

async fn put(db: &Database, key: &[u8], value: &[u8]) {
    let (key, value) = (key.to_vec(), value.to_vec());
    db.transaction(|tx| async move { tx.system_keys().put(key, value).await }).await.unwrap();
}

async fn delete(db: &Database, key: Vec<u8>) {
    db.transaction(|tx| async move { tx.system_keys().delete(key).await }).await.unwrap();
}

#[fact]
pub async fn a_row_that_does_not_parse_is_an_error_naming_its_key(db: Database) {
    insert_all(&db, &[user("ada"), user("bob")]).await;
    let users = db.model::<User>();
    for broken in [&b""[..], b"\xff\xfe", b"not json", b"{\"id\":\"ada\"}", b"[]", b"null"] {
        put(&db, b"data:user:ada", broken).await;
        let tx = db.begin().await.unwrap();
        for error in [
            users.get("ada", &tx).await.map(|_| ()).unwrap_err(),
            users.update(&user("ada"), &tx).await.unwrap_err(),
            users.upsert(&user("ada"), &tx).await.map(|_| ()).unwrap_err(),
            users.delete("ada", &tx).await.map(|_| ()).unwrap_err(),
            users.query(User::BY_EMAIL).equals("ada@example.com").first(&tx).await.map(|_| ()).unwrap_err(),
        ] {
            assert!(
                matches!(&error, TitoError::Malformed { key, .. } if key.as_bytes() == b"data:user:ada"),
                "{error}"
            );
        }
        // Others are not in its way.
        assert_eq!(users.get("bob", &tx).await.unwrap(), Some(user("bob")));
    }
}

#[fact]
pub async fn an_entry_without_its_row_is_passed_over(db: Database) {
    insert_all(&db, &[user("ada"), user("bob"), user("eve")]).await;
    delete(&db, keys::row("user", "bob")).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    assert_eq!(users.query(User::BY_NAME).equals("").ids(&tx).await.unwrap(), ["ada", "eve"]);
    assert_eq!(users.query(User::BY_EMAIL).limit(2).ids(&tx).await.unwrap(), ["ada", "eve"]);
    let page = users.query(User::BY_EMAIL).limit(2).page(&tx).await.unwrap();
    assert_eq!((ids_of(&page), &page.next), (vec!["ada", "eve"], &None));
}

#[fact]
pub async fn an_entry_of_a_former_value_is_passed_over(db: Database) {
    insert_all(&db, &[User { active: true, ..user("ada") }]).await;
    put(&db, &keys::index_entry("user", "by_name", b"former!", "ada"), b"").await;
    put(&db, &keys::unique_index_entry("user", "by_email", b"former@example.com!"), b"ada").await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    assert_eq!(users.query(User::BY_NAME).ids(&tx).await.unwrap(), ["ada"]);
    assert_eq!(users.query(User::BY_NAME).equals("former").count(&tx).await.unwrap(), 0);
    assert_eq!(users.query(User::BY_EMAIL).equals("former@example.com").first(&tx).await.unwrap(), None);
}

#[fact]
pub async fn an_entry_that_names_no_row_is_an_error_naming_its_key(db: Database) {
    let users = db.model::<User>();
    let cases: [(&[u8], &[u8]); 4] = [
        (b"index:user:by_email:x!", b""),
        (b"index:user:by_email:x!", b"\xff"),
        (b"index:user:by_name:x!", b""),
        (b"index:user:by_name:x!:not escaped", b""),
    ];
    for (key, value) in cases {
        put(&db, key, value).await;
        let tx = db.begin().await.unwrap();
        let error = if key.starts_with(b"index:user:by_email") {
            users.query(User::BY_EMAIL).equals("x").first(&tx).await.unwrap_err()
        } else {
            users.query(User::BY_NAME).equals("x").first(&tx).await.unwrap_err()
        };
        assert!(matches!(&error, TitoError::Malformed { key: named, .. } if named.as_bytes() == key), "{error}");
        delete(&db, key.to_vec()).await;
    }
}
