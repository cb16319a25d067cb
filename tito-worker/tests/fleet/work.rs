//! What the workers do.

use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_worker::prelude::*;
use tito_worker::{Order, RetryPolicy, Subscription};

use crate::ledger::number;

/// A worker of all three topics.
pub fn worker(db: &Database, lease_time: Duration) -> Worker {
    let retry = RetryPolicy::default().attempts(u32::MAX).longest_delay(Duration::from_secs(4));
    let subscription = Subscription::default().retry(retry);
    let plain_db = db.clone();
    Worker::builder(TitoQueue::new(db.clone()))
        .join("fleet")
        .lease_time(lease_time)
        .shutdown_timeout(Duration::from_secs(2))
        .schedules(false)
        .subscribe_with(
            "strict",
            subscription.clone().order(Order::Strict),
            |event: TitoEvent, tx: Transaction| async move {
                if fastrand::u8(0..10) == 0 {
                    return Err(TitoError::Application("by chance".into()));
                }
                append(&tx, &event).await
            },
        )
        .subscribe_with("batch", subscription.clone().batch(8), |event: TitoEvent, tx: Transaction| async move {
            append(&tx, &event).await
        })
        .subscribe_with("plain", subscription, move |event: TitoEvent| {
            let db = plain_db.clone();
            async move { db.transaction(|tx| async move { append(&tx, &event).await }).await }
        })
        .build()
}

/// Appends the event to the log of its entity, in the order of commits: a row counts the entity's entries.
async fn append(tx: &Transaction, event: &TitoEvent) -> Result<(), TitoError> {
    let counter = format!("count:{}:{}", event.event_type, event.entity);
    let entries = tx.get(counter.as_bytes()).await?.map_or(0, |value| number(&value));
    let entry = format!("note:{}:{}:{entries:06}", event.event_type, event.entity);
    tx.put(counter.into_bytes(), (entries + 1).to_string().into_bytes()).await?;
    tx.put(entry.into_bytes(), event.action.clone().into_bytes()).await
}
