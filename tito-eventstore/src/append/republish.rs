//! Publishes appended events to the outbox, in the same transaction.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use tito_core::event::{NewEvent as OutboxEvent, write_event};
use tito_core::{Transaction, row};

use super::prepared::Prepared;
use super::write::New;
use crate::error::Result;
use crate::manager::Definition;
use crate::projection;
use crate::store::EventStore;
use crate::types::Codec;

/// The payload of a republished event.
#[derive(Serialize)]
struct Republished<'a> {
    store: &'a str,
    sequence: u64,
    id: &'a str,
    subject: &'a str,
    /// Microseconds since the Unix epoch.
    time: i64,
    version: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    /// Of events whose data is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

pub(super) async fn publish(
    store: &EventStore,
    tx: &Transaction,
    definition: &Definition,
    new: &[New<'_>],
) -> Result<()> {
    if let Some(topic) = &definition.republish {
        for (sequence, event) in new {
            write_event(tx, outbox_event(store.name(), topic, *sequence, event)?).await?;
        }
    }
    for projection in &definition.projections {
        projection::wake(store, tx, projection).await?;
    }
    Ok(())
}

fn outbox_event(store: &str, topic: &str, sequence: u64, event: &Prepared) -> Result<OutboxEvent> {
    // Data that claims to be JSON and is not goes without.
    let data = match event.data.codec {
        Codec::Json => serde_json::from_slice::<&RawValue>(&event.data.bytes).ok(),
        _ => None,
    };
    let republished = Republished {
        store,
        sequence,
        id: &event.id,
        subject: event.subject(),
        time: event.time,
        version: event.data.version,
        metadata: &event.metadata,
        data,
    };
    let payload = row::raw_checked(format_args!("event {sequence} of store {store:?}"), &republished)?;
    Ok(OutboxEvent {
        event_type: topic.to_string(),
        entity: event.entity().to_string(),
        row: None,
        action: event.data.event_type.clone(),
        timestamp: 0,
        headers: BTreeMap::new(),
        payload: Some(payload),
    })
}
