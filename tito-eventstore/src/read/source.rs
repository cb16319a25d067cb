//! One range of keys, with what was read ahead of it.

use std::collections::VecDeque;

use tito_core::keys::KeyRange;
use tito_core::{KeyText, TitoError, Transaction};

use crate::error::Result;
use crate::event::Event;
use crate::keys;
use crate::pattern::Pattern;

/// Where events are read from.
#[derive(Clone, Debug)]
pub(super) enum Extent {
    /// The events of the store.
    Log,
    /// Those of one entity.
    Entity(String, String),
}

/// An event, or what is wrong with its bytes.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) sequence: u64,
    pub(super) event: Result<Event>,
}

/// The events of a place, read in pages.
#[derive(Debug)]
pub(super) struct Source {
    place: Extent,
    /// The last sequence that was read.
    position: u64,
    /// Read and not handed out yet.
    pub(super) ahead: VecDeque<Row>,
    /// A key among those of the events that is none of an event: nothing behind it is read.
    foreign: Option<Vec<u8>>,
    /// Whether everything up to the end was read.
    pub(super) is_exhausted: bool,
}

impl Source {
    pub(super) fn new(place: Extent, after: u64) -> Self {
        Self { place, position: after, ahead: VecDeque::new(), foreign: None, is_exhausted: false }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether what a pattern selects is read from here.
    pub(super) fn has(&self, pattern: &Pattern) -> bool {
        match &self.place {
            Extent::Log => true,
            Extent::Entity(of_type, id) => pattern.entity() == Some((of_type, id)),
        }
    }

    fn range(&self, store: u64, up_to: u64) -> KeyRange {
        match &self.place {
            Extent::Log => keys::log_events_between(store, self.position, up_to),
            Extent::Entity(entity_type, id) => {
                keys::log_entity_events_between(store, entity_type, id, self.position, up_to)
            }
        }
    }

    /// Reads a page, and returns how many rows and bytes it had.
    pub(super) async fn read(
        &mut self,
        tx: &Transaction,
        store: u64,
        up_to: u64,
        rows: usize,
    ) -> Result<(usize, usize)> {
        self.check_foreign()?;
        let range = self.range(store, up_to);
        let page = if range.is_empty() { Vec::new() } else { tx.scan(range, rows).await? };
        let read = page.len();
        let mut bytes = 0;
        self.ahead.reserve(read);
        for (key, value) in page {
            bytes += key.len() + value.len();
            let Some(sequence) = keys::parse_log_sequence(&key) else {
                // What is before it comes first.
                self.foreign = Some(key);
                if self.ahead.is_empty() {
                    return self.check_foreign().map(|()| (0, bytes));
                }
                return Ok((self.ahead.len(), bytes));
            };
            let event = Event::decode(&key, sequence, value).map_err(Into::into);
            self.position = sequence;
            self.ahead.push_back(Row { sequence, event });
        }
        self.is_exhausted = read < rows;
        Ok((read, bytes))
    }

    fn check_foreign(&self) -> Result<()> {
        let Some(key) = &self.foreign else { return Ok(()) };
        Err(TitoError::Malformed {
            key: KeyText::from(key.as_slice()),
            expected: "the key of an event of an event store",
            source: "it does not end in a sequence".into(),
        }
        .into())
    }

    /// Goes on up to a later end.
    pub(super) fn reopen(&mut self) {
        self.is_exhausted = false;
    }
}
