//! The events that wake the worker of a projection.

use std::collections::BTreeMap;

use tito_core::Transaction;
use tito_core::event::{OutboxEvent, write_event};

use crate::error::Result;

/// Publishes that there is something to project.
pub(crate) async fn wake(tx: &Transaction, store: &str, projection: &str) -> Result<()> {
    let event = OutboxEvent {
        row: None,
        owner: None,
        event_type: topic(store, projection),
        entity: projection.to_string(),
        action: "wake".to_string(),
        timestamp: 0,
        headers: BTreeMap::new(),
        payload: None,
    };
    write_event(tx, event).await?;
    Ok(())
}

/// The topic that wakes a projection. The last dot separates the two names, as projections have none in theirs.
pub(crate) fn topic(store: &str, projection: &str) -> String {
    format!("{store}.{projection}")
}
