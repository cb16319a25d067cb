//! The events that wake a worker.

use std::collections::BTreeMap;

use tito_core::event::{NewEvent as OutboxEvent, write_event};
use tito_core::{TitoError, Transaction, check_event_type, check_name};

use crate::error::Result;
use crate::store::EventStore;

/// Publishes that there is something to project.
pub(crate) async fn wake(store: &EventStore, tx: &Transaction, projection: &str) -> Result<()> {
    let event = OutboxEvent {
        row: None,
        owner: None,
        event_type: topic(store.name(), projection),
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
pub(super) fn topic(store: &str, projection: &str) -> String {
    format!("{store}.{projection}")
}

/// Checks the name of a projection, and that it makes the name of a topic.
pub(super) fn check(store: &str, projection: &str) -> Result<()> {
    check_name("projection", projection)?;
    if projection.contains('.') {
        let reason = "it contains '.', which separates a store from its projection in the name of a topic";
        return Err(TitoError::InvalidName { what: "projection", name: projection.to_string(), reason }.into());
    }
    check_event_type(&topic(store, projection))?;
    Ok(())
}
