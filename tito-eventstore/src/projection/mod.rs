//! Projections: rows folded from a store.

use std::collections::BTreeMap;

use tito_core::TitoEngine;
use tito_core::event::{NewEvent as OutboxEvent, write_event};

use crate::error::Result;
use crate::store::EventStore;

/// Publishes that there is something to project.
pub(crate) async fn wake<E: TitoEngine>(store: &EventStore<E>, tx: &E::Transaction, projection: &str) -> Result<()> {
    let event = OutboxEvent {
        event_type: topic(store.name(), projection),
        entity: projection.to_string(),
        action: "wake".to_string(),
        timestamp: 0,
        headers: BTreeMap::new(),
        payload: None,
    };
    write_event(store.engine(), tx, event).await?;
    Ok(())
}

/// The topic that wakes a projection.
fn topic(store: &str, projection: &str) -> String {
    format!("{store}.{projection}")
}
