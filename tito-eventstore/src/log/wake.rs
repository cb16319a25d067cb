//! The topics of what is woken when events are appended, and the events that wake it.

use std::collections::BTreeMap;

use tito_core::event::{OutboxEvent, write_event};
use tito_core::{TitoError, Transaction, check_event_type, check_name};

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

/// The topic of a projection or a reactor. The last dot separates the two names, as they have none in theirs.
pub(crate) fn topic(store: &str, name: &str) -> String {
    format!("{store}.{name}")
}

/// Checks the name of a projection or a reactor, and that it makes the name of a topic.
pub(crate) fn check_topic(what: &'static str, store: &str, name: &str) -> Result<()> {
    check_name(what, name)?;
    if name.contains('.') {
        let reason = "it contains '.', which separates it from the store in the name of a topic";
        return Err(TitoError::InvalidName { what, name: name.to_string(), reason }.into());
    }
    check_event_type(&topic(store, name))?;
    Ok(())
}
