//! Events one by one.

use std::vec::IntoIter;

use futures::stream::{BoxStream, StreamExt, try_unfold};
use tito_core::Transaction;

use super::cursor::Cursor;
use super::wait::Wait;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::keys;
use crate::select::Select;
use crate::store::EventStore;

impl EventStore {
    /// The selected events that exist now, in the order of their sequences. Pages are read on demand, so memory holds
    /// one page of up to 2,048 events and about 1 MiB, estimated from the previous page, or at most 16 MiB if events
    /// suddenly grow.
    ///
    /// # Errors
    /// The stream ends after an error: one of the patterns, [`StoreNotFound`](EventStoreError::StoreNotFound), those of
    /// the engine, and that of an event that can't be read, because it is damaged or an upcaster fails. Everything
    /// before such an event comes first; the error has its [`sequence`](EventStoreError::sequence), after which another
    /// stream can begin.
    pub fn events(&self, select: impl Into<Select>) -> BoxStream<'static, Result<Event>> {
        Reading::stream(self, select.into(), false)
    }

    /// The selected events that exist and those to come, without an end unless the selection has one. Pages are read on
    /// demand, so a slow reader blocks nobody and costs no memory.
    ///
    /// # Errors
    /// Those of [`events`](EventStore::events). If the engine is closed, the stream ends at once with the error that
    /// says so.
    pub fn tail(&self, select: impl Into<Select>) -> BoxStream<'static, Result<Event>> {
        Reading::stream(self, select.into(), true)
    }

    /// The event with a sequence; `None` if there is no such event, or it was dropped or erased.
    ///
    /// # Errors
    /// Those of upcasters and of the engine.
    pub async fn event(&self, sequence: u64) -> Result<Option<Event>> {
        let Some(before) = sequence.checked_sub(1) else { return Ok(None) };
        let mut cursor = Cursor::new(self, &Select::all().after(before).up_to(sequence))?;
        Ok(cursor.next_page().await?.pop())
    }

    /// The events with some sequences, as far as there are any.
    pub(crate) async fn events_at(&self, tx: &Transaction, sequences: &[u64]) -> Result<Vec<Event>> {
        let keys: Vec<_> = sequences.iter().map(|sequence| keys::log_event(self.id(), *sequence)).collect();
        let values = tx.batch_get(keys.clone()).await?;
        let mut events = Vec::with_capacity(values.len());
        for ((key, value), sequence) in keys.iter().zip(values).zip(sequences) {
            let Some(value) = value else { continue };
            let event = Event::decode(key, *sequence, value)?;
            if event.is_erased() {
                continue;
            }
            let upcast = self.types().map_or(Ok(None), |types| types.upcast(&event))?;
            events.push(upcast.unwrap_or(event));
        }
        Ok(events)
    }

    /// The last sequence of the store, 0 before its first event.
    ///
    /// # Errors
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn last_sequence(&self) -> Result<u64> {
        let tx = self.database().begin().await?;
        let head = super::cursor::read_head(self, &tx).await;
        tx.rollback().await;
        Ok(head?.last)
    }
}

struct Reading {
    store: EventStore,
    select: Select,
    cursor: Option<Cursor>,
    page: IntoIter<Event>,
    follows: bool,
    wait: Option<Wait>,
}

impl Reading {
    fn stream(store: &EventStore, select: Select, follows: bool) -> BoxStream<'static, Result<Event>> {
        let store = store.clone();
        let reading = Self { store, select, cursor: None, page: Vec::new().into_iter(), follows, wait: None };
        try_unfold(reading, |mut reading| async move {
            let event = reading.next().await?;
            Ok::<_, EventStoreError>(event.map(|event| (event, reading)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.page.next() {
                return Ok(Some(event));
            }
            if self.follows && self.wait.is_none() {
                self.wait = Some(Wait::new(&self.store));
            }
            let cursor = match &mut self.cursor {
                Some(cursor) => cursor,
                None => self.cursor.insert(Cursor::new(&self.store, &self.select)?),
            };
            self.page = cursor.next_page().await?.into_iter();
            if !self.page.as_slice().is_empty() {
                self.wait.iter_mut().for_each(Wait::found);
                continue;
            }
            let is_end = self.select.end().is_some_and(|end| cursor.position() >= end);
            match &mut self.wait {
                Some(wait) if !is_end => wait.more().await?,
                _ => return Ok(None),
            }
            cursor.extend();
        }
    }
}
