//! Projections forget entities that are erased.

use tito_core::prelude::*;
use tito_eventstore::{EventStore, EventStoreConfig, Manager, NewEvent, Retention};
use tito_testkit::{Call, FaultEngine, TestClock, WithFaults};

use crate::support::{assert_folded, projected, rows, stored};

async fn open(bank: &EventStore, accounts: &[u32]) {
    for account in accounts {
        let opened = NewEvent::raw(format!("account.{account}"), "opened", format!("owner-{account}"));
        bank.append(opened).await.unwrap();
    }
}

#[fact]
pub async fn a_projection_is_rebuilt_without_what_was_erased(db: Database, _: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    open(&bank, &[1, 2, 3]).await;
    projection.catch_up().await.unwrap();
    let erased = bank.erase("account.2").await.unwrap();
    assert_eq!((erased.events, erased.rebuilds, erased.not_rebuilt.len()), (1, 1, 0));
    assert_eq!(rows(&bank).await.len(), 3, "they serve until then");
    let remaining = bank.remains("account.2").await.unwrap();
    assert_eq!((remaining.events, remaining.projections, remaining.unreadable), (0, vec!["accounts".to_string()], 0));
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 0).await;
    assert_eq!(rows(&bank).await.len(), 2);
    assert!(bank.remains("account.2").await.unwrap().is_nothing());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let all: Vec<_> = stored(&db, "log:").await.into_iter().map(|(key, value)| text(key) + &text(value)).collect();
    assert!(all.iter().all(|row| !row.contains("owner-2")), "nothing of it is left in the store");
    open(&bank, &[4]).await;
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 0).await;
}

#[fact]
pub async fn a_projection_that_has_not_come_that_far_needs_no_rebuild(db: Database, _: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    open(&bank, &[1]).await;
    projection.catch_up().await.unwrap();
    open(&bank, &[2]).await;
    assert_eq!(bank.erase("account.2").await.unwrap().rebuilds, 0);
    assert!(bank.remains("account.2").await.unwrap().is_nothing());
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 0).await;
}

/// It has read the event, and is about to commit rows of it.
#[fact]
pub async fn what_is_being_folded_while_it_is_erased_is_not_committed(db: Database, _: TestClock) {
    for is_rebuild in [false, true] {
        let db = FaultEngine::new(db.clone()).database();
        let (bank, projection, _) = projected(&db).await;
        if is_rebuild {
            projection.catch_up().await.unwrap();
            bank.rebuild_projection("accounts").await.unwrap();
        }
        open(&bank, &[1, 2]).await;
        let folding = db.faults().at(Call::Commit).key_prefix("log:").nth(1).hold();
        let running = tokio::spawn({
            let projection = projection.clone();
            async move { projection.catch_up().await.unwrap() }
        });
        folding.arrivals(1).await;
        bank.erase("account.2").await.unwrap();
        folding.open();
        running.await.unwrap();
        projection.catch_up().await.unwrap();
        assert!(bank.remains("account.2").await.unwrap().is_nothing(), "{is_rebuild}");
        assert_folded(&bank, 0).await;
        assert!(rows(&bank).await.iter().all(|row| row.owner != "owner-2"));
        Manager::new(db.clone()).delete_event_store("bank").await.unwrap();
    }
}

#[fact]
pub async fn a_store_that_has_dropped_events_says_which_projections_are_left_as_they_are(db: Database, _: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    open(&bank, &[1, 2, 3]).await;
    projection.catch_up().await.unwrap();
    let manager = Manager::new(db.clone());
    manager.update_event_store(EventStoreConfig::new("bank").retention(Retention::default().events(2))).await.unwrap();
    manager.sweep().await.unwrap();
    let erased = bank.erase("account.3").await.unwrap();
    assert_eq!((erased.events, erased.rebuilds), (1, 0));
    assert_eq!(erased.not_rebuilt.into_iter().collect::<Vec<_>>(), ["accounts"]);
    assert_eq!(rows(&bank).await.len(), 3);
}
