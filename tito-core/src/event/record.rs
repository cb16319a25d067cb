//! An event as it is stored and handed to handlers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::{KeyText, Result, TitoError};
use crate::keeps_unknown_members;
use crate::keys;
use crate::row::{self, StoredRow, UnknownMembers};
use crate::trace::TraceContext;

use super::event_row::EventRow;
use super::reference::{self, EventReference};

/// An event: that something happened to an entity, to be handled at or after a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TitoEvent {
    /// Unique, and ascending in causal order for the events of one entity. See [`event_id`](super::event_id).
    pub id: Uuid,
    /// The event's type, which is its topic.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What it happened to: `{table}:{id}`, unless the publisher named something else. Events of one entity are
    /// handled one at a time.
    pub entity: String,
    /// The row that it came from, for events of models whose entity is something else: see
    /// [`table_and_id`](TitoEvent::table_and_id), which looks at both.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "row::nested")]
    pub row: Option<EventRow>,
    /// Who it belongs to, if its publisher said so: see `TitoQueue::erase_owner` of `tito-worker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What happened: `insert`, `update` or `delete` for events of models, otherwise whatever the publisher said.
    pub action: String,
    /// When it falls due, in Unix seconds. A retry moves it, unless its subscription is strict.
    pub timestamp: i64,
    /// When it may be tried again, in Unix seconds, if a strict subscription has postponed it: it keeps its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// How many attempts to handle it have failed so far. [`attempt`](TitoEvent::attempt) is the number of the current
    /// one.
    #[serde(rename = "attempt", default)]
    pub failed_attempts: u32,
    /// The revision of the topic that its publisher knew, which tells which groups it was published to.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u64,
    /// Short texts next to the payload, such as a trace context.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What the publisher passed along, if anything. Events of models have none: their handlers read the row, which is
    /// newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
    /// How the payload is written. Always `json`.
    #[serde(default = "json", skip_serializing_if = "is_json")]
    pub codec: Cow<'static, str>,
    /// The latest failed attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "row::nested")]
    pub failures: Vec<FailedAttempt>,
    /// How far an earlier attempt got, as its handler recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Box<RawValue>>,
    /// The steps of it that are done, oldest first, if its handler advances it. The payload is that of the current
    /// step. Of more than 20 steps, the first and the latest are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "row::nested")]
    pub steps: Vec<DoneStep>,
    /// How many processes have died while it alone was being handled. An event with a number, even 0, is a suspect: a
    /// process has died while it was being handled, so it runs alone in its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaths: Option<u32>,
    /// The id of the event whose handler published it, as a text: of an outbox event, or an event of an event store.
    /// See [`Cause`](super::Cause).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// How it was done, for an event that is kept as history.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "row::nested")]
    pub done: Option<Completion>,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
    /// Where it is stored; empty for an event that was not read from a database.
    #[serde(skip)]
    pub key: Vec<u8>,
}

/// One attempt to handle an event that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// When it ended, in Unix seconds.
    pub timestamp: i64,
    /// What the handler said, cut to 500 bytes.
    pub error: String,
    /// The same for all errors that differ only in numbers, ids and quoted texts: 16 hexadecimal digits, computed from
    /// the whole text. Earlier versions stored none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The worker that handled it; none in a drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Uuid>,
    /// How long the handler ran, in milliseconds, by the worker's monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_millis: Option<u64>,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

/// How an event that is kept as history was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The outcome: `done`.
    pub outcome: Cow<'static, str>,
    /// The worker that handled it; none in a drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Uuid>,
    /// How long its last handler ran, in milliseconds, by the worker's monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_millis: Option<u64>,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

/// A step of an event that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DoneStep {
    /// The attempt that did it, counted from 1.
    pub attempt: u32,
    /// When it was done, in Unix seconds.
    pub timestamp: i64,
    /// What its payload was; none if it had none, or where the event had no room for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
    /// What its headers were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Members that a later version of Tito has stored.
    #[serde(skip)]
    pub unknown: UnknownMembers,
}

impl DoneStep {
    /// Its payload as a value.
    ///
    /// # Errors
    /// [`TitoError::Malformed`] if there is none, or it is not a `T`.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T> {
        let text = self.payload.as_ref().map_or("null", |payload| payload.get());
        serde_json::from_str(text).map_err(|source| TitoError::Malformed {
            key: KeyText::from(Vec::new()),
            expected: "a step of an event whose payload is what was asked for",
            source: source.into(),
        })
    }
}

keeps_unknown_members!(TitoEvent, FailedAttempt, Completion, DoneStep);

impl StoredRow for TitoEvent {
    const EXPECTED: &'static str = "an event in JSON";
}

fn json() -> Cow<'static, str> {
    Cow::Borrowed("json")
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_json(codec: &str) -> bool {
    codec == "json"
}

impl TitoEvent {
    /// Reads the event that is stored under `key`.
    ///
    /// # Errors
    /// [`TitoError::Malformed`], which names the key.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let event = <Self as StoredRow>::decode(key, bytes)?;
        Ok(Self { key: key.to_vec(), ..event })
    }

    /// Like [`decode`](TitoEvent::decode), but without the [unknown](TitoEvent::unknown) members, which is faster: for
    /// an event that is not stored again.
    ///
    /// # Errors
    /// Those of [`decode`](TitoEvent::decode).
    pub fn decode_known(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let mut event: Self = row::decode(key, Self::EXPECTED, bytes)?;
        event.key = key.to_vec();
        Ok(event)
    }

    /// The number of the current or next attempt to handle it: 1 when it is first handed out.
    pub fn attempt(&self) -> u32 {
        self.failed_attempts.saturating_add(1)
    }

    /// When it falls due, as a time; a retry moves it, unless its subscription is strict.
    pub fn due(&self) -> DateTime<Utc> {
        reference::due(self.timestamp)
    }

    /// A reference to this event, to cancel or reschedule it.
    pub fn reference(&self) -> EventReference {
        EventReference {
            event_type: self.event_type.clone(),
            entity: self.entity.clone(),
            timestamp: self.timestamp,
            id: self.id,
        }
    }

    /// The event as it is stored, with its unknown members.
    ///
    /// # Errors
    /// [`TitoError::Unserializable`], though every field has a form in JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        StoredRow::encode(self)
    }

    /// The trace that the event belongs to, if its publisher was part of one. Malformed headers count as none.
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::from_headers(&self.headers)
    }

    /// The payload as a value.
    ///
    /// # Errors
    /// [`TitoError::Malformed`] if there is none, or it is not a `T`.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T> {
        let text = self.payload.as_ref().map_or("null", |payload| payload.get());
        serde_json::from_str(text).map_err(|source| TitoError::Malformed {
            key: self.key_text(),
            expected: "an event whose payload is what its handler expects",
            source: source.into(),
        })
    }

    /// How far an earlier attempt got, if one has recorded it.
    ///
    /// # Errors
    /// [`TitoError::Malformed`] if it is not a `T`.
    pub fn progress<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(progress) = &self.progress else { return Ok(None) };
        serde_json::from_str(progress.get()).map(Some).map_err(|source| TitoError::Malformed {
            key: self.key_text(),
            expected: "an event whose progress is what its handler expects",
            source: source.into(),
        })
    }

    fn key_text(&self) -> KeyText {
        if self.key.is_empty() {
            return keys::event(&self.event_type, 0, self.timestamp, self.id).into();
        }
        KeyText::from(self.key.as_slice())
    }
}
