use std::time::Duration;

use tito_core::prelude::*;
use tito_eventstore::{EventStoreConfig, EventStoreError, Manager, Retention, Select, StorageType};
use tito_testkit::TestClock;

use crate::support::*;

#[fact]
pub async fn stores_are_created_got_changed_and_deleted(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let missing = manager.get_event_store("bank").await.unwrap_err();
    assert!(matches!(&missing, EventStoreError::StoreNotFound { name } if name == "bank"), "{missing:?}");
    let limits = Retention::default().events(10).bytes(1 << 20).age(Duration::from_secs(60));
    let config = EventStoreConfig::new("bank").description("accounts").metadata("team", "money").retention(limits);
    let store = manager.create_event_store(config.clone()).await.unwrap();
    let info = store.info().await.unwrap();
    assert_eq!((info.name.as_str(), info.description.as_str()), ("bank", "accounts"));
    assert_eq!(info.metadata["team"], "money");
    assert_eq!(info.retention, limits);
    assert_eq!((info.first_sequence, info.last_sequence, info.events, info.bytes), (1, 0, 0, 0));

    let exists = manager.create_event_store(config).await.unwrap_err();
    assert!(matches!(exists, EventStoreError::StoreExists { .. }), "{exists:?}");
    store.append([event("account.1", "opened"), event("account.1", "closed")]).await.unwrap();
    let same = Manager::new(db).get_event_store("bank").await.unwrap();
    assert_eq!(same.last_sequence().await.unwrap(), 2);
    let changed = manager.update_event_store(EventStoreConfig::new("bank").description("closed")).await.unwrap();
    let info = changed.info().await.unwrap();
    assert_eq!((info.description.as_str(), info.retention, info.events), ("closed", Retention::default(), 2));
    assert!(info.metadata.is_empty() && info.bytes > 0);

    let missing = manager.update_event_store(EventStoreConfig::new("shop")).await.unwrap_err();
    assert!(matches!(missing, EventStoreError::StoreNotFound { .. }), "{missing:?}");
    manager.delete_event_store("bank").await.unwrap();
    let missing = manager.delete_event_store("bank").await.unwrap_err();
    assert!(matches!(missing, EventStoreError::StoreNotFound { .. }), "{missing:?}");
    assert!(matches!(same.info().await, Err(EventStoreError::StoreNotFound { .. })));
    manager.close().await;
}

#[fact]
pub async fn a_store_created_again_begins_empty(db: Database, _: TestClock) {
    let manager = Manager::new(db);
    for _ in 0..3 {
        let store = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
        assert_eq!(sequences(&store, Select::all()).await, NONE);
        assert_eq!(store.append(event("account.1", "opened").id("same").expect_sequence(0)).await.unwrap(), 1);
        manager.delete_event_store("bank").await.unwrap();
    }
}

#[fact]
pub async fn what_an_engine_can_not_honour_is_refused(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    let (agrees, differs) = if db.is_durable() {
        (StorageType::Durable, StorageType::Memory)
    } else {
        (StorageType::Memory, StorageType::Durable)
    };
    manager.create_event_store(EventStoreConfig::new("agrees").storage(agrees)).await.unwrap();
    let replicas = if db.is_only_writer() { 3 } else { 1 };
    for config in [
        EventStoreConfig::new("x").storage(differs),
        EventStoreConfig::new("x").replicas(replicas),
        EventStoreConfig::new("x").placement("eu"),
    ] {
        let error = manager.create_event_store(config.clone()).await.unwrap_err();
        assert!(matches!(&error, EventStoreError::OptionNotHonoured { name, .. } if name == "x"), "{error:?}");
    }
    if db.is_only_writer() {
        manager.create_event_store(EventStoreConfig::new("one").replicas(1)).await.unwrap();
    }
    for name in ["", "a:b", "a\nb", &"x".repeat(256)] {
        let error = manager.create_event_store(EventStoreConfig::new(name)).await.unwrap_err();
        match error {
            EventStoreError::StoreNameRequired => assert_eq!(name, ""),
            EventStoreError::Engine(error) => assert!(matches!(error, TitoError::InvalidName { .. }), "{error:?}"),
            error => panic!("{error:?}"),
        }
    }
    assert!(matches!(manager.get_event_store("").await, Err(EventStoreError::StoreNameRequired)));
}

#[fact]
pub async fn stores_are_listed(db: Database, _: TestClock) {
    let manager = Manager::new(db);
    for name in ["b", "a", "c d", "é"] {
        manager.create_event_store(EventStoreConfig::new(name)).await.unwrap();
    }
    assert_eq!(manager.event_stores(None, 10).await.unwrap(), ["a", "b", "c d", "é"]);
    assert_eq!(manager.event_stores(Some("a"), 2).await.unwrap(), ["b", "c d"]);
}

#[fact]
pub async fn a_listing_of_stores_does_not_end_at_a_key_that_is_none_of_a_store(db: Database, _: TestClock) {
    let manager = Manager::new(db.clone());
    for name in ["a", "c", "d"] {
        manager.create_event_store(EventStoreConfig::new(name)).await.unwrap();
    }
    db.transaction(|tx| async move { tx.system_keys().put(b"store:b\xff".to_vec(), b"7".to_vec()).await })
        .await
        .unwrap();
    assert_eq!(manager.event_stores(None, 2).await.unwrap(), ["a", "c"]);
    assert_eq!(manager.event_stores(Some("c"), 2).await.unwrap(), ["d"]);
    assert_eq!(manager.event_stores(None, 0).await.unwrap(), [""; 0]);
}
