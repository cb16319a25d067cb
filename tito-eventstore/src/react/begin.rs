//! What is known when the work begins, as of one moment.

use std::collections::VecDeque;

use tito_core::Transaction;
use tito_core::engine::Listener;
use tito_core::row::StoredRow;
use tito_worker::feed::Fed;

use super::erased::erasures_of;
use super::feed::Reacting;
use super::position::Position;
use super::waiting::Waiting;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::keys;
use crate::log::{Definition, Tail};
use crate::read::Cursor;
use crate::store::ERASED;

/// A reactor as it was found.
pub(super) struct Begun {
    pub(super) position: Position,
    /// The same as it is stored: whoever has changed it meanwhile is noticed by that.
    pub(super) stored: Vec<u8>,
    /// The topic's revision.
    pub(super) revision: u64,
    pub(super) waiting: Waiting,
    /// In how many transactions something of the store was erased,
    pub(super) erasures: u64,
    /// and what is woken when this process erases more.
    pub(super) erased: Listener,
    /// Where the store is read on.
    pub(super) cursor: Cursor,
    /// The events that are open, as far as they are still there,
    pub(super) open: VecDeque<Event>,
    /// and those of them that can't be read, with their entities where these are known.
    pub(super) unreadable: VecDeque<UnreadableEvent>,
}

/// The sequence of an event that can't be read, its entity where that is known, and what is wrong with it.
pub(super) type UnreadableEvent = (u64, Option<String>, EventStoreError);

impl Reacting {
    /// Looks at the reactor; none if there is nothing to be served here.
    pub(super) async fn begin(&self, fed: &Fed) -> Result<Option<Begun>> {
        let tx = self.store.database().begin().await?;
        let begun = self.begin_in(fed, &tx).await;
        tx.rollback().await;
        begun
    }

    async fn begin_in(&self, fed: &Fed, tx: &Transaction) -> Result<Option<Begun>> {
        let id = self.store.id();
        // From before anything is read, so that nothing falls between the two.
        let erased = self.store.database().shared().listen(self.store.channel(), ERASED);
        let asked = vec![keys::event_store(self.store.name()), self.key(), keys::log_tail(id), keys::log_head(id)];
        let checked = fed.check(tx, asked.clone()).await?;
        let Ok([Some(definition), Some(stored), Some(tail), head]) = <[Option<Vec<u8>>; 4]>::try_from(checked.rows)
        else {
            return Ok(None);
        };
        // Whoever has lost it without knowing yet leaves it to others.
        if !checked.is_owned || Definition::decode(&asked[0], &definition)?.id != id {
            return Ok(None);
        }
        let position = Position::decode(&asked[1], &stored)?;
        let dropped = Tail::decode(&asked[2], &tail)?.dropped;
        // From the beginning means that of what there is.
        if position.sequence.max(1) < dropped && position.sequence > position.after {
            let (store, reactor, after) = (self.store.name(), &*self.name, position.sequence);
            let log =
                || tracing::warn!(store, reactor, after, dropped, "events were dropped before a reactor came to them");
            self.store.logger().with(log);
        }
        let waiting = Waiting::read(fed, tx).await?;
        let begin = position.sequence.max(self.select.begin());
        let cursor = Cursor::new(&self.store, &self.select.clone().after(begin))?;
        let (erasures, revision) = (erasures_of(id, head.as_deref())?, checked.topic.revision);
        let (open, unreadable) = (VecDeque::new(), VecDeque::new());
        let mut begun = Begun { position, stored, revision, waiting, erasures, erased, cursor, open, unreadable };
        let keys = begun.position.open.iter().map(|sequence| keys::log_event(id, *sequence)).collect();
        let values = tx.batch_get(keys).await?;
        for (sequence, value) in begun.position.open.iter().zip(values) {
            let Some(value) = value else { continue };
            match self.read_event(*sequence, value) {
                // It was erased, and is passed over like one that was dropped.
                Ok(event) if event.is_erased() => {}
                Ok(event) => begun.open.push_back(event),
                Err(unreadable) => begun.unreadable.push_back((*sequence, unreadable.0, unreadable.1)),
            }
        }
        Ok(Some(begun))
    }

    /// An event, or what it is of, as far as that is known, and what is wrong with it.
    fn read_event(&self, sequence: u64, value: Vec<u8>) -> Result<Event, Box<(Option<String>, EventStoreError)>> {
        let event = Event::decode(&keys::log_event(self.store.id(), sequence), sequence, value)
            .map_err(|error| Box::new((None, error.into())))?;
        match self.store.types().map_or(Ok(None), |types| types.upcast(&event)) {
            Ok(upcast) => Ok(upcast.unwrap_or(event)),
            Err(error) => Err(Box::new((Some(event.entity().to_string()), error))),
        }
    }

    /// Whether the reactor is stored as it was.
    pub(super) async fn is_as(&self, stored: &[u8]) -> Result<bool> {
        let tx = self.store.database().begin().await?;
        let found = tx.get(&self.key()).await;
        tx.rollback().await;
        Ok(found?.as_deref() == Some(stored))
    }
}
