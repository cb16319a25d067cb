//! Events of writes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
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
        assert_eq!((&place.queue, place.seconds), (&event.event_type, event.timestamp));
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
pub async fn a_time_out_of_the_format_means_at_once_or_its_last_second(db: Database) {
    for (id, at) in [("a", -1), ("b", i64::MIN), ("c", 10_000_000_000), ("d", i64::MAX)] {
        insert_all(&db, &[User { remind_at: Some(at), ..user(id) }]).await;
        let found = events(&db).await;
        let (first, reminder) = (&found[found.len() - 2], &found[found.len() - 1]);
        assert_eq!(reminder.event_type, "reminder");
        assert_eq!(reminder.timestamp, if at < 0 { first.timestamp } else { 9_999_999_999 });
    }
}

#[fact]
pub async fn a_derived_time_is_rounded_up_and_kept_within_the_format(db: Database) {
    #[derive(Clone, Serialize, Deserialize, TitoModel)]
    #[tito(table = "offer", event = "expiry", at = self.expires)]
    struct Offer {
        id: u32,
        expires: Option<DateTime<Utc>>,
    }
    let start = db.now().await.unwrap().seconds();
    let cases = [
        (4_000_000_000, 1, 4_000_000_001),
        (4_000_000_000, 999_999_999, 4_000_000_001),
        (4_000_000_000, 0, 4_000_000_000),
        (-5_000_000_000, 0, start),
        (-1, 500_000_000, start),
        (253_402_300_000, 0, 9_999_999_999),
    ];
    for (number, (seconds, nanos, due)) in cases.into_iter().enumerate() {
        let expires = DateTime::from_timestamp(seconds, nanos);
        insert_all(&db, &[Offer { id: number as u32, expires }]).await;
        let found = events(&db).await[number].timestamp;
        assert!(
            if due == start { found >= start && found < start + 3_600 } else { found == due },
            "{seconds}: {found}"
        );
    }
}

#[fact]
pub async fn an_event_names_its_row_also_where_the_entity_is_another(db: Database) {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TitoModel)]
    #[tito(table = "order", event = "order", entity = format!("customer:{}", self.customer))]
    struct Order {
        id: String,
        customer: String,
    }
    let order = Order { id: "a:7".to_string(), customer: "ada".to_string() };
    insert_all(&db, std::slice::from_ref(&order)).await;
    let event = events(&db).await.remove(0);
    assert_eq!(event.entity, "customer:ada");
    assert_eq!(event.table_and_id(), Some(("order", "a:7")));
    assert_eq!(event.model::<Order>(&db).await.unwrap(), Some(order));
    let error = event.model::<User>(&db).await.unwrap_err();
    assert!(matches!(&error, TitoError::NotOfTheTable { entity, .. } if entity == "order:a:7"), "{error}");
    // An event whose entity is its row says so once.
    insert_all(&db, &[user("ada")]).await;
    let event = events(&db).await.remove(1);
    assert_eq!((event.table_and_id(), &event.row), (Some(("user", "ada")), &None));
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
