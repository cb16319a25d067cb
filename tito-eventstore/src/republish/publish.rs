//! An event of the outbox for one of a store.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::value::RawValue;
use tito_core::event::{OutboxEvent, write_event};
use tito_core::{Transaction, row};

use super::rule::{Content, Followed};
use crate::data::Codec;
use crate::error::Result;
use crate::event::time_of_micros;

/// What is published of an event of a store.
pub(crate) struct Shown<'a> {
    pub(crate) store: &'a str,
    pub(crate) sequence: u64,
    pub(crate) id: &'a str,
    /// `type.id.event_type`.
    pub(crate) subject: &'a str,
    /// Microseconds since the Unix epoch.
    pub(crate) time: i64,
    pub(crate) version: u32,
    pub(crate) metadata: &'a BTreeMap<String, String>,
    pub(crate) codec: Codec,
    pub(crate) bytes: &'a [u8],
}

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

/// Publishes an event by each of some rules that selects it, and to the topic that has all events, if there is one: with
/// whether what is published there belongs to the event's entity.
pub(crate) async fn publish(
    tx: &Transaction,
    to_all: Option<(&str, bool)>,
    rules: &[Followed<'_>],
    event: &Shown<'_>,
) -> Result<()> {
    let tokens = event.tokens();
    if let Some((topic, is_owned)) = to_all {
        let entity = format!("{}.{}", tokens[0], tokens[1]);
        let owner = is_owned.then(|| entity.clone());
        let published = event.published(topic.to_string(), entity, Content::Payload)?;
        write_event(tx, OutboxEvent { owner, ..published }).await?;
    }
    for rule in rules {
        if rule.selects(event.sequence, &tokens) {
            let (topic, entity) = rule.names(event.store, &tokens)?;
            let published = event.published(topic, entity, rule.content())?;
            write_event(tx, OutboxEvent { owner: rule.owner(&tokens), ..published }).await?;
        }
    }
    Ok(())
}

impl<'a> Shown<'a> {
    /// The entity's type and id, and the event's type.
    pub(super) fn tokens(&self) -> [&'a str; 3] {
        let mut tokens = self.subject.splitn(3, '.');
        [(); 3].map(|()| tokens.next().expect("every subject has three tokens"))
    }

    fn published(&self, topic: String, entity: String, content: Content) -> Result<OutboxEvent> {
        let what = || format!("event {} of store {:?}", self.sequence, self.store);
        let payload = match content {
            Content::Payload => {
                let Self { store, sequence, id, subject, time, version, metadata, .. } = *self;
                let shown = Republished { store, sequence, id, subject, time, version, metadata, data: self.json() };
                Some(row::raw_checked(format_args!("{}", what()), &shown)?)
            }
            Content::Data => match self.json() {
                Some(data) => Some(row::raw_checked(format_args!("{}", what()), data)?),
                None => None,
            },
            Content::Headers => None,
        };
        let headers = if content == Content::Payload { BTreeMap::new() } else { self.headers() };
        let action = self.tokens()[2].to_string();
        Ok(OutboxEvent { event_type: topic, entity, owner: None, row: None, action, timestamp: 0, headers, payload })
    }

    /// Data that claims to be JSON and is not goes without.
    fn json(&self) -> Option<&'a RawValue> {
        (self.codec == Codec::Json).then(|| serde_json::from_slice(self.bytes).ok()).flatten()
    }

    fn headers(&self) -> BTreeMap<String, String> {
        let time = time_of_micros(self.time);
        let mut headers = self.metadata.clone();
        let own = [
            ("tito-store", self.store.to_string()),
            ("tito-sequence", self.sequence.to_string()),
            ("tito-id", self.id.to_string()),
            ("tito-subject", self.subject.to_string()),
            ("tito-time", time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            ("tito-event-version", self.version.to_string()),
        ];
        headers.extend(own.map(|(name, value)| (name.to_string(), value)));
        headers
    }
}
