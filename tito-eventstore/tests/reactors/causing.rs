//! What handlers of a store's events publish.

use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_eventstore::{Event, NewEvent};
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;

use crate::support::*;

/// The causes of what was published, by entity.
async fn causes(db: &Database) -> Vec<(String, Option<String>)> {
    let tx = db.begin().await.unwrap();
    let stored = tx.scan(KeyRange::prefix("event:follow:"), 100).await.unwrap();
    let events = stored.iter().map(|(key, value)| TitoEvent::decode(key, value).unwrap());
    let mut causes: Vec<_> = events.map(|event| (event.entity, event.causation_id)).collect();
    causes.sort();
    causes
}

#[fact]
pub async fn what_a_reactor_publishes_was_caused_by_the_event_of_the_store(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    bank.append(NewEvent::raw("account.1", "changed", "data").id("at once")).await.unwrap();
    bank.append(NewEvent::raw("account.2", "changed", "data").id("by the queue")).await.unwrap();
    let [plain, transactional] =
        [mailer(&bank).await, bank.react("teller", "account", tito_eventstore::ReactFrom::First).await.unwrap()];
    let queue = TitoQueue::new(db.clone());
    let failed = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let (publisher, fails) = (queue.clone(), failed.clone());
    let worker = plain.subscribe(Worker::builder(queue.clone()), move |event: Event| {
        let (queue, fails) = (publisher.clone(), fails.clone());
        async move {
            if event.entity() == "account.2" && fails.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                return Err("not yet".into());
            }
            let entity = format!("plain {}", event.entity());
            let publish = |tx: Transaction| {
                let (queue, entity) = (queue.clone(), entity.clone());
                async move { queue.publish(Publish::new("follow", entity), &tx).await.map(drop) }
            };
            queue.engine.transaction(publish).await?;
            Ok::<_, tito_core::BoxError>(())
        }
    });
    let worker = transactional.subscribe(worker, move |event: Event, tx: Transaction| {
        let queue = queue.clone();
        async move {
            let entity = format!("transactional {}", event.entity());
            queue.publish(Publish::new("follow", entity), &tx).await.map(drop)
        }
    });
    let mut harness = Harness::of(worker, &clock);
    harness.drain().await.unwrap();
    harness.advance(Duration::from_secs(60)).await.unwrap();
    let caused = [
        ("plain account.1", "at once"),
        ("plain account.2", "by the queue"),
        ("transactional account.1", "at once"),
        ("transactional account.2", "by the queue"),
    ];
    let caused = caused.map(|(entity, cause)| (entity.to_string(), Some(cause.to_string())));
    assert_eq!(causes(&db).await, caused);
}
