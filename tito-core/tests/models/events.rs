//! Events of writes.

use tito_core::keys;
use tito_core::prelude::*;

use crate::support::*;

#[fact]
pub async fn a_write_carries_the_events_that_it_calls_for(db: Database) {
    insert_all(&db, &[User { remind_at: Some(9_000_000_000), ..user("a:da") }]).await;
    let tx = db.begin().await.unwrap();
    let keys: Vec<_> =
        stored(&tx, "event:").await.into_iter().map(|(key, _)| keys::parse_event(&key).unwrap()).collect();
    let found = events(&db).await;
    assert_eq!(
        found.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>(),
        ["user", "email_changed", "reminder"]
    );
    for event in &found {
        assert_eq!((event.entity.as_str(), event.action.as_str(), event.failed_attempts), ("user:a:da", "insert", 0));
        let place = keys.iter().find(|place| place.id == event.id).unwrap();
        assert_eq!((&place.event_type, place.seconds), (&event.event_type, event.timestamp));
        assert_eq!(place.partition, keys::partition_of("user:a:da", 16));
    }
    assert_eq!(found[2].timestamp, 9_000_000_000);
}

#[fact]
pub async fn an_event_before_the_start_is_due_at_the_start(db: Database) {
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    users.insert(&User { remind_at: Some(1), ..user("ada") }, &tx).await.unwrap();
    let start = tx.now().seconds();
    tx.commit().await.unwrap();
    assert_eq!(events(&db).await.iter().map(|event| event.timestamp).collect::<Vec<_>>(), [start; 3]);
}

#[fact]
pub async fn an_event_out_of_the_format_is_refused_with_its_time(db: Database) {
    for at in [-1, i64::MIN, 10_000_000_000, i64::MAX] {
        let users = db.model::<User>();
        let row = User { remind_at: Some(at), ..user("ada") };
        let error = db.transaction(|tx| async move { users.insert(&row, &tx).await }).await.unwrap_err();
        assert!(
            matches!(&error, TitoError::InvalidTimestamp { event, seconds } if event == "reminder" && *seconds == at),
            "{error}"
        );
    }
    let tx = db.begin().await.unwrap();
    assert_eq!(stored(&tx, "data:").await.len() + stored(&tx, "event:").await.len(), 0);
}

#[fact]
pub async fn a_rolled_back_write_leaves_no_event(db: Database) {
    let users = db.model::<User>();
    let tx = db.begin().await.unwrap();
    users.insert(&user("ada"), &tx).await.unwrap();
    tx.rollback().await;
    assert_eq!(events(&db).await.len(), 0);
    assert_index_is_exact::<User>(&db).await;
}
