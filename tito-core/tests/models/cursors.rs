//! Pages.

use tito_core::model::Cursor;
use tito_core::prelude::*;

use crate::support::*;

fn named(id: usize) -> User {
    User { name: format!("name {:03}", id / 2), ..user(&format!("u{id:03}")) }
}

#[fact]
pub async fn pages_cover_all_rows_once_while_rows_come_and_go_before_them(db: Database) {
    insert_all(&db, &(0..50).map(named).collect::<Vec<_>>()).await;
    let users = db.model::<User>();
    let (mut seen, mut next, mut turn) = (Vec::new(), None, 0);
    loop {
        let tx = db.begin().await.unwrap();
        let page = users.query(User::BY_NAME).limit(7).after(next).page(&tx).await.unwrap();
        assert!(page.rows.len() == 7 || page.next.is_none());
        seen.extend(page.rows.into_iter().map(|row| row.unwrap().id));
        // Before the place of the cursor one row goes and one comes.
        users.delete(&seen[turn], &tx).await.unwrap();
        users.insert(&User { name: "name 000".to_string(), ..user(&format!("late{turn}")) }, &tx).await.unwrap();
        tx.commit().await.unwrap();
        turn += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..50).map(|id| named(id).id).collect::<Vec<_>>());
}

#[fact]
pub async fn a_cursor_survives_as_text(db: Database) {
    insert_all(&db, &(0..9).map(named).collect::<Vec<_>>()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let cursor = users.query(User::BY_EMAIL).limit(4).page(&tx).await.unwrap().next.unwrap();
    let read_back: Cursor = cursor.to_string().parse().unwrap();
    let rest = users.query(User::BY_EMAIL).after(read_back).ids(&tx).await.unwrap();
    assert_eq!(rest, ["u004", "u005", "u006", "u007", "u008"]);
}

#[fact]
pub async fn a_cursor_of_another_query_is_refused(db: Database) {
    insert_all(&db, &(0..9).map(named).collect::<Vec<_>>()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let cursor = users.query(User::BY_EMAIL).limit(4).page(&tx).await.unwrap().next.unwrap();
    for error in [
        users.query(User::BY_NAME).after(cursor.clone()).all(&tx).await.unwrap_err(),
        users.rows().after(cursor.clone()).page(&tx).await.map(|_| ()).unwrap_err(),
        users.query(User::BY_EMAIL).starts_with("z").after(cursor.clone()).count(&tx).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, TitoError::InvalidCursor { .. }), "{error}");
    }
}

#[fact]
pub async fn the_last_page_has_no_cursor(db: Database) {
    insert_all(&db, &(0..6).map(named).collect::<Vec<_>>()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let first = users.rows().limit(3).page(&tx).await.unwrap();
    assert_eq!(ids_of(&first), ["u000", "u001", "u002"]);
    let second = users.rows().limit(3).after(first.next).page(&tx).await.unwrap();
    assert_eq!(ids_of(&second), ["u003", "u004", "u005"]);
    assert_eq!(second.next, None);
    let none = users.rows().limit(0).page(&tx).await.unwrap();
    assert!(none.rows.is_empty() && none.next.is_none());
}

#[fact]
pub async fn pages_go_backwards_too(db: Database) {
    insert_all(&db, &(0..5).map(named).collect::<Vec<_>>()).await;
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    let first = users.query(User::BY_NAME).reverse().limit(3).page(&tx).await.unwrap();
    assert_eq!(ids_of(&first), ["u004", "u003", "u002"]);
    let second = users.query(User::BY_NAME).reverse().after(first.next).page(&tx).await.unwrap();
    assert_eq!(ids_of(&second), ["u001", "u000"]);
    assert_eq!(second.next, None);
}
