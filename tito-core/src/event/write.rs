//! Writes events into a transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::cause::Cause;
use super::due::within_bounds;
use super::event_row::EventRow;
use super::id::{MAX_EVENTS_OF_A_TRANSACTION, event_id};
use super::owner::{check_owner, note_owner};
use super::published::PublishedCounters;
use super::queue_name::queue_name;
use super::record::TitoEvent;
use super::reference::EventReference;
use super::topic::Topic;
use crate::database::Transaction;
use crate::engine::{Limits, PublishedEvent, Signal};
use crate::error::{KeyText, Result, TitoError};
use crate::keys;
use crate::row::UnknownMembers;
use crate::trace::add_trace;

/// An event that is about to be written.
#[derive(Clone, Debug)]
pub struct OutboxEvent {
    /// See [`TitoEvent::event_type`].
    pub event_type: String,
    /// See [`TitoEvent::entity`].
    pub entity: String,
    /// See [`TitoEvent::owner`].
    pub owner: Option<String>,
    /// See [`TitoEvent::action`].
    pub action: String,
    /// See [`TitoEvent::row`].
    pub row: Option<EventRow>,
    /// When it falls due, in Unix seconds; a time before the transaction's now means at once, one after 9,999,999,999
    /// means that second.
    pub timestamp: i64,
    /// See [`TitoEvent::headers`].
    pub headers: BTreeMap<String, String>,
    /// See [`TitoEvent::payload`].
    pub payload: Option<Box<RawValue>>,
}

/// Writes an event into a transaction: once for the topic, unless it is published to its groups only, and once for each
/// group. Returns a reference to it. Its cause is the task's [`Cause`]. It becomes visible with everything else that
/// the transaction writes, or not at all. Reads nothing except, every few seconds, the topic.
///
/// # Errors
/// [`TitoError::InvalidName`], [`TitoError::LimitExceeded`], and those of the engine.
pub async fn write_event(tx: &Transaction, event: OutboxEvent) -> Result<EventReference> {
    let call = tx.nested();
    let reference = write_event_into(&call, event).await?;
    call.merge()?;
    Ok(reference)
}

/// Like [`write_event`], within a call that is nested already: when it fails, some of it may have been written.
///
/// # Errors
/// Those of [`write_event`].
pub(crate) async fn write_event_into(tx: &Transaction, event: OutboxEvent) -> Result<EventReference> {
    if let Some(owner) = &event.owner {
        check_owner(owner)?;
    }
    let database = tx.database();
    let (topic_name, topic) = Topic::cached(database, &event.event_type).await?;
    let partition = topic.partition_of(&event.entity);
    let number = tx.next_event_number();
    let id = event_id(tx.start_timestamp(), number, fastrand::u64(..));
    let event = TitoEvent {
        id,
        event_type: event.event_type,
        // Where the entity says it, there is no need to say it twice.
        row: event.row.filter(|row| !row.is(&event.entity)),
        entity: event.entity,
        owner: event.owner,
        action: event.action,
        // Never before now: together with the age limit that bounds how far behind a worker's cursor it can land.
        timestamp: within_bounds(event.timestamp).max(tx.now().seconds()),
        not_before: None,
        failed_attempts: 0,
        revision: topic.revision,
        headers: add_trace(database, event.headers),
        payload: event.payload,
        codec: "json".into(),
        failures: Vec::new(),
        progress: None,
        steps: Vec::new(),
        deaths: None,
        causation_id: Cause::current().map(|cause| cause.to_string()),
        done: None,
        unknown: UnknownMembers::default(),
        key: Vec::new(),
    };
    let key = keys::event(&topic_name, partition, event.timestamp, id);
    if number >= MAX_EVENTS_OF_A_TRANSACTION {
        return Err(TitoError::LimitExceeded {
            what: "a transaction in events",
            // Counted from 0.
            size: number as usize + 1,
            limit: MAX_EVENTS_OF_A_TRANSACTION as usize,
            key: KeyText::from(key),
        });
    }
    tracing::debug!(
        name: "tito.publish", topic = %topic_name, partition, event = %id, entity = event.entity, action = event.action,
        due = event.timestamp, trace_id = event.trace_context().map(|trace| trace.trace_id_text()), "an event is written"
    );
    let value = event.encode()?;
    check_event_size(database.limits(), &key, value.len())?;
    for group in topic.groups.keys() {
        let queue: Arc<str> = queue_name(&topic_name, Some(group)).into();
        let key = keys::event(&queue, partition, event.timestamp, id);
        tx.system_keys().put_pending(key.clone(), value.clone(), event.timestamp, None).await?;
        announce(tx, queue, partition, key, &event);
    }
    if let Some(owner) = &event.owner {
        note_owner(tx, owner, &key).await?;
    }
    if topic.has_own_queue() {
        tx.system_keys().put_pending(key.clone(), value, event.timestamp, None).await?;
        announce(tx, topic_name, partition, key, &event);
    }
    Ok(EventReference { event_type: event.event_type, entity: event.entity, timestamp: event.timestamp, id })
}

/// Wakes the workers of this process for a new event, and counts it, once the transaction is committed.
fn announce(tx: &Transaction, queue: Arc<str>, partition: u16, key: Vec<u8>, event: &TitoEvent) {
    let shared = tx.database().shared();
    if shared.is_publishing_watched() {
        let (queue, entity) = (queue.clone(), event.entity.clone());
        tx.tell_published(PublishedEvent { queue, id: event.id, entity, due: event.timestamp });
    }
    tx.count(&queue, || shared.value::<PublishedCounters>().of(&queue, tx.database()));
    tx.signal(Signal { channel: queue, number: partition, payload: key });
}

/// The largest size of a stored event, given that of a value: a sixteenth of it is room for the failures that a worker may
/// have to record in it.
pub fn most_event_bytes(value_bytes: usize) -> usize {
    value_bytes / 16 * 15
}

/// Checks the size of an event as it is stored, see [`most_event_bytes`].
///
/// # Errors
/// [`TitoError::LimitExceeded`].
pub fn check_event_size(limits: &Limits, key: &[u8], size: usize) -> Result<()> {
    let limit = most_event_bytes(limits.value_bytes);
    if size <= limit {
        return Ok(());
    }
    Err(TitoError::LimitExceeded { what: "an event in bytes", size, limit, key: KeyText::from(key) })
}
