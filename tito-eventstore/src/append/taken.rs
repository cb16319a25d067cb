//! Ids that are taken, and whether an event that comes with one is the event that has it.

use tito_core::Timestamp;

use super::prepared::Prepared;
use crate::data::Codec;
use crate::error::{EventStoreError, Result};
use crate::event::Event;

/// An id that is taken.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    pub(super) sequence: u64,
    /// Where the event that has it is of an earlier run of the same append.
    pub(super) own: Option<Own>,
    by: Holder<'a>,
}

/// What an earlier run has appended, whose outcome was not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) recorded: Timestamp,
    /// The last sequence of its entity before it.
    pub(super) previous: u64,
}

/// What has an id.
#[derive(Debug)]
enum Holder<'a> {
    /// An event of the store; none if it can't be read, so that nobody can tell.
    Stored(Option<Event>),
    /// One that is appended in the same transaction.
    New(&'a Prepared),
}

/// What is compared of an event.
struct Content<'a> {
    entity: &'a str,
    event_type: &'a str,
    version: u32,
    codec: Codec,
    bytes: &'a [u8],
}

impl<'a> Taken<'a> {
    pub(super) fn stored(sequence: u64, event: Option<Event>, own: Option<Own>) -> Self {
        Self { sequence, own, by: Holder::Stored(event) }
    }

    pub(super) fn new(sequence: u64, event: &'a Prepared) -> Self {
        Self { sequence, own: None, by: Holder::New(event) }
    }

    /// Whether an event with this id is the one that has it: of the same entity and type, with the same data. Its time and
    /// metadata may differ, as a call that is repeated makes them anew.
    ///
    /// # Errors
    /// [`EventStoreError::EventIdTaken`].
    pub(super) fn check(&self, event: &Prepared) -> Result<()> {
        let known = match &self.by {
            Holder::Stored(None) => return Ok(()),
            Holder::Stored(Some(stored)) => content_of(stored),
            Holder::New(new) => new.content(),
        };
        let Some(differs) = known.differs_from(&event.content()) else { return Ok(()) };
        let stored = match &self.by {
            Holder::Stored(Some(stored)) => stored.clone(),
            Holder::Stored(None) => return Ok(()),
            Holder::New(new) => shown(new, self.sequence)?,
        };
        let (id, appended) = (event.id.clone(), Box::new(shown(event, 0)?));
        Err(EventStoreError::EventIdTaken { id, differs, stored: Box::new(stored), appended })
    }
}

fn shown(event: &Prepared, sequence: u64) -> Result<Event> {
    Ok(Event::decode(&[], sequence, event.encode(Timestamp::ZERO))?)
}

fn content_of(event: &Event) -> Content<'_> {
    Content {
        entity: event.entity(),
        event_type: event.event_type(),
        version: event.version(),
        codec: event.codec(),
        bytes: event.bytes(),
    }
}

impl Prepared {
    fn content(&self) -> Content<'_> {
        Content {
            entity: self.entity(),
            event_type: &self.data.event_type,
            version: self.data.version,
            codec: self.data.codec,
            bytes: &self.data.bytes,
        }
    }
}

impl Content<'_> {
    /// What differs first.
    fn differs_from(&self, other: &Self) -> Option<&'static str> {
        if self.entity != other.entity {
            return Some("entity");
        }
        if self.event_type != other.event_type {
            return Some("type");
        }
        let is_same_form = (self.version, self.codec) == (other.version, other.codec);
        let is_same = is_same_form && (self.bytes == other.bytes || self.has_the_same_members(other));
        (!is_same).then_some("data")
    }

    /// Maps are written in any order.
    fn has_the_same_members(&self, other: &Self) -> bool {
        let members = |bytes| -> Option<serde_json::Value> {
            match self.codec {
                Codec::Json => serde_json::from_slice(bytes).ok(),
                #[cfg(feature = "messagepack")]
                Codec::MessagePack => rmp_serde::from_slice(bytes).ok(),
                _ => None,
            }
        };
        members(self.bytes).is_some_and(|known| members(other.bytes) == Some(known))
    }
}
