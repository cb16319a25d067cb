//! Many transactions that append to the same stores at once.

use futures::future::join_all;
use tito_core::prelude::*;
use tito_core::row;
use tito_eventstore::{EventStore, EventStoreConfig, Manager, NewEvent, Select};
use tito_testkit::TestClock;

use super::support::sequences;

const TASKS: u64 = 1_000;

async fn stores(db: &Database) -> [EventStore; 2] {
    let manager = Manager::new(db.clone());
    let [bank, audit] = ["bank", "audit"].map(EventStoreConfig::new);
    [manager.create_event_store(bank).await.unwrap(), manager.create_event_store(audit).await.unwrap()]
}

/// Each task counts and appends to both stores, in one transaction.
async fn count_at_once(db: &Database, stores: &[EventStore; 2]) {
    let tasks = (0..TASKS).map(|task| {
        let (db, stores) = (db.clone(), stores.clone());
        tokio::spawn(async move {
            let counting = |tx: tito_core::Transaction| async move {
                let counted = tx.get(b"counter").await?.map_or(Ok(0), |bytes| row::decode(b"counter", "", &bytes))?;
                tx.put(b"counter".to_vec(), row::encode("counter", &(counted + 1_u64))?).await?;
                for store in &stores {
                    store.append_in(&tx, NewEvent::raw(format!("account.{}", task % 10), "counted", "once")).await?;
                }
                Ok(())
            };
            db.transaction(counting).await
        })
    });
    let outcomes = join_all(tasks).await.into_iter().map(|task| task.unwrap());
    let failed: Vec<_> = outcomes.filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} of {TASKS} failed, the first: {}", failed.len(), failed[0]);
    let counter = db.begin().await.unwrap().get(b"counter").await.unwrap().unwrap();
    assert_eq!(row::decode::<u64>(b"counter", "", &counter).unwrap(), TASKS);
    for store in stores {
        assert_eq!(sequences(store, Select::all()).await, (1..=TASKS).collect::<Vec<_>>());
    }
}

#[fact]
async fn a_thousand_transactions_that_count_and_append_to_two_stores_all_commit(db: Database) {
    let stores = stores(&db).await;
    count_at_once(&db, &stores).await;
}

#[fact]
async fn they_do_on_one_thread(db: Database, _clock: TestClock) {
    let stores = stores(&db).await;
    count_at_once(&db, &stores).await;
}

#[fact]
async fn they_do_beside_appends_of_their_own_process(db: Database) {
    let stores = stores(&db).await;
    let appends = (0..200).map(|append| {
        let store = stores[append % 2].clone();
        async move { store.append(NewEvent::raw("other.1", "noted", "once")).await }
    });
    let (_, appended) = futures::join!(
        async {
            let tasks = (0..200).map(|_| {
                let (db, stores) = (db.clone(), stores.clone());
                tokio::spawn(async move {
                    let append = |tx: tito_core::Transaction| async move {
                        for store in &stores {
                            store.append_in(&tx, NewEvent::raw("account.1", "counted", "once")).await?;
                        }
                        Ok(())
                    };
                    db.transaction(append).await.unwrap();
                })
            });
            for task in join_all(tasks).await {
                task.unwrap();
            }
        },
        join_all(appends)
    );
    for outcome in appended {
        outcome.unwrap();
    }
    for store in &stores {
        assert_eq!(sequences(store, Select::all()).await, (1..=300).collect::<Vec<_>>());
    }
}
