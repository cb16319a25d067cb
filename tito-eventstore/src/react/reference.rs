//! What is put into the queue of an event: where it is in the store. And its delivery.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tito_core::event::{TitoEvent, event_id};
use tito_core::row::{self, StoredRow, UnknownMembers};
use tito_core::{BoxError, Database, Transaction};
use tito_worker::feed::HandlerResult;
use tito_worker::{BoxedHandler, Outcome};

use super::feed::Reacting;
use super::position::Position;
use super::reaction::Erased;
use crate::error::Result;
use crate::event::Event;
use crate::keys;
use crate::log::Definition;

/// The action of an event that can't be read.
const UNREADABLE: &str = "unreadable";

/// The payload of what is in the queue of a reactor. `docs/format.md` specifies it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Reference {
    sequence: u64,
    /// [`Position::since`] when it was put there.
    since: u64,
}

/// [`Position::since`] when an event was put into the queue; none of what is not a reactor's.
pub(super) fn put_at(event: &TitoEvent) -> Option<u64> {
    event.payload::<Reference>().ok().map(|reference| reference.since)
}

/// What is put into the queue of the event with a sequence; of one that can't be read, as far as is known.
pub(super) fn reference(
    topic: (&str, u64),
    tx: &Transaction,
    (sequence, since): (u64, u64),
    event: Option<&Event>,
    not_before: i64,
) -> Result<TitoEvent> {
    let id = event_id(tx.start_timestamp(), tx.next_event_number(), fastrand::u64(..));
    let second = tx.now().seconds().max(not_before);
    Ok(TitoEvent { id, timestamp: second, ..described(topic, (sequence, since), event)? })
}

/// The same for those who watch handlers.
pub(super) fn described(
    (topic, revision): (&str, u64),
    (sequence, since): (u64, u64),
    event: Option<&Event>,
) -> Result<TitoEvent> {
    let payload = row::raw_checked(format_args!("event {sequence}"), &Reference { sequence, since })?;
    let mut headers = BTreeMap::new();
    for name in ["traceparent", "tracestate"] {
        if let Some(text) = event.and_then(|event| event.text_of(name)) {
            headers.insert(name.to_string(), text.to_string());
        }
    }
    Ok(TitoEvent {
        id: uuid::Uuid::nil(),
        event_type: topic.to_string(),
        row: None,
        owner: None,
        entity: event.map_or_else(|| format!("{UNREADABLE}.{sequence}"), |event| event.entity().to_string()),
        action: event.map_or(UNREADABLE, Event::event_type).to_string(),
        timestamp: event.map_or(0, |event| i64::try_from(event.recorded().physical_millis() / 1_000).unwrap_or(0)),
        not_before: None,
        failed_attempts: 0,
        revision,
        headers,
        payload: Some(payload),
        codec: Cow::Borrowed("json"),
        failures: Vec::new(),
        progress: None,
        steps: Vec::new(),
        deaths: None,
        causation_id: event.map(|event| event.id().to_string()),
        done: None,
        unknown: UnknownMembers::default(),
        key: Vec::new(),
    })
}

/// An event that was put into the queue, when its turn comes.
enum Delivered {
    Event(Box<Event>),
    /// There is nothing to do.
    Nothing,
    /// It was dropped from the store.
    Gone(u64),
}

impl Reacting {
    /// What handles the events of the queue.
    pub(super) fn deliver(self: &std::sync::Arc<Self>) -> BoxedHandler {
        let reacting = self.clone();
        match &self.handler {
            Erased::Plain(handler) => {
                let handler = handler.clone();
                BoxedHandler::new(move |event: TitoEvent, database: Database| {
                    let (reacting, handler) = (reacting.clone(), handler.clone());
                    async move {
                        let tx = database.begin().await?;
                        let delivered = reacting.read_delivered(&tx, &event).await;
                        tx.rollback().await;
                        match settled(delivered?) {
                            Ok(event) => told(handler(*event).await),
                            Err(outcome) => Ok(outcome),
                        }
                    }
                })
            }
            Erased::InTransaction(handler) => {
                let handler = handler.clone();
                BoxedHandler::new(move |event: TitoEvent, tx: Transaction| {
                    let (reacting, handler) = (reacting.clone(), handler.clone());
                    async move {
                        let event = match settled(reacting.read_delivered(&tx, &event).await?) {
                            Ok(event) => *event,
                            Err(outcome) => return Ok::<_, BoxError>(outcome),
                        };
                        let key = keys::log_event(reacting.store.id(), event.sequence());
                        let handled = told(handler(event, tx.clone()).await)?;
                        // What was erased meanwhile has no effects any more.
                        tx.lock_keys(vec![key]).await?;
                        Ok(handled)
                    }
                })
            }
        }
    }

    async fn read_delivered(&self, tx: &Transaction, event: &TitoEvent) -> tito_core::Result<Delivered> {
        let Reference { sequence, since } = event.payload()?;
        let id = self.store.id();
        let key = keys::log_event(id, sequence);
        let asked = vec![keys::event_store(self.store.name()), keys::log_reactor(id, &self.name), key.clone()];
        let stored = <[Option<Vec<u8>>; 3]>::try_from(tx.batch_get(asked.clone()).await?);
        let Ok([Some(definition), Some(position), event]) = stored else { return Ok(Delivered::Nothing) };
        let position = Position::decode(&asked[1], &position)?;
        if Definition::decode(&asked[0], &definition)?.id != id || position.supersedes(since, sequence) {
            return Ok(Delivered::Nothing);
        }
        let Some(event) = event else { return Ok(Delivered::Gone(sequence)) };
        let event = Event::decode(&key, sequence, event)?;
        if event.is_erased() {
            return Ok(Delivered::Nothing);
        }
        let upcast = self.store.types().map_or(Ok(None), |types| types.upcast(&event))?;
        Ok(Delivered::Event(Box::new(upcast.unwrap_or(event))))
    }
}

/// The event, or what becomes of it without a handler.
fn settled(delivered: Delivered) -> std::result::Result<Box<Event>, Outcome> {
    match delivered {
        Delivered::Event(event) => Ok(event),
        Delivered::Nothing => Err(Outcome::Done),
        Delivered::Gone(sequence) => Err(Outcome::DeadLetter(format!("event {sequence} was dropped from its store"))),
    }
}

fn told(handled: HandlerResult) -> std::result::Result<Outcome, BoxError> {
    match handled {
        Ok(Outcome::Advance(_)) => Err("what a store has appended can't be advanced".into()),
        handled => handled,
    }
}

/// The event under a key of a store, as it is stored; none if it can't be read.
pub(super) fn as_stored(store: u64, sequence: u64, value: Vec<u8>) -> Option<Event> {
    Event::decode(&keys::log_event(store, sequence), sequence, value).ok()
}
